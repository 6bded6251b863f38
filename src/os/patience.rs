//! Looks at processes that may hang, for whoever can wait only for so long.
//!
//! A process's arguments lie in its memory, and to read them the kernel locks its memory map (`get_mm_cmdline` in
//! fs/proc/base.c, `__access_remote_vm` in mm/memory.c). Whoever waits for a disk while it changes its map, in mmap(2) or
//! munmap(2) of a file on a dead mount, keeps everybody who asks for its arguments waiting: `ps`, too. Nothing but SIGKILL
//! ends such a wait. So a thread looks that can be left behind, and which processes those wait for is remembered:
//! nobody else is sent after them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::host::open_file_limit;
use crate::orphan::process::Pid;

/// How many threads may be left behind: what waits for a dead mount on a build host may be much …
const LEFT_BEHIND_AT_MOST: usize = 256;
/// … but for each so many files may be open: it holds a process and a file of `/proc`, and others need some.
const DESCRIPTORS_FOR_EACH: u64 = 8;

/// Waited is in slices: who was stopped meanwhile, with the whole program, has missed one of them.
const SLICES: u32 = 4;

static PATIENCE: Patience = Patience {
    each: Duration::from_secs(1),
    then: Duration::from_millis(50),
    long: Duration::from_secs(5),
    left_behind_at_most: LEFT_BEHIND_AT_MOST,
    stack_bytes: 256 * 1024,
    hang: Mutex::new(Vec::new()),
};

/// How long looks may take, and who has no answer within that.
struct Patience {
    /// At one process; some microseconds are usual.
    each: Duration,
    /// At one, when the looks at all of them have taken `long` already: who makes many processes that are slow must
    /// not keep the others from being looked at.
    then: Duration,
    long: Duration,
    left_behind_at_most: usize,
    /// What a look has for its stack.
    stack_bytes: usize,
    /// Whom threads wait for that were left behind.
    hang: Mutex<Vec<Pid>>,
}

thread_local! {
    /// Whether somebody else waits for this thread, and would leave it behind.
    static MAY_HANG: Cell<bool> = const { Cell::new(false) };
    /// Whom this thread passes over besides.
    static PASSED_OVER: RefCell<BTreeSet<Pid>> = const { RefCell::new(BTreeSet::new()) };
}

/// Why a look has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It hangs, or an earlier one at the same process still does.
    #[error("its memory map is locked: it gives no answer")]
    Hangs,
    /// It was not made: too many hang.
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
    lock(&PATIENCE.hang).iter().copied().collect()
}

/// The same after [`slow_ones`] said who is not to be looked at: they may go on, and hang again, at any moment.
pub fn without_limit_but<T>(passed_over: &BTreeSet<Pid>, looks: impl FnOnce() -> T) -> T {
    PASSED_OVER.with_borrow_mut(|all| all.clone_from(passed_over));
    let result = without_limit(looks);
    PASSED_OVER.with_borrow_mut(BTreeSet::clear);
    result
}

/// Who of these does not let itself be looked at: who hangs, or takes its time when all of them together take long.
#[must_use]
pub fn slow_ones<T>(
    pids: Vec<Pid>,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> BTreeSet<Pid> {
    let begun = Instant::now();
    let times = at_each(pids.clone(), move |pid| {
        let begun = Instant::now();
        look(pid);
        begun.elapsed()
    });
    let is_long = begun.elapsed() >= PATIENCE.each;
    let times = pids.into_iter().zip(times);
    let is_slow = |time: &Result<Duration, NoAnswer>| {
        time.is_err() || (is_long && time.is_ok_and(|time| time >= PATIENCE.then))
    };
    let slow = times.filter(|(_, time)| is_slow(time));
    slow.map(|(pid, _)| pid).collect()
}

/// Makes looks on this very thread: whoever waits for it would leave it behind. Who hangs by now is passed over all
/// the same.
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
        return PATIENCE.look_here(pid, &look);
    }
    let answer = at_each(vec![pid], look).pop();
    answer.unwrap_or(Err(NoAnswer::TooManyHang))
}

/// Looks at these processes, one after the other, and passes over those that hang. Answers in their order.
pub fn at_each<T: Send + 'static>(
    pids: Vec<Pid>,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Vec<Result<T, NoAnswer>> {
    if MAY_HANG.get() {
        let looks = pids.into_iter().map(|pid| PATIENCE.look_here(pid, &look));
        return looks.collect();
    }
    PATIENCE.at_each(pids, look)
}

impl Patience {
    fn at_each<T: Send + 'static>(
        &'static self,
        pids: Vec<Pid>,
        look: impl Fn(Pid) -> T + Send + Sync + 'static,
    ) -> Vec<Result<T, NoAnswer>> {
        if pids.is_empty() {
            return Vec::new();
        }
        let state = State {
            answers: Vec::with_capacity(pids.len()),
            at: At::Start,
            thread: 0,
        };
        let round = Arc::new(Round {
            patience: self,
            begun: Instant::now(),
            state: Mutex::new(state),
            has_ended: Condvar::new(),
            pids,
            look,
        });
        round.wait()
    }

    fn look_here<T>(&self, pid: Pid, look: &impl Fn(Pid) -> T) -> Result<T, NoAnswer> {
        if PASSED_OVER.with_borrow(|all| all.contains(&pid)) {
            return Err(NoAnswer::Hangs);
        }
        match self.held_up(pid) {
            Some(none) => Err(none),
            None => Ok(look(pid)),
        }
    }

    /// Why nobody is sent to look at a process.
    fn held_up(&self, pid: Pid) -> Option<NoAnswer> {
        let hang = lock(&self.hang);
        if hang.contains(&pid) {
            return Some(NoAnswer::Hangs);
        }
        let is_enough = !hang.is_empty() && hang.len() >= self.left_behind_at_most();
        is_enough.then_some(NoAnswer::TooManyHang)
    }

    /// Whether it is the only one.
    fn leave_behind(&self, pid: Pid) -> bool {
        let mut hang = lock(&self.hang);
        hang.push(pid);
        hang.len() == 1
    }

    fn left_behind_at_most(&self) -> usize {
        let room = open_file_limit().unwrap_or_default() / DESCRIPTORS_FOR_EACH;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        room.min(self.left_behind_at_most)
    }
}

/// Some processes to be looked at.
struct Round<T, L> {
    patience: &'static Patience,
    begun: Instant,
    state: Mutex<State<T>>,
    has_ended: Condvar,
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

impl<T> State<T> {
    fn place(&self) -> (usize, At) {
        (self.answers.len(), self.at)
    }
}

/// Where the thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// It has not begun.
    Start,
    /// At the first one that has no answer yet.
    Process,
    End,
}

impl<T: Send + 'static, L: Fn(Pid) -> T + Send + Sync + 'static> Round<T, L> {
    /// Sends another thread.
    ///
    /// # Errors
    /// If there is none.
    fn go_on(self: &Arc<Self>, state: &mut State<T>) -> io::Result<()> {
        state.thread += 1;
        state.at = At::Start;
        let (round, thread) = (Arc::clone(self), state.thread);
        // Not one of the runtime's: all of those may be taken by whoever waits here.
        thread::Builder::new()
            .name("patience".to_owned())
            .stack_size(self.patience.stack_bytes)
            .spawn(move || without_limit(|| round.go_through(thread)))
            .map(drop)
    }

    /// Waits until all have been looked at, and sends another thread when one hangs. Where there is no other thread, this
    /// one looks, and hangs perhaps.
    fn wait(self: &Arc<Self>) -> Vec<Result<T, NoAnswer>> {
        let mut state = lock(&self.state);
        let mut is_under_way = self.go_on(&mut state);
        let mut said = None;
        let mut place = state.place();
        let mut waited = 0;
        while state.at != At::End {
            if let Err(error) = is_under_way {
                tracing::debug!(%error, "no other thread to look at processes");
                let thread = state.thread;
                drop(state);
                without_limit(|| self.go_through(thread));
                state = lock(&self.state);
                break;
            }
            let (woken, slice) = self
                .has_ended
                .wait_timeout(state, self.limit() / SLICES)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            waited = match place == state.place() {
                true => waited + u32::from(slice.timed_out()),
                false => 0,
            };
            place = state.place();
            // One that has not begun yet only waits for its turn.
            if state.at == At::Process && waited >= SLICES {
                let pid = self.pids[state.answers.len()];
                // Of many that are slow again and again only one is said.
                said = said.or(self.patience.leave_behind(pid).then_some(pid));
                state.answers.push(Err(NoAnswer::Hangs));
                is_under_way = self.go_on(&mut state);
                (place, waited) = (state.place(), 0);
            }
        }
        let answers = std::mem::take(&mut state.answers);
        drop(state);
        if let Some(pid) = said {
            tracing::warn!(pid, "a process does not let its arguments be read");
        }
        answers
    }

    /// How long the look at one process may take now.
    fn limit(&self) -> Duration {
        match self.begun.elapsed() < self.patience.long {
            true => self.patience.each,
            false => self.patience.then,
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
                    let mut hang = lock(&self.patience.hang);
                    let at = hang.iter().position(|one| *one == pid);
                    at.map(|at| hang.swap_remove(at));
                }
                return;
            }
            state.answers.extend(seen.take().map(|(_, answer)| answer));
            while let Some(pid) = self.pids.get(state.answers.len())
                && let Some(none) = self.patience.held_up(*pid)
            {
                state.answers.push(Err(none));
            }
            let Some(&pid) = self.pids.get(state.answers.len()) else {
                state.at = At::End;
                self.has_ended.notify_one();
                return;
            };
            state.at = At::Process;
            drop(state);
            let look = catch_unwind(AssertUnwindSafe(|| (self.look)(pid)));
            seen = Some((pid, look.map_err(|_| NoAnswer::Panicked)));
        }
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

    const BRIEF: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    /// One of the test's own: what hangs there is in nobody else's way.
    fn patience(each: Duration, long: Duration) -> &'static Patience {
        leaked(Patience {
            each,
            then: BRIEF,
            long,
            left_behind_at_most: 2,
            stack_bytes: PATIENCE.stack_bytes,
            hang: Mutex::new(Vec::new()),
        })
    }

    fn leaked(patience: Patience) -> &'static Patience {
        Box::leak(Box::new(patience))
    }

    /// Hangs from some pid on until the other end is dropped; and how often that was tried.
    fn hanging_from(
        first: Pid,
    ) -> (
        Arc<impl Fn(Pid) -> Pid + Send + Sync>,
        Sender<()>,
        Arc<AtomicUsize>,
    ) {
        let (go_on, may_go_on) = channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let look = move |pid: Pid| {
            if pid >= first {
                counted.fetch_add(1, Ordering::SeqCst);
                // Each that waits holds the lock: the others wait for that.
                let _ = lock(&may_go_on).recv();
            }
            pid * 2
        };
        (Arc::new(look), go_on, count)
    }

    #[test]
    fn whoever_hangs_is_passed_over_and_not_looked_at_again_until_it_goes_on() {
        let patience = patience(Duration::from_secs(2), LONG);
        let (look, go_on, count) = hanging_from(9);
        let looks = || {
            let look = Arc::clone(&look);
            patience.at_each(vec![1, 9, 2], move |pid| look(pid))
        };
        for _ in 0..10 {
            assert_eq!(looks(), [Ok(2), Err(NoAnswer::Hangs), Ok(4)]);
            assert_eq!(*lock(&patience.hang), [9]);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1, "one thread waits for it");
        drop(go_on);
        while !lock(&patience.hang).is_empty() {
            thread::yield_now();
        }
        assert_eq!(looks(), [Ok(2), Ok(18), Ok(4)]);
    }

    #[test]
    fn where_many_are_slow_there_is_less_patience_with_each() {
        let patience = patience(LONG, Duration::ZERO);
        let (look, go_on, _) = hanging_from(9);
        let (tell, told) = channel();
        thread::spawn(move || tell.send(patience.at_each(vec![9], move |pid| look(pid))));
        let answers = told.recv_timeout(Duration::from_secs(60));
        assert_eq!(answers.unwrap(), [Err(NoAnswer::Hangs)]);
        drop(go_on);
    }

    #[test]
    fn no_more_threads_are_left_behind_than_may_be() {
        let patience = patience(BRIEF, LONG);
        let (look, go_on, count) = hanging_from(9);
        let again = Arc::clone(&look);
        let hang = || Err(NoAnswer::Hangs);
        let is_too_much = || Err(NoAnswer::TooManyHang);
        let answers = patience.at_each(vec![9, 10, 11, 12], move |pid| look(pid));
        assert_eq!(answers, [hang(), hang(), is_too_much(), is_too_much()]);
        let answers = patience.at_each(vec![9, 1], move |pid| again(pid));
        assert_eq!(answers, [hang(), is_too_much()]);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        drop(go_on);
    }

    #[test]
    fn where_there_is_no_other_thread_this_one_looks() {
        // No machine has so much.
        let patience = leaked(Patience {
            each: LONG,
            then: LONG,
            long: LONG,
            left_behind_at_most: 2,
            stack_bytes: 1 << 60,
            hang: Mutex::new(vec![2]),
        });
        let here = thread::current().id();
        let answers = patience.at_each(vec![1, 2, 3], |_| thread::current().id());
        assert_eq!(answers, [Ok(here), Err(NoAnswer::Hangs), Ok(here)]);
        assert!(!MAY_HANG.get());
    }

    #[test]
    fn who_was_slow_is_passed_over_where_nobody_waits_with_a_limit() {
        let (look, go_on, _) = hanging_from(9);
        let slow = slow_ones(vec![1, 9], move |pid| look(pid));
        assert_eq!(slow, [9].into());
        drop(go_on);
        while hanging().contains(&9) {
            thread::yield_now();
        }
        let looks = || at_each(vec![1, 9, 2], |pid| pid);
        let passed_over = [Ok(1), Err(NoAnswer::Hangs), Ok(2)];
        assert_eq!(without_limit_but(&slow, looks), passed_over);
        assert_eq!(without_limit(looks), [Ok(1), Ok(9), Ok(2)]);
        // Where not all together are slow nobody is.
        let nap = |_| thread::sleep(PATIENCE.then * 2);
        assert_eq!(slow_ones(vec![1], nap), [].into());
        let naps: Vec<Pid> = (1..=11).collect();
        assert_eq!(slow_ones(naps.clone(), nap), naps.into_iter().collect());
    }

    #[test]
    fn one_that_panics_says_so_and_the_others_are_looked_at() {
        let look = |pid: Pid| {
            assert_ne!(pid, 2);
            pid
        };
        let expected = [Ok(1), Err(NoAnswer::Panicked), Ok(3)];
        assert_eq!(at_each(vec![1, 2, 3], look), expected);
        assert_eq!(at_each(Vec::new(), look), []);
    }

    #[test]
    fn who_may_hang_looks_itself() {
        let here = thread::current().id();
        let who = |_: Pid| thread::current().id();
        assert_eq!(without_limit(|| at_each(vec![1], who)), [Ok(here)]);
        assert_eq!(without_limit(|| at_one(1, who)), Ok(here));
        assert_ne!(at_one(1, who), Ok(here));
        let nested = move |pid: Pid| (thread::current().id(), at_one(pid, who));
        let (outer, inner) = at_one(1, nested).unwrap();
        assert_eq!(inner, Ok(outer));
    }
}
