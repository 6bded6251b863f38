//! Live coordinators that were killed because their workspace was taken for missing, or for a test's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::mount::{MountFlags, mount, mount_bind};
use serde_json::json;

use crate::support::{
    Daemon, Recipe, Settings, StandIn, World, entry_of, in_private_pid_namespace, pids, skip,
};

/// The daemon sees it, for `reason` does not take it for an orphan, and no fix ends it, not even one
/// that names it; and one that is an orphan ends all the same.
#[track_caller]
fn assert_survives(world: &World, daemon: &Daemon, process: &StandIn, reason: &str) {
    let survivors = world.survivors();
    let scan = daemon.scan();
    let entry = entry_of(&scan["coordinators"], process.pid);
    assert_eq!(entry["reason"], reason, "{entry:#}");
    assert_eq!(scan["orphans"], json!([]), "{scan:#}");

    let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
    assert_eq!(fix["killed"], json!([]), "{fix:#}");
    let pid = process.pid.to_string();
    let named = world.ctl(["--json", "fix", "--confirm", "--pid", &pid]);
    let named = named.json_with(1);
    assert_eq!(pids(&named["spared"]), [process.pid], "{named:#}");
    assert_eq!(named["killed"], json!([]), "{named:#}");
    assert!(process.is_alive());
    world.event_log().assert_never_signalled(process.pid);
    survivors.assert_alive();
}

fn mount_tmpfs(on: &Path) {
    mount("tad", on, "tmpfs", MountFlags::empty(), None).expect("mounting a tmpfs");
}

#[test]
fn the_original_killed_the_coordinator_of_a_workspace_with_a_space_in_its_path() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("My Project").real().start();
        assert_survives(&world, &daemon, &process, "workspace_alive");
        // What the name was cut to was missing; and one that is there does not save an orphan.
        world.directory("My");
        let orphan = world.orphan("My Other Project").start();
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert!(process.is_alive());
    });
}

/// Without these root may look into every directory.
const NOT_INTO_EVERY_DIRECTORY: [&str; 3] = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
];

#[test]
fn the_original_killed_a_coordinator_whose_workspace_it_was_not_allowed_to_see() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let process = world
            .healthy("closed/workspace")
            .real_without_ticks()
            .through(&NOT_INTO_EVERY_DIRECTORY)
            .start();
        let nobody = fs::Permissions::from_mode(0o000);
        fs::set_permissions(world.path("closed"), nobody).unwrap();
        let daemon = Daemon::start_through(&world, &NOT_INTO_EVERY_DIRECTORY);
        assert_survives(&world, &daemon, &process, "workspace_unreadable:EACCES");
    });
}

#[test]
fn the_original_killed_a_coordinator_whose_path_goes_round_in_a_circle_or_has_too_long_a_name() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        symlink(world.path("two"), world.path("one")).unwrap();
        symlink(world.path("one"), world.path("two")).unwrap();
        let loops = world.orphan("one/workspace").start();
        assert_survives(&world, &daemon, &loops, "workspace_unreadable:ELOOP");
        drop(loops);

        let long = world.orphan("x".repeat(300)).start();
        assert_survives(&world, &daemon, &long, "workspace_unreadable:ENAMETOOLONG");
    });
}

/// Makes directories one in another until the path of the last is longer than any system call takes.
fn deeper_than_a_path_can_be_long(top: PathBuf) -> PathBuf {
    let name = "d".repeat(250);
    let mut directory = openat(CWD, &top, OFlags::PATH, Mode::empty()).unwrap();
    let mut path = top;
    for _ in 0..20 {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        directory = openat(&directory, &name, OFlags::PATH, Mode::empty()).unwrap();
        path.push(&name);
    }
    path
}

#[test]
fn the_original_killed_a_coordinator_whose_path_is_longer_than_a_system_call_takes() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let path = deeper_than_a_path_can_be_long(world.directory("deep"));
        let error = fs::metadata(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENAMETOOLONG));
        let process = Recipe::coordinator(&world, &path).start();
        let reason = "workspace_unreadable:ENAMETOOLONG";
        assert_survives(&world, &daemon, &process, reason);
    });
}

#[test]
fn the_original_killed_a_coordinator_in_a_chroot_whose_path_leads_through_an_absolute_symlink() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let jail = world.directory("jail");
        // Of the outside, only the place where the stand-ins report is seen in there.
        let ready = world.path("ready");
        let inside = jail.join(ready.strip_prefix("/").unwrap());
        fs::create_dir_all(&inside).unwrap();
        mount_bind(&ready, &inside).unwrap();
        world.directory("jail/projects-of-tad/workspace");
        symlink("/projects-of-tad", jail.join("link")).unwrap();
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(vec!["/link".into(), world.path("")]),
            ..Settings::default()
        });
        let process = Recipe::coordinator(&world, "/link/workspace")
            .with("CHROOT", jail.display())
            .start();
        let from_out_here = format!("/proc/{}/root/link/workspace", process.pid);
        assert!(!Path::new(&from_out_here).exists(), "it leads out of there");
        assert_survives(&world, &daemon, &process, "workspace_alive");
    });
}

#[test]
fn the_original_killed_a_coordinator_whose_workspace_is_on_a_volume_of_its_own_mount_namespace() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let parent = world.directory("parent");
        let workspace = parent.join("workspace");
        let private = r#"mount -t tmpfs tad "$0" && mkdir "$0/workspace" && exec "$@""#;
        let through = ["unshare", "--mount", "bash", "-c", private];
        let parent = parent.to_str().unwrap();
        let process = Recipe::coordinator(&world, &workspace)
            .through(&[&through[..], &[parent]].concat())
            .start();
        assert!(!workspace.exists(), "not out here");
        let daemon = world.daemon();
        assert_survives(&world, &daemon, &process, "workspace_alive");
    });
}

#[test]
fn the_original_killed_a_coordinator_that_was_given_a_relative_workspace() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        world.directory("elsewhere/workspace");
        let process = Recipe::coordinator(&world, "workspace")
            .in_directory(&world.path("elsewhere"))
            .start();
        assert!(!world.path("home/workspace").exists(), "not for the daemon");
        assert_survives(&world, &daemon, &process, "workspace_alive");
    });
}

#[test]
fn the_original_killed_a_coordinator_at_home_whose_workspace_begins_like_that_of_a_test() {
    in_private_pid_namespace(|| {
        if !Path::new("/home").is_dir() {
            return skip("a directory /home");
        }
        let world = World::new();
        // Seen by this test alone, and below none of the built-in temporary roots.
        mount_tmpfs(Path::new("/home"));
        let workspace = Path::new("/home/me/team-agent-staged-rollout");
        fs::create_dir_all(workspace).unwrap();
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(vec![world.path(""), "/home".into()]),
            ..Settings::default()
        });
        let process = Recipe::coordinator(&world, workspace).start();
        assert_survives(&world, &daemon, &process, "workspace_alive");
        // In /tmp the same name is a test's.
        let ephemeral = world.healthy("team-agent-staged-rollout").start();
        let fix = ["--json", "fix", "--confirm"];
        let fix = [&fix[..], &["--reason", "ephemeral_tempdir_pattern"]].concat();
        let fix = world.ctl(fix).json_with(0);
        assert_eq!(pids(&fix["killed"]), [ephemeral.pid], "{fix:#}");
        assert!(process.is_alive());
    });
}
