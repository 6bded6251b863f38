//! The results of requests: `scan`, `fix`, `gate`, `status`, `explain`, `version`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::entry::{entry, nobody, process, put_no_coordinator};
use super::text::{Object, put_optional_text, put_text, timestamp};
use crate::orphan::escalation::{Failure, Outcome};
use crate::orphan::process::{Pid, ProcessRecord};
use crate::orphan::registry::Sighting;
use crate::orphan::steering::{Kept, Lifted};
use crate::orphan::termination::{Reach, Termination};

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;
/// What a dry run says about acting.
const RUN_WITH_CONFIRM: &str = "re-run with --confirm to send SIGTERM";
/// What a failed or refused gate says about acting.
const RUN_GATE_WITH_CONFIRM: &str = "re-run with --gate orphans --fix --confirm";

/// Where the engine runs that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the daemon.
    Daemon,
    /// In the client.
    Embedded,
}

impl Source {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Embedded => "embedded",
        }
    }
}

/// What a result says of the scan behind it.
#[derive(Clone, Copy, Debug)]
pub struct ScanFacts {
    /// Where the engine runs.
    pub source: Source,
    /// When the scan ended.
    pub now: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Of how many processes nobody could find out whether they are coordinators.
    pub unread: usize,
}

/// A scan's result. Of who could not be read it says so, if there are any.
#[must_use]
pub fn scan<'a>(coordinators: impl Iterator<Item = &'a Sighting>, facts: ScanFacts) -> Value {
    let entries: Vec<Value> = coordinators
        .map(|sighting| Value::Object(entry(sighting, facts.now)))
        .collect();
    let is_orphan = |entry: &&Value| entry["is_orphan"] == true;
    let orphans = entries.iter().filter(is_orphan).cloned().collect();
    let mut result = json!({
        "ok": true,
        "scanned": entries.len(),
        "dry_run": true,
        "scanned_at": timestamp(facts.now),
        "action_required": RUN_WITH_CONFIRM,
        "source": facts.source.word(),
        "took_ms": milliseconds(facts.took),
    });
    // Moved, where json! would copy all of them.
    result["orphans"] = Value::Array(orphans);
    result["coordinators"] = Value::Array(entries);
    if facts.unread > 0 {
        result["unread"] = facts.unread.into();
    }
    result
}

/// Adds those paths of a scan or a fix of which it could not be found out in time where they lead.
pub fn add_unfollowed(result: &mut Value, paths: &[PathBuf]) {
    if let Some(object) = result.as_object_mut().filter(|_| !paths.is_empty()) {
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        object.insert("unfollowed".to_owned(), paths.into());
    }
}

/// A fix's result in the making.
#[derive(Debug)]
pub struct FixReport {
    scan: Value,
    killed: Vec<Value>,
    failed: Vec<Value>,
    spared: Vec<Value>,
}

impl FixReport {
    /// Begins with the result of the scan that the fix was decided on.
    #[must_use]
    pub fn new(scan: Value) -> Self {
        Self {
            scan,
            killed: Vec::new(),
            failed: Vec::new(),
            spared: Vec::new(),
        }
    }

    /// Adds how one orphan ended.
    pub fn add(&mut self, termination: &Termination, now: SystemTime) {
        let item = Value::Object(ended(termination, now));
        match termination.outcome {
            Outcome::Killed { .. } | Outcome::Missing => self.killed.push(item),
            Outcome::Failed { .. } => self.failed.push(item),
            Outcome::Spared { .. } => self.spared.push(item),
        }
    }

    /// Adds a coordinator that was left alone from the start.
    pub fn spare(&mut self, sighting: &Sighting, why: &str, now: SystemTime) {
        let mut item = entry(sighting, now);
        item.insert("why".into(), why.into());
        self.spared.push(Value::Object(with_status_spared(item)));
    }

    /// Adds a process that was named and is no coordinator.
    pub fn spare_other(&mut self, record: &ProcessRecord, now: SystemTime) {
        self.spare_stranger(process(record, now), "not_a_coordinator");
    }

    /// Adds a pid that was named, and of whose process nothing is known.
    pub fn spare_nobody(&mut self, pid: Pid, why: &str) {
        self.spare_stranger(nobody(pid), why);
    }

    fn spare_stranger(&mut self, mut item: Object, why: &str) {
        put_no_coordinator(&mut item);
        item.insert("why".into(), why.into());
        self.spared.push(Value::Object(with_status_spared(item)));
    }

    /// The result.
    #[must_use]
    pub fn into_result(self) -> Value {
        let mut result = self.scan;
        if let Some(object) = result.as_object_mut() {
            object.remove("action_required");
            object.insert("ok".into(), self.failed.is_empty().into());
            object.insert("dry_run".into(), false.into());
            object.insert("killed".into(), self.killed.into());
            object.insert("failed".into(), self.failed.into());
            object.insert("spared".into(), self.spared.into());
        }
        result
    }
}

/// The keys of a process that no termination was begun for.
fn with_status_spared(mut item: Object) -> Object {
    item.insert("status".into(), "spared".into());
    item.insert("sigkill_required".into(), false.into());
    item.insert("signaled".into(), Value::Null);
    item.insert("pgid_error".into(), Value::Null);
    item.insert("members".into(), Value::Array(Vec::new()));
    item.insert("left_behind".into(), Value::Array(Vec::new()));
    item.insert("elapsed_ms".into(), 0.0.into());
    item
}

fn ended(termination: &Termination, now: SystemTime) -> Object {
    let mut item = entry(&termination.sighting, now);
    let mut put = |name: &str, value: Value| item.insert(name.to_owned(), value);
    match &termination.outcome {
        Outcome::Killed { sigkill_required } => {
            put("status", "killed".into());
            put("sigkill_required", (*sigkill_required).into());
        }
        Outcome::Missing => {
            put("status", "missing".into());
            put("sigkill_required", false.into());
        }
        Outcome::Failed {
            error,
            detail,
            sigkill_attempted,
        } => {
            put("status", "failed".into());
            put("error", error.word().into());
            put("error_detail", detail.clone().into());
            put("sigkill_attempted", (*sigkill_attempted).into());
            put(
                "sigkill_required",
                (*error == Failure::AliveAfterSigkill).into(),
            );
        }
        Outcome::Spared { why } => {
            put("status", "spared".into());
            put("why", why.clone().into());
            put("sigkill_required", false.into());
        }
    }
    let reach = termination.reach.map(|reach| match reach {
        Reach::Process => "pid",
        Reach::Group => "pgid",
        Reach::Tree => "tree",
    });
    put("signaled", reach.into());
    put("pgid_error", Value::Null);
    let members: Vec<Value> = termination
        .members
        .iter()
        .map(|member| {
            json!({
                "pid": member.pid,
                "outcome": member.outcome,
                "signal": member.signal.map(|signal| signal.name()),
            })
        })
        .collect();
    put("members", members.into());
    let left: Vec<Value> = termination
        .left_behind
        .iter()
        .map(|one| json!({"pid": one.pid, "cmdline": one.cmdline, "why": one.why.word()}))
        .collect();
    put("left_behind", left.into());
    put("elapsed_ms", milliseconds(termination.elapsed).into());
    if termination.unrecorded {
        put("audit_unavailable", true.into());
    }
    item
}

/// A scan's or a fix's result as the original's gate.
#[must_use]
pub fn gate(mut result: Value, fix: bool) -> Value {
    let is_empty = |name: &str| result[name].as_array().is_none_or(Vec::is_empty);
    let passed = is_empty(if fix { "failed" } else { "orphans" });
    if let Some(object) = result.as_object_mut() {
        object.insert("ok".into(), passed.into());
        object.insert("gate".into(), "orphans".into());
        object.insert(
            "status".into(),
            if passed { "passed" } else { "failed" }.into(),
        );
        object.insert("fix".into(), fix.into());
        if !fix && !passed {
            object.insert("action_required".into(), RUN_GATE_WITH_CONFIRM.into());
        }
    }
    result
}

/// A fix without `confirm`.
#[must_use]
pub fn fix_refused() -> Value {
    json!({
        "ok": false,
        "status": "refused",
        "reason": "fix_requires_confirm",
        "action": "re-run with --confirm",
    })
}

/// A gate with `fix` and without `confirm`.
#[must_use]
pub fn gate_refused() -> Value {
    json!({
        "ok": false,
        "gate": "orphans",
        "fix": true,
        "status": "refused",
        "reason": "fix_requires_confirm",
        "action": RUN_GATE_WITH_CONFIRM,
    })
}

/// A configuration that was read again.
#[must_use]
pub fn reloaded(file: Option<&std::path::Path>) -> Value {
    let mut result = Object::new();
    result.insert("ok".into(), true.into());
    put_optional_text(&mut result, "config", file);
    Value::Object(result)
}

/// A pause that began.
#[must_use]
pub fn paused(until: Option<SystemTime>, has_changed: bool) -> Value {
    json!({
        "ok": true,
        "paused": true,
        "paused_until": until.map(timestamp),
        "changed": has_changed,
    })
}

/// A pause and a suspension that ended, as far as there were any, and what still holds reaping.
#[must_use]
pub fn resumed(lifted: &Lifted, held_by: &[&str], is_automatic: bool) -> Value {
    let suspension = lifted.suspension.as_ref();
    let words = [
        lifted.pause.then_some("paused"),
        suspension.map(|_| "suspended"),
    ];
    json!({
        "ok": true,
        "was_held": lifted.is_something(),
        "lifted": words.into_iter().flatten().collect::<Vec<_>>(),
        "suspended_why": suspension.map(|suspension| suspension.why.clone()),
        "held_by": held_by,
        "confirm": is_automatic,
    })
}

/// Something that is kept from now on, or is not any more.
#[must_use]
pub fn kept(what: &Kept, is_kept: bool) -> Value {
    let mut result = Object::new();
    result.insert("ok".into(), true.into());
    result.insert("kept".into(), is_kept.into());
    match what {
        Kept::Process(pid) => {
            result.insert("pid".into(), (*pid).into());
        }
        Kept::Path(path) => put_text(&mut result, "path", path.as_ref()),
    }
    Value::Object(result)
}

/// Who answers, in which protocol.
#[must_use]
pub fn version() -> Value {
    json!({"name": "team-agentd", "version": env!("CARGO_PKG_VERSION"), "protocol": PROTOCOL})
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as anybody reads them.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
