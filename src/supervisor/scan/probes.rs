//! Turns at looking, and looks that may hang: none holds another one up for longer than its limit.

use std::collections::HashMap;
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many single processes are looked at at the same time, in waves of whatever size. The time limits begin
/// with the turn.
const LOOKS_AT_ONCE: usize = 16;
/// So many more of them than there are processors work at the same time: more would only take the processors
/// from the one that answers …
const MORE_THAN_PROCESSORS: usize = 1;
/// … unless one takes longer than this: it waits for a disk, and no longer stands in another's way.
const LOOK_IS_WORK_FOR: Duration = Duration::from_millis(50);
/// How many probes may hang before no further one is started.
const HUNG_PROBES_LIMIT: usize = 64;

/// Turns at looking at a single process.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    all: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            all: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            at_work: Arc::new(Semaphore::new(processors + MORE_THAN_PROCESSORS)),
        }
    }
}

impl Looks {
    /// Looks when it is its turn.
    pub(super) async fn take<T>(&self, look: impl Future<Output = T>) -> T {
        // Nobody closes them.
        let _turn = self.all.acquire().await;
        let working = self.at_work.acquire().await;
        let mut look = pin!(look);
        if let Ok(seen) = timeout(LOOK_IS_WORK_FOR, &mut look).await {
            return seen;
        }
        drop(working);
        look.await
    }
}

/// The probes under way, and which of them nobody waits for any more.
#[derive(Debug)]
pub(super) struct Probes<K> {
    last_number: u64,
    running: HashMap<u64, (K, Waiting)>,
}

impl<K> Default for Probes<K> {
    fn default() -> Self {
        Self {
            last_number: 0,
            running: HashMap::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    ForIt,
    NotAnyMore,
}

impl<K> Probes<K> {
    fn hang(&self) -> impl Iterator<Item = &K> {
        self.running
            .values()
            .filter(|(_, waiting)| *waiting == Waiting::NotAnyMore)
            .map(|(what, _)| what)
    }
}

/// Runs a probe of `what` where it may block. No answer in time is `None`, and so is an earlier one that
/// hangs: it keeps its thread, and nobody gives it company.
pub(super) async fn within<K, T>(
    probes: &Arc<Mutex<Probes<K>>>,
    what: K,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T>
where
    K: Copy + PartialEq + Send + 'static,
    T: Send + 'static,
{
    let entry = ProbeEntry::begin(probes, what)?;
    let number = entry.number;
    let answer = on_blocking_pool(limit, move || {
        // Held for as long as the probe runs, however long nobody waits for it any more.
        let _entry = entry;
        work()
    })
    .await;
    if answer.is_none() {
        let mut all = probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, waiting)) = all.running.get_mut(&number) {
            *waiting = Waiting::NotAnyMore;
        }
    }
    answer
}

/// One probe's entry among those under way; gone when the probe returns, whoever waits for it.
struct ProbeEntry<K> {
    probes: Arc<Mutex<Probes<K>>>,
    number: u64,
}

impl<K: Copy + PartialEq> ProbeEntry<K> {
    /// None if an earlier probe of this process hangs, or too many hang altogether. One that is
    /// only under way, for a scan while a kill checks again, say, stands in nobody's way.
    fn begin(probes: &Arc<Mutex<Probes<K>>>, what: K) -> Option<Self> {
        let mut all = probes.lock().unwrap_or_else(PoisonError::into_inner);
        if all.hang().any(|hanging| *hanging == what) || all.hang().count() >= HUNG_PROBES_LIMIT {
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

impl<K> Drop for ProbeEntry<K> {
    fn drop(&mut self) {
        let mut all = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        all.running.remove(&self.number);
    }
}

/// Runs `work` where it may block. No answer in time, or a panic, is `None`: never a statement.
pub(in crate::supervisor) async fn on_blocking_pool<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(panicked)) => {
            tracing::error!(error = %panicked, "a probe panicked");
            None
        }
        Err(_) => None,
    }
}
