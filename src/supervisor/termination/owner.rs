//! What the owner says while a wave runs: asked again for each signal, in the same poll.

use std::sync::Arc;

use super::case::{Case, gone, spare};
use super::{REAPING_HELD, Runner};
use crate::orphan::event::Actor;
use crate::os::clock;

impl Runner {
    /// Lets go of whoever its owner has forbidden to signal, before the wave or since.
    pub(super) fn heed_owner(&self, cases: Vec<Case>) -> Vec<Case> {
        cases.into_iter().map(|case| self.heed(case)).collect()
    }

    fn heed(&self, mut case: Case) -> Case {
        let Some(why) = self.held_by_owner(&case) else {
            let keeps = &self.steering.borrow().keeps;
            for victim in case.victims.iter_mut().skip(1) {
                let identity = victim.member.map(|member| member.identity);
                victim.spared |=
                    keeps.processes.get(&victim.pid).copied() == identity && identity.is_some();
            }
            return case;
        };
        if case.orphan().is_none_or(|orphan| !orphan.exited) {
            return spare(case, why);
        }
        // The orphan itself is gone: who would have ended with it is let go.
        for victim in &mut case.victims {
            victim.spared = true;
        }
        gone(case)
    }

    /// What its owner has said, then or meanwhile, that keeps this orphan from being signalled.
    pub(super) fn held_by_owner(&self, case: &Case) -> Option<&'static str> {
        let evidence = &case.sighting.observation.evidence;
        let steering = Arc::clone(&self.steering.borrow());
        // The wave runs under the configuration it began with, but for what that forbids by now.
        let now = Arc::clone(&self.configured.borrow());
        let is_held = steering.holds_reaping(clock::now()) || !now.reap.confirm;
        if self.settings.protects(evidence) || now.protects(evidence) {
            Some("protected")
        } else if !now.covers_evidence(evidence) {
            Some("outside_workspace_roots")
        } else if steering.is_unknown {
            Some("keeps_unknown")
        } else if steering.keeps.hold(&case.identity(), evidence) {
            Some("kept")
        } else if self.wave_actor == Actor::Auto && is_held {
            Some(REAPING_HELD)
        } else {
            None
        }
    }
}
