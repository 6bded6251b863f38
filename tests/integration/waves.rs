//! Many orphans, and several requests, at once.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, StandIn, World, entry_of, in_private_pid_namespace, pids, sorted_pids,
    wait_until,
};

#[test]
fn thirty_five_stubborn_orphans_are_ended_all_at_once() {
    in_private_pid_namespace(|| {
        const MANY: usize = 35;
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..MANY)
            .map(|number| world.orphan(format!("gone-{number}")).stubborn().start())
            .collect();
        let fix = daemon.fix();
        let mut all: Vec<_> = orphans.iter().map(|orphan| orphan.pid).collect();
        all.sort_unstable();
        assert_eq!(sorted_pids(&fix["killed"]), all, "{fix:#}");
        for orphan in &orphans {
            assert!(orphan.has_exited());
            let killed = entry_of(&fix["killed"], orphan.pid);
            assert_eq!(killed["sigkill_required"], true, "{killed:#}");
        }

        // Not one after the other: every SIGTERM was sent before anybody was waited for.
        let signals: Vec<Value> = world
            .event_log()
            .named("orphan.signal")
            .iter()
            .map(|event| event["signal"].clone())
            .collect();
        let first_kill = signals.iter().position(|signal| signal == "SIGKILL");
        assert_eq!(first_kill, Some(MANY), "{signals:?}");
        assert!(
            signals[..MANY].iter().all(|signal| signal == "SIGTERM"),
            "{signals:?}"
        );
        assert_eq!(signals.len(), 2 * MANY, "{signals:?}");
        survivors.assert_alive();
    });
}

fn fix_in_background(daemon: &Daemon) -> thread::JoinHandle<Value> {
    let mut connection = daemon.connect();
    thread::spawn(move || connection.call("fix", &json!({"confirm": true})))
}

#[test]
fn two_fixes_at_the_same_time_signal_an_orphan_once() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "2s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let first = fix_in_background(&daemon);
        let second = fix_in_background(&daemon);
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        // One more, certainly in the middle of it.
        let third = fix_in_background(&daemon);
        for fix in [first, second, third] {
            let fix = fix.join().unwrap();
            assert_eq!(sorted_pids(&fix["killed"]), [orphan.pid], "{fix:#}");
            assert_eq!(fix["killed"][0]["status"], "killed", "{fix:#}");
        }
        assert!(orphan.has_exited());
        let log = world.event_log();
        assert_eq!(log.signals(orphan.pid, "SIGTERM").len(), 1);
        assert_eq!(log.signals(orphan.pid, "SIGKILL").len(), 1);
        assert_eq!(log.about(orphan.pid, "orphan.killed").len(), 1);
        survivors.assert_alive();
    });
}

#[test]
fn scans_in_the_middle_of_a_fix_do_not_stop_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..10)
            .map(|number| {
                let orphan = world.orphan(format!("gone-{number}"));
                orphan.stubborn().start()
            })
            .collect();
        let done = AtomicBool::new(false);
        let fix = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = daemon.connect();
                    while !done.load(Ordering::Relaxed) {
                        connection.call("scan", &json!({}));
                    }
                });
            }
            let fix = daemon.connect().reply("fix", &json!({"confirm": true}));
            done.store(true, Ordering::Relaxed);
            fix
        });
        let fix = &fix["result"];
        assert_eq!(fix["spared"], json!([]), "{fix:#}");
        assert_eq!(pids(&fix["killed"]).len(), orphans.len(), "{fix:#}");
        assert!(orphans.iter().all(StandIn::has_exited));
        survivors.assert_alive();
    });
}

#[test]
fn whatever_a_client_had_sent_is_done_although_it_hung_up_at_once() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..12)
            .map(|number| world.orphan(format!("gone-{number}")).start())
            .collect();
        let request = |method: &str, params: Value| {
            let id = 1;
            let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            format!("{request}\n")
        };
        // One of which it might have heard the answer, and more fixes than are made for one peer at a time.
        let mut lines = request("version", json!({}));
        for orphan in &orphans {
            lines += &request("fix", json!({"confirm": true, "pids": [orphan.pid]}));
        }
        let mut stream = UnixStream::connect(world.socket()).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        drop(stream);
        wait_until("all of them have ended", || {
            orphans.iter().all(StandIn::has_exited)
        });
        survivors.assert_alive();
    });
}

#[test]
fn a_client_that_hangs_up_changes_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "1s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        drop(connection);
        wait_until("the orphan is gone all the same", || orphan.has_exited());
        world.event_log().wait_for(orphan.pid, "orphan.killed");
        assert_eq!(daemon.scan()["orphans"], json!([]));
        survivors.assert_alive();
    });
}

#[test]
fn the_daemon_answers_others_while_a_kill_is_in_progress() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // Longer than anything here takes, and ended by hand.
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "10m",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let fix = fix_in_background(&daemon);
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        let other = world.orphan("gone-too").start();
        let done = daemon.call("fix", &json!({"confirm": true, "pids": [other.pid]}));
        entry_of(&done["killed"], other.pid);
        assert!(other.has_exited());
        assert!(orphan.is_alive() && !fix.is_finished());
        daemon.scan();
        daemon.call("status", &json!({}));

        crate::support::signal(orphan.pid, rustix::process::Signal::KILL);
        let fix = fix.join().unwrap();
        assert_eq!(
            entry_of(&fix["killed"], orphan.pid)["sigkill_required"],
            false,
            "{fix:#}"
        );
        survivors.assert_alive();
    });
}

#[test]
fn a_hundred_who_ask_for_the_end_of_one_orphan_share_one_escalation() {
    in_private_pid_namespace(|| {
        const MANY: usize = 100;
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "1s",
            ..Settings::impatient()
        };
        let daemon = world.daemon_with(&settings);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut asking: Vec<_> = (0..MANY).map(|_| daemon.connect()).collect();
        for connection in &mut asking {
            connection.request("fix", &json!({"confirm": true, "pids": [orphan.pid]}));
        }
        for connection in &mut asking {
            let fix = &connection.read().expect("an answer")["result"];
            assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
            let killed = entry_of(&fix["killed"], orphan.pid);
            assert_eq!(killed["sigkill_required"], true, "{killed:#}");
        }
        let log = world.event_log();
        for signal in ["SIGTERM", "SIGKILL"] {
            assert_eq!(log.signals(orphan.pid, signal).len(), 1, "{signal}");
        }
        assert_eq!(log.about(orphan.pid, "orphan.killed").len(), 1);
        let counters = &daemon.call("status", &json!({}))["counters"];
        assert_eq!(counters["killed"], 1, "{counters:#}");
        survivors.assert_alive();
    });
}
