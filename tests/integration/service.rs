//! What a service manager is told and hands over, without one: a socket that listens in its place, and
//! one that is passed on.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Connection, Daemon, Settings, World, entry_of, failed_start, in_private_pid_namespace,
    wait_until,
};

/// Listens in the place of a service manager.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(world: &World) -> Self {
        let socket = UnixDatagram::bind(world.path("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let heard = Vec::new();
        Self { socket, heard }
    }

    /// The daemon's command line, with this as its service manager.
    fn command(world: &World) -> Command {
        let mut command = Daemon::command(world);
        command.env("NOTIFY_SOCKET", world.path("notify"));
        command
    }

    /// Takes in what has been said, and gives all of it, one assignment each.
    fn heard(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = str::from_utf8(&buffer[..length]).expect("UTF-8");
            self.heard.extend(text.lines().map(str::to_owned));
        }
        &self.heard
    }

    fn wait_for(&mut self, line: &str) {
        wait_until(&format!("the service manager hears {line}"), || {
            self.heard().iter().any(|heard| heard == line)
        });
    }

    /// Where in what was said this stands.
    fn place_of(&self, line: &str) -> usize {
        let found = self.heard.iter().position(|heard| heard == line);
        found.unwrap_or_else(|| panic!("{line} was not said: {:?}", self.heard))
    }
}

#[test]
fn the_service_manager_hears_of_readiness_after_the_first_scan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut manager = Manager::new(&world);
        let _living = world.healthy("live").start();
        let _orphan = world.orphan("gone").start();
        let daemon = Daemon::start_by(&world, Manager::command(&world));
        manager.wait_for("READY=1");
        let seen = "STATUS=2 coordinators, 1 orphan; automatic reaping off";
        let first = manager.place_of("STATUS=doing the first scan");
        assert!(first < manager.place_of(seen), "{:?}", manager.heard);
        assert!(manager.place_of(seen) < manager.place_of("READY=1"));
        assert!(
            !manager.heard().iter().any(|line| line == "WATCHDOG=1"),
            "nobody asked for that"
        );

        daemon.scan();
        daemon.scan();
        daemon.ask_to_stop();
        manager.wait_for("STOPPING=1");
        manager.wait_for("STATUS=stopping");
        assert!(daemon.stop().success());
        let said = manager.heard();
        let count = |line: &str| said.iter().filter(|said| *said == line).count();
        assert_eq!(count("READY=1"), 1);
        assert_eq!(count("STOPPING=1"), 1);
        assert_eq!(count(seen), 1, "what has not changed is not said again");
    });
}

#[test]
fn one_whose_first_scan_fails_is_not_ready_until_one_succeeds() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut manager = Manager::new(&world);
        let living: Vec<_> = (0..2)
            .map(|number| world.healthy(format!("live-{number}")).start())
            .collect();
        // Enough descriptors to start with, and not enough to find out what is missing down there.
        let deep = "down/".repeat(30);
        world.directory(&deep);
        let orphan = world.orphan(format!("{deep}gone")).start();
        let plain = Manager::command(&world);
        let mut command = Command::new("prlimit");
        command.arg("--nofile=30:30");
        command.arg(plain.get_program()).args(plain.get_args());
        world.confine(&mut command);
        command.env("NOTIFY_SOCKET", world.path("notify"));
        // Its own interval would let it wait for an hour.
        world.configure(&Settings::default());
        let daemon = Daemon::launch(&world, command);
        wait_until("the first scan has failed", || {
            let failed = "STATUS=the first scan failed and is tried again: ";
            manager.heard().iter().any(|said| said.starts_with(failed))
        });
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["last_scan"], json!(null), "it answers: {status:#}");
        assert!(!manager.heard().iter().any(|said| said == "READY=1"));

        // Enough for the others.
        drop(orphan);
        manager.wait_for("READY=1");
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["last_scan"]["scanned"], living.len());
    });
}

#[test]
fn the_watchdog_is_fed_by_a_loop_that_goes_round_and_not_by_one_that_is_stopped() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut manager = Manager::new(&world);
        let mut command = Manager::command(&world);
        command.env("WATCHDOG_USEC", "300000");
        let daemon = Daemon::start_by(&world, command);
        let feeds = |manager: &mut Manager| {
            let said = manager.heard().iter();
            said.filter(|line| *line == "WATCHDOG=1").count()
        };
        wait_until("it is fed again and again", || feeds(&mut manager) > 5);
        crate::support::signal(daemon.pid(), rustix::process::Signal::STOP);
        // Whatever was under way is heard before the silence.
        let mut before = feeds(&mut manager);
        let mut silence = 0;
        wait_until("it is silent for longer than it may be", || {
            let now = feeds(&mut manager);
            silence = if now == before { silence + 1 } else { 0 };
            before = now;
            silence > 10
        });
        crate::support::signal(daemon.pid(), rustix::process::Signal::CONT);
        wait_until("it is fed again", || feeds(&mut manager) > before);
    });
}

#[test]
fn more_time_is_asked_for_while_a_kill_in_progress_is_finished() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut manager = Manager::new(&world);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("EXIT_MS", 2_000).start();
        let mut command = Manager::command(&world);
        // So that the loop has a beat that is faster than the kill.
        command.env("WATCHDOG_USEC", "600000");
        let daemon = Daemon::start_by(&world, command);
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        daemon.ask_to_stop();
        manager.wait_for("STATUS=stopping once 1 orphan is ended");
        let extension = |said: &&String| said.starts_with("EXTEND_TIMEOUT_USEC=");
        wait_until("more time is asked for, again and again", || {
            manager.heard().iter().filter(extension).count() > 2
        });
        // Nobody reads what is said to the service manager any more; that holds up nothing.
        let fix = connection.read().expect("an answer");
        assert_eq!(fix["result"]["ok"], true, "{fix:#}");
        assert!(daemon.stop().success());
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

/// The daemon's command line with these as descriptors 3 and following, said to be for `pid`: a word of bash.
fn handed_over(world: &World, sockets: Vec<OwnedFd>, pid: &str) -> Command {
    // What is passed on as standard input, output and error becomes 3, 4 and 5, and the rest as it was.
    assert!(sockets.len() <= 2);
    let count = sockets.len();
    let plain = Daemon::command(world);
    let mut command = Command::new("bash");
    let script = format!(
        "exec 3<&0 4<&1 0</dev/null 1>/dev/null; [ {count} = 2 ] || exec 4<&-\n\
         LISTEN_FDS={count} LISTEN_PID={pid} LISTEN_FDNAMES=control exec \"$@\""
    );
    command.args(["-c", &script, "bash"]);
    command.arg(plain.get_program()).args(plain.get_args());
    world.confine(&mut command);
    let mut sockets = sockets.into_iter();
    if let Some(first) = sockets.next() {
        command.stdin(first);
    }
    if let Some(second) = sockets.next() {
        command.stdout(second);
    }
    command
}

/// A socket as a service manager makes one, elsewhere than the daemon would, and with other modes.
fn socket(world: &World) -> (std::path::PathBuf, OwnedFd) {
    let path = world.directory("elsewhere").join("s.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let modes = fs::Permissions::from_mode;
    fs::set_permissions(path.parent().unwrap(), modes(0o777)).unwrap();
    fs::set_permissions(&path, modes(0o660)).unwrap();
    (path, listener.into())
}

#[test]
fn a_socket_that_was_handed_over_is_used_as_it_is_and_left_as_it_was() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let (path, listener) = socket(&world);
        // Whoever is there before the daemon is answered too.
        let mut early = Connection::open(&path).unwrap();
        early.request("status", &json!({}));
        let daemon = Daemon::launch(&world, handed_over(&world, vec![listener], "$$"));
        let status = early.read().expect("an answer");
        let place = path.to_str().unwrap();
        assert_eq!(status["result"]["daemon"]["socket"], place);
        assert!(!world.socket().exists(), "it has no other");

        let flags = fs::read_to_string(format!("/proc/{}/fdinfo/3", daemon.pid())).unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert_ne!(flags & 0o2_000_000, 0, "closed on exec: {flags:o}");

        let mut connection = Connection::open(&path).unwrap();
        let fix = connection.call("fix", &json!({"confirm": true}));
        entry_of(&fix["killed"], orphan.pid);
        let actor = &world.event_log().signals(orphan.pid, "SIGTERM")[0]["actor"];
        let own = nix::unistd::getuid().as_raw();
        assert_eq!(*actor, json!({"uid": own, "pid": std::process::id()}));

        assert!(daemon.stop().success());
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o660, "neither changed nor removed");
        let elsewhere = path.parent().unwrap();
        assert_eq!(mode(elsewhere), 0o777);
        assert_eq!(
            fs::read_dir(elsewhere).unwrap().count(),
            1,
            "no lock beside it"
        );
        survivors.assert_alive();
    });
}

#[test]
fn what_was_handed_to_another_process_is_not_taken() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let (path, listener) = socket(&world);
        let daemon = Daemon::start_by(&world, handed_over(&world, vec![listener], "1"));
        let status = daemon.call("status", &json!({}));
        assert_eq!(
            status["daemon"]["socket"],
            world.socket().to_str().unwrap(),
            "and not {}",
            path.display()
        );
    });
}

#[test]
fn what_cannot_be_listened_on_is_an_error_that_says_what_to_do() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let (_, first) = socket(&world);
        let second = UnixListener::bind(world.path("second")).unwrap();
        let datagram = UnixDatagram::bind(world.path("datagram")).unwrap();
        let file = fs::File::create(world.path("file")).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (sockets, words) in [
            (vec![first, second.into()], "2 sockets were handed over"),
            (vec![datagram.into()], "a Unix socket of another type"),
            (vec![file.into()], "no socket"),
            (vec![tcp.into()], "a socket of another family"),
        ] {
            let command = handed_over(&world, sockets, "$$");
            let (status, errors) = failed_start(command, &world.path(""));
            assert_eq!(status.code(), Some(1), "{errors}");
            assert!(errors.contains(words), "{errors}");
            assert!(errors.contains("ListenStream="), "{errors}");
            assert!(!world.socket().exists(), "there is no second choice");
        }
        // A number that is none, and a descriptor that is not open.
        for variables in ["LISTEN_FDS=many", "LISTEN_FDS=7"] {
            let plain = Daemon::command(&world);
            let mut command = Command::new("bash");
            let script = format!("export LISTEN_PID=$$ {variables}; exec \"$@\"");
            command.args(["-c", &script, "bash"]);
            command.arg(plain.get_program()).args(plain.get_args());
            world.confine(&mut command);
            let (status, errors) = failed_start(command, &world.path(""));
            assert_eq!(status.code(), Some(1), "{errors}");
            assert!(errors.contains("LISTEN_FDS"), "{errors}");
        }
    });
}
