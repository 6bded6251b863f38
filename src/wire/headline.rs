//! `status` in one line: what a service manager shows beside the daemon's name.

use super::status::StatusReport;

/// What the daemon is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase<'a> {
    /// Its work.
    Watching,
    /// Its work, but its newest scan gave no result, for this reason.
    Blind(&'a str),
    /// To end, once what is under way is done.
    Stopping,
}

/// For people; the words are not for scripts.
#[must_use]
pub fn headline(report: &StatusReport<'_>, phase: Phase<'_>) -> String {
    let ending = report.ending.len();
    match (phase, report.last_scan) {
        (Phase::Stopping, _) if ending == 0 => "stopping".to_owned(),
        (Phase::Stopping, _) => format!(
            "stopping once {} ended",
            count(ending, "orphan", "is", "are")
        ),
        (Phase::Blind(problem), None) => {
            format!("the first scan failed and is tried again: {problem}")
        }
        (Phase::Watching, None) => "doing the first scan".to_owned(),
        (Phase::Blind(problem), Some(_)) => {
            format!("{}; the last scan failed: {problem}", sight(report))
        }
        (Phase::Watching, Some(_)) => sight(report),
    }
}

fn sight(report: &StatusReport<'_>) -> String {
    let coordinators = count(
        report.registry.coordinators().count(),
        "coordinator",
        "",
        "",
    );
    let orphans = count(report.registry.orphans().count(), "orphan", "", "");
    let ending = match report.ending.len() {
        0 => String::new(),
        some => format!(" ({some} being ended)"),
    };
    format!("{coordinators}, {orphans}{ending}; {}", reaping(report))
}

fn reaping(report: &StatusReport<'_>) -> String {
    let steering = report.policy.steering();
    let is_paused = steering.pause.is_some_and(|pause| pause.holds(report.now));
    let hidden = "the daemon does not see everything";
    if !report.rules.confirm {
        let also = if report.obstacles.is_empty() {
            String::new()
        } else {
            format!(", and {hidden}")
        };
        format!("automatic reaping off{also}")
    } else if !report.obstacles.is_empty() {
        format!("automatic reaping held: {hidden}")
    } else if let Some(suspension) = &steering.suspension {
        format!("automatic reaping suspended: {}", suspension.why)
    } else if is_paused {
        "automatic reaping paused".to_owned()
    } else if report.policy.is_audit_lost() {
        "automatic reaping held: the event log cannot be written".to_owned()
    } else {
        "automatic reaping on".to_owned()
    }
}

/// `1 orphan`, `2 orphans`, and the verb that fits, if one is asked for.
fn count(number: usize, noun: &str, is: &str, are: &str) -> String {
    let (plural, verb) = if number == 1 { ("", is) } else { ("s", are) };
    format!("{number} {noun}{plural} {verb}")
        .trim_end()
        .to_owned()
}
