//! Fixes: who is ended for a request, and its answer when all of them are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::escalation::Failure;
use crate::orphan::event::Actor;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::Sighting;
use crate::orphan::termination::Termination;
use crate::supervisor::event::{Effect, Ticket};
use crate::supervisor::request::{Peer, Refusal, Selection};
use crate::supervisor::selection::{
    Choice, Demand, NOT_LOOKED_UP, NOT_SELECTED, Spared, Stranger, YOUNG, choose,
};
use crate::supervisor::termination::{REAPING_HELD, REASON_CHANGED, REASON_NOT_LISTED, Wave};
use crate::wire::results::{self, FixReport};

/// Why one is spared that those did not want, for whom its wave ran. Others may want it.
const UNWANTED: [&str; 5] = [
    REAPING_HELD,
    REASON_NOT_LISTED,
    REASON_CHANGED,
    YOUNG,
    NOT_SELECTED,
];

/// A fix whose terminations have begun.
#[derive(Debug)]
pub(super) struct Fixing {
    ticket: Ticket,
    is_gate: bool,
    demand: Arc<Demand>,
    /// Whom it named and the scan does not show: they are being looked up.
    strangers: BTreeSet<Pid>,
    report: FixReport,
}

impl Fixing {
    /// Whether it waits for the end of this one. From now on it does not.
    fn had_waited_for(&mut self, identity: &ProcessIdentity) -> bool {
        Arc::make_mut(&mut self.demand).targets.remove(identity)
    }
}

impl Dispatcher {
    pub(super) fn begin_fix(
        &mut self,
        ticket: Ticket,
        peer: Peer,
        selection: Selection,
        is_gate: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Choice {
            targets,
            spared,
            strangers,
        } = choose(
            self.registry.coordinators(),
            &selection,
            self.settings.reap.ephemeral_min_age,
            now.wall,
        );
        let scan = results::scan(self.registry.coordinators(), self.scan_facts(now));
        let mut report = FixReport::new(scan);
        for Spared { sighting, why } in spared {
            report.spare(&sighting, &why, now.wall);
        }
        let actor = peer.actor();
        let demand = Demand {
            peer,
            selection,
            targets: targets.iter().map(Sighting::identity).collect(),
        };
        self.fixing.push(Fixing {
            ticket,
            is_gate,
            demand: Arc::new(demand),
            strangers: strangers.clone(),
            report,
        });
        if !strangers.is_empty() {
            effects.push(Effect::LookUp {
                ticket,
                pids: strangers,
            });
        }
        self.order_demands();
        // A process that is being ended already is joined, not signalled a second time.
        let (_, fresh): (Vec<Sighting>, Vec<Sighting>) = targets
            .into_iter()
            .partition(|target| self.ending.contains(&target.identity()));
        if !fresh.is_empty() {
            self.begin_wave(fresh, actor, now, effects);
        }
        self.answer_finished_fixes(effects);
    }

    /// Takes in who those are that a fix named and the scan did not show. They are left alone.
    pub(super) fn looked_up(
        &mut self,
        ticket: Ticket,
        strangers: Vec<Stranger>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(fixing) = self.fixing.iter_mut().find(|one| one.ticket == ticket) else {
            return;
        };
        fixing.strangers.clear();
        let report = &mut fixing.report;
        for stranger in strangers {
            match stranger {
                Stranger::Coordinator(Spared { sighting, why }) => {
                    report.spare(&sighting, &why, now.wall);
                }
                Stranger::Other(record) => report.spare_other(&record, now.wall),
                Stranger::Nobody(pid) => report.spare_nobody(pid, "no_such_process"),
                Stranger::Unreadable(pid) => report.spare_nobody(pid, "process_unreadable"),
                Stranger::Unknown(pid) => report.spare_nobody(pid, NOT_LOOKED_UP),
            }
        }
        self.answer_finished_fixes(effects);
    }

    /// Begins to end these, whoever wants it.
    pub(super) fn begin_wave(
        &mut self,
        targets: Vec<Sighting>,
        actor: Actor,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        for target in &targets {
            let identity = target.identity();
            self.policy
                .began(&identity, actor, &self.settings.reap, now);
            self.ending.insert(identity);
        }
        effects.push(Effect::Terminate(Wave {
            targets,
            actor,
            own_pid: self.identity.pid,
            orders: self.orders.subscribe(),
            settings: Arc::clone(&self.settings),
        }));
    }

    /// Lets those who asked for it know how one ended. Who joined too late for its wave to hear of
    /// that gets another one, if the first ended because nobody it knew of wanted it.
    pub(super) fn serve_who_waits(
        &mut self,
        termination: &Termination,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let sighting = &termination.sighting;
        let identity = sighting.identity();
        let is_unwanted = is_unwanted(termination);
        // Where the scans do not show it any more there is nothing to go on with.
        let again = self.registry.get(&identity).filter(|known| {
            is_unwanted && self.stopping.is_none() && known.verdict.orphan_reason().is_some()
        });
        let again = again.cloned();
        let min_age = self.settings.reap.ephemeral_min_age;
        let mut goes_on_for = None;
        for fixing in &mut self.fixing {
            let spares = fixing.demand.spares(sighting, min_age, now.wall);
            if again.is_some() && spares.is_none() {
                goes_on_for.get_or_insert(fixing.demand.peer.actor());
            } else if fixing.had_waited_for(&identity) {
                match spares.filter(|_| is_unwanted) {
                    Some(why) => fixing.report.spare(sighting, why, now.wall),
                    None => fixing.report.add(termination, now.wall),
                }
            }
        }
        self.order_demands();
        if let (Some(actor), Some(sighting)) = (goes_on_for, again) {
            self.begin_wave(vec![sighting], actor, now, effects);
        }
        self.answer_finished_fixes(effects);
    }

    /// Whoever is still being looked up ends nobody, and is waited for no longer.
    pub(super) fn give_up_strangers(&mut self, effects: &mut Vec<Effect>) {
        for fixing in &mut self.fixing {
            for pid in std::mem::take(&mut fixing.strangers) {
                fixing.report.spare_nobody(pid, NOT_LOOKED_UP);
            }
        }
        self.answer_finished_fixes(effects);
    }

    /// Nobody is waited for any more: what has become of the rest is in the event log.
    pub(super) fn give_up_fixes(&mut self, effects: &mut Vec<Effect>) {
        for Fixing { ticket, .. } in std::mem::take(&mut self.fixing) {
            effects.push(Effect::Answer {
                ticket,
                answer: Err(Refusal::ShuttingDown),
            });
        }
        self.order_demands();
    }

    fn order_demands(&self) {
        let fixing = self.fixing.iter();
        let demands = fixing.map(|one| Arc::clone(&one.demand)).collect();
        self.order(|orders| orders.demands = demands);
    }

    fn answer_finished_fixes(&mut self, effects: &mut Vec<Effect>) {
        let (done, open): (Vec<Fixing>, Vec<Fixing>) = std::mem::take(&mut self.fixing)
            .into_iter()
            .partition(|fixing| fixing.demand.targets.is_empty() && fixing.strangers.is_empty());
        self.fixing = open;
        if !done.is_empty() {
            self.order_demands();
        }
        for Fixing {
            ticket,
            is_gate,
            report,
            ..
        } in done
        {
            let result = report.into_result();
            let answer = Ok(if is_gate {
                results::gate(result, true)
            } else {
                result
            });
            effects.push(Effect::Answer { ticket, answer });
        }
    }
}

/// Whether it ended because nobody wanted it any more, of those its wave knew of.
fn is_unwanted(termination: &Termination) -> bool {
    let outcome = &termination.outcome;
    let is_unrecorded = outcome.is_failed_for(Failure::AuditUnavailable);
    let is_spared = UNWANTED.iter().any(|why| outcome.is_spared_as(why));
    is_spared || (is_unrecorded && termination.actor == Actor::Auto)
}
