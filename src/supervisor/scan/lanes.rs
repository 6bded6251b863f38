//! Threads that go through probes: none that hangs holds up another probe.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::looks::LOOK_IS_WORK_FOR;
use super::probes::{HeldUp, ProbeEntry, Probed, Probes, ThreadEntry, lock};

/// How many probes of one scan run at the same time, when they take longer than that.
pub(super) const PROBES_AT_ONCE: usize = 8;

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// It came back.
    Given(T),
    /// It has not, in time, or an earlier one of the same has not yet, or it panicked.
    Awaited,
    /// It was not begun, for what others do.
    NotBegun,
}

impl<T> Answer<T> {
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(answer) => Some(answer),
            Self::Awaited | Self::NotBegun => None,
        }
    }
}

/// Runs a probe of `what` where it may block. It is not begun if others hang that it had better not be begun beside, an
/// earlier one of the same above all: that keeps its thread.
pub(super) async fn within<K: Probed, T: Send + 'static>(
    probes: &Arc<Mutex<Probes<K>>>,
    what: K,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Answer<T> {
    let answers = each_within(probes, limit, vec![(what, work)]).await;
    answers.into_iter().next().unwrap_or(Answer::NotBegun)
}

/// Runs probes, each of what stands beside it, and each within the limit. One thread goes through them, as long as they
/// are mere work: more would take longer to begin and to end than they work. After that [`PROBES_AT_ONCE`] others share
/// with it what is left; when one of them has no answer in time, another thread takes its place, unless too many hang by
/// then. Answers as [`within`] does, in their order.
pub(super) async fn each_within<K, T, W>(
    probes: &Arc<Mutex<Probes<K>>>,
    limit: Duration,
    works: Vec<(K, W)>,
) -> Vec<Answer<T>>
where
    K: Probed,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let mut answers: Vec<Answer<T>> = works.iter().map(|_| Answer::NotBegun).collect();
    let work = Shared {
        probes: Arc::clone(probes),
        queue: Arc::new(Mutex::new(works.into_iter().enumerate().collect())),
        answers: Arc::default(),
    };
    let _end = EndOfQueue(&work);
    if let Some(mut first) = Lane::begin(&work) {
        let alone = first.begun + LOOK_IS_WORK_FOR.min(limit);
        let first = (!first.is_back_by(alone).await).then_some(first);
        // It is at work, or one of them has panicked.
        if first.is_some() || !lock(&work.queue).is_empty() {
            let company = (0..PROBES_AT_ONCE).map(|_| along(&work, limit, None));
            tokio::join!(along(&work, limit, first), join_all(company));
        }
    }
    for (index, answer) in std::mem::take(&mut *lock(&work.answers)) {
        answers[index] = answer.map_or(Answer::Awaited, Answer::Given);
    }
    answers
}

/// Goes through the queue, on one thread after the other, each until it has no answer in time.
async fn along<'a, K, T, W>(
    work: &'a Shared<K, T, W>,
    limit: Duration,
    mut lane: Option<Lane<'a, K, T, W>>,
) where
    K: Probed,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    loop {
        let next = match lane.take() {
            Some(lane) => lane,
            None if lock(&work.queue).is_empty() => return,
            None => match Lane::begin(work) {
                Some(lane) => lane,
                None => return,
            },
        };
        if next.end(limit).await.is_break() {
            return;
        }
    }
}

/// What is left to be done, each with its place among the answers.
type Queue<K, W> = VecDeque<(usize, (K, W))>;

/// For each place none when its probe is begun, and then what that gives.
type Answers<T> = Vec<(usize, Option<T>)>;

/// What the threads of one call share.
struct Shared<K, T, W> {
    probes: Arc<Mutex<Probes<K>>>,
    queue: Arc<Mutex<Queue<K, W>>>,
    answers: Arc<Mutex<Answers<T>>>,
}

impl<K, T, W> Clone for Shared<K, T, W> {
    fn clone(&self) -> Self {
        Self {
            probes: Arc::clone(&self.probes),
            queue: Arc::clone(&self.queue),
            answers: Arc::clone(&self.answers),
        }
    }
}

/// When nobody waits any more, nothing more is begun.
struct EndOfQueue<'a, K, T, W>(&'a Shared<K, T, W>);

impl<K, T, W> Drop for EndOfQueue<'_, K, T, W> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut *lock(&self.0.queue));
        // Not under the lock: whatever it holds on to ends now.
        drop(left);
    }
}

/// A thread that goes through the queue. As long as this is there, somebody waits for what it does. Whoever gives up on
/// it leaves a mark at the probe that it is at, if it is at one, and nothing more for it to do.
struct Lane<'a, K, T, W> {
    work: &'a Shared<K, T, W>,
    at: Arc<Mutex<At>>,
    begun: Instant,
    /// None when it has come back.
    thread: Option<JoinHandle<()>>,
}

/// Where it is.
#[derive(Default)]
struct At {
    /// The number of the probe that it is at, and since when.
    current: Option<(u64, Instant)>,
    is_given_up: bool,
}

impl<K, T, W> Drop for Lane<'_, K, T, W> {
    fn drop(&mut self) {
        let mut at = lock(&self.at);
        at.is_given_up = true;
        if let Some((number, _)) = at.current {
            lock(&self.work.probes).give_up(number);
        }
    }
}

impl<'a, K, T, W> Lane<'a, K, T, W>
where
    K: Probed,
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    /// None if there are too many threads already.
    fn begin(work: &'a Shared<K, T, W>) -> Option<Self> {
        let entry = ThreadEntry::begin(&work.probes)?;
        let at = Arc::default();
        let (shared, place) = (work.clone(), Arc::clone(&at));
        let thread = tokio::task::spawn_blocking(move || {
            let _entry = entry;
            go_through(&shared, &place);
        });
        Some(Self {
            work,
            at,
            begun: Instant::now(),
            thread: Some(thread),
        })
    }

    /// Until it is back, or has no answer in time: then another one is to go on. Or until there was no thread for it in
    /// time: then there is none for another one either.
    async fn end(mut self, limit: Duration) -> ControlFlow<()> {
        loop {
            let since = |at: &At| at.current.map_or(self.begun, |(_, since)| since);
            let due = since(&lock(&self.at)) + limit;
            if self.is_back_by(due).await {
                return ControlFlow::Continue(());
            }
            let since = |at: &At| at.current.map_or(self.begun, |(_, since)| since);
            let mut at = lock(&self.at);
            if since(&at) + limit > due {
                // It has gone on meanwhile.
                continue;
            }
            at.is_given_up = true;
            return match at.current {
                Some(_) => ControlFlow::Continue(()),
                None => ControlFlow::Break(()),
            };
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

fn go_through<K, T, W>(work: &Shared<K, T, W>, place: &Mutex<At>)
where
    K: Probed,
    W: FnOnce() -> T,
{
    loop {
        let (index, entry, probe) = {
            let mut at = lock(place);
            at.current = None;
            if at.is_given_up {
                return;
            }
            let Some((index, (what, probe))) = lock(&work.queue).pop_front() else {
                return;
            };
            let entry = match ProbeEntry::begin(&work.probes, what) {
                Ok(entry) => entry,
                Err(HeldUp::ByOthers) => continue,
                Err(HeldUp::ByItself) => {
                    lock(&work.answers).push((index, None));
                    continue;
                }
            };
            lock(&work.answers).push((index, None));
            at.current = Some((entry.number(), Instant::now()));
            (index, entry, probe)
        };
        let answer = probe();
        // Held for as long as the probe runs, however long nobody waits for it any more.
        drop(entry);
        if !lock(place).is_given_up {
            lock(&work.answers).push((index, Some(answer)));
        }
    }
}
