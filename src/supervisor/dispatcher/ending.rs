//! The end of a termination: what it counts for, what is recorded, and who hears of it.

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::escalation::Outcome;
use crate::orphan::event::Event as Fact;
use crate::orphan::registry::{Cleared, Transition};
use crate::orphan::termination::{Termination, subject};
use crate::supervisor::event::Effect;

impl Dispatcher {
    pub(super) fn ended(&mut self, termination: Termination, now: Now, effects: &mut Vec<Effect>) {
        let identity = termination.sighting.identity();
        let guarded = self.ending.remove(&identity);
        let asked = guarded.as_ref().is_some_and(|all| !all.borrow().is_empty());
        let respawn = self
            .policy
            .ended(&termination, asked, &self.settings.reap, now);
        if let Some((workspace, respawn)) = respawn {
            effects.push(Effect::SayRespawn { workspace, respawn });
        }
        match &termination.outcome {
            Outcome::Killed { .. } | Outcome::Missing => {
                self.counters.killed += 1;
                self.registry.forget(&identity);
                if self.is_scanning {
                    self.ended_meanwhile.insert(identity);
                }
            }
            Outcome::Failed { .. } => self.counters.failed += 1,
            Outcome::Spared { .. } => self.counters.spared += 1,
        }
        effects.push(Effect::Record(vec![fact(&termination)]));
        self.clear_if_lost(&termination, now, effects);
        if !self.goes_on_for_who_asked(&termination, guarded, now, effects) {
            for fixing in &mut self.fixing {
                if fixing.open.remove(&identity) {
                    fixing.report.add(&termination, now.wall);
                }
            }
            self.answer_finished_fixes(effects);
        }
    }

    /// An orphan that was let go and that the scans do not show any more, if that was not said while
    /// it was being ended.
    fn clear_if_lost(&mut self, termination: &Termination, now: Now, effects: &mut Vec<Effect>) {
        let sighting = &termination.sighting;
        let is_let_go = matches!(
            termination.outcome,
            Outcome::Spared { .. } | Outcome::Failed { .. }
        );
        let identity = sighting.identity();
        let was_unsaid = self.unsaid.remove(&identity);
        if !is_let_go || !was_unsaid || self.registry.get(&identity).is_some() {
            return;
        }
        let changed = termination.outcome.is_spared_as("program_changed");
        let cause = if changed {
            Cleared::ProgramChanged
        } else {
            Cleared::Exited
        };
        let was = sighting.verdict.reason();
        let sighting = Box::new(sighting.clone());
        let cleared = Transition::Cleared {
            sighting,
            was,
            cause,
        };
        self.note(vec![cleared], now, effects);
    }
}

fn fact(termination: &Termination) -> Fact {
    let subject = subject(&termination.sighting);
    let actor = termination.actor;
    let killed = |sigkill_required, missing| Fact::Killed {
        subject: subject.clone(),
        sigkill_required,
        missing,
        elapsed_ms: u64::try_from(termination.elapsed.as_millis()).unwrap_or(u64::MAX),
        actor,
    };
    match &termination.outcome {
        Outcome::Killed { sigkill_required } => killed(*sigkill_required, false),
        Outcome::Missing => killed(false, true),
        Outcome::Failed { error, detail, .. } => Fact::Failed {
            subject: subject.clone(),
            error: error.word(),
            detail: detail.clone(),
            actor,
        },
        Outcome::Spared { why } => Fact::Spared {
            subject: subject.clone(),
            why: why.clone(),
            actor,
        },
    }
}
