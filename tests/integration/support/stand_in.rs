//! Real processes that look like coordinators, or only nearly so: `examples/stand_in.rs`.

use std::cell::Cell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::process;
use super::wait::wait_until;
use super::world::World;

/// The stand-in, which cargo builds with the other examples next to the tests.
pub(crate) fn stand_in_program() -> PathBuf {
    let test = env::current_exe().unwrap();
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/NAME");
    let program = target.join("examples/stand_in");
    assert!(
        program.exists(),
        "{} is not there; `cargo build --example stand_in` (with this profile) makes it, and so \
         does a plain `cargo test`",
        program.display()
    );
    program
}

/// The same, or the world's own copy of it, which other users may run too.
fn program_in(world: &World) -> PathBuf {
    let copy = world.path(COPY);
    if copy.exists() {
        copy
    } else {
        stand_in_program()
    }
}

/// Where [`World::open_to_everybody`] puts that copy.
pub(super) const COPY: &str = "stand_in";

/// A stand-in to be started.
pub(crate) struct Recipe {
    command: Command,
    name: OsString,
    ready: PathBuf,
}

impl Recipe {
    /// Anything at all: the program's name first.
    pub(crate) fn new<A: AsRef<OsStr>>(world: &World, argv: impl IntoIterator<Item = A>) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let ready = world.path(format!("ready/{number}"));
        let mut argv = argv.into_iter();
        let name = argv.next().expect("a program's name").as_ref().to_owned();
        let mut command = Command::new(program_in(world));
        world.confine(&mut command);
        command
            .arg0(&name)
            .args(argv)
            .env("STAND_IN_READY", &ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self {
            command,
            name,
            ready,
        }
    }

    /// The Python form, on `workspace`, leading its own session like the real ones.
    pub(crate) fn coordinator(world: &World, workspace: impl Into<OsString>) -> Self {
        let start = ["python3", "-m", "team_agent.coordinator", "--workspace"];
        let mut argv: Vec<OsString> = start.map(OsString::from).into();
        argv.push(workspace.into());
        Self::new(world, argv).with("SETSID", 1)
    }

    /// Sets one of the stand-in's `STAND_IN_` variables.
    pub(crate) fn with(mut self, variable: &str, value: impl ToString) -> Self {
        self.command
            .env(format!("STAND_IN_{variable}"), value.to_string());
        self
    }

    /// SIGTERM changes nothing.
    pub(crate) fn stubborn(self) -> Self {
        self.with("IGNORE_TERM", 1)
    }

    /// Lives in its workspace and writes to it, again and again.
    pub(crate) fn real(self) -> Self {
        self.with("REAL", 1).with("CHDIR", 1)
    }

    /// Keeps its files, but recreates nothing.
    pub(crate) fn real_without_ticks(self) -> Self {
        self.real().with("TICK_MS", 0)
    }

    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn with_uid(mut self, uid: u32) -> Self {
        self.command.uid(uid).gid(uid);
        self
    }

    /// Through a program that becomes it: `setpriv`, say, with its options.
    pub(crate) fn through(mut self, program: &[&str]) -> Self {
        // Such programs know no argv[0] but the file's.
        const RENAME: &str = r#"name=$1; shift; exec -a "$name" "$@""#;
        let name = self.name.to_str().expect("UTF-8");
        let program = [program, &["bash", "-c", RENAME, "bash", name]].concat();
        self.command = process::through(&program, &self.command);
        self
    }

    /// Starts it and waits until it and its children are up.
    pub(crate) fn start(mut self) -> StandIn {
        let child = self.command.spawn().expect("the stand-in starts");
        wait_until("the stand-in is up", || self.ready.exists());
        let mut pids = pids_in(&self.ready).into_iter();
        StandIn {
            pid: pids.next().expect("the stand-in's pid"),
            children: pids.collect(),
            child,
            ready: self.ready,
        }
    }
}

/// A running stand-in; gone, with its children, when this is dropped.
pub(crate) struct StandIn {
    pub(crate) pid: u32,
    pub(crate) children: Vec<u32>,
    child: Child,
    ready: PathBuf,
}

impl StandIn {
    pub(crate) fn is_alive(&self) -> bool {
        process::is_alive(self.pid)
    }

    pub(crate) fn has_exited(&self) -> bool {
        process::has_exited(self.pid)
    }

    /// Whether it and all the children it started with have exited.
    pub(crate) fn has_exited_with_children(&self) -> bool {
        self.has_exited() && self.children.iter().all(|pid| process::has_exited(*pid))
    }

    /// Ends it, whatever it blocks or ignores, and lets the process table forget it.
    pub(crate) fn kill_and_reap(&mut self) {
        self.child.kill().unwrap();
        self.reap();
    }

    /// Lets the process table forget it, once it has exited.
    pub(crate) fn reap(&mut self) {
        self.child.wait().unwrap();
    }

    /// The child that `CHILD_ON_TERM` started, once it is up.
    pub(crate) fn late_child(&self) -> Option<u32> {
        self.late_family().first().copied()
    }

    fn late_family(&self) -> Vec<u32> {
        let mut report = self.ready.clone().into_os_string();
        report.push(".late");
        pids_in(Path::new(&report))
    }
}

/// The pids that a stand-in reports: its own first. None if it is not up yet.
fn pids_in(report: &Path) -> Vec<u32> {
    let report = fs::read_to_string(report).unwrap_or_default();
    let pid = |line: &str| line.parse().expect("a pid");
    report.lines().map(pid).collect()
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let late = self.late_family();
        for pid in [self.pid].iter().chain(&self.children).chain(&late) {
            process::kill_if_there(*pid);
        }
        let _ = self.child.wait();
    }
}

/// A process that only looks like a coordinator, or not even that.
pub(crate) fn lookalike(world: &World, argv: &[&str]) -> StandIn {
    Recipe::new(world, argv).start()
}

/// `rm -rf`, for a directory into which a coordinator keeps writing.
pub(crate) fn delete_workspace(workspace: &Path) {
    wait_until("the workspace can be deleted", || {
        fs::remove_dir_all(workspace).is_ok() || !workspace.exists()
    });
}

/// Waits until the first tick after a deletion or a move.
pub(crate) fn wait_until_made_again(workspace: &Path) {
    let state = workspace.join(".team/runtime/state.json");
    wait_until("the coordinator makes its workspace again", || {
        state.exists()
    });
}

/// Who must not come to harm, whatever a test does: a healthy coordinator with a child, and a
/// stranger that shares the test's own process group.
pub(crate) struct Survivors {
    coordinator: StandIn,
    stranger: StandIn,
    asserted: Cell<bool>,
}

impl Survivors {
    pub(super) fn start(world: &World) -> Self {
        Self {
            coordinator: world.healthy("survivor").real().with("CHILDREN", 1).start(),
            stranger: lookalike(world, &["sleep", "infinity"]),
            asserted: Cell::new(false),
        }
    }

    /// The pid of the healthy coordinator.
    pub(crate) fn coordinator(&self) -> u32 {
        self.coordinator.pid
    }

    /// To be called at the end of every test that has survivors.
    pub(crate) fn assert_alive(&self) {
        self.asserted.set(true);
        for pid in [
            &self.coordinator.children[..],
            &[self.coordinator.pid, self.stranger.pid],
        ]
        .concat()
        {
            assert!(
                process::is_alive(pid),
                "an innocent bystander has died: {pid}"
            );
        }
    }
}

impl Drop for Survivors {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert!(
                self.asserted.get(),
                "a test has survivors and did not look after them"
            );
        }
    }
}
