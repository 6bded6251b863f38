//! Looks at processes that may hang, for whoever can wait only for so long.
//!
//! A process's arguments lie in its memory, and to read them the kernel locks its memory map (`get_mm_cmdline` in
//! fs/proc/base.c, `__access_remote_vm` in mm/memory.c). Whoever waits for a disk while it changes its map, in mmap(2) or
//! munmap(2) of a file on a dead mount, keeps everybody who asks for its arguments waiting: `ps`, too. Nothing but SIGKILL
//! ends such a wait. So a thread looks that can be left behind, and which processes those wait for is remembered:
//! nobody else is sent after them.

use std::cell::RefCell;
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
    /// Whom this thread passes over, if it looks itself: somebody else waits for it, and would leave it behind.
    static LOOKS_ITSELF: RefCell<Option<BTreeSet<Pid>>> = const { RefCell::new(None) };
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
pub fn without_limit<T>(looks: impl FnOnce() -> T) -> T {
    without_limit_but(&BTreeSet::new(), looks)
}

/// The same, and never at these, of whom [`slow_ones`] has said that they are slow: they may go on, and hang again, at
/// any moment.
pub fn without_limit_but<T>(passed_over: &BTreeSet<Pid>, looks: impl FnOnce() -> T) -> T {
    struct Before(Option<BTreeSet<Pid>>);
    impl Drop for Before {
        fn drop(&mut self) {
            LOOKS_ITSELF.set(self.0.take());
        }
    }
    let before = Before(LOOKS_ITSELF.take());
    let mut all = passed_over.clone();
    all.extend(before.0.iter().flatten());
    LOOKS_ITSELF.set(Some(all));
    looks()
}

/// The answer of a look on this very thread, if it looks itself.
fn look_here<T>(pid: Pid, look: &impl Fn(Pid) -> T) -> Option<Result<T, NoAnswer>> {
    let is_passed_over = LOOKS_ITSELF
        .with_borrow(|passed_over| passed_over.as_ref().map(|all| all.contains(&pid)))?;
    let held_up = match is_passed_over {
        true => Some(NoAnswer::Hangs),
        false => PATIENCE.held_up(pid),
    };
    Some(held_up.map_or_else(|| Ok(look(pid)), Err))
}

/// Looks at one process.
///
/// # Errors
/// See [`NoAnswer`].
pub fn at_one<T: Send + 'static>(
    pid: Pid,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Result<T, NoAnswer> {
    look_here(pid, &look)
        .or_else(|| PATIENCE.at_each(vec![pid], look).pop())
        .unwrap_or(Err(NoAnswer::TooManyHang))
}

/// Looks at these processes, one after the other, and passes over those that hang. Answers in their order.
pub fn at_each<T: Send + 'static>(
    pids: Vec<Pid>,
    look: impl Fn(Pid) -> T + Send + Sync + 'static,
) -> Vec<Result<T, NoAnswer>> {
    let here = pids.iter().map(|pid| look_here(*pid, &look)).collect();
    Option::unwrap_or_else(here, || PATIENCE.at_each(pids, look))
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
mod tests;
