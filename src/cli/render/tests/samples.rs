//! Results as a daemon gives them.

use serde_json::{Value, json};

use crate::cli::failure::Failure;

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

/// A scan with who would end with each orphan.
pub(super) fn scan_with_members() -> Value {
    let mut scan = scan();
    let left = json!([
        {"pid": 4301, "cmdline": "tmux: server new-session -s work", "why": "terminal_multiplexer"},
        {"pid": 4302, "cmdline": "evil\u{1b}[2J", "why": "a_word_of_tomorrow"},
    ]);
    for name in ["orphans", "coordinators"] {
        let entries = scan[name].as_array_mut().unwrap();
        for entry in entries
            .iter_mut()
            .filter(|entry| entry["is_orphan"] == true)
        {
            let is_first = entry["pid"] == 4242;
            entry["would_spare"] = if is_first { json!(null) } else { json!("kept") };
            entry["left_behind"] = if is_first { left.clone() } else { json!([]) };
            entry["members"] = match is_first {
                true => (4250..4260)
                    .map(|pid| json!({"pid": pid, "cmdline": "python3 -m team_agent.worker --task build-everything-again"}))
                    .collect(),
                false => json!([]),
            };
        }
    }
    scan
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

/// Much is going on: orphans in each state, something that respawns, something that is kept, a pause.
pub(super) fn busy_status() -> Value {
    let at = |pid, state: &str, workspace: &str, reason: &str, fields: Value| {
        let mut one = ended(entry(pid, "orphan", workspace, reason), fields);
        one["state"] = state.into();
        one
    };
    let mut status = status();
    status["orphans"] = json!([
        at(
            4242,
            "terminating",
            "/home/me/projects/shop",
            "workspace_path_missing",
            json!({"next_action_at": null})
        ),
        at(
            4243,
            "suspected",
            "/home/me/projects/blog",
            "workspace_replaced",
            json!({
                "next_action_at": "2026-05-26T12:06:00.000000+00:00",
                "holds": [{"hold": "grace", "until": "2026-05-26T12:06:00.000000+00:00"}],
            })
        ),
        at(
            4244,
            "confirmed",
            "/tmp/team-agent-test-dedupe-x7k2p9/workspace",
            "ephemeral_tempdir_pattern:team-agent-test-",
            json!({
                "next_action_at": null,
                "holds": [{"hold": "reason_not_listed", "until": null}],
            })
        ),
        at(
            4245,
            "failed",
            "/mnt/volume/a/very/long/way/to/a/workspace/of/somebody",
            "workspace_path_missing",
            json!({
                "next_action_at": null,
                "holds": [{"hold": "alive_after_sigkill", "until": null}],
            })
        ),
    ]);
    status["policy"] = json!({
        "confirm": true,
        "reasons": ["workspace_path_missing", "workspace_replaced"],
        "suspended": true,
        "suspended_why": "5 of 6 coordinators turned orphan within 60 s",
        "paused": true,
        "paused_until": "2026-05-26T13:00:00.000000+00:00",
        "held_by": ["view_obstructed", "suspended", "paused"],
        "kept": {"pids": [31], "paths": [{"path": "/home/me/projects/old"}]},
        "respawning": [{
            "workspace": "/home/me/projects/shop", "kills": 5,
            "wait_until": "2026-05-26T12:21:00.000000+00:00",
            "parent": 900, "parent_cmdline": "bash ./loop.sh", "unit": "loop.service",
        }],
    });
    status["view"] = json!({"clear": false, "obstacles": [
        {"kind": "hidden_path", "path": "/home", "says": "another directory than everybody else's is at /home (ProtectHome=?)"},
    ]});
    status
}

/// An orphan that is kept, and has not waited for long enough.
pub(super) fn held_explanation() -> Value {
    let mut held = explanation();
    held["entry"]["cmdline"] = "/usr/local/lib/python3.12/venvs/team-agent/bin/python3 -m \
        team_agent.coordinator --workspace /home/me/projects/shop --log-level debug"
        .into();
    held["state"] = "suspected".into();
    held["by_itself"] = "the daemon will not end it: it is kept (team-agentctl keep)".into();
    held
}

pub(super) fn healthy_explanation() -> Value {
    let mut healthy = entry(31, "alive", "/home/me/projects/blog", "workspace_alive");
    healthy["evidence"]["path"] = "exists".into();
    healthy["evidence"]["pid_file"] = "names_it".into();
    healthy["evidence"]["cwd"]["fate"] = "in_place".into();
    healthy["evidence"]["cwd"]["links"] = 2.into();
    json!({
        "pid": 31,
        "is_coordinator": true,
        "rules": [
            {"rule": "is_coordinator", "result": "yes", "evidence": {"form": "python-module", "argv": ["python3"]}},
            {"rule": "workspace_path_missing", "result": "does_not_apply", "evidence": null},
            {"rule": "workspace_alive", "result": "alive:workspace_alive", "evidence": healthy["evidence"]},
        ],
        "entry": healthy,
        "would": "be left alone: its workspace is there",
    })
}

pub(super) fn installed() -> Value {
    json!({
        "changed": true,
        "config": "/home/me/.config/team-agentd/team-agentd.toml",
        "steps": [
            {"did": "wrote", "what": "/home/me/.config/systemd/user/team-agentd.service"},
            {"did": "unchanged", "what": "/home/me/.config/systemd/user/team-agentd.socket"},
            {"did": "enabled", "what": "team-agentd: it starts by itself from now on"},
            {"did": "started", "what": "team-agentd 0.1.0, process 161, which answers on /run/user/1500/team-agentd/control.sock"},
        ],
        "hints": ["it ends when you log out: `loginctl enable-linger` keeps your services running"],
    })
}

pub(super) fn uninstalled() -> Value {
    json!({
        "changed": true,
        "steps": [{"did": "removed", "what": "/home/me/.config/systemd/user/team-agentd.service"}],
        "stays": ["/home/me/.local/state/team-agentd", "/home/me/.config/team-agentd/team-agentd.toml"],
    })
}

pub(super) fn service_statuses() -> [(&'static str, Value); 3] {
    let unit = "/home/me/.config/systemd/user/team-agentd.service";
    let running = json!({
        "ok": true, "platform": "systemd", "installed": true, "enabled": true, "active": "active",
        "since": "2026-05-26T09:54:06Z", "pid": 812, "restarts": 2,
        "says": "4 coordinators, 2 orphans; ends orphans only on request",
        "files": [{"path": unit, "state": "current"}], "drop_ins": [format!("{unit}.d/override.conf")],
        "program": "/home/me/.cargo/bin/team-agentd", "program_version": "0.1.0",
        "daemon": {"version": "0.1.0", "socket": "/run/user/1000/team-agentd/control.sock", "config": null},
        "hints": ["the unit starts another program than the one that is installed: team-agentctl service install"],
    });
    let mut failed = running.clone();
    for (name, value) in [
        ("ok", json!(false)),
        ("active", json!("failed")),
        ("pid", Value::Null),
        ("daemon", Value::Null),
        (
            "says",
            json!(
                "/home/me/.config/team-agentd/team-agentd.toml:3: reap.confirm: must be true or false"
            ),
        ),
    ] {
        failed[name] = value;
    }
    let absent = json!({
        "ok": false, "platform": "systemd", "installed": false, "enabled": false,
        "active": "inactive", "since": null, "pid": null, "daemon": null,
        "files": [{"path": unit, "state": "missing"}], "hints": [],
    });
    [
        ("service-status", running),
        ("service-status-failed", failed),
        ("service-status-absent", absent),
    ]
}

pub(super) fn failure() -> Failure {
    Failure::usage(
        "failed to connect to /run/user/1000/team-agentd/control.sock: no daemon listens there",
    )
    .with_remedy("start one: team-agentctl service install, or in the foreground: team-agentd")
}
