//! Facts that happened, as the event log and subscribers will hear of them. Not their JSON.

use std::path::PathBuf;
use std::time::SystemTime;

use super::memory::Grounds;
use super::process::Pid;
use super::registry::Cleared;

/// A coordinator that something happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The coordinator's pid.
    pub pid: Pid,
    /// Its workspace, where it has a usable one.
    pub workspace: Option<PathBuf>,
    /// The reason of its verdict.
    pub reason: String,
}

/// Who wanted a signal sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The daemon, by its policy.
    Auto,
    /// A person or script: the peer of the socket, or the client's own process.
    Peer {
        /// Its uid, by the kernel's peer credentials.
        uid: u32,
        /// Its pid when it connected, where the kernel tells it.
        pid: Option<Pid>,
    },
}

/// What holds automatic reaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// Too many coordinators turned orphan at once.
    Breaker {
        /// So many …
        turned: usize,
        /// … of so many.
        of: usize,
    },
    /// Its owner.
    Owner {
        /// Who said so.
        actor: Actor,
        /// Until when, if that was said.
        until: Option<SystemTime>,
    },
    /// What the owner said before cannot be read: it may have been to hold.
    LostSteering,
}

/// A signal that the escalation sends and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The request to end, followed by SIGCONT.
    Term,
    /// The end.
    Kill,
}

impl Signal {
    /// `SIGTERM` or `SIGKILL`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The daemon runs: socket bound, first scan done.
    DaemonStarted {
        /// Its pid.
        pid: Pid,
        /// Its version.
        version: &'static str,
        /// Where it listens.
        socket: Option<PathBuf>,
    },
    /// The daemon ends in good order.
    DaemonStopped {
        /// Its pid.
        pid: Pid,
        /// Why: a signal's name, or an error.
        cause: String,
    },
    /// A coordinator became an orphan.
    Detected {
        /// Which.
        subject: Subject,
        /// What proves it.
        grounds: Box<Grounds>,
    },
    /// An orphan is none any more.
    Cleared {
        /// Which, with the reason it was an orphan for.
        subject: Subject,
        /// What ended it.
        cause: Cleared,
        /// The reason of its verdict now, if it still runs.
        now: Option<String>,
    },
    /// A signal is about to be sent: written and flushed before it is.
    Signal {
        /// The orphan whose escalation this is.
        subject: Subject,
        /// Who gets the signal: the orphan itself or a member.
        target: Pid,
        /// Which signal.
        signal: Signal,
        /// What proves that the orphan is one.
        grounds: Box<Grounds>,
        /// Who wanted it.
        actor: Actor,
    },
    /// An orphan is gone.
    Killed {
        /// Which.
        subject: Subject,
        /// Whether SIGKILL had to be sent.
        sigkill_required: bool,
        /// Whether it was gone before the first signal.
        missing: bool,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
        /// Who wanted it.
        actor: Actor,
    },
    /// An orphan could not be ended.
    Failed {
        /// Which.
        subject: Subject,
        /// A stable word.
        error: &'static str,
        /// The system's words.
        detail: Option<String>,
        /// Who wanted it.
        actor: Actor,
    },
    /// An escalation stopped because doubt came up.
    Spared {
        /// Which, with the reason of its verdict now.
        subject: Subject,
        /// Why it was spared.
        why: String,
        /// Who wanted it.
        actor: Actor,
    },
    /// Automatic reaping is held.
    ReapSuspended {
        /// By whom.
        by: HeldBy,
        /// Why, for people.
        why: String,
    },
    /// Automatic reaping is held no longer.
    ReapResumed {
        /// Who said so; nobody, if a pause was over.
        actor: Option<Actor>,
    },
    /// A new configuration is in force.
    ConfigReloaded {
        /// Where it came from.
        file: Option<PathBuf>,
    },
    /// A new configuration cannot be used; the old one is in force.
    ConfigRejected {
        /// What is wrong with it.
        problem: String,
    },
    /// Found at start: a signal without an outcome.
    Interrupted {
        /// Which orphan's escalation.
        subject: Subject,
        /// The last signal recorded.
        signal: String,
        /// When it was recorded.
        signalled_at: String,
    },
}
