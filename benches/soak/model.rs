//! What has to be true, kept beside the daemon from what the soak itself does: who may be signalled
//! and from when on, who has to be ended, and what the records have to say. Independent of the
//! daemon's code, and much simpler: a process may be signalled within its windows, never while
//! reaping is held, and an orphan that could have been ended for too long was missed.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use serde_json::Value;

use super::cast::{Actor, Micros, Truth, micros, now};
use super::tally::Tally;
use crate::support::Result;

pub(crate) const GRACE: Duration = Duration::from_secs(2);
pub(crate) const START_GRACE: Duration = Duration::from_secs(3);
pub(crate) const BREAKER_WINDOW: Duration = Duration::from_secs(3);
/// An orphan that could have been ended for longer than this, and was seen so often, was missed.
pub(crate) const LIMIT: Duration = Duration::from_secs(18);
pub(crate) const LIMIT_SCANS: u64 = 40;
/// What is recorded so soon after something was forbidden was under way. The daemon looks again at
/// whatever is older than 250 ms before it signals; a machine under load takes its time to write.
pub(crate) const SETTLE: Duration = Duration::from_secs(4);
/// The daemon's patience runs on another clock than the time stamps.
pub(crate) const CLOCKS: Duration = Duration::from_millis(20);
/// The back-off of a workspace on which coordinators come again.
const RESPAWNS: usize = 3;
pub(crate) const RESPAWNS_WITHIN: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Pause,
    Suspension,
}

/// A workspace on which coordinators come again, by how long ago a kill counts at least and at most.
#[derive(Default)]
pub(crate) struct BackOff {
    /// Then its next has to wait.
    pub(crate) surely: Rounds,
    /// Then its next may have to.
    pub(crate) perhaps: Rounds,
}

#[derive(Default)]
pub(crate) struct Rounds {
    kills: Vec<Micros>,
    count: u32,
    pub(crate) from: Micros,
    pub(crate) until: Micros,
}

impl Rounds {
    /// One was ended. Whether the next has to wait.
    pub(crate) fn killed(&mut self, at: Micros, within: Micros) -> bool {
        self.kills.retain(|kill| at - kill <= within);
        self.kills.push(at);
        let has_to_wait = self.count > 0 || self.kills.len() >= RESPAWNS;
        if has_to_wait {
            let wait = micros(FIRST_WAIT) << self.count.min(6);
            self.count += 1;
            (self.from, self.until) = (at, at + wait);
        }
        has_to_wait
    }
}

pub(crate) struct Model {
    pub(crate) actors: Vec<Actor>,
    pub(crate) by_pid: HashMap<i64, usize>,
    /// Since when and until when automatic reaping is held.
    pub(crate) holds: Vec<(Hold, Micros, Option<Micros>)>,
    /// When the last `resume` was sent, and answered.
    pub(crate) last_resume: (Micros, Micros),
    /// When the daemon stood still.
    pub(crate) frozen: Vec<(Micros, Option<Micros>)>,
    /// When the present daemon was started.
    pub(crate) life_began: Micros,
    pub(crate) back_offs: HashMap<PathBuf, BackOff>,
    /// Whose escalation a crash cut off, until the next daemon says so.
    pub(crate) interrupted: Vec<usize>,
    /// How many lines crashes may have cut off.
    pub(crate) cut_lines: usize,
    pub(crate) counts: BTreeMap<String, usize>,
    pub(crate) tally: Tally,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            actors: Vec::new(),
            by_pid: HashMap::new(),
            holds: Vec::new(),
            last_resume: (0, 0),
            frozen: Vec::new(),
            life_began: 0,
            back_offs: HashMap::new(),
            interrupted: Vec::new(),
            cut_lines: 0,
            counts: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn add(&mut self, actor: Actor) -> usize {
        let at = self.actors.len();
        self.by_pid
            .insert(actor.pid.as_raw_nonzero().get().into(), at);
        self.actors.push(actor);
        at
    }

    // What the soak does to a workspace.

    /// Its workspace is deleted, beginning at `at`: `truth` says how sure that is.
    pub(crate) fn orphaned(&mut self, which: usize, at: Micros, truth: Truth) {
        let is_held = self.is_held(at) || matches!(self.frozen.last(), Some((_, None)));
        let actor = &mut self.actors[which];
        // Its time runs from when it was thrown away, and nobody may end it before the trash is emptied.
        let is_new = !matches!(actor.truth, Truth::Orphan | Truth::Trashed);
        actor.is_undisturbed &= !is_held && is_new;
        let since = match actor.truth {
            Truth::Trashed | Truth::Orphan => actor.since,
            _ => at,
        };
        actor.truth = truth;
        actor.since = since;
        actor.was_orphan = true;
        actor.waited = Duration::ZERO;
        actor.scans_waited = 0;
        if actor.kept.is_none() {
            actor.open_window(at);
        }
    }

    /// It is no orphan any more, or none that may be ended: as of `at`.
    pub(crate) fn safe(&mut self, which: usize, at: Micros, truth: Truth) {
        let actor = &mut self.actors[which];
        actor.truth = truth;
        actor.since = at;
        actor.was_orphan |= truth == Truth::Trashed;
        actor.close_window(at);
    }

    pub(crate) fn kept(&mut self, which: usize, at: Micros, what: Value) {
        let actor = &mut self.actors[which];
        actor.kept = Some(what);
        actor.is_undisturbed = false;
        actor.close_window(at);
    }

    pub(crate) fn unkept(&mut self, which: usize, at: Micros) {
        let actor = &mut self.actors[which];
        actor.kept = None;
        actor.waited = Duration::ZERO;
        actor.scans_waited = 0;
        if matches!(actor.truth, Truth::Orphan | Truth::Undecided) {
            actor.open_window(at);
        }
    }

    pub(crate) fn held(&mut self, hold: Hold, from: Micros, to: Option<Micros>) {
        self.holds.push((hold, from, to));
        self.disturb();
    }

    /// Ends all holds of this kind at `at`.
    pub(crate) fn released(&mut self, kind: Hold, at: Micros) {
        for (hold, _, to) in &mut self.holds {
            if *hold == kind && to.is_none_or(|to| to > at) {
                *to = Some(at);
            }
        }
    }

    /// Until when the pause of that moment holds; 0, if there is none.
    pub(crate) fn paused_until(&self, at: Micros) -> Micros {
        let pauses = self.holds.iter();
        let ends = pauses.filter_map(|(hold, from, to)| {
            let to = to.unwrap_or(Micros::MAX);
            (*hold == Hold::Pause && *from <= at && at < to).then_some(to)
        });
        ends.max().unwrap_or(0)
    }

    pub(crate) fn is_held(&self, at: Micros) -> bool {
        self.holds
            .iter()
            .any(|(_, from, to)| *from <= at && to.is_none_or(|to| at < to))
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.holds
            .iter()
            .any(|(hold, _, to)| *hold == Hold::Suspension && to.is_none())
    }

    /// Something holds up the end of every orphan there is.
    pub(crate) fn disturb(&mut self) {
        for actor in self.actors.iter_mut().filter(|actor| actor.is_alive()) {
            actor.is_undisturbed &= actor.truth != Truth::Orphan;
        }
    }

    /// The daemon ended; `by_force`: without a chance to say anything.
    pub(crate) fn daemon_ended(&mut self, by_force: bool) {
        self.disturb();
        for (number, actor) in self.actors.iter_mut().enumerate() {
            actor.waited = Duration::ZERO;
            actor.scans_waited = 0;
            if by_force && !actor.signalled.is_empty() {
                self.interrupted.push(number);
            }
        }
        self.cut_lines += usize::from(by_force);
        self.back_offs.clear();
    }

    // What has to be true.

    /// Time went by in which the daemon could work.
    pub(crate) fn worked(&mut self, time: Duration, scans: u64) -> Result<()> {
        let at = now();
        for actor in &mut self.actors {
            let is_due = actor.is_alive() && actor.truth == Truth::Orphan && actor.kept.is_none();
            let back_off = self.back_offs.get(&actor.workspace);
            if is_due && back_off.is_some_and(|back_off| at < back_off.perhaps.until) {
                actor.is_undisturbed = false;
                continue;
            }
            if !is_due {
                continue;
            }
            actor.waited += time;
            actor.scans_waited += scans;
            if actor.waited > LIMIT && actor.scans_waited > LIMIT_SCANS {
                let (waited, scans) = (actor.waited, actor.scans_waited);
                return Err(format!(
                    "MISSED ORPHAN: nothing holds it back for {waited:.1?} and {scans} scans: {}",
                    actor.describe()
                )
                .into());
            }
        }
        Ok(())
    }

    /// Who has exited since the last look. To be judged when the records were read.
    pub(crate) fn exits(&mut self) -> Result<Vec<(usize, Pid)>> {
        let mut all = Vec::new();
        for (number, actor) in self.actors.iter_mut().enumerate() {
            all.extend(actor.look()?.into_iter().map(|pid| (number, pid)));
        }
        Ok(all)
    }

    pub(crate) fn judge_exit(&mut self, which: usize, pid: Pid) -> Result<()> {
        let actor = &self.actors[which];
        if actor.is_dismissed || actor.named.contains(&pid) {
            return Ok(());
        }
        let who = actor.describe();
        Err(format!("WRONG KILL: {pid} ended, and no record of a signal is there: {who}").into())
    }

    /// A crash between the signals to an orphan and to its children leaves these to nobody.
    pub(crate) fn dismiss_leftovers(&mut self) {
        let long_ago = now() - micros(SETTLE);
        for actor in &mut self.actors {
            let is_over = actor.exited_at.is_some_and(|at| at < long_ago) && actor.has_outcome;
            if is_over && actor.children.iter().any(|child| !child.has_exited) {
                actor.dismiss();
            }
        }
    }

    /// Nobody of whom no record speaks has seen a SIGTERM.
    pub(crate) fn look_for_stray_signals(&self) -> Result<()> {
        let untouched = |actor: &&Actor| actor.named.is_empty() && !actor.is_dismissed;
        match self
            .actors
            .iter()
            .filter(untouched)
            .find(|actor| actor.has_seen_sigterm())
        {
            Some(actor) => {
                let who = actor.describe();
                Err(format!("WRONG SIGNAL: a SIGTERM without a record: {who}").into())
            }
            None => Ok(()),
        }
    }
}

impl Actor {
    fn open_window(&mut self, at: Micros) {
        if !matches!(self.windows.last(), Some((_, None))) {
            let from = at.max(self.since + micros(GRACE));
            self.windows.push((from, None));
        }
    }

    fn close_window(&mut self, at: Micros) {
        match self.windows.last_mut() {
            // It was never open.
            Some((from, None)) if *from > at => {
                self.windows.pop();
            }
            Some((_, to @ None)) => *to = Some(at),
            _ => {}
        }
    }
}
