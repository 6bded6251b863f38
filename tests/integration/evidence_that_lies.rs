//! Evidence that says less than it seems to, and some that says more.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::support::{
    Daemon, Recipe, Settings, StandIn, World, delete_workspace, entry_of, in_private_pid_namespace,
    pids, skip, wait_until,
};
use crate::volumes::{assert_unknown, jail};

fn judged(daemon: &Daemon, pid: u32) -> Value {
    entry_of(&daemon.scan()["coordinators"], pid).clone()
}

/// Whatever it is taken for, it is no orphan, and a fix leaves it alone.
#[track_caller]
fn assert_left_alone(world: &World, daemon: &Daemon, process: &StandIn) {
    let survivors = world.survivors();
    let entry = judged(daemon, process.pid);
    assert_ne!(entry["verdict"], "orphan", "{entry:#}");
    assert_eq!(daemon.fix()["killed"], json!([]));
    assert!(process.is_alive());
    world.event_log().assert_never_signalled(process.pid);
    survivors.assert_alive();
}

#[track_caller]
fn assert_ended_as(world: &World, daemon: &Daemon, process: &StandIn, reason: &str) {
    let survivors = world.survivors();
    assert_eq!(judged(daemon, process.pid)["reason"], reason);
    let fix = daemon.fix();
    assert_eq!(pids(&fix["killed"]), [process.pid], "{fix:#}");
    assert!(process.has_exited());
    survivors.assert_alive();
}

fn protecting(path: &Path) -> Settings {
    Settings::default().with(&format!("[orphan]\nprotect = [{path:?}]"))
}

#[track_caller]
fn assert_protected(world: &World, daemon: &Daemon, process: &StandIn) {
    let survivors = world.survivors();
    assert_eq!(judged(daemon, process.pid)["verdict"], "orphan");
    let fix = daemon.fix();
    assert_eq!(fix["killed"], json!([]), "{fix:#}");
    let spared = entry_of(&fix["spared"], process.pid);
    assert!(spared.to_string().contains("\"protected\""), "{spared:#}");
    assert!(process.is_alive());
    world.event_log().assert_never_signalled(process.pid);
    survivors.assert_alive();
}

#[test]
fn a_protected_workspace_that_is_reached_through_a_link_is_protected() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let precious = world.directory("precious");
        let workspace = world.directory("precious/workspace");
        symlink(&precious, world.path("link")).unwrap();
        let process = Recipe::coordinator(&world, world.path("link/workspace"))
            .in_directory(&workspace)
            .start();
        let daemon = world.daemon_with(&protecting(&precious));
        fs::remove_dir(&workspace).unwrap();
        assert_protected(&world, &daemon, &process);
    });
}

#[test]
fn a_protected_workspace_that_is_reached_from_behind_a_link_is_protected() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let precious = world.directory("precious");
        let workspace = world.directory("precious/workspace");
        world.directory("precious/other");
        symlink(precious.join("other"), world.path("link")).unwrap();
        let process = Recipe::coordinator(&world, world.path("link/../workspace"))
            .in_directory(&workspace)
            .start();
        let daemon = world.daemon_with(&protecting(&precious));
        fs::remove_dir(&workspace).unwrap();
        assert_protected(&world, &daemon, &process);
    });
}

#[test]
fn a_protected_path_that_is_a_link_protects_what_it_leads_to() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.orphan("precious/workspace").start();
        let precious = world.directory("precious");
        symlink(&precious, world.path("link")).unwrap();
        let daemon = world.daemon_with(&protecting(&world.path("link")));
        assert_protected(&world, &daemon, &process);
    });
}

#[test]
fn a_log_with_another_link_shows_that_the_workspace_is_elsewhere() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real_without_ticks().start();
        // What `cp -al` makes of it.
        let backup = world.directory("backup/.team/runtime");
        let log = world.path("workspace/.team/runtime/coordinator.log");
        fs::hard_link(log, backup.join("coordinator.log")).unwrap();
        delete_workspace(&world.path("workspace"));
        assert_eq!(assert_unknown(&world, &daemon, &process), "workspace_moved");
        world.directory("workspace");
        assert_eq!(assert_unknown(&world, &daemon, &process), "workspace_moved");
    });
}

#[test]
fn a_log_that_was_removed_by_hand_proves_nothing_when_the_workspace_moves() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        // Its cwd is elsewhere: the log is all it holds.
        let process = world
            .healthy("workspace")
            .with("REAL", 1)
            .with("TICK_MS", 0)
            .start();
        assert_eq!(judged(&daemon, process.pid)["verdict"], "alive");
        fs::remove_dir_all(world.path("workspace/.team")).unwrap();
        assert_left_alone(&world, &daemon, &process);
        fs::rename(world.path("workspace"), world.path("moved")).unwrap();
        assert_left_alone(&world, &daemon, &process);
        world.directory("workspace");
        assert_left_alone(&world, &daemon, &process);
    });
}

#[test]
fn a_directory_that_is_older_than_the_process_has_replaced_nothing_under_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let workspace = world.directory("workspace");
        let deleted = File::open(&workspace).unwrap();
        fs::remove_dir(&workspace).unwrap();
        fs::create_dir(&workspace).unwrap();
        let Ok(born) = fs::metadata(&workspace).unwrap().created() else {
            return skip("a file system with birth times on /tmp");
        };
        wait_until("the new directory has some age", || {
            born.elapsed().is_ok_and(|age| age > Duration::from_secs(2))
        });
        // A shell that still stands in the deleted one starts it.
        let shell = format!("/proc/self/fd/{}", deleted.as_raw_fd());
        let process = Recipe::coordinator(&world, &workspace)
            .in_directory(Path::new(&shell))
            .start();
        let cwd = fs::read_link(format!("/proc/{}/cwd", process.pid)).unwrap();
        assert!(cwd.to_string_lossy().ends_with("workspace (deleted)"));
        let daemon = world.daemon();
        assert_left_alone(&world, &daemon, &process);
    });
}

#[test]
fn a_worker_with_the_argv_of_the_coordinator_that_forked_it_is_no_orphan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let workspace = world.directory("workspace");
        let same = format!(
            "python3\n-m\nteam_agent.coordinator\n--workspace\n{}",
            workspace.display()
        );
        let parent = world
            .healthy("workspace")
            .real_without_ticks()
            .with("CHILDREN", 1)
            .with("CHILD_ARGV", same)
            .start();
        let worker = parent.children[0];
        assert_eq!(judged(&daemon, worker)["verdict"], "alive");
        // Restored from a backup, with the pid file, which names the parent.
        let backup = world.directory("backup/.team/runtime");
        fs::write(backup.join("coordinator.pid"), parent.pid.to_string()).unwrap();
        delete_workspace(&workspace);
        fs::rename(world.path("backup"), &workspace).unwrap();
        let entry = judged(&daemon, worker);
        assert_ne!(entry["verdict"], "orphan", "{entry:#}");
        assert_left_alone(&world, &daemon, &parent);
        assert!(crate::support::is_alive(worker));
        world.event_log().assert_never_signalled(worker);
    });
}

#[test]
fn a_file_in_the_place_of_a_deleted_workspace_replaces_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("workspace").with("CHDIR", 1).start();
        let daemon = world.daemon();
        assert_eq!(judged(&daemon, process.pid)["verdict"], "alive");
        fs::remove_dir(world.path("workspace")).unwrap();
        fs::write(world.path("workspace"), "").unwrap();
        assert_ended_as(&world, &daemon, &process, "workspace_replaced");
    });
}

fn limit_descriptors(daemon: &Daemon, limit: u64) {
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(4096),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

#[test]
fn what_cannot_be_opened_for_want_of_descriptors_is_not_taken_for_missing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let jail = jail(&world);
        // Directly below its root: nearly nothing has to be opened before the file that speaks for it.
        let workspace = "/tad-a-moved-workspace";
        let inside = world.directory(format!("jail{workspace}/.team/runtime"));
        let process = Recipe::coordinator(&world, workspace)
            .with("CHROOT", jail.display())
            .with("CHDIR", 1)
            .start();
        fs::write(inside.join("coordinator.pid"), process.pid.to_string()).unwrap();
        let from = jail.join(workspace.strip_prefix('/').unwrap());
        fs::rename(from, jail.join("elsewhere")).unwrap();
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(vec![workspace.into()]),
            ..Settings::default()
        });
        let survivors = world.survivors();
        let mut connection = daemon.connect();
        // When that is answered the connection has its descriptor.
        connection.reply("version", &json!({}));
        let in_use = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
            .unwrap()
            .count() as u64;
        let (mut failed, mut judged) = (0, 0);
        for limit in in_use..in_use + 20 {
            limit_descriptors(&daemon, limit);
            let reply = connection.reply("fix", &json!({"confirm": true}));
            if reply["error"].is_object() {
                failed += 1;
                continue;
            }
            judged += 1;
            let entry = entry_of(&reply["result"]["coordinators"], process.pid);
            assert_eq!(
                entry["reason"], "workspace_moved",
                "with {limit}: {entry:#}"
            );
        }
        assert!(failed > 0 && judged > 0, "{failed} {judged}");
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn a_scan_that_runs_out_of_descriptors_fails_as_a_whole_and_clears_nobody() {
    const MANY: usize = 12;
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..MANY)
            .map(|number| {
                let name = format!("a/b/c/d/workspace-{number}");
                let process = world.healthy(&name).with("CHDIR", 1).start();
                fs::remove_dir(world.path(&name)).unwrap();
                world.directory(&name);
                process
            })
            .collect();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        let scan = connection.call("scan", &json!({}));
        assert_eq!(pids(&scan["orphans"]).len(), MANY, "{scan:#}");

        let in_use = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
            .unwrap()
            .count() as u64;
        let mut failed = 0;
        // Wherever in a scan it is that they run out.
        for limit in in_use..in_use + 80 {
            limit_descriptors(&daemon, limit);
            let reply = connection.reply("scan", &json!({}));
            if reply["error"].is_object() {
                failed += 1;
            } else {
                let orphans = &reply["result"]["orphans"];
                assert_eq!(pids(orphans).len(), MANY, "with {limit}: {reply:#}");
            }
        }
        assert!(failed > 0, "they never ran out");
        limit_descriptors(&daemon, 4096);
        let scan = connection.call("scan", &json!({}));
        assert_eq!(pids(&scan["orphans"]).len(), MANY, "{scan:#}");
        assert_eq!(world.event_log().named("orphan.cleared"), [Value::Null; 0]);
        assert!(orphans.iter().all(StandIn::is_alive));
        survivors.assert_alive();
    });
}
