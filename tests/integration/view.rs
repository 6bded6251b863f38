//! What hides processes or paths from the daemon: it says so at once, and reaps nothing by itself.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, World, entry_of, in_private_pid_namespace, skip, wait_until,
    we_are_really_root,
};

const AT_ONCE: &str =
    "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"";

/// The daemon as `script` starts it: `$@` is its command line.
fn started_by(world: &World, script: &str) -> Daemon {
    world.configure(&Settings::watchful().with(AT_ONCE));
    let plain = Daemon::command(world);
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", script, "bash"]);
    command.arg(plain.get_program()).args(plain.get_args());
    world.confine(&mut command);
    Daemon::start_by(world, command)
}

/// Waits until an orphan has been seen often enough to be reaped six times over, and was not.
fn assert_reaps_nothing(world: &World, daemon: &Daemon) -> Value {
    let orphan = world.orphan("gone").start();
    let orphans = || daemon.call("status", &json!({}))["orphans"].clone();
    wait_until("the orphan was seen often enough", || {
        let orphans = orphans();
        let entries = orphans.as_array().unwrap();
        let mine = entries.iter().find(|entry| entry["pid"] == orphan.pid);
        mine.is_some_and(|entry| entry["sightings"].as_u64() >= Some(6))
    });
    let orphans = orphans();
    let standing = entry_of(&orphans, orphan.pid);
    assert_eq!(standing["state"], "confirmed", "{standing:#}");
    assert_eq!(
        standing["holds"][0]["hold"], "view_obstructed",
        "{standing:#}"
    );
    assert!(orphan.is_alive());
    world.event_log().assert_never_signalled(orphan.pid);
    let status = daemon.call("status", &json!({}));
    assert_eq!(status["policy"]["confirm"], true);
    assert_eq!(status["policy"]["automatic"], false, "{status:#}");
    assert_eq!(status["view"]["clear"], false);
    // What somebody asks for is done all the same.
    assert_eq!(world.ctl(["fix", "--confirm"]).code, Some(0));
    assert!(orphan.has_exited());
    status["view"]["obstacles"].clone()
}

#[test]
fn a_daemon_with_a_private_directory_in_the_place_of_a_shared_one_reaps_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // As PrivateTmp= does it.
        let private = world.path("private");
        fs::create_dir(&private).unwrap();
        let script = format!(
            "mount -t tmpfs private {} && exec \"$@\"",
            private.display()
        );
        let daemon = started_by(&world, &script);
        let survivors = world.survivors();
        let obstacles = assert_reaps_nothing(&world, &daemon);
        assert_eq!(obstacles[0]["kind"], "hidden_path", "{obstacles:#}");
        assert_eq!(obstacles[0]["path"], private.to_str().unwrap());
        let log = daemon.log();
        assert!(log.contains("does not see everything"), "{log}");
        let status = world.ctl(["status"]);
        assert!(status.stdout.contains("private"), "{status:#?}");
        let doctor = world.ctl(["--json", "doctor"]).json_with(1);
        let checks = doctor["checks"].as_array().unwrap();
        let view = checks
            .iter()
            .find(|check| check["check"] == "view")
            .unwrap();
        assert_eq!(view["result"], "problem", "{view:#}");
        assert!(
            view["says"]
                .as_str()
                .unwrap()
                .contains(private.to_str().unwrap())
        );
        survivors.assert_alive();
    });
}

#[test]
fn a_daemon_with_mounts_of_its_own_that_hide_nothing_reaps_as_usual() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // As ProtectSystem=, ReadWritePaths= and StateDirectory= do it.
        let script = "mount --bind /usr /usr && mount -o remount,bind,ro /usr && exec \"$@\"";
        let daemon = started_by(&world, script);
        let orphan = world.orphan("gone").start();
        wait_until("the orphan is reaped", || orphan.has_exited());
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["view"], json!({"clear": true, "obstacles": []}));
        assert_eq!(status["policy"]["automatic"], true);
    });
}

#[test]
fn a_daemon_from_which_proc_hides_processes_reaps_nothing() {
    in_private_pid_namespace(|| {
        if !we_are_really_root() {
            return skip("real root: who is not has no capability to lose");
        }
        let world = World::new();
        // A capability less, and the option of /proc is in force.
        let script = "mount -t proc -o hidepid=invisible proc /proc && \
                      exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \"$@\"";
        let daemon = started_by(&world, script);
        let status = daemon.call("status", &json!({}));
        assert_eq!(
            status["view"]["obstacles"][0]["kind"], "filtered_processes",
            "{status:#}"
        );
        assert_eq!(status["policy"]["automatic"], false);
        assert_eq!(status["policy"]["held_by"], json!(["view_obstructed"]));
        assert!(daemon.log().contains("hidepid=invisible"));
    });
}
