//! How a termination ended: values for results and records. Not how it is done.

use std::time::Duration;

use super::escalation::Outcome;
use super::event::{Actor, Signal, Subject};
use super::process::Pid;
use super::registry::Sighting;
use super::victims::LeftBehind;

/// How one orphan's termination ended.
#[derive(Clone, Debug)]
pub struct Termination {
    /// The orphan, as it was last judged.
    pub sighting: Sighting,
    /// How it ended.
    pub outcome: Outcome,
    /// How far the signals reached; nothing, if it was spared before there was one.
    pub reach: Option<Reach>,
    /// Its members and what became of them.
    pub members: Vec<MemberEnd>,
    /// Who was seen and not signalled.
    pub left_behind: Vec<LeftBehind>,
    /// From the start of the wave to the outcome.
    pub elapsed: Duration,
    /// The event log could not be written, and the signal was sent all the same.
    pub unrecorded: bool,
    /// Who wanted it.
    pub actor: Actor,
    /// Who started the orphan, as far as that could be told before SIGTERM.
    pub starter: Option<Starter>,
}

/// What may start a coordinator again when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starter {
    /// The orphan's parent.
    pub pid: Pid,
    /// That one's command line; empty if it could not be read.
    pub cmdline: String,
    /// The systemd unit or scope that the orphan ran in, where there is one.
    pub unit: Option<String>,
}

/// How far the signals for an orphan reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The orphan alone.
    Process,
    /// Members of its own group too.
    Group,
    /// Descendants outside its group too.
    Tree,
}

/// What became of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEnd {
    /// Its pid.
    pub pid: Pid,
    /// `exited`, `missing`, `alive_after_sigkill`, `permission_denied` or `spared`.
    pub outcome: &'static str,
    /// The last signal it got.
    pub signal: Option<Signal>,
}

/// The subject of events about a coordinator.
#[must_use]
pub fn subject(sighting: &Sighting) -> Subject {
    Subject {
        pid: sighting.identity().pid,
        workspace: sighting.observation.evidence.workspace.clone(),
        reason: sighting.verdict.reason(),
    }
}
