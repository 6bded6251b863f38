//! The probes under way, and which of them hang: what had better not be begun beside those.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lanes::PROBES_AT_ONCE;
use super::looks::LOOKS_AT_ONCE;
use crate::orphan::evidence::MountKey;
use crate::orphan::process::{Pid, ProcessIdentity};

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
    /// Whether it is better not begun with beside all these, which hang.
    fn is_held_up_by<'a>(&self, hanging: impl Iterator<Item = &'a Self>) -> bool
    where
        Self: 'a;
}

/// A process, whatever it is.
impl Probed for Pid {
    fn is_held_up_by<'a>(&self, mut hanging: impl Iterator<Item = &'a Self>) -> bool {
        hanging.any(|one| one == self)
    }
}

/// A coordinator, and what stands in its way if it hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coordinating {
    pub(super) process: ProcessIdentity,
    pub(super) workspace: Option<PathBuf>,
    pub(super) disk: Disk,
}

/// What its workspace lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// The mount that it was seen on.
    Seen(MountKey),
    /// It has never answered: what is mounted above it, by its name.
    Named(Option<PathBuf>),
}

impl Probed for Coordinating {
    fn is_held_up_by<'a>(&self, hanging: impl Iterator<Item = &'a Self>) -> bool {
        let (mut on_it, mut on_its_disk) = (0, 0);
        for one in hanging {
            if one.process == self.process {
                return true;
            }
            on_it += usize::from(self.workspace.is_some() && one.workspace == self.workspace);
            on_its_disk += usize::from(one.disk == self.disk);
        }
        let most_on_its_disk = match self.disk {
            Disk::Seen(_) => HUNG_ON_A_MOUNT,
            Disk::Named(_) => HUNG_BELOW_A_POINT,
        };
        on_it >= HUNG_ON_A_WORKSPACE || on_its_disk >= most_on_its_disk
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

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One probe's entry among those under way; gone when the probe returns, whoever waits for it.
pub(super) struct ProbeEntry<K> {
    probes: Arc<Mutex<Probes<K>>>,
    number: u64,
}

impl<K: Probed> ProbeEntry<K> {
    /// None if what hangs holds it up. What is only under way, for a scan while a kill checks again, say, stands in
    /// nobody's way.
    pub(super) fn begin(probes: &Arc<Mutex<Probes<K>>>, what: K) -> Option<Self> {
        let mut all = lock(probes);
        if what.is_held_up_by(all.hang()) || all.hang().count() >= HUNG_PROBES_LIMIT {
            return None;
        }
        all.last_number += 1;
        let number = all.last_number;
        all.running.insert(number, (what, Waiting::ForIt));
        Some(Self {
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
