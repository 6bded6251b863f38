//! What the owner said, said back; and what of it a status shows.

use serde_json::json;

use super::*;
use crate::cli::render::{paused, resumed, status};

#[test]
fn a_pause_says_until_when_and_that_a_longer_one_holds() {
    for (result, says) in [
        (
            json!({"paused_until": null, "changed": true}),
            "automatic reaping is paused, until `team-agentctl resume`",
        ),
        (
            json!({"paused_until": "2026-05-26T13:00:00Z", "changed": true}),
            "automatic reaping is paused until 2026-05-26 15:00:00",
        ),
        (
            json!({"paused_until": null, "changed": false}),
            "automatic reaping stays paused, until `team-agentctl resume`: it was paused for as long or longer already",
        ),
    ] {
        assert_eq!(paused(&result, &piped()), says);
    }
}

#[test]
fn a_resume_says_what_is_over_and_what_still_holds() {
    for (result, says) in [
        (
            json!({"was_held": false, "confirm": true}),
            "automatic reaping was not held",
        ),
        (
            json!({"was_held": true, "lifted": ["paused"], "confirm": true}),
            "the pause is over; automatic reaping goes on",
        ),
        (
            json!({"was_held": true, "lifted": ["paused", "suspended"], "suspended_why": "5 of 6", "held_by": ["view_obstructed"], "confirm": true}),
            "the pause is over; the suspension is over (5 of 6); automatic reaping is still held: it does not see everything there is",
        ),
        (
            json!({"was_held": true, "lifted": ["suspended"], "confirm": false}),
            "the suspension is over; reap.confirm is off: orphans are ended only on request",
        ),
        (
            json!({"was_held": false, "held_by": ["audit_unavailable", "something_new"], "confirm": true}),
            "automatic reaping is still held: the event log cannot be written; see `team-agentctl status`",
        ),
    ] {
        assert_eq!(resumed(&result, &piped()), says);
    }
}

#[test]
fn a_status_shows_what_is_kept_and_what_holds_each_back() {
    let result = json!({
        "policy": {"confirm": true, "reasons": ["a"], "kept": {"pids": [7], "paths": [{"path": "/home/me/\u{202e}ws"}]}},
        "orphans": [{
            "pid": 7, "etime": "01:00", "state": "confirmed", "workspace": "/w", "reason": "a",
            "next_action_at": null,
            "holds": [{"hold": "grace", "until": "2026-05-26T13:00:00Z"}, {"hold": "kept", "until": null}],
        }],
    });
    let text = status(&result, &piped());
    let kept: Vec<&str> = text.lines().filter(|line| line.contains("kept:")).collect();
    assert_eq!(
        kept,
        [
            "  kept:       process 7",
            "  kept:       /home/me/\\u{202e}ws"
        ]
    );
    assert!(text.ends_with("reason=a held_by=grace,kept"), "{text}");
    let lines = lines_on_terminal(100, |view| status(&result, view));
    let row = lines
        .iter()
        .find(|line| line.contains("confirmed"))
        .unwrap();
    assert!(row.contains("kept"), "{row}");
}
