//! When an orphan is ended without being asked: patience with each, brakes for all. Pure.
//!
//! Owns a machine for every coordinator, the breaker, the back-off, and what the owner said. Knows
//! nothing of how a process is ended.

pub mod breaker;
pub mod hold;
pub mod machine;
pub mod respawn;
mod rules;
mod standing;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use self::breaker::{Breaker, Trip};
use self::machine::{Input, Look, State};
use self::respawn::{Respawn, Respawns};
pub use self::rules::Rules;
pub use self::standing::Standing;
use super::clock::{Moment, Now};
use super::escalation::{Failure, Outcome};
use super::event::Actor;
use super::process::{Pid, ProcessIdentity};
use super::registry::{Registry, Sighting};
use super::steering::{Lifted, Pause, Steering, Suspension};
use super::termination::Termination;
use super::victims::Lineage;

/// How many ends are remembered, for showing.
const HISTORY: usize = 64;
/// A machine that slept for less has not slept: the two clocks are not read in one instant.
const NAP: Duration = Duration::from_secs(1);

/// Something that ended, for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Which coordinator.
    pub pid: Pid,
    /// Its workspace, where it had a usable one.
    pub workspace: Option<PathBuf>,
    /// What it was an orphan for.
    pub reason: String,
    /// `gone`, `failed`, `spared` or `cleared`.
    pub state: &'static str,
    /// Why, for a failed or spared one.
    pub why: Option<String>,
    /// When.
    pub at: SystemTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tracked {
    state: State,
    since: Moment,
}

/// The whole policy's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    tracked: BTreeMap<ProcessIdentity, Tracked>,
    breaker: Breaker,
    respawns: Respawns,
    steering: Steering,
    history: VecDeque<Past>,
    last_look: Option<(Moment, Duration)>,
    /// When the last scan began.
    looked_at: Moment,
    /// With which scans the daemon began to end one by itself, within the last interval.
    begun: VecDeque<Moment>,
    /// The daemon and all that is above it, as of the last look.
    own: Lineage,
    is_audit_lost: bool,
    is_view_obstructed: bool,
}

impl Policy {
    /// With what the owner said before a restart.
    #[must_use]
    pub fn new(steering: Steering) -> Self {
        Self {
            steering,
            ..Self::default()
        }
    }

    /// Takes in a whole scan that began at `looked_at`, and that the registry has taken in already.
    /// Says whether the breaker went off.
    pub fn looked(
        &mut self,
        registry: &Registry,
        rules: &Rules,
        looked_at: Moment,
        now: Now,
    ) -> Option<Trip> {
        let is_first_scan = self.last_look.is_none();
        let was_unwatched = self.last_look.is_some_and(|(moment, asleep)| {
            now.moment.since(moment) > rules.stall || now.asleep.saturating_sub(asleep) > NAP
        });
        self.last_look = Some((now.moment, now.asleep));
        self.looked_at = looked_at;
        if was_unwatched {
            self.unwatched(rules, now);
        }
        let seen: Vec<&Sighting> = registry.coordinators().collect();
        let is_there = |identity: &ProcessIdentity| {
            seen.binary_search_by_key(identity, |sighting| sighting.identity())
                .is_ok()
        };
        self.tracked.retain(|identity, tracked| {
            matches!(tracked.state, State::Terminating(_)) || is_there(identity)
        });
        for sighting in &seen {
            let turned = self.look_at(sighting, is_first_scan, rules, looked_at, now);
            if turned && let Some(workspace) = workspace_of(sighting) {
                self.breaker.turned(workspace.clone(), now.moment);
            }
        }
        self.respawns.forget_what_is_over(now.moment);
        self.trip(registry, rules, now)
    }

    /// Suspends automatic reaping, if too many have turned orphan lately.
    fn trip(&mut self, registry: &Registry, rules: &Rules, now: Now) -> Option<Trip> {
        let known = registry.coordinators().filter_map(workspace_of);
        let trip = self.breaker.trip(known, rules, now.moment)?;
        if !rules.confirm || self.steering.suspension.is_some() {
            return None;
        }
        self.steering.suspension = Some(Suspension {
            since: now.wall,
            why: format!(
                "{} of {} coordinators turned orphan within {} s",
                trip.turned,
                trip.of,
                rules.breaker_window.as_secs_f64()
            ),
        });
        Some(trip)
    }

    /// One coordinator of a scan. Whether it has turned orphan, for a reason that counts.
    fn look_at(
        &mut self,
        sighting: &Sighting,
        is_first_scan: bool,
        rules: &Rules,
        looked_at: Moment,
        now: Now,
    ) -> bool {
        let fresh = Tracked {
            state: State::Seen,
            since: now.moment,
        };
        let tracked = self.tracked.entry(sighting.identity()).or_insert(fresh);
        let was_none = tracked.state == State::Seen;
        // Another program in the same process is another coordinator, with a patience of its own.
        if sighting.sightings == 1 {
            tracked.take(Input::NoOrphan, rules, now.moment);
        }
        let reason = sighting.verdict.orphan_reason();
        let input = match reason {
            Some(reason) => Input::Orphan {
                look: Look::at(sighting, reason),
                is_first_scan,
                looked_at,
            },
            // Nobody could look: it has not ceased to be an orphan, to become one again.
            None if sighting.observation.evidence.is_unread() => Input::Unread,
            None => Input::NoOrphan,
        };
        tracked.take(input, rules, now.moment);
        let counts = reason.is_some_and(|reason| rules.is_listed(reason.kind()));
        was_none && counts && !is_first_scan
    }

    /// Takes in that these have become orphans, or are none any more, between two scans; and whether that are
    /// too many.
    pub fn noticed<'a>(
        &mut self,
        changed: impl IntoIterator<Item = &'a Sighting>,
        registry: &Registry,
        rules: &Rules,
        now: Now,
    ) -> Option<Trip> {
        for sighting in changed {
            let turned = self.look_at(sighting, false, rules, now.moment, now);
            if turned && let Some(workspace) = workspace_of(sighting) {
                self.breaker.turned(workspace.clone(), now.moment);
            }
        }
        self.trip(registry, rules, now)
    }

    fn unwatched(&mut self, rules: &Rules, now: Now) {
        for tracked in self.tracked.values_mut() {
            tracked.take(Input::Unwatched, rules, now.moment);
        }
    }

    /// Who is to be ended now, the longest waiting first.
    #[must_use]
    pub fn due(&self, registry: &Registry, rules: &Rules, now: Now) -> Vec<ProcessIdentity> {
        let mut due: Vec<(Moment, ProcessIdentity)> = registry
            .orphans()
            .filter(|sighting| self.holds(sighting, rules, now).is_empty())
            .filter_map(|sighting| {
                let identity = sighting.identity();
                match &self.tracked.get(&identity)?.state {
                    State::Confirmed(patience) => Some((patience.since, identity)),
                    _ => None,
                }
            })
            .collect();
        due.sort_unstable();
        let just_begun = self.begun.iter().filter(|at| self.counts(**at, rules));
        due.truncate(rules.max_per_scan.saturating_sub(just_begun.count()));
        due.into_iter().map(|(_, identity)| identity).collect()
    }

    /// Whether what began with the scan of then counts for the limit of this one. Clients ask for
    /// scans too: what counts is the time of one, less what one may begin early.
    fn counts(&self, then: Moment, rules: &Rules) -> bool {
        self.looked_at.since(then) < rules.interval - rules.interval / 4
    }

    /// Somebody begins to end it.
    pub fn began(&mut self, identity: &ProcessIdentity, actor: Actor, rules: &Rules, now: Now) {
        let mut begun = std::mem::take(&mut self.begun);
        begun.retain(|at| self.counts(*at, rules));
        if actor == Actor::Auto {
            begun.push_back(self.looked_at);
        }
        self.begun = begun;
        if let Some(tracked) = self.tracked.get_mut(identity) {
            tracked.take(Input::Began, rules, now.moment);
        }
    }

    /// A termination ended. Gives the respawn that it was one too many of, if it was.
    pub fn ended(
        &mut self,
        termination: &Termination,
        rules: &Rules,
        now: Now,
    ) -> Option<(PathBuf, Respawn)> {
        let sighting = &termination.sighting;
        let identity = sighting.identity();
        if let Some(tracked) = self.tracked.get_mut(&identity) {
            let ended = match &termination.outcome {
                Outcome::Spared { why } if is_for_their_sake(termination, why) => {
                    Input::LetGo(why.clone())
                }
                outcome => Input::Ended(outcome.clone()),
            };
            tracked.take(ended, rules, now.moment);
            if tracked.state == State::Gone {
                self.tracked.remove(&identity);
            }
        }
        let (state, why) = match &termination.outcome {
            Outcome::Killed { .. } | Outcome::Missing => ("gone", None),
            Outcome::Failed { error, .. } => ("failed", Some(error.word().to_owned())),
            Outcome::Spared { why } => ("spared", Some(why.clone())),
        };
        self.remember(sighting, sighting.verdict.reason(), state, why, now);
        let lost_audit = termination.outcome.is_failed_for(Failure::AuditUnavailable);
        let by_itself = termination.actor == Actor::Auto;
        self.is_audit_lost |= lost_audit && by_itself;
        let was_killed = matches!(termination.outcome, Outcome::Killed { .. });
        let workspace = workspace_of(sighting).filter(|_| was_killed)?;
        let starter = termination.starter.clone();
        self.respawns
            .killed(
                workspace,
                sighting.observation.record.started_at,
                starter,
                now,
            )
            .map(|respawn| (workspace.clone(), respawn.clone()))
    }

    /// An orphan is none any more, without our doing.
    pub fn cleared(&mut self, sighting: &Sighting, was: &str, now: Now) {
        self.remember(sighting, was.to_owned(), "cleared", None, now);
    }

    fn remember(
        &mut self,
        sighting: &Sighting,
        reason: String,
        state: &'static str,
        why: Option<String>,
        now: Now,
    ) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Past {
            pid: sighting.identity().pid,
            workspace: workspace_of(sighting).cloned(),
            reason,
            state,
            why,
            at: now.wall,
        });
    }

    /// What the owner said.
    #[must_use]
    pub fn steering(&self) -> &Steering {
        &self.steering
    }

    /// What the owner says is never touched, from now on.
    pub fn keeps_mut(&mut self) -> &mut super::steering::Keeps {
        &mut self.steering.keeps
    }

    /// Holds automatic reaping, for a while or until it is resumed, and never for a shorter time than
    /// it is held already. Gives the pause that holds now, and whether that is more than before.
    pub fn pause(&mut self, length: Option<Duration>, now: Now) -> (Pause, bool) {
        // Longer than any clock goes is until it is resumed.
        let until = length.and_then(|length| now.wall.checked_add(length));
        let not_before = length.map(|length| now.moment.after(length));
        let asked = Pause {
            until,
            not_before: not_before.filter(|_| until.is_some()),
        };
        let held = self.steering.pause.filter(|pause| pause.holds(now));
        let pause = held.map_or(asked, |held| held.or_longer(asked));
        self.steering.pause = Some(pause);
        (pause, held != Some(pause))
    }

    /// Ends a pause and a suspension, and starts the breaker over. Gives what there was to end.
    pub fn resume(&mut self, now: Now) -> Lifted {
        let pause = self.steering.pause.take();
        self.steering.is_unknown = false;
        self.breaker.reset();
        Lifted {
            pause: pause.is_some_and(|pause| pause.holds(now)),
            suspension: self.steering.suspension.take(),
        }
    }

    /// Forgets a pause that is over. Whether there was one.
    pub fn forget_past_pause(&mut self, now: Now) -> bool {
        let is_over = self.steering.pause.is_some_and(|pause| !pause.holds(now));
        if is_over {
            self.steering.pause = None;
        }
        is_over
    }

    /// Whether automatic signals stopped because they cannot be recorded.
    #[must_use]
    pub fn is_audit_lost(&self) -> bool {
        self.is_audit_lost
    }

    /// The event log can be written again.
    pub fn audit_is_back(&mut self) {
        self.is_audit_lost = false;
    }

    /// Who the daemon is, with all that is above it: nothing of that is ended.
    pub fn set_own_lineage(&mut self, own: Lineage) {
        self.own = own;
    }

    /// Whether something hides processes or paths from the daemon.
    pub fn set_view_obstructed(&mut self, is_obstructed: bool) {
        self.is_view_obstructed = is_obstructed;
    }

    /// What ended lately, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Past> {
        self.history.iter()
    }

    /// Where coordinators are started again and again.
    #[must_use]
    pub fn respawns(&self) -> &Respawns {
        &self.respawns
    }
}

impl Tracked {
    fn take(&mut self, input: Input, rules: &Rules, now: Moment) {
        let before = self.state.word();
        let state = std::mem::replace(&mut self.state, State::Seen);
        self.state = state.after(input, rules, now);
        if self.state.word() != before {
            self.since = now;
        }
    }
}

fn workspace_of(sighting: &Sighting) -> Option<&PathBuf> {
    sighting.observation.evidence.workspace.as_ref()
}

/// Whether an end that a peer asked for came to nothing because of that peer, and not of the orphan.
fn is_for_their_sake(termination: &Termination, why: &str) -> bool {
    const SAKES: [&str; 3] = ["protected_ancestor", "lineage_unknown", "not_selected"];
    matches!(termination.actor, Actor::Peer { .. }) && SAKES.contains(&why)
}

#[cfg(test)]
mod tests;
