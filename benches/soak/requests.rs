//! What is asked of the daemon: by its owner, who steers it, and by anybody, who looks.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::cast::{Actor, Micros, Truth, micros, now};
use super::daemon::{configure, misconfigure};
use super::model::{BREAKER_WINDOW, Hold};
use super::stage::Soak;
use crate::support::Result;

/// How long a record may take that has to come.
const PATIENCE: Duration = Duration::from_secs(30);

impl Soak {
    pub(crate) fn keep(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| {
            let is_fit = matches!(
                actor.truth,
                Truth::Healthy | Truth::Orphan | Truth::Undecided
            );
            is_fit && actor.kept.is_none() && !actor.role.is_respawned
        });
        let Some(which) = chosen.filter(|_| self.frozen_until.is_none()) else {
            return Ok(false);
        };
        let actor = &self.model.actors[which];
        let what = match self.dice.one_in(2) {
            true => json!({"pid": pid_of(actor)}),
            false => json!({"path": actor.workspace}),
        };
        let answer = self.daemon.call("keep", &what);
        if answer.is_ok() {
            self.model.kept(which, now(), what);
        }
        self.unless_gone(which, answer)
    }

    /// What it was asked about may have ended just now.
    fn unless_gone(&mut self, which: usize, answer: Result<Value>) -> Result<bool> {
        self.look()?;
        match answer {
            Err(error) if self.model.actors[which].is_alive() => Err(error),
            answer => Ok(answer.is_ok()),
        }
    }

    pub(crate) fn unkeep(&mut self) -> Result<bool> {
        let Some(which) = self.any(|actor| actor.kept.is_some()) else {
            return Ok(false);
        };
        if self.frozen_until.is_some() {
            return Ok(false);
        }
        let what = self.model.actors[which].kept.clone().unwrap_or_default();
        self.model.unkept(which, now());
        let answer = self.daemon.call("unkeep", &what);
        self.unless_gone(which, answer)
    }

    pub(crate) fn pause_for(&mut self) -> Result<bool> {
        let length = Duration::from_millis(self.dice.between(2000, 12_000));
        self.pause_until(Some(length))
    }

    pub(crate) fn pause(&mut self) -> Result<bool> {
        self.pause_until(None)
    }

    fn pause_until(&mut self, length: Option<Duration>) -> Result<bool> {
        if self.frozen_until.is_some() {
            return Ok(false);
        }
        let params = match length {
            Some(length) => json!({"for": format!("{}ms", length.as_millis())}),
            None => json!({}),
        };
        let sent = now();
        self.daemon.call("pause", &params)?;
        // Nobody's pause is cut short by another one: the longer one holds.
        let asked = length.map_or(Micros::MAX, |length| sent + micros(length));
        let until = asked.max(self.model.paused_until(sent));
        self.model.released(Hold::Pause, sent);
        let until = (until < Micros::MAX).then_some(until);
        self.model.held(Hold::Pause, now(), until);
        Ok(true)
    }

    pub(crate) fn resume(&mut self) -> Result<bool> {
        if self.frozen_until.is_some() || !self.model.is_held(now()) {
            return Ok(false);
        }
        self.read_log()?;
        let sent = now();
        self.model.last_resume = (sent, i64::MAX);
        self.daemon.call("resume", &json!({}))?;
        self.model.last_resume = (sent, now());
        self.model.released(Hold::Pause, sent);
        self.model.released(Hold::Suspension, sent);
        self.resume_at = None;
        Ok(true)
    }

    pub(crate) fn reload(&mut self) -> Result<bool> {
        self.reload_with(configure, "config.reloaded")
    }

    pub(crate) fn reload_bad(&mut self) -> Result<bool> {
        self.reload_with(misconfigure, "config.rejected")
    }

    fn reload_with(&mut self, write: fn(&Path, u64) -> Result<()>, record: &str) -> Result<bool> {
        if self.frozen_until.is_some() {
            return Ok(false);
        }
        self.read_log()?;
        let count = |soak: &Self| soak.model.counts.get(record).copied().unwrap_or(0);
        let before = count(self);
        self.variant += 1;
        write(&self.folder, self.variant)?;
        if self.dice.one_in(2) {
            let answer = self.daemon.call("reload", &json!({}));
            if answer.is_ok() != (record == "config.reloaded") {
                return Err(format!("a reload was answered with {answer:?}").into());
            }
        } else {
            self.daemon.signal(Signal::HUP)?;
        }
        let give_up = Instant::now() + PATIENCE;
        while count(self) == before {
            if Instant::now() > give_up {
                return Err(format!("LOST EVENT: no {record} after a reload").into());
            }
            self.watch_for(Duration::from_millis(20))?;
        }
        configure(&self.folder, self.variant)?;
        Ok(true)
    }

    pub(crate) fn ask(&mut self) -> Result<bool> {
        if self.frozen_until.is_some() {
            return Ok(false);
        }
        match self.dice.between(0, 4) {
            0 => self.compare_verdicts()?,
            1 => self.look_at_status()?,
            2 => {
                let events = json!({"limit": 50, "all": self.dice.one_in(5)});
                self.daemon.call("events", &events)?;
            }
            _ => {
                let Some(which) = self.any(|_| true) else {
                    return Ok(false);
                };
                let actor = &self.model.actors[which];
                let answer = self.daemon.call("explain", &json!({"pid": pid_of(actor)}));
                let is_orphan = matches!(
                    actor.truth,
                    Truth::Orphan | Truth::Undecided | Truth::Trashed | Truth::TestSuite
                );
                // Whoever has just ended cannot be explained.
                let would = answer.map(|answer| answer["would"].clone());
                if let Ok(Value::String(would)) = would
                    && would.starts_with("be ended")
                    && !is_orphan
                {
                    let who = actor.describe();
                    return Err(format!("WRONG VERDICT: it would {would}: {who}").into());
                }
            }
        }
        Ok(true)
    }

    /// A fresh scan has to say of each what is true, and to leave out nobody.
    pub(crate) fn compare_verdicts(&mut self) -> Result<()> {
        let scan = self.daemon.call("scan", &json!({}))?;
        let entries = scan["coordinators"]
            .as_array()
            .ok_or("a scan without a list")?;
        self.look()?;
        for actor in self.model.actors.iter().filter(|actor| actor.is_alive()) {
            let pid = pid_of(actor);
            let entry = entries.iter().find(|entry| entry["pid"] == pid);
            let text = |key: &str| {
                entry
                    .and_then(|entry| entry[key].as_str())
                    .unwrap_or("none")
            };
            let (verdict, reason) = (text("verdict"), text("reason"));
            let is_right = match actor.truth {
                Truth::Healthy => {
                    let is_again = !actor.role.is_real && reason == "workspace_maybe_replaced";
                    verdict == "alive" || is_again
                }
                Truth::Orphan => {
                    let reasons = ["workspace_path_missing", "workspace_replaced"];
                    verdict == "none" || reasons.contains(&reason)
                }
                Truth::Undecided => true,
                Truth::Moved => reason == "workspace_moved",
                Truth::Trashed => reason == "workspace_trashed",
                Truth::Unmounted => reason == "workspace_unmounted",
                Truth::TestSuite => reason.starts_with("ephemeral_tempdir_pattern:"),
                Truth::Bystander => verdict == "none",
            };
            if !is_right && !actor.is_dismissed {
                let who = actor.describe();
                return Err(format!("WRONG VERDICT {verdict}, {reason}: {who}\n{entry:?}").into());
            }
            self.model.tally.verdicts += 1;
        }
        Ok(())
    }

    /// Whoever is no orphan, or kept, is spared also when it is named.
    pub(crate) fn fix_refused(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| match actor.truth {
            Truth::Healthy | Truth::Moved | Truth::Unmounted => true,
            Truth::Orphan => actor.kept.is_some(),
            _ => false,
        });
        let Some(which) = chosen.filter(|_| self.frozen_until.is_none()) else {
            return Ok(false);
        };
        let actor = &self.model.actors[which];
        let params = json!({"confirm": true, "pids": [pid_of(actor)]});
        let result = self.daemon.call("fix", &params)?;
        if result["killed"] != json!([]) || result["spared"][0]["pid"] != pid_of(actor) {
            let who = actor.describe();
            return Err(format!("a fix of one that is to be spared: {who}: {result}").into());
        }
        let refusal = self.daemon.call("fix", &json!({}))?;
        if refusal["status"] != "refused" {
            return Err(format!("a fix without confirm: {refusal}").into());
        }
        self.tally().refused += 2;
        Ok(true)
    }

    /// An orphan that somebody asks to be ended: at once, also in a pause.
    pub(crate) fn fix_one(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| {
            actor.truth == Truth::Orphan && actor.kept.is_none() && actor.signalled.is_empty()
        });
        let Some(which) = chosen.filter(|_| self.frozen_until.is_none()) else {
            return Ok(false);
        };
        let actor = &mut self.model.actors[which];
        actor.asked_at = Some(now());
        actor.is_undisturbed = false;
        let params = json!({"confirm": true, "pids": [pid_of(actor)]});
        let result = self.daemon.call("fix", &params);
        self.look()?;
        let actor = &self.model.actors[which];
        // The daemon may have ended it by itself, and then it knows no such process.
        if actor.is_alive() {
            return Err(format!("a fix did not end {}: {result:?}", actor.describe()).into());
        }
        Ok(true)
    }

    /// So many went at once that the breaker has to have gone off, if the daemon saw it in time.
    pub(crate) fn expect_trip(&mut self, began: Instant) -> Result<()> {
        self.daemon.call("scan", &json!({}))?;
        let has_seen_in_time = began.elapsed() < BREAKER_WINDOW;
        let status = self.daemon.call("status", &json!({}))?;
        self.look()?;
        if has_seen_in_time {
            self.tally().trips_wanted += 1;
            if status["policy"]["suspended"] != true {
                let policy = &status["policy"];
                return Err(
                    format!("most went at once, and the breaker held still: {policy}").into(),
                );
            }
        }
        Ok(())
    }

    /// Every escalation that the crash cut off has to be told of.
    pub(crate) fn expect_interruptions(&mut self) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !self.model.interrupted.is_empty() {
            if Instant::now() > give_up {
                let who = self.model.actors[self.model.interrupted[0]].describe();
                return Err(format!("LOST EVENT: no orphan.interrupted for {who}").into());
            }
            self.watch_for(Duration::from_millis(20))?;
        }
        Ok(())
    }
}

fn pid_of(actor: &Actor) -> Value {
    actor.pid.as_raw_nonzero().get().into()
}
