//! The eye on everything: who has exited, what the records say, how long orphans have been waiting, what
//! the daemon uses. And the end: the last orphans, the last checks, the table.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::cast::{Truth, now};
use super::daemon::lull;
use super::model::{GRACE, Hold, LIMIT, LIMIT_SCANS};
use super::stage::Soak;
use crate::support::Result;

const EVERY: Duration = Duration::from_millis(20);
const STATUS_EVERY: Duration = Duration::from_secs(1);
const STRAYS_EVERY: Duration = Duration::from_secs(5);
/// A daemon that could scan and does not for so long has hung.
const NO_SCAN_FOR: Duration = Duration::from_secs(60);
/// How long the last orphans may take in all, beyond which something keeps the soak from ending.
const SETTLE_FOR: Duration = Duration::from_secs(400);

impl Soak {
    /// Watches for so long.
    pub(crate) fn watch_for(&mut self, length: Duration) -> Result<()> {
        let until = Instant::now() + length;
        loop {
            self.look()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(EVERY));
        }
    }

    /// One look at everything.
    pub(crate) fn look(&mut self) -> Result<()> {
        self.daemon.assert_running()?;
        if self
            .frozen_until
            .is_some_and(|until| Instant::now() >= until)
        {
            self.thaw()?;
        }
        self.read_log()?;
        let at = Instant::now();
        let passed = at.duration_since(std::mem::replace(&mut self.looked.at_all, at));
        let is_free = self.frozen_until.is_none() && !self.model.is_held(now());
        let mut scans = 0;
        if self.frozen_until.is_none() && self.looked.at_status + STATUS_EVERY <= at {
            let before = self.looked.scans;
            self.look_at_status()?;
            scans = self.looked.scans - before;
            self.daemon.sample()?;
        }
        if is_free {
            self.model.worked(passed, scans)?;
        }
        if self.looked.for_strays + STRAYS_EVERY <= at {
            self.looked.for_strays = at;
            self.model.look_for_stray_signals()?;
        }
        if self.resume_at.is_some_and(|due| due <= at) && self.frozen_until.is_none() {
            // Not held, as far as the model knows, but `status` says so.
            if !self.model.is_suspended() {
                self.model.held(Hold::Suspension, now(), None);
            }
            self.resume()?;
        }
        Ok(())
    }

    /// Reads what was recorded, and judges who has exited by it: the record of a signal is on disk
    /// before the signal.
    pub(crate) fn read_log(&mut self) -> Result<()> {
        let exits = self.model.exits()?;
        while let Some(line) = self.log.next_line()? {
            self.model.take(&line)?;
        }
        for (which, pid) in exits {
            self.model.judge_exit(which, pid)?;
        }
        self.model.dismiss_leftovers();
        Ok(())
    }

    pub(crate) fn look_at_status(&mut self) -> Result<()> {
        self.looked.at_status = Instant::now();
        let status = self.daemon.call("status", &json!({}))?;
        let scans = status["counters"]["scans"].as_u64().unwrap_or(0);
        if scans > self.looked.scans {
            self.model.tally.scans += scans - self.looked.scans;
            self.looked.scans = scans;
            self.looked.scanning = Instant::now();
        } else if self.looked.scanning.elapsed() > NO_SCAN_FOR {
            return Err(format!("the daemon has stopped scanning: {status}").into());
        }
        let is_suspended = status["policy"]["suspended"] == true;
        if is_suspended && self.resume_at.is_none() {
            let wait = Duration::from_millis(self.dice.between(500, 4000));
            self.resume_at = Some(Instant::now() + wait);
        }
        Ok(())
    }

    /// Lets everything go on by itself until the last orphan has ended, and looks at all of it once
    /// more.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.thaw()?;
        while self.any(|actor| actor.kept.is_some()).is_some() {
            self.unkeep()?;
        }
        self.resume()?;
        eprintln!("==> waiting for the last orphans");
        let give_up = Instant::now() + SETTLE_FOR;
        // Those that come again wait for longer than this soak does.
        let is_left = |soak: &mut Self| {
            let is_due = |actor: &super::cast::Actor| {
                actor.truth == Truth::Orphan && !actor.role.is_respawned
            };
            soak.any(is_due)
        };
        while let Some(which) = is_left(self) {
            self.watch_for(Duration::from_millis(100))?;
            if Instant::now() > give_up {
                let who = self.model.actors[which].describe();
                return Err(format!("MISSED ORPHAN: still there at the end: {who}").into());
            }
        }
        self.watch_for(GRACE)?;
        self.compare_verdicts()?;
        self.model.look_for_stray_signals()?;
        lull(&self.folder, self.variant)?;
        self.daemon.call("reload", &json!({}))?;
        self.rested = self.daemon.rest()?;
        self.daemon.stop()?;
        self.read_log()?;
        self.judge_the_whole()
    }

    fn judge_the_whole(&mut self) -> Result<()> {
        let (read, there) = (self.log.lines, self.log.count_all()?);
        if read != there {
            return Err(format!("LOST EVENT: {read} lines were written, {there} are there").into());
        }
        for actor in &self.model.actors {
            let was_ended = !actor.is_alive() && !actor.is_dismissed;
            if was_ended && !actor.has_outcome {
                let who = actor.describe();
                return Err(format!("LOST EVENT: no record says how it ended: {who}").into());
            }
            if actor.is_alive() && !actor.signalled.is_empty() {
                let who = actor.describe();
                return Err(format!("LOST EVENT: signalled, and no outcome: {who}").into());
            }
        }
        let count = |name: &str| self.model.counts.get(name).copied().unwrap_or(0);
        let (starts, stops) = (count("daemon.started"), count("daemon.stopped"));
        let crashes = self
            .model
            .tally
            .actions
            .get("kill -9 the daemon and start it");
        let crashes = crashes.copied().unwrap_or(0);
        if starts != self.lives || stops + crashes != self.lives {
            return Err(format!(
                "LOST EVENT: {} lives, {crashes} crashes, but {starts} starts and {stops} stops",
                self.lives
            )
            .into());
        }
        match self.daemon.growth() {
            (_, Some(problem)) => Err(problem.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn say_how_far(&self) {
        let tally = &self.model.tally;
        let actions: usize = tally.actions.values().sum();
        eprintln!(
            "    {actions} actions, {} coordinators now, {} reaped, {} scans, {} lives",
            self.coordinators(),
            tally.reaped_in_all(),
            tally.scans,
            self.lives
        );
    }

    pub(crate) fn show_what_led_to(&self, problem: &str) {
        for action in &self.recent {
            eprintln!("    {action}");
        }
        // Whoever is spoken of, what the records say of it.
        let pid = problem
            .split("(pid ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        if let (Some(pid), Ok(lines)) = (pid, self.last_lines()) {
            let spoken = [
                format!("\"pid\": {pid},"),
                format!("\"orphan_pid\": {pid},"),
            ];
            for line in lines.lines().filter(|line| {
                let is_of_all = !line.contains("\"event\": \"orphan.");
                is_of_all || spoken.iter().any(|one| line.contains(one))
            }) {
                eprintln!("    {line}");
            }
        }
    }

    /// The last two segments.
    fn last_lines(&self) -> std::io::Result<String> {
        let read = |name| std::fs::read_to_string(self.folder.join("state").join(name));
        Ok(read("events.jsonl.1").unwrap_or_default() + &read("events.jsonl")?)
    }

    pub(crate) fn table(&mut self, length: Duration) -> String {
        let mut text = String::from("| soak | |\n|---|---|\n");
        let actors = &self.model.actors;
        let started = actors.iter().filter(|actor| actor.is_coordinator()).count();
        let dismissed = actors.iter().filter(|actor| actor.is_dismissed).count();
        let alive = actors.iter().filter(|actor| actor.is_alive()).count();
        let frozen = self.model.frozen.len();
        let (growth, _) = self.daemon.growth();
        let lines = self.log.lines;
        let (seed, lives) = (self.seed, self.lives);
        let tally = &mut self.model.tally;
        let actions: usize = tally.actions.values().sum();
        let mut row = |what: &str, figure: String| {
            let _ = writeln!(text, "| {what} | {figure} |");
        };
        row("length, seed", format!("{} s, {seed}", length.as_secs()));
        row("coordinators started", started.to_string());
        row("orphans reaped", tally.reaped_in_all().to_string());
        row(
            "left alone",
            format!("{dismissed} until the soak ended them, {alive} to the end"),
        );
        for (when, spread) in tally.latencies() {
            row(&format!("from the deletion to the end, {when}"), spread);
        }
        row(
            "breaker trips",
            format!(
                "{} ({} of them had to come)",
                tally.trips, tally.trips_wanted
            ),
        );
        row("kills refused to who asked", tally.refused.to_string());
        row("waves called off", tally.spared.to_string());
        row(
            "workspaces made to wait (respawns)",
            tally.back_offs.to_string(),
        );
        row(
            "escalations cut off by kill -9, and told of",
            tally.interrupted.to_string(),
        );
        row(
            "lives of the daemon, stops in between",
            format!("{lives}, {frozen}"),
        );
        row(
            "scans, verdicts compared",
            format!("{}, {}", tally.scans, tally.verdicts),
        );
        row("records read", lines.to_string());
        row(
            "bounds",
            format!(
                "no signal before {GRACE:?}; no orphan free to go for {LIMIT:?} and {LIMIT_SCANS} scans"
            ),
        );
        row("actions", actions.to_string());
        for (what, count) in &tally.actions {
            row(what, count.to_string());
        }
        for line in growth {
            let _ = writeln!(text, "{line}");
        }
        let [threads, fds] = self.rested;
        let _ = writeln!(
            text,
            "| with nothing to do, at the end | {threads} threads, {fds} descriptors |"
        );
        text
    }
}
