//! Who would end with an orphan, below its line: of a result that says so.

use serde_json::Value;

use super::View;
use super::field::shown;
use super::paint::{ASIDE, DOUBT};
use super::table::shorten_middle;
use super::words;
use crate::cli::list;

/// What these lines are indented by on a terminal: they stand below the pid.
const INDENT: &str = "         ";
/// More processes than this are counted rather than listed.
const LISTED_AT_MOST: usize = 8;

/// The lines for a terminal; none if nothing was asked for.
pub(super) fn company(entry: &Value, view: &View) -> Vec<String> {
    let indented = |line: String| format!("{INDENT}{line}");
    let Some(members) = entry.get("members") else {
        return Vec::new();
    };
    if members.is_null() {
        let unknown = "who would end with it could not be found out";
        return vec![indented(view.paint(DOUBT, unknown))];
    }
    if !entry["would_spare"].is_null() {
        let why = shown(&entry["would_spare"]);
        let why = words::spared(&why).map_or(why.clone(), |says| format!("{says} ({why})"));
        return vec![indented(
            view.paint(DOUBT, format!("would be spared: {why}")),
        )];
    }
    let room = view.terminal.width.saturating_sub(INDENT.len());
    let mut lines: Vec<String> = listed(list(entry, "members"), |one| {
        let head = format!("ends with it: {}  ", shown(&one["pid"]));
        let room = room.saturating_sub(head.chars().count()).max(8);
        format!("{head}{}", shorten_middle(&shown(&one["cmdline"]), room))
    });
    let left = listed(list(entry, "left_behind"), |one| {
        let head = format!("left behind:  {}  ", shown(&one["pid"]));
        let why = shown(&one["why"]);
        let why = words::left_behind(&why).unwrap_or(&why);
        let taken = head.chars().count() + why.chars().count() + 3;
        let room = room.saturating_sub(taken).clamp(8, 40);
        let cmdline = shorten_middle(&shown(&one["cmdline"]), room);
        format!("{head}{cmdline} ({why})")
    });
    lines.extend(left.into_iter().map(|line| view.paint(ASIDE, line)));
    lines.into_iter().map(indented).collect()
}

fn listed(all: &[Value], line: impl Fn(&Value) -> String) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(LISTED_AT_MOST).map(line).collect();
    if all.len() > LISTED_AT_MOST {
        let more = all.len() - LISTED_AT_MOST;
        lines.push(format!(
            "and {more} more (--json scan --members lists them)"
        ));
    }
    lines
}

/// The lines for a pipe: all of them, each by itself.
pub(super) fn piped(entry: &Value) -> Vec<String> {
    let Some(members) = entry.get("members") else {
        return Vec::new();
    };
    if members.is_null() {
        return vec!["      members unknown".to_owned()];
    }
    if !entry["would_spare"].is_null() {
        return vec![format!("      spared why={}", shown(&entry["would_spare"]))];
    }
    let members = list(entry, "members").iter().map(|one| {
        format!(
            "      member PID {} cmdline={}",
            shown(&one["pid"]),
            shown(&one["cmdline"])
        )
    });
    let left = list(entry, "left_behind").iter().map(|one| {
        format!(
            "      left PID {} why={} cmdline={}",
            shown(&one["pid"]),
            shown(&one["why"]),
            shown(&one["cmdline"])
        )
    });
    members.chain(left).collect()
}
