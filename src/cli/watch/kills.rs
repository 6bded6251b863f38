//! Kills in progress, from the records of their signals.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::row::time;
use crate::cli::render::{shown, shown_or_unknown};

/// An orphan that is being ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kill {
    /// Safe to show.
    pub(super) workspace: String,
    /// The last signal it got; safe to show.
    pub(super) signal: String,
    pub(super) at: Timestamp,
    /// How many others got a signal with it.
    pub(super) others: usize,
}

impl Kill {
    /// When what was sent last is over, by the waits of this status.
    pub(super) fn until(&self, status: &Value) -> Option<Timestamp> {
        let wait = match self.signal.as_str() {
            "SIGTERM" => "sigterm_wait_s",
            _ => "sigkill_wait_s",
        };
        let seconds = status["policy"]["terminate"][wait].as_f64()?;
        let wait = SignedDuration::try_from_secs_f64(seconds).ok()?;
        self.at.checked_add(wait).ok()
    }
}

/// Those that are under way, by pid.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kills(pub(super) BTreeMap<u64, Kill>);

impl Kills {
    /// Takes in a record of the event log.
    pub(super) fn take(&mut self, event: &Value) {
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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
