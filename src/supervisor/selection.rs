//! Which orphans a fix is about, and why the others are spared. Pure.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::request::{Peer, Selection};
use crate::orphan::process::{Pid, ProcessIdentity, ProcessRecord};
use crate::orphan::registry::Sighting;
use crate::orphan::verdict::OrphanReason;

/// Why an orphan is spared that a request does not ask for.
pub const NOT_SELECTED: &str = "not_selected";
/// Why one is spared that is an orphan only by its name, and may be a running test suite's.
pub const YOUNG: &str = "younger_than_ephemeral_min_age";

/// Why a coordinator is spared that a request names, and the configuration leaves out.
pub const OUTSIDE_WORKSPACE_ROOTS: &str = "outside_workspace_roots";
/// Why one is spared that a request names, and that has become an orphan since the scan.
pub const NOT_SEEN: &str = "not_seen_by_the_scan";
/// Why one is spared that a request names, and that could not be looked up in time.
pub const NOT_LOOKED_UP: &str = "not_looked_up_in_time";

/// A fix under way: who waits for which orphans to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Who waits: protected, with all that is above it.
    pub peer: Peer,
    /// What was asked for.
    pub selection: Selection,
    /// The orphans that were chosen and have not had their end yet.
    pub targets: HashSet<ProcessIdentity>,
}

impl Demand {
    /// Why an orphan is not ended for this one, by what it is an orphan for now; nothing, if it is.
    #[must_use]
    pub fn spares(
        &self,
        orphan: &Sighting,
        ephemeral_min_age: Duration,
        now: SystemTime,
    ) -> Option<&'static str> {
        if !self.targets.contains(&orphan.identity()) {
            return Some(NOT_SELECTED);
        }
        self.selection.spares(orphan, ephemeral_min_age, now)
    }
}

/// What a fix does with the coordinators of one scan.
#[derive(Debug, Default)]
pub struct Choice {
    /// To be ended.
    pub targets: Vec<Sighting>,
    /// Selected, or named, and not to be ended.
    pub spared: Vec<Spared>,
    /// Named, and not among the coordinators of the scan.
    pub strangers: BTreeSet<Pid>,
}

/// A coordinator that a fix leaves alone.
#[derive(Debug)]
pub struct Spared {
    /// Which.
    pub sighting: Box<Sighting>,
    /// Why, in a stable word.
    pub why: String,
}

/// What has a pid that was named, and is not among the coordinators of a scan.
#[derive(Debug)]
pub enum Stranger {
    /// A coordinator all the same.
    Coordinator(Spared),
    /// Another program.
    Other(Box<ProcessRecord>),
    /// Nobody.
    Nobody(Pid),
    /// Somebody who cannot be read.
    Unreadable(Pid),
    /// It was not found out in time.
    Unknown(Pid),
}

impl Selection {
    /// Whether a coordinator matches every list that is not empty.
    fn includes(&self, sighting: &Sighting) -> bool {
        let evidence = &sighting.observation.evidence;
        // As they are written: `..` is nobody's to take back who does not look. And as whoever asks sees them: one in
        // a root of its own may have a workspace of the same name. Beside its pid, its own name for it will do.
        let own = evidence
            .workspace
            .as_deref()
            .filter(|_| self.names(sighting));
        let is_wanted = |path: &Path| self.workspaces.iter().any(|wanted| wanted == path);
        let by_workspace = || evidence.is_workspace_of_any(is_wanted) || own.is_some_and(is_wanted);
        let by_reason = |wanted: &String| {
            sighting
                .verdict
                .orphan_reason()
                .is_some_and(|reason| reason.is_named(wanted))
        };
        (self.workspaces.is_empty() || by_workspace())
            && (self.pids.is_empty() || self.names(sighting))
            && (self.reasons.is_empty() || self.reasons.iter().any(by_reason))
    }

    fn names(&self, sighting: &Sighting) -> bool {
        self.pids.contains(&sighting.identity().pid)
    }

    /// Why an orphan is spared by a fix that asks for these, if it is.
    #[must_use]
    pub fn spares(
        &self,
        orphan: &Sighting,
        ephemeral_min_age: Duration,
        now: SystemTime,
    ) -> Option<&'static str> {
        let reason = orphan.verdict.orphan_reason()?;
        if !self.includes(orphan) {
            Some(NOT_SELECTED)
        } else if orphan.is_young_ephemeral(ephemeral_min_age, now)
            && !self.insists_on(orphan, reason)
        {
            Some(YOUNG)
        } else {
            None
        }
    }

    /// Whether the request names an ephemeral one so clearly that its age does not matter.
    fn insists_on(&self, sighting: &Sighting, reason: &OrphanReason) -> bool {
        self.names(sighting) || self.reasons.iter().any(|named| reason.is_named(named))
    }
}

/// Sorts the coordinators of a scan into those to end and those to spare.
#[must_use]
pub fn choose<'a>(
    coordinators: impl Iterator<Item = &'a Sighting>,
    selection: &Selection,
    ephemeral_min_age: Duration,
    now: SystemTime,
) -> Choice {
    let mut choice = Choice {
        strangers: selection.pids.iter().copied().collect(),
        ..Choice::default()
    };
    for sighting in coordinators {
        choice.strangers.remove(&sighting.identity().pid);
        let spare = |why: String| Spared {
            sighting: Box::new(sighting.clone()),
            why,
        };
        if sighting.verdict.orphan_reason().is_none() {
            if selection.names(sighting) {
                choice.spared.push(spare(sighting.verdict.reason()));
            }
            continue;
        }
        match selection.spares(sighting, ephemeral_min_age, now) {
            None => choice.targets.push(sighting.clone()),
            // Nobody asked for it.
            Some(NOT_SELECTED) if !selection.names(sighting) => {}
            Some(why) => choice.spared.push(spare(why.to_owned())),
        }
    }
    choice
}

/// The coordinators of these workspaces; all, if there are none.
pub fn of_workspaces<'a>(
    coordinators: impl Iterator<Item = &'a Sighting>,
    workspaces: Vec<PathBuf>,
) -> impl Iterator<Item = &'a Sighting> {
    let selection = Selection {
        workspaces,
        ..Selection::default()
    };
    coordinators.filter(move |sighting| selection.includes(sighting))
}

#[cfg(test)]
mod tests;
