//! What the daemon itself cannot see, from where it stands: values, for decisions and for people.

use std::fmt;
use std::path::PathBuf;

/// Something that hides processes or paths from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// At this path the daemon sees something else than everybody else does, or nothing.
    HiddenPath {
        /// Where.
        path: PathBuf,
        /// Compared with the mount table of this process.
        compared_with: u32,
    },
    /// The daemon's root is another directory than everybody else's.
    AnotherRoot {
        /// Compared with the root of this process.
        compared_with: u32,
    },
    /// The process table leaves processes out, or does not let them be read.
    FilteredProcesses {
        /// The option of `/proc` that does it.
        option: String,
    },
    /// Nothing could be compared yet: comparing took too long.
    NotCompared,
    /// The daemon lives in a user namespace from which those who started it cannot be looked into.
    UserNamespace,
}

impl Obstacle {
    /// A stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::HiddenPath { .. } => "hidden_path",
            Self::AnotherRoot { .. } => "another_root",
            Self::FilteredProcesses { .. } => "filtered_processes",
            Self::NotCompared => "not_compared",
            Self::UserNamespace => "user_namespace",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HiddenPath {
                path,
                compared_with,
            } => write!(
                formatter,
                "at {path:?} it sees something else than process {compared_with} does (PrivateTmp=, \
                 ProtectHome=, InaccessiblePaths= and the like do that)"
            ),
            Self::AnotherRoot { compared_with } => write!(
                formatter,
                "its root is another directory than that of process {compared_with} \
                 (RootDirectory=, a chroot)"
            ),
            Self::FilteredProcesses { option } => write!(
                formatter,
                "/proc hides processes of other users ({option}; ProtectProc= does that)"
            ),
            Self::NotCompared => formatter.write_str(
                "what it sees could not be compared with what others see: no answer in time",
            ),
            Self::UserNamespace => write!(
                formatter,
                "it is in a user namespace of its own, from which other processes cannot be looked \
                 into (PrivateUsers=, and mount options in a user unit, do that)"
            ),
        }
    }
}
