//! The daemon as a service: how it stops, what it notices by itself, and what it says of itself.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Connection, Daemon, Settings, World, in_private_pid_namespace, pids, signal, try_entry_of,
    wait_until,
};

#[test]
fn it_stops_on_sigterm_and_on_sigint() {
    in_private_pid_namespace(|| {
        for stop in [Signal::TERM, Signal::INT] {
            let world = World::new();
            let mut daemon = world.daemon();
            let orphan = world.orphan("gone").start();
            signal(daemon.pid(), stop);
            let status = daemon.wait();
            assert_eq!(status.code(), Some(0), "{status}");
            assert!(!world.socket().exists());
            let last = world.event_log().events().pop().unwrap();
            assert_eq!(last["event"], "daemon.stopped", "{last:#}");
            assert!(orphan.is_alive());
        }
    });
}

#[test]
fn a_kill_in_progress_is_finished_before_it_stops() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut daemon = world.daemon_with(&Settings {
            sigterm_wait: "2s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        let log = world.event_log();
        log.wait_for_signal(orphan.pid, "SIGTERM");
        daemon.ask_to_stop();
        let status = daemon.wait();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(orphan.has_exited());
        assert_eq!(log.signals(orphan.pid, "SIGKILL").len(), 1);
        assert_eq!(log.about(orphan.pid, "orphan.killed").len(), 1);
        let last = log.events().pop().unwrap();
        assert_eq!(last["event"], "daemon.stopped", "{last:#}");
        assert!(!world.socket().exists());
        // Whoever asked for the kill is told how it ended.
        let reply = connection.read().expect("a reply");
        assert_eq!(pids(&reply["result"]["killed"]), [orphan.pid], "{reply:#}");
        survivors.assert_alive();
    });
}

#[test]
fn told_twice_to_stop_it_leaves_at_once_and_nobody_loses_time_by_that() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "600s",
            ..Settings::default()
        };
        let mut daemon = world.daemon_with(&settings);
        let stubborn = world.orphan("gone").stubborn().start();
        let pid = stubborn.pid.to_string();
        let fix = std::thread::scope(|scope| {
            let fix = scope.spawn(|| world.ctl(["--json", "fix", "--confirm", "--pid", &pid]));
            world.event_log().wait_for_signal(stubborn.pid, "SIGTERM");
            daemon.ask_to_stop();
            let mut connection = daemon.connect();
            wait_until("it does nothing new any more", || {
                connection.request("scan", &json!({}));
                let answer = connection.read().expect("an answer");
                answer["error"]["code"] == -32003
            });
            daemon.ask_to_stop();
            assert!(daemon.wait().success());
            fix.join().unwrap()
        });
        assert_ne!(fix.code, Some(0), "{fix:#?}");
        assert!(stubborn.is_alive());
        assert!(
            world
                .event_log()
                .signals(stubborn.pid, "SIGKILL")
                .is_empty()
        );

        // The next one says what was cut off, and goes on when it is asked to.
        let _daemon = world.daemon_with(&Settings::impatient());
        let log = world.event_log();
        log.wait_for(stubborn.pid, "orphan.interrupted");
        assert_eq!(world.ctl(["fix", "--confirm", "--pid", &pid]).code, Some(0));
        assert!(stubborn.has_exited());
    });
}

#[test]
fn while_it_stops_no_new_kill_starts() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut daemon = world.daemon_with(&Settings {
            sigterm_wait: "3s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let stubborn = world.orphan("gone").stubborn().start();
        let mut first = daemon.connect();
        let mut second = daemon.connect();
        second.call("version", &json!({}));
        first.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(stubborn.pid, "SIGTERM");
        let late = world.orphan("gone-too").start();
        daemon.ask_to_stop();
        wait_until("it is stopping", || is_stopping(&world, &mut second));
        let request = json!({"confirm": true, "pids": [late.pid]});
        let request = json!({"jsonrpc": "2.0", "id": "late", "method": "fix", "params": request});
        second.try_send(format!("{request}\n").as_bytes());
        // An error, or nobody there any more.
        if let Some(reply) = second.read() {
            assert_eq!(reply["error"]["code"], -32003, "{reply:#}");
        }
        assert!(daemon.wait().success());
        assert!(stubborn.has_exited());
        assert!(late.is_alive());
        world.event_log().assert_never_signalled(late.pid);
        survivors.assert_alive();
    });
}

/// Whether it lets one see that it is about to stop: no socket, no answer, or a refusal.
fn is_stopping(world: &World, connection: &mut Connection) -> bool {
    connection.try_send(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"version\"}\n");
    let refused = |reply: Value| reply["error"]["code"] == -32003;
    connection.read().is_none_or(refused) || !world.socket().exists()
}

/// The tracked orphans, from a status that causes no scan.
fn tracked(daemon: &Daemon) -> Value {
    daemon.call("status", &json!({}))["orphans"].take()
}

#[test]
fn it_remembers_since_when_and_how_often_it_has_seen_an_orphan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::watchful());
        let orphan = world.orphan("gone").start();
        let sightings = |daemon: &Daemon| {
            let tracked = tracked(daemon);
            let entry = try_entry_of(&tracked, orphan.pid)?;
            Some((entry["first_seen"].clone(), entry["sightings"].as_u64()?))
        };
        wait_until("the orphan is tracked", || sightings(&daemon).is_some());
        let (first_seen, before) = sightings(&daemon).unwrap();
        assert!(first_seen.is_string(), "{first_seen}");
        wait_until("it is seen again and again", || {
            let (still, now) = sightings(&daemon).unwrap();
            assert_eq!(still, first_seen);
            now >= before + 3
        });
        assert!(orphan.is_alive(), "automatic reaping has to be asked for");
        world.event_log().assert_never_signalled(orphan.pid);
    });
}

#[test]
fn it_scans_once_before_anybody_asks() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let orphan = world.orphan("gone").start();
        let healthy = world.healthy("workspace").start();
        let daemon = world.daemon();
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["last_scan"]["scanned"], 2, "{status:#}");
        assert_eq!(status["last_scan"]["orphans"], 1, "{status:#}");
        assert_eq!(pids(&status["orphans"]), [orphan.pid], "{status:#}");
        assert!(healthy.is_alive());
    });
}

#[test]
fn the_status_tells_what_it_is_doing_and_has_done() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        daemon.scan();
        let status = world.ctl(["--json", "status"]).json_with(0);
        assert_eq!(status["daemon"]["pid"], daemon.pid(), "{status:#}");
        assert_eq!(
            status["daemon"]["version"],
            env!("CARGO_PKG_VERSION"),
            "{status:#}"
        );
        assert!(status["daemon"]["uptime_s"].is_number(), "{status:#}");
        assert_eq!(
            status["daemon"]["socket"],
            json!(world.socket()),
            "{status:#}"
        );
        assert_eq!(
            status["daemon"]["config"],
            json!(world.config()),
            "{status:#}"
        );
        assert_eq!(status["policy"]["confirm"], false, "{status:#}");
        let reasons = json!(["workspace_path_missing", "workspace_replaced"]);
        assert_eq!(status["policy"]["reasons"], reasons, "{status:#}");
        for key in ["suspended", "paused_until"] {
            assert!(status["policy"].get(key).is_some(), "{key} in {status:#}");
        }
        assert!(status["last_scan"]["at"].is_string(), "{status:#}");
        assert!(status["last_scan"]["took_ms"].is_number(), "{status:#}");
        let tracked = try_entry_of(&status["orphans"], orphan.pid).expect("it is tracked");
        assert_eq!(tracked["reason"], "workspace_path_missing", "{status:#}");
        assert!(tracked["state"].is_string(), "{status:#}");
        assert!(tracked.get("next_action_at").is_some(), "{status:#}");
        assert_eq!(status["counters"]["detected"], 1, "{status:#}");
        assert_eq!(status["counters"]["killed"], 0, "{status:#}");

        daemon.fix();
        let counters = daemon.call("status", &json!({}))["counters"].take();
        assert!(
            counters["scans"].as_u64().is_some_and(|scans| scans >= 2),
            "{counters:#}"
        );
        for (counter, value) in [("detected", 1), ("killed", 1), ("failed", 0), ("spared", 0)] {
            assert_eq!(counters[counter], value, "{counters:#}");
        }
        assert!(counters["cleared"].is_number(), "{counters:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn the_state_directory_and_the_event_log_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        for path in [world.state_dir(), world.event_log().path] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path:?} has mode {mode:o}");
        }
    });
}
