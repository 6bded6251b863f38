//! What happens when there is not enough of something, or it is taken away underneath.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;

use crate::support::{
    Connection, Daemon, Settings, Silence, World, entry_of, in_private_pid_namespace, pids, skip,
    wait_until,
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
fn with_fewer_descriptors_than_coordinators_all_are_seen_and_ended() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::impatient());
        let daemon = Daemon::start_through(&world, &["prlimit", "--nofile=64:64", "--"]);
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..90)
            .map(|number| world.orphan(format!("gone-{number}")).start())
            .collect();
        let mut there: BTreeSet<u32> = orphans.iter().map(|orphan| orphan.pid).collect();
        let seen: BTreeSet<u32> = pids(&daemon.scan()["orphans"]).into_iter().collect();
        assert_eq!(seen, there);
        // For want of descriptors some may have to be asked for again: they are told of, and left alone.
        for _ in 0..30 {
            let fix = daemon.fix();
            let ended: BTreeSet<u32> = pids(&fix["killed"]).into_iter().collect();
            let spared: BTreeSet<u32> = pids(&fix["spared"]).into_iter().collect();
            assert!(&ended | &spared == there, "{fix:#}");
            there = spared;
            if there.is_empty() {
                break;
            }
        }
        assert!(there.is_empty(), "{there:?}");
        assert!(orphans.iter().all(|orphan| orphan.has_exited()));
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

#[test]
fn a_disk_that_hangs_below_the_event_log_holds_the_daemon_and_nobody_who_asks() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::watchful().with(
            "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"",
        ));
        let survivors = world.survivors();
        let Some(silence) = Silence::over(&world.state_dir()) else {
            return skip("FUSE mounts");
        };
        let held = world.orphan("held").start();
        wait_until("automatic reaping is held", || {
            // It is answered all the same, and so is a scan.
            let status = daemon.call("status", &json!({}));
            status["policy"]["held_by"] == json!(["audit_unavailable"])
        });
        assert!(pids(&daemon.scan()["orphans"]).contains(&held.pid));
        assert!(held.is_alive());
        // What the owner says is in force, and is perhaps forgotten at a restart.
        let mut connection = daemon.connect();
        connection.request("keep", &json!({"path": "/elsewhere"}));
        let answer = connection.read().expect("an answer");
        assert_eq!(
            answer["error"]["data"]["kind"], "state_unwritable",
            "{answer:#}"
        );
        connection.request("subscribe", &json!({}));
        let answer = connection.read().expect("an answer");
        assert_eq!(answer["error"]["data"]["kind"], "internal", "{answer:#}");
        let status = daemon.call("status", &json!({}));
        assert_eq!(
            status["policy"]["kept"]["paths"][0]["path"], "/elsewhere",
            "{status:#}"
        );

        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], held.pid);
        assert_eq!(killed["audit_unavailable"], true, "{killed:#}");
        assert!(held.has_exited());

        // The disk answers again: all of it is written down, and what was held is done.
        drop(silence);
        let next = world.orphan("next").start();
        wait_until("the next one is reaped", || next.has_exited());
        assert!(daemon.stop().success());
        let log = world.event_log();

        let tried = ["orphan.detected", "orphan.signal", "orphan.failed"];
        let done = ["orphan.signal", "orphan.killed"];
        assert_eq!(log.story_of(held.pid), [&tried[..], &done].concat());
        assert_eq!(log.story_of(next.pid), [&tried[..1], &done].concat());
        survivors.assert_alive();
    });
}

#[test]
fn a_protected_path_on_a_disk_that_hangs_holds_all_ends_and_not_the_start() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings::impatient().with(&format!(
            "[orphan]\nprotect = [\"{}\"]",
            world.path("disk/protected").display()
        ));
        world.configure(&settings);
        let Some(silence) = Silence::over(&world.directory("disk")) else {
            return skip("FUSE mounts");
        };
        let daemon = Daemon::start(&world);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let fix = daemon.fix();
        let spared = entry_of(&fix["spared"], orphan.pid);
        assert_eq!(spared["why"], "protected", "{spared:#}");
        assert!(orphan.is_alive());
        drop(silence);
        wait_until("it is known where that leads", || {
            daemon.fix()["killed"] != json!([])
        });
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn however_much_is_kept_or_looked_for_on_a_disk_that_hangs_scans_and_kills_go_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let silent = world.directory("silent");
        let Some(_silence) = Silence::over(&silent) else {
            return skip("FUSE mounts");
        };
        let mut connection = daemon.connect();
        let workspace = silent.join("workspace");
        for _ in 0..20 {
            connection.request("keep", &json!({"path": workspace}));
            connection.request("scan", &json!({"workspace": workspace}));
        }
        // They have come when this is answered.
        connection.request("version", &json!({}));
        connection.read().expect("an answer");
        let threads = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid()));
            tasks.unwrap().count()
        };
        assert_eq!(daemon.fix()["killed"][0]["pid"], orphan.pid);
        assert!(orphan.has_exited());
        assert!(threads() < 30, "{} threads", threads());
        // By its name it is looked for all the same, and so is every other.
        let here = daemon.call("scan", &json!({"workspace": workspace}));
        assert_eq!(here["scanned"], 0, "{here:#}");
        assert_eq!(here["unfollowed"], json!([workspace]));
        let healthy = world.healthy("shop").start();
        let both = json!({"workspaces": [workspace, world.path("shop")]});
        let scan = daemon.call("scan", &json!({"members": both}));
        assert_eq!(pids(&scan["coordinators"]), [healthy.pid], "{scan:#}");
        let text = world.ctl(["scan", "--workspace", workspace.to_str().unwrap()]);
        assert_eq!(text.code, Some(0), "{text:#?}");
        assert!(text.stderr.contains("gave no answer in time"), "{text:#?}");
    });
}

/// Asks until the daemon has no memory left for the answers, which nobody reads.
fn use_up_memory(world: &World, mut is_enough: impl FnMut() -> bool) {
    let mut connections = Vec::new();
    while !is_enough() {
        let Ok(mut connection) = Connection::open(&world.socket()) else {
            return;
        };
        for _ in 0..64 {
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": "scan"});
            connection.try_send(format!("{request}\n").as_bytes());
        }
        connections.push(connection);
    }
}

#[test]
fn a_daemon_that_gets_no_memory_dies_before_it_does_anything_wrong() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "30s",
            ..Settings::default()
        };
        world.configure(&settings);
        // Without a core file.
        let mut daemon = Daemon::start_through(&world, &["prlimit", "--core=0", "--"]);
        let survivors = world.survivors();
        let crowd: Vec<_> = (0..150)
            .map(|number| {
                world
                    .healthy(format!("{}-{number}", "long".repeat(50)))
                    .start()
            })
            .collect();
        let orphan = world.orphan("gone").stubborn().start();
        daemon.scan();
        let mut asking = daemon.connect();
        asking.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        let now = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let size = now
            .lines()
            .find_map(|line| line.strip_prefix("VmSize:"))
            .unwrap();
        let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        // A little more than it has by now.
        let limit = (kilobytes + 4096) * 1024;
        let pid = i32::try_from(daemon.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let limits = rustix::process::Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        rustix::process::prlimit(pid, rustix::process::Resource::As, limits).unwrap();
        let mut ended = None;
        use_up_memory(&world, || {
            ended = daemon.has_ended();
            ended.is_some()
        });
        let ended = ended.unwrap_or_else(|| daemon.wait());
        assert!(!ended.success(), "{ended}");
        assert!(orphan.is_alive() && crowd.iter().all(|one| one.is_alive()));
        assert_eq!(world.event_log().signals(orphan.pid, "SIGKILL").len(), 0);

        // Whoever is started again knows what was cut off, and finishes it.
        world.configure(&Settings::impatient());
        let next = Daemon::start(&world);
        let log = world.event_log();
        assert_eq!(log.about(orphan.pid, "orphan.interrupted").len(), 1);
        next.fix();
        assert!(orphan.has_exited());
        assert!(crowd.iter().all(|one| one.is_alive()));
        survivors.assert_alive();
    });
}
