//! What became of the workspace: deleted, deleted and made again, or still the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use serde_json::Value;

use crate::support::{
    Daemon, StandIn, World, delete_workspace, entry_of, in_private_pid_namespace, skip, wait_until,
    wait_until_made_again,
};

fn judged(daemon: &Daemon, process: &StandIn) -> Value {
    entry_of(&daemon.scan()["coordinators"], process.pid).clone()
}

#[track_caller]
fn assert_orphan(daemon: &Daemon, process: &StandIn, reason: &str) {
    let scan = daemon.scan();
    for list in ["coordinators", "orphans"] {
        let entry = entry_of(&scan[list], process.pid);
        assert_eq!(entry["reason"], reason, "{entry:#}");
        assert_eq!(entry["verdict"], "orphan", "{entry:#}");
        assert_eq!(entry["is_orphan"], true, "{entry:#}");
        let evidence = &entry["evidence"];
        assert!(!evidence.is_null(), "an orphan without evidence: {entry:#}");
    }
}

#[track_caller]
fn assert_not_orphan(daemon: &Daemon, process: &StandIn) -> Value {
    let entry = judged(daemon, process);
    assert_ne!(entry["verdict"], "orphan", "{entry:#}");
    assert_eq!(entry["is_orphan"], false, "{entry:#}");
    entry
}

/// The whole way: judged an orphan for `reason`, and ended by a fix, and nobody else is.
#[track_caller]
fn assert_ended_as(world: &World, daemon: &Daemon, process: &StandIn, reason: &str) {
    let survivors = world.survivors();
    assert_orphan(daemon, process, reason);
    let fix = daemon.fix();
    assert_eq!(
        entry_of(&fix["killed"], process.pid)["reason"],
        reason,
        "{fix:#}"
    );
    assert!(process.has_exited());
    survivors.assert_alive();
}

#[test]
fn a_coordinator_in_the_workspace_it_started_in_is_alive() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real().start();
        let entry = assert_not_orphan(&daemon, &process);
        assert_eq!(entry["verdict"], "alive", "{entry:#}");
        assert_eq!(entry["reason"], "workspace_alive", "{entry:#}");
    });
}

#[test]
fn a_workspace_that_never_existed_is_missing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.orphan("gone/deeper/still").start();
        assert_ended_as(&world, &daemon, &process, "workspace_path_missing");
    });
}

#[test]
fn a_workspace_below_a_plain_file_is_missing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        fs::write(world.path("file"), "").unwrap();
        let process = world.orphan("file/workspace").start();
        assert_ended_as(&world, &daemon, &process, "workspace_path_missing");
    });
}

#[test]
fn a_deleted_workspace_is_missing_as_long_as_nobody_makes_it_again() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real_without_ticks().start();
        assert_not_orphan(&daemon, &process);
        delete_workspace(&world.path("workspace"));
        assert_ended_as(&world, &daemon, &process, "workspace_path_missing");
    });
}

#[test]
fn a_deletion_before_the_daemon_started_is_seen_as_well() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("workspace").real_without_ticks().start();
        delete_workspace(&world.path("workspace"));
        let daemon = world.daemon();
        assert_ended_as(&world, &daemon, &process, "workspace_path_missing");
    });
}

#[test]
fn a_workspace_that_its_coordinator_made_again_is_replaced() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("workspace").real().start();
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        // The daemon was not there: the deleted cwd alone tells it.
        let daemon = world.daemon();
        assert_ended_as(&world, &daemon, &process, "workspace_replaced");
    });
}

#[test]
fn the_log_alone_proves_a_replaced_workspace_where_files_have_birth_times() {
    in_private_pid_namespace(|| {
        let world = World::new();
        if fs::metadata(world.path("")).unwrap().created().is_err() {
            return skip("a file system with birth times on /tmp");
        }
        // Its cwd is elsewhere, like that of the current product. The deletion follows the start at
        // once: against the start of the process the new directory would be hardly any younger.
        let process = world.healthy("workspace").with("REAL", 1).start();
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        let daemon = world.daemon();
        assert_ended_as(&world, &daemon, &process, "workspace_replaced");
    });
}

#[test]
fn a_deletion_that_the_daemon_watched_is_proof_enough() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("workspace").real().start();
        let daemon = world.daemon();
        assert_not_orphan(&daemon, &process);
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        assert_ended_as(&world, &daemon, &process, "workspace_replaced");
    });
}

#[test]
fn a_directory_put_in_the_place_of_a_deleted_one_by_somebody_else_replaces_it_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let old = world.healthy("workspace").real_without_ticks().start();
        delete_workspace(&world.path("workspace"));
        // Somebody else's workspace now, with a coordinator of its own, which is none of ours.
        let new = world.healthy("workspace").real_without_ticks().start();
        assert_ended_as(&world, &daemon, &old, "workspace_replaced");
        assert_eq!(judged(&daemon, &new)["reason"], "workspace_alive");
        assert!(new.is_alive());
    });
}

#[test]
fn a_pid_file_that_names_the_process_clears_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let process = world.healthy("workspace").real().start();
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        assert_orphan(&daemon, &process, "workspace_replaced");

        let pid_file = world.path("workspace/.team/runtime/coordinator.pid");
        fs::write(&pid_file, process.pid.to_string()).unwrap();
        let entry = assert_not_orphan(&daemon, &process);
        assert_eq!(entry["reason"], "workspace_alive", "{entry:#}");
        let fix = daemon.fix();
        assert_eq!(fix["killed"], serde_json::json!([]), "{fix:#}");
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn only_a_missing_pid_file_or_another_number_counts_as_not_naming_the_process() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real().start();
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        let pid_file = world.path("workspace/.team/runtime/coordinator.pid");

        for another_number in ["1", "99999"] {
            fs::write(&pid_file, another_number).unwrap();
            assert_orphan(&daemon, &process, "workspace_replaced");
        }
        let endless = "1".repeat(100);
        for not_a_number in ["", "soon", "-1", "12 13", &endless] {
            fs::write(&pid_file, not_a_number).unwrap();
            assert_not_orphan(&daemon, &process);
        }

        // Links are not followed: this one would lead to another number.
        fs::write(world.path("number"), "1").unwrap();
        fs::remove_file(&pid_file).unwrap();
        symlink(world.path("number"), &pid_file).unwrap();
        assert_not_orphan(&daemon, &process);

        // Nobody will ever write to this pipe: reading it must not block.
        fs::remove_file(&pid_file).unwrap();
        nix::unistd::mkfifo(&pid_file, Mode::S_IRWXU).unwrap();
        assert_not_orphan(&daemon, &process);

        fs::remove_file(&pid_file).unwrap();
        assert_orphan(&daemon, &process, "workspace_replaced");
    });
}

#[test]
fn a_text_that_says_deleted_proves_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let process = world.healthy("workspace (deleted)").real().start();
        let entry = assert_not_orphan(&daemon, &process);
        assert_eq!(entry["reason"], "workspace_alive", "{entry:#}");
        daemon.fix();
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn a_log_deleted_from_a_workspace_that_is_still_the_same_proves_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let process = world.healthy("workspace").real().start();
        let runtime = world.path("workspace/.team/runtime");
        fs::remove_file(runtime.join("coordinator.log")).unwrap();
        fs::remove_file(runtime.join("coordinator.pid")).unwrap();
        assert_not_orphan(&daemon, &process);
        daemon.fix();
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn an_exited_coordinator_that_nobody_has_waited_for_is_not_listed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.orphan("gone").start();
        assert_eq!(daemon.scan()["scanned"], 1);
        crate::support::signal(process.pid, rustix::process::Signal::TERM);
        wait_until("it has exited", || process.has_exited());
        assert!(
            Path::new(&format!("/proc/{}", process.pid)).exists(),
            "still a zombie"
        );
        assert_eq!(daemon.scan()["scanned"], 0);
    });
}

#[test]
fn a_coordinator_that_was_left_to_init_is_judged_like_any_other() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let healthy = world.healthy("workspace").with("FORK", 1).start();
        let orphan = world.orphan("gone").with("FORK", 1).start();
        let scan = daemon.scan();
        assert_eq!(entry_of(&scan["coordinators"], orphan.pid)["ppid"], 1);
        assert_eq!(entry_of(&scan["coordinators"], healthy.pid)["ppid"], 1);
        let fix = daemon.fix();
        assert_eq!(
            crate::support::pids(&fix["killed"]),
            [orphan.pid],
            "{fix:#}"
        );
        assert!(orphan.has_exited());
        assert!(healthy.is_alive());
        survivors.assert_alive();
    });
}
