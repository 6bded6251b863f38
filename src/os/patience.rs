//! Looks at processes that may hang, for whoever can wait only for so long.
//!
//! A process's arguments lie in its memory, and to read them the kernel locks its memory map (`get_mm_cmdline` in
//! fs/proc/base.c, `__access_remote_vm` in mm/memory.c). Whoever waits for a disk while it changes its map, in mmap(2) or
//! munmap(2) of a file on a dead mount, keeps everybody who asks for its arguments waiting: `ps`, too. Nothing but SIGKILL
//! ends such a wait. So a thread looks that can be left behind, and which processes those wait for is remembered:
//! nobody else is sent after them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::orphan::process::Pid;

/// How long the look at a process may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// At one; some microseconds are usual.
    each: Duration,
    /// At one, when the looks at all of them have taken `long` already: who makes many processes that are slow must
    /// not keep the others from being looked at.
    then: Duration,
    long: Duration,
}

const LIMITS: Limits = Limits {
    each: Duration::from_secs(1),
    then: Duration::from_millis(50),
    long: Duration::from_secs(5),
};

/// How many threads may be left behind: what waits for a dead mount on a build host may be much.
pub const LEFT_BEHIND_AT_MOST: usize = 256;

/// Whom threads wait for that were left behind, each with the limit long past.
static HANG: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether somebody else waits for this thread, and would leave it behind.
    static MAY_HANG: Cell<bool> = const { Cell::new(false) };
}

/// Why a look has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It hangs, or an earlier one at the same process still does.
    #[error("its memory map is locked: it gives no answer")]
    Hangs,
    /// It was not made: too many hang, or there was no thread for it.
    #[error("too many processes give no answer")]
    TooManyHang,
    /// It panicked.
    #[error("the look at it panicked")]
    Panicked,
}

impl From<NoAnswer> for io::Error {
    fn from(none: NoAnswer) -> Self {
        let kind = match none {
            NoAnswer::Hangs => io::ErrorKind::TimedOut,
            NoAnswer::TooManyHang => io::ErrorKind::QuotaExceeded,
            NoAnswer::Panicked => io::ErrorKind::Other,
        };
        Self::new(kind, none)
    }
}

/// At which processes looks hang.
#[must_use]
pub fn hanging() -> BTreeSet<Pid> {
    lock(&HANG).iter().copied().collect()
}

/// Makes a look on this very thread, for which nobody waits who could not leave it behind.
pub fn without_limit<T>(look: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            MAY_HANG.set(self.0);
        }
    }
    let _before = Before(MAY_HANG.replace(true));
    look()
}

/// Looks at one process.
///
/// # Errors
/// See [`NoAnswer`].
pub fn at_one<T: Send + 'static>(
    pid: Pid,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Result<T, NoAnswer> {
    if MAY_HANG.get() {
        return Ok(look(pid));
    }
    let answer = at_each(vec![pid], look).pop();
    answer.unwrap_or(Err(NoAnswer::TooManyHang))
}

/// Looks at these processes, one after the other, and passes over those that hang. Answers in their order.
pub fn at_each<T: Send + 'static>(
    pids: Vec<Pid>,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Vec<Result<T, NoAnswer>> {
    at_each_within(LIMITS, pids, look)
}

fn at_each_within<T: Send + 'static>(
    limits: Limits,
    pids: Vec<Pid>,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Vec<Result<T, NoAnswer>> {
    if MAY_HANG.get() {
        return pids.into_iter().map(|pid| Ok(look(pid))).collect();
    }
    if pids.is_empty() {
        return Vec::new();
    }
    let state = State {
        answers: Vec::with_capacity(pids.len()),
        at: At::Start(Instant::now()),
        thread: 0,
    };
    let round = Arc::new(Round {
        state: Mutex::new(state),
        has_ended: Condvar::new(),
        begun: Instant::now(),
        limits,
        pids,
        look,
    });
    round.wait()
}

/// Some processes to be looked at.
struct Round<T, L> {
    state: Mutex<State<T>>,
    has_ended: Condvar,
    begun: Instant,
    limits: Limits,
    pids: Vec<Pid>,
    look: L,
}

struct State<T> {
    /// Of the first of them, as far as it got.
    answers: Vec<Result<T, NoAnswer>>,
    at: At,
    /// The thread that goes on with it: those before were left behind.
    thread: usize,
}

/// Where the thread is, and since when.
#[derive(Clone, Copy)]
enum At {
    /// It has not begun.
    Start(Instant),
    /// At the first one that has no answer yet.
    Process(Instant),
    End,
}

impl<T: Send + 'static, L: Fn(Pid) -> T + Send + Sync + 'static> Round<T, L> {
    fn go_on(self: &Arc<Self>, state: &mut State<T>) {
        state.thread += 1;
        state.at = At::Start(Instant::now());
        let (round, thread) = (Arc::clone(self), state.thread);
        on_another_thread(move || without_limit(|| round.go_through(thread)));
    }

    /// Waits until all have been looked at, and sends another thread when one hangs.
    fn wait(self: &Arc<Self>) -> Vec<Result<T, NoAnswer>> {
        let mut state = lock(&self.state);
        self.go_on(&mut state);
        loop {
            let (At::Start(since) | At::Process(since)) = state.at else {
                return std::mem::take(&mut state.answers);
            };
            let limit = match self.begun.elapsed() < self.limits.long {
                true => self.limits.each,
                false => self.limits.then,
            };
            let left = limit.saturating_sub(since.elapsed());
            if !left.is_zero() {
                let woken = self.has_ended.wait_timeout(state, left);
                (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
            } else if let At::Start(_) = state.at {
                // There is no thread for it, and none would be there for another one.
                state.thread += 1;
                let mut answers = std::mem::take(&mut state.answers);
                answers.resize_with(self.pids.len(), || Err(NoAnswer::TooManyHang));
                return answers;
            } else {
                let pid = self.pids[state.answers.len()];
                tracing::warn!(pid, "a process does not let its arguments be read");
                lock(&HANG).push(pid);
                state.answers.push(Err(NoAnswer::Hangs));
                self.go_on(&mut state);
            }
        }
    }

    /// Until all have been looked at, or nobody waits for this thread any more.
    fn go_through(&self, thread: usize) {
        let mut seen: Option<(Pid, Result<T, NoAnswer>)> = None;
        loop {
            let mut state = lock(&self.state);
            if state.thread != thread {
                // It was left behind, and has come back after all.
                if let Some((pid, _)) = seen {
                    let mut hang = lock(&HANG);
                    let at = hang.iter().position(|one| *one == pid);
                    at.map(|at| hang.swap_remove(at));
                }
                return;
            }
            state.answers.extend(seen.take().map(|(_, answer)| answer));
            while let Some(pid) = self.pids.get(state.answers.len())
                && let Some(none) = held_up(*pid)
            {
                state.answers.push(Err(none));
            }
            let Some(&pid) = self.pids.get(state.answers.len()) else {
                state.at = At::End;
                self.has_ended.notify_one();
                return;
            };
            state.at = At::Process(Instant::now());
            drop(state);
            let look = catch_unwind(AssertUnwindSafe(|| (self.look)(pid)));
            seen = Some((pid, look.map_err(|_| NoAnswer::Panicked)));
        }
    }
}

/// Why nobody is sent to look at a process.
fn held_up(pid: Pid) -> Option<NoAnswer> {
    let hang = lock(&HANG);
    if hang.contains(&pid) {
        Some(NoAnswer::Hangs)
    } else {
        (hang.len() >= LEFT_BEHIND_AT_MOST).then_some(NoAnswer::TooManyHang)
    }
}

/// On one of the runtime's threads, which are there for more than one look; where there is no runtime, on one of its own.
fn on_another_thread(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        // If there is none, the look is not begun.
        Err(_) => drop(thread::Builder::new().spawn(work)),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    /// Beyond every pid that there can be: nobody else looks at these.
    const BEYOND: Pid = 1 << 24;

    /// A look that hangs at `pid` until the other end is dropped; and how often it was there.
    fn hanging_at(
        pid: Pid,
    ) -> (
        impl Fn(Pid) -> Pid + Send + Sync,
        Sender<()>,
        Arc<AtomicUsize>,
    ) {
        let (go_on, may_go_on) = channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let look = move |at: Pid| {
            if at == pid {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = lock(&may_go_on).recv();
            }
            at * 2
        };
        (look, go_on, count)
    }

    fn hangs(pid: Pid) -> bool {
        lock(&HANG).contains(&pid)
    }

    #[test]
    fn whoever_hangs_is_passed_over_and_not_looked_at_again_until_it_goes_on() {
        let [before, stuck, after] = [BEYOND, BEYOND + 1, BEYOND + 2];
        let (look, go_on, count) = hanging_at(stuck);
        let look = Arc::new(look);
        let again = {
            let look = Arc::clone(&look);
            move |pid| look(pid)
        };
        let all = vec![before, stuck, after];
        let expected = [Ok(before * 2), Err(NoAnswer::Hangs), Ok(after * 2)];
        let first = Arc::clone(&look);
        assert_eq!(at_each(all.clone(), move |pid| first(pid)), expected);
        assert!(hangs(stuck));
        for _ in 0..10 {
            assert_eq!(at_each(all.clone(), again.clone()), expected);
            assert_eq!(at_one(stuck, again.clone()), Err(NoAnswer::Hangs));
        }
        assert_eq!(count.load(Ordering::SeqCst), 1, "one thread waits for it");
        drop(go_on);
        while hangs(stuck) {
            thread::yield_now();
        }
        assert_eq!(at_one(stuck, again), Ok(stuck * 2));
    }

    #[test]
    fn where_many_are_slow_there_is_less_patience_with_each() {
        let limits = Limits {
            each: Duration::MAX,
            then: Duration::from_millis(10),
            long: Duration::ZERO,
        };
        let (look, go_on, _) = hanging_at(BEYOND + 30);
        let (tell, told) = channel();
        thread::spawn(move || tell.send(at_each_within(limits, vec![BEYOND + 30], look)));
        let answers = told.recv_timeout(Duration::from_secs(60));
        assert_eq!(answers.unwrap(), [Err(NoAnswer::Hangs)]);
        drop(go_on);
    }

    #[test]
    fn one_that_panics_says_so_and_the_others_are_looked_at() {
        let [fine, broken] = [BEYOND + 10, BEYOND + 11];
        let look = move |pid: Pid| {
            assert_ne!(pid, broken);
            pid
        };
        assert_eq!(
            at_each(vec![fine, broken, fine], look),
            [Ok(fine), Err(NoAnswer::Panicked), Ok(fine)]
        );
    }

    #[test]
    fn who_may_hang_looks_itself() {
        let here = thread::current().id();
        let who = |_: Pid| thread::current().id();
        assert_eq!(
            without_limit(|| at_each(vec![BEYOND + 20], who)),
            [Ok(here)]
        );
        assert_eq!(without_limit(|| at_one(BEYOND + 20, who)), Ok(here));
        assert_ne!(at_one(BEYOND + 20, who), Ok(here));
        let nested = move |pid: Pid| (thread::current().id(), at_one(pid, who));
        let (outer, inner) = at_one(BEYOND + 20, nested).unwrap();
        assert_eq!(inner, Ok(outer));
    }
}
