//! A workspace that is not where its path says, but not gone either: moved, unmounted, or in the
//! trash. Only the last of these ends a coordinator.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use serde_json::json;

use crate::support::{
    Daemon, Settings, StandIn, World, entry_of, in_private_pid_namespace, skip,
    wait_until_made_again,
};

/// Judged unknown for `reason`, and left alone by every fix, even one that names it.
#[track_caller]
fn assert_left_alone(world: &World, daemon: &Daemon, process: &StandIn, reason: &str) {
    let survivors = world.survivors();
    let scan = daemon.scan();
    let entry = entry_of(&scan["coordinators"], process.pid);
    assert_eq!(entry["reason"], reason, "{entry:#}");
    assert_eq!(entry["verdict"], "unknown", "{entry:#}");
    assert_eq!(scan["orphans"], json!([]), "{scan:#}");

    assert_eq!(daemon.fix()["killed"], json!([]));
    let named = world.ctl([
        "--json",
        "fix",
        "--confirm",
        "--pid",
        &process.pid.to_string(),
    ]);
    let named = named.json_with(1);
    assert_eq!(
        entry_of(&named["spared"], process.pid)["reason"],
        reason,
        "{named:#}"
    );
    assert_eq!(named["killed"], json!([]));
    assert!(process.is_alive());
    world.event_log().assert_never_signalled(process.pid);
    survivors.assert_alive();
}

#[track_caller]
fn assert_ended_as_trashed(world: &World, daemon: &Daemon, process: &StandIn) {
    let survivors = world.survivors();
    let scan = daemon.scan();
    let entry = entry_of(&scan["orphans"], process.pid);
    assert_eq!(entry["reason"], "workspace_trashed", "{entry:#}");
    let fix = daemon.fix();
    entry_of(&fix["killed"], process.pid);
    assert!(process.has_exited());
    survivors.assert_alive();
}

fn mount_tmpfs(on: &Path) {
    mount("tad", on, "tmpfs", MountFlags::empty(), None).expect("mounting a tmpfs");
}

/// Moves a workspace away from under a coordinator and waits until it has made it again.
fn move_away(workspace: &Path, to: &Path) {
    fs::rename(workspace, to).unwrap();
    wait_until_made_again(workspace);
}

#[test]
fn the_coordinator_of_a_moved_workspace_is_left_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real_without_ticks().start();
        fs::rename(world.path("workspace"), world.path("moved")).unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
    });
}

#[test]
fn a_moved_workspace_that_was_made_again_is_not_a_replaced_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // Once by its cwd and its log, once by its log alone.
        for (name, recipe) in [
            ("one", world.healthy("one").real()),
            ("two", world.healthy("two").with("REAL", 1)),
        ] {
            let process = recipe.start();
            move_away(&world.path(name), &world.path(format!("{name}-moved")));
            let daemon = world.daemon();
            assert_left_alone(&world, &daemon, &process, "workspace_moved");
        }
    });
}

#[test]
fn a_move_that_the_daemon_saw_is_not_a_deletion() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world.healthy("workspace").real().start();
        let daemon = world.daemon_with(&Settings::watchful());
        daemon.scan();
        move_away(&world.path("workspace"), &world.path("moved"));
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
    });
}

#[test]
fn a_pid_file_in_its_cwd_shows_where_a_missing_workspace_went() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let cwd = world.directory("moved");
        let runtime = world.directory("moved/.team/runtime");
        let process = world.orphan("gone").in_directory(&cwd).start();
        fs::write(runtime.join("coordinator.pid"), process.pid.to_string()).unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
        // Half written, or no file at all: it does not name anybody else.
        fs::write(runtime.join("coordinator.pid"), "").unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
        fs::remove_file(runtime.join("coordinator.pid")).unwrap();
        fs::create_dir(runtime.join("coordinator.pid")).unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
    });
}

#[test]
fn a_workspace_in_the_trash_of_its_home_ends_its_coordinator() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("home/workspace").real().start();
        let trash = world.directory("home/.local/share/Trash/files");
        move_away(&world.path("home/workspace"), &trash.join("workspace"));
        assert_ended_as_trashed(&world, &daemon, &process);
    });
}

#[test]
fn a_workspace_in_the_trash_of_its_volume_ends_its_coordinator() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let volume = world.directory("volume");
        mount_tmpfs(&volume);
        let process = world.healthy("volume/workspace").real().start();
        let trash = world.directory("volume/.Trash-0/files");
        move_away(&volume.join("workspace"), &trash.join("workspace"));
        assert_ended_as_trashed(&world, &daemon, &process);
    });
}

#[test]
fn a_directory_that_is_only_called_trash_is_not_the_trash() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real_without_ticks().start();
        let trash = world.directory("project/.Trash-0/files");
        fs::rename(world.path("workspace"), trash.join("workspace")).unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_moved");
    });
}

#[test]
fn a_lazily_unmounted_workspace_is_not_a_deleted_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let volume = world.directory("volume");
        mount_tmpfs(&volume);
        let process = world.healthy("volume/workspace").real().start();
        unmount(&volume, UnmountFlags::DETACH).unwrap();
        assert!(
            !volume
                .join("workspace/.team/runtime/coordinator.pid")
                .exists()
        );
        assert_left_alone(&world, &daemon, &process, "workspace_unmounted");
        // It makes its workspace again on what was below the volume.
        wait_until_made_again(&volume.join("workspace"));
        assert_left_alone(&world, &daemon, &process, "workspace_unmounted");
    });
}

#[test]
fn a_missing_workspace_where_volumes_are_mounted_may_come_back() {
    in_private_pid_namespace(|| {
        if !Path::new("/mnt").is_dir() {
            return skip("a directory /mnt");
        }
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(vec![world.path(""), "/mnt".into()]),
            ..Settings::default()
        });
        mount_tmpfs(Path::new("/mnt"));
        fs::create_dir(Path::new("/mnt/disk")).unwrap();
        let process = crate::support::Recipe::coordinator(&world, "/mnt/disk/workspace").start();
        assert_left_alone(&world, &daemon, &process, "workspace_unmounted");
    });
}

#[test]
fn a_missing_workspace_below_a_mount_point_of_fstab_may_come_back() {
    in_private_pid_namespace(|| {
        if !Path::new("/etc/fstab").is_file() {
            return skip("a file /etc/fstab to put another one over");
        }
        let world = World::new();
        let point = world.directory("disk");
        let table = format!("/dev/tad {} ext4 noauto 0 0\n", point.display());
        fs::write(world.path("fstab"), table).unwrap();
        mount_bind(world.path("fstab"), "/etc/fstab").unwrap();
        let daemon = world.daemon();
        let process = world.orphan("disk/workspace").start();
        assert_left_alone(&world, &daemon, &process, "workspace_unmounted");
    });
}

#[test]
fn a_missing_workspace_on_a_volume_the_daemon_remembers_may_come_back() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = world.directory("volume");
        mount_tmpfs(&volume);
        // No cwd and no log on the volume: nothing but the daemon's memory tells of it.
        let process = world.healthy("volume/workspace").start();
        let daemon = world.daemon();
        assert_eq!(daemon.scan()["orphans"], json!([]));
        unmount(&volume, UnmountFlags::empty()).unwrap();
        assert_left_alone(&world, &daemon, &process, "workspace_unmounted");
    });
}
