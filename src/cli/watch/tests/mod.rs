//! The model and its pictures.

mod model;
mod pictures;
mod snapshots;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::draw::Look;
use super::keys::Key;
use super::model::{Effect, Input, Model};
use crate::cli::render::View;
use crate::cli::terminal::Terminal;
use crate::control::notifications::Notification;

fn now() -> Timestamp {
    "2026-05-26T12:05:00Z".parse().unwrap()
}

fn view() -> View {
    View {
        terminal: Terminal {
            is_terminal: false,
            width: 80,
        },
        now: now(),
        zone: TimeZone::UTC,
        program: crate::cli::render::PROGRAM.to_owned(),
    }
}

fn look() -> Look {
    Look {
        now: now(),
        zone: TimeZone::UTC,
        has_colours: true,
    }
}

fn coordinator(pid: u32, workspace: &str, verdict: &str, reason: &str) -> Value {
    json!({
        "pid": pid,
        "workspace": workspace,
        "verdict": verdict,
        "reason": reason,
        "started_at": "2026-05-26T11:05:00.000000+00:00",
        "rss_bytes": 29_000_000,
        "kept": false,
    })
}

/// An orphan that will be ended in 42 of 60 seconds.
fn orphan(pid: u32, workspace: &str) -> Value {
    json!({
        "pid": pid,
        "workspace": workspace,
        "verdict": "orphan",
        "reason": "workspace_replaced",
        "cmdline": format!("python3 -m team_agent.coordinator --workspace {workspace}"),
        "started_at": "2026-05-26T11:05:00.000000+00:00",
        "rss_bytes": 29_000_000,
        "state": "suspected",
        "orphan_since": "2026-05-26T12:04:42.000000+00:00",
        "next_action_at": "2026-05-26T12:05:42.000000+00:00",
        "holds": [{
            "hold": "grace",
            "says": "it has not been an orphan for long enough",
            "until": "2026-05-26T12:05:42.000000+00:00",
        }],
    })
}

fn status() -> Value {
    let of_orphan = |pid, workspace| coordinator(pid, workspace, "orphan", "workspace_replaced");
    json!({
        "daemon": {"pid": 812, "version": "0.1.0", "uptime_s": 11_111, "socket": "/s", "config": null},
        "policy": {
            "confirm": true,
            "automatic": true,
            "held_by": [],
            "reasons": ["workspace_replaced"],
            "suspended": false,
            "paused": false,
            "paused_until": null,
            "kept": {"pids": [], "paths": []},
            "terminate": {"scope": "group", "sigterm_wait_s": 3.0, "sigkill_wait_s": 2.0},
        },
        "view": {"clear": true, "obstacles": []},
        "last_scan": {"at": "2026-05-26T12:04:58.000000+00:00", "took_ms": 3.2, "scanned": 4, "orphans": 2},
        "orphans": [orphan(11, "/home/me/work/blog"), orphan(13, "/home/me/work/api")],
        "coordinators": [
            coordinator(7, "/home/me/work/shop", "alive", "workspace_alive"),
            of_orphan(11, "/home/me/work/blog"),
            of_orphan(13, "/home/me/work/api"),
            coordinator(19, "/home/me/work/old-name", "unknown", "workspace_moved"),
        ],
        "history": [],
        "counters": {},
    })
}

fn signal(pid: u32, orphan: u32, signal: &str, ts: &str) -> Value {
    json!({
        "ts": ts,
        "event": "orphan.signal",
        "pid": pid,
        "orphan_pid": orphan,
        "workspace": "/home/me/work/blog",
        "reason": "workspace_replaced",
        "signal": signal,
        "actor": "auto",
    })
}

/// A model that was told this much.
fn model() -> Model {
    let started = json!({
        "ts": "2026-05-26T12:00:00.000000+00:00",
        "event": "daemon.started",
        "pid": 812,
        "version": "0.1.0",
        "socket": "/s",
    });
    let mut model = Model::new(vec![started]);
    tell(&mut model, Notification::Status(status()));
    model
}

fn tell(model: &mut Model, told: Notification) {
    assert_eq!(model.update(Input::Told(told), &view()), []);
}

fn press(model: &mut Model, keys: &[Key]) -> Vec<Effect> {
    keys.iter()
        .flat_map(|key| model.update(Input::Key(*key), &view()))
        .collect()
}
