//! Results as a daemon gives them.

use serde_json::{Value, json};

pub(super) fn entry(pid: u32, verdict: &str, workspace: &str, reason: &str) -> Value {
    json!({
        "pid": pid,
        "etime": "02:05:10",
        "argv": ["python3", "-m", "team_agent.coordinator", "--workspace", workspace],
        "cmdline": format!("python3 -m team_agent.coordinator --workspace {workspace}"),
        "workspace": workspace,
        "is_orphan": verdict == "orphan",
        "verdict": verdict,
        "reason": reason,
        "form": "python-module",
        "ppid": 1,
        "pgid": pid,
        "sid": pid,
        "uid": 1000,
        "started_at": "2026-05-26T09:58:02.000000+00:00",
        "rss_bytes": 29_000_000,
        "cwd": workspace,
        "evidence": {
            "access": "judged",
            "path": "missing",
            "pid_file": "absent",
            "cwd": {
                "path": workspace,
                "links": 0,
                "is_witness": true,
                "fate": "deleted",
                "id": {"device": 2049, "inode": 77, "born_ns": "1"},
                "mounted": true,
            },
            "log": null,
        },
        "first_seen": "2026-05-26T12:00:00.000000+00:00",
        "sightings": 7,
    })
}

pub(super) fn orphan() -> Value {
    entry(
        4242,
        "orphan",
        "/home/me/projects/shop",
        "workspace_path_missing",
    )
}

fn ephemeral() -> Value {
    entry(
        4243,
        "orphan",
        "/tmp/team-agent-watcher-dedupe-x7k2p9/workspace",
        "ephemeral_tempdir_pattern:team-agent-watcher-dedupe-",
    )
}

pub(super) fn scan() -> Value {
    let mut unparsed = entry(900, "unknown", "", "cmdline_unparsed");
    unparsed["workspace"] = Value::Null;
    let alive = entry(31, "alive", "/home/me/projects/blog", "workspace_alive");
    json!({
        "ok": true,
        "scanned": 4,
        "orphans": [orphan(), ephemeral()],
        "coordinators": [alive, unparsed, orphan(), ephemeral()],
        "dry_run": true,
        "scanned_at": "2026-05-26T12:03:12.123456+00:00",
        "action_required": "re-run with --confirm to send SIGTERM",
        "source": "daemon",
        "took_ms": 3.2,
    })
}

pub(super) fn empty_scan() -> Value {
    let mut scan = scan();
    scan["scanned"] = 0.into();
    scan["orphans"] = json!([]);
    scan["coordinators"] = json!([]);
    scan
}

fn ended(mut entry: Value, how: Value) -> Value {
    let (Some(entry_fields), Value::Object(how)) = (entry.as_object_mut(), how) else {
        panic!("no object")
    };
    entry_fields.extend(how);
    entry
}

pub(super) fn fix() -> Value {
    let killed = ended(
        orphan(),
        json!({
            "status": "killed",
            "sigkill_required": false,
            "signaled": "pgid",
            "members": [
                {"pid": 4250, "outcome": "exited", "signal": "SIGTERM"},
                {"pid": 4251, "outcome": "missing", "signal": null},
                {"pid": 4252, "outcome": "permission_denied", "signal": null},
            ],
            "left_behind": [{"pid": 4260, "cmdline": "tmux new -s work", "why": "terminal_multiplexer"}],
            "elapsed_ms": 120.4,
        }),
    );
    let escalated = ended(
        entry(4244, "orphan", "/tmp/b", "workspace_replaced"),
        json!({
            "status": "killed",
            "sigkill_required": true,
            "members": [],
            "left_behind": [],
            "elapsed_ms": 3_104.0,
            "audit_unavailable": true,
        }),
    );
    let missing = ended(
        entry(4245, "orphan", "/tmp/c", "workspace_replaced"),
        json!({"status": "missing", "sigkill_required": false, "elapsed_ms": 0.3}),
    );
    let failed = ended(
        entry(4246, "orphan", "/mnt/dead/d", "workspace_path_missing"),
        json!({
            "status": "failed",
            "error": "alive_after_sigkill",
            "error_detail": "pid 4246 is in uninterruptible sleep",
            "sigkill_attempted": true,
            "elapsed_ms": 5_003.0,
        }),
    );
    let spared = ended(
        ephemeral(),
        json!({"status": "spared", "why": "younger_than_ephemeral_min_age"}),
    );
    let mut result = scan();
    result["ok"] = false.into();
    result["dry_run"] = false.into();
    result["killed"] = json!([killed, escalated, missing]);
    result["failed"] = json!([failed]);
    result["spared"] = json!([spared]);
    result
}

pub(super) fn gate(result: Value, passed: bool) -> Value {
    let mut gate = result;
    gate["gate"] = "orphans".into();
    gate["ok"] = passed.into();
    gate["status"] = if passed { "passed" } else { "failed" }.into();
    gate["fix"] = false.into();
    if !passed {
        gate["action_required"] = "re-run with --gate orphans --fix --confirm".into();
    }
    gate
}

pub(super) fn status() -> Value {
    let mut orphan = orphan();
    orphan["state"] = "suspected".into();
    orphan["next_action_at"] = "2026-05-26T12:06:00.000000+00:00".into();
    json!({
        "daemon": {
            "pid": 812,
            "version": "0.1.0",
            "uptime_s": 11_111,
            "socket": "/run/user/1000/team-agentd/control.sock",
            "config": null,
        },
        "policy": {"confirm": false, "reasons": ["workspace_path_missing"], "suspended": false, "paused_until": null},
        "last_scan": {"at": "2026-05-26T12:04:58.000000+00:00", "took_ms": 3.2, "scanned": 4, "orphans": 1},
        "orphans": [orphan],
        "counters": {"scans": 120, "detected": 3, "cleared": 1, "killed": 2, "failed": 0, "spared": 0, "failed_scans": 1},
    })
}

pub(super) fn explanation() -> Value {
    let orphan = orphan();
    json!({
        "pid": 4242,
        "is_coordinator": true,
        "rules": [
            {"rule": "is_coordinator", "result": "yes", "evidence": {"form": "python-module", "argv": ["python3"]}},
            {"rule": "workspace_moved", "result": "does_not_apply", "evidence": null},
            {"rule": "workspace_path_missing", "result": "orphan:workspace_path_missing", "evidence": orphan["evidence"]},
        ],
        "entry": orphan,
        "would": "be ended by `team-agentctl fix --confirm`: it is an orphan (workspace_path_missing)",
    })
}

pub(super) fn events() -> Value {
    let about = |event: &str, fields: Value| {
        ended(
            json!({
                "ts": "2026-05-26T12:03:12.123456+00:00",
                "event": event,
                "pid": 4242,
                "reason": "workspace_path_missing",
                "workspace": "/w",
            }),
            fields,
        )
    };
    json!({"events": [
        {"ts": "2026-05-26T12:00:00.000001+00:00", "event": "daemon.started", "pid": 812, "version": "0.1.0", "socket": "/s"},
        about("orphan.detected", json!({"evidence": {"path": "missing"}})),
        about("orphan.signal", json!({"signal": "SIGTERM", "orphan_pid": 4242, "actor": "auto"})),
        about("orphan.signal", json!({"pid": 4250, "signal": "SIGKILL", "orphan_pid": 4242, "actor": {"uid": 1000, "pid": 77}})),
        about("orphan.killed", json!({"sigkill_required": true, "status": "killed", "elapsed_ms": 3104})),
        about("orphan.killed", json!({"sigkill_required": false, "status": "missing", "elapsed_ms": 0})),
        about("orphan.failed", json!({"error": "permission_denied", "error_detail": "EPERM"})),
        about("orphan.cleared", json!({"cause": "verdict_changed", "now": "workspace_alive"})),
        about("orphan.spared", json!({"why": "workspace_moved"})),
        about("orphan.interrupted", json!({"signal": "SIGTERM"})),
        {"ts": "2026-05-26T12:04:00.000000+00:00", "event": "config.rejected", "problem": "line 2"},
        {"raw": "half a li"},
    ]})
}
