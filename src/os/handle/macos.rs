//! The handle on macOS: a kqueue that is told of the exit, and the kernel's own number for the process.
//!
//! There is no descriptor that is the process. In its place: NOTE_EXIT is armed first, then it is read
//! which process has the pid: its unique number (never given twice, kept over exec) and its start time
//! in microseconds. As long as no exit is pending and both are unchanged, it is the same process, and
//! nobody else has its pid.
//!
//! A signal goes to the pid version that was seen under this check, in one step with comparing it
//! (`proc_signal_with_audittoken`, macOS 14.2). Where that call is missing, what remains is a window of
//! a few instructions between the check and kill(2), in which the process would have to exit, be
//! reaped, and its pid come round again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid as RawPid, Signal, kill_process};
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::by_version::signal_version;
use super::{Delivery, OpenError, SignalNumber};
use crate::orphan::process::Pid;
use crate::os::libproc::{UniqueIdentifier, pid_info, start_of};

/// `PROC_FLAG_INEXIT` of sys/proc_info.h: on its way through exit.
const IN_EXIT: u32 = 4;
/// How often a signal follows a process that becomes a new version by exec.
const VERSIONS_FOLLOWED: usize = 3;

/// One exact process. Holds a file descriptor for as long as it lives.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Has one event to wait for, which is never taken out: readable means exited.
    kqueue: OwnedFd,
    pid: RawPid,
    /// 0 if the kernel does not tell.
    unique: u64,
    /// Microseconds since the epoch.
    start: u64,
}

/// Why it cannot be said that the process is there.
enum Lost {
    /// It has exited.
    Gone,
    /// The kernel gives no answer.
    Unsure(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::SRCH) => Self::Gone,
            _ => Self::Unsure(error),
        }
    }
}

impl From<Lost> for OpenError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Gone => Self::Gone,
            Lost::Unsure(error) => Self::Unavailable(error),
        }
    }
}

impl From<Lost> for Delivery {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Gone => Self::Gone,
            Lost::Unsure(error) => Self::Refused(error),
        }
    }
}

impl ProcessHandle {
    /// Pins whatever process has `pid` at this moment.
    ///
    /// # Errors
    /// [`OpenError::Gone`] if there is none, [`OpenError::Unavailable`] if the kernel refuses.
    pub fn open(pid: Pid) -> Result<Self, OpenError> {
        let raw = i32::try_from(pid)
            .ok()
            .and_then(RawPid::from_raw)
            .ok_or(OpenError::Gone)?;
        let kqueue = armed(raw).map_err(|errno| Lost::from(io::Error::from(errno)))?;
        let unique = match pid_info::<UniqueIdentifier>(pid).map_err(Lost::from) {
            Ok(identifier) => identifier.unique,
            Err(Lost::Gone) => return Err(OpenError::Gone),
            Err(Lost::Unsure(_)) => 0,
        };
        let info: libc::proc_bsdshortinfo = pid_info(pid).map_err(Lost::from)?;
        if info.pbsi_flags & IN_EXIT != 0 {
            return Err(OpenError::Gone);
        }
        let start = start_of(pid).map_err(Lost::from)?;
        let handle = Self {
            kqueue,
            pid: raw,
            unique,
            start,
        };
        // Without an exit in between, all that was read is about the process that was armed.
        handle.version()?;
        Ok(handle)
    }

    /// The kernel's own number for this process, 0 where it has none.
    #[must_use]
    pub fn unique(&self) -> u64 {
        self.unique
    }

    /// Whether the process has not exited. Facts that were read about its pid before this says yes
    /// belong to this process: while it lives, nobody else has its pid.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // Without an answer the facts prove nothing, so they are not used.
        self.version().is_ok()
    }

    /// Sends `signal` to this process, and to nobody else: see the head of this file.
    #[must_use]
    pub fn signal(&self, signal: SignalNumber) -> Delivery {
        let signal = match signal {
            SignalNumber::Term => Signal::TERM,
            SignalNumber::Continue => Signal::CONT,
            SignalNumber::Kill => Signal::KILL,
        };
        for _ in 0..VERSIONS_FOLLOWED {
            let version = match self.version() {
                Ok(Some(version)) => version,
                Ok(None) => break,
                Err(lost) => return lost.into(),
            };
            let sent = match signal_version(self.known_pid(), version, signal.as_raw()) {
                Some(sent) => sent,
                None => break,
            };
            match sent.map_err(|error| (Errno::from_io_error(&error), error)) {
                Ok(()) => return Delivery::Sent,
                // Exited, or another version by now: the next look tells.
                Err((Some(Errno::SRCH), _)) => {}
                Err((Some(Errno::PERM), error)) => return Delivery::Refused(error),
                Err(_) => break,
            }
        }
        if let Err(lost) = self.version() {
            return lost.into();
        }
        // Nothing may come between the look above and this.
        match kill_process(self.pid, signal) {
            Ok(()) => Delivery::Sent,
            Err(Errno::SRCH) => Delivery::Gone,
            Err(errno) => Delivery::Refused(errno.into()),
        }
    }

    /// Returns when the process has exited. Costs no thread and no timer.
    ///
    /// # Errors
    /// If the runtime cannot watch another descriptor.
    pub async fn exited(&self) -> io::Result<()> {
        #[expect(
            unsafe_code,
            reason = "registering a borrowed descriptor has no safe form"
        )]
        let watched = {
            // SAFETY: the descriptor is borrowed from `self.kqueue`, which is open and stays the same
            // for as long as `watched` lives, and it is closed by nobody else.
            unsafe { AsyncFd::register_with_interest(self.kqueue.as_fd(), Interest::READABLE) }?
        };
        loop {
            let mut ready = watched.readable().await?;
            // The event stays in the queue, for whoever else asks.
            if self.exit_is_pending()? {
                ready.retain_ready();
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    fn known_pid(&self) -> Pid {
        self.pid.as_raw_pid().cast_unsigned()
    }

    /// Makes sure that the process is there and still the one that was pinned. The pid version it has
    /// now, where the kernel tells.
    fn version(&self) -> Result<Option<i32>, Lost> {
        if self.exit_is_pending()? {
            return Err(Lost::Gone);
        }
        let version = if self.unique == 0 {
            None
        } else {
            let now: UniqueIdentifier = pid_info(self.known_pid())?;
            if now.unique != self.unique {
                return Err(Lost::Gone);
            }
            Some(now.version)
        };
        if start_of(self.known_pid())? != self.start {
            return Err(Lost::Gone);
        }
        Ok(version)
    }

    fn exit_is_pending(&self) -> io::Result<bool> {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut polled = [PollFd::new(&self.kqueue, PollFlags::IN)];
        loop {
            match poll(&mut polled, Some(&at_once)) {
                Ok(ready) => return Ok(ready != 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A queue that gets an event when the process that has `pid` now exits.
fn armed(pid: RawPid) -> Result<OwnedFd, Errno> {
    let queue = kqueue()?;
    let exit = EventFilter::Proc {
        pid,
        flags: ProcessEvents::EXIT,
    };
    let changes = [Event::new(exit, EventFlags::ADD, std::ptr::null_mut())];
    let mut no_events: [Event; 0] = [];
    #[expect(
        unsafe_code,
        reason = "kevent is unsafe for the sake of filters that name descriptors"
    )]
    {
        // SAFETY: the only filter names a process, not a descriptor. With no room for events, a
        // registration that fails is the call's own error: ESRCH if there is no such process.
        unsafe { kevent(&queue, &changes, &mut no_events[..], Some(Duration::ZERO)) }?;
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("/bin/sleep").arg("60").spawn().unwrap()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_signal_reaches_its_process_alone_and_its_exit_is_seen() {
        let (mut victim, mut survivor) = (sleeper(), sleeper());
        let handle = ProcessHandle::open(victim.id()).unwrap();
        let other = ProcessHandle::open(survivor.id()).unwrap();
        assert_ne!(handle.unique(), 0);
        assert_ne!(handle.unique(), other.unique());
        assert!(handle.is_alive());
        assert!(matches!(handle.signal(SignalNumber::Term), Delivery::Sent));
        runtime().block_on(async {
            let limit = Duration::from_secs(10);
            tokio::time::timeout(limit, handle.exited())
                .await
                .unwrap()
                .unwrap();
            // Told again to whoever asks later.
            tokio::time::timeout(limit, handle.exited())
                .await
                .unwrap()
                .unwrap();
        });
        assert!(!handle.is_alive());
        assert!(matches!(handle.signal(SignalNumber::Kill), Delivery::Gone));
        assert!(other.is_alive(), "the survivor was not signalled");
        victim.wait().unwrap();
        assert!(matches!(
            ProcessHandle::open(victim.id()),
            Err(OpenError::Gone)
        ));
        survivor.kill().unwrap();
        survivor.wait().unwrap();
    }

    #[test]
    fn another_users_process_is_pinned_by_its_number_and_refuses_signals() {
        let launchd = ProcessHandle::open(1).unwrap();
        assert!(launchd.is_alive());
        if !nix::unistd::geteuid().is_root() {
            assert!(matches!(
                launchd.signal(SignalNumber::Continue),
                Delivery::Refused(_)
            ));
        }
    }
}
