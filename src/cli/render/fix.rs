//! How the orphans of a fix ended.

use serde_json::Value;

use super::View;
use super::field::{count, milliseconds, shown, shown_or_unknown, text, total_memory};
use super::paint::{ALARM, ASIDE, DOUBT, of_word};
use super::report::{head, report};
use super::table::shorten_middle;
use super::words;
use crate::cli::list;
use crate::orphan::process::Pid;

/// What an outcome's details are indented by: they stand below the pid.
const INDENT: &str = "         ";
/// More processes than this are counted rather than listed.
const LISTED_AT_MOST: usize = 8;

/// The text of a fix.
#[must_use]
pub fn fix(result: &Value, view: &View) -> String {
    if !view.terminal.is_terminal {
        return report(result).join("\n");
    }
    let mut lines = head(result);
    lines.push(String::new());
    lines.extend(outcomes(result, view));
    lines.join("\n")
}

/// What the original tool's report leaves out and somebody has to hear all the same: why a kill
/// failed, and why one of the processes `named` in the request was spared. For a pipe.
#[must_use]
pub fn remarks(result: &Value, named: &[Pid]) -> Vec<String> {
    let was_named = |entry: &&Value| named.iter().any(|pid| entry["pid"] == *pid);
    let failed = list(result, "failed").iter().map(|entry| {
        let remedy = remedy(entry)
            .map(|remedy| format!(" ({remedy})"))
            .unwrap_or_default();
        format!(
            "failed to end {}: {}{remedy}",
            shown(&entry["pid"]),
            error(entry)
        )
    });
    let spared = list(result, "spared")
        .iter()
        .filter(was_named)
        .map(|entry| format!("spared {}: {}", shown(&entry["pid"]), why_spared(entry)));
    let unrecorded = list(result, "killed")
        .iter()
        .filter(|entry| is_unrecorded(entry))
        .map(|entry| {
            format!(
                "ended {} without a record: the event log could not be written",
                shown(&entry["pid"])
            )
        });
    failed.chain(spared).chain(unrecorded).collect()
}

/// Each orphan's end, and what they come to.
fn outcomes(result: &Value, view: &View) -> Vec<String> {
    let [killed, failed, spared] = ["killed", "failed", "spared"].map(|name| list(result, name));
    let mut lines: Vec<String> = [killed, failed, spared]
        .into_iter()
        .flatten()
        .flat_map(|entry| outcome(entry, view))
        .collect();
    if lines.is_empty() {
        return vec![match list(result, "orphans").len() {
            0 => "nothing to end: all is tidy".to_owned(),
            others => format!(
                "nothing to end: {} there, but none that this fix selects",
                match others {
                    1 => "an orphan is".to_owned(),
                    many => format!("{many} orphans are"),
                }
            ),
        }];
    }
    lines.push(String::new());
    let mut sums = Vec::new();
    if !killed.is_empty() {
        let held = total_memory(killed).map(|memory| format!(", which held {memory}"));
        sums.push(format!(
            "{} ended{}",
            count(killed.len(), "orphan"),
            held.unwrap_or_default()
        ));
    }
    if !failed.is_empty() {
        sums.push(view.paint(ALARM, format!("{} could not be ended", failed.len())));
    }
    if !spared.is_empty() {
        sums.push(view.paint(DOUBT, format!("{} spared", spared.len())));
    }
    lines.push(sums.join("; "));
    lines
}

fn outcome(entry: &Value, view: &View) -> Vec<String> {
    let status = shown(&entry["status"]);
    let (pid, reason) = (shown(&entry["pid"]), shown(&entry["reason"]));
    let taken = INDENT.len() + pid.chars().count() + reason.chars().count() + 4;
    let room = view.terminal.width.saturating_sub(taken).max(20);
    let mut lines = vec![format!(
        "{}{} {pid}  {}  {reason}",
        view.paint(of_word(&status), &status),
        " ".repeat(INDENT.len().saturating_sub(status.chars().count() + 1)),
        shorten_middle(&shown_or_unknown(&entry["workspace"]), room),
    )];
    let details = how_it_ended(entry)
        .into_iter()
        .chain(members(entry))
        .chain(left_behind(entry));
    lines.extend(details.map(|detail| format!("{INDENT}{detail}")));
    if is_unrecorded(entry) {
        let what = "not recorded: the event log could not be written";
        lines.push(format!("{INDENT}{}", view.paint(DOUBT, what)));
    }
    if let Some(remedy) = remedy(entry) {
        lines.push(format!("{INDENT}{}", view.paint(ASIDE, remedy)));
    }
    lines
}

/// How each process of a fix ended, in one line.
#[must_use]
pub fn endings(result: &Value) -> String {
    let ended: Vec<String> = ["killed", "failed", "spared"]
        .into_iter()
        .flat_map(|name| list(result, name))
        .flat_map(|entry| {
            let pid = shown(&entry["pid"]);
            how_it_ended(entry)
                .into_iter()
                .map(move |how| format!("{pid}: {how}"))
        })
        .collect();
    if ended.is_empty() {
        return "it is no orphan any more: nothing was ended".to_owned();
    }
    ended.join("; ")
}

/// How one process ended, in one line; none if the entry does not say.
pub(in crate::cli) fn how_it_ended(entry: &Value) -> Option<String> {
    let after = milliseconds(&entry["elapsed_ms"]);
    Some(match entry["status"].as_str() {
        Some("killed") if entry["sigkill_required"] == true => {
            format!("gone after {after}, by SIGKILL")
        }
        Some("killed") => format!("gone after {after}, by SIGTERM"),
        Some("missing") => "was gone before the first signal".to_owned(),
        // The event log does not say how long it was tried.
        Some("failed") if entry["elapsed_ms"].is_null() => {
            format!("still there: {}", error(entry))
        }
        Some("failed") => format!("still there after {after}: {}", error(entry)),
        Some("spared") => why_spared(entry),
        _ => return None,
    })
}

/// Who ended with it, and who should have.
fn members(entry: &Value) -> Vec<String> {
    let ended = |member: &&Value| matches!(member["outcome"].as_str(), Some("exited" | "missing"));
    let (with_it, not): (Vec<&Value>, Vec<&Value>) = list(entry, "members").iter().partition(ended);
    let mut lines = Vec::new();
    if !with_it.is_empty() {
        lines.push(format!(
            "took along {}",
            listed(with_it.iter().map(|member| shown(&member["pid"])))
        ));
    }
    if !not.is_empty() {
        let each = not
            .iter()
            .map(|member| format!("{} ({})", shown(&member["pid"]), shown(&member["outcome"])));
        lines.push(format!("did not take along {}", listed(each)));
    }
    lines
}

fn left_behind(entry: &Value) -> Vec<String> {
    let left = list(entry, "left_behind");
    let mut lines: Vec<String> = left
        .iter()
        .take(LISTED_AT_MOST)
        .map(|one| {
            let cmdline = shorten_middle(&shown(&one["cmdline"]), 40);
            let why = shown(&one["why"]);
            let why = words::left_behind(&why).unwrap_or(&why);
            format!("left {} ({cmdline}) behind: {why}", shown(&one["pid"]))
        })
        .collect();
    if left.len() > LISTED_AT_MOST {
        lines.push(format!(
            "left {} more behind (--json lists them)",
            left.len() - LISTED_AT_MOST
        ));
    }
    lines
}

fn listed(each: impl ExactSizeIterator<Item = String>) -> String {
    let more = each.len().saturating_sub(LISTED_AT_MOST);
    let mut text = each.take(LISTED_AT_MOST).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// A failure's word and the system's.
fn error(entry: &Value) -> String {
    let error = shown(&entry["error"]);
    match text(&entry["error_detail"]) {
        Some(detail) => format!("{error}: {detail}"),
        None => error,
    }
}

fn remedy(entry: &Value) -> Option<&'static str> {
    words::remedy(entry["error"].as_str()?)
}

fn is_unrecorded(entry: &Value) -> bool {
    entry["audit_unavailable"] == true
}

/// Why it was spared, in words, with the word that results have.
fn why_spared(entry: &Value) -> String {
    // One that was spared for its verdict has that as its reason.
    let why = text(&entry["why"]).unwrap_or_else(|| shown(&entry["reason"]));
    match words::spared(&why) {
        Some(in_words) => format!("{in_words} ({why})"),
        None => why,
    }
}
