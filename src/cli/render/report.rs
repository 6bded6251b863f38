//! The original tool's report, line by line: what a pipe gets of a scan or a fix, and how the text
//! on a terminal begins. Scripts rely on every character of it.

use serde_json::Value;

use super::company;
use super::field::{shown, shown_or_unknown};
use crate::cli::list;

/// The lines above the orphans.
pub(super) fn head(result: &Value) -> Vec<String> {
    let mut lines = vec![
        format!("Coordinator orphan scan @ {}", shown(&result["scanned_at"])),
        format!(
            "  scanned: {} coordinator processes",
            shown(&result["scanned"])
        ),
        format!("  orphans: {}", list(result, "orphans").len()),
    ];
    if result["dry_run"] == true {
        lines.push("  mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)".to_owned());
    } else {
        let killed = list(result, "killed");
        let escalated = killed
            .iter()
            .filter(|entry| entry["sigkill_required"] == true)
            .count();
        lines.push(format!(
            "  killed: {}  (sigkill_required: {escalated})",
            killed.len()
        ));
        lines.push(format!("  failed: {}", list(result, "failed").len()));
    }
    lines
}

/// The whole report.
pub(super) fn report(result: &Value) -> Vec<String> {
    let mut lines = head(result);
    lines.extend(list(result, "orphans").iter().flat_map(|orphan| {
        let line = format!(
            "    PID {} etime={} workspace={} reason={}",
            shown(&orphan["pid"]),
            shown(&orphan["etime"]),
            shown_or_unknown(&orphan["workspace"]),
            shown(&orphan["reason"]),
        );
        std::iter::once(line).chain(company::piped(orphan))
    }));
    lines
}
