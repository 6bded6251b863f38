//! Whether the gate passed.

use serde_json::Value;

use super::View;
use super::field::{shown, text};
use super::paint::of_word;
use super::{ScanAsked, fix, scan};

/// The command that ends what a gate found, to be typed.
pub const GATE_FIX: &str = "team-agentctl doctor --gate orphans --fix --confirm";

/// The text of a gate: that of the scan or the fix behind it, and a line of its own.
#[must_use]
pub fn gate(result: &Value, view: &View) -> String {
    let before = if result["dry_run"] == true {
        let asked = ScanAsked {
            workspace: None,
            next: GATE_FIX,
        };
        scan(result, view, &asked)
    } else {
        fix(result, view)
    };
    let status = shown(&result["status"]);
    let gate = format!(
        "gate: {} {}",
        shown(&result["gate"]),
        view.paint(of_word(&status), &status)
    );
    if view.terminal.is_terminal {
        return format!("{before}\n\n{gate}");
    }
    // A gate that passed has nothing to do, although the scan in it says what could be done.
    let action = text(&result["action_required"]).filter(|_| result["ok"] != true);
    let action = action
        .map(|action| format!(" ({action})"))
        .unwrap_or_default();
    format!("{before}\n  {gate}{action}")
}
