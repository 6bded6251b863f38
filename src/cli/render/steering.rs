//! What the owner said to the daemon, said back.

use serde_json::Value;

use super::View;
use super::field::shown;

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
    if until.is_null() {
        "automatic reaping is paused, until `team-agentctl resume`".to_owned()
    } else {
        format!(
            "automatic reaping is paused until {}",
            view.local_time(until)
        )
    }
}

/// The text of a pause or a suspension that is over.
#[must_use]
pub fn resumed(result: &Value, _: &View) -> String {
    let was_held = result["was_held"] == true;
    match (was_held, result["confirm"] == false) {
        (_, true) => "nothing holds automatic reaping, but reap.confirm is off: orphans are ended only on request",
        (true, false) => "automatic reaping goes on",
        (false, false) => "automatic reaping was not held",
    }
    .to_owned()
}
