//! A coordinator as a row: what it is, where it stands, and when it will be ended.

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::list;
use crate::cli::render::{memory, shown, shown_or_unknown, text, time};

/// A coordinator. All texts are safe to show.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) pid: u64,
    /// An orphan's state, another one's verdict.
    pub(super) state: String,
    pub(super) is_orphan: bool,
    pub(super) is_kept: bool,
    pub(super) started_at: Option<Timestamp>,
    pub(super) memory: String,
    pub(super) workspace: String,
    pub(super) reason: String,
    pub(super) cmdline: Option<String>,
    pub(super) wait: Wait,
    /// What keeps the daemon from ending it by itself, in sentences.
    pub(super) says: Vec<String>,
    /// Its workspace as the daemon spells it, for asking: the name of the parameter, and its value.
    pub(super) named: Option<(&'static str, Value)>,
}

/// How long it has left.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wait {
    /// Nothing waits for it.
    None,
    /// It is ended at the end of this.
    Until { from: Timestamp, until: Timestamp },
    /// It is held by something that has no end; by what.
    Held(String),
}

/// The coordinators of a status: orphans first, those in doubt next.
pub(super) fn rows(status: &Value) -> Vec<Row> {
    let orphans = list(status, "orphans");
    let orphan_of = |pid: &Value| orphans.iter().find(|orphan| orphan["pid"] == *pid);
    let all = list(status, "coordinators");
    let mut rows: Vec<Row> = all
        .iter()
        .filter_map(|one| row(one, orphan_of(&one["pid"])))
        .collect();
    // Of a daemon that lists only them.
    rows.extend(
        orphans
            .iter()
            .filter(|orphan| all.iter().all(|one| one["pid"] != orphan["pid"]))
            .filter_map(|orphan| row(orphan, Some(orphan))),
    );
    rows.sort_by_key(|row| {
        let rank = match row.state.as_str() {
            _ if row.is_orphan => 0,
            "alive" => 2,
            _ => 1,
        };
        (rank, row.pid)
    });
    rows
}

fn row(one: &Value, orphan: Option<&Value>) -> Option<Row> {
    let state = orphan.map_or(&one["verdict"], |orphan| &orphan["state"]);
    let holds = orphan.map(|orphan| list(orphan, "holds")).unwrap_or(&[]);
    let is_held_as_kept = holds.iter().any(|hold| hold["hold"] == "kept");
    Some(Row {
        pid: one["pid"].as_u64()?,
        state: shown(state),
        is_orphan: orphan.is_some(),
        is_kept: one["kept"] == true || is_held_as_kept,
        started_at: time(&one["started_at"]),
        memory: memory(one),
        workspace: shown_or_unknown(&one["workspace"]),
        reason: shown(&one["reason"]),
        cmdline: orphan.and_then(|orphan| text(&orphan["cmdline"])),
        wait: orphan.map_or(Wait::None, wait),
        says: holds.iter().map(|hold| shown(&hold["says"])).collect(),
        named: ["workspace_b64", "workspace"]
            .into_iter()
            .find(|name| one[name].is_string())
            .map(|name| match name {
                "workspace_b64" => ("workspaces_b64", one[name].clone()),
                _ => ("workspaces", one[name].clone()),
            }),
    })
}

fn wait(orphan: &Value) -> Wait {
    if orphan["state"] == "terminating" {
        return Wait::None;
    }
    if let Some(until) = time(&orphan["next_action_at"]) {
        let from = time(&orphan["orphan_since"]).unwrap_or(until);
        return Wait::Until { from, until };
    }
    let endless = list(orphan, "holds")
        .iter()
        .find(|hold| hold["until"].is_null());
    endless.map_or(Wait::None, |hold| Wait::Held(held(&hold["hold"])))
}

/// A hold in a word or two.
fn held(hold: &Value) -> String {
    let words = match hold.as_str() {
        Some("reap_not_confirmed") => "only on request",
        Some("reason_not_listed") => "reason not listed",
        Some("protected_ancestor") => "daemon is below it",
        Some("view_obstructed") => "view obstructed",
        Some("audit_unavailable") => "log unwritable",
        Some("alive_after_sigkill") => "survived SIGKILL",
        Some("permission_denied") => "not permitted",
        _ => return shown(hold),
    };
    words.to_owned()
}
