//! What the attacks stand on: the library in this very process, as the daemon runs it, and processes
//! on which every signal ever sent stays visible. Only to be used inside a private pid namespace.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{SigSet, Signal as Number};
use serde_json::Value;
use team_agentd::config::Config;
use team_agentd::event_log::Rotation;
use team_agentd::orphan::escalation::Outcome;
use team_agentd::orphan::event::Actor;
use team_agentd::orphan::registry::{Registry, Sighting};
use team_agentd::orphan::termination::Termination;
use team_agentd::orphan::verdict::ORPHAN_REASON_KINDS;
use team_agentd::orphan::victims::Scope;
use team_agentd::os::processes::Sweep;
use team_agentd::supervisor::journal::Journal;
use team_agentd::supervisor::scan::Scanner;
use team_agentd::supervisor::settings::Settings;
use team_agentd::supervisor::termination::{self, Orders, Wave};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// A shell that is this by its argv waits for a line, and then for ever.
const WAIT: &str = "read line; exec sleep infinity";
pub(crate) const COORDINATOR: &str = "team-agent-coordinator";

/// Waits until `condition` holds, and panics with `what` if it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain until {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// A process in which every signal is blocked: what is sent to it stays pending, for everybody to
/// see. Only SIGKILL ends it, and so does dropping this.
pub(crate) struct Watched {
    pub(crate) pid: u32,
    pub(crate) child: Child,
}

impl Watched {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).spawn().expect("a process");
        let pid = child.id();
        // A vfork returns a moment before the new program has its argv.
        wait_until("it has an argv", || !argv(pid).is_empty());
        Self { pid, child }
    }

    /// Starts it with exactly this pid, which must be free. None if something else has it for good:
    /// its group, or a thread.
    pub(crate) fn start_as(pid: u32, mut command: impl FnMut() -> Command) -> Option<Self> {
        for _ in 0..20 {
            fs::write(LAST_PID, (pid - 1).to_string()).expect("the next pid can be chosen");
            let one = Self::start(command());
            if one.pid == pid {
                return Some(one);
            }
        }
        None
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// The line that its shell waits for.
    pub(crate) fn tell(&mut self) {
        let input = self.child.stdin.as_mut().expect("its standard input");
        input.write_all(b"\n").expect("somebody who reads");
    }

    /// The signals it was sent and that did not end it, by number.
    pub(crate) fn received(&self) -> Vec<u32> {
        pending(self.pid)
    }

    pub(crate) fn has_received(&self, number: Number) -> bool {
        self.received().contains(&(number as u32))
    }

    /// Ends it and lets the process table forget it: its pid is free.
    pub(crate) fn kill_and_reap(mut self) -> u32 {
        self.child.kill().expect("a child that was not waited for");
        self.child.wait().expect("a child");
        self.pid
    }

    /// The processes it started.
    pub(crate) fn children(&self) -> Vec<u32> {
        let list = format!("/proc/{0}/task/{0}/children", self.pid);
        let list = fs::read_to_string(list).unwrap_or_default();
        let pid = |word: &str| word.parse().expect("a pid");
        list.split_whitespace().map(pid).collect()
    }

    /// Alive, and nothing was ever sent to it.
    #[track_caller]
    pub(crate) fn assert_untouched(&mut self, who: &str) {
        let pid = self.pid;
        let status = self.child.try_wait().expect("a child");
        assert!(status.is_none(), "{who}, pid {pid}, was ended: {status:?}");
        assert_eq!(self.received(), [0; 0], "{who}, pid {pid}, was signalled");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The argument vector of a process as the kernel has it; empty for one that is gone.
pub(crate) fn argv(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// Pending signals of a process and its first thread, but for SIGCHLD, which the kernel sends too.
pub(crate) fn pending(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ShdPnd:")
                .or_else(|| line.strip_prefix("SigPnd:"))
        })
        .map(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask"))
        .fold(0, |all, mask| all | mask);
    (1..=64)
        .filter(|number| mask >> (number - 1) & 1 == 1 && *number != Number::SIGCHLD as u32)
        .collect()
}

/// A record of a signal in the event log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) target: u64,
    pub(crate) orphan: u64,
    pub(crate) signal: String,
    pub(crate) workspace: String,
}

/// The daemon's inside, without a daemon: a scanner, a journal and settings, and two who must not
/// come to harm, whatever an attack does.
pub(crate) struct Ground {
    folder: TempDir,
    runtime: Runtime,
    scanner: Scanner,
    journal: Journal,
    orders: watch::Sender<Arc<Orders>>,
    pub(crate) settings: Settings,
    /// Who is taken for the daemon.
    pub(crate) own_pid: u32,
    healthy: Watched,
    stranger: Watched,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::with_blocking_threads(8)
    }

    /// One on which at most so much can be looked at at the same time.
    pub(crate) fn with_blocking_threads(limit: usize) -> Self {
        // For this thread and whatever it starts from now on.
        SigSet::all().thread_set_mask().expect("a signal mask");
        let folder = tempfile::Builder::new()
            .prefix("tad-")
            .tempdir_in("/tmp")
            .expect("a directory");
        let state = folder.path().join("state");
        fs::create_dir(&state).expect("a directory");
        let rotation = Rotation {
            rotate_bytes: u64::MAX,
            keep: 1,
        };
        let (journal, _) = Journal::start(&state, rotation);
        let mut config = Config::default();
        config.coordinator.workspace_roots = vec![folder.path().to_path_buf()];
        config.terminate.sigterm_wait = Duration::from_millis(40);
        config.terminate.sigkill_wait = PATIENCE;
        let own_uid = nix::unistd::getuid().as_raw();
        let mut settings = Settings::new(&config, &|_| None, own_uid);
        settings.reap.reasons = ORPHAN_REASON_KINDS.map(str::to_owned).to_vec();
        let home = folder.path().join("survivor");
        fs::create_dir(&home).expect("a directory");
        Self {
            // Threads take pids too: those that are there stay, and take no more.
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(limit)
                .thread_keep_alive(Duration::from_secs(3600))
                .build()
                .expect("a runtime"),
            scanner: Scanner::default(),
            journal,
            // Nobody asked for anything, and nothing is held.
            orders: watch::Sender::new(Arc::new(Orders {
                steering: Arc::default(),
                settings: Arc::new(settings.clone()),
                is_view_obstructed: false,
                demands: Vec::new(),
            })),
            settings,
            own_pid: std::process::id(),
            healthy: Watched::start(coordinator(&home)),
            stranger: Watched::start(bystander()),
            folder,
        }
    }

    /// Whether the next pid can be chosen here.
    pub(crate) fn pids_can_be_chosen() -> bool {
        fs::read_to_string(LAST_PID).is_ok_and(|last| fs::write(LAST_PID, last.trim()).is_ok())
    }

    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.settings.scope = scope;
        self
    }

    /// Where everything that may block takes its turn.
    pub(crate) fn blocking_pool(&self) -> Handle {
        self.runtime.handle().clone()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// A new directory in here.
    pub(crate) fn directory(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Every coordinator that a real scan shows, as a daemon that has just started knows it.
    pub(crate) fn scan(&self) -> Registry {
        let settings = Arc::new(self.settings.clone());
        let nothing = HashMap::new();
        let scan = self.scanner.scan(Sweep::Full, &settings, &nothing);
        let scan = self.runtime.block_on(scan).expect("a scan");
        let mut registry = Registry::default();
        registry.observe(scan.observations, &settings.ephemeral, SystemTime::now());
        registry
    }

    /// An orphan by a scan.
    #[track_caller]
    pub(crate) fn sighting_of(&self, orphan: u32) -> Sighting {
        let registry = self.scan();
        let sighting = registry.by_pid(orphan).expect("it is listed").clone();
        assert!(
            sighting.verdict.orphan_reason().is_some(),
            "{:?}",
            sighting.verdict
        );
        sighting
    }

    /// From now on this holds, also for a wave under way.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.orders
            .send_modify(|orders| change(Arc::make_mut(orders)));
    }

    /// A whole wave on these orphans, while `meanwhile` happens beside it. How each ended.
    pub(crate) fn wave<T: Send>(
        &self,
        targets: Vec<Sighting>,
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Vec<Termination>, T) {
        self.order(|orders| orders.settings = Arc::new(reaping(&self.settings)));
        let wave = Wave {
            targets,
            actor: Actor::Auto,
            own_pid: self.own_pid,
            orders: self.orders.subscribe(),
            settings: Arc::new(self.settings.clone()),
        };
        let (ended, mut ends) = mpsc::unbounded_channel();
        let run = termination::run(wave, self.scanner.clone(), self.journal.clone(), ended);
        let beside = thread::scope(|scope| {
            let beside = scope.spawn(meanwhile);
            self.runtime.block_on(run);
            beside.join()
        });
        let beside = beside.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut terminations = Vec::new();
        while let Ok(termination) = ends.try_recv() {
            terminations.push(termination);
        }
        (terminations, beside)
    }

    /// A wave on one orphan, and nothing else: how it ended.
    pub(crate) fn end(&self, target: Sighting) -> Outcome {
        let (mut ends, ()) = self.wave(vec![target], || ());
        ends.pop().expect("an end").outcome
    }

    /// Every `orphan.signal` there is.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        let log = fs::read_to_string(self.path("state/events.jsonl")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|event| event["event"] == "orphan.signal")
            .map(|event| Recorded {
                target: event["pid"].as_u64().expect("a pid"),
                orphan: event["orphan_pid"].as_u64().expect("a pid"),
                signal: event["signal"].as_str().expect("a signal").to_owned(),
                workspace: event["workspace"].as_str().unwrap_or_default().to_owned(),
            })
            .collect()
    }

    /// Starts the event log over, so that it stays short.
    pub(crate) fn forget_records(&self) {
        let log = self.path("state/events.jsonl");
        if log.exists() {
            fs::File::options()
                .write(true)
                .truncate(true)
                .open(log)
                .expect("the event log");
        }
    }

    /// To be called at the end of every attack.
    #[track_caller]
    pub(crate) fn assert_survivors_untouched(&mut self) {
        self.healthy.assert_untouched("a healthy coordinator");
        self.stranger.assert_untouched("a bystander");
    }
}

/// Nothing forbids what is under way.
fn reaping(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.reap.confirm = true;
    settings
}

/// A program that has nothing to do with coordinators, in the test's own group.
pub(crate) fn bystander() -> Command {
    let mut command = Command::new("sleep");
    command.arg("infinity");
    command
}

/// The same, leading a group of its own.
pub(crate) fn leading_bystander() -> Command {
    let mut command = bystander();
    command.process_group(0);
    command
}

/// The same, in that group.
pub(crate) fn bystander_in(group: u32) -> Command {
    let mut command = bystander();
    command.process_group(i32::try_from(group).expect("a pid"));
    command
}

/// A coordinator by its argv, leading its own group.
pub(crate) fn coordinator(workspace: &Path) -> Command {
    coordinator_that(WAIT, workspace)
}

/// One that runs this shell script instead of waiting. `$0` is `--workspace`.
pub(crate) fn coordinator_that(script: &str, workspace: &Path) -> Command {
    let mut command = Command::new("bash");
    let workspace: OsString = workspace.into();
    command
        .arg0(COORDINATOR)
        .args(["-c".into(), script.into(), "--workspace".into(), workspace])
        .process_group(0);
    command
}

/// Numbers that look random and can be had again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Below `limit`.
    pub(crate) fn throw(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
