//! Turns at looking, and looks that may hang: none holds another one up for longer than its limit.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

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
    let answers = each_within(probes, limit, vec![(what, work)]).await;
    answers.into_iter().next().flatten()
}

/// Runs probes, each of what stands beside it, one after the other on one thread, and each within the limit: when one
/// has no answer in time, the rest goes on on another thread. Answers as [`within`] does, in their order.
pub(super) async fn each_within<K, T, W>(
    probes: &Arc<Mutex<Probes<K>>>,
    limit: Duration,
    works: Vec<(K, W)>,
) -> Vec<Option<T>>
where
    K: Copy + PartialEq + Send + 'static,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let mut answers: Vec<Option<T>> = works.iter().map(|_| None).collect();
    let mut queue = VecDeque::new();
    for (index, (what, work)) in works.into_iter().enumerate() {
        queue.extend(ProbeEntry::begin(probes, what).map(|entry| (index, entry, work)));
    }
    while !queue.is_empty() {
        let lane = Arc::new(Mutex::new(Lane {
            queue,
            current: None,
            answers: Vec::new(),
        }));
        let attention = Attention {
            probes,
            lane: Arc::clone(&lane),
        };
        queue = match go_along(&lane, limit).await {
            LaneEnd::IsBack { rest } | LaneEnd::Hangs { rest } => rest,
            LaneEnd::NeverBegan => VecDeque::new(),
        };
        drop(attention);
        for (index, answer) in lock(&lane).answers.drain(..) {
            answers[index] = Some(answer);
        }
    }
    answers
}

type Queue<K, W> = VecDeque<(usize, ProbeEntry<K>, W)>;

/// Probes that one thread goes through.
struct Lane<K, T, W> {
    queue: Queue<K, W>,
    /// The number of the one that it is at, and since when.
    current: Option<(u64, Instant)>,
    answers: Vec<(usize, T)>,
}

/// As long as this is there, somebody waits for what a thread does. Whoever gives up on it leaves a mark at the probe
/// that it is at, if it is at one, and nothing more to do.
struct Attention<'a, K, T, W> {
    probes: &'a Arc<Mutex<Probes<K>>>,
    lane: Arc<Mutex<Lane<K, T, W>>>,
}

impl<K, T, W> Drop for Attention<'_, K, T, W> {
    fn drop(&mut self) {
        let (left, current) = {
            let mut lane = lock(&self.lane);
            (std::mem::take(&mut lane.queue), lane.current)
        };
        // Each takes its own mark away.
        drop(left);
        let mut probes = lock(self.probes);
        let at = current.and_then(|(number, _)| probes.running.get_mut(&number));
        if let Some((_, waiting)) = at {
            *waiting = Waiting::NotAnyMore;
        }
    }
}

/// How it came that nobody goes along a lane any more.
enum LaneEnd<K, W> {
    /// Its thread has come back: at the end, or from a panic.
    IsBack { rest: Queue<K, W> },
    /// Its thread had no answer in time.
    Hangs { rest: Queue<K, W> },
    /// There was no thread for it in time.
    NeverBegan,
}

/// Goes along a lane, until it is empty or somebody hangs.
async fn go_along<K, T, W>(lane: &Arc<Mutex<Lane<K, T, W>>>, limit: Duration) -> LaneEnd<K, W>
where
    K: Send + 'static,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let shared = Arc::clone(lane);
    let begun = Instant::now();
    let mut thread = tokio::task::spawn_blocking(move || {
        loop {
            let (index, entry, work) = {
                let mut lane = lock(&shared);
                let Some(next) = lane.queue.pop_front() else {
                    return;
                };
                lane.current = Some((next.1.number, Instant::now()));
                next
            };
            let answer = work();
            // Held for as long as the probe runs, however long nobody waits for it any more.
            drop(entry);
            lock(&shared).answers.push((index, answer));
        }
    });
    loop {
        let due = lock(lane).current.map_or(begun, |(_, since)| since) + limit;
        let end = timeout_at(due, &mut thread).await;
        let mut lane = lock(lane);
        if let Ok(end) = end {
            if let Err(panicked) = end {
                tracing::error!(error = %panicked, "a probe panicked");
            }
            let rest = std::mem::take(&mut lane.queue);
            return LaneEnd::IsBack { rest };
        }
        match lane.current {
            // It has gone on meanwhile.
            Some((_, since)) if since + limit > due => {}
            Some(_) => {
                let rest = std::mem::take(&mut lane.queue);
                return LaneEnd::Hangs { rest };
            }
            None => return LaneEnd::NeverBegan,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
