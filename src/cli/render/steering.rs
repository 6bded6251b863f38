//! What the owner said to the daemon, said back.

use serde_json::Value;

use super::View;
use super::field::{shown, text};
use crate::cli::list;

/// The text of something that is kept now, or is not any more.
#[must_use]
pub fn kept(result: &Value, _: &View) -> String {
    let what = if result["pid"].is_null() {
        format!("whatever works at or below {}", shown(&result["path"]))
    } else {
        format!("process {}", shown(&result["pid"]))
    };
    let until = if result["pid"].is_null() {
        "until it is unkept"
    } else {
        "until it ends"
    };
    if result["kept"] == true {
        format!("kept: {what} is not touched, {until}")
    } else {
        format!("not kept any more: {what} is treated like anything else")
    }
}

/// The text of a pause.
#[must_use]
pub fn paused(result: &Value, view: &View) -> String {
    let until = &result["paused_until"];
    let until = if until.is_null() {
        ", until `team-agentctl resume`".to_owned()
    } else {
        format!(" until {}", view.local_time(until))
    };
    if result["changed"] == false {
        format!(
            "automatic reaping stays paused{until}: it was paused for as long or longer already"
        )
    } else {
        format!("automatic reaping is paused{until}")
    }
}

/// The text of a pause or a suspension that is over.
#[must_use]
pub fn resumed(result: &Value, _: &View) -> String {
    let mut said: Vec<String> = list(result, "lifted")
        .iter()
        .map(
            |word| match (word.as_str(), text(&result["suspended_why"])) {
                (Some("suspended"), Some(why)) => format!("the suspension is over ({why})"),
                (Some("suspended"), None) => "the suspension is over".to_owned(),
                _ => "the pause is over".to_owned(),
            },
        )
        .collect();
    let still_held: Vec<&str> = list(result, "held_by").iter().map(held_because).collect();
    said.push(if result["confirm"] == false {
        "reap.confirm is off: orphans are ended only on request".to_owned()
    } else if !still_held.is_empty() {
        format!("automatic reaping is still held: {}", still_held.join("; "))
    } else if result["was_held"] == true {
        "automatic reaping goes on".to_owned()
    } else {
        "automatic reaping was not held".to_owned()
    });
    said.join("; ")
}

/// Why automatic reaping as a whole is held, by the word for it.
pub(super) fn held_because(word: &Value) -> &'static str {
    match word.as_str() {
        Some("view_obstructed") => "it does not see everything there is",
        Some("audit_unavailable") => "the event log cannot be written",
        Some("paused") => "it is paused",
        Some("suspended") => "it suspended itself",
        _ => "see `team-agentctl status`",
    }
}
