//! `events --follow`: the event log as it grows.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, World, ctl_command, in_private_pid_namespace, signal, wait_until,
};

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that follows.
struct Follower {
    child: Child,
    lines: Receiver<String>,
    errors: std::path::PathBuf,
}

impl Follower {
    /// Starts it, with `--json`.
    fn start(world: &World, more: &[&str]) -> Self {
        let arguments = ["--json", "events", "--follow"].iter().chain(more);
        Self::spawn(world, ctl_command(world, arguments))
    }

    fn spawn(world: &World, mut command: Command) -> Self {
        let errors = world.path("follower.log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .expect("team-agentctl starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = channel();
        thread::spawn(move || {
            for text in output.lines().map_while(Result::ok) {
                // A test that has ended does not listen any more.
                let _ = line.send(text);
            }
        });
        Self {
            child,
            lines,
            errors,
        }
    }

    /// The next event.
    fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_default();
        serde_json::from_str(&line).unwrap_or_else(|error| {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            panic!("no event ({error}): {line:?}\n{errors}")
        })
    }

    /// Everything up to the first event that fits.
    fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next();
            events.push(event);
            if events.last().is_some_and(&fits) {
                return events;
            }
        }
    }

    /// What it said beside them.
    fn said(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap()
    }

    /// Ends it, and gives whatever it had printed by then. Not by SIGINT: where the tests run in the
    /// background, that is ignored from the beginning.
    fn interrupt(mut self) -> String {
        signal(self.child.id(), Signal::TERM);
        let mut rest = String::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest += &line;
        }
        self.child.wait().unwrap();
        rest
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reload(daemon: &Daemon) {
    daemon.call("reload", &json!({}));
}

#[test]
fn the_last_events_are_printed_and_then_each_as_it_happens() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        for _ in 0..5 {
            reload(&daemon);
        }
        let before = world.event_log().events();
        let mut follower = Follower::start(&world, &["--limit", "2"]);
        let first = [follower.next(), follower.next()];
        assert_eq!(first, before[before.len() - 2..]);
        let orphan = world.orphan("gone").start();
        daemon.fix();
        assert!(orphan.has_exited());
        let told = follower.until(|event| event["event"] == "orphan.killed");
        let logged = world.event_log().events();
        assert_eq!(told, logged[before.len()..]);
        assert_eq!(follower.said(), "");
        assert_eq!(follower.interrupt(), "");
        survivors.assert_alive();
    });
}

#[test]
fn only_what_was_asked_for_is_followed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let one = world.orphan("gone-one").start();
        let other = world.orphan("gone-other").start();
        let mut follower = Follower::start(&world, &["--pid", &other.pid.to_string()]);
        daemon.fix();
        assert!(one.has_exited() && other.has_exited());
        let told = follower.until(|event| event["event"] == "orphan.killed");
        assert!(told.len() >= 3, "{told:#?}");
        for event in told {
            assert_eq!(event["pid"], other.pid);
        }
    });
}

#[test]
fn nothing_is_lost_or_doubled_when_the_daemon_is_another_one_by_now() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // Rotated meanwhile, too.
        let small = Settings::default().with("[events]\nrotate_bytes = 4096\nkeep = 100");
        let mut daemon = world.daemon_with(&small);
        let mut follower = Follower::start(&world, &["--limit", "1"]);
        let mut told = follower.until(|event| event["event"] == "daemon.started");
        let mut restarts = 0;
        for round in 0..3 {
            for _ in 0..3 {
                reload(&daemon);
            }
            // Killed, or asked to stop: what happens while nobody tells is found afterwards.
            if round % 2 == 0 {
                daemon.crash();
            } else {
                assert!(daemon.stop().success());
            }
            restarts += 1;
            daemon = Daemon::start(&world);
            for _ in 0..150 {
                reload(&daemon);
            }
        }
        world.configure(&Settings::default().with("[the.end]"));
        daemon.connect().refusal("reload", &json!({}));
        told.extend(follower.until(|event| event["event"] == "config.rejected"));

        let all = world.ctl(["--json", "events", "--all", "--limit", "100000"]);
        let all = all.json_with(0);
        let logged = all["events"].as_array().unwrap();
        assert!(logged.len() > 450);
        assert!(told == *logged, "{told:#?}\n{logged:#?}");
        let said = follower.said();
        // It may have missed that there was one in between, but not what that one did.
        assert!((1..=restarts).contains(&said.lines().count()), "{said}");
        assert!(said.contains("the daemon is gone"), "{said}");
    });
}

#[test]
fn however_much_happened_while_nobody_told_all_of_it_is_printed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut follower = Follower::start(&world, &["--limit", "1"]);
        follower.until(|event| event["event"] == "daemon.started");
        daemon.crash();
        // More than one answer has room for.
        const MANY: usize = 12_000;
        let log = world.state_dir().join("events.jsonl");
        let log = File::options().append(true).open(log);
        let mut log = BufWriter::new(log.unwrap());
        let space = "x".repeat(400);
        for number in 0..MANY {
            writeln!(
                log,
                "{{\"event\": \"made.up\", \"number\": {number}, \"space\": \"{space}\"}}"
            )
            .unwrap();
        }
        log.flush().unwrap();
        let _daemon = Daemon::start(&world);
        let told = follower.until(|event| event["event"] == "daemon.started");
        let numbers = told.iter().filter_map(|event| event["number"].as_u64());
        assert!(numbers.eq(0..MANY as u64), "{} of them", told.len());
    });
}

#[test]
fn the_daemon_that_was_found_first_is_the_one_that_is_waited_for() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut daemon = world.daemon();
        let usual = |below: &str| world.directory(below).join("control.sock");
        let found = usual("xdg-runtime/team-agentd");
        std::os::unix::fs::symlink(world.socket(), found).unwrap();
        // Somebody else listens at the place that comes after that one.
        let other = usual("home/.local/state/team-agentd");
        let other = std::os::unix::net::UnixListener::bind(other).unwrap();
        other.set_nonblocking(true).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
        world.confine(&mut command);
        command.args(["--json", "events", "--follow", "--limit", "1"]);
        let mut follower = Follower::spawn(&world, command);
        follower.until(|event| event["event"] == "daemon.started");
        daemon.crash();
        wait_until("it has noticed", || {
            follower.said().contains("the daemon is gone")
        });
        daemon = Daemon::start(&world);
        follower.until(|event| event["event"] == "daemon.started");
        let asked = other.accept().unwrap_err().kind();
        assert_eq!(asked, std::io::ErrorKind::WouldBlock);
        drop(daemon);
    });
}

/// One that has printed its first line, and the end that reads on.
fn begun(world: &World, errors: &Path) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = ctl_command(world, ["events", "--follow", "--limit", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(errors).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (child, lines, line)
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let errors = world.path("errors");
        let (mut child, lines, line) = begun(&world, &errors);
        assert!(line.contains("daemon.started"), "{line}");
        // Nothing happens any more: it notices by itself.
        drop(lines);
        wait_until("the client has noticed", || {
            child.try_wait().unwrap().is_some()
        });
        drop(daemon);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(std::fs::read_to_string(errors).unwrap(), "");
    });
}

#[test]
fn a_reader_that_goes_away_ends_it_while_nobody_answers_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let errors = world.path("errors");
        let (mut child, lines, _) = begun(&world, &errors);
        daemon.crash();
        // What listens there now takes the connection, and says nothing.
        std::fs::remove_file(world.socket()).unwrap();
        let mute = std::os::unix::net::UnixListener::bind(world.socket()).unwrap();
        let (asked, _) = mute.accept().unwrap();
        drop(lines);
        wait_until("the client has noticed", || {
            child.try_wait().unwrap().is_some()
        });
        drop(asked);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn without_a_daemon_there_is_nothing_to_follow() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::default());
        assert_eq!(world.ctl(["events", "--follow"]).code, Some(4));
        let embedded = world.ctl(["--embedded", "events", "--follow"]);
        assert_eq!(embedded.code, Some(2), "{embedded:#?}");
    });
}
