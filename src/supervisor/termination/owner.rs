//! What the owner says while a wave runs: asked again for each signal, in the same poll.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::case::{Case, gone, spare};
use super::{REAPING_HELD, REASON_CHANGED, REASON_NOT_LISTED, Runner};
use crate::orphan::coordinator::recognise;
use crate::orphan::event::Actor;
use crate::orphan::judge::judge;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::verdict::OrphanReason;
use crate::orphan::victims::{Lineage, Relation, Why as Protection, with_all_below};
use crate::os::clock;
use crate::os::evidence::without_probing;
use crate::supervisor::selection::YOUNG;
use crate::supervisor::settings::Settings;

type Why = Cow<'static, str>;

impl Runner {
    /// Lets go of whoever its owner has forbidden to signal, before the wave or since, and of whoever
    /// is protected by now.
    pub(super) fn heed_owner(&self, cases: Vec<Case>) -> Vec<Case> {
        let held: Vec<Option<Why>> = cases.iter().map(|case| self.held_by_owner(case)).collect();
        // An orphan that is held protects what is below it, also from another orphan of the wave.
        let held_pids: BTreeSet<Pid> = cases
            .iter()
            .zip(&held)
            .filter(|(_, why)| why.is_some())
            .map(|(case, _)| case.identity().pid)
            .collect();
        cases
            .into_iter()
            .zip(held)
            .map(|(case, why)| match why {
                Some(why) => let_go(case, &why),
                None => self.without_protected(case, &held_pids),
            })
            .collect()
    }

    /// Lets go of the members that are kept or protected by now, with all that is below them.
    fn without_protected(&self, mut case: Case, held: &BTreeSet<Pid>) -> Case {
        let keeps = &self.steering.borrow().keeps;
        let lineages = self.guarded.borrow();
        let scope = self.configured.borrow().scope;
        let mut above = held.clone();
        let mut members = Vec::new();
        for victim in case.victims.iter_mut().skip(1) {
            let Some(member) = victim.member else {
                continue;
            };
            let identity = member.identity;
            if keeps.processes.get(&identity.pid) == Some(&identity) {
                above.insert(identity.pid);
            }
            let asks = lineages.iter().any(|lineage| lineage.may_hold(&identity));
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

    /// What its owner has said, then or meanwhile, that keeps this orphan from being signalled.
    pub(super) fn held_by_owner(&self, case: &Case) -> Option<Why> {
        let evidence = &case.sighting.observation.evidence;
        let steering = Arc::clone(&self.steering.borrow());
        // The wave runs under the configuration it began with, but for what that forbids by now.
        let now = Arc::clone(&self.configured.borrow());
        let lineages = self.guarded.borrow();
        let word = if self.settings.protects(evidence) || now.protects(evidence) {
            "protected"
        } else if !now.covers_evidence(evidence) {
            "outside_workspace_roots"
        } else if steering.is_unknown {
            "keeps_unknown"
        } else if steering.keeps.hold(&case.identity(), evidence) {
            "kept"
        } else if let Some(lineage) = lineages
            .iter()
            .find(|lineage| lineage.may_hold(&case.identity()))
        {
            protected_by(lineage, &case.identity())
        } else if let Some(verdict) = self.forbidden_by(&now, case) {
            return Some(verdict.into());
        } else {
            match &self.wave_actor {
                Actor::Auto => {
                    let is_held = steering.holds_reaping(clock::now()) || !now.reap.confirm;
                    if is_held {
                        REAPING_HELD
                    } else {
                        self.not_by_itself(&now, case)?
                    }
                }
                Actor::Peer { .. } => {
                    let wanted = self.selection.as_ref()?;
                    let min_age = self.min_age(&now);
                    wanted.spares(&case.sighting, min_age, clock::now().wall)?
                }
            }
        };
        Some(word.into())
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
        let now = self.configured.borrow();
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

/// Why an orphan is spared that is, or may be, above who must not be touched.
pub(super) fn protected_by(lineage: &Lineage, orphan: &ProcessIdentity) -> &'static str {
    if lineage.pids.contains(&orphan.pid) {
        Protection::ProtectedAncestor.word()
    } else {
        "lineage_unknown"
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
