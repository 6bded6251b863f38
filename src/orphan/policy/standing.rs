//! Where one coordinator stands with automatic reaping, and everything that holds it back.

use super::hold::Hold;
use super::machine::{self, State};
use super::{Policy, Rules, workspace_of};
use crate::orphan::clock::{Moment, Now};
use crate::orphan::registry::Sighting;
use crate::orphan::steering::concerns;

/// Where one coordinator stands with automatic reaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its machine's state.
    pub state: State,
    /// When it got into this state.
    pub since: Moment,
    /// What holds it back, most fundamental first.
    pub holds: Vec<Hold>,
    /// When it will be ended, as far as that can be told now.
    pub next_action: Option<Moment>,
}

impl Policy {
    /// Where one coordinator stands.
    #[must_use]
    pub fn standing(&self, sighting: &Sighting, rules: &Rules, now: Now) -> Standing {
        let tracked = self.tracked.get(&sighting.identity());
        let state = tracked.map_or(State::Seen, |tracked| tracked.state.clone());
        let is_open = sighting.verdict.orphan_reason().is_some()
            && !matches!(state, State::Terminating(_) | State::Gone);
        let holds = if is_open {
            self.holds(sighting, rules, now)
        } else {
            Vec::new()
        };
        let ends: Option<Vec<Moment>> = holds.iter().map(|hold| hold.ends(now, rules)).collect();
        let next_action = ends
            .filter(|_| is_open)
            .map(|ends| ends.into_iter().fold(now.moment, Moment::max));
        Standing {
            state,
            since: tracked.map_or(now.moment, |tracked| tracked.since),
            holds,
            next_action,
        }
    }

    /// Everything that keeps this orphan from being ended now.
    pub(super) fn holds(&self, sighting: &Sighting, rules: &Rules, now: Now) -> Vec<Hold> {
        let mut holds = Vec::new();
        let mut hold_if = |applies: bool, hold: Hold| {
            if applies {
                holds.push(hold);
            }
        };
        let evidence = &sighting.observation.evidence;
        let reason = sighting.verdict.orphan_reason().map(|reason| reason.kind());
        hold_if(!rules.confirm, Hold::NotAllowed);
        hold_if(
            !reason.is_some_and(|kind| rules.is_listed(kind)),
            Hold::ReasonNotListed,
        );
        hold_if(concerns(evidence, &rules.protect), Hold::Protected);
        let is_kept = self.steering.keeps.hold(&sighting.identity(), evidence);
        hold_if(is_kept, Hold::Kept);
        let identity = sighting.identity();
        let is_above = self.own.pids.contains(&identity.pid);
        hold_if(is_above, Hold::ProtectedAncestor);
        let may_be_above = !is_above && self.own.may_hold(&identity);
        hold_if(may_be_above, Hold::LineageUnknown);
        let is_young = sighting.is_young_ephemeral(rules.ephemeral_min_age, now.wall);
        let started = sighting.observation.record.started_at;
        let age = now.wall.duration_since(started).unwrap_or_default();
        let until = now
            .moment
            .after(rules.ephemeral_min_age.saturating_sub(age));
        hold_if(is_young, Hold::Young { until });
        hold_if(self.is_view_obstructed, Hold::ViewObstructed);
        if let Some(suspension) = &self.steering.suspension {
            let why = suspension.why.clone();
            hold_if(true, Hold::Suspended { why });
        }
        if let Some(pause) = self.steering.pause.filter(|pause| pause.holds(now)) {
            hold_if(true, Hold::Paused(pause));
        }
        hold_if(self.is_audit_lost, Hold::AuditLost);
        if let Some(tracked) = self.tracked.get(&sighting.identity()) {
            let patience = tracked.state.patience();
            match &tracked.state {
                State::Failed { error, .. } if machine::is_final(*error) => {
                    hold_if(true, Hold::FailedBefore(*error));
                }
                _ => {}
            }
            if let Some(patience) = patience {
                let until = patience.since.after(patience.grace(rules));
                hold_if(until > now.moment, Hold::Grace { until });
                let (seen, needed) = (patience.sightings, rules.min_sightings);
                let looked_at = self.last_look.map_or(now.moment, |(at, _)| at);
                hold_if(
                    seen < needed,
                    Hold::Sightings {
                        seen,
                        needed,
                        looked_at,
                    },
                );
            }
        }
        let wait = workspace_of(sighting)
            .and_then(|workspace| self.respawns.wait_until(workspace, now.moment));
        if let Some(until) = wait {
            hold_if(true, Hold::Respawned { until });
        }
        holds
    }
}
