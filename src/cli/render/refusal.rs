//! A fix that was refused for want of `--confirm`.

use serde_json::Value;

use super::View;
use super::field::{count, shown, total_memory};
use super::paint::{DOUBT, HEADING};
use super::scan::coordinator_table;
use crate::cli::list;
use crate::orphan::process::Pid;

/// What a terminal is shown before the refusal: what the fix is about.
#[derive(Debug)]
pub struct Preview<'a> {
    /// A scan, cut down to the orphans that the fix selects.
    pub scan: &'a Value,
    /// The processes named in the request.
    pub named: &'a [Pid],
}

/// The text of a refusal; `command` does what was refused.
#[must_use]
pub fn refusal(
    result: &Value,
    preview: Option<&Preview<'_>>,
    view: &View,
    command: &str,
) -> String {
    if !view.terminal.is_terminal {
        return format!(
            "refused: nothing was signalled ({})",
            shown(&result["action"])
        );
    }
    let refused = view.paint(DOUBT, "refused");
    let mut lines = preview
        .map(|preview| selected(preview, view))
        .unwrap_or_default();
    if preview.is_some_and(|preview| !orphans_of(preview).any(|(_, is_ended)| is_ended)) {
        lines.push(format!(
            "{refused} without --confirm; but there is nothing to end"
        ));
    } else {
        lines.push(format!(
            "{refused}: without --confirm nothing is signalled. To end them, type"
        ));
        let command = view.to_type(command);
        lines.push(format!("  {}", view.paint(HEADING, command)));
    }
    lines.join("\n")
}

fn count_of_processes(many: usize) -> String {
    match many {
        1 => "1 other process".to_owned(),
        many => format!("{many} other processes"),
    }
}

/// The orphans that the fix selects, and whether each would be ended, as far as that is known: who would end with
/// them was looked up for those alone.
fn orphans_of<'a>(preview: &Preview<'a>) -> impl Iterator<Item = (&'a Value, bool)> {
    let orphans = list(preview.scan, "orphans");
    let is_known = orphans.iter().any(|one| one.get("members").is_some());
    orphans.iter().map(move |one| {
        let is_ended = one.get("members").is_some() && one["would_spare"].is_null();
        (one, is_ended || !is_known)
    })
}

fn selected(preview: &Preview<'_>, view: &View) -> Vec<String> {
    let Preview { scan, named } = preview;
    let orphans = list(scan, "orphans");
    let mut lines = Vec::new();
    if !orphans.is_empty() {
        lines.extend(coordinator_table(orphans, view));
        lines.push(String::new());
        let ended = orphans_of(preview).filter(|(_, is_ended)| *is_ended);
        let ended: Vec<Value> = ended.map(|(orphan, _)| orphan.clone()).collect();
        let memory = total_memory(&ended).map(|memory| format!(", holding {memory}"));
        let members = ended.iter().map(|orphan| list(orphan, "members").len());
        let with_them = match members.sum() {
            0 => String::new(),
            many => format!("; {} would end with them", count_of_processes(many)),
        };
        let spared = match orphans.len() - ended.len() {
            0 => String::new(),
            many => format!("; {many} would be spared"),
        };
        lines.push(format!(
            "{}{}{with_them}{spared}",
            count(ended.len(), "orphan"),
            memory.unwrap_or_default()
        ));
    }
    let is_listed = |pid: &Pid| orphans.iter().any(|orphan| orphan["pid"] == *pid);
    lines.extend(
        named
            .iter()
            .filter(|pid| !is_listed(pid))
            .map(|pid| format!("{pid} is no orphan that this fix selects, and will be spared")),
    );
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}
