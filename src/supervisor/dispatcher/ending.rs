//! The end of a termination: what it counts for, what is recorded, and who hears of it.

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::escalation::Outcome;
use crate::orphan::event::Event as Fact;
use crate::orphan::registry::{Cleared, Sighting};
use crate::orphan::termination::{Termination, subject};
use crate::supervisor::event::Effect;

/// An orphan that left the scans while it was being ended, which was not said: most end of that.
#[derive(Debug)]
pub(super) struct Lost {
    /// As it was last seen.
    pub(super) sighting: Box<Sighting>,
    /// What it was an orphan for.
    pub(super) was: String,
}

impl Dispatcher {
    pub(super) fn ended(&mut self, termination: Termination, now: Now, effects: &mut Vec<Effect>) {
        let identity = termination.sighting.identity();
        self.ending.remove(&identity);
        let respawn = self.policy.ended(&termination, &self.settings.reap, now);
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
        if let Some(lost) = self.unsaid.remove(&identity) {
            // Whatever left the scans because it ended has just been said to have ended.
            let is_let_go = matches!(
                termination.outcome,
                Outcome::Spared { .. } | Outcome::Failed { .. }
            );
            if is_let_go {
                let is_another = termination.outcome.is_spared_as("program_changed");
                let fact = self.lost(lost, is_another, now);
                effects.push(Effect::Record(vec![fact]));
            }
        }
        self.serve_who_waits(&termination, now, effects);
    }

    /// An orphan left the scans while it was being ended, and is not what it was any more.
    pub(super) fn lost(&mut self, lost: Lost, is_another_program: bool, now: Now) -> Fact {
        let Lost { sighting, was } = lost;
        // It was only out of sight, and is no orphan any more.
        if let Some(known) = self.registry.get(&sighting.identity()).cloned()
            && known.verdict.orphan_reason().is_none()
        {
            return self.cleared(&known, was, Cleared::VerdictChanged, now);
        }
        let cause = match is_another_program {
            true => Cleared::ProgramChanged,
            false => Cleared::Exited,
        };
        self.cleared(&sighting, was, cause, now)
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
