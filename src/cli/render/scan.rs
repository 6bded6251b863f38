//! What a scan found.

use std::path::Path;

use serde_json::Value;

use super::View;
use super::company::company;
use super::field::{age, count, memory, shown, shown_or_unknown, total_memory};
use super::paint::{HEADING, of_word};
use super::report::{head, report};
use super::table::{self, Row};
use crate::cli::list;
use crate::cli::safe_text::escape;

/// What somebody wanted to know of a scan.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The workspace that it was about, if it was about one.
    pub workspace: Option<&'a Path>,
    /// The command that ends what it found.
    pub next: &'a str,
}

/// The text of a scan.
#[must_use]
pub fn scan(result: &Value, view: &View, asked: &Asked<'_>) -> String {
    if !view.terminal.is_terminal {
        return report(result).join("\n");
    }
    let mut lines = head(result);
    lines.push(String::new());
    lines.extend(found(result, view, asked.workspace));
    lines.extend(what_to_type(result, view, asked.next));
    lines.join("\n")
}

/// All coordinators as a table, and what they come to.
fn found(result: &Value, view: &View, workspace: Option<&Path>) -> Vec<String> {
    let orphans = list(result, "orphans");
    let coordinators = match list(result, "coordinators") {
        // The original tool lists no others.
        [] => orphans,
        all => all,
    };
    match workspace {
        _ if !coordinators.is_empty() => {}
        Some(workspace) => {
            let workspace = workspace.to_string_lossy();
            return vec![format!(
                "no coordinator of {} is running",
                escape(&workspace)
            )];
        }
        None => return vec!["no coordinators are running: all is tidy".to_owned()],
    }
    let mut lines = coordinator_table(coordinators, view);
    lines.push(String::new());
    let all = count(coordinators.len(), "coordinator");
    lines.push(match (orphans.len(), total_memory(orphans)) {
        (0, _) => format!("no orphans among {all}: all is tidy"),
        (many, None) => format!("{} of {all}", count(many, "orphan")),
        (many, Some(memory)) => format!("{} of {all}, holding {memory}", count(many, "orphan")),
    });
    lines
}

/// Coordinators as a table, the orphans first.
pub(super) fn coordinator_table(coordinators: &[Value], view: &View) -> Vec<String> {
    let mut sorted: Vec<&Value> = coordinators.iter().collect();
    sorted.sort_by_key(|entry| match entry["verdict"].as_str() {
        _ if entry["is_orphan"] == true => 0,
        Some("alive") => 2,
        _ => 1,
    });
    let rows = sorted.into_iter().map(|entry| row(entry, view)).collect();
    painted(
        table::lines(
            &["VERDICT", "PID", "AGE", "MEMORY"],
            rows,
            view.terminal.width,
        ),
        view,
    )
}

fn row(entry: &Value, view: &View) -> Row {
    Row {
        short: vec![
            shown(&entry["verdict"]),
            shown(&entry["pid"]),
            age(entry),
            memory(entry),
        ],
        workspace: shown_or_unknown(&entry["workspace"]),
        reason: shown(&entry["reason"]),
        below: company(entry, view),
    }
}

/// A table's lines with the headings and the word that begins a row in colour.
pub(super) fn painted(lines: Vec<String>, view: &View) -> Vec<String> {
    let paint = |(index, line): (usize, String)| {
        if index == 0 {
            return view.paint(HEADING, line);
        }
        let (word, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
        format!("{}{rest}", view.paint(of_word(word), word))
    };
    lines.into_iter().enumerate().map(paint).collect()
}

/// The commands that come next.
fn what_to_type(result: &Value, view: &View, next: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut suggest = |what: &str, command: &str| {
        let command = view.to_type(command);
        lines.push(format!("  {what:<14}{}", view.paint(HEADING, command)));
    };
    let orphans = list(result, "orphans");
    let in_doubt = list(result, "coordinators")
        .iter()
        .find(|entry| entry["verdict"] == "unknown");
    if let Some(orphan) = orphans.first() {
        suggest(
            "why:",
            &format!("team-agentctl explain {}", shown(&orphan["pid"])),
        );
    }
    if let Some(entry) = in_doubt {
        suggest(
            "why unknown:",
            &format!("team-agentctl explain {}", shown(&entry["pid"])),
        );
    }
    match orphans.len() {
        0 => {}
        1 => suggest("to end it:", next),
        _ => suggest("to end them:", next),
    }
    lines
}
