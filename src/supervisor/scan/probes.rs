//! Turns at looking, and looks that may hang: none holds another one up for longer than its limit.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// How many single processes are looked at at the same time, in waves of whatever size. The time limits begin
/// with the turn.
const LOOKS_AT_ONCE: usize = 16;
/// So many more of them than there are processors work at the same time: more would only take the processors
/// from the one that answers …
const MORE_THAN_PROCESSORS: usize = 1;
/// … unless one takes longer than this: it waits for a disk, and no longer stands in another's way.
pub(super) const LOOK_IS_WORK_FOR: Duration = Duration::from_millis(50);
/// How many probes of one scan run at the same time, when they take longer than that.
pub(super) const PROBES_AT_ONCE: usize = 8;
/// How many probes may hang before no further one is started; the same holds for looks at a process by itself.
pub(super) const HUNG_PROBES_LIMIT: usize = 64;

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

/// Runs probes, each of what stands beside it, and each within the limit. One thread goes through them, as long as they
/// are mere work: more would take longer to begin and to end than they work. What it has not come to by then is shared
/// out to [`PROBES_AT_ONCE`] others; when one of those has no answer in time, its rest goes on on another thread, unless
/// too many hang by then. Answers as [`within`] does, in their order.
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
    let mut first = Lane::begin(probes, queue);
    let rest = first.rest_after(LOOK_IS_WORK_FOR.min(limit)).await;
    // In turn: neighbours may well wait for the same disk.
    let mut lanes: [Queue<K, W>; PROBES_AT_ONCE] = Default::default();
    for (number, probe) in rest.into_iter().enumerate() {
        lanes[number % PROBES_AT_ONCE].push_back(probe);
    }
    let company = join_all(lanes.map(|lane| along(probes, limit, lane)));
    let ((_, of_first), of_company) = tokio::join!(first.end(limit), company);
    for (index, answer) in of_company.into_iter().flatten().chain(of_first) {
        answers[index] = Some(answer);
    }
    answers
}

/// Goes through a queue, on one thread after the other, each until it has no answer in time.
async fn along<K, T, W>(
    probes: &Arc<Mutex<Probes<K>>>,
    limit: Duration,
    mut queue: Queue<K, W>,
) -> Vec<(usize, T)>
where
    K: Send + 'static,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let mut answers = Vec::new();
    // Asked again before each thread: those that hang by now were not known to when the queue was made.
    while !queue.is_empty() && lock(probes).hang().count() < HUNG_PROBES_LIMIT {
        let (rest, found) = Lane::begin(probes, queue).end(limit).await;
        answers.extend(found);
        queue = rest;
    }
    answers
}

type Queue<K, W> = VecDeque<(usize, ProbeEntry<K>, W)>;

/// A thread that goes through probes. As long as this is there, somebody waits for what it does. Whoever gives up on
/// it leaves a mark at the probe that it is at, if it is at one, and nothing more to do.
struct Lane<'a, K, T, W> {
    probes: &'a Arc<Mutex<Probes<K>>>,
    shared: Arc<Mutex<Progress<K, T, W>>>,
    begun: Instant,
    /// None when it has come back.
    thread: Option<JoinHandle<()>>,
}

/// How far it has come.
struct Progress<K, T, W> {
    queue: Queue<K, W>,
    /// The number of the one that it is at, and since when.
    current: Option<(u64, Instant)>,
    answers: Vec<(usize, T)>,
}

impl<K, T, W> Drop for Lane<'_, K, T, W> {
    fn drop(&mut self) {
        let (left, current) = {
            let mut progress = lock(&self.shared);
            (std::mem::take(&mut progress.queue), progress.current)
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

impl<'a, K, T, W> Lane<'a, K, T, W>
where
    K: Send + 'static,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    fn begin(probes: &'a Arc<Mutex<Probes<K>>>, queue: Queue<K, W>) -> Self {
        let shared = Arc::new(Mutex::new(Progress {
            queue,
            current: None,
            answers: Vec::new(),
        }));
        let progress = Arc::clone(&shared);
        Self {
            probes,
            shared,
            begun: Instant::now(),
            thread: Some(tokio::task::spawn_blocking(move || go_through(&progress))),
        }
    }

    /// What it has not come to when it is back, or after this time. It does nothing of that any more.
    async fn rest_after(&mut self, time: Duration) -> Queue<K, W> {
        self.is_back_by(self.begun + time).await;
        std::mem::take(&mut lock(&self.shared).queue)
    }

    /// What it has not come to when it is back, or has no answer in time, or there was no thread for it in time; and
    /// its answers.
    async fn end(mut self, limit: Duration) -> (Queue<K, W>, Vec<(usize, T)>) {
        loop {
            let due = lock(&self.shared).current.map_or(self.begun, since) + limit;
            let is_back = self.is_back_by(due).await;
            let mut progress = lock(&self.shared);
            if !is_back && progress.current.is_some_and(|at| since(at) + limit > due) {
                // It has gone on meanwhile.
                continue;
            }
            let rest = match is_back || progress.current.is_some() {
                true => std::mem::take(&mut progress.queue),
                false => VecDeque::new(),
            };
            drop(progress);
            let shared = Arc::clone(&self.shared);
            drop(self);
            let answers = std::mem::take(&mut lock(&shared).answers);
            return (rest, answers);
        }
    }

    /// Whether the thread has come back by then, at the end or from a panic.
    async fn is_back_by(&mut self, due: Instant) -> bool {
        let Some(thread) = &mut self.thread else {
            return true;
        };
        let Ok(end) = timeout_at(due, thread).await else {
            return false;
        };
        if let Err(panicked) = end {
            tracing::error!(error = %panicked, "a probe panicked");
        }
        self.thread = None;
        true
    }
}

fn since(current: (u64, Instant)) -> Instant {
    current.1
}

fn go_through<K, T, W: FnOnce() -> T>(progress: &Mutex<Progress<K, T, W>>) {
    loop {
        let (index, entry, work) = {
            let mut progress = lock(progress);
            let Some(next) = progress.queue.pop_front() else {
                return;
            };
            progress.current = Some((next.1.number, Instant::now()));
            next
        };
        let answer = work();
        // Held for as long as the probe runs, however long nobody waits for it any more.
        drop(entry);
        lock(progress).answers.push((index, answer));
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
