//! The configuration in force, the program that runs, its scans, and what it ends by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Check, Span, Standpoint, quoted};
use crate::orphan::process::Pid;

/// What reading the configuration again gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reread {
    /// What is in force.
    Same,
    /// Something else.
    Changed,
    /// The same but for these sections, which hold from the next start on.
    NeedsRestart(Vec<&'static str>),
    /// Nothing that could be used: which line and key, and why.
    Broken(String),
}

/// What is known of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The file that was read; none if the built-in defaults hold.
    pub in_force: Option<PathBuf>,
    /// The file that would be read now.
    pub now: Option<PathBuf>,
    /// What it says.
    pub reread: Reread,
}

/// Whether what is in force is what the file says.
#[must_use]
pub fn configuration(found: &Configuration, standpoint: Standpoint) -> Check {
    const CONFIGURATION: &str = "configuration";
    const RELOAD: &str = "team-agentctl reload";
    let name = |file: Option<&Path>| match file {
        Some(file) => file.display().to_string(),
        None => "no file: the built-in defaults".to_owned(),
    };
    let file = name(found.in_force.as_deref());
    let mend = || match &found.now {
        Some(now) => format!("mend it: team-agentctl config check {}", quoted(now)),
        None => "mend it: team-agentctl config check".to_owned(),
    };
    match &found.reread {
        Reread::Broken(problem) if standpoint == Standpoint::Client => Check::problem(
            CONFIGURATION,
            format!(
                "no daemon starts with it, and no fix works: {}",
                in_a_line(problem)
            ),
            mend(),
        ),
        // What runs goes on as it was: it is the next start that fails.
        Reread::Broken(problem) => Check::warning(
            CONFIGURATION,
            format!(
                "what was read before holds, but the file is wrong now, and a restart would fail: {}",
                in_a_line(problem)
            ),
            format!("{}; then: {RELOAD}", mend()),
        ),
        _ if found.in_force != found.now => Check::warning(
            CONFIGURATION,
            format!(
                "in force is {file}, but now it would be {}",
                name(found.now.as_deref())
            ),
            RELOAD,
        ),
        Reread::Changed => Check::warning(
            CONFIGURATION,
            format!("{file} has changed since it was read"),
            RELOAD,
        ),
        Reread::NeedsRestart(sections) => Check::warning(
            CONFIGURATION,
            format!(
                "{file}: what it says in {} holds from the next start on",
                sections.join(" and ")
            ),
            "restart the daemon",
        ),
        Reread::Same if standpoint == Standpoint::Client => {
            Check::ok(CONFIGURATION, format!("{file}; nothing is wrong with it"))
        }
        Reread::Same => Check::ok(CONFIGURATION, format!("{file}, as it was read")),
    }
}

/// A list of problems, one a line, in one line.
fn in_a_line(problem: &str) -> String {
    problem.lines().collect::<Vec<_>>().join("; ")
}

/// Whether the program on disk is the one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// It is.
    Same,
    /// Another one is in its place.
    Replaced,
    /// Nothing is in its place.
    Removed,
    /// That cannot be told.
    Unknown,
}

/// Whether the daemon, of version `own`, runs what is installed.
#[must_use]
pub fn version(own: &str, program: Program) -> Check {
    const VERSION: &str = "version";
    const RESTART: &str =
        "restart the daemon (team-agentctl service install does that for the service)";
    match program {
        Program::Same => Check::ok(VERSION, format!("team-agentd {own}, as it is on disk")),
        Program::Unknown => Check::ok(
            VERSION,
            format!("team-agentd {own}; whether that is what is on disk cannot be told"),
        ),
        Program::Replaced => Check::warning(
            VERSION,
            format!("team-agentd {own} was replaced on disk since it started"),
            RESTART,
        ),
        Program::Removed => Check::warning(
            VERSION,
            format!("team-agentd {own} was removed from the disk: it cannot be started again"),
            "install it again, and restart it; or stop it",
        ),
    }
}

/// Whether somebody starts the daemon again when it ends; `manager` is who.
#[must_use]
pub fn service(manager: Option<&str>, watchdog: Option<Duration>) -> Check {
    const SERVICE: &str = "service";
    match (manager, watchdog) {
        (Some(manager), Some(watchdog)) => Check::ok(
            SERVICE,
            format!(
                "run by {manager}, which restarts it after {} without a sign of life",
                Span(watchdog)
            ),
        ),
        (Some(manager), None) => Check::ok(SERVICE, format!("run by {manager}")),
        // Whoever runs it by hand means to.
        (None, _) => Check::ok(
            SERVICE,
            "run by hand: nobody starts it again (team-agentctl service install has that done)",
        ),
    }
}

/// What is known of the scans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scans {
    /// How long ago the last one ended that gave a result.
    pub last: Option<Duration>,
    /// How often there is to be one.
    pub interval: Duration,
    /// How long the last one took.
    pub took: Duration,
    /// How much later than planned it began.
    pub lag: Duration,
    /// No scan has given a result for too long.
    pub is_stalled: bool,
    /// Why the newest one gave none.
    pub problem: Option<String>,
    /// How many gave a result.
    pub done: u64,
    /// And how many did not.
    pub failed: u64,
    /// What hangs.
    pub hanging: Hanging,
}

/// Looks that have had no answer for too long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hanging {
    /// How many at single workspaces.
    pub workspaces: usize,
    /// The processes whose arguments cannot be read.
    pub processes: BTreeSet<Pid>,
}

/// Whether somebody looks.
#[must_use]
pub fn scans(scans: &Scans) -> Check {
    const SCANS: &str = "scans";
    let last = match scans.last {
        Some(last) => format!("the last one ended {} ago", Span(last)),
        None => "none has given a result yet".to_owned(),
    };
    let every = format!("one every {}", Span(scans.interval));
    if let Some(problem) = &scans.problem {
        return Check::problem(
            SCANS,
            format!("the newest one saw nothing: {problem}; {last}"),
            "see the daemon's log; if descriptors or memory are short, give it more",
        );
    }
    if scans.is_stalled {
        return Check::problem(
            SCANS,
            format!("{last}, and there was to be {every}"),
            "something it looks at hangs: see the daemon's log, and restart it if it does not recover",
        );
    }
    let unread = &scans.hanging.processes;
    if let Some(one) = unread.first() {
        let others = match unread.len() {
            1 => String::new(),
            many => format!(" (and of {} more)", many - 1),
        };
        return Check::warning(
            SCANS,
            format!(
                "{last}, but nobody can read the arguments of process {one}{others}, which waits for a disk with its \
                 memory map locked: nothing is known of it, coordinator or not"
            ),
            "see to the disk, or to the network mount, that it waits for",
        );
    }
    if scans.hanging.workspaces > 0 {
        return Check::warning(
            SCANS,
            format!(
                "{last}, but {} looks at single workspaces hang: while they do, those, and some of the others on the same \
                 disks, are not judged",
                scans.hanging.workspaces
            ),
            "team-agentctl scan names them (workspace_timeout): see to the disk, or to the network mount",
        );
    }
    let is_slow = scans.took > scans.interval;
    // Who sets no wall clock measures a late timer by scheduling, not by time set.
    if is_slow || scans.lag > scans.interval.max(Duration::from_secs(1)) {
        return Check::warning(
            SCANS,
            format!(
                "{every} was to be, but the last one took {} and began {} late",
                Span(scans.took),
                Span(scans.lag)
            ),
            "raise scan.interval, or lower scan.probe_timeout if workspaces do not answer",
        );
    }
    let failed = match scans.failed {
        0 => String::new(),
        failed => format!("; {failed} of {} gave no result", failed + scans.done),
    };
    Check::ok(
        SCANS,
        format!("{every}; {last}, and took {}{failed}", Span(scans.took)),
    )
}

/// Whether automatic reaping is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pausing {
    /// It is not.
    #[default]
    Not,
    /// For so long from now on.
    For(Duration),
    /// Until somebody resumes it.
    Endless,
}

/// What is known of automatic reaping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaping {
    /// Whether the configuration allows it.
    pub confirm: bool,
    /// Whether it is paused.
    pub paused: Pausing,
    /// Why it suspended itself, if it did.
    pub suspended: Option<String>,
    /// What was kept is not known any more.
    pub are_keeps_unknown: bool,
    /// The daemon does not see everything.
    pub is_view_obstructed: bool,
    /// The event log could not be written.
    pub is_audit_lost: bool,
    /// Whether what the owner said last could not be written down.
    pub is_steering_owed: bool,
    /// On how many workspaces something starts coordinators again and again.
    pub respawning: usize,
}

/// What the daemon ends by itself, and what keeps it from that.
#[must_use]
pub fn reaping(found: &Reaping) -> Check {
    const REAPING: &str = "reaping";
    const RESUME: &str = "when that is put right: team-agentctl resume";
    if found.are_keeps_unknown {
        return Check::problem(
            REAPING,
            "what was kept or paused cannot be read any more (steering.json): nothing is ended, not even on request",
            "keep again what is to be kept; then: team-agentctl resume",
        );
    }
    if found.is_steering_owed {
        return Check::problem(
            REAPING,
            "what was kept, paused or resumed last is in force, but cannot be written down (steering.json): a restart forgets it",
            "see what is in the way in the state directory: it is tried again with each scan",
        );
    }
    if let Some(why) = &found.suspended {
        return Check::warning(REAPING, format!("suspended itself: {why}"), RESUME);
    }
    if !found.confirm {
        return Check::ok(
            REAPING,
            "off: orphans are ended on request only (reap.confirm is false)",
        );
    }
    if found.is_view_obstructed || found.is_audit_lost {
        let why = match found.is_audit_lost {
            true => "the event log cannot be written",
            false => "not everything is seen from here",
        };
        return Check::warning(REAPING, format!("on, but held: {why}"), "see that check");
    }
    match found.paused {
        Pausing::Endless => {
            return Check::warning(
                REAPING,
                "on, but paused until somebody resumes it",
                "team-agentctl resume",
            );
        }
        Pausing::For(left) => {
            return Check::ok(
                REAPING,
                format!("on, and paused for another {}", Span(left)),
            );
        }
        Pausing::Not => {}
    }
    if found.respawning > 0 {
        return Check::warning(
            REAPING,
            format!(
                "on, but on {} workspace{} something starts coordinators again and again",
                found.respawning,
                if found.respawning == 1 { "" } else { "s" }
            ),
            "team-agentctl status says who starts them: stop it there",
        );
    }
    Check::ok(
        REAPING,
        "on: orphans are ended when patience with them is over",
    )
}
