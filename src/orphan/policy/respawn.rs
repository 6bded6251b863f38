//! Who starts coordinators again where they are ended: each time it takes longer until the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::orphan::clock::{Moment, Now};
use crate::orphan::termination::Starter;

/// So many kills on one workspace …
const KILLS: usize = 3;
/// … within this time are a respawn.
const WITHIN: Duration = Duration::from_mins(1);
/// How long the next waits then; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// What a start time may be wrong by: it is in clock ticks, and the daemon looks when it looks.
const COARSE: Duration = Duration::from_millis(20);
/// How long it waits at most.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Every workspace on which coordinators were ended lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Respawns {
    by_workspace: BTreeMap<PathBuf, Respawn>,
}

/// What was ended on one workspace lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Respawn {
    /// When the last few were ended.
    recent: Vec<Moment>,
    /// How many in all, since it was quiet.
    pub kills: usize,
    /// How often the wait was imposed.
    rounds: u32,
    /// Until when the next has to wait.
    pub wait_until: Option<Moment>,
    /// Who started the last one, where it was known.
    pub starter: Option<Starter>,
    /// When the last one that counts was ended, by the wall: who was there then is no respawn.
    ended_at: Option<SystemTime>,
}

impl Respawn {
    fn wait(&self) -> Duration {
        let doubled = 2_u32.checked_pow(self.rounds.saturating_sub(1));
        doubled
            .and_then(|times| FIRST_WAIT.checked_mul(times))
            .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
    }

    /// Whether nothing happened there for so long that whoever did it has stopped.
    fn is_over(&self, now: Moment) -> bool {
        let quiet_since = self.wait_until.or(self.recent.last().copied());
        let patience = match self.wait_until {
            Some(_) => LONGEST_WAIT,
            None => WITHIN,
        };
        quiet_since.is_none_or(|since| now.since(since) > patience)
    }
}

impl Respawns {
    /// Takes in that a coordinator on this workspace was ended. Whether it has begun to be too often.
    pub(super) fn killed(
        &mut self,
        workspace: &Path,
        started_at: SystemTime,
        starter: Option<Starter>,
        at: Now,
    ) -> Option<&Respawn> {
        let now = at.moment;
        self.forget_what_is_over(now);
        let respawn = self.by_workspace.entry(workspace.to_owned()).or_default();
        // Several on one workspace are several, not one that comes again. Start times are coarse.
        let was_there = |last: SystemTime| started_at + COARSE < last;
        if respawn.ended_at.is_some_and(was_there) {
            return None;
        }
        respawn.ended_at = Some(at.wall);
        respawn.recent.retain(|at| now.since(*at) <= WITHIN);
        respawn.recent.push(now);
        respawn.kills += 1;
        respawn.starter = starter.or(respawn.starter.take());
        if respawn.rounds == 0 && respawn.recent.len() < KILLS {
            return None;
        }
        respawn.rounds += 1;
        respawn.wait_until = Some(now.after(respawn.wait()));
        Some(respawn)
    }

    /// Until when the next on this workspace has to wait.
    #[must_use]
    pub fn wait_until(&self, workspace: &Path, now: Moment) -> Option<Moment> {
        let until = self.by_workspace.get(workspace)?.wait_until?;
        (until > now).then_some(until)
    }

    /// Where coordinators come again, and what is known of it.
    pub fn waiting(&self) -> impl Iterator<Item = (&PathBuf, &Respawn)> {
        self.by_workspace
            .iter()
            .filter(|(_, respawn)| respawn.wait_until.is_some())
    }

    pub(super) fn forget_what_is_over(&mut self, now: Moment) {
        self.by_workspace.retain(|_, respawn| !respawn.is_over(now));
    }
}
