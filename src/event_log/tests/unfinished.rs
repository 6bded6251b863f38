//! Which signals were left without an outcome.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::super::{line, unfinished};
use super::*;

fn signal(pid: i64, orphan_pid: i64, signal: &str) -> Record {
    named(
        "orphan.signal",
        json!({"pid": pid, "orphan_pid": orphan_pid, "signal": signal}),
    )
}

fn outcome(event: &'static str, pid: i64) -> Record {
    named(
        event,
        json!({"pid": pid, "reason": "workspace_path_missing"}),
    )
}

#[test]
fn a_signal_without_an_outcome_is_found_across_segments_and_restarts() {
    let root = TempDir::new().unwrap();
    // Every record in a segment of its own.
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 1,
            keep: 50,
        },
    )
    .unwrap();
    log.append(&[
        signal(10, 10, "SIGTERM"),
        signal(11, 10, "SIGTERM"), // a member of 10's group
        signal(20, 20, "SIGTERM"),
        signal(30, 30, "SIGTERM"),
        signal(40, 40, "SIGTERM"),
        signal(50, 50, "SIGTERM"),
        outcome("orphan.killed", 20),
        outcome("orphan.failed", 30),
        outcome("orphan.spared", 40),
        outcome("orphan.interrupted", 50),
        outcome("orphan.killed", 11), // the pid of a member, not of an orphan
        outcome("orphan.detected", 10),
        named("daemon.started", json!({"pid": 10})),
        signal(60, 60, "SIGTERM"),
        signal(60, 60, "SIGKILL"),
        signal(20, 20, "SIGTERM"), // the number used again, after its outcome
        named("orphan.signal", json!({"pid": 70})), // as a record without orphan_pid
        named("orphan.signal", json!({"signal": "SIGTERM"})),
    ])
    .unwrap();
    let expected = [
        signal(11, 10, "SIGTERM"),
        signal(60, 60, "SIGKILL"),
        signal(20, 20, "SIGTERM"),
        named("orphan.signal", json!({"pid": 70})),
    ];
    assert_eq!(unfinished(root.path()).unwrap(), values(&expected));
    log.append(&[
        outcome("orphan.interrupted", 10),
        outcome("orphan.interrupted", 70),
    ])
    .unwrap();
    assert_eq!(unfinished(root.path()).unwrap(), values(&expected[1..3]));
}

#[test]
fn torn_and_foreign_lines_do_not_hide_an_unfinished_signal() {
    let root = TempDir::new().unwrap();
    let mut content = Vec::new();
    line::append(&mut content, &signal(10, 10, "SIGTERM").to_value()).unwrap();
    content.extend_from_slice(b"[\"orphan.signal\", 10, 10, \"x\"]\nplain\n\xff\n{\"event\": \"orphan.killed\", \"pid\": 1");
    fs::write(root.path().join("events.jsonl"), content).unwrap();
    assert_eq!(
        unfinished(root.path()).unwrap(),
        [signal(10, 10, "SIGTERM").to_value()]
    );
}

#[test]
fn a_missing_log_has_nothing_unfinished() {
    let root = TempDir::new().unwrap();
    assert_eq!(unfinished(root.path()).unwrap(), [] as [Value; 0]);
    assert_eq!(
        unfinished(&root.path().join("missing")).unwrap(),
        [] as [Value; 0]
    );
}
