//! The results of `scan`, `gate`, `status` and `version`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::fixes::{ended, failure, fix_of};
use super::*;
use crate::orphan::escalation::{Failure, Outcome};
use crate::orphan::fixtures::*;
use crate::orphan::policy::{Policy, Rules};
use crate::orphan::process::Pid;
use crate::orphan::registry::{Registry, Sighting};
use crate::orphan::victims::Scope;
use crate::orphan::view::Obstacle;
use crate::wire::results::*;
use crate::wire::status::*;

const SCAN: [&str; 9] = [
    "ok",
    "scanned",
    "orphans",
    "coordinators",
    "dry_run",
    "scanned_at",
    "action_required",
    "source",
    "took_ms",
];
/// A fix asks for no action any more.
pub(super) const FIX: [&str; 11] = [
    "ok",
    "scanned",
    "orphans",
    "coordinators",
    "dry_run",
    "scanned_at",
    "source",
    "took_ms",
    "killed",
    "failed",
    "spared",
];
const GATE: [&str; 3] = ["gate", "status", "fix"];

fn facts() -> ScanFacts {
    ScanFacts {
        source: Source::Daemon,
        now: now(),
        took: Duration::from_micros(1_500),
        unread: 0,
    }
}

pub(super) fn orphan(pid: Pid) -> Sighting {
    without_witness().path(missing()).sighted(pid)
}

pub(super) fn alive(pid: Pid) -> Sighting {
    healthy().sighted(pid)
}

pub(super) fn scan_of(all: &[Sighting]) -> Value {
    scan(all.iter(), facts())
}

#[test]
fn a_scan_has_exactly_the_contracts_keys() {
    let result = scan_of(&[orphan(10), alive(11), orphan(12)]);
    assert_keys(&result, &[&SCAN]);
    assert_eq!(result["ok"], true);
    assert_eq!(result["scanned"], 3);
    assert_eq!(result["dry_run"], true);
    assert_eq!(result["scanned_at"], "1970-01-12T13:46:40.000000+00:00");
    assert_eq!(
        result["action_required"],
        "re-run with --confirm to send SIGTERM"
    );
    assert_eq!(result["source"], "daemon");
    assert_eq!(result["took_ms"], 1.5);
    let all = result["coordinators"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(result["orphans"], json!([all[0], all[2]]));
    for entry in all {
        assert_keys(entry, &[&ENTRY]);
    }
}

#[test]
fn an_empty_scan_has_the_same_keys() {
    let result = scan(
        std::iter::empty(),
        ScanFacts {
            source: Source::Embedded,
            ..facts()
        },
    );
    assert_keys(&result, &[&SCAN]);
    assert_eq!(result["scanned"], 0);
    assert_eq!(result["source"], "embedded");
}

#[test]
fn a_gate_passes_without_orphans_or_with_no_failed_kill() {
    let dry = |all: &[Sighting]| gate(scan_of(all), false);
    let passed = dry(&[alive(11)]);
    assert_keys(&passed, &[&SCAN, &GATE]);
    let expected = json!([true, "orphans", "passed", false]);
    let of = |result: &Value| {
        json!([
            result["ok"],
            result["gate"],
            result["status"],
            result["fix"]
        ])
    };
    assert_eq!(of(&passed), expected);

    let open = dry(&[alive(11), orphan(10)]);
    assert_keys(&open, &[&SCAN, &GATE]);
    assert_eq!(of(&open), json!([false, "orphans", "failed", false]));
    assert_eq!(
        open["action_required"],
        "re-run with --gate orphans --fix --confirm"
    );

    let fixed = gate(fix_of(&[ended(Outcome::Missing)]), true);
    assert_keys(&fixed, &[&FIX, &GATE]);
    assert_eq!(of(&fixed), json!([true, "orphans", "passed", true]));

    let failed = gate(fix_of(&[ended(failure(Failure::PermissionDenied))]), true);
    assert_keys(&failed, &[&FIX, &GATE]);
    assert_eq!(of(&failed), json!([false, "orphans", "failed", true]));
}

#[test]
fn the_refusals_are_the_originals() {
    assert_eq!(
        fix_refused(),
        json!({
            "ok": false,
            "status": "refused",
            "reason": "fix_requires_confirm",
            "action": "re-run with --confirm",
        })
    );
    let gate = gate_refused();
    assert_eq!(gate["ok"], false);
    assert_eq!(gate["gate"], "orphans");
    assert_eq!(gate["status"], "refused");
    assert_eq!(gate["reason"], "fix_requires_confirm");
    assert_eq!(gate["action"], "re-run with --gate orphans --fix --confirm");
}

#[test]
fn status_has_the_contracts_keys_with_and_without_a_scan() {
    let identity = Identity {
        source: Source::Daemon,
        pid: 500,
        socket: Some("/run/control.sock".into()),
        config: None,
        started: now() - Duration::from_secs(60),
    };
    let mut registry = Registry::default();
    let seen = vec![
        without_witness().path(missing()).observed(10),
        without_witness().path(missing()).observed(11),
        healthy().observed(12),
    ];
    registry.observe(seen, &healthy().rules, now());
    let ending = BTreeSet::from([registry.by_pid(10).unwrap().identity()]);
    let last_scan = LastScan {
        at: now(),
        took: Duration::from_millis(3),
        lag: Duration::ZERO,
        scanned: 3,
        orphans: 2,
        unread: 0,
    };
    let counters = Counters {
        scans: 7,
        detected: 2,
        ..Counters::default()
    };
    let rules = Rules {
        confirm: false,
        ..rules()
    };
    let mut policy = Policy::default();
    policy.looked(&registry, &rules, clock().moment, clock());
    let kept = registry.by_pid(12).unwrap().identity();
    policy.keeps_mut().processes.insert(12, kept);
    let obstacles = [Obstacle::UserNamespace];
    let report = |last_scan| {
        status(&StatusReport {
            identity: &identity,
            registry: &registry,
            policy: &policy,
            rules: &rules,
            terminate: Ending {
                scope: Scope::Tree,
                sigterm_wait: Duration::from_millis(1500),
                sigkill_wait: Duration::from_secs(2),
            },
            obstacles: &obstacles,
            ending: &ending,
            last_scan,
            counters: &counters,
            panics: 0,
            now: clock(),
        })
    };
    let result = report(Some(&last_scan));
    assert_keys(
        &result,
        &[
            &["daemon", "policy", "last_scan", "orphans", "counters"],
            &["view", "history", "coordinators"],
        ],
    );
    let in_short = [
        "pid",
        "workspace",
        "verdict",
        "reason",
        "started_at",
        "rss_bytes",
        "kept",
    ];
    let coordinators = result["coordinators"].as_array().unwrap();
    assert_eq!(coordinators.len(), 3);
    for one in coordinators {
        assert_keys(one, &[&in_short]);
        assert_eq!(one["kept"], one["pid"] == 12, "{one}");
    }
    assert_eq!(coordinators[2]["verdict"], "alive");
    assert_eq!(
        result["policy"]["terminate"],
        json!({"scope": "tree", "sigterm_wait_s": 1.5, "sigkill_wait_s": 2.0})
    );
    let daemon = ["pid", "version", "uptime_s", "socket", "config"];
    assert_keys(&result["daemon"], &[&daemon]);
    assert_eq!(result["daemon"]["uptime_s"], 60);
    assert_eq!(result["daemon"]["config"], Value::Null);
    assert_eq!(result["policy"]["confirm"], false);
    assert_eq!(result["policy"]["suspended"], false);
    assert_eq!(result["policy"]["paused_until"], Value::Null);
    assert_eq!(result["policy"]["held_by"], json!(["view_obstructed"]));
    assert_eq!(result["view"]["clear"], false);
    assert_eq!(result["view"]["obstacles"][0]["kind"], "user_namespace");
    assert_keys(
        &result["last_scan"],
        &[&["at", "took_ms", "scanned", "orphans"], &["lag_ms"]],
    );
    let counted = ["scans", "detected", "cleared", "killed", "failed", "spared"];
    assert_keys(
        &result["counters"],
        &[&counted, &["panics", "failed_scans", "skipped_ticks"]],
    );
    assert_eq!(result["counters"]["scans"], 7);
    let orphans = result["orphans"].as_array().unwrap();
    assert_eq!(orphans.len(), 2);
    for orphan in orphans {
        let tracked = [
            "state",
            "state_since",
            "why",
            "holds",
            "next_action_at",
            "orphan_since",
        ];
        assert_keys(orphan, &[&ENTRY, &tracked]);
    }
    assert_ne!(orphans[0]["state"], orphans[1]["state"]);
    assert_eq!(report(None)["last_scan"], Value::Null);
}

#[test]
fn version_and_reload_say_what_the_contract_says() {
    let version = version();
    assert_keys(&version, &[&["name", "version", "protocol"]]);
    assert_eq!(version["name"], "team-agentd");
    assert_eq!(version["protocol"], 1);
    assert_eq!(reloaded(None), json!({"ok": true, "config": null}));
}
