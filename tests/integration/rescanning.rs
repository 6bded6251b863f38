//! What the daemon finds by itself, without looking at everybody each time.

use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, World, in_private_pid_namespace, pids_can_be_chosen, skip, wait_for,
    wait_until, with_pid,
};

/// Full sweeps come once a minute, and so many scans are done in a fraction of that.
const SOON: u64 = 10;

fn status(daemon: &Daemon) -> Value {
    daemon.call("status", &json!({}))
}

fn scans(daemon: &Daemon) -> u64 {
    status(daemon)["counters"]["scans"].as_u64().unwrap()
}

/// Waits until the daemon has seen this coordinator without being asked to look, and says after how many
/// scans that was.
fn seen_after(daemon: &Daemon, pid: u32, workspace: &str, before: u64) -> u64 {
    wait_for("it is seen", || {
        let status = status(daemon);
        let is_seen = |one: &Value| {
            one["pid"] == pid
                && one["workspace"]
                    .as_str()
                    .is_some_and(|path| path.ends_with(workspace))
        };
        let seen = status["coordinators"]
            .as_array()
            .unwrap()
            .iter()
            .any(is_seen);
        seen.then(|| status["counters"]["scans"].as_u64().unwrap() - before)
    })
}

fn is_seen(daemon: &Daemon, pid: u32) -> bool {
    let status = status(daemon);
    let coordinators = status["coordinators"].as_array().unwrap();
    coordinators.iter().any(|one| one["pid"] == pid)
}

#[test]
fn whoever_is_started_is_seen_at_one_of_the_next_scans_and_whoever_ends_is_missed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::watchful());
        wait_until("it scans by itself", || scans(&daemon) > 2);
        for name in ["one", "two"] {
            let before = scans(&daemon);
            let mut one = world.healthy(name).start();
            let after = seen_after(&daemon, one.pid, name, before);
            assert!(after < SOON, "{name} after {after} scans");
            one.kill_and_reap();
            wait_until("it is gone", || !is_seen(&daemon, one.pid));
        }
    });
}

#[test]
fn whoever_gets_the_pid_of_another_one_is_seen_just_as_soon() {
    in_private_pid_namespace(|| {
        if !pids_can_be_chosen() {
            skip("the next pid cannot be chosen here");
            return;
        }
        let world = World::new();
        let daemon = world.daemon_with(&Settings::watchful());
        let first = (0..4).map(|_| world.healthy("first").start());
        for mut old in first.collect::<Vec<_>>() {
            seen_after(&daemon, old.pid, "first", 0);
            old.kill_and_reap();
            wait_until("it is gone", || !is_seen(&daemon, old.pid));
            let before = scans(&daemon);
            let start = || world.healthy("second").start();
            let mut second = with_pid(old.pid, start, |one| one.pid);
            let after = seen_after(&daemon, second.pid, "second", before);
            assert!(after < SOON, "after {after} scans");
            second.kill_and_reap();
            wait_until("it is gone", || !is_seen(&daemon, second.pid));
        }
    });
}
