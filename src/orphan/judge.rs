//! Coordinator + evidence + what is remembered → [`Verdict`]: the first rule that applies.
//!
//! An error, a time-out or a doubt is [`Verdict::Unknown`], never an orphan. Knows no thresholds and
//! no time.

use super::coordinator::WorkspaceArgument;
use super::ephemeral::EphemeralRules;
use super::evidence::{Access, Dangling, Evidence, Fate, FileId, MountState, PathState, PidFile};
use super::memory::{Memory, ProvedDeletion};
use super::verdict::{OrphanReason, UnknownReason, Verdict};

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
            self.memory.log_fate(self.evidence),
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
        (elsewhere || self.cwd_may_be_its_workspace())
            .then_some(Verdict::Unknown(UnknownReason::Moved))
    }

    /// By the pid file in the cwd, elsewhere: it names the process; or where the path is missing and nothing proves
    /// a deletion, it says nothing, and so is not known to name somebody else.
    fn cwd_may_be_its_workspace(&self) -> bool {
        match self.evidence.cwd_pid_file {
            PidFile::NamesIt => true,
            PidFile::Unclear => {
                let missing = matches!(self.evidence.path, PathState::Missing { .. });
                missing && self.proof().is_none()
            }
            PidFile::Absent | PidFile::NamesAnother(_) => false,
        }
    }

    fn unmounted(&self) -> Option<Verdict> {
        let PathState::Missing { detachable, .. } = &self.evidence.path else {
            return None;
        };
        // On a detached mount the kernel's name of a cwd is cut short: it may be the workspace.
        let cwd_is_detached = self
            .evidence
            .cwd
            .as_ref()
            .is_some_and(|cwd| cwd.mount == MountState::Detached);
        (self.proof().is_none() && (detachable.is_some() || cwd_is_detached))
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
            _ if self.any_witness(Fate::InPlace) => None,
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
        let contradicted = self.any_witness(Fate::InPlace)
            || !self.evidence.pid_file.names_somebody_else()
            || directory.is_some_and(|directory| self.stood_before_the_process(&directory));
        (proved && !contradicted).then_some(Verdict::Orphan(OrphanReason::Replaced))
    }

    /// Whether the directory that is there now was there before the process was: then it replaced
    /// nothing under it. Started in a deleted directory, a process can outlive nobody's workspace.
    fn stood_before_the_process(&self, directory: &FileId) -> bool {
        // The start is in clock ticks, and both times come from a clock that may be set.
        const SLACK_NS: i128 = 1_000_000_000;
        matches!(
            (directory.born_ns, self.evidence.process_started_ns),
            (Some(born), Some(started)) if born + SLACK_NS < started
        )
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

#[cfg(test)]
mod tests;
