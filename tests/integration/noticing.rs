//! What the daemon notices between two scans. There are none in here but those that are asked for: the
//! interval is an hour.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Daemon, World, delete_workspace, in_private_pid_namespace, skip, wait_until};

/// What `status` says of a coordinator; that looks at nobody.
fn known(daemon: &Daemon, pid: u32) -> Value {
    let status = daemon.call("status", &json!({}));
    let all = status["coordinators"].as_array().unwrap().iter();
    let mut found = all.filter(|one| one["pid"] == pid);
    found.next().cloned().unwrap_or_default()
}

/// Whether the kernel tells of what happens where the tests are, and the daemon believes it.
fn is_told(daemon: &Daemon) -> bool {
    let scan = daemon.scan();
    let evidence = &scan["coordinators"][0]["evidence"];
    let is_told = !evidence["directory"].is_null();
    if !is_told {
        skip("a file system that says when a directory was made");
    }
    is_told
}

#[test]
fn a_workspace_that_is_deleted_or_moved_is_noticed_when_it_happens() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let moved = world.healthy("moved").real().start();
        let deleted = world.healthy("deleted").real().start();
        let daemon = world.daemon();
        let survivors = world.survivors();
        if !is_told(&daemon) {
            return;
        }
        delete_workspace(&world.path("deleted"));
        world.event_log().wait_for(deleted.pid, "orphan.detected");
        fs::rename(world.path("moved"), world.path("elsewhere")).unwrap();
        wait_until("it is known to have moved", || {
            known(&daemon, moved.pid)["reason"] == "workspace_moved"
        });
        let scans = daemon.call("status", &json!({}))["counters"]["scans"].clone();
        assert_eq!(scans, 2, "the first one, and that of this test");
        // To be noticed is no reason to be ended.
        assert!(deleted.is_alive() && moved.is_alive());
        world.event_log().assert_never_signalled(deleted.pid);
        survivors.assert_alive();
    });
}

#[test]
fn who_exits_is_known_to_have_when_it_happens() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut orphan = world.orphan("gone").start();
        let mut healthy = world.healthy("shop").start();
        let daemon = world.daemon();
        orphan.kill_and_reap();
        world.event_log().wait_for(orphan.pid, "orphan.cleared");
        healthy.kill_and_reap();
        wait_until("it is known to be gone", || {
            known(&daemon, healthy.pid).is_null()
        });
        let scans = daemon.call("status", &json!({}))["counters"]["scans"].clone();
        assert_eq!(scans, 1);
        let story = world.event_log().story_of(orphan.pid);
        assert_eq!(story, ["orphan.detected", "orphan.cleared"]);
    });
}

#[test]
fn of_many_that_are_deleted_at_once_none_is_missed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let many: Vec<_> = (0..12)
            .map(|number| world.healthy(format!("tests/{number}")).real().start())
            .collect();
        let daemon = world.daemon();
        if !is_told(&daemon) {
            return;
        }
        // They make their workspaces again meanwhile: it is tried until nothing is left.
        while fs::remove_dir_all(world.path("tests")).is_err() {}
        for one in &many {
            world.event_log().wait_for(one.pid, "orphan.detected");
        }
        // A look in the middle of a deletion would have said of some that only their log was deleted.
        let scan = daemon.scan();
        assert_eq!(
            scan["orphans"].as_array().unwrap().len(),
            many.len(),
            "{scan:#}"
        );
    });
}
