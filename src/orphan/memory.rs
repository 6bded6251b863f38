//! What earlier looks at one process left behind, for the verdict on the next.

use super::evidence::{Evidence, Fate, FileId, MountKey, PathState, PidFile};

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

/// What a verdict rests on, for records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// What was seen.
    pub evidence: Evidence,
    /// What was remembered.
    pub memory: Memory,
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
    /// Takes in what a look showed. To be called after [`super::judge::judge`].
    pub fn learn(&mut self, evidence: &Evidence) {
        self.deletion = self
            .proof_in(evidence)
            .filter(|_| !self.is_withdrawn_by(evidence));
        let PathState::Exists { directory, mount } = &evidence.path else {
            return;
        };
        self.mount = mount.or(self.mount);
        // What stands there after a proved deletion is not the original, whoever entered it.
        if self.deletion.is_none() {
            self.original = self.original.or(*directory);
            self.cwd_at_workspace = evidence.cwd_at_workspace().or(self.cwd_at_workspace);
        }
    }

    /// The deletion that this look, or an earlier one, proves.
    pub(super) fn proof_in(&self, evidence: &Evidence) -> Option<ProvedDeletion> {
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
    pub(super) fn is_withdrawn_by(&self, evidence: &Evidence) -> bool {
        evidence.pid_file == PidFile::NamesIt
            || matches!(
                &evidence.path,
                PathState::Exists { directory: Some(now), .. }
                    if now.born_ns.is_some()
                        && [self.cwd_at_workspace, self.original].contains(&Some(*now))
            )
    }
}

#[cfg(test)]
mod tests;
