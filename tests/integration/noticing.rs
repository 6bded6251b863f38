//! What the daemon notices between two scans. There are none in here but those that are asked for: the
//! interval is an hour.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use serde_json::{Value, json};

use crate::support::{
    Daemon, Recipe, World, delete_workspace, entry_of, in_private_pid_namespace, pids, skip,
    wait_until,
};

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

#[test]
fn a_workspace_that_was_seen_being_deleted_and_made_again_is_another_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // Neither works in its workspace, nor keeps a log open there: nothing they hold tells what became of it.
        let replaced = world.healthy("replaced").start();
        let exchanged = world.healthy("exchanged").start();
        let daemon = world.daemon();
        let survivors = world.survivors();
        if !is_told(&daemon) {
            return;
        }
        fs::remove_dir_all(world.path("replaced")).unwrap();
        world.directory("replaced");
        // Moved away, which is no deletion, although something of its name is deleted then.
        fs::rename(world.path("exchanged"), world.path("elsewhere")).unwrap();
        world.directory("exchanged");
        fs::remove_dir(world.path("exchanged")).unwrap();
        world.directory("exchanged");
        // Who looks between the two finds nothing there.
        world.event_log().wait_for(replaced.pid, "orphan.detected");
        let scan = daemon.scan();
        let verdict = |pid| entry_of(&scan["coordinators"], pid)["reason"].clone();
        assert_eq!(verdict(replaced.pid), "workspace_replaced", "{scan:#}");
        assert_eq!(
            verdict(exchanged.pid),
            "workspace_maybe_replaced",
            "{scan:#}"
        );
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [replaced.pid], "{fix:#}");
        world.event_log().assert_never_signalled(exchanged.pid);
        assert!(exchanged.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn what_came_to_the_place_of_a_moved_workspace_is_not_what_was_deleted_there() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("ws").start();
        let started = Instant::now();
        let survivors = world.survivors();
        fs::rename(world.path("ws"), world.path("elsewhere")).unwrap();
        wait_until("more than two clock ticks went by", || {
            started.elapsed() > Duration::from_millis(50)
        });
        world.directory("ws");
        // It never saw anything else there.
        let daemon = world.daemon();
        if !is_told(&daemon) {
            return;
        }
        fs::remove_dir(world.path("ws")).unwrap();
        world.directory("ws");
        wait_until("it was looked at", || {
            known(&daemon, process.pid)["reason"] != "workspace_alive"
        });
        // Who looks between the two finds nothing there.
        let scan = daemon.scan();
        let seen = entry_of(&scan["coordinators"], process.pid);
        assert_eq!(seen["reason"], "workspace_maybe_replaced", "{seen:#}");
        let fix = daemon.fix();
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
        world.event_log().assert_never_signalled(process.pid);
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn what_a_link_led_to_before_may_go() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let link = world.path("current");
        let release = |number: u32| world.directory(format!("releases/{number}"));
        symlink(release(1), &link).unwrap();
        let process = Recipe::coordinator(&world, &link).start();
        let survivors = world.survivors();
        let daemon = world.daemon();
        if !is_told(&daemon) {
            return;
        }
        // As deployments do it: the path always leads somewhere.
        symlink(release(2), world.path("next")).unwrap();
        fs::rename(world.path("next"), &link).unwrap();
        fs::remove_dir(world.path("releases/1")).unwrap();
        wait_until("it was looked at", || {
            known(&daemon, process.pid)["reason"] == "workspace_maybe_replaced"
        });
        let fix = daemon.fix();
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
        world.event_log().assert_never_signalled(process.pid);
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn a_mounted_workspace_was_not_deleted_with_its_mount_point() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let (volume, workspace) = (world.directory("volume"), world.directory("workspace"));
        mount_bind(&volume, &workspace).unwrap();
        let process = world.healthy("workspace").start();
        let daemon = world.daemon();
        let survivors = world.survivors();
        if !is_told(&daemon) {
            return;
        }
        // Of the volume itself the kernel tells nothing: it is still there, at another place.
        unmount(&workspace, UnmountFlags::empty()).unwrap();
        fs::remove_dir(&workspace).unwrap();
        fs::create_dir(&workspace).unwrap();
        wait_until("it was looked at", || {
            known(&daemon, process.pid)["reason"] != "workspace_alive"
        });
        let scan = daemon.scan();
        let seen = entry_of(&scan["coordinators"], process.pid);
        assert_eq!(seen["verdict"], "unknown", "{seen:#}");
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}
