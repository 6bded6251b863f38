//! A private daemon: its own socket, state and configuration, ended by its own handle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{self, through};
use super::rpc::Connection;
use super::wait::wait_for;
use super::world::World;

/// A running daemon. Dropping it stops it, and shows its logs if the test is failing.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    event_log: PathBuf,
}

impl Daemon {
    /// Starts it with what [`World::configure`] wrote last, and waits until it is ready:
    /// it listens, its first scan is done, and its start is on record.
    pub(crate) fn start(world: &World) -> Self {
        Self::start_by(world, Self::command(world))
    }

    /// The same through a program that becomes it: `setpriv`, say, with its options.
    pub(crate) fn start_through(world: &World, program: &[&str]) -> Self {
        Self::start_by(world, through(program, &Self::command(world)))
    }

    /// The same, by another command.
    pub(crate) fn start_by(world: &World, command: Command) -> Self {
        let mut daemon = Self::launch(world, command);
        wait_for("the daemon has done its first scan", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended at once, {status}");
            }
            let mut connection = Connection::open(&daemon.socket).ok()?;
            let status = connection.call("status", &json!({}));
            let recorded = !world.event_log().lines().is_empty();
            (status["last_scan"].is_object() && recorded).then_some(())
        });
        daemon
    }

    /// How a test starts it.
    pub(crate) fn command(world: &World) -> Command {
        Self::command_on(world, &world.socket(), &world.state_dir())
    }

    /// The same with another socket, or another state directory.
    pub(crate) fn command_on(world: &World, socket: &Path, state_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentd"));
        world.confine(&mut command);
        command
            .arg("--socket")
            .arg(socket)
            .arg("--state-dir")
            .arg(state_dir)
            .arg("--config")
            .arg(world.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts it without waiting for anything.
    pub(crate) fn launch(world: &World, mut command: Command) -> Self {
        let log = world.path("daemon.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = command.stderr(file).spawn().expect("team-agentd starts");
        Self {
            child,
            socket: world.socket(),
            log,
            event_log: world.event_log().path,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.socket).expect("the daemon listens")
    }

    /// The result of one request on a connection of its own.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        self.connect().call(method, params)
    }

    pub(crate) fn scan(&self) -> Value {
        self.call("scan", &json!({}))
    }

    /// `fix --confirm` on everything.
    pub(crate) fn fix(&self) -> Value {
        self.call("fix", &json!({"confirm": true}))
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn ask_to_stop(&self) {
        process::signal(self.pid(), Signal::TERM);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon ends", || self.child.try_wait().unwrap())
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    /// SIGKILL: it gets no chance to say anything.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let events = fs::read_to_string(&self.event_log).unwrap_or_default();
            eprintln!("--- the daemon's log ---\n{}", self.log());
            eprintln!("--- the event log ---\n{events}---");
        }
        if let Ok(None) = self.child.try_wait() {
            // A failing test may have left a kill under way that takes its time to finish.
            if thread::panicking() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            } else {
                self.ask_to_stop();
                self.wait();
            }
        }
    }
}

/// Runs a daemon that has to give up by itself: its exit status and what it wrote to stderr.
pub(crate) fn failed_start(mut command: Command, folder: &Path) -> (ExitStatus, String) {
    let errors = folder.join("failed-start.log");
    let mut child = command
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .expect("team-agentd starts");
    let status = wait_for("the daemon gives up", || child.try_wait().unwrap());
    (status, fs::read_to_string(errors).unwrap())
}
