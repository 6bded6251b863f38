//! One process: which one it is, and what was read about it.
//!
//! Knows nothing of coordinators or workspaces.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

/// A process id, valid only together with the rest of a [`ProcessIdentity`].
pub type Pid = u32;

/// One exact process. A pid alone is never a map key nor a signal target.
///
/// Two identities are equal only if they are the same process: a recycled pid differs in `unique`
/// where the kernel numbers processes (pidfs, Linux 6.9), else at least in its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessIdentity {
    /// The process id in this pid namespace.
    pub pid: Pid,
    /// When it started: clock ticks since boot on Linux, microseconds since the epoch on macOS.
    pub start: u64,
    /// The kernel's own number for this process (inode of its pidfd on pidfs), 0 where there is none.
    pub unique: u64,
}

impl ProcessIdentity {
    /// Whether both are one process beyond doubt: a start time alone does not tell two processes
    /// with one pid apart, so the kernel must have numbered it.
    #[must_use]
    pub fn is_certainly(&self, other: &Self) -> bool {
        self.unique != 0 && self == other
    }
}

/// The scheduler's view of a process: `R`, `S`, `D`, `T`, `t`, `Z`, … as in proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunState(pub char);

impl RunState {
    /// What the letter means, for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self.0 {
            'R' => "running",
            'S' => "sleeping",
            'D' => "in uninterruptible sleep",
            'T' => "stopped",
            't' => "held by a tracer",
            'Z' => "zombie",
            'X' | 'x' => "dead",
            'I' => "idle",
            'P' => "parked",
            _ => "in an unknown state",
        }
    }
}

/// What was read about one process while its handle proved that it was still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// Which process this is.
    pub identity: ProcessIdentity,
    /// The argument vector as the kernel holds it; empty for kernel threads and zombies.
    pub argv: Vec<OsString>,
    /// Parent process id.
    pub ppid: Pid,
    /// Process group id.
    pub pgid: Pid,
    /// Session id.
    pub sid: Pid,
    /// Real user id.
    pub uid: u32,
    /// Effective, saved (and on Linux file-system) user ids, where they differ from the real one.
    pub other_uids: Vec<u32>,
    /// Wall-clock time of its start.
    pub started_at: SystemTime,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Its working directory as the kernel names it, if that may be read.
    pub cwd: Option<PathBuf>,
    /// What the scheduler says.
    pub state: RunState,
    /// Whether it lives in this process's own pid namespace.
    pub namespace: PidNamespace,
}

/// Where a process lives, relative to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidNamespace {
    /// In the daemon's own pid namespace.
    Own,
    /// In a pid namespace below it: a container, a sandbox.
    Foreign,
}

impl ProcessRecord {
    /// All user ids it runs under, the real one first.
    pub fn uids(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(self.uid).chain(self.other_uids.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_state_has_words_of_its_own() {
        let letters = ['R', 'S', 'D', 'T', 't', 'Z', 'X', 'I', 'P', '?'];
        let words: BTreeSet<&str> = letters.map(|letter| RunState(letter).describe()).into();
        assert_eq!(words.len(), letters.len(), "{words:?}");
        assert!(words.contains("zombie") && words.contains("in an unknown state"));
        assert_eq!(RunState('x').describe(), RunState('X').describe());
    }

    #[test]
    fn only_a_number_of_the_kernels_makes_an_identity_certain() {
        let numbered = ProcessIdentity {
            pid: 7,
            start: 70,
            unique: 700,
        };
        assert!(numbered.is_certainly(&numbered));
        for other in [
            ProcessIdentity { pid: 8, ..numbered },
            ProcessIdentity {
                start: 71,
                ..numbered
            },
            ProcessIdentity {
                unique: 701,
                ..numbered
            },
            ProcessIdentity {
                unique: 0,
                ..numbered
            },
        ] {
            assert!(!numbered.is_certainly(&other), "{other:?}");
            assert!(!other.is_certainly(&numbered), "{other:?}");
        }
        let by_its_start = ProcessIdentity {
            unique: 0,
            ..numbered
        };
        assert!(!by_its_start.is_certainly(&by_its_start));
    }
}
