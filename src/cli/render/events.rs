//! The event log, a line an event.

use serde_json::{Map, Value};

use super::View;
use super::field::{milliseconds, shown};
use super::paint::{ALARM, ASIDE, DOUBT, WELL};
use crate::cli::list;
use crate::cli::safe_text::escape;

/// The longest usual name of an event.
const NAME_WIDTH: usize = 18;

/// The text of a list of events, newest last.
#[must_use]
pub fn events(result: &Value, view: &View) -> String {
    let events = list(result, "events");
    if events.is_empty() && view.terminal.is_terminal {
        return "no events".to_owned();
    }
    let lines: Vec<String> = events.iter().map(|one| event(one, view)).collect();
    lines.join("\n")
}

/// One event in a line.
#[must_use]
pub fn event(event: &Value, view: &View) -> String {
    let Some(object) = event.as_object() else {
        return shown(event);
    };
    // A line of the log that is not JSON.
    if let Some(raw) = object.get("raw").filter(|_| !object.contains_key("event")) {
        return shown(raw);
    }
    let name = shown(&event["event"]);
    let padding = " ".repeat(NAME_WIDTH.saturating_sub(name.chars().count()));
    let style = match name.as_str() {
        "orphan.failed" | "config.rejected" | "orphan.interrupted" => ALARM,
        "orphan.detected" | "orphan.signal" | "orphan.spared" | "reap.suspended" => DOUBT,
        "orphan.killed" | "orphan.cleared" => WELL,
        _ => anstyle::Style::new(),
    };
    let mut parts = vec![
        view.paint(ASIDE, view.local_time(&event["ts"])),
        format!("{}{padding}", view.paint(style, &name)),
    ];
    parts.extend(
        ["pid", "reason", "workspace"]
            .into_iter()
            .filter_map(|field| {
                let value = object.get(field).filter(|value| !value.is_null())?;
                Some(if field == "pid" {
                    format!("{:<7}", shown(value))
                } else {
                    shown(value)
                })
            }),
    );
    parts.extend(outcome(object));
    parts.join("  ").trim_end().to_owned()
}

/// What is particular to an event.
fn outcome(event: &Map<String, Value>) -> Vec<String> {
    let field = |name: &str| event.get(name).filter(|value| !value.is_null());
    let value = |name: &str| field(name).map(shown);
    let mut parts = Vec::new();
    match event.get("event").and_then(Value::as_str) {
        Some("orphan.signal") => {
            parts.extend(value("signal"));
            if let Some(orphan) = field("orphan_pid").filter(|orphan| Some(*orphan) != field("pid"))
            {
                parts.push(format!("with {}", shown(orphan)));
            }
            parts.extend(field("actor").map(actor));
        }
        Some("orphan.killed") => {
            let by = if field("sigkill_required") == Some(&Value::Bool(true)) {
                "SIGKILL"
            } else {
                "SIGTERM"
            };
            parts.push(match field("status").and_then(Value::as_str) {
                Some("missing") => "was gone already".to_owned(),
                _ => format!(
                    "by {by} in {}",
                    field("elapsed_ms").map_or_else(|| "?".to_owned(), milliseconds)
                ),
            });
        }
        Some("orphan.failed") => {
            let error = value("error").unwrap_or_else(|| "?".to_owned());
            parts.push(match value("error_detail") {
                Some(detail) => format!("{error}: {detail}"),
                None => error,
            });
        }
        Some("orphan.cleared") => {
            parts.extend(value("cause"));
            parts.extend(value("now").map(|now| format!("now {now}")));
        }
        Some("orphan.interrupted") => {
            parts.extend(value("signal").map(|signal| format!("{signal} without an outcome")));
        }
        Some("orphan.spared") => parts.extend(value("why")),
        Some("orphan.detected") => {}
        Some("daemon.started") => {
            parts.extend(value("version"));
            parts.extend(value("socket"));
        }
        Some("daemon.stopped") => parts.extend(value("cause")),
        _ => parts.extend(others(event)),
    }
    parts
}

/// The fields of an event that is not known here, as far as they are short.
fn others(event: &Map<String, Value>) -> impl Iterator<Item = String> {
    event
        .iter()
        .filter(|(name, value)| {
            let is_shown = matches!(
                name.as_str(),
                "ts" | "event" | "pid" | "reason" | "workspace"
            );
            let is_short = !(value.is_null() || value.is_object() || value.is_array());
            is_short && !(is_shown || name.ends_with("_b64"))
        })
        .map(|(name, value)| format!("{}={}", escape(name), shown(value)))
}

fn actor(actor: &Value) -> String {
    match actor {
        Value::Object(peer) => {
            let uid = peer.get("uid").map_or_else(|| "?".to_owned(), shown);
            match peer.get("pid").filter(|pid| !pid.is_null()) {
                Some(pid) => format!("asked by uid {uid}, pid {}", shown(pid)),
                None => format!("asked by uid {uid}"),
            }
        }
        other if other == "auto" => "by itself".to_owned(),
        other => format!("by {}", shown(other)),
    }
}
