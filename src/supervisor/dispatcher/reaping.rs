//! Automatic reaping and how its owner steers it: what the policy says becomes waves, records and
//! answers.

use std::sync::Arc;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::event::{Actor, Event as Fact, HeldBy};
use crate::orphan::policy::breaker::Trip;
use crate::orphan::registry::Sighting;
use crate::orphan::steering::{Full, Kept, Steering};
use crate::orphan::view::Obstacle;
use crate::supervisor::event::{Around, Effect, Found, Ticket};
use crate::supervisor::request::{Peer, Refusal};
use crate::wire::{results, status};

impl Dispatcher {
    /// Takes in what a scan showed beside the coordinators.
    pub(super) fn look_around(&mut self, around: Around, effects: &mut Vec<Effect>) {
        // Without an answer what was known stays; before the first one nothing is known.
        let is_first = self.last_scan.is_none() && self.counters.failed_scans == 0;
        let unknown = || is_first.then(|| vec![Obstacle::NotCompared]);
        if let Some(obstacles) = around.obstacles.or_else(unknown) {
            if obstacles != self.obstacles {
                effects.push(Effect::SayView(obstacles.clone()));
            }
            let is_obstructed = !obstacles.is_empty();
            self.policy.set_view_obstructed(is_obstructed);
            self.order(|orders| orders.is_view_obstructed = is_obstructed);
            self.obstacles = obstacles;
        }
        if let Some(own) = around.own {
            self.policy.set_own_lineage(own);
        }
        let followed = around.followed.unwrap_or_default();
        if let Some(settings) = self.settings.protecting(&followed) {
            self.settings = Arc::new(settings);
            self.order(|orders| orders.settings = Arc::clone(&self.settings));
            effects.push(Effect::Protect(Arc::clone(&self.settings)));
        }
        if self.policy.keeps_mut().follow(&followed.leads) {
            self.order_steering();
        }
        // A process that has ended is not kept any more: another one may get its pid.
        let keeps = &mut self.policy.keeps_mut().processes;
        let before = keeps.len();
        keeps.retain(|_, identity| !around.ended.contains(identity));
        if keeps.len() != before {
            self.steered(None, effects);
        }
    }

    /// Lets the policy take in a scan, before anybody is served with it.
    pub(super) fn be_patient(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let rules = &self.settings.reap;
        let looked_at = self.scan_began.unwrap_or(now.moment);
        let trip = self.policy.looked(&self.registry, rules, looked_at, now);
        self.tripped(trip, effects);
        self.end_past_pause(now, effects);
    }

    /// Automatic reaping has suspended itself, if it has.
    pub(super) fn tripped(&mut self, trip: Option<Trip>, effects: &mut Vec<Effect>) {
        if let Some(trip) = trip {
            let why = self.policy.steering().suspension.clone();
            effects.push(Effect::Record(vec![Fact::ReapSuspended {
                by: HeldBy::Breaker {
                    turned: trip.turned,
                    of: trip.of,
                },
                why: why.map(|suspension| suspension.why).unwrap_or_default(),
            }]));
            self.steered(None, effects);
        }
    }

    /// Does by itself what the policy allows, after a scan.
    pub(super) fn reap(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_steering_owed {
            self.steered(None, effects);
        }
        if self.policy.is_audit_lost() {
            effects.push(Effect::TryAudit);
        }
        if self.stopping.is_some() {
            return;
        }
        let due = self.policy.due(&self.registry, &self.settings.reap, now);
        let targets: Vec<Sighting> = due
            .iter()
            .filter(|identity| !self.ending.contains(identity))
            .filter_map(|identity| self.registry.get(identity).cloned())
            .collect();
        if !targets.is_empty() {
            self.begin_wave(targets, Actor::Auto, now, effects);
        }
    }

    /// A pause that is over by itself is recorded once, whoever is the first to notice.
    fn end_past_pause(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.policy.forget_past_pause(now) {
            if !self.policy.steering().holds_reaping(now) {
                effects.push(Effect::Record(vec![Fact::ReapResumed { actor: None }]));
            }
            self.steered(None, effects);
        }
    }

    pub(super) fn pause(
        &mut self,
        ticket: Ticket,
        peer: &Peer,
        length: Option<std::time::Duration>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.end_past_pause(now, effects);
        let (pause, has_changed) = self.policy.pause(length, now);
        if has_changed {
            effects.push(Effect::Record(vec![Fact::ReapSuspended {
                by: HeldBy::Owner {
                    actor: peer.actor(),
                    until: pause.until,
                },
                why: "paused".to_owned(),
            }]));
        }
        let answer = results::paused(pause.until, has_changed);
        self.steered(Some((ticket, answer)), effects);
    }

    pub(super) fn resume(
        &mut self,
        ticket: Ticket,
        peer: &Peer,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.end_past_pause(now, effects);
        let lifted = self.policy.resume(now);
        if lifted.is_something() {
            effects.push(Effect::Record(vec![Fact::ReapResumed {
                actor: Some(peer.actor()),
            }]));
        }
        let held_by = status::held_by(&self.policy, &self.obstacles, now);
        let answer = results::resumed(&lifted, &held_by, self.settings.reap.confirm);
        self.steered(Some((ticket, answer)), effects);
    }

    /// What is to be kept, or not any more, was looked up.
    pub(super) fn identified(
        &mut self,
        ticket: Ticket,
        what: &Kept,
        is_kept: bool,
        found: Result<Found, Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        let keeps = self.policy.keeps_mut();
        let changed = match (what, found, is_kept) {
            (Kept::Process(pid), _, false) => match keeps.processes.remove(pid) {
                Some(_) => Ok(()),
                None => Err(Refusal::NotKept(what.to_string())),
            },
            (_, Err(refusal), _) => Err(refusal),
            (_, Ok(Found::Process(identity)), _) => keeps
                .add_process(identity)
                .map_err(|Full| Refusal::TooManyKept),
            (_, Ok(Found::Path { name, leads_to }), true) => keeps
                .add_path(name, leads_to)
                .map_err(|Full| Refusal::TooManyKept),
            // What somebody kept by another name stays.
            (_, Ok(Found::Path { name, .. }), false) => match keeps.paths.remove(&name) {
                Some(_) => Ok(()),
                None => Err(Refusal::NotKept(what.to_string())),
            },
        };
        match changed {
            Ok(()) => self.steered(Some((ticket, results::kept(what, is_kept))), effects),
            Err(refusal) => effects.push(Effect::Answer {
                ticket,
                answer: Err(refusal),
            }),
        }
    }

    /// What was kept by this name is so no more.
    pub(super) fn unkept(&mut self, ticket: Ticket, what: &Kept, effects: &mut Vec<Effect>) {
        let keeps = self.policy.keeps_mut();
        match what {
            Kept::Process(pid) => drop(keeps.processes.remove(pid)),
            Kept::Path(path) => drop(keeps.paths.remove(path)),
        }
        self.steered(Some((ticket, results::kept(what, false))), effects);
    }

    /// What was said was written down, or could not be: then it is tried again with each scan.
    pub(super) fn kept(
        &mut self,
        answer: Option<(Ticket, serde_json::Value)>,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        self.is_steering_owed = result.is_err();
        if let Some((ticket, value)) = answer {
            let answer = result.map(|()| value).map_err(Refusal::NotWritten);
            effects.push(Effect::Answer { ticket, answer });
        }
    }

    /// What the owner says is in force at once, for what is under way too, and is written down before
    /// the owner hears of it.
    fn steered(&mut self, answer: Option<(Ticket, serde_json::Value)>, effects: &mut Vec<Effect>) {
        let steering = self.order_steering();
        effects.push(Effect::Keep { steering, answer });
    }

    fn order_steering(&self) -> Arc<Steering> {
        let steering = Arc::new(self.policy.steering().clone());
        self.order(|orders| orders.steering = Arc::clone(&steering));
        steering
    }
}
