//! The result of `explain`: every rule tried on one process, with what it found.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::entry::entry;
use super::evidence::evidence;
use super::status::{put_standing, says};
use super::text::Object;
use crate::orphan::clock::Now;
use crate::orphan::ephemeral::EphemeralRules;
use crate::orphan::judge::explain;
use crate::orphan::memory::Memory;
use crate::orphan::policy::machine::State;
use crate::orphan::policy::{Rules, Standing};
use crate::orphan::process::{Pid, ProcessRecord};
use crate::orphan::registry::Sighting;
use crate::orphan::verdict::Verdict;

/// What an explanation has to know beside the process.
#[derive(Debug)]
pub struct Context<'a> {
    /// What was remembered before this look: rules draw on it.
    pub memory: &'a Memory,
    /// What makes a path ephemeral.
    pub ephemeral: &'a EphemeralRules,
    /// What keeps this process from being touched whatever its verdict, if anything does.
    pub held_back: Option<&'static str>,
    /// Where it stands with automatic reaping, as of the last scan; nowhere, without a daemon.
    pub standing: Option<(&'a Standing, &'a Rules)>,
    /// The time of the answer.
    pub now: Now,
}

/// A process that is no coordinator.
#[must_use]
pub fn stranger(record: &ProcessRecord) -> Value {
    let program = record.argv.first().map_or_else(
        || "an empty argv".to_owned(),
        |word| format!("argv of {:?}", word.to_string_lossy()),
    );
    json!({
        "pid": record.identity.pid,
        "is_coordinator": false,
        "rules": [{
            "rule": "is_coordinator",
            "result": "no",
            "evidence": argv(&record.argv),
        }],
        "would": format!("never be ended for itself: not a coordinator: {program} has none of the known forms"),
    })
}

/// A process that is there and cannot be read.
#[must_use]
pub fn unreadable(pid: Pid, why: &str) -> Value {
    json!({
        "pid": pid,
        "is_coordinator": false,
        "rules": [{"rule": "is_coordinator", "result": "unreadable", "evidence": {"error": why}}],
        "would": "never be ended for itself: it cannot be looked into",
    })
}

/// A coordinator.
#[must_use]
pub fn coordinator(sighting: &Sighting, context: &Context<'_>) -> Value {
    let observation = &sighting.observation;
    let mut rules = vec![json!({
        "rule": "is_coordinator",
        "result": "yes",
        "evidence": argv(&observation.record.argv),
    })];
    rules[0]["evidence"]["form"] = observation.coordinator.form.clone().into();
    let tried = explain(
        &observation.coordinator.workspace,
        &observation.evidence,
        context.memory,
        context.ephemeral,
    );
    let found = evidence(&observation.evidence, context.memory);
    rules.extend(tried.into_iter().map(|(rule, verdict)| match verdict {
        None => json!({"rule": rule, "result": "does_not_apply", "evidence": null}),
        Some(verdict) => json!({
            "rule": rule,
            "result": format!("{}:{}", verdict.word(), verdict.reason()),
            "evidence": found,
        }),
    }));
    if let Some(why) = context.held_back {
        rules.push(json!({"rule": "held_back", "result": why, "evidence": null}));
    }
    let mut result = Object::new();
    result.insert("pid".into(), observation.record.identity.pid.into());
    result.insert("is_coordinator".into(), true.into());
    result.insert("entry".into(), entry(sighting, context.now.wall).into());
    result.insert("rules".into(), rules.into());
    let would = would(&sighting.verdict, context.held_back);
    result.insert("would".into(), would.into());
    if let Some((standing, policy)) = context.standing {
        let is_orphan = sighting.verdict.orphan_reason().is_some();
        put_standing(&mut result, standing, policy, context.now);
        let by_itself = by_itself(standing, is_orphan, policy);
        result.insert("by_itself".into(), by_itself.into());
    }
    Value::Object(result)
}

/// What the daemon will do without being asked, in a sentence.
fn by_itself(standing: &Standing, is_orphan: bool, rules: &Rules) -> String {
    match &standing.state {
        State::Terminating(_) => "it is being ended".to_owned(),
        _ if !is_orphan => "the daemon leaves it alone".to_owned(),
        State::Seen => "the daemon has not seen it as an orphan yet".to_owned(),
        _ => match standing.holds.as_slice() {
            [] => "the daemon ends it after its next scan".to_owned(),
            holds => {
                let why: Vec<String> = holds.iter().map(|hold| says(hold, rules)).collect();
                let when = match standing.next_action {
                    Some(_) => "will end it later",
                    None => "will not end it",
                };
                format!("the daemon {when}: {}", why.join("; "))
            }
        },
    }
}

fn would(verdict: &Verdict, held_back: Option<&'static str>) -> String {
    match (verdict, held_back) {
        (Verdict::Alive, _) => "be left alone: its workspace is there".to_owned(),
        (Verdict::Unknown(reason), _) => {
            format!("be left alone: whether it is an orphan cannot be told ({reason})")
        }
        (Verdict::Orphan(reason), Some(why)) => {
            format!("be spared by a fix although it is an orphan ({reason}): {why}")
        }
        (Verdict::Orphan(reason), None) => {
            format!("be ended by `team-agentctl fix --confirm`: it is an orphan ({reason})")
        }
    }
}

/// Enough of an argv to recognise it by; the entry of a coordinator has more.
fn argv(argv: &[OsString]) -> Value {
    const WORDS: usize = 16;
    const CHARACTERS: usize = 256;
    let start = |word: &OsString| -> String {
        let text = word.to_string_lossy();
        text.chars().take(CHARACTERS).collect()
    };
    let shown: Vec<String> = argv.iter().take(WORDS).map(start).collect();
    let is_long = |word: &OsString| word.to_string_lossy().chars().nth(CHARACTERS).is_some();
    let is_cut = argv.len() > WORDS || argv.iter().any(is_long);
    let mut evidence = json!({"argv": shown});
    if is_cut {
        evidence["argv_truncated"] = true.into();
    }
    evidence
}
