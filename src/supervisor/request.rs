//! What a peer may ask of the supervisor, and what it gets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::event_log::Query;
use crate::orphan::event::Actor;
use crate::orphan::process::Pid;
use crate::orphan::steering::Kept;
use crate::orphan::victims::Lineage;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// By the kernel's peer credentials.
    pub uid: u32,
    /// When it connected; used to protect it and its ancestors, never to authorise it.
    pub pid: Option<Pid>,
    /// It and its ancestors when it connected: protected, also after it hung up.
    pub lineage: Arc<Lineage>,
}

impl Peer {
    /// Who acts when it asks.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Peer {
            uid: self.uid,
            pid: self.pid,
        }
    }
}

/// Which orphans a fix is about: all that match every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Exactly these workspaces.
    pub workspaces: Vec<PathBuf>,
    /// These processes.
    pub pids: Vec<Pid>,
    /// These reasons: kinds, or whole reasons.
    pub reasons: Vec<String>,
}

/// Which orphans it is looked up for who would end with them. Whoever dies as somebody's member is nobody
/// else's, so that it depends on who else would be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survey {
    /// All of them, were all ended at once.
    OfAll,
    /// Those that such a fix would end.
    OfFix(Selection),
}

/// A request, checked for its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A fresh scan.
    Scan {
        /// Only these workspaces; all, if there are none.
        workspaces: Vec<PathBuf>,
        /// Whether it is looked up who would end with whom.
        survey: Option<Survey>,
    },
    /// A fresh scan, and the end of the selected orphans.
    Fix {
        /// Which.
        selection: Selection,
    },
    /// The original's gate.
    Gate {
        /// Whether orphans are ended, rather than counted.
        fix: bool,
    },
    /// The state of the daemon.
    Status,
    /// Every rule tried on one process.
    Explain {
        /// Which process.
        pid: Pid,
    },
    /// Records of the event log.
    Events(Query),
    /// Hold automatic reaping.
    Pause {
        /// For how long; until it is resumed, if nothing is said.
        length: Option<Duration>,
    },
    /// End a pause or a suspension.
    Resume,
    /// Never touch this.
    Keep {
        /// What.
        what: Kept,
    },
    /// Treat this like any other again.
    Unkeep {
        /// What.
        what: Kept,
    },
    /// Read the configuration again.
    Reload,
    /// How the daemon itself is.
    Doctor,
}

impl Request {
    /// The paths by which workspaces are selected in it.
    pub fn workspaces_mut(&mut self) -> Vec<&mut Vec<PathBuf>> {
        let lists = match self {
            Self::Scan { workspaces, survey } => {
                let of_survey = match survey {
                    Some(Survey::OfFix(selection)) => Some(&mut selection.workspaces),
                    Some(Survey::OfAll) | None => None,
                };
                [Some(workspaces), of_survey]
            }
            Self::Fix { selection } => [Some(&mut selection.workspaces), None],
            _ => [None, None],
        };
        let given = lists.into_iter().flatten();
        given.filter(|paths| !paths.is_empty()).collect()
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The daemon is stopping.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// No such process.
    #[error("no process has pid {0}")]
    NoSuchProcess(Pid),
    /// It was not kept.
    #[error("{0} is not kept")]
    NotKept(String),
    /// There is no room for another one.
    #[error("too much is kept already: unkeep what need not be, or keep a directory above")]
    TooManyKept,
    /// It is in force and cannot be written down.
    #[error("it is in force, but will be forgotten at a restart: {0}")]
    NotWritten(String),
    /// The new configuration cannot be used; the old one goes on.
    #[error("the configuration is kept as it was: {0}")]
    ConfigRejected(String),
    /// More of this at once than the daemon does.
    #[error("too many {0} at once: try again later")]
    TooBusy(&'static str),
    /// Something failed on the way.
    #[error("{0}")]
    Internal(String),
}

/// The answer to a request.
pub type Answer = Result<Value, Refusal>;

/// A result, in one of two shapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To be written as JSON.
    Value(Value),
    /// JSON already: a long one, which was written where nobody waits for a turn.
    Json(String),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// What whoever asks gets.
pub type Replied = Result<Reply, Refusal>;
