//! The result of `status`: the daemon, its policy, and where every orphan stands.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::entry::entry;
use super::results::{Source, milliseconds};
use super::steering::kept_path;
use super::text::{Object, put_optional_text, put_text, timestamp};
use crate::orphan::clock::{Moment, Now};
use crate::orphan::policy::hold::Hold;
use crate::orphan::policy::machine::State;
use crate::orphan::policy::respawn::Respawn;
use crate::orphan::policy::{Past, Policy, Rules, Standing};
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::{Observation, Registry, Sighting};
use crate::orphan::victims::Scope;
use crate::orphan::view::Obstacle;

/// What the daemon says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Where the engine runs.
    pub source: Source,
    /// Its own pid.
    pub pid: Pid,
    /// Where it listens.
    pub socket: Option<std::path::PathBuf>,
    /// Where its configuration came from.
    pub config: Option<std::path::PathBuf>,
    /// When it started.
    pub started: SystemTime,
}

/// The newest scan, for `status`.
#[derive(Clone, Debug)]
pub struct LastScan {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// How much later than planned it began.
    pub lag: Duration,
    /// How many coordinators it saw.
    pub scanned: usize,
    /// How many of them were orphans.
    pub orphans: usize,
    /// Of how many processes nobody could find out whether they are coordinators.
    pub unread: usize,
}

/// What has been counted since the daemon started.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Scans that gave a result.
    pub scans: u64,
    /// Scans that gave none.
    pub failed_scans: u64,
    /// Ticks that came while a scan still ran.
    pub skipped_ticks: u64,
    /// Coordinators that became orphans.
    pub detected: u64,
    /// Orphans that are none any more, without our doing.
    pub cleared: u64,
    /// Orphans ended.
    pub killed: u64,
    /// Orphans that could not be ended.
    pub failed: u64,
    /// Terminations stopped by a doubt.
    pub spared: u64,
}

/// How orphans are ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Who ends with one.
    pub scope: Scope,
    /// How long SIGTERM is given.
    pub sigterm_wait: Duration,
    /// How long SIGKILL is given.
    pub sigkill_wait: Duration,
}

/// Everything `status` is made of.
#[derive(Debug)]
pub struct StatusReport<'a> {
    /// Who answers.
    pub identity: &'a Identity,
    /// What has been seen.
    pub registry: &'a Registry,
    /// Where each stands with automatic reaping.
    pub policy: &'a Policy,
    /// What the configuration says of it.
    pub rules: &'a Rules,
    /// And of how orphans are ended.
    pub terminate: Ending,
    /// What the daemon cannot see.
    pub obstacles: &'a [Obstacle],
    /// Which orphans are being ended.
    pub ending: &'a BTreeSet<ProcessIdentity>,
    /// The newest scan.
    pub last_scan: Option<&'a LastScan>,
    /// What has been counted.
    pub counters: &'a Counters,
    /// How often something in the daemon panicked, which was caught.
    pub panics: u64,
    /// The time of the answer.
    pub now: Now,
}

/// The state of the daemon.
#[must_use]
pub fn status(report: &StatusReport<'_>) -> Value {
    let StatusReport {
        identity,
        registry,
        last_scan,
        counters,
        now,
        ..
    } = report;
    let uptime = now
        .wall
        .duration_since(identity.started)
        .unwrap_or_default();
    let mut daemon = Object::new();
    daemon.insert("pid".into(), identity.pid.into());
    daemon.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    daemon.insert("uptime_s".into(), uptime.as_secs().into());
    put_optional_text(&mut daemon, "socket", identity.socket.as_ref());
    put_optional_text(&mut daemon, "config", identity.config.as_ref());
    let orphans = registry.orphans().map(|one| orphan(one, report));
    let coordinators = registry.coordinators().map(|one| in_short(one, report));
    let history = report.policy.history().map(past);
    let mut status = json!({
        "daemon": daemon,
        "policy": policy(report),
        "view": {
            "clear": report.obstacles.is_empty(),
            "obstacles": report.obstacles.iter().map(obstacle).collect::<Vec<_>>(),
        },
        "last_scan": last_scan.map(|scan| json!({
            "at": timestamp(scan.at),
            "took_ms": milliseconds(scan.took),
            "lag_ms": milliseconds(scan.lag),
            "scanned": scan.scanned,
            "orphans": scan.orphans,
        })),
        "counters": {
            "scans": counters.scans,
            "failed_scans": counters.failed_scans,
            "skipped_ticks": counters.skipped_ticks,
            "detected": counters.detected,
            "cleared": counters.cleared,
            "killed": counters.killed,
            "failed": counters.failed,
            "spared": counters.spared,
            "panics": report.panics,
        },
    });
    // Moved, where json! would copy all of them.
    status["orphans"] = orphans.collect();
    status["coordinators"] = coordinators.collect();
    status["history"] = history.collect();
    status
}

/// A coordinator in a line: what changes about it, and what it is known by.
fn in_short(sighting: &Sighting, report: &StatusReport<'_>) -> Value {
    let Observation {
        record, evidence, ..
    } = &sighting.observation;
    let keeps = &report.policy.steering().keeps;
    let mut item = Object::new();
    item.insert("pid".into(), record.identity.pid.into());
    put_optional_text(&mut item, "workspace", evidence.workspace.as_ref());
    item.insert("verdict".into(), sighting.verdict.word().into());
    item.insert("reason".into(), sighting.verdict.reason().into());
    item.insert("started_at".into(), timestamp(record.started_at).into());
    item.insert("rss_bytes".into(), record.rss_bytes.into());
    let is_kept = keeps.hold(&record.identity, evidence);
    item.insert("kept".into(), is_kept.into());
    Value::Object(item)
}

fn orphan(sighting: &Sighting, report: &StatusReport<'_>) -> Value {
    let now = report.now;
    let mut item = entry(sighting, now.wall);
    let standing = report.policy.standing(sighting, report.rules, now);
    let since = sighting.orphan_since.map(timestamp);
    item.insert("orphan_since".into(), since.into());
    put_standing(&mut item, &standing, report.rules, now);
    // A wave may have begun before the policy heard of the process.
    if report.ending.contains(&sighting.identity()) {
        item.insert("state".into(), "terminating".into());
    }
    Value::Object(item)
}

/// Where a coordinator stands with automatic reaping: `state`, `state_since`, `why`, `holds`,
/// `next_action_at`.
pub(super) fn put_standing(item: &mut Object, standing: &Standing, rules: &Rules, now: Now) {
    let at = |moment: Moment| timestamp(now.wall_at(moment));
    item.insert("state".into(), standing.state.word().into());
    item.insert("state_since".into(), at(standing.since).into());
    let why = match &standing.state {
        State::Failed { error, .. } => Some(error.word().to_owned()),
        State::Spared { why, .. } => Some(why.clone()),
        _ => None,
    };
    item.insert("why".into(), why.into());
    let holds: Vec<Value> = standing
        .holds
        .iter()
        .map(|hold| {
            json!({
                "hold": hold.word(),
                "says": says(hold, rules),
                "until": hold.ends(now, rules).map(at),
            })
        })
        .collect();
    item.insert("holds".into(), holds.into());
    item.insert("next_action_at".into(), standing.next_action.map(at).into());
}

/// What a hold means, in a sentence.
#[must_use]
pub fn says(hold: &Hold, rules: &Rules) -> String {
    match hold {
        Hold::NotAllowed => "automatic reaping is off: reap.confirm is false".to_owned(),
        Hold::ReasonNotListed => format!(
            "reap.reasons does not list its reason, but {}",
            rules.reasons.join(", ")
        ),
        Hold::Protected => "its workspace is below a protected path (orphan.protect)".to_owned(),
        Hold::Kept => "it is kept (team-agentctl keep)".to_owned(),
        Hold::ProtectedAncestor => "the daemon itself runs below it".to_owned(),
        Hold::LineageUnknown => {
            "the daemon may run below it: not all that is above the daemon is visible".to_owned()
        }
        Hold::Young { .. } => format!(
            "its process is younger than {} s: a test suite may be running",
            rules.ephemeral_min_age.as_secs()
        ),
        Hold::ViewObstructed => "the daemon does not see everything there is (view)".to_owned(),
        Hold::Suspended { why } => {
            format!("automatic reaping suspended itself: {why}; team-agentctl resume goes on")
        }
        Hold::Paused(_) => "automatic reaping is paused (team-agentctl resume)".to_owned(),
        Hold::AuditLost => "the event log cannot be written".to_owned(),
        Hold::FailedBefore(error) => format!(
            "it could not be ended ({}), and has not changed since",
            error.word()
        ),
        Hold::Grace { .. } => "it has not been an orphan for long enough".to_owned(),
        Hold::Sightings { seen, needed, .. } => {
            format!("it was seen as an orphan {seen} of {needed} times")
        }
        Hold::Respawned { .. } => "something starts a coordinator there again and again".to_owned(),
    }
}

/// What holds automatic reaping as a whole: the words of the holds.
#[must_use]
pub fn held_by(policy: &Policy, obstacles: &[Obstacle], now: Now) -> Vec<&'static str> {
    let steering = policy.steering();
    let is_paused = steering.pause.is_some_and(|pause| pause.holds(now));
    let mut held_by = Vec::new();
    let mut held_if = |applies: bool, word: &'static str| held_by.extend(applies.then_some(word));
    held_if(!obstacles.is_empty(), Hold::ViewObstructed.word());
    held_if(steering.suspension.is_some(), "suspended");
    held_if(is_paused, "paused");
    held_if(policy.is_audit_lost(), Hold::AuditLost.word());
    held_by
}

fn policy(report: &StatusReport<'_>) -> Value {
    let StatusReport {
        policy, rules, now, ..
    } = report;
    let steering = policy.steering();
    let pause = steering.pause.filter(|pause| pause.holds(*now));
    let held_by = held_by(policy, report.obstacles, *now);
    let suspension = steering.suspension.as_ref();
    let respawning: Vec<Value> = policy
        .respawns()
        .waiting()
        .map(|(workspace, respawn)| respawning(workspace, respawn, *now))
        .collect();
    let kept_paths: Vec<Value> = steering
        .keeps
        .paths
        .iter()
        .map(|(name, led_to)| kept_path(name, led_to))
        .collect();
    json!({
        "confirm": rules.confirm,
        "automatic": rules.confirm && held_by.is_empty(),
        "held_by": held_by,
        "reasons": rules.reasons,
        "grace_s": rules.grace.as_secs_f64(),
        "min_sightings": rules.min_sightings,
        "start_grace_s": rules.start_grace.as_secs_f64(),
        "max_per_scan": rules.max_per_scan,
        "terminate": ending(&report.terminate),
        "suspended": suspension.is_some(),
        "suspended_why": suspension.map(|suspension| suspension.why.clone()),
        "suspended_since": suspension.map(|suspension| timestamp(suspension.since)),
        "paused": pause.is_some(),
        "paused_until": pause.and_then(|pause| pause.until).map(timestamp),
        "kept": {
            "pids": steering.keeps.processes.keys().collect::<Vec<_>>(),
            "paths": kept_paths,
        },
        "respawning": respawning,
    })
}

fn respawning(workspace: &std::path::Path, respawn: &Respawn, now: Now) -> Value {
    let mut item = Object::new();
    put_text(&mut item, "workspace", workspace.as_ref());
    item.insert("kills".into(), respawn.kills.into());
    let until = respawn
        .wait_until
        .map(|until| timestamp(now.wall_at(until)));
    item.insert("wait_until".into(), until.into());
    let starter = respawn.starter.as_ref();
    item.insert("parent".into(), starter.map(|one| one.pid).into());
    let cmdline = starter.map(|one| one.cmdline.clone());
    item.insert("parent_cmdline".into(), cmdline.into());
    let unit = starter.and_then(|one| one.unit.clone());
    item.insert("unit".into(), unit.into());
    Value::Object(item)
}

/// Something that hides processes or paths, for people and scripts.
#[must_use]
pub fn obstacle(obstacle: &Obstacle) -> Value {
    let mut item = Object::new();
    item.insert("kind".into(), obstacle.word().into());
    item.insert("says".into(), obstacle.to_string().into());
    if let Obstacle::HiddenPath { path, .. } = obstacle {
        put_text(&mut item, "path", path.as_ref());
    }
    Value::Object(item)
}

fn past(past: &Past) -> Value {
    let mut item = Object::new();
    item.insert("pid".into(), past.pid.into());
    put_optional_text(&mut item, "workspace", past.workspace.as_ref());
    item.insert("reason".into(), past.reason.clone().into());
    item.insert("state".into(), past.state.into());
    item.insert("why".into(), past.why.clone().into());
    item.insert("at".into(), timestamp(past.at).into());
    Value::Object(item)
}

/// How orphans are ended, as `policy.terminate` has it.
#[must_use]
pub fn ending(ending: &Ending) -> Value {
    json!({
        "scope": ending.scope.word(),
        "sigterm_wait_s": ending.sigterm_wait.as_secs_f64(),
        "sigkill_wait_s": ending.sigkill_wait.as_secs_f64(),
    })
}
