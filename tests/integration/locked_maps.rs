//! Processes that wait for a disk with their memory map locked: nobody can read their arguments, not even `ps`.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Recipe, Settings, Unwritten, World, delete_workspace, entry_of, has_exited,
    in_private_pid_namespace, is_alive, pids, signal, skip, sorted_pids, wait_until,
};

/// The file with which this one locks its map.
fn disk(world: &World, whose: &str) -> PathBuf {
    world.path(format!("disk of {whose}"))
}

/// Has a process lock its memory map, until that is dropped. None where nothing can be mounted for it.
fn lock_map(world: &World, whose: &str, pid: u32) -> Option<Unwritten> {
    let disk = Unwritten::at(disk(world, whose))?;
    signal(pid, Signal::USR1);
    wait_until("it waits for the disk", || disk.is_waited_for());
    Some(disk)
}

#[test]
fn whoever_cannot_be_read_is_passed_over_and_orphans_are_ended() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let stranger = |name| {
            let stranger = Recipe::new(&world, [name]);
            let disk = disk(&world, name);
            stranger.with("LOCK_MAP", disk.display()).start()
        };
        let names = ["cc1plus", "ld"];
        let strangers = names.map(stranger);
        let [Some(_one), Some(_other)] =
            [0, 1].map(|index| lock_map(&world, names[index], strangers[index].pid))
        else {
            return skip("FUSE mounts");
        };
        let orphan = world.orphan("gone").start();
        let scan = daemon.scan();
        assert_eq!(pids(&scan["orphans"]), [orphan.pid], "{scan:#}");
        assert_eq!(scan["unread"], 2);
        for arguments in [&["scan"][..], &["doctor", "--gate", "orphans"]] {
            let told = world.ctl(arguments).stderr;
            assert!(told.contains("coordinators or not: 2 "), "{told}");
        }
        let doctor = world.ctl(["doctor"]).stdout;
        assert!(doctor.contains("(and of 1 more)"), "{doctor}");
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert!(strangers.iter().all(|one| one.is_alive()));
        survivors.assert_alive();
    });
}

#[test]
fn a_coordinator_that_cannot_be_read_any_more_is_there_and_nothing_is_known_of_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let coordinator = world.healthy("project");
        let coordinator = coordinator.with("LOCK_MAP", disk(&world, "it").display());
        let coordinator = coordinator.start();
        assert_eq!(pids(&daemon.scan()["orphans"]), [0; 0]);
        let Some(disk) = lock_map(&world, "it", coordinator.pid) else {
            return skip("FUSE mounts");
        };
        delete_workspace(&world.path("project"));
        for _ in 0..2 {
            let scan = daemon.scan();
            assert_eq!(pids(&scan["orphans"]), [0; 0], "{scan:#}");
            let unread = entry_of(&scan["coordinators"], coordinator.pid);
            assert_eq!(unread["verdict"], "unknown", "{unread:#}");
            assert_eq!(
                unread["reason"], "process_unreadable:ETIMEDOUT",
                "{unread:#}"
            );
            let explained = daemon.call("explain", &json!({"pid": coordinator.pid}));
            assert_eq!(
                explained["entry"]["reason"], unread["reason"],
                "{explained:#}"
            );
            assert_eq!(pids(&daemon.fix()["killed"]), [0; 0]);
        }
        assert!(coordinator.is_alive());
        // It goes on: what became of its workspace meanwhile is seen.
        drop(disk);
        wait_until("it is an orphan", || {
            pids(&daemon.scan()["orphans"]) == [coordinator.pid]
        });
        assert_eq!(pids(&daemon.fix()["killed"]), [coordinator.pid]);
        let log = world.event_log();
        let story = ["orphan.detected", "orphan.signal", "orphan.killed"];
        assert_eq!(log.story_of(coordinator.pid), story);
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_is_ended_and_its_child_that_cannot_be_read_is_left() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 2);
        let orphan = orphan.with("LOCK_MAP", disk(&world, "its child").display());
        let orphan = orphan.start();
        let another = world.orphan("gone too").start();
        let [stuck, free] = orphan.children[..] else {
            panic!("two children: {:?}", orphan.children);
        };
        let Some(_disk) = lock_map(&world, "its child", stuck) else {
            return skip("FUSE mounts");
        };
        let fix = daemon.fix();
        let both = [orphan.pid, another.pid];
        assert_eq!(sorted_pids(&fix["killed"]), both, "{fix:#}");
        let left = &entry_of(&fix["killed"], orphan.pid)["left_behind"];
        assert_eq!(
            left,
            &json!([{"pid": stuck, "cmdline": "", "why": "unreadable"}])
        );
        assert!(has_exited(free));
        assert!(is_alive(stuck));
        survivors.assert_alive();
    });
}

#[test]
fn children_that_cannot_be_read_any_more_after_sigterm_keep_no_other_orphan_alive() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            // They have locked their maps by then.
            sigterm_wait: "3s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().with("CHILDREN", 1);
        let orphan = orphan
            .with("LOCK_MAP", disk(&world, "one").display())
            .with("CHILD_LOCK_MAP_ON_TERM", 1)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let another = world.orphan("gone too").stubborn().start();
        let Some(_disk) = Unwritten::at(disk(&world, "one")) else {
            return skip("FUSE mounts");
        };
        let fix = daemon.fix();
        let both = [orphan.pid, another.pid];
        assert_eq!(sorted_pids(&fix["killed"]), both, "{fix:#}");
        assert_eq!(fix["failed"], json!([]));
        assert!(is_alive(orphan.children[0]));
        survivors.assert_alive();
    });
}

#[test]
fn without_a_daemon_the_client_ends_orphans_and_does_not_wait_for_who_hangs() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::impatient());
        let survivors = world.survivors();
        let stranger = Recipe::new(&world, ["ld"]).with("LOCK_MAP", disk(&world, "it").display());
        let stranger = stranger.start();
        let Some(_disk) = lock_map(&world, "it", stranger.pid) else {
            return skip("FUSE mounts");
        };
        for arguments in [
            &["fix", "--confirm"][..],
            &["doctor", "--gate", "orphans", "--fix", "--confirm"],
            &["--json", "fix", "--confirm"],
        ] {
            let orphan = world.orphan("gone").start();
            let answer = world.ctl(arguments);
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
            assert!(answer.stdout.contains(&orphan.pid.to_string()));
            assert!(orphan.has_exited());
        }
        assert!(stranger.is_alive());
        survivors.assert_alive();
    });
}
