//! The event log on disk: the form of its lines, their order, and what each has to say.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Settings, World, in_private_pid_namespace, in_the_original_form, is_alive, pids, wait_until,
};

#[test]
fn every_line_has_the_form_of_the_original_tool() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone-äß→\u{1b}\n").with("CHILDREN", 1).start();
        daemon.fix();
        assert!(orphan.has_exited());
        assert!(daemon.stop().success());

        let lines = world.event_log().lines();
        assert!(lines.len() >= 5, "{lines:#?}");
        for line in &lines {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(*line, in_the_original_form(&event));
            let ts = event["ts"].as_str().expect("ts");
            let shape: String = ts
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00", "{line}");
            assert!(
                event["event"]
                    .as_str()
                    .is_some_and(|name| name.contains('.')),
                "{line}"
            );
        }
        let non_ascii = lines
            .iter()
            .filter(|line| line.contains("gone-äß→"))
            .count();
        assert!(non_ascii >= 3, "{lines:#?}");
        let all = world.event_log().events();
        assert!(
            all.is_sorted_by_key(|event| event["ts"].as_str().unwrap()),
            "{lines:#?}"
        );
        survivors.assert_alive();
    });
}

#[test]
fn an_obedient_orphan_is_detected_signalled_and_killed_in_that_order() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let fix = world.ctl(["--json", "fix", "--confirm"]);
        assert_eq!(pids(&fix.json_with(0)["killed"]), [orphan.pid]);
        let log = world.event_log();
        let story = ["orphan.detected", "orphan.signal", "orphan.killed"];
        assert_eq!(log.story_of(orphan.pid), story);
        for name in story {
            let event = log.about(orphan.pid, name).remove(0);
            assert_eq!(event["workspace"], json!(world.path("gone")), "{event:#}");
            assert_eq!(event["reason"], "workspace_path_missing", "{event:#}");
        }
        let signal = log.about(orphan.pid, "orphan.signal").remove(0);
        assert_eq!(signal["signal"], "SIGTERM", "{signal:#}");
        assert!(!signal["evidence"].is_null(), "{signal:#}");
        let uid = nix::unistd::getuid().as_raw();
        assert_eq!(
            signal["actor"],
            json!({"uid": uid, "pid": fix.pid}),
            "{signal:#}"
        );
        survivors.assert_alive();
    });
}

#[test]
fn a_stubborn_orphan_has_a_record_for_each_signal_before_it_is_sent() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "1s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        let log = world.event_log();
        log.wait_for_signal(orphan.pid, "SIGTERM");
        assert!(orphan.is_alive());
        connection.read().expect("a reply");
        let story = [
            "orphan.detected",
            "orphan.signal",
            "orphan.signal",
            "orphan.killed",
        ];
        assert_eq!(log.story_of(orphan.pid), story);
        let signals: Vec<_> = log
            .about(orphan.pid, "orphan.signal")
            .into_iter()
            .map(|event| event["signal"].clone())
            .collect();
        // SIGCONT has no record of its own.
        assert_eq!(signals, ["SIGTERM", "SIGKILL"]);
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_is_detected_once_and_not_once_a_scan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        for _ in 0..10 {
            daemon.scan();
        }
        world.event_log().wait_for(orphan.pid, "orphan.detected");
        let before = world.event_log().lines();
        for _ in 0..10 {
            daemon.scan();
        }
        assert_eq!(world.event_log().lines(), before);
        assert_eq!(world.event_log().story_of(orphan.pid), ["orphan.detected"]);
    });
}

#[test]
fn an_orphan_whose_workspace_comes_back_is_cleared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        daemon.scan();
        world.event_log().wait_for(orphan.pid, "orphan.detected");
        world.directory("gone");
        assert_eq!(daemon.scan()["orphans"], json!([]));
        let cleared = world.event_log().wait_for(orphan.pid, "orphan.cleared");
        assert_eq!(
            cleared["workspace"],
            json!(world.path("gone")),
            "{cleared:#}"
        );
        assert!(cleared["reason"].is_string(), "{cleared:#}");
        assert!(orphan.is_alive());
    });
}

#[test]
fn a_healthy_coordinator_is_never_mentioned() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        for _ in 0..3 {
            daemon.scan();
            daemon.fix();
        }
        assert_eq!(world.event_log().story_of(survivors.coordinator()), [""; 0]);
        survivors.assert_alive();
    });
}

#[test]
fn the_daemon_records_its_start_and_its_end() {
    in_private_pid_namespace(|| {
        let world = World::new();
        assert!(world.daemon().stop().success());
        assert!(world.daemon().stop().success());
        let names: Vec<_> = world
            .event_log()
            .events()
            .iter()
            .map(|event| event["event"].clone())
            .collect();
        let one_life = ["daemon.started", "daemon.stopped"];
        assert_eq!(names, [one_life, one_life].concat());
    });
}

#[test]
fn a_kill_that_a_crash_interrupted_is_recorded_at_the_next_start() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let patient = Settings {
            sigterm_wait: "10m",
            ..Settings::default()
        };
        let daemon = world.daemon_with(&patient);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        let log = world.event_log();
        log.wait_for_signal(orphan.pid, "SIGTERM");
        daemon.crash();
        assert_eq!(connection.read(), None);
        assert_eq!(
            log.about(orphan.pid, "orphan.interrupted"),
            [json!(null); 0]
        );

        let daemon = world.daemon_with(&patient);
        let interrupted = log.wait_for(orphan.pid, "orphan.interrupted");
        assert_eq!(
            interrupted["workspace"],
            json!(world.path("gone")),
            "{interrupted:#}"
        );
        assert_eq!(
            interrupted["reason"], "workspace_path_missing",
            "{interrupted:#}"
        );
        assert!(orphan.is_alive(), "nobody asked the new daemon to go on");
        daemon.crash();

        // Told once is enough.
        let daemon = world.daemon_with(&patient);
        daemon.scan();
        assert_eq!(log.about(orphan.pid, "orphan.interrupted").len(), 1);
        survivors.assert_alive();
    });
}

/// The lines of a log that ended in `tail`, without a newline, before a daemon ran.
fn lines_after(tail: &str) -> Vec<String> {
    let world = World::new();
    fs::create_dir_all(world.state_dir()).unwrap();
    fs::write(world.event_log().path, tail).unwrap();
    assert!(world.daemon().stop().success());
    world.event_log().lines()
}

#[test]
fn a_half_written_record_is_taken_off_again() {
    in_private_pid_namespace(|| {
        let lines = lines_after("{\"event\": \"orphan.sig");
        let started: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(started["event"], "daemon.started", "{lines:#?}");
    });
}

#[test]
fn a_last_line_that_is_no_record_of_ours_is_kept_and_does_not_spoil_the_next_one() {
    in_private_pid_namespace(|| {
        let lines = lines_after("a note by hand");
        assert_eq!(lines[0], "a note by hand", "{lines:#?}");
        let started: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(started["event"], "daemon.started", "{lines:#?}");
    });
}

#[test]
fn a_full_segment_is_rotated_and_the_oldest_one_dropped() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let small = Settings::default().with("[events]\nrotate_bytes = 4096\nkeep = 2");
        let daemon = world.daemon_with(&small);
        let survivors = world.survivors();
        let segment = |number: u32| world.state_dir().join(format!("events.jsonl.{number}"));
        let mut number = 0;
        wait_until("two segments are full", || {
            number += 1;
            let orphan = world.orphan(format!("gone-{number}")).start();
            daemon.fix();
            assert!(!is_alive(orphan.pid));
            segment(2).exists()
                && fs::read_to_string(segment(2)).is_ok_and(|text| !text.contains("daemon.started"))
        });
        assert!(!segment(3).exists());
        for full in [segment(1), segment(2)] {
            assert!(fs::metadata(&full).unwrap().len() >= 4096, "{full:?}");
        }
        survivors.assert_alive();
    });
}
