//! How the daemon itself is: a line a check, the worst first, each with what can be done.

use anstyle::Style;
use serde_json::Value;

use super::View;
use super::field::{count, shown, text};
use super::paint::{ALARM, ASIDE, DOUBT, WELL};
use crate::cli::list;
use crate::cli::wrap::wrapped;

/// The text of a look at the daemon's health.
#[must_use]
pub fn doctor(result: &Value, view: &View) -> String {
    let mut checks: Vec<&Value> = list(result, "checks").iter().collect();
    // Those that are as bad stay in the order they came in.
    checks.sort_by_key(|check| Mark::of(check).rank);
    let column = checks
        .iter()
        .map(|check| name(check).chars().count())
        .max()
        .unwrap_or(0);
    let mut lines: Vec<String> = checks
        .iter()
        .flat_map(|check| check_lines(check, column, view))
        .collect();
    lines.push(String::new());
    lines.push(conclusion(result, &checks, view));
    lines.join("\n")
}

/// How a result is marked.
struct Mark {
    rank: u8,
    sign: char,
    style: Style,
}

impl Mark {
    fn of(check: &Value) -> Self {
        let (rank, sign, style) = match check["result"].as_str() {
            Some("ok") => (2, '✓', WELL),
            Some("problem") => (0, '✗', ALARM),
            // A word of another version is not passed over.
            _ => (1, '!', DOUBT),
        };
        Self { rank, sign, style }
    }
}

fn name(check: &Value) -> String {
    shown(&check["check"]).replace('_', " ")
}

fn check_lines(check: &Value, column: usize, view: &View) -> Vec<String> {
    let mark = Mark::of(check);
    // The mark, and a space on either side of the name's column.
    let indent = column + 4;
    let mut says = broken(&shown(&check["says"]), indent, view).into_iter();
    let first = says.next().unwrap_or_default();
    let padded = format!("{:<column$}", name(check));
    let mut lines = vec![
        format!("{} {padded}  {first}", view.paint(mark.style, mark.sign))
            .trim_end()
            .to_owned(),
    ];
    let margin = " ".repeat(indent);
    lines.extend(says.map(|rest| format!("{margin}{rest}")));
    if let Some(remedy) = text(&check["remedy"]) {
        let remedy = broken(&format!("→ {remedy}"), indent, view);
        lines.extend(
            remedy
                .iter()
                .map(|line| format!("{margin}{}", view.paint(mark.style, line))),
        );
    }
    lines
}

/// A text in lines that fit beside the margin; in a pipe in one.
fn broken(text: &str, indent: usize, view: &View) -> Vec<String> {
    const NARROWEST: usize = 20;
    if !view.terminal.is_terminal {
        return vec![text.to_owned()];
    }
    let room = view.terminal.width.saturating_sub(indent).max(NARROWEST);
    wrapped(text, room)
        .into_iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn conclusion(result: &Value, checks: &[&Value], view: &View) -> String {
    let of_rank = |rank| {
        checks
            .iter()
            .filter(|check| Mark::of(check).rank == rank)
            .count()
    };
    let (problems, warnings) = (of_rank(0), of_rank(1));
    let of_what = match &result["daemon"]["version"] {
        Value::Null => "from this process: no daemon was heard".to_owned(),
        version => format!("of team-agentd {}", shown(version)),
    };
    let found = match (problems, warnings) {
        // Only where that was looked at, and the exit status says so, too.
        (0, 0) if checks.is_empty() || result["ok"] != true => {
            view.paint(ALARM, "how it is was not said")
        }
        (0, 0) => view.paint(WELL, "all is well"),
        (0, _) => view.paint(DOUBT, count(warnings, "warning")),
        (_, 0) => view.paint(ALARM, count(problems, "problem")),
        _ => format!(
            "{}, {}",
            view.paint(ALARM, count(problems, "problem")),
            view.paint(DOUBT, count(warnings, "warning"))
        ),
    };
    let aside = format!("({} {of_what})", count(checks.len(), "check"));
    format!("{found} {}", view.paint(ASIDE, aside))
}
