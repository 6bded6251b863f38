//! The probes under way, and which of them hang: what had better not be begun beside those.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lanes::PROBES_AT_ONCE;
use super::looks::LOOKS_AT_ONCE;
use crate::orphan::evidence::MountKey;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::os::evidence::Stage;

/// How many probes may hang before no further one is begun; the same holds for looks at a process by itself. Of one
/// workspace …
const HUNG_ON_A_WORKSPACE: usize = 2;
/// … on the mount that they were seen on before …
const HUNG_ON_A_MOUNT: usize = 8;
/// … of those that have never answered, where links may lead anywhere, below one point …
const HUNG_BELOW_A_POINT: usize = 32;
/// … and altogether: one disk that hangs leaves the others to be looked at.
pub(super) const HUNG_PROBES_LIMIT: usize = 64;
/// How many threads there are for them at the most: those that hang, and those that look.
pub(super) const PROBE_THREADS: usize = HUNG_PROBES_LIMIT + LOOKS_AT_ONCE + 2 * PROBES_AT_ONCE;

/// What is probed: what hangs may hold up others, or only itself.
pub(super) trait Probed: Clone + Send + 'static {
    /// By what it is held up, so that it is not begun with, beside all these, which hang.
    fn held_up_by<'a>(&self, hanging: impl Iterator<Item = &'a Self>) -> Option<HeldUp>
    where
        Self: 'a;
}

/// What keeps a probe from being begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldUp {
    /// An earlier one of the same hangs.
    ByItself,
    /// Others hang that may wait for the same, or too many.
    ByOthers,
}

/// A process, whatever it is.
impl Probed for Pid {
    fn held_up_by<'a>(&self, mut hanging: impl Iterator<Item = &'a Self>) -> Option<HeldUp> {
        hanging.any(|one| one == self).then_some(HeldUp::ByItself)
    }
}

/// A coordinator, and what stands in its way if it hangs.
#[derive(Clone, Debug)]
pub(super) struct Coordinating {
    pub(super) process: ProcessIdentity,
    pub(super) workspace: Option<PathBuf>,
    pub(super) disk: Disk,
    /// What hangs elsewhere than at its workspace says nothing of that.
    pub(super) stage: Arc<Stage>,
}

/// What its workspace lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// The mount that it was seen on.
    Seen(MountKey),
    /// It has never answered: the number of the mount above it, by its name.
    Named(Option<u64>),
}

impl Probed for Coordinating {
    fn held_up_by<'a>(&self, hanging: impl Iterator<Item = &'a Self>) -> Option<HeldUp> {
        let (mut on_it, mut on_its_disk) = (0, 0);
        for one in hanging {
            if one.process == self.process {
                return Some(HeldUp::ByItself);
            }
            if !one.stage.is_at_the_workspace() {
                continue;
            }
            on_it += usize::from(self.workspace.is_some() && one.workspace == self.workspace);
            on_its_disk += usize::from(one.disk == self.disk);
        }
        let most_on_its_disk = match self.disk {
            Disk::Seen(_) => HUNG_ON_A_MOUNT,
            Disk::Named(_) => HUNG_BELOW_A_POINT,
        };
        (on_it >= HUNG_ON_A_WORKSPACE || on_its_disk >= most_on_its_disk)
            .then_some(HeldUp::ByOthers)
    }
}

/// The probes under way, and which of them nobody waits for any more.
#[derive(Debug)]
pub(super) struct Probes<K> {
    last_number: u64,
    running: HashMap<u64, (K, Waiting)>,
    threads: usize,
}

impl<K> Default for Probes<K> {
    fn default() -> Self {
        Self {
            last_number: 0,
            running: HashMap::new(),
            threads: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    ForIt,
    NotAnyMore,
}

impl<K> Probes<K> {
    /// Those that nobody waits for any more.
    pub(super) fn hang(&self) -> impl Iterator<Item = &K> {
        self.running
            .values()
            .filter(|(_, waiting)| *waiting == Waiting::NotAnyMore)
            .map(|(what, _)| what)
    }

    /// From now on nobody waits for it, if it has not come back by now.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some((_, waiting)) = self.running.get_mut(&number) {
            *waiting = Waiting::NotAnyMore;
        }
    }
}

pub(in crate::supervisor) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One probe's entry among those under way; gone when the probe returns, whoever waits for it.
pub(super) struct ProbeEntry<K> {
    probes: Arc<Mutex<Probes<K>>>,
    number: u64,
}

impl<K: Probed> ProbeEntry<K> {
    /// Unless what hangs holds it up. What is only under way, for a scan while a kill checks again, say, stands in
    /// nobody's way.
    pub(super) fn begin(probes: &Arc<Mutex<Probes<K>>>, what: K) -> Result<Self, HeldUp> {
        let mut all = lock(probes);
        if let Some(held_up) = what.held_up_by(all.hang()) {
            return Err(held_up);
        }
        if all.hang().count() >= HUNG_PROBES_LIMIT {
            return Err(HeldUp::ByOthers);
        }
        all.last_number += 1;
        let number = all.last_number;
        all.running.insert(number, (what, Waiting::ForIt));
        Ok(Self {
            probes: Arc::clone(probes),
            number,
        })
    }
}

impl<K> ProbeEntry<K> {
    /// By which it is given up.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl<K> Drop for ProbeEntry<K> {
    fn drop(&mut self) {
        lock(&self.probes).running.remove(&self.number);
    }
}

/// One of the threads; gone when it returns.
pub(super) struct ThreadEntry<K> {
    probes: Arc<Mutex<Probes<K>>>,
}

impl<K> ThreadEntry<K> {
    /// None if there are enough of them.
    pub(super) fn begin(probes: &Arc<Mutex<Probes<K>>>) -> Option<Self> {
        let mut all = lock(probes);
        if all.threads >= PROBE_THREADS {
            return None;
        }
        all.threads += 1;
        Some(Self {
            probes: Arc::clone(probes),
        })
    }
}

impl<K> Drop for ThreadEntry<K> {
    fn drop(&mut self) {
        lock(&self.probes).threads -= 1;
    }
}
