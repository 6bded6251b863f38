//! Fixes: who is ended for a request, and its answer when all of them are.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::escalation::{Audit, Failure};
use crate::orphan::event::Actor;
use crate::orphan::process::ProcessIdentity;
use crate::orphan::registry::Sighting;
use crate::orphan::termination::Termination;
use crate::orphan::victims::Lineage;
use crate::supervisor::event::{Effect, Ticket};
use crate::supervisor::request::{Peer, Selection};
use crate::supervisor::selection::{Choice, Spared, YOUNG, choose};
use crate::supervisor::termination::{REAPING_HELD, REASON_CHANGED, REASON_NOT_LISTED, Wave};
use crate::wire::results::{self, FixReport};

/// What keeps the daemon from ending one by itself, and nobody who asks for it.
const ALONE: [&str; 4] = [REAPING_HELD, REASON_NOT_LISTED, REASON_CHANGED, YOUNG];

/// A fix whose terminations have begun.
#[derive(Debug)]
pub(super) struct Fixing {
    ticket: Ticket,
    actor: Actor,
    selection: Selection,
    is_gate: bool,
    pub(super) open: HashSet<ProcessIdentity>,
    pub(super) report: FixReport,
}

impl Dispatcher {
    pub(super) fn begin_fix(
        &mut self,
        ticket: Ticket,
        peer: Peer,
        selection: &Selection,
        is_gate: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Choice { targets, spared } = choose(
            self.registry.coordinators(),
            selection,
            self.settings.reap.ephemeral_min_age,
            now.wall,
        );
        let scan = results::scan(self.registry.coordinators(), self.scan_facts(now));
        let mut report = FixReport::new(scan);
        for one in spared {
            match one {
                Spared::Coordinator { sighting, why } => report.spare(&sighting, &why, now.wall),
                Spared::NotACoordinator(pid) => report.spare_stranger(pid),
            }
        }
        let open: HashSet<ProcessIdentity> =
            targets.iter().map(|target| target.identity()).collect();
        // A process that is being ended already is joined, not signalled a second time.
        let mut fresh = Vec::new();
        for target in targets {
            match self.ending.get(&target.identity()) {
                Some(guarded) => guarded.send_modify(|all| all.push(Arc::clone(&peer.lineage))),
                None => fresh.push(target),
            }
        }
        let actor = peer.actor();
        if !fresh.is_empty() {
            let wanted = Some(selection.clone());
            self.begin_wave(fresh, actor, wanted, vec![peer.lineage], now, effects);
        }
        self.fixing.push(Fixing {
            ticket,
            actor,
            selection: selection.clone(),
            is_gate,
            open,
            report,
        });
        self.answer_finished_fixes(effects);
    }

    /// Begins to end these, whoever wants it.
    pub(super) fn begin_wave(
        &mut self,
        targets: Vec<Sighting>,
        actor: Actor,
        selection: Option<Selection>,
        guarded: Vec<Arc<Lineage>>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (guard, guarded) = watch::channel(guarded);
        let guard = Arc::new(guard);
        for target in &targets {
            let identity = target.identity();
            self.policy
                .began(&identity, actor, &self.settings.reap, now);
            self.ending.insert(identity, Arc::clone(&guard));
        }
        effects.push(Effect::Terminate(Wave {
            targets,
            actor,
            selection,
            audit: match actor {
                Actor::Auto => Audit::Required,
                Actor::Peer { .. } => Audit::Wanted,
            },
            own_pid: self.identity.pid,
            guarded,
            steering: self.steering.subscribe(),
            configured: self.configured.subscribe(),
            settings: Arc::clone(&self.settings),
        }));
    }

    /// Who asked and joined a wave that the daemon began by itself gets one of its own, if that one
    /// ended for a reason that holds only the daemon back. `guarded` is whom the first had to spare.
    pub(super) fn goes_on_for_who_asked(
        &mut self,
        termination: &Termination,
        guarded: Option<Arc<watch::Sender<Vec<Arc<Lineage>>>>>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let identity = termination.sighting.identity();
        let is_held_back_alone = termination.actor == Actor::Auto
            && (ALONE
                .iter()
                .any(|why| termination.outcome.is_spared_as(why))
                || termination.outcome.is_failed_for(Failure::AuditUnavailable));
        let asked = self.fixing.iter().find(|one| one.open.contains(&identity));
        let (true, None, Some(asked)) = (is_held_back_alone, &self.stopping, asked) else {
            return false;
        };
        let (actor, wanted) = (asked.actor, Some(asked.selection.clone()));
        // Where the scans do not show it any more there is nothing to go on with.
        let Some(sighting) = self.registry.get(&identity).cloned() else {
            return false;
        };
        if sighting.verdict.orphan_reason().is_none() {
            return false;
        }
        let guarded = guarded.map(|all| all.borrow().clone()).unwrap_or_default();
        self.begin_wave(vec![sighting], actor, wanted, guarded, now, effects);
        true
    }

    pub(super) fn answer_finished_fixes(&mut self, effects: &mut Vec<Effect>) {
        let (done, open): (Vec<Fixing>, Vec<Fixing>) = std::mem::take(&mut self.fixing)
            .into_iter()
            .partition(|fixing| fixing.open.is_empty());
        self.fixing = open;
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
