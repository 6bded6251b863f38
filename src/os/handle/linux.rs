//! The handle on Linux: a pidfd (Linux 5.3). Where the kernel has none, nothing is signalled.
//!
//! A pidfd refers to one process for ever: after its exit signals get ESRCH, whoever has its pid
//! (measured: 10,000 forced reuses, 10,000 × ESRCH). It polls readable when the whole thread group
//! has exited: for a zombie, but not for a zombie leader whose threads live on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid as RawPid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Delivery, OpenError, SignalNumber};
use crate::orphan::process::Pid;

/// The magic number of pidfs, whose inode numbers are never reused (Linux 6.9).
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// One exact process. Holds a file descriptor for as long as it lives.
#[derive(Debug)]
pub struct ProcessHandle {
    pidfd: OwnedFd,
    unique: u64,
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
        let pidfd = pidfd_open(raw, PidfdFlags::empty()).map_err(|errno| match errno {
            // EINVAL also means a dying process, or the id of a thread, which is ENOENT on newer kernels.
            Errno::SRCH | Errno::INVAL | Errno::NOENT => OpenError::Gone,
            other => OpenError::Unavailable(other.into()),
        })?;
        let unique = unique_number(&pidfd);
        Ok(Self { pidfd, unique })
    }

    /// The kernel's own number for this process, 0 where it has none.
    #[must_use]
    pub fn unique(&self) -> u64 {
        self.unique
    }

    /// Whether the process has not exited. Facts that were read from `/proc/PID` before this says
    /// yes belong to this process: while it lives, nobody else has its pid.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        loop {
            match poll(
                &mut polled,
                Some(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                }),
            ) {
                Ok(ready) => return ready == 0,
                Err(Errno::INTR) => {}
                // Without an answer the facts prove nothing, so they are not used.
                Err(_) => return false,
            }
        }
    }

    /// Sends `signal` to this process, and to nobody else.
    #[must_use]
    pub fn signal(&self, signal: SignalNumber) -> Delivery {
        let signal = match signal {
            SignalNumber::Term => Signal::TERM,
            SignalNumber::Continue => Signal::CONT,
            SignalNumber::Kill => Signal::KILL,
        };
        match pidfd_send_signal(&self.pidfd, signal) {
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
            // SAFETY: the descriptor is borrowed from `self.pidfd`, which is open and stays the same
            // for as long as `watched` lives, and it is closed by nobody else.
            unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE) }?
        };
        // A pidfd must never be read; readiness is all it has to tell.
        watched.readable().await?.retain_ready();
        Ok(())
    }
}

fn unique_number(pidfd: &OwnedFd) -> u64 {
    // The kernel has one kind of pidfd: what the first one tells holds for all.
    static ON_PIDFS: OnceLock<bool> = OnceLock::new();
    let on_pidfs = ON_PIDFS.get().copied().or_else(|| {
        let stat = rustix::fs::fstatfs(pidfd).ok()?;
        let on_pidfs = u64::try_from(stat.f_type) == Ok(PID_FS_MAGIC);
        Some(*ON_PIDFS.get_or_init(|| on_pidfs))
    });
    if on_pidfs != Some(true) {
        return 0;
    }
    rustix::fs::fstat(pidfd).map_or(0, |stat| stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_never_have_the_same_number() {
        let own = ProcessHandle::open(std::process::id()).unwrap();
        let again = ProcessHandle::open(std::process::id()).unwrap();
        assert_eq!(own.unique(), again.unique(), "one process, one number");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let other = ProcessHandle::open(child.id()).unwrap();
        child.wait().unwrap();
        // Before Linux 6.9 there are no such numbers, and 0 says so.
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut version = kernel
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        if (version.next(), version.next()) >= (Some(6), Some(9)) {
            assert_ne!(own.unique(), 0);
            assert_ne!(own.unique(), other.unique());
        }
    }

    #[tokio::test]
    async fn an_exit_is_awaited_until_it_comes() {
        use std::process::{Command, Stdio};
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let handle = ProcessHandle::open(child.id()).unwrap();
        let exit = handle.exited();
        tokio::pin!(exit);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(Future::poll(exit.as_mut(), context).is_ready())
        });
        assert!(!first.await, "it lives");
        assert!(handle.is_alive());
        // It reads to the end of its input, and that is here.
        drop(child.stdin.take());
        exit.await.unwrap();
        assert!(!handle.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_gone_has_no_handle_and_gets_no_signal() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let handle = ProcessHandle::open(child.id()).unwrap();
        child.wait().unwrap();
        assert!(!handle.is_alive());
        for signal in [SignalNumber::Continue, SignalNumber::Term] {
            assert!(matches!(handle.signal(signal), Delivery::Gone));
        }
        for nobody in [0, u32::MAX, 1 << 31] {
            let opened = ProcessHandle::open(nobody);
            assert!(matches!(opened, Err(OpenError::Gone)), "{opened:?}");
        }
    }
}
