//! What the owner says, and who waits, while a wave runs: asked again for each signal, in the same poll.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::case::{Case, gone, spare};
use super::{Orders, REAPING_HELD, REASON_CHANGED, REASON_NOT_LISTED, Runner};
use crate::orphan::coordinator::recognise;
use crate::orphan::event::Actor;
use crate::orphan::evidence::Evidence;
use crate::orphan::judge::judge;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::steering::Steering;
use crate::orphan::verdict::OrphanReason;
use crate::orphan::victims::{Lineage, Relation, Why as Protection, with_all_below};
use crate::os::clock;
use crate::os::evidence::without_probing;
use crate::supervisor::selection::{Demand, NOT_SELECTED, OUTSIDE_WORKSPACE_ROOTS, YOUNG};
use crate::supervisor::settings::Settings;

type Why = Cow<'static, str>;

/// Below a path that the configuration protects.
const PROTECTED: &str = "protected";

impl Runner {
    /// What holds now.
    pub(super) fn orders(&self) -> Arc<Orders> {
        Arc::clone(&self.orders.borrow())
    }

    /// Lets go of whoever its owner has forbidden to signal, before the wave or since, of whoever is
    /// protected by now, and of whom nobody wants to end any more.
    pub(super) fn heed_owner(&self, cases: Vec<Case>) -> Vec<Case> {
        let asked: Vec<Result<Actor, Why>> = cases
            .iter()
            .map(|case| self.on_whose_behalf(case))
            .collect();
        // An orphan that is held protects what is below it, also from another orphan of the wave.
        let held_pids: BTreeSet<Pid> = cases
            .iter()
            .zip(&asked)
            .filter(|(_, asked)| asked.is_err())
            .map(|(case, _)| case.identity().pid)
            .collect();
        cases
            .into_iter()
            .zip(asked)
            .map(|(mut case, asked)| match asked {
                Ok(actor) => match case.recorded {
                    // Its signal is on record as somebody else's: whoever wants it now has it begun anew.
                    Some(recorded) if recorded != actor => {
                        case.actor = recorded;
                        let_go(case, not_wanted_by(recorded))
                    }
                    _ => {
                        case.actor = actor;
                        self.without_protected(case, &held_pids)
                    }
                },
                Err(why) => let_go(case, &why),
            })
            .collect()
    }

    /// Lets go of the members that are kept or protected by now, with all that is below them.
    fn without_protected(&self, mut case: Case, held: &BTreeSet<Pid>) -> Case {
        let orders = self.orders();
        let keeps = &orders.steering.keeps;
        let scope = orders.settings.scope;
        let mut above = held.clone();
        // Kept ones that are no members as well: a member may be below one.
        above.extend(keeps.processes.keys());
        let mut members = Vec::new();
        for victim in case.victims.iter_mut().skip(1) {
            let Some(member) = victim.member else {
                continue;
            };
            let identity = member.identity;
            let asks = lineages(&orders).any(|lineage| lineage.may_hold(&identity));
            let is_out_of_reach = match member.relation {
                Relation::Group => !scope.reaches_group(),
                Relation::Descendant => !scope.reaches_descendants(),
            };
            if asks {
                above.insert(identity.pid);
            }
            victim.spared |= is_out_of_reach;
            members.push(member);
        }
        let above = with_all_below(above, &members);
        for victim in case.victims.iter_mut().skip(1) {
            victim.spared |= above.contains(&victim.pid);
        }
        case
    }

    /// On whose behalf this orphan is ended; or why it is not: what its owner has said, then or
    /// meanwhile, or that nobody wants it.
    pub(super) fn on_whose_behalf(&self, case: &Case) -> Result<Actor, Why> {
        let orders = self.orders();
        if let Some(why) = self.forbidden_to_all(&orders, case) {
            return Err(why);
        }
        // Whose signal is on record goes on with it, if they still want that.
        if let Some(peer @ Actor::Peer { .. }) = case.recorded
            && self.all_asked_for_by(case).any(|actor| actor == peer)
        {
            return Ok(peer);
        }
        let held = match self.wave_actor {
            Actor::Auto => match self.held_back(&orders, case) {
                None => return Ok(Actor::Auto),
                Some(why) => Some(why),
            },
            Actor::Peer { .. } => None,
        };
        if let Some(actor) = self.asked_for_by(case) {
            return Ok(actor);
        }
        let spared = || {
            let identity = case.identity();
            let mut demands = orders.demands.iter();
            let asked = demands.find(|demand| demand.targets.contains(&identity))?;
            self.spared_by(asked, &orders, case)
        };
        Err(held.or_else(spared).unwrap_or(NOT_SELECTED).into())
    }

    /// The first of those who wait for its end and do not spare it.
    pub(super) fn asked_for_by(&self, case: &Case) -> Option<Actor> {
        self.all_asked_for_by(case).next()
    }

    fn all_asked_for_by(&self, case: &Case) -> impl Iterator<Item = Actor> {
        let orders = self.orders();
        let demands = orders.demands.iter();
        let asked = demands.filter(|demand| self.spared_by(demand, &orders, case).is_none());
        let actors: Vec<Actor> = asked.map(|demand| demand.peer.actor()).collect();
        actors.into_iter()
    }

    fn spared_by(&self, demand: &Demand, orders: &Orders, case: &Case) -> Option<&'static str> {
        let min_age = self.min_age(&orders.settings);
        demand.spares(&case.sighting, min_age, clock::now().wall)
    }

    /// Why this orphan is not ended, whoever wants it.
    fn forbidden_to_all(&self, orders: &Orders, case: &Case) -> Option<Why> {
        let evidence = &case.sighting.observation.evidence;
        let identity = case.identity();
        // The wave runs under the configuration it began with, but for what that forbids by now.
        let now = &orders.settings;
        if self.settings.protects(evidence) {
            Some(PROTECTED.into())
        } else if let Some(why) = forbidden(&identity, evidence, now, &orders.steering) {
            Some(why.into())
        } else if let Some(lineage) = lineages(orders).find(|lineage| lineage.may_hold(&identity)) {
            Some(protected_by(lineage, &identity).into())
        } else {
            self.forbidden_by(now, case).map(Why::from)
        }
    }

    /// Why the daemon does not end this orphan by itself.
    fn held_back(&self, orders: &Orders, case: &Case) -> Option<&'static str> {
        let now = &orders.settings;
        let is_held = orders.steering.holds_reaping(clock::now())
            || orders.is_view_obstructed
            || !now.reap.confirm
            || case.unrecorded.is_some();
        if is_held {
            return Some(REAPING_HELD);
        }
        self.not_by_itself(now, case)
    }

    /// What a configuration that came meanwhile says of an orphan that is none under it.
    fn forbidden_by(&self, now: &Arc<Settings>, case: &Case) -> Option<String> {
        if Arc::ptr_eq(now, &self.settings) {
            return None;
        }
        let seen = &case.sighting.observation;
        if recognise(&seen.record.argv, &now.forms).as_ref() != Some(&seen.coordinator) {
            return Some("not_a_coordinator".to_owned());
        }
        let without = without_probing(&seen.record, &seen.coordinator, &now.judged);
        let verdict = judge(
            &seen.coordinator.workspace,
            without.as_ref().unwrap_or(&seen.evidence),
            &case.sighting.memory,
            &now.ephemeral,
        );
        verdict.orphan_reason().is_none().then(|| verdict.reason())
    }

    /// Why the daemon does not end this orphan by itself, for what it is an orphan for by now.
    fn not_by_itself(&self, now: &Settings, case: &Case) -> Option<&'static str> {
        let reason = case.sighting.verdict.orphan_reason()?;
        let kind = reason.kind();
        let is_by_name = |reason: &OrphanReason| matches!(reason, OrphanReason::Ephemeral(_));
        if !self.settings.reap.is_listed(kind) || !now.reap.is_listed(kind) {
            Some(REASON_NOT_LISTED)
        } else if case
            .sighting
            .is_young_ephemeral(self.min_age(now), clock::now().wall)
        {
            Some(YOUNG)
        } else if is_by_name(reason) != is_by_name(&case.reason) {
            // Its patience was with another case.
            Some(REASON_CHANGED)
        } else {
            None
        }
    }

    /// The configuration of the wave, under which whoever is a coordinator by now is one as well.
    pub(super) fn with_forms_of_now(&self) -> Arc<Settings> {
        let now = Arc::clone(&self.orders().settings);
        if Arc::ptr_eq(&now, &self.settings) {
            return Arc::clone(&self.settings);
        }
        let mut settings = (*self.settings).clone();
        settings.forms.extend(now.forms.iter().cloned());
        Arc::new(settings)
    }

    fn min_age(&self, now: &Settings) -> std::time::Duration {
        let then = self.settings.reap.ephemeral_min_age;
        then.max(now.reap.ephemeral_min_age)
    }
}

/// Why an orphan is not ended, whoever wants it: by the configuration, and by what its owner said.
pub(super) fn forbidden(
    orphan: &ProcessIdentity,
    evidence: &Evidence,
    settings: &Settings,
    steering: &Steering,
) -> Option<&'static str> {
    if settings.protects(evidence) {
        Some(PROTECTED)
    } else if !settings.covers_evidence(evidence) {
        Some(OUTSIDE_WORKSPACE_ROOTS)
    } else if steering.is_unknown {
        Some("keeps_unknown")
    } else if steering.keeps.hold(orphan, evidence) {
        Some("kept")
    } else {
        None
    }
}

fn lineages(orders: &Orders) -> impl Iterator<Item = &Lineage> {
    orders.demands.iter().map(|demand| &*demand.peer.lineage)
}

/// Why an orphan is spared that is, or may be, above who must not be touched.
pub(super) fn protected_by(lineage: &Lineage, orphan: &ProcessIdentity) -> &'static str {
    if lineage.pids.contains(&orphan.pid) {
        Protection::ProtectedAncestor.word()
    } else {
        "lineage_unknown"
    }
}

/// Why an orphan is spared that this one does not want to be ended any more.
fn not_wanted_by(actor: Actor) -> &'static str {
    match actor {
        Actor::Auto => REAPING_HELD,
        Actor::Peer { .. } => NOT_SELECTED,
    }
}

fn let_go(mut case: Case, why: &str) -> Case {
    if case.orphan().is_none_or(|orphan| !orphan.exited) {
        return spare(case, why);
    }
    // The orphan itself is gone: who would have ended with it is let go.
    for victim in &mut case.victims {
        victim.spared = true;
    }
    gone(case)
}
