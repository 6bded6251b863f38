//! The daemon and what it has in view.

use serde_json::Value;

use super::View;
use super::field::{
    age, count, counted, memory, milliseconds, shown, shown_or_unknown, span, text,
};
use super::paint::{DOUBT, HEADING};
use super::scan::painted;
use super::table::{self, Row};
use crate::cli::list;

/// The text of a status.
#[must_use]
pub fn status(result: &Value, view: &View) -> String {
    let daemon = &result["daemon"];
    let uptime = daemon["uptime_s"]
        .as_u64()
        .map_or_else(|| shown(&daemon["uptime_s"]), span);
    let title = format!("team-agentd {}", shown(&daemon["version"]));
    let mut lines = vec![format!(
        "{}, pid {}, up {uptime}",
        view.paint(HEADING, title),
        shown(&daemon["pid"])
    )];
    let config =
        text(&daemon["config"]).unwrap_or_else(|| "none, the built-in defaults hold".to_owned());
    for (label, what) in [
        ("socket", shown(&daemon["socket"])),
        ("config", config),
        ("policy", policy(&result["policy"], view)),
        ("last scan", last_scan(&result["last_scan"], view)),
        ("counters", counters(&result["counters"])),
    ] {
        lines.push(format!("  {:<11}{what}", format!("{label}:")));
    }
    for obstacle in list(&result["view"], "obstacles") {
        let says = view.paint(DOUBT, shown(&obstacle["says"]));
        lines.push(format!("  {:<11}{says}", "view:"));
    }
    lines.extend(respawning(&result["policy"], view));
    lines.push(String::new());
    let orphans = list(result, "orphans");
    if orphans.is_empty() {
        let has_looked = !result["last_scan"].is_null();
        lines.push(
            if has_looked {
                "no orphans in view"
            } else {
                "nothing was looked at yet"
            }
            .to_owned(),
        );
    } else if view.terminal.is_terminal {
        let headings = ["STATE", "PID", "AGE", "MEMORY", "NEXT"];
        // A column that says nothing is not worth its room.
        let has_next = orphans
            .iter()
            .any(|orphan| !orphan["next_action_at"].is_null());
        let rows = orphans
            .iter()
            .map(|orphan| row(orphan, has_next, view))
            .collect();
        let headings = if has_next {
            &headings[..]
        } else {
            &headings[..4]
        };
        lines.extend(painted(
            table::lines(headings, rows, view.terminal.width),
            view,
        ));
    } else {
        lines.push(format!("{} in view", count(orphans.len(), "orphan")));
        lines.extend(orphans.iter().map(|orphan| {
            format!(
                "    PID {} etime={} state={} workspace={} reason={}",
                shown(&orphan["pid"]),
                shown(&orphan["etime"]),
                shown(&orphan["state"]),
                shown_or_unknown(&orphan["workspace"]),
                shown(&orphan["reason"]),
            )
        }));
    }
    lines.join("\n")
}

fn row(orphan: &Value, has_next: bool, view: &View) -> Row {
    let mut short = vec![
        shown(&orphan["state"]),
        shown(&orphan["pid"]),
        age(orphan),
        memory(orphan),
    ];
    if has_next {
        let next = &orphan["next_action_at"];
        short.push(if next.is_null() {
            "-".to_owned()
        } else {
            view.local_time(next)
        });
    }
    Row {
        short,
        workspace: shown_or_unknown(&orphan["workspace"]),
        reason: shown(&orphan["reason"]),
    }
}

fn policy(policy: &Value, view: &View) -> String {
    if policy.is_null() {
        return "?".to_owned();
    }
    let mut said = vec![if policy["confirm"] == true {
        let reasons: Vec<String> = list(policy, "reasons").iter().map(shown).collect();
        format!("ends orphans by itself ({})", reasons.join(", "))
    } else {
        "watches; ends orphans only on request".to_owned()
    }];
    match &policy["suspended"] {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => {
            let why = text(&policy["suspended_why"]);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            said.push(view.paint(DOUBT, format!("suspended{why} (team-agentctl resume)")));
        }
        why => said.push(view.paint(DOUBT, format!("suspended: {}", shown(why)))),
    }
    if !policy["paused_until"].is_null() {
        let until = format!("paused until {}", view.local_time(&policy["paused_until"]));
        said.push(view.paint(DOUBT, until));
    } else if policy["paused"] == true {
        said.push(view.paint(DOUBT, "paused (team-agentctl resume)"));
    }
    for (word, says) in [
        (
            "view_obstructed",
            "held: it does not see everything there is",
        ),
        ("audit_unavailable", "held: the event log cannot be written"),
    ] {
        if list(policy, "held_by").iter().any(|held| held == word) {
            said.push(view.paint(DOUBT, says));
        }
    }
    said.join("; ")
}

/// Where something starts coordinators again and again, and who that is.
fn respawning(policy: &Value, view: &View) -> Vec<String> {
    let lines = list(policy, "respawning").iter().map(|one| {
        let by = match (text(&one["unit"]), text(&one["parent_cmdline"])) {
            (Some(unit), _) => format!(", in {unit}"),
            (None, Some(parent)) if !parent.is_empty() => {
                format!(", by process {} ({parent})", shown(&one["parent"]))
            }
            _ => String::new(),
        };
        let says = format!(
            "{} was started again {} times{by}: the next is ended after {}",
            shown(&one["workspace"]),
            shown(&one["kills"]),
            view.local_time(&one["wait_until"]),
        );
        format!("  {:<11}{}", "respawned:", view.paint(DOUBT, says))
    });
    lines.collect()
}

fn last_scan(scan: &Value, view: &View) -> String {
    if scan.is_null() {
        return "none yet".to_owned();
    }
    format!(
        "{}; {}, {}; took {}",
        view.time_ago(&scan["at"]),
        counted(&scan["scanned"], "coordinator"),
        counted(&scan["orphans"], "orphan"),
        milliseconds(&scan["took_ms"]),
    )
}

fn counters(counters: &Value) -> String {
    // Those of the contract in its order; others as they come.
    const KNOWN: [&str; 6] = ["scans", "detected", "cleared", "killed", "failed", "spared"];
    let known = KNOWN
        .into_iter()
        .map(|name| format!("{} {name}", shown(&counters[name])));
    let others = counters.as_object().into_iter().flatten();
    let others = others
        .filter(|(name, value)| !KNOWN.contains(&name.as_str()) && **value != 0)
        .map(|(name, value)| {
            format!(
                "{} {}",
                shown(value),
                shown(&Value::from(name.replace('_', " ")))
            )
        });
    known.chain(others).collect::<Vec<_>>().join(", ")
}

/// The text of a reload that went well.
#[must_use]
pub fn reloaded(result: &Value) -> String {
    match text(&result["config"]) {
        Some(file) => format!("the configuration was read again from {file}"),
        None => "the configuration was read again: no file, the built-in defaults hold".to_owned(),
    }
}
