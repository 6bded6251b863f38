//! What becomes of the orphans of one fix: records come in, words for people come out. Pure.

use serde_json::Value;

use crate::cli::kills::Kills;
use crate::cli::list;
use crate::cli::render::{how_it_ended, shown, shown_or_unknown};
use crate::orphan::process::Pid;

/// What a fix is about.
#[derive(Clone, Debug)]
pub(in crate::cli) enum About {
    /// Every orphan.
    All,
    /// Some; these were named by their pids.
    These(Vec<Pid>),
}

/// The orphans of one fix.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Who asks, as the records name it.
    own_pid: u64,
    /// Which processes were named; those of nobody else's fix are then meant, too.
    named: Vec<u64>,
    /// Whether it is about all orphans: whoever ends them, it waits for them as well.
    is_about_all: bool,
    is_told: bool,
    /// How orphans are ended: at least `policy.terminate`.
    pub(super) status: Value,
    /// Under way.
    pub(super) kills: Kills,
    /// Over, the newest last.
    pub(super) ended: Vec<Ended>,
}

/// An orphan that had its end. All texts are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: u64,
    pub(super) workspace: String,
    pub(super) status: Status,
    /// In words, the status among them.
    pub(super) how: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Gone,
    Failed,
    Spared,
}

impl Model {
    /// Of a fix that `own_pid` asks for, with these processes named in it.
    pub(super) fn new(own_pid: Pid, about: &About) -> Self {
        let (named, is_about_all) = match about {
            About::All => (&[][..], true),
            About::These(named) => (&named[..], false),
        };
        Self {
            is_about_all,
            own_pid: own_pid.into(),
            named: named.iter().map(|pid| u64::from(*pid)).collect(),
            is_told: false,
            status: Value::Null,
            kills: Kills::default(),
            ended: Vec::new(),
        }
    }

    /// From now on it is told what happens.
    pub(super) fn begun(&mut self, status: Value) {
        self.is_told = true;
        self.status = status;
    }

    /// Takes in a record. If it is about an orphan of this fix, gives it in words.
    pub(super) fn take(&mut self, event: &Value) -> Option<String> {
        let pid = event["pid"].as_u64()?;
        let orphan = event["orphan_pid"].as_u64().unwrap_or(pid);
        let is_known =
            self.is_about_all || self.kills.0.contains_key(&orphan) || self.named.contains(&orphan);
        if !is_known && event["actor"]["pid"] != self.own_pid {
            return None;
        }
        let status = match event["event"].as_str()? {
            "orphan.signal" => {
                self.ended.retain(|ended| ended.pid != orphan);
                self.kills.take(event);
                let with = match orphan == pid {
                    true => String::new(),
                    false => format!(", as a member of {orphan}"),
                };
                return Some(format!(
                    "pid {pid} {} sent{with}  {}",
                    shown(&event["signal"]),
                    shown_or_unknown(&event["workspace"]),
                ));
            }
            "orphan.killed" if event["status"] == "missing" => "missing",
            "orphan.killed" => "killed",
            "orphan.failed" => "failed",
            "orphan.spared" => "spared",
            _ => return None,
        };
        self.kills.take(event);
        let mut entry = event.clone();
        entry["status"] = status.into();
        self.end(&entry)
    }

    /// Whether everything is told that a fix's result says of its orphans; also if nothing is told at all.
    pub(super) fn has_told(&self, result: &Value) -> bool {
        !self.is_told || self.kills.is_empty() && self.untold(result).next().is_none()
    }

    /// Takes in a fix's result. What was not told of its orphans comes in words; of those it spared from the
    /// beginning, too, but for the `named`, of whom the report tells.
    pub(super) fn finish(&mut self, result: &Value, named: &[Pid]) -> Vec<String> {
        if !self.is_told {
            return Vec::new();
        }
        let is_named = |entry: &Value| named.iter().any(|pid| entry["pid"] == *pid);
        let mut untold: Vec<Value> = self.untold(result).cloned().collect();
        for spared in list(result, "spared") {
            let is_told = self.ended.iter().any(|ended| spared["pid"] == ended.pid);
            if !is_told && !is_named(spared) && !untold.contains(spared) {
                untold.push(spared.clone());
            }
        }
        let lines = untold.iter().filter_map(|entry| self.end(entry)).collect();
        self.kills = Kills::default();
        lines
    }

    /// Whoever was spared before it began is not waited for: there may be no record of that.
    fn untold<'a>(&'a self, result: &'a Value) -> impl Iterator<Item = &'a Value> {
        let is_under_way = |entry: &&Value| {
            let pid = entry["pid"].as_u64();
            pid.is_some_and(|pid| self.kills.0.contains_key(&pid))
        };
        let ended = list(result, "killed").iter().chain(list(result, "failed"));
        let spared = list(result, "spared").iter().filter(is_under_way);
        ended
            .chain(spared)
            .filter(|entry| self.ended.iter().all(|ended| entry["pid"] != ended.pid))
    }

    fn end(&mut self, entry: &Value) -> Option<String> {
        let how = how_it_ended(entry)?;
        let (status, how) = match entry["status"].as_str() {
            Some("failed") => (Status::Failed, format!("failed: {how}")),
            Some("spared") => (Status::Spared, format!("spared: {how}")),
            _ => (Status::Gone, how),
        };
        let ended = Ended {
            pid: entry["pid"].as_u64()?,
            workspace: shown_or_unknown(&entry["workspace"]),
            status,
            how,
        };
        let line = format!("pid {} {}  {}", ended.pid, ended.how, ended.workspace);
        self.ended.retain(|before| before.pid != ended.pid);
        self.ended.push(ended);
        Some(line)
    }
}
