//! What nobody can tell is unknown, and what is unknown is never signalled.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{
    Daemon, Recipe, Settings, World, entry_of, has_exited, in_private_pid_namespace, is_alive,
    skip, stand_in_program, try_entry_of, wait_until, we_are_really_root,
};

/// Somebody whose processes are not the daemon's to judge.
const STRANGER: u32 = 54_321;

/// Judged unknown for `reason`, and left alone by every fix, even one that names it.
#[track_caller]
fn assert_left_alone(world: &World, daemon: &Daemon, pid: u32, reason: &str) {
    let survivors = world.survivors();
    let scan = daemon.scan();
    let entry = entry_of(&scan["coordinators"], pid);
    assert_eq!(entry["reason"], reason, "{entry:#}");
    assert_eq!(entry["verdict"], "unknown", "{entry:#}");
    assert_eq!(entry["is_orphan"], false, "{entry:#}");
    assert_eq!(scan["orphans"], json!([]), "{scan:#}");

    assert_eq!(daemon.fix()["killed"], json!([]));
    let named = world.ctl(["--json", "fix", "--confirm", "--pid", &pid.to_string()]);
    let named = named.json_with(1);
    assert_eq!(
        entry_of(&named["spared"], pid)["reason"],
        reason,
        "{named:#}"
    );
    assert!(is_alive(pid));
    world.event_log().assert_never_signalled(pid);
    survivors.assert_alive();
}

#[test]
fn a_symlink_that_leads_nowhere_is_no_proof_of_a_deletion() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        symlink(world.path("gone"), world.path("link")).unwrap();
        let process = world.orphan("link").start();
        assert_left_alone(&world, &daemon, process.pid, "workspace_dangling_symlink");
    });
}

#[test]
fn a_symlink_that_leads_nowhere_and_a_deleted_log_are_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let target = world.directory("target");
        symlink(&target, world.path("link")).unwrap();
        let process = world
            .orphan("link")
            .with("REAL", 1)
            .with("TICK_MS", 0)
            .start();
        assert_eq!(daemon.scan()["orphans"], json!([]));
        fs::remove_dir_all(&target).unwrap();
        let fix = daemon.fix();
        let entry = entry_of(&fix["killed"], process.pid);
        assert_eq!(entry["reason"], "workspace_path_missing", "{fix:#}");
        assert!(process.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_relative_workspace_that_is_not_there_is_unresolved() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let elsewhere = world.directory("elsewhere");
        // A directory of that name where the daemon runs means nothing.
        world.directory("home/workspace");
        let process = Recipe::coordinator(&world, "workspace")
            .in_directory(&elsewhere)
            .start();
        assert_left_alone(&world, &daemon, process.pid, "workspace_unresolved");
    });
}

#[test]
fn a_coordinator_without_a_usable_workspace_is_listed_and_left_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(Vec::new()),
            ..Settings::default()
        });
        let gone = world.path("gone");
        let gone = gone.to_str().unwrap();
        const MODULE: &str = "team_agent.coordinator";
        for argv in [
            &["python3", "-m", MODULE][..],
            &["python3", "-m", MODULE, "--workspace"],
            &["python3", "-m", MODULE, "--workspace="],
            &["python3", "-m", MODULE, "--workspace", ""],
            &["python3", "-m", MODULE, "--workspaces", gone],
            &[
                "python3",
                "-m",
                MODULE,
                "--workspace",
                gone,
                "--workspace",
                "",
            ],
            &["python3", "-m", MODULE, "--", "--workspace", gone],
            &["team-agent", "coordinator", "--work", gone],
        ] {
            let process = Recipe::new(&world, argv).start();
            let entry = daemon.scan()["coordinators"].clone();
            assert_eq!(
                entry_of(&entry, process.pid)["workspace"],
                json!(null),
                "{argv:?}"
            );
            assert_left_alone(&world, &daemon, process.pid, "cmdline_unparsed");
        }
    });
}

#[test]
fn with_roots_a_coordinator_without_a_usable_workspace_is_not_even_listed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let _process = Recipe::new(&world, ["python3", "-m", "team_agent.coordinator"]).start();
        assert_eq!(daemon.scan()["coordinators"], json!([]));
    });
}

#[test]
fn a_coordinator_outside_the_workspace_roots_is_not_the_daemons_business() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let inside = world.directory("inside");
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(vec![inside]),
            ..Settings::default()
        });
        let ours = world.orphan("inside/gone").start();
        let _outside = [
            world.orphan("outside/gone").start(),
            world.orphan("inside-not/gone").start(),
            world.orphan("inside/../gone").start(),
        ];
        let scan = daemon.scan();
        assert_eq!(
            crate::support::pids(&scan["coordinators"]),
            [ours.pid],
            "{scan:#}"
        );
        let fix = daemon.fix();
        assert_eq!(crate::support::pids(&fix["killed"]), [ours.pid], "{fix:#}");
        for process in &_outside {
            assert!(process.is_alive());
            let pid = process.pid.to_string();
            let named = world.ctl(["--json", "fix", "--confirm", "--pid", &pid]);
            let named = named.json_with(1);
            let spared = entry_of(&named["spared"], process.pid);
            assert_eq!(spared["why"], "outside_workspace_roots", "{named:#}");
            assert_eq!(spared["verdict"], "orphan", "{named:#}");
            assert_eq!(spared["signaled"], json!(null));
            assert!(process.is_alive());
        }
    });
}

#[test]
fn a_coordinator_of_another_user_is_listed_and_left_alone() {
    in_private_pid_namespace(|| {
        if !we_are_really_root() {
            return skip("root");
        }
        let world = World::new();
        world.open_to_everybody();
        let process = world.orphan("gone").with_uid(STRANGER).start();
        let daemon = world.daemon();
        let scan = daemon.scan();
        assert_eq!(
            entry_of(&scan["coordinators"], process.pid)["uid"],
            STRANGER
        );
        assert_left_alone(&world, &daemon, process.pid, "foreign_uid");
        drop(daemon);

        // Its workspace is missing indeed: to a daemon that is to look after that user, an orphan.
        let uids = "[54321]";
        let daemon = world.daemon_with(&Settings {
            uids,
            ..Settings::default()
        });
        let scan = daemon.scan();
        let entry = entry_of(&scan["orphans"], process.pid);
        assert_eq!(entry["reason"], "workspace_path_missing", "{entry:#}");
    });
}

/// A coordinator in a process table of its own below ours: its pid out here.
fn start_in_nested_namespace(world: &World) -> (Child, u32) {
    let mut unshare = Command::new("unshare");
    world.confine(&mut unshare);
    let child = unshare
        .args([
            "--pid",
            "--fork",
            "--kill-child",
            "bash",
            "-c",
            r#"exec -a python3 "$0" "$@""#,
        ])
        .arg(stand_in_program())
        .args(["-m", "team_agent.coordinator", "--workspace"])
        .arg(world.path("gone"))
        .env("STAND_IN_READY", world.path("ready/nested"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the stand-in is up", || world.path("ready/nested").exists());
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let children = fs::read_to_string(children).unwrap();
    let pid = children.trim().parse().expect("unshare has one child");
    (child, pid)
}

#[test]
fn a_coordinator_in_another_pid_namespace_is_listed_and_left_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let (mut unshare, pid) = start_in_nested_namespace(&world);
        assert_left_alone(&world, &daemon, pid, "foreign_namespace");
        unshare.kill().unwrap();
        unshare.wait().unwrap();
        wait_until("it dies with its namespace", || has_exited(pid));
        assert_eq!(try_entry_of(&daemon.scan()["coordinators"], pid), None);
    });
}
