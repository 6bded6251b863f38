//! What happens when there is not enough of something, or it is taken away underneath.

use std::fs;
use std::os::unix::net::UnixStream;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;

use crate::support::{
    Daemon, Settings, World, entry_of, in_private_pid_namespace, pids, wait_until,
};

#[test]
fn with_few_descriptors_and_many_who_connect_an_orphan_is_ended_all_the_same() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::impatient());
        let daemon = Daemon::start_through(&world, &["prlimit", "--nofile=80:80", "--"]);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 3).start();
        let holding: Vec<UnixStream> = (0..200)
            .map(|_| UnixStream::connect(world.socket()).unwrap())
            .collect();
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert!(orphan.has_exited());
        let peers = &daemon.call("status", &json!({}))["peers"];
        assert_eq!(peers["max_connections"], 20, "{peers:#}");
        assert!(daemon.log().contains("fewer connections"));
        drop(holding);
        survivors.assert_alive();
    });
}

#[test]
fn an_event_log_that_was_renamed_or_deleted_is_begun_anew() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let log = world.event_log();
        let elsewhere = log.path.with_file_name("taken-away");
        fs::rename(&log.path, &elsewhere).unwrap();
        let first = world.orphan("one").start();
        daemon.fix();
        assert!(first.has_exited());
        let signals = world.event_log().signals(first.pid, "SIGTERM");
        assert_eq!(signals.len(), 1, "in the new one");
        let taken_away = fs::read_to_string(&elsewhere).unwrap();
        assert!(!taken_away.contains("orphan.signal"), "{taken_away}");

        fs::remove_file(&log.path).unwrap();
        let second = world.orphan("two").start();
        daemon.fix();
        assert!(second.has_exited());
        assert_eq!(world.event_log().signals(second.pid, "SIGTERM").len(), 1);
    });
}

#[test]
fn a_state_directory_that_is_gone_is_made_anew() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let log = world.event_log();
        fs::remove_dir_all(log.path.parent().unwrap()).unwrap();
        let orphan = world.orphan("gone").start();
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert_eq!(world.event_log().signals(orphan.pid, "SIGTERM").len(), 1);
        assert_eq!(
            world.ctl(["pause"]).code,
            Some(0),
            "that is written down too"
        );
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_holds_the_daemon_and_nobody_who_asks() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::watchful().with(
            "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"",
        ));
        let survivors = world.survivors();
        // What is read-only now lies above it.
        let state = world.path("state");
        mount("tad", &state, "tmpfs", MountFlags::RDONLY, None).unwrap();
        let orphan = world.orphan("gone").start();
        wait_until("automatic reaping is held", || {
            let status = daemon.call("status", &json!({}));
            status["policy"]["held_by"] == json!(["audit_unavailable"])
        });
        assert!(orphan.is_alive());
        let pause = world.ctl(["pause"]);
        assert_eq!(pause.code, Some(5), "{pause:#?}");
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["audit_unavailable"], true, "{killed:#}");
        assert!(orphan.has_exited());

        unmount(&state, UnmountFlags::empty()).unwrap();
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        let next = world.orphan("next").start();
        wait_until("the next one is reaped", || next.has_exited());
        assert_eq!(world.event_log().signals(next.pid, "SIGTERM").len(), 1);
        survivors.assert_alive();
    });
}
