//! What is noticed between two scans: a workspace that may have gone is looked at then, it alone. Nobody is
//! ended for that: what is due is found out after the next scan.

use std::collections::BTreeSet;
use std::path::Path;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::evidence::{FileId, PathState};
use crate::orphan::memory::Memory;
use crate::orphan::process::ProcessIdentity;
use crate::orphan::registry::{Observation, Sighting, Transition};
use crate::supervisor::event::Effect;

impl Dispatcher {
    /// Everybody who is known.
    pub(in crate::supervisor) fn coordinators(&self) -> impl Iterator<Item = ProcessIdentity> {
        self.registry.coordinators().map(Sighting::identity)
    }

    /// The workspaces that are there, by where they lead, which directories they are, and whose. Of who cannot be read
    /// now the one that it was started on: what becomes of that meanwhile proves something afterwards.
    pub(in crate::supervisor) fn workspaces(
        &self,
    ) -> impl Iterator<Item = (ProcessIdentity, &Path, FileId)> {
        self.registry.coordinators().filter_map(|sighting| {
            let evidence = &sighting.observation.evidence;
            let home = sighting.memory.home.as_ref();
            // Only where the kernel knows of everything that happens.
            let directory = match evidence.path {
                PathState::Exists { directory, .. } => directory?,
                PathState::NotProbed if evidence.is_unread() => {
                    home.filter(|home| !home.is_deleted)?.directory
                }
                _ => return None,
            };
            let path = evidence.resolved.as_deref()?;
            let is_in_our_root = evidence.root == Path::new("/");
            is_in_our_root.then(|| (sighting.identity(), path, directory))
        })
    }

    pub(super) fn touched(
        &mut self,
        touched: impl IntoIterator<Item = ProcessIdentity>,
        effects: &mut Vec<Effect>,
    ) {
        self.touched.extend(touched);
        self.look_if_idle(effects);
    }

    /// A coordinator is gone, beyond doubt.
    pub(super) fn exited(
        &mut self,
        identity: &ProcessIdentity,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        // Who ends it says how that went.
        if self.ending.contains(identity) {
            return;
        }
        if self.is_scanning {
            self.ended_meanwhile.insert(*identity);
        }
        let transition = self.registry.exited(identity);
        self.note(transition.into_iter().collect(), now, effects);
    }

    /// Looks at whoever was touched, unless somebody looks already: the newer look is to be the later one.
    pub(super) fn look_if_idle(&mut self, effects: &mut Vec<Effect>) {
        if self.is_scanning || self.stopping.is_some() {
            return;
        }
        self.take_in_deletions();
        let touched = std::mem::take(&mut self.touched);
        let targets: Vec<(ProcessIdentity, Memory)> = touched
            .iter()
            .filter(|identity| !self.ending.contains(identity))
            .filter_map(|identity| self.registry.get(identity))
            .map(|sighting| (sighting.identity(), sighting.memory.clone()))
            .collect();
        if !targets.is_empty() {
            self.is_scanning = true;
            self.is_looking = true;
            effects.push(Effect::Look(targets));
        }
    }

    /// To be called before a look begins. A look that has begun before may still show what was deleted since,
    /// and would take the proof back.
    pub(super) fn take_in_deletions(&mut self) {
        for directory in self.deleted.drain(..) {
            self.registry.prove_deleted(&directory);
        }
    }

    pub(super) fn looked(
        &mut self,
        observations: Vec<Observation>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.is_scanning = false;
        self.is_looking = false;
        let ended = std::mem::take(&mut self.ended_meanwhile);
        let mut transitions = Vec::new();
        for seen in observations {
            let identity = seen.record.identity;
            if ended.contains(&identity)
                || self.ending.contains(&identity)
                || !self.settings.covers_evidence(&seen.evidence)
            {
                continue;
            }
            let ephemeral = &self.settings.ephemeral;
            if let Some(transition) = self.registry.observe_again(seen, ephemeral, now.wall) {
                transitions.push(transition);
            }
        }
        let changed = transitions.iter().map(|transition| match transition {
            Transition::Detected(sighting) | Transition::Cleared { sighting, .. } => &**sighting,
        });
        let rules = &self.settings.reap;
        let trip = self.policy.noticed(changed, &self.registry, rules, now);
        self.note(transitions, now, effects);
        // However long the next scan is away.
        self.tripped(trip, effects);
        if std::mem::take(&mut self.is_tick_due) || !self.queued.is_empty() {
            self.scan_if_idle(now, effects);
        } else {
            self.look_if_idle(effects);
        }
    }
}

/// Who may have lost their workspace, and is to be looked at.
pub(super) type Touched = BTreeSet<ProcessIdentity>;
