//! One process, as a doctor's letter has it: what it is, what was checked, what was found, and what
//! follows.

use serde_json::Value;

use super::View;
use super::evidence::{Fact, facts};
use super::field::{age, memory, shown, text};
use super::paint::{ASIDE, HEADING, of_word};
use super::words;
use crate::cli::list;

/// The text of an explanation.
#[must_use]
pub fn explain(result: &Value, view: &View) -> String {
    let pid = shown(&result["pid"]);
    let entry = &result["entry"];
    let rules = list(result, "rules");
    let mut lines = Vec::new();
    let mut part = |title: &str, facts: Vec<Fact>| {
        if !facts.is_empty() {
            lines.push(view.paint(HEADING, title));
            lines.extend(aligned(facts, view.terminal.width));
            lines.push(String::new());
        }
    };
    if result["is_coordinator"] == true {
        part(
            &format!("Process {pid} is a coordinator"),
            what_it_is(entry, view),
        );
    } else {
        part(
            &format!("Process {pid} is not a coordinator"),
            no_coordinator(rules),
        );
    }
    part(
        "What was checked",
        rules.iter().map(|rule| checked(rule, view)).collect(),
    );
    part("What was found", facts(&entry["evidence"]));
    lines.push(view.paint(HEADING, "What would happen"));
    lines.push(format!(
        "  it would {}",
        text(&result["would"]).unwrap_or_else(|| "?".to_owned())
    ));
    if let Some(by_itself) = text(&result["by_itself"]) {
        lines.push(format!("  {by_itself}"));
        let next = &result["next_action_at"];
        if !next.is_null() {
            lines.push(format!("  not before {}", view.local_time(next)));
        }
    }
    lines.join("\n")
}

fn what_it_is(entry: &Value, view: &View) -> Vec<Fact> {
    let verdict = shown(&entry["verdict"]);
    let reason = shown(&entry["reason"]);
    let because = words::reason(&reason).unwrap_or("?").to_owned();
    let facts = [
        (
            "verdict",
            format!("{}, {reason}", view.paint(of_word(&verdict), &verdict)),
        ),
        ("because", because),
        ("workspace", shown(&entry["workspace"])),
        (
            "running",
            format!("for {}, holding {}", age(entry), memory(entry)),
        ),
        ("form", shown(&entry["form"])),
        ("cmdline", shown(&entry["cmdline"])),
        ("family", family(entry)),
        ("in view", seen(entry, view)),
    ];
    facts.map(|(label, what)| (label.to_owned(), what)).into()
}

fn family(entry: &Value) -> String {
    let [uid, parent, group, session] =
        ["uid", "ppid", "pgid", "sid"].map(|name| shown(&entry[name]));
    format!("uid {uid}, parent {parent}, group {group}, session {session}")
}

fn seen(entry: &Value, view: &View) -> String {
    let since = view.time_ago(&entry["first_seen"]);
    match entry["sightings"].as_u64() {
        Some(1) => format!("since {since}, seen once"),
        _ => format!("since {since}, seen {} times", shown(&entry["sightings"])),
    }
}

/// What the one rule for strangers found.
fn no_coordinator(rules: &[Value]) -> Vec<Fact> {
    rules
        .first()
        .map(|rule| facts(&rule["evidence"]))
        .unwrap_or_default()
}

fn checked(rule: &Value, view: &View) -> Fact {
    let result = shown(&rule["result"]);
    let said = match result.as_str() {
        "does_not_apply" => view.paint(ASIDE, "does not apply"),
        _ => match result.split_once(':') {
            Some((verdict, reason)) => {
                format!("{}: {reason}", view.paint(of_word(verdict), verdict))
            }
            None => result,
        },
    };
    (shown(&rule["rule"]), said)
}

/// The facts as two columns; labels of an unusual length push theirs aside.
fn aligned(facts: Vec<Fact>, width: usize) -> Vec<String> {
    let widest = facts
        .iter()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    let widest = widest.min(32).min(width / 2);
    facts
        .into_iter()
        .map(|(label, said)| format!("  {label:<widest$}  {said}"))
        .collect()
}
