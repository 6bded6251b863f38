//! The three states of a coordinator, and the words for why.
//!
//! How a verdict is found is [`super::judge`]'s.

use std::fmt;

/// What is to be thought of one coordinator. Only an orphan is ever signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its workspace is gone for good.
    Orphan(OrphanReason),
    /// Its workspace is there.
    Alive,
    /// It cannot be told.
    Unknown(UnknownReason),
}

/// Why a coordinator is an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrphanReason {
    /// A witness is linked only below a Trash directory.
    Trashed,
    /// The path is missing, and no witness speaks against a deletion.
    PathMissing,
    /// The original was deleted, and something else is at the path now.
    Replaced,
    /// Below a temporary root, with a component that holds this hint.
    Ephemeral(String),
}

/// Why it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownReason {
    /// No usable workspace in the argv.
    CmdlineUnparsed,
    /// Not one of the configured uids.
    ForeignUid,
    /// In another pid namespace.
    ForeignNamespace,
    /// The process may not be looked into.
    ProcessUnreadable(&'static str),
    /// The workspace is on a volume that is not mounted now.
    Unmounted,
    /// The original is linked at another path.
    Moved,
    /// Relative, missing and no witness.
    Unresolved,
    /// A symbolic link leads nowhere.
    DanglingSymlink,
    /// Resolving the path failed.
    Unreadable(&'static str),
    /// Resolving the path took too long.
    Timeout,
    /// Another directory than the remembered one, and no witness.
    MaybeReplaced,
}

/// The kinds of orphan reasons, as the configuration and requests name them.
pub const ORPHAN_REASON_KINDS: [&str; 4] = [
    "workspace_path_missing",
    "workspace_replaced",
    "workspace_trashed",
    "ephemeral_tempdir_pattern",
];

/// Whether a request may name orphans by `name`: a kind, or an ephemeral one's with its hint.
#[must_use]
pub fn names_orphans(name: &str) -> bool {
    ORPHAN_REASON_KINDS.contains(&name)
        || name
            .strip_prefix("ephemeral_tempdir_pattern:")
            .is_some_and(|hint| !hint.is_empty())
}

impl OrphanReason {
    /// The reason without its detail.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trashed => "workspace_trashed",
            Self::PathMissing => "workspace_path_missing",
            Self::Replaced => "workspace_replaced",
            Self::Ephemeral(_) => "ephemeral_tempdir_pattern",
        }
    }

    /// Whether a request for `name` (a kind, or the whole reason) means this reason.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        name == self.kind() || name == self.to_string()
    }
}

impl fmt::Display for OrphanReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind())?;
        match self {
            Self::Ephemeral(hint) => write!(formatter, ":{hint}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::CmdlineUnparsed => "cmdline_unparsed",
            Self::ForeignUid => "foreign_uid",
            Self::ForeignNamespace => "foreign_namespace",
            Self::ProcessUnreadable(errno) => {
                return write!(formatter, "process_unreadable:{errno}");
            }
            Self::Unmounted => "workspace_unmounted",
            Self::Moved => "workspace_moved",
            Self::Unresolved => "workspace_unresolved",
            Self::DanglingSymlink => "workspace_dangling_symlink",
            Self::Unreadable(errno) => return write!(formatter, "workspace_unreadable:{errno}"),
            Self::Timeout => "workspace_timeout",
            Self::MaybeReplaced => "workspace_maybe_replaced",
        };
        formatter.write_str(name)
    }
}

impl Verdict {
    /// `orphan`, `alive` or `unknown`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Orphan(_) => "orphan",
            Self::Alive => "alive",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The reason in the contract's words.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Orphan(reason) => reason.to_string(),
            Self::Alive => "workspace_alive".to_owned(),
            Self::Unknown(reason) => reason.to_string(),
        }
    }

    /// Why it is an orphan, if it is one.
    #[must_use]
    pub fn orphan_reason(&self) -> Option<&OrphanReason> {
        match self {
            Self::Orphan(reason) => Some(reason),
            Self::Alive | Self::Unknown(_) => None,
        }
    }
}
