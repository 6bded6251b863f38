//! Who takes part: coordinators of many kinds, and bystanders. What is true of each stands here; what
//! follows from it for the daemon is the model's.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Result, has_exited, wait_until};

/// Microseconds since the epoch, as in the event log.
pub(crate) type Micros = i64;

pub(crate) fn now() -> Micros {
    jiff::Timestamp::now().as_microsecond()
}

pub(crate) fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX)
}

/// What became of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It is where it was, or is there again.
    Healthy,
    /// Deleted: its process has to be ended.
    Orphan,
    /// Deleted in a way that nothing proves for sure: its process may be ended.
    Undecided,
    Moved,
    Trashed,
    /// Its volume was unmounted, and may have been mounted again since.
    Unmounted,
    /// It only has a name like a test suite's.
    TestSuite,
    /// The process is no coordinator, or none that the daemon is to look at.
    Bystander,
}

/// How one is started.
#[derive(Clone, Default)]
pub(crate) struct Role {
    /// The whole command line, where it is not that of a coordinator.
    pub(crate) argv: Option<Vec<String>>,
    /// Writes a pid file and a log, and lives in its workspace.
    pub(crate) is_real: bool,
    /// Makes its workspace again, so often (ms).
    pub(crate) tick: Option<u64>,
    /// Lives in its workspace without writing there.
    pub(crate) has_cwd: bool,
    pub(crate) is_stubborn: bool,
    pub(crate) children: usize,
    /// Is in the bench's own group, instead of leading one.
    pub(crate) is_follower: bool,
    /// Comes again and again.
    pub(crate) is_respawned: bool,
}

pub(crate) struct Member {
    pub(crate) pid: Pid,
    pub(crate) has_exited: bool,
}

/// One process, with the children it started with.
pub(crate) struct Actor {
    pub(crate) number: usize,
    pub(crate) pid: Pid,
    pub(crate) children: Vec<Member>,
    pub(crate) role: Role,
    pub(crate) workspace: PathBuf,
    pub(crate) is_on_volume: bool,
    pub(crate) started_at: Micros,
    process: Child,
    ready: PathBuf,

    pub(crate) truth: Truth,
    /// When what made it true began.
    pub(crate) since: Micros,
    /// Where the workspace is, if it was moved or thrown away.
    pub(crate) elsewhere: Option<PathBuf>,
    /// Ever since it could have been an orphan for the daemon.
    pub(crate) was_orphan: bool,
    /// What the daemon was told to keep.
    pub(crate) kept: Option<Value>,
    /// When it may be signalled automatically.
    pub(crate) windows: Vec<(Micros, Option<Micros>)>,
    /// Since when it may be signalled because somebody asked for that.
    pub(crate) asked_at: Option<Micros>,
    /// For how long, and for how many scans, it could have been ended and was not.
    pub(crate) waited: Duration,
    pub(crate) scans_waited: u64,
    /// Nothing has held its end back.
    pub(crate) is_undisturbed: bool,

    /// Of the daemon's records: in the life of the present one …
    pub(crate) is_detected: bool,
    /// … and since the last outcome.
    pub(crate) signalled: Vec<(Pid, String)>,
    /// Everybody whom a record of a signal has ever named.
    pub(crate) named: Vec<Pid>,
    /// A record says how it ended, or that a crash cut its end off.
    pub(crate) has_outcome: bool,

    pub(crate) exited_at: Option<Micros>,
    /// The bench itself ended it.
    pub(crate) is_dismissed: bool,
}

impl Actor {
    /// Starts one and waits until it and its children are up.
    pub(crate) fn start(
        programs: &Path,
        folder: &Path,
        (number, ttl_s): (usize, u32),
        workspace: PathBuf,
        truth: Truth,
        role: Role,
    ) -> Result<Self> {
        let ready = folder.join(format!("ready/{number}"));
        let mut command = Command::new(programs.join("examples/stand_in"));
        match &role.argv {
            Some(argv) => {
                command.arg0(&argv[0]).args(&argv[1..]);
                command.env("STAND_IN_WORKSPACE", &workspace);
            }
            None => {
                command
                    .arg0("python3")
                    .args(["-m", "team_agent.coordinator", "--workspace"])
                    .arg(&workspace);
            }
        }
        let on = |is_on: bool| if is_on { "1" } else { "0" };
        let tick = role.tick.unwrap_or(0).to_string();
        for (name, value) in [
            ("TTL", ttl_s.to_string().as_str()),
            ("TELL_TERM", "1"),
            ("REAL", on(role.is_real)),
            ("CHDIR", on(role.is_real || role.has_cwd)),
            ("TICK_MS", &tick),
            ("IGNORE_TERM", on(role.is_stubborn)),
            ("SETSID", on(!role.is_follower)),
            ("CHILDREN", &role.children.to_string()),
        ] {
            command.env(format!("STAND_IN_{name}"), value);
        }
        let process = command
            .env("STAND_IN_READY", &ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        wait_until("a stand-in is up", || ready.exists())?;
        let report = fs::read_to_string(&ready)?;
        let mut pids = report
            .lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?));
        let at = now();
        Ok(Self {
            number,
            pid: pids.next().ok_or("a stand-in without a pid")?,
            children: pids
                .map(|pid| Member {
                    pid,
                    has_exited: false,
                })
                .collect(),
            role,
            workspace,
            is_on_volume: false,
            started_at: at,
            process,
            ready,
            truth,
            since: at,
            elsewhere: None,
            was_orphan: truth == Truth::TestSuite,
            kept: None,
            windows: Vec::new(),
            asked_at: None,
            waited: Duration::ZERO,
            scans_waited: 0,
            is_undisturbed: true,
            is_detected: false,
            signalled: Vec::new(),
            named: Vec::new(),
            has_outcome: false,
            exited_at: None,
            is_dismissed: false,
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.exited_at.is_none()
    }

    pub(crate) fn is_coordinator(&self) -> bool {
        self.truth != Truth::Bystander
    }

    /// Looks whether it has exited, and lets the process table forget it. Gives who ended, newly.
    pub(crate) fn look(&mut self) -> Result<Vec<Pid>> {
        let mut ended = Vec::new();
        if self.exited_at.is_none() && self.process.try_wait()?.is_some() {
            self.exited_at = Some(now());
            ended.push(self.pid);
        }
        for child in &mut self.children {
            if !child.has_exited && has_exited(child.pid) {
                child.has_exited = true;
                ended.push(child.pid);
            }
        }
        Ok(ended)
    }

    /// Ends it, children and all, as its owner would.
    pub(crate) fn dismiss(&mut self) {
        self.is_dismissed = true;
        // Those that have exited meanwhile are zombies or gone; no pid comes round so soon.
        for child in self.children.iter().filter(|child| !child.has_exited) {
            let _ = kill_process(child.pid, Signal::KILL);
        }
        if self.exited_at.is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }

    /// Whether it, or a child, has ever been sent a SIGTERM.
    pub(crate) fn has_seen_sigterm(&self) -> bool {
        let mut marks = vec![format!("{}.term", self.ready.display())];
        for number in 0..self.children.len() {
            marks.push(format!("{}.{number}.term", self.ready.display()));
        }
        marks.iter().any(|mark| Path::new(mark).exists())
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        let role = &self.role;
        let mut words = vec![format!(
            "{:?} {} (pid {}",
            self.truth, self.number, self.pid
        )];
        let traits = [
            (role.is_real, "real"),
            (role.tick.is_some(), "ticks"),
            (role.has_cwd, "cwd"),
            (role.is_stubborn, "stubborn"),
            (role.is_follower, "follower"),
            (role.is_respawned, "respawned"),
            (self.is_on_volume, "volume"),
            (self.kept.is_some(), "kept"),
            (self.is_dismissed, "dismissed"),
        ];
        words.extend(
            traits
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, word)| (*word).to_owned()),
        );
        let workspace = self.workspace.display();
        let (since, windows) = (self.since, &self.windows);
        format!(
            "{}, {workspace}, since {since}, may go in {windows:?})",
            words.join(", ")
        )
    }
}

/// A process that never sees this again: the bench's own children are waited for, so that none stays
/// as a zombie.
impl Drop for Actor {
    fn drop(&mut self) {
        self.dismiss();
        let _ = self.process.wait();
    }
}
