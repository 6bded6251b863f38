//! Kills in progress, from the records of their signals: for `watch`, and for a fix that is awaited.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::bar::{bar, left};
use super::render::{shown, shown_or_unknown, time};

/// How long the bar of a wait is.
const BAR: usize = 8;

/// An orphan that is being ended.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Kill {
    /// Safe to show.
    pub(in crate::cli) workspace: String,
    /// The last signal it got; safe to show.
    pub(in crate::cli) signal: String,
    pub(in crate::cli) at: Timestamp,
    /// How many others got a signal with it.
    pub(in crate::cli) others: usize,
}

impl Kill {
    /// When what was sent last is over, by the waits of this status.
    pub(in crate::cli) fn until(&self, status: &Value) -> Option<Timestamp> {
        let wait = match self.signal.as_str() {
            "SIGTERM" => "sigterm_wait_s",
            _ => "sigkill_wait_s",
        };
        let seconds = status["policy"]["terminate"][wait].as_f64()?;
        let wait = SignedDuration::try_from_secs_f64(seconds).ok()?;
        self.at.checked_add(wait).ok()
    }

    /// What comes next: a bar of the time that is left, and when that is over; empty if it is not known.
    pub(in crate::cli) fn next(&self, status: &Value, now: Timestamp) -> String {
        let Some(until) = self.until(status) else {
            return String::new();
        };
        let left = left(until, now);
        let what = match self.signal.as_str() {
            "SIGTERM" => format!("SIGKILL in {left}"),
            _ => format!("given up in {left}"),
        };
        format!("{} {what}", bar(self.at, until, now, BAR))
    }
}

/// Those that are under way, by pid.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Kills(pub(in crate::cli) BTreeMap<u64, Kill>);

impl Kills {
    /// Takes in a record of the event log.
    pub(in crate::cli) fn take(&mut self, event: &Value) {
        let Some(pid) = event["pid"].as_u64() else {
            return;
        };
        match event["event"].as_str() {
            Some("orphan.signal") => self.signalled(pid, event),
            Some("orphan.killed" | "orphan.failed" | "orphan.spared" | "orphan.interrupted") => {
                self.0.remove(&pid);
            }
            // What an earlier daemon began, no daemon goes on with.
            Some("daemon.started") => self.0.clear(),
            _ => {}
        }
    }

    fn signalled(&mut self, pid: u64, event: &Value) {
        let orphan = event["orphan_pid"].as_u64().unwrap_or(pid);
        let Some(at) = time(&event["ts"]) else { return };
        let kill = self.0.entry(orphan).or_insert_with(|| Kill {
            workspace: shown_or_unknown(&event["workspace"]),
            signal: String::new(),
            at,
            others: 0,
        });
        let signal = shown(&event["signal"]);
        if orphan != pid && signal == "SIGTERM" {
            kill.others += 1;
        }
        if kill.signal != signal {
            kill.signal = signal;
            kill.at = at;
        }
    }

    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
