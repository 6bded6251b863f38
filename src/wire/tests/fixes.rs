//! The results of `fix`: what became of each, key by key.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::reports::{FIX, alive, orphan, scan_of};
use super::*;
use crate::orphan::escalation::{Failure, Outcome};
use crate::orphan::event::{Actor, Signal};
use crate::orphan::fixtures::*;
use crate::orphan::termination::{MemberEnd, Reach, Termination};
use crate::orphan::victims::{LeftBehind, Why};
use crate::wire::results::*;

const ENDED: [&str; 8] = [
    "status",
    "sigkill_required",
    "signaled",
    "pgid",
    "pgid_error",
    "members",
    "left_behind",
    "elapsed_ms",
];
pub(super) fn ended(outcome: Outcome) -> Termination {
    Termination {
        sighting: orphan(10),
        outcome,
        reach: Some(Reach::Process),
        members: Vec::new(),
        left_behind: Vec::new(),
        elapsed: Duration::from_millis(70),
        unrecorded: false,
        actor: Actor::Auto,
        starter: None,
    }
}

pub(super) fn failure(error: Failure) -> Outcome {
    Outcome::Failed {
        error,
        detail: Some("Operation not permitted".to_owned()),
        sigkill_attempted: error == Failure::AliveAfterSigkill,
    }
}

pub(super) fn fix_of(terminations: &[Termination]) -> Value {
    let mut report = FixReport::new(scan_of(&[orphan(10), alive(11)]));
    for termination in terminations {
        report.add(termination, now());
    }
    report.into_result()
}

#[test]
fn a_fix_has_the_scans_keys_and_the_three_lists() {
    let result = fix_of(&[]);
    assert_keys(&result, &[&FIX]);
    assert_eq!(result["dry_run"], false);
    assert_eq!(result["ok"], true);
}

#[test]
fn whatever_has_ended_is_in_the_list_of_its_status() {
    let killed = |sigkill_required| Outcome::Killed { sigkill_required };
    let spared = Outcome::Spared {
        why: "workspace_alive".to_owned(),
    };
    for (outcome, list, status, sigkill) in [
        (killed(false), "killed", "killed", false),
        (killed(true), "killed", "killed", true),
        (Outcome::Missing, "killed", "missing", false),
        (
            failure(Failure::AliveAfterSigkill),
            "failed",
            "failed",
            true,
        ),
        (
            failure(Failure::PermissionDenied),
            "failed",
            "failed",
            false,
        ),
        (
            failure(Failure::AuditUnavailable),
            "failed",
            "failed",
            false,
        ),
        (spared, "spared", "spared", false),
    ] {
        let result = fix_of(&[ended(outcome)]);
        for name in ["killed", "failed", "spared"] {
            let expected = usize::from(name == list);
            assert_eq!(result[name].as_array().unwrap().len(), expected, "{status}");
        }
        let item = &result[list][0];
        let more: &[&str] = match list {
            "failed" => &["error", "error_detail", "sigkill_attempted"],
            "spared" => &["why"],
            _ => &[],
        };
        assert_keys(item, &[&ENTRY, &ENDED, more]);
        assert_eq!(item["status"], status);
        assert_eq!(item["sigkill_required"], sigkill);
        assert_eq!(item["elapsed_ms"], 70.0);
        assert_eq!(item["pgid"], 10);
        assert_eq!(item["pgid_error"], Value::Null);
        assert_eq!(result["ok"], list != "failed", "{status}");
    }
}

#[test]
fn a_failure_says_why_in_a_word_and_in_the_systems_words() {
    for (error, word, attempted) in [
        (Failure::AliveAfterSigkill, "alive_after_sigkill", true),
        (Failure::PermissionDenied, "permission_denied", false),
        (Failure::AuditUnavailable, "audit_unavailable", false),
    ] {
        let result = fix_of(&[ended(failure(error))]);
        let item = &result["failed"][0];
        assert_eq!(item["error"], word);
        assert_eq!(item["error_detail"], "Operation not permitted");
        assert_eq!(item["sigkill_attempted"], attempted);
    }
}

#[test]
fn how_far_the_signals_reached_has_its_word() {
    for (reach, word) in [
        (Reach::Process, "pid"),
        (Reach::Group, "pgid"),
        (Reach::Tree, "tree"),
    ] {
        let termination = Termination {
            reach: Some(reach),
            ..ended(Outcome::Missing)
        };
        assert_eq!(fix_of(&[termination])["killed"][0]["signaled"], word);
    }
    let untouched = Termination {
        reach: None,
        ..ended(Outcome::Spared {
            why: "kept".to_owned(),
        })
    };
    assert_eq!(fix_of(&[untouched])["spared"][0]["signaled"], json!(null));
}

#[test]
fn members_and_the_left_behind_are_named_one_by_one() {
    let termination = Termination {
        members: vec![
            MemberEnd {
                pid: 11,
                outcome: "exited",
                signal: Some(Signal::Term),
            },
            MemberEnd {
                pid: 12,
                outcome: "missing",
                signal: None,
            },
        ],
        left_behind: vec![LeftBehind {
            pid: 13,
            cmdline: "tmux".to_owned(),
            why: Why::Multiplexer,
        }],
        unrecorded: true,
        ..ended(Outcome::Missing)
    };
    let result = fix_of(&[termination]);
    let item = &result["killed"][0];
    assert_keys(item, &[&ENTRY, &ENDED, &["audit_unavailable"]]);
    assert_eq!(
        item["members"],
        json!([
            {"pid": 11, "outcome": "exited", "signal": "SIGTERM"},
            {"pid": 12, "outcome": "missing", "signal": null},
        ])
    );
    assert_eq!(
        item["left_behind"],
        json!([{"pid": 13, "cmdline": "tmux", "why": "terminal_multiplexer"}])
    );
}

#[test]
fn each_reason_to_be_left_behind_has_a_word_of_its_own() {
    let words: BTreeSet<&str> = [
        Why::Init,
        Why::ProtectedAncestor,
        Why::OtherUid,
        Why::Coordinator,
        Why::Multiplexer,
        Why::Sshd,
        Why::ServiceManager,
        Why::Kept,
        Why::BelowProtected,
        Why::ControllingTerminal,
        Why::AnotherUnit,
        Why::OlderThanParent,
        Why::OutOfScope,
        Why::Changed,
        Why::Unreadable,
    ]
    .into_iter()
    .map(Why::word)
    .collect();
    assert_eq!(words.len(), 15);
    assert!(words.contains("protected_ancestor"));
}

#[test]
fn one_spared_from_the_start_has_the_keys_of_the_others() {
    let mut report = FixReport::new(scan_of(&[alive(11)]));
    report.spare(&alive(11), "workspace_alive", now());
    let result = report.into_result();
    assert_keys(&result["spared"][0], &[&ENTRY, &ENDED, &["why"]]);
}

#[test]
fn a_stranger_is_spared_with_a_verdict_of_its_own() {
    let mut report = FixReport::new(scan_of(&[]));
    report.spare_other(&record(98), now());
    report.spare_nobody(99, "no_such_process");
    let result = report.into_result();
    assert_eq!(result["ok"], true);
    let [other, nobody] = [0, 1].map(|at| &result["spared"][at]);
    for (stranger, pid) in [(other, 98), (nobody, 99)] {
        assert_keys(stranger, &[&ENTRY, &ENDED, &["why"]]);
        assert_eq!(stranger["pid"], pid);
        assert_eq!(stranger["status"], "spared");
        assert_eq!(stranger["is_orphan"], false);
        assert_eq!(stranger["verdict"], "unknown");
        assert_eq!(stranger["reason"], "not_a_coordinator");
        assert_eq!(stranger["form"], json!(null));
    }
    assert_eq!(other["why"], "not_a_coordinator");
    assert_eq!(other["pgid"], 98);
    assert_eq!(
        other["cmdline"],
        "team-agent coordinator --workspace /home/me/ws"
    );
    assert_eq!(nobody["why"], "no_such_process");
    assert_eq!(nobody["cmdline"], json!(null));
}
