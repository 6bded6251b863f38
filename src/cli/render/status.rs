//! The daemon and what it has in view.

use serde_json::Value;

use super::View;
use super::field::{
    age, count, counted, memory, milliseconds, shown, shown_or_unknown, span, text,
};
use super::paint::{DOUBT, HEADING};
use super::scan::painted;
use super::steering::held_because;
use super::table::{self, Row};
use crate::cli::list;

/// On a terminal of fewer columns, what an orphan does next is worth more than what it is.
const NARROW: usize = 80;

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
        lines.push(format!("  {:<12}{what}", format!("{label}:")));
    }
    for obstacle in list(&result["view"], "obstacles") {
        let says = view.paint(DOUBT, shown(&obstacle["says"]));
        lines.push(format!("  {:<12}{says}", "view:"));
    }
    lines.extend(turned_away(&result["peers"]));
    lines.extend(respawning(&result["policy"], view));
    lines.extend(kept(&result["policy"]["kept"]));
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
        let is_narrow = view.terminal.width < NARROW;
        // A column that says nothing is not worth its room.
        let has_next = result["policy"]["confirm"] == true
            || orphans
                .iter()
                .any(|orphan| !orphan["next_action_at"].is_null());
        let rows = orphans
            .iter()
            .map(|orphan| row(orphan, has_next, is_narrow, view))
            .collect();
        let mut headings = vec!["STATE", "PID"];
        if !is_narrow {
            headings.extend(["AGE", "MEMORY"]);
        }
        headings.extend(has_next.then_some("NEXT"));
        lines.extend(painted(
            table::lines(&headings, rows, view.terminal.width),
            view,
        ));
    } else {
        lines.push(format!("{} in view", count(orphans.len(), "orphan")));
        lines.extend(orphans.iter().map(|orphan| {
            format!(
                "    PID {} etime={} state={} workspace={} reason={}{}",
                shown(&orphan["pid"]),
                shown(&orphan["etime"]),
                shown(&orphan["state"]),
                shown_or_unknown(&orphan["workspace"]),
                shown(&orphan["reason"]),
                held_and_next(orphan),
            )
        }));
    }
    lines.join("\n")
}

/// What holds it, and when it will be ended, as far as that is known.
fn held_and_next(orphan: &Value) -> String {
    let holds: Vec<String> = list(orphan, "holds")
        .iter()
        .map(|hold| shown(&hold["hold"]))
        .collect();
    let held = match holds.is_empty() {
        true => String::new(),
        false => format!(" held_by={}", holds.join(",")),
    };
    match text(&orphan["next_action_at"]) {
        Some(at) => format!("{held} next={at}"),
        None => held,
    }
}

fn row(orphan: &Value, has_next: bool, is_narrow: bool, view: &View) -> Row {
    let mut short = vec![shown(&orphan["state"]), shown(&orphan["pid"])];
    if !is_narrow {
        short.extend([age(orphan), memory(orphan)]);
    }
    if has_next {
        let next = &orphan["next_action_at"];
        // Without a time there is something that does not end by itself.
        let endless = || {
            list(orphan, "holds")
                .iter()
                .find(|hold| hold["until"].is_null())
        };
        short.push(match next.is_null() {
            true => endless().map_or_else(|| "-".to_owned(), |hold| shown(&hold["hold"])),
            false => view.time_until(next),
        });
    }
    Row {
        short,
        workspace: shown_or_unknown(&orphan["workspace"]),
        reason: shown(&orphan["reason"]),
        below: Vec::new(),
    }
}

/// What the daemon does by itself, and what keeps it from that, in a phrase.
#[must_use]
pub fn policy(policy: &Value, view: &View) -> String {
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
    for word in list(policy, "held_by") {
        // Those two say more above.
        if word != "suspended" && word != "paused" {
            said.push(view.paint(DOUBT, format!("held: {}", held_because(word))));
        }
    }
    said.join("; ")
}

/// What is kept: whatever is not ended although it may be an orphan is worth a line.
fn kept(kept: &Value) -> Vec<String> {
    let pids = list(kept, "pids")
        .iter()
        .map(|pid| format!("process {}", shown(pid)));
    let paths = list(kept, "paths").iter().map(|one| shown(&one["path"]));
    pids.chain(paths)
        .map(|what| format!("  {:<12}{what}", "kept:"))
        .collect()
}

/// Peers that were turned away, or something they asked for: worth a line if there was any.
fn turned_away(peers: &Value) -> Option<String> {
    let turned = peers["turned_away"].as_object()?;
    let words: Vec<String> = turned
        .iter()
        .filter(|(_, times)| **times != 0)
        .map(|(word, times)| {
            let word = Value::from(word.replace('_', " "));
            format!("{} {}", shown(times), shown(&word))
        })
        .collect();
    (!words.is_empty()).then(|| format!("  {:<12} {}", "turned away:", words.join(", ")))
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
        format!("  {:<12}{}", "respawned:", view.paint(DOUBT, says))
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
    let known = KNOWN.into_iter().map(|name| match name {
        "scans" => counted(&counters[name], "scan"),
        name => format!("{} {name}", shown(&counters[name])),
    });
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
