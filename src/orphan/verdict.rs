//! Coordinator + evidence + what is remembered → [`Verdict`].
//!
//! Three states: an error, a time-out or a doubt is [`Verdict::Unknown`], never an orphan. Knows no
//! thresholds and no time; what is remembered comes from the registry.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::coordinator::WorkspaceArgument;
use super::evidence::{
    Access, Dangling, Detachable, Evidence, Fate, FileId, MountKey, PathState, PidFile,
};

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

/// What makes a path ephemeral.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EphemeralRules {
    /// Parts of directory names that test suites use.
    pub hints: Vec<String>,
    /// Where such directories count.
    pub roots: EphemeralRoots,
}

/// Where ephemeral hints count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EphemeralRoots {
    /// Only below these directories.
    Below(Vec<PathBuf>),
    /// In any path.
    Anywhere,
}

impl Default for EphemeralRoots {
    fn default() -> Self {
        Self::Below(Vec::new())
    }
}

impl EphemeralRules {
    /// The first hint that a component of `path` below a temporary root contains.
    #[must_use]
    pub fn hint_in(&self, path: &Path) -> Option<&str> {
        let below_roots: Vec<&Path> = match &self.roots {
            EphemeralRoots::Anywhere => vec![path.strip_prefix("/").unwrap_or(path)],
            EphemeralRoots::Below(roots) => roots
                .iter()
                .filter_map(|root| path.strip_prefix(root).ok())
                .collect(),
        };
        self.hints.iter().map(String::as_str).find(|hint| {
            below_roots
                .iter()
                .flat_map(|below| below.components())
                .any(|component| component.as_os_str().to_string_lossy().contains(hint))
        })
    }
}

/// What earlier looks at the same process left behind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// The cwd, when its path was the workspace.
    pub cwd_at_workspace: Option<FileId>,
    /// The directory that was first seen at the path.
    pub original: Option<FileId>,
    /// The mount on which the workspace was seen.
    pub mount: Option<MountKey>,
    /// The deletion of the original was proved.
    pub deletion: Option<ProvedDeletion>,
}

/// A proof of deletion that is kept: the witness may go, what it said stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvedDeletion {
    /// Whether the deleted thing was the workspace itself, rather than the log in it.
    pub of_workspace: bool,
    /// Birth time of the deleted log, with its device.
    pub log: Option<FileId>,
}

impl Memory {
    /// Takes in what a look showed. To be called after [`judge`].
    pub fn learn(&mut self, evidence: &Evidence) {
        if let Some(cwd) = &evidence.cwd
            && cwd.filesystem.identifies_files()
            && cwd.links > 0
            && evidence.is_workspace(&cwd.path)
        {
            self.cwd_at_workspace = Some(cwd.id);
        }
        self.deletion = self
            .proof_in(evidence)
            .filter(|_| !self.is_withdrawn_by(evidence));
        if let PathState::Exists { directory, mount } = &evidence.path {
            self.mount = Some(*mount);
            // What stands there after a proved deletion is not the original.
            if self.deletion.is_none() {
                self.original = self.original.or(*directory);
            }
        }
    }

    /// The deletion that this look, or an earlier one, proves.
    fn proof_in(&self, evidence: &Evidence) -> Option<ProvedDeletion> {
        let of_workspace = evidence.cwd_fate(self.cwd_at_workspace) == Some(Fate::Deleted);
        let log = evidence
            .log
            .as_ref()
            .filter(|_| evidence.log_fate() == Some(Fate::Deleted));
        let now = (of_workspace || log.is_some()).then(|| ProvedDeletion {
            of_workspace,
            log: log
                .filter(|log| log.filesystem.identifies_files())
                .map(|log| log.id),
        });
        match (now, self.deletion) {
            (Some(now), Some(before)) => Some(ProvedDeletion {
                of_workspace: now.of_workspace || before.of_workspace,
                log: now.log.or(before.log),
            }),
            (now, before) => now.or(before),
        }
    }

    /// The original directory is back, or the pid file names the process.
    fn is_withdrawn_by(&self, evidence: &Evidence) -> bool {
        evidence.pid_file == PidFile::NamesIt
            || matches!(
                &evidence.path,
                PathState::Exists { directory: Some(now), .. }
                    if now.born_ns.is_some()
                        && [self.cwd_at_workspace, self.original].contains(&Some(*now))
            )
    }
}

/// The verdict on one coordinator: the first rule that applies.
#[must_use]
pub fn judge(
    argument: &WorkspaceArgument,
    evidence: &Evidence,
    memory: &Memory,
    ephemeral: &EphemeralRules,
) -> Verdict {
    let case = Case {
        argument,
        evidence,
        memory,
        ephemeral,
    };
    rules()
        .iter()
        .find_map(|rule| (rule.applies)(&case))
        .unwrap_or(Verdict::Alive)
}

/// Each rule that was tried, in order, up to the one that applied, and what it said.
#[must_use]
pub fn explain(
    argument: &WorkspaceArgument,
    evidence: &Evidence,
    memory: &Memory,
    ephemeral: &EphemeralRules,
) -> Vec<(&'static str, Option<Verdict>)> {
    let case = Case {
        argument,
        evidence,
        memory,
        ephemeral,
    };
    let mut tried = Vec::new();
    for rule in rules() {
        let verdict = (rule.applies)(&case);
        let applied = verdict.is_some();
        tried.push((rule.name, verdict));
        if applied {
            return tried;
        }
    }
    tried.push(("workspace_alive", Some(Verdict::Alive)));
    tried
}

/// One row of the table in docs/safety.md.
struct Rule<'a> {
    name: &'static str,
    applies: fn(&Case<'a>) -> Option<Verdict>,
}

struct Case<'a> {
    argument: &'a WorkspaceArgument,
    evidence: &'a Evidence,
    memory: &'a Memory,
    ephemeral: &'a EphemeralRules,
}

/// First match wins; the order is the contract's.
fn rules<'a>() -> [Rule<'a>; 12] {
    [
        Rule {
            name: "cmdline_unparsed",
            applies: Case::cmdline_unparsed,
        },
        Rule {
            name: "process_may_be_judged",
            applies: Case::not_to_be_judged,
        },
        Rule {
            name: "witness_on_detached_mount",
            applies: Case::witness_detached,
        },
        Rule {
            name: "workspace_trashed",
            applies: Case::trashed,
        },
        Rule {
            name: "workspace_moved",
            applies: Case::moved,
        },
        Rule {
            name: "workspace_unmounted",
            applies: Case::unmounted,
        },
        Rule {
            name: "workspace_unresolved",
            applies: Case::unresolved,
        },
        Rule {
            name: "workspace_path_missing",
            applies: Case::path_missing,
        },
        Rule {
            name: "workspace_answers",
            applies: Case::no_clear_answer,
        },
        Rule {
            name: "workspace_replaced",
            applies: Case::replaced,
        },
        Rule {
            name: "workspace_maybe_replaced",
            applies: Case::maybe_replaced,
        },
        Rule {
            name: "ephemeral_tempdir_pattern",
            applies: Case::ephemeral,
        },
    ]
}

fn unknown(reason: UnknownReason) -> Option<Verdict> {
    Some(Verdict::Unknown(reason))
}

fn orphan(reason: OrphanReason) -> Option<Verdict> {
    Some(Verdict::Orphan(reason))
}

impl Case<'_> {
    fn fates(&self) -> [Option<Fate>; 2] {
        [
            self.evidence.cwd_fate(self.memory.cwd_at_workspace),
            self.evidence.log_fate(),
        ]
    }

    fn any_witness(&self, fate: Fate) -> bool {
        self.fates().contains(&Some(fate))
    }

    fn no_witness(&self) -> bool {
        self.fates() == [None, None] && self.proof().is_none()
    }

    /// A deletion that was proved, now or before, unless something took the proof back.
    fn proof(&self) -> Option<ProvedDeletion> {
        self.memory
            .proof_in(self.evidence)
            .filter(|_| !self.memory.is_withdrawn_by(self.evidence))
    }

    fn cmdline_unparsed(&self) -> Option<Verdict> {
        match self.argument {
            WorkspaceArgument::Unusable => unknown(UnknownReason::CmdlineUnparsed),
            WorkspaceArgument::Given(_) => None,
        }
    }

    fn not_to_be_judged(&self) -> Option<Verdict> {
        match self.evidence.access {
            Access::Judged => None,
            Access::ForeignUid => unknown(UnknownReason::ForeignUid),
            Access::ForeignNamespace => unknown(UnknownReason::ForeignNamespace),
            Access::Unreadable(errno) => unknown(UnknownReason::ProcessUnreadable(errno)),
        }
    }

    fn witness_detached(&self) -> Option<Verdict> {
        self.any_witness(Fate::Detached)
            .then_some(Verdict::Unknown(UnknownReason::Unmounted))
    }

    fn trashed(&self) -> Option<Verdict> {
        // Linked *only* there: a witness that is in place or elsewhere speaks against it.
        let contradicted = self.any_witness(Fate::InPlace) || self.any_witness(Fate::Moved);
        (self.any_witness(Fate::Trashed) && !contradicted)
            .then_some(Verdict::Orphan(OrphanReason::Trashed))
    }

    fn moved(&self) -> Option<Verdict> {
        // A trashed witness that another one contradicts is a moved one.
        let elsewhere = self.any_witness(Fate::Moved) || self.any_witness(Fate::Trashed);
        (elsewhere || self.evidence.cwd_pid_file == PidFile::NamesIt)
            .then_some(Verdict::Unknown(UnknownReason::Moved))
    }

    fn unmounted(&self) -> Option<Verdict> {
        let PathState::Missing { detachable, .. } = &self.evidence.path else {
            return None;
        };
        (self.proof().is_none() && detachable.is_some())
            .then_some(Verdict::Unknown(UnknownReason::Unmounted))
    }

    fn unresolved(&self) -> Option<Verdict> {
        let missing = matches!(self.evidence.path, PathState::Missing { .. });
        (missing && self.evidence.relative && self.no_witness())
            .then_some(Verdict::Unknown(UnknownReason::Unresolved))
    }

    fn path_missing(&self) -> Option<Verdict> {
        let PathState::Missing { dangling, .. } = self.evidence.path else {
            return None;
        };
        match dangling {
            // A witness that is in place contradicts the missing path: something hides it.
            _ if self.any_witness(Fate::InPlace) || self.any_witness(Fate::Unprovable) => None,
            _ if self.proof().is_some() => orphan(OrphanReason::PathMissing),
            Dangling::No if self.no_witness() => orphan(OrphanReason::PathMissing),
            Dangling::No | Dangling::Symlink => None,
        }
    }

    fn no_clear_answer(&self) -> Option<Verdict> {
        match &self.evidence.path {
            PathState::Exists { .. } => None,
            PathState::Missing {
                dangling: Dangling::Symlink,
                ..
            } => unknown(UnknownReason::DanglingSymlink),
            PathState::Missing { .. } => unknown(UnknownReason::Unreadable("ENOENT")),
            PathState::Failed(errno) => unknown(UnknownReason::Unreadable(errno)),
            PathState::NotProbed | PathState::TimedOut => unknown(UnknownReason::Timeout),
        }
    }

    fn replaced(&self) -> Option<Verdict> {
        let PathState::Exists { directory, .. } = &self.evidence.path else {
            return None;
        };
        let proof = self.proof()?;
        let younger_than_log = match (directory, proof.log) {
            (Some(directory), Some(log)) => {
                directory.device == log.device
                    && matches!((directory.born_ns, log.born_ns), (Some(now), Some(then)) if now > then)
            }
            _ => false,
        };
        let proved = proof.of_workspace || younger_than_log;
        let contradicted =
            self.any_witness(Fate::InPlace) || !self.evidence.pid_file.names_somebody_else();
        (proved && !contradicted).then_some(Verdict::Orphan(OrphanReason::Replaced))
    }

    fn maybe_replaced(&self) -> Option<Verdict> {
        let PathState::Exists {
            directory: Some(now),
            ..
        } = &self.evidence.path
        else {
            return None;
        };
        let another = self
            .memory
            .original
            .is_some_and(|original| original != *now);
        (self.no_witness() && another && self.evidence.pid_file.names_somebody_else())
            .then_some(Verdict::Unknown(UnknownReason::MaybeReplaced))
    }

    fn ephemeral(&self) -> Option<Verdict> {
        let path = self.evidence.resolved.as_deref()?;
        let hint = self.ephemeral.hint_in(path)?;
        orphan(OrphanReason::Ephemeral(hint.to_owned()))
    }
}

/// One sentence on why a missing path may come back, for people.
#[must_use]
pub fn describe_detachable(detachable: &Detachable) -> Cow<'static, str> {
    match detachable {
        Detachable::Ancestor(filesystem) => {
            format!("its deepest existing ancestor is on a {filesystem:?} file system").into()
        }
        Detachable::MountArea(area) => format!(
            "it lies below {}, where volumes are mounted",
            area.display()
        )
        .into(),
        Detachable::Fstab(point) => format!(
            "{} of the file system table is not mounted",
            point.display()
        )
        .into(),
        Detachable::RememberedMount => "the mount it was seen on is gone".into(),
    }
}
