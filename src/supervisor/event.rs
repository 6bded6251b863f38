//! What happens to the supervisor, and what it wants done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::checkup::Running;
use super::request::{Answer, Peer, Refusal, Request};
use super::selection::Stranger;
use super::settings::Settings;
use super::termination::Wave;
use crate::config::Config;
use crate::event_log::Query;
use crate::orphan::event::Event as Fact;
use crate::orphan::evidence::FileId;
use crate::orphan::memory::Memory;
use crate::orphan::policy::Standing;
use crate::orphan::policy::respawn::Respawn;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::{Observation, Sighting, Unread};
use crate::orphan::steering::{Kept, Steering};
use crate::orphan::termination::Termination;
use crate::orphan::victims::Lineage;
use crate::orphan::view::Obstacle;
use crate::os::processes::Sweep;

/// Names one request until it is answered.
pub type Ticket = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// It is time for a scan.
    Tick,
    /// A scan ended.
    Scanned {
        /// What it saw, or why it saw nothing.
        observations: Result<Vec<Observation>, String>,
        /// What it showed beside them.
        around: Around,
        /// How long it took.
        took: Duration,
    },
    /// This very directory was deleted: the kernel said so, as it happened.
    Deleted(FileId),
    /// The workspaces of these may have gone.
    Touched(Vec<ProcessIdentity>),
    /// This coordinator has exited.
    Exited(ProcessIdentity),
    /// Some were looked at between two scans; of whom nothing is in here, nothing was found out.
    Looked(Vec<Observation>),
    /// Somebody asks.
    Asked {
        /// For the answer.
        ticket: Ticket,
        /// Who.
        peer: Peer,
        /// What.
        request: Request,
    },
    /// Who those are that a fix named and the scan did not show.
    LookedUp {
        /// The fix.
        ticket: Ticket,
        /// Each of them.
        strangers: Vec<Stranger>,
    },
    /// What is to be kept, or not any more, was looked up.
    Identified {
        /// For the answer.
        ticket: Ticket,
        /// What was asked for.
        what: Kept,
        /// Whether it is to be kept.
        is_kept: bool,
        /// What that is; an error if it cannot be told.
        found: Result<Found, Refusal>,
    },
    /// What the owner said is kept over a restart, or cannot be.
    Kept {
        /// Who waits for it and with what it is answered, if somebody does.
        answer: Option<(Ticket, Value)>,
        /// What went wrong, if anything did.
        result: Result<(), String>,
    },
    /// It is somebody else's turn no longer: go on with what [`Effect::GoOn`] left.
    GoOn,
    /// The event log, which could not be written, can be again.
    AuditIsBack,
    /// The owner's signal to read the configuration again.
    ReloadAsked,
    /// The configuration was read again.
    Reloaded {
        /// Who asked, if it was a peer.
        ticket: Option<Ticket>,
        /// What it says, or what is wrong with it.
        result: Result<Box<Loaded>, String>,
    },
    /// One orphan's termination ended.
    Ended(Box<Termination>),
    /// The daemon is to stop.
    Stop {
        /// Why.
        cause: String,
    },
}

impl Event {
    /// Whether the state may be another one after this: what merely asks, or begins something of which
    /// the end is told, changes nothing yet.
    pub(super) fn may_change_the_state(&self) -> bool {
        match self {
            Self::Tick | Self::ReloadAsked | Self::GoOn => false,
            Self::Asked { request, .. } => {
                matches!(request, Request::Pause { .. } | Request::Resume)
            }
            // Who is looked at for that is told of when it was.
            Self::Deleted(_) | Self::Touched(_) | Self::LookedUp { .. } => false,
            Self::Scanned { .. }
            | Self::Looked(_)
            | Self::Exited(_)
            | Self::Identified { .. }
            | Self::Kept { .. }
            | Self::AuditIsBack
            | Self::Reloaded { .. }
            | Self::Ended(_)
            | Self::Stop { .. } => true,
        }
    }
}

/// Something that has to be done.
#[derive(Debug)]
pub enum Effect {
    /// Scan now; the answer is [`Event::Scanned`].
    Scan {
        /// Of whom.
        sweep: Sweep,
        /// What earlier scans left behind.
        memories: HashMap<ProcessIdentity, Memory>,
        /// Processes that are kept as long as they live.
        kept: Vec<ProcessIdentity>,
        /// Paths below which nobody is touched, wherever they lead by now.
        untouchable: Vec<PathBuf>,
    },
    /// Look at these alone; the answer is [`Event::Looked`].
    Look(Vec<(ProcessIdentity, Memory)>),
    /// Let others have their turn, and then go on, with [`Event::GoOn`].
    GoOn,
    /// Start ending orphans; each answers with [`Event::Ended`].
    Terminate(Wave),
    /// Write down what happened.
    Record(Vec<Fact>),
    /// Answer a request.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// With what.
        answer: Answer,
    },
    /// Look at one process and answer with what was found.
    Explain {
        /// Whose answer.
        ticket: Ticket,
        /// Which process.
        pid: Pid,
        /// What is known of it.
        known: Option<Box<Sighting>>,
        /// Where that one stands with automatic reaping.
        standing: Option<Standing>,
        /// What the owner said.
        steering: Arc<Steering>,
    },
    /// Look up who would end with each of these orphans and answer with the scan that showed them.
    Survey {
        /// Whose answer.
        ticket: Ticket,
        /// That scan's result.
        scan: Value,
        /// The orphans in it that would be ended.
        orphans: Vec<Sighting>,
        /// Those that would be spared, and why, in a stable word.
        spared: Vec<(Pid, String)>,
        /// Whoever asks, with all that is above them: protected, like the daemon.
        lineage: Arc<Lineage>,
        /// The daemon's own pid.
        own_pid: Pid,
        /// What the owner said.
        steering: Arc<Steering>,
    },
    /// Look up who those are that a fix names and the scan does not show; the answer is [`Event::LookedUp`].
    LookUp {
        /// The fix.
        ticket: Ticket,
        /// Their pids.
        pids: BTreeSet<Pid>,
    },
    /// Look up which process has a pid, or where a path leads; the answer is [`Event::Identified`].
    Identify {
        /// For the answer.
        ticket: Ticket,
        /// What.
        what: Kept,
        /// Whether it is to be kept.
        is_kept: bool,
    },
    /// Keep what the owner said over a restart, and only then answer.
    Keep {
        /// All of it.
        steering: Arc<Steering>,
        /// Whose answer, if somebody waits, and which.
        answer: Option<(Ticket, Value)>,
    },
    /// Find out whether the event log can be written again: [`Event::AuditIsBack`].
    TryAudit,
    /// Say what the daemon cannot see, which has changed.
    SayView(Vec<Obstacle>),
    /// Say that something starts coordinators again and again.
    SayRespawn {
        /// On which workspace.
        workspace: PathBuf,
        /// What is known of it.
        respawn: Respawn,
    },
    /// Read the event log and answer.
    ReadEvents {
        /// Whose answer.
        ticket: Ticket,
        /// Which records.
        query: Query,
    },
    /// Look at everything that the daemon stands on, and answer with how it is.
    CheckUp {
        /// Whose answer.
        ticket: Ticket,
        /// What only the dispatcher knows.
        running: Box<Running>,
    },
    /// Read the configuration; the answer is [`Event::Reloaded`].
    LoadConfig {
        /// Who asked, if it was a peer.
        ticket: Option<Ticket>,
    },
    /// From now on use these.
    Use(Box<Loaded>),
    /// The same, and more is protected.
    Protect(Arc<Settings>),
    /// The first scan that gave a result is done.
    Ready,
    /// Nothing is under way any more: leave.
    Exit,
}

/// What is kept, as it is compared later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly this process.
    Process(ProcessIdentity),
    /// A path.
    Path {
        /// As it was written, without detours.
        name: PathBuf,
        /// Where it leads.
        leads_to: Vec<PathBuf>,
    },
}

/// What a scan shows beside the coordinators.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// What hides processes or paths from the daemon, if that could be found out.
    pub obstacles: Option<Vec<Obstacle>>,
    /// Which kept processes have ended.
    pub ended: Vec<ProcessIdentity>,
    /// The daemon and all that is above it, if that was looked at.
    pub own: Option<Lineage>,
    /// Where paths lead below which nobody is touched, as far as that was found out.
    pub followed: Option<Followed>,
    /// Who could not be read: coordinators that were known, and whoever hangs, whatever it is.
    pub unread: Vec<Unread>,
}

/// Paths that were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Which.
    pub names: BTreeSet<PathBuf>,
    /// Where they lead, those that lead elsewhere.
    pub leads: BTreeMap<PathBuf, PathBuf>,
}

/// A configuration, ready for use.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For scans and terminations.
    pub settings: Arc<Settings>,
    /// How often to scan.
    pub interval: Duration,
    /// Where it came from.
    pub file: Option<PathBuf>,
    /// All that it says.
    pub config: Arc<Config>,
}
