//! What has been seen, since when: every coordinator across scans, and what changed.
//!
//! Owns the memory that verdicts draw on. Knows nothing of signals or of when to send them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::coordinator::Coordinator;
use super::ephemeral::EphemeralRules;
use super::evidence::{Access, Evidence, FileId, PathState};
use super::judge::judge;
use super::memory::{Grounds, Memory};
use super::process::{Pid, ProcessIdentity, ProcessRecord};
use super::verdict::{OrphanReason, Verdict};

/// One look at one coordinator.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The process.
    pub record: ProcessRecord,
    /// What its argv says.
    pub coordinator: Coordinator,
    /// What the disk and the kernel said.
    pub evidence: Evidence,
}

/// A process that is there and could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its pid.
    pub pid: Pid,
    /// Which one it is, unless not even that could be found out.
    pub identity: Option<ProcessIdentity>,
    /// The name of the errno that says why.
    pub errno: &'static str,
}

impl Unread {
    /// Whether it is this one, or may be.
    #[must_use]
    pub fn may_be(&self, known: &ProcessIdentity) -> bool {
        self.pid == known.pid && self.identity.is_none_or(|identity| identity == *known)
    }
}

/// One coordinator with everything that is known of it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The newest look.
    pub observation: Observation,
    /// The verdict on the newest look.
    pub verdict: Verdict,
    /// What earlier looks left behind.
    pub memory: Memory,
    /// When it was first seen.
    pub first_seen: SystemTime,
    /// In how many scans it was seen.
    pub sightings: u64,
    /// Since when it has been an orphan without a break.
    pub orphan_since: Option<SystemTime>,
}

impl Sighting {
    /// What its verdict rests on.
    #[must_use]
    pub fn grounds(&self) -> Box<Grounds> {
        Box::new(Grounds {
            evidence: self.observation.evidence.clone(),
            memory: self.memory.clone(),
        })
    }

    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.observation.record.identity
    }

    /// A look at it that could not be: it is what it was, and nothing is known of its workspace.
    #[must_use]
    pub fn unread(&self, errno: &'static str) -> Observation {
        let before = &self.observation;
        let access = match before.evidence.access {
            Access::Judged | Access::Unreadable(_) => Access::Unreadable(errno),
            foreign @ (Access::ForeignUid | Access::ForeignNamespace) => foreign,
        };
        let argument = &before.coordinator.workspace;
        let evidence = Evidence {
            workspace: before.evidence.workspace.clone(),
            resolved: before.evidence.resolved.clone(),
            root: before.evidence.root.clone(),
            ..Evidence::not_probed(access, argument, PathState::NotProbed)
        };
        Observation {
            evidence,
            ..before.clone()
        }
    }

    /// Whether it is an orphan only by the name of its directory, and too young to be ended for that.
    #[must_use]
    pub fn is_young_ephemeral(&self, min_age: Duration, now: SystemTime) -> bool {
        let is_ephemeral = matches!(
            self.verdict.orphan_reason(),
            Some(OrphanReason::Ephemeral(_))
        );
        // A start in the future comes from a clock that was set back: its age is not known.
        let age = now.duration_since(self.observation.record.started_at);
        is_ephemeral && age.map_or(true, |age| age < min_age)
    }
}

/// Something that changed between two scans.
#[derive(Clone, Debug)]
pub enum Transition {
    /// A coordinator is an orphan now.
    Detected(Box<Sighting>),
    /// An orphan is none any more.
    Cleared {
        /// As it was last known: with the verdict it has now, if it is still there.
        sighting: Box<Sighting>,
        /// The reason it was an orphan for.
        was: String,
        /// What ended it.
        cause: Cleared,
    },
}

/// What ended an orphan's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// The process is gone.
    Exited,
    /// It is the same process, but the verdict is another one.
    VerdictChanged,
    /// It runs another program now.
    ProgramChanged,
    /// It is there, and none of the daemon's business any more.
    NotCovered,
}

/// All coordinators of this machine, as last seen.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    known: BTreeMap<ProcessIdentity, Sighting>,
}

impl Registry {
    /// Takes in one whole scan: what is not in it is gone.
    pub fn observe(
        &mut self,
        observations: Vec<Observation>,
        ephemeral: &EphemeralRules,
        now: SystemTime,
    ) -> Vec<Transition> {
        let mut transitions = Vec::new();
        let mut previous = std::mem::take(&mut self.known);
        for observation in observations {
            let identity = observation.record.identity;
            let before = previous.remove(&identity);
            // Another argv is another program in the same process: what was remembered is not its.
            let (before, replaced) = match before {
                Some(known) if known.observation.coordinator != observation.coordinator => {
                    (None, Some(known))
                }
                other => (other, None),
            };
            transitions.extend(replaced.and_then(|known| cleared(known, Cleared::ProgramChanged)));
            let sighting = sight(before.as_ref(), observation, ephemeral, now);
            transitions.extend(transition(before, &sighting));
            self.known.insert(identity, sighting);
        }
        transitions.extend(
            previous
                .into_values()
                .filter_map(|known| cleared(known, Cleared::Exited)),
        );
        transitions
    }

    /// What is to be observed of those of these that are known: they are there, and could not be read.
    #[must_use]
    pub fn unread(&self, unread: &[Unread]) -> Vec<Observation> {
        let look = |unread: &Unread| {
            let mut all = self.coordinators();
            let known = all.find(|known| unread.may_be(&known.identity()))?;
            Some(known.unread(unread.errno))
        };
        unread.iter().filter_map(look).collect()
    }

    /// Takes in one look at a coordinator that is known, between two scans: which counts for no scan, and
    /// does not take in another program.
    pub fn observe_again(
        &mut self,
        observation: Observation,
        ephemeral: &EphemeralRules,
        now: SystemTime,
    ) -> Option<Transition> {
        let identity = observation.record.identity;
        let before = self.known.get(&identity)?.clone();
        if before.observation.coordinator != observation.coordinator {
            return None;
        }
        let sighting = Sighting {
            sightings: before.sightings,
            ..sight(Some(&before), observation, ephemeral, now)
        };
        let transition = transition(Some(before), &sighting);
        self.known.insert(identity, sighting);
        transition
    }

    /// Takes in that this directory was deleted: whoever had it for a workspace has lost that.
    pub fn prove_deleted(&mut self, directory: &FileId) {
        for known in self.known.values_mut() {
            known.memory.prove_deleted(directory);
        }
    }

    /// Takes in that a process has exited, between two scans.
    pub fn exited(&mut self, identity: &ProcessIdentity) -> Option<Transition> {
        let known = self.known.remove(identity)?;
        cleared(known, Cleared::Exited)
    }

    /// Forgets whoever is none of the daemon's business any more.
    pub fn forget_others(&mut self, is_covered: impl Fn(&Sighting) -> bool) -> Vec<Transition> {
        let known = std::mem::take(&mut self.known);
        let (kept, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            known.into_iter().partition(|(_, known)| is_covered(known));
        self.known = kept;
        let others = others.into_values();
        others
            .filter_map(|known| cleared(known, Cleared::NotCovered))
            .collect()
    }

    /// One look more at a process, without taking it in: for showing.
    #[must_use]
    pub fn glance(
        known: Option<&Sighting>,
        observation: Observation,
        ephemeral: &EphemeralRules,
        now: SystemTime,
    ) -> Sighting {
        sight(known, observation, ephemeral, now)
    }

    /// Forgets a process that is known to be gone.
    pub fn forget(&mut self, identity: &ProcessIdentity) -> Option<Sighting> {
        self.known.remove(identity)
    }

    /// Every coordinator, by pid.
    pub fn coordinators(&self) -> impl Iterator<Item = &Sighting> {
        self.known.values()
    }

    /// Every coordinator whose verdict is `orphan`, by pid.
    pub fn orphans(&self) -> impl Iterator<Item = &Sighting> {
        self.coordinators()
            .filter(|sighting| sighting.verdict.orphan_reason().is_some())
    }

    /// Exactly this coordinator.
    #[must_use]
    pub fn get(&self, identity: &ProcessIdentity) -> Option<&Sighting> {
        self.known.get(identity)
    }

    /// The coordinator with this pid.
    #[must_use]
    pub fn by_pid(&self, pid: Pid) -> Option<&Sighting> {
        self.coordinators()
            .find(|sighting| sighting.identity().pid == pid)
    }

    /// What is remembered of each process, for the next look.
    #[must_use]
    pub fn memories(&self) -> HashMap<ProcessIdentity, Memory> {
        self.known
            .iter()
            .map(|(identity, sighting)| (*identity, sighting.memory.clone()))
            .collect()
    }
}

fn sight(
    before: Option<&Sighting>,
    observation: Observation,
    ephemeral: &EphemeralRules,
    now: SystemTime,
) -> Sighting {
    let mut memory = before.map(|known| known.memory.clone()).unwrap_or_default();
    let verdict = judge(
        &observation.coordinator.workspace,
        &observation.evidence,
        &memory,
        ephemeral,
    );
    memory.learn(&observation.evidence);
    let orphan_since = verdict
        .orphan_reason()
        .map(|_| before.and_then(|known| known.orphan_since).unwrap_or(now));
    Sighting {
        observation,
        verdict,
        memory,
        first_seen: before.map_or(now, |known| known.first_seen),
        sightings: before.map_or(0, |known| known.sightings) + 1,
        orphan_since,
    }
}

fn transition(before: Option<Sighting>, sighting: &Sighting) -> Option<Transition> {
    let was = before
        .as_ref()
        .and_then(|known| known.verdict.orphan_reason())
        .map(ToString::to_string);
    match (was, sighting.verdict.orphan_reason()) {
        (None, Some(_)) => Some(Transition::Detected(Box::new(sighting.clone()))),
        (Some(was), None) => Some(Transition::Cleared {
            sighting: Box::new(sighting.clone()),
            was,
            cause: Cleared::VerdictChanged,
        }),
        // Missing and replaced alternate while a coordinator recreates its workspace: no break.
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn cleared(known: Sighting, cause: Cleared) -> Option<Transition> {
    let was = known.verdict.orphan_reason()?.to_string();
    Some(Transition::Cleared {
        sighting: Box::new(known),
        was,
        cause,
    })
}

#[cfg(test)]
mod tests;
