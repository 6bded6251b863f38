//! What the records say, held against what is true: nobody is signalled who must not be, and nothing
//! that has to be written down is missing.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::cast::{Actor, Member, Micros, micros};
use super::model::{CLOCKS, Hold, Model, RESPAWNS_WITHIN, SETTLE, START_GRACE};
use crate::support::{Result, has_exited};

impl Model {
    /// One line of the event log.
    pub(crate) fn take(&mut self, line: &str) -> Result<()> {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            self.cut_lines = self
                .cut_lines
                .checked_sub(1)
                .ok_or_else(|| format!("a line of the event log is no JSON: {line:?}"))?;
            return Ok(());
        };
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let ts: jiff::Timestamp = text("ts").parse()?;
        let name = text("event").to_owned();
        *self.counts.entry(name.clone()).or_default() += 1;
        match name.as_str() {
            "daemon.started" => {
                for actor in &mut self.actors {
                    actor.is_detected = false;
                }
                Ok(())
            }
            "reap.suspended" if event["by"] == "breaker" => {
                let [turned, of] = ["turned", "of"].map(|key| event[key].as_u64().unwrap_or(0));
                self.tally.trips += 1;
                let (sent, answered) = self.last_resume;
                let at = ts.as_microsecond();
                // Nobody knows what came first while a `resume` was on its way: `status` will tell.
                let to = (at < answered).then_some(sent.max(at));
                self.held(Hold::Suspension, at, to);
                if turned <= 3 || turned * 2 <= of {
                    return Err(format!("the breaker went off too early: {event}").into());
                }
                Ok(())
            }
            "daemon.stopped" | "reap.suspended" | "reap.resumed" | "config.reloaded"
            | "config.rejected" => Ok(()),
            _ => self
                .about_orphan(&name, ts.as_microsecond(), &event)
                .map_err(|error| format!("{error}\nthe record: {event}").into()),
        }
    }

    fn about_orphan(&mut self, name: &str, ts: Micros, event: &Value) -> Result<()> {
        let pid = event["orphan_pid"]
            .as_i64()
            .or_else(|| event["pid"].as_i64());
        let known = pid.and_then(|pid| self.by_pid.get(&pid)).copied();
        let which = known.ok_or("a record about a process that nobody started")?;
        let actor = &mut self.actors[which];
        let wrong = |what: &str, actor: &Actor| Err(format!("{what}: {}", actor.describe()).into());
        match name {
            "orphan.detected" => {
                if !actor.was_orphan {
                    return wrong("WRONG VERDICT: it is no orphan", actor);
                }
                actor.is_detected = true;
            }
            "orphan.cleared" => actor.is_detected = false,
            "orphan.signal" => return self.signalled(which, ts, event),
            "orphan.killed" => {
                let is_missing = event["status"] == "missing";
                if actor.signalled.is_empty() && !is_missing {
                    return wrong("LOST EVENT: killed without a signal", actor);
                }
                let leaves_children =
                    !actor.role.is_follower && !is_missing && actor.children.iter().any(is_left);
                if !has_exited(actor.pid) || leaves_children {
                    return wrong("reported as killed, and alive", actor);
                }
                actor.signalled.clear();
                actor.has_outcome = true;
                actor.is_detected = false;
                if !is_missing {
                    let latency = Duration::from_micros((ts - actor.since).unsigned_abs());
                    self.tally.reaped(latency, actor.is_undisturbed);
                    let workspace = actor.workspace.clone();
                    self.back_off(workspace, ts);
                }
            }
            "orphan.spared" => {
                if ["interrupted", "unfinished"]
                    .iter()
                    .any(|why| event["why"] == *why)
                {
                    return wrong("a wave broke off", actor);
                }
                actor.signalled.clear();
                actor.waited = Duration::ZERO;
                actor.scans_waited = 0;
                actor.is_undisturbed = false;
                self.tally.spared += 1;
            }
            "orphan.interrupted" => {
                let expected = self.interrupted.iter().position(|number| *number == which);
                let Some(expected) = expected else {
                    return wrong("an interruption that nobody caused", actor);
                };
                self.interrupted.swap_remove(expected);
                actor.signalled.clear();
                actor.has_outcome = true;
                self.tally.interrupted += 1;
            }
            _ => return wrong("an unexpected record", actor),
        }
        Ok(())
    }

    fn signalled(&mut self, which: usize, ts: Micros, event: &Value) -> Result<()> {
        let is_auto = event["actor"] == "auto";
        let verdict = if is_auto {
            self.automatic_signal(which, ts)
        } else {
            match self.actors[which].asked_at {
                Some(at) if at <= ts => None,
                _ => Some("nobody asked for it"),
            }
        };
        let actor = &mut self.actors[which];
        let target = event["pid"].as_i64();
        let family = std::iter::once(actor.pid).chain(actor.children.iter().map(|one| one.pid));
        let target = family
            .into_iter()
            .find(|pid| Some(i64::from(pid.as_raw_nonzero().get())) == target);
        let signal = event["signal"].as_str().unwrap_or_default().to_owned();
        let had_term = actor.signalled.iter().any(|(_, sent)| sent == "SIGTERM");
        let problem = match (verdict, target) {
            (Some(problem), _) => problem,
            (None, None) => "the target is not of its family",
            (None, Some(_)) if !actor.is_detected => "LOST EVENT: signalled without detection",
            (None, Some(_)) if signal != "SIGTERM" && !had_term => "SIGKILL came first",
            (None, Some(target)) => {
                actor.signalled.push((target, signal));
                actor.named.push(target);
                return Ok(());
            }
        };
        let (who, life) = (actor.describe(), self.life_began);
        let holds = self.holds.iter().rev().take(3).collect::<Vec<_>>();
        Err(format!(
            "WRONG SIGNAL, {problem} at {ts}: {who}; the daemon lives since {life}, last holds {holds:?}"
        )
        .into())
    }

    /// Why this one must not be signalled automatically at `ts`.
    fn automatic_signal(&self, which: usize, ts: Micros) -> Option<&'static str> {
        let actor = &self.actors[which];
        let early = micros(CLOCKS);
        let opened = |window: &&(Micros, Option<Micros>)| window.0 - early <= ts;
        let Some((_, to)) = actor.windows.iter().rfind(opened) else {
            return Some("it is to be left alone, or its grace is not over");
        };
        if to.is_some_and(|to| ts > to + self.settling(to, ts)) {
            return Some("it is to be left alone again");
        }
        let began = self.life_began;
        let was_there = actor.since < began && actor.started_at < began;
        if was_there && ts < began + micros(START_GRACE) - early {
            return Some("it was there before the daemon");
        }
        let is_held = self.holds.iter().any(|(_, from, to)| {
            ts > from + self.settling(*from, ts) && to.is_none_or(|to| ts < to)
        });
        if is_held {
            return Some("automatic reaping is held");
        }
        let back_off = &self.back_offs.get(&actor.workspace)?.surely;
        let settle = micros(SETTLE);
        let has_to_wait = ts > back_off.from + settle && ts < back_off.until - settle;
        has_to_wait.then_some("its workspace has to wait, so often was one ended there")
    }

    /// What is recorded so long after `from` may have been under way by then.
    fn settling(&self, from: Micros, until: Micros) -> Micros {
        let frozen = self.frozen.iter().map(|(began, ended)| {
            let ended = ended.unwrap_or(until).min(until);
            (ended - *began.max(&from)).max(0)
        });
        micros(SETTLE) + frozen.sum::<Micros>()
    }

    fn back_off(&mut self, workspace: PathBuf, at: Micros) {
        let back_off = self.back_offs.entry(workspace).or_default();
        let (within, settle) = (micros(RESPAWNS_WITHIN), micros(SETTLE));
        back_off.perhaps.killed(at, within + settle);
        if back_off.surely.killed(at, within - settle) {
            self.tally.back_offs += 1;
        }
    }
}

fn is_left(member: &Member) -> bool {
    !has_exited(member.pid)
}
