//! The sieve on Linux: the price of a look follows what has changed, not what there is.
//!
//! The kernel gives pids in ascending order, round and round (`idr_alloc_cyclic` in kernel/pid.c), and
//! `/proc/loadavg` ends with the one it gave last (proc_loadavg(5)). So whoever was started after some
//! moment has a pid between what that file said then and what it says now: nothing has to be remembered of
//! who was there before. Looked at closely is whoever was started since the last look, or so shortly before
//! it that an exec may still come, and who is known. Where few were started, their pids are tried one after
//! the other, and nobody else is even listed.
//!
//! That misses an old process that execs, a pid that somebody chose (`clone3` with `set_tid`), and somebody
//! who was started in a time in which the pids have gone round once. A full sweep finds them, within
//! [`HIDES_AT_MOST`].

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, RawDir, open, readlinkat, statfs};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Candidates, Sweep};
use crate::orphan::coordinator::{CustomForm, may_be_coordinator};
use crate::orphan::process::Pid;
use crate::os::errno::is_shortage;
use crate::os::patience::{self, NoAnswer};
use crate::os::{facts, proc_file};

/// How long after its start a process is looked at each time: whoever starts a coordinator forks first.
const YOUNG_FOR: Duration = Duration::from_secs(15);
/// How long somebody may go unseen.
const HIDES_AT_MOST: Duration = Duration::from_secs(60);
/// However often is looked, there are not more marks than one for each of these.
const BETWEEN_MARKS: Duration = Duration::from_secs(1);
/// So many pids are tried in less time than all are listed in on a busy machine.
const FEW: u32 = 500;
/// The longest argv that is read, in bytes; whoever has a longer one is looked at closely.
const ARGV_LIMIT_BYTES: usize = 8 << 20;

/// What is remembered between two looks: the same for any number of processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Which pid was given last, at some moments: one at least [`YOUNG_FOR`] ago, and those since.
    marks: VecDeque<Mark>,
    looked: Option<Instant>,
    swept: Option<Instant>,
    /// Who did not let its arguments be read: they are looked at again each time.
    passed_over: BTreeSet<Pid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    at: Instant,
    last_pid: Pid,
}

/// The pids that were given after one and up to another, perhaps beyond the end of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given {
    after: Pid,
    up_to: Pid,
}

impl Given {
    /// All of them, threads' too, if they are few: the others are better looked for in a list.
    fn few(self) -> Option<RangeInclusive<Pid>> {
        let many = self.up_to.checked_sub(self.after)?;
        (many <= FEW).then(|| self.after + 1..=self.up_to)
    }

    /// Those of them that processes have.
    fn pids(self) -> io::Result<Vec<Pid>> {
        if let Some(few) = self.few() {
            return Ok(few.filter(|pid| may_be_process(*pid)).collect());
        }
        let mut pids = listed()?;
        pids.retain(|pid| self.includes(*pid));
        Ok(pids)
    }

    fn includes(self, pid: Pid) -> bool {
        let (is_after, is_up_to) = (pid > self.after, pid <= self.up_to);
        if self.after <= self.up_to {
            is_after && is_up_to
        } else {
            is_after || is_up_to
        }
    }
}

impl Seen {
    /// Who did not let its arguments be read: nobody knows whether they are coordinators.
    #[must_use]
    pub fn passed_over(&self) -> &BTreeSet<Pid> {
        &self.passed_over
    }

    /// After which pid the young ones begin, if not everybody has to be looked at now.
    fn young_after(&self, now: Instant) -> Option<Pid> {
        let since = |then: Option<Instant>| then.map(|then| now.saturating_duration_since(then));
        // By the look after this one it would have been too long.
        let hidden = since(self.swept)? + since(self.looked)?;
        let first = self.marks.front()?;
        (hidden <= HIDES_AT_MOST).then_some(first.last_pid)
    }

    /// The same after a look at `now`, before which `last_pid` was the one given last.
    fn after_look(&self, now: Instant, last_pid: Pid, was_full: bool) -> Self {
        let mut next = self.clone();
        let age = |mark: &Mark| now.saturating_duration_since(mark.at);
        if next
            .marks
            .back()
            .is_none_or(|mark| age(mark) >= BETWEEN_MARKS)
        {
            next.marks.push_back(Mark { at: now, last_pid });
        }
        while next.marks.get(1).is_some_and(|mark| age(mark) >= YOUNG_FOR) {
            next.marks.pop_front();
        }
        next.looked = Some(now);
        if was_full {
            next.swept = Some(now);
        }
        next
    }
}

/// Whether `/proc` shows the daemon's own pid namespace, whose pids it counts.
pub(super) fn sees_its_own_namespace() -> bool {
    readlinkat(CWD, "/proc/self", Vec::new())
        .is_ok_and(|name| pid_of(name.to_bytes()) == Some(std::process::id()))
}

/// See [`super::candidates`].
pub(super) fn candidates(
    seen: &Seen,
    sweep: Sweep,
    known: &BTreeSet<Pid>,
    forms: &[CustomForm],
    now: Instant,
) -> io::Result<Candidates> {
    // First this: whoever is started from now on is new at the next look.
    let before = last_pid();
    let after = match sweep {
        Sweep::WhatChanged => seen.young_after(now),
        Sweep::Full => None,
    };
    let young = match (after, &before) {
        (Some(after), Ok(up_to)) => Some(Given {
            after,
            up_to: *up_to,
        }),
        _ => None,
    };
    let is_full = young.is_none();
    let unknown = match young {
        Some(young) => young.pids()?,
        None => listed()?,
    };
    let again = seen.passed_over.iter().copied();
    let unknown: BTreeSet<Pid> = unknown.into_iter().chain(again).collect();
    let (suspects, passed_over) = sift(unknown.difference(known).copied().collect(), forms)?;
    let seen = match before {
        Ok(last_pid) => seen.after_look(now, last_pid, is_full),
        Err(_) => Seen::default(),
    };
    let seen = Seen {
        passed_over,
        ..seen
    };
    let pids = known
        .iter()
        .copied()
        .chain(suspects)
        .collect::<BTreeSet<Pid>>();
    let pids = pids.into_iter().collect();
    Ok(Candidates { pids, seen })
}

/// Which pid was given last, in the daemon's namespace; by the kernel's word, not by that of something
/// mounted over it, as containers have it (lxcfs).
fn last_pid() -> io::Result<Pid> {
    const LOADAVG: &str = "/proc/loadavg";
    if statfs(LOADAVG)?.f_type != PROC_SUPER_MAGIC {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let text = proc_file::read_record(LOADAVG)?;
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
    last.and_then(pid_of)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "malformed /proc/loadavg"))
}

/// The pids of all processes that `/proc` shows.
pub(super) fn listed() -> io::Result<Vec<Pid>> {
    let directory = open(
        "/proc",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = [const { MaybeUninit::uninit() }; 32 * 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        pids.extend(pid_of(entry?.file_name().to_bytes()));
    }
    Ok(pids)
}

fn pid_of(name: &[u8]) -> Option<Pid> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Those of these that may be coordinators; and those that hang, which give no answer to anybody else either.
///
/// # Errors
/// Out of descriptors or memory, or too many hang.
fn sift(pids: Vec<Pid>, forms: &[CustomForm]) -> io::Result<(Vec<Pid>, BTreeSet<Pid>)> {
    let forms = forms.to_vec();
    let answers = patience::at_each(pids.clone(), move |pid| may_be(pid, &forms));
    let (mut suspects, mut passed_over) = (Vec::new(), BTreeSet::new());
    for (pid, answer) in pids.into_iter().zip(answers) {
        match answer {
            Ok(may_be) => suspects.extend(may_be?.then_some(pid)),
            Err(NoAnswer::TooManyHang) => return Err(NoAnswer::TooManyHang.into()),
            Err(NoAnswer::Panicked) => suspects.push(pid),
            Err(NoAnswer::Hangs) => {
                passed_over.insert(pid);
            }
        }
    }
    Ok((suspects, passed_over))
}

/// Whether a process may be a coordinator. One whose argv cannot be read may be one; one that is gone
/// is none.
///
/// # Errors
/// Out of descriptors or memory.
fn may_be(pid: Pid, forms: &[CustomForm]) -> io::Result<bool> {
    match shows_one(pid, forms) {
        Err(error) if is_shortage(&error) => Err(error),
        Err(error) => Ok(!is_gone(&error)),
        Ok(shows_one) => Ok(shows_one),
    }
}

fn shows_one(pid: Pid, forms: &[CustomForm]) -> io::Result<bool> {
    let mut argv = Vec::new();
    let path = format!("/proc/{pid}/cmdline");
    proc_file::read_record_into(&mut argv, path, ARGV_LIMIT_BYTES)?;
    match argv.as_slice() {
        // A kernel thread; or a leader that has exited, whose threads may live on.
        [] => facts::is_zombie(pid),
        argv if argv.len() >= ARGV_LIMIT_BYTES => Ok(true),
        argv => {
            let elements = argv.strip_suffix(b"\0").unwrap_or(argv);
            let elements = elements.split(|byte| *byte == 0).map(OsStr::from_bytes);
            Ok(may_be_coordinator(elements, forms))
        }
    }
}

/// Not if nobody has this number, or only a thread of a process, which would show the argv of that: pidfd_open(2).
fn may_be_process(pid: Pid) -> bool {
    let number = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    number.is_some_and(|number| {
        let handle = pidfd_open(number, PidfdFlags::empty());
        !matches!(handle, Err(Errno::SRCH | Errno::INVAL | Errno::NOENT))
    })
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

#[cfg(test)]
mod tests;
