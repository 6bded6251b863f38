//! What fits at the cursor, from one answer of the daemon to `status`. Pure.
//!
//! A path is offered only if it is text that shows itself: one that holds control or invisible characters, or
//! is no UTF-8, cannot be told from another by who chooses it, and shells differ in what they make of it. Its
//! process is offered by its pid all the same.

use std::collections::BTreeMap;

use clap_complete::Shell;
use serde_json::Value;

use super::super::list;
use super::super::safe_text::{escape, is_unsafe};
use super::place::Place;
use crate::orphan::verdict::ORPHAN_REASON_KINDS;

/// Something that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What is typed.
    pub(super) value: String,
    /// What it is about; safe to show.
    pub(super) about: String,
}

impl Candidate {
    /// As its shell reads it: bash has no use for more than the value.
    pub(super) fn line(&self, shell: Shell) -> String {
        if shell == Shell::Bash || self.about.is_empty() {
            self.value.clone()
        } else {
            format!("{}\t{}", self.value, self.about)
        }
    }
}

/// All that fits at `place`, by its order and without doublets. Without a daemon's word there is what everybody knows.
pub(super) fn candidates(place: Place, status: Option<&Value>) -> Vec<Candidate> {
    let nothing = Value::Null;
    let status = status.unwrap_or(&nothing);
    let coordinators = || list(status, "coordinators").iter();
    let orphans = || coordinators().filter(|one| one["verdict"] == "orphan");
    let not_kept = || coordinators().filter(|one| one["kept"] != true);
    match place {
        Place::OrphanPid => pids(orphans()),
        Place::Pid => pids(coordinators()),
        Place::PastPid => pids(coordinators().chain(list(status, "history"))),
        Place::OrphanWorkspace => workspaces(orphans()),
        Place::Workspace => workspaces(coordinators()),
        Place::Keepable => {
            let mut found = pids(not_kept());
            found.extend(workspaces(not_kept()));
            found
        }
        Place::Kept => kept(status),
        Place::Reason => reasons(orphans()),
    }
}

fn pids<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Candidate> {
    let mut found = BTreeMap::new();
    for entry in entries {
        if let Some(pid) = entry["pid"].as_u64() {
            found.entry(pid).or_insert_with(|| about(entry));
        }
    }
    let candidate = |(pid, about): (u64, String)| Candidate {
        value: pid.to_string(),
        about,
    };
    found.into_iter().map(candidate).collect()
}

fn workspaces<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Candidate> {
    let mut found = BTreeMap::new();
    for entry in entries {
        if let Some(path) = shown(entry, "workspace") {
            let reason = entry["reason"].as_str().unwrap_or_default();
            let pid = &entry["pid"];
            found.insert(path, escape(&format!("{reason}  pid {pid}")).into_owned());
        }
    }
    named(found)
}

fn kept(status: &Value) -> Vec<Candidate> {
    let kept = &status["policy"]["kept"];
    let mut found = Vec::new();
    for pid in list(kept, "pids") {
        let entry = list(status, "coordinators")
            .iter()
            .find(|entry| entry["pid"] == *pid);
        found.push(Candidate {
            value: pid.to_string(),
            about: entry.map(about).unwrap_or_default(),
        });
    }
    let paths = list(kept, "paths").iter();
    let paths = paths.filter_map(|path| shown(path, "path"));
    found.extend(named(paths.map(|path| (path, String::new())).collect()));
    found
}

fn reasons<'a>(orphans: impl Iterator<Item = &'a Value>) -> Vec<Candidate> {
    let kinds = ORPHAN_REASON_KINDS.iter().map(|kind| (*kind).to_owned());
    let mut counts: BTreeMap<String, usize> = kinds.map(|kind| (kind, 0)).collect();
    for orphan in orphans {
        if let Some(reason) = shown(orphan, "reason") {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let candidate = |(reason, many): (String, usize)| {
        let about = match many {
            0 => String::new(),
            1 => "1 orphan".to_owned(),
            many => format!("{many} orphans"),
        };
        (reason, about)
    };
    named(counts.into_iter().map(candidate).collect())
}

/// The text under `name`, if it shows itself and is all there is to it.
fn shown(entry: &Value, name: &str) -> Option<String> {
    let is_whole = entry.get(format!("{name}_b64")).is_none();
    entry[name]
        .as_str()
        .filter(|text| is_whole && !text.is_empty() && !text.contains(is_unsafe))
        .map(str::to_owned)
}

fn about(entry: &Value) -> String {
    let reason = entry["reason"].as_str().unwrap_or_default();
    let workspace = entry["workspace"].as_str().unwrap_or_default();
    escape(format!("{reason}  {workspace}").trim()).into_owned()
}

fn named(found: BTreeMap<String, String>) -> Vec<Candidate> {
    let candidate = |(value, about)| Candidate { value, about };
    found.into_iter().map(candidate).collect()
}
