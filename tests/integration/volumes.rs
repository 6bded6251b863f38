//! Volumes that come and go under a workspace: none of it is a deletion.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use serde_json::{Value, json};

use crate::support::{
    Daemon, Recipe, Settings, Silence, StandIn, World, delete_workspace, entry_of,
    in_private_pid_namespace, skip, wait_until,
};

fn judged(daemon: &Daemon, process: &StandIn) -> Value {
    entry_of(&daemon.scan()["coordinators"], process.pid).clone()
}

/// Not an orphan but unknown, and left alone by a fix of everything and by one that names it.
#[track_caller]
pub(crate) fn assert_unknown(world: &World, daemon: &Daemon, process: &StandIn) -> Value {
    let survivors = world.survivors();
    let entry = judged(daemon, process);
    assert_eq!(entry["verdict"], "unknown", "{entry:#}");
    for params in [
        json!({"confirm": true}),
        json!({"confirm": true, "pids": [process.pid]}),
    ] {
        let fix = daemon.call("fix", &params);
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
    }
    assert!(process.is_alive());
    world.event_log().assert_never_signalled(process.pid);
    survivors.assert_alive();
    entry["reason"].clone()
}

fn mount_tmpfs(on: &Path) {
    mount("tad", on, "tmpfs", MountFlags::empty(), None).expect("mounting a tmpfs");
}

/// A volume with a workspace on it.
fn volume(world: &World) -> PathBuf {
    let volume = world.directory("volume");
    mount_tmpfs(&volume);
    world.directory("volume/workspace");
    volume
}

/// The number of the mount on `point`, and the device mounted there.
fn mount_number(point: &Path) -> (String, String) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // The last one is on top.
    let found = table
        .lines()
        .rev()
        .map(fields)
        .find(|line| Path::new(&line[4]) == point);
    let line = found.expect("a mount point");
    (line[0].clone(), line[2].clone())
}

/// Mounts volumes until one has got this number, if it can be got: the kernel gives the lowest free
/// one, for which all namespaces of the machine compete.
fn mount_with_number(number: &(String, String), place: impl Fn(u32) -> PathBuf) {
    for count in 0..20 {
        let place = place(count);
        mount_tmpfs(&place);
        if mount_number(&place) == *number {
            return;
        }
    }
}

#[test]
fn a_mount_that_takes_over_the_number_of_one_that_is_gone_is_another_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = volume(&world);
        // Neither cwd nor log is there: nothing but what the daemon remembers tells of the volume.
        let process = world.healthy("volume/workspace").start();
        let daemon = world.daemon();
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        let number = mount_number(&volume);
        unmount(&volume, UnmountFlags::empty()).unwrap();
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_unmounted"
        );
        mount_with_number(&number, |other| world.directory(format!("other-{other}")));
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_unmounted"
        );
    });
}

#[test]
fn an_empty_volume_in_the_place_of_one_that_is_gone_is_another_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = volume(&world);
        let process = world.healthy("volume/workspace").start();
        let daemon = world.daemon();
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        let number = mount_number(&volume);
        unmount(&volume, UnmountFlags::empty()).unwrap();
        // One upon the other: the last one counts.
        mount_with_number(&number, |_| volume.clone());
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_unmounted"
        );
    });
}

#[test]
fn a_directory_made_on_the_mount_point_does_not_make_the_daemon_forget_the_volume() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = volume(&world);
        let process = world.healthy("volume/workspace").start();
        let daemon = world.daemon();
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        unmount(&volume, UnmountFlags::empty()).unwrap();
        // A tick of the coordinator makes it, and whoever mounts the volume again removes it.
        let made = world.directory("volume/workspace");
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_maybe_replaced"
        );
        fs::remove_dir(made).unwrap();
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_unmounted"
        );
    });
}

#[test]
fn a_workspace_below_a_directory_that_was_mounted_over_is_hidden_and_not_gone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let parent = world.directory("parent");
        let without_witness = world.healthy("parent/workspace").start();
        let inside = world.healthy("parent/workspace").with("CHDIR", 1).start();
        let daemon = world.daemon();
        for process in [&without_witness, &inside] {
            assert_eq!(judged(&daemon, process)["verdict"], "alive");
        }
        mount_tmpfs(&parent);
        for process in [&without_witness, &inside] {
            assert_unknown(&world, &daemon, process);
        }
        world.directory("parent/workspace");
        assert_unknown(&world, &daemon, &without_witness);
        assert_ne!(judged(&daemon, &inside)["verdict"], "orphan");

        unmount(&parent, UnmountFlags::empty()).unwrap();
        for process in [&without_witness, &inside] {
            assert_eq!(judged(&daemon, process)["verdict"], "alive");
            assert!(process.is_alive());
        }
    });
}

#[test]
fn a_cwd_on_a_volume_that_was_detached_before_the_daemon_started_may_be_the_workspace() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = volume(&world);
        let process = world.healthy("volume/workspace").with("CHDIR", 1).start();
        unmount(&volume, UnmountFlags::DETACH).unwrap();
        let cwd = fs::read_link(format!("/proc/{}/cwd", process.pid)).unwrap();
        assert_ne!(
            cwd,
            volume.join("workspace"),
            "the kernel's name for it is cut short"
        );
        let daemon = world.daemon();
        assert_eq!(
            assert_unknown(&world, &daemon, &process),
            "workspace_unmounted"
        );
    });
}

#[test]
fn a_directory_named_trashes_is_no_trash_on_linux() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = volume(&world);
        let process = world.healthy("volume/workspace").with("CHDIR", 1).start();
        let daemon = world.daemon();
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        let trashes = world.directory("volume/.Trashes");
        fs::rename(volume.join("workspace"), trashes.join("workspace")).unwrap();
        assert_eq!(assert_unknown(&world, &daemon, &process), "workspace_moved");
    });
}

/// A directory in which coordinators can have their root. Of the outside, only the place where the stand-ins report is
/// seen in there.
pub(crate) fn jail(world: &World) -> PathBuf {
    let jail = world.directory("jail");
    let ready = world.path("ready");
    let inside = jail.join(ready.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    mount_bind(&ready, &inside).unwrap();
    jail
}

#[test]
fn what_hung_until_its_volume_was_unmounted_is_not_deleted() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = world.directory("volume");
        let Some(silence) = Silence::over(&volume) else {
            return skip("FUSE mounts");
        };
        let process = Recipe::coordinator(&world, volume.join("workspace")).start();
        let daemon = world.daemon();
        let reason = |process: &StandIn| judged(&daemon, process)["reason"].clone();
        for _ in 0..3 {
            assert_eq!(reason(&process), "workspace_timeout");
        }
        drop(silence);
        wait_until("there is an answer again", || {
            reason(&process) != "workspace_timeout"
        });
        let unknown = assert_unknown(&world, &daemon, &process);
        assert_eq!(unknown, "workspace_unmounted");
        // One that is started only now has never been seen to hang.
        let later = Recipe::coordinator(&world, volume.join("workspace")).start();
        assert_eq!(reason(&later), "workspace_path_missing");
    });
}

#[test]
fn a_workspace_of_the_same_name_in_another_root_is_not_selected() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let jail = jail(&world);
        let gone = world.path("gone");
        let prisoner = || {
            Recipe::coordinator(&world, &gone)
                .with("CHROOT", jail.display())
                .start()
        };
        let prisoners = [prisoner(), prisoner()];
        let outside = world.orphan("gone").start();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let fix = |workspace: &Path, pids: &[u32]| {
            let mut params = json!({"confirm": true, "workspaces": [workspace]});
            if !pids.is_empty() {
                params["pids"] = json!(pids);
            }
            crate::support::pids(&daemon.call("fix", &params)["killed"])
        };
        assert_eq!(fix(&gone, &[]), [outside.pid]);
        assert!(prisoners.iter().all(StandIn::is_alive));
        // Its own name for it, and itself: that is `watch`, which shows both.
        assert_eq!(fix(&gone, &[prisoners[0].pid]), [prisoners[0].pid]);
        let as_it_is_out_here = jail.join(gone.strip_prefix("/").unwrap());
        assert_eq!(fix(&as_it_is_out_here, &[]), [prisoners[1].pid]);
        survivors.assert_alive();
    });
}

#[test]
fn what_shows_below_a_volume_that_went_is_not_what_the_process_was_started_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let volume = world.directory("volume");
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| world.directory(name));
        // A directory on it cannot be known again.
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let layers = CString::new(layers).unwrap();
        if mount(
            "tad",
            &volume,
            "overlay",
            MountFlags::empty(),
            Some(layers.as_c_str()),
        )
        .is_err()
        {
            return skip("an overlay");
        }
        let process = world.healthy("volume/ws").start();
        let daemon = world.daemon();
        let survivors = world.survivors();
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        unmount(&volume, UnmountFlags::DETACH).unwrap();
        // The coordinator makes its workspace again, and somebody clears that away.
        let stray = world.directory("volume/ws");
        assert_eq!(judged(&daemon, &process)["verdict"], "alive");
        fs::remove_dir(&stray).unwrap();
        assert_eq!(judged(&daemon, &process)["reason"], "workspace_unmounted");
        world.directory("volume/ws");
        let fix = daemon.fix();
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
        world.event_log().assert_never_signalled(process.pid);
        assert!(process.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn below_a_plain_chroot_a_workspace_is_judged_like_any_other() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let jail = jail(&world);
        let prisoner = |workspace: &str| {
            world.directory(format!("jail/{workspace}"));
            Recipe::coordinator(&world, format!("/{workspace}"))
                .with("CHROOT", jail.display())
                .with("CHDIR", 1)
                .start()
        };
        let alive = prisoner("alive");
        let orphan = prisoner("gone");
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(Vec::new()),
            ..Settings::default()
        });
        let survivors = world.survivors();
        delete_workspace(&jail.join("gone"));
        // What has its name out here means nothing.
        assert_eq!(judged(&daemon, &alive)["reason"], "workspace_alive");
        assert_eq!(judged(&daemon, &orphan)["reason"], "workspace_path_missing");
        let fix = daemon.fix();
        assert_eq!(
            crate::support::pids(&fix["killed"]),
            [orphan.pid],
            "{fix:#}"
        );
        assert!(orphan.has_exited());
        assert!(alive.is_alive());
        survivors.assert_alive();
    });
}
