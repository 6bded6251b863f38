//! What earlier looks at one process left behind, for the verdict on the next.

use std::path::PathBuf;

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
    /// The directory that the process was certainly started on.
    pub home: Option<Home>,
    /// The deletion of the original was proved by what the process holds.
    pub deletion: Option<ProvedDeletion>,
    /// A log that was deleted while the original directory stood: by hand, so it tells nothing.
    pub discredited_log: Option<FileId>,
    /// The number of the mount above a path that was never seen and gave no answer.
    pub hung_on: Option<u64>,
}

/// A directory that a process was certainly started on, and no later one in its place: it was there by then, or
/// its pid file named the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Which.
    pub directory: FileId,
    /// Where the workspace's path led when it was last seen.
    pub at: Option<PathBuf>,
    /// It was deleted, which was seen as it happened.
    pub is_deleted: bool,
}

impl Home {
    /// Whether it is what stands there.
    fn is_at(&self, path: &PathState) -> bool {
        matches!(path, PathState::Exists { directory: Some(now), .. } if *now == self.directory)
    }
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
        if self.is_log_deleted_alone(evidence) {
            self.discredited_log = evidence.log.as_ref().map(|log| log.id);
        }
        let is_withdrawn = self.is_withdrawn_by(evidence);
        self.deletion = self.held_proof_in(evidence).filter(|_| !is_withdrawn);
        if let Some(home) = &mut self.home {
            home.is_deleted &= !is_withdrawn && !home.is_at(&evidence.path);
        }
        // Of one that was seen it is known where.
        if self.mount.is_none() && evidence.path == PathState::TimedOut {
            self.hung_on = evidence.mount_by_name.or(self.hung_on);
        }
        let PathState::Exists { directory, mount } = &evidence.path else {
            return;
        };
        self.hung_on = None;
        let is_on_its_mount = self.mount.is_none_or(|before| before == *mount);
        // What stands there after a proved deletion is not the original, whoever entered it.
        if !self.knows_of_a_deletion() {
            // Nor is what is on another mount: the one that it was on may have gone from above it.
            self.original = self.original.or(directory.filter(|_| is_on_its_mount));
            self.cwd_at_workspace = evidence.cwd_at_workspace().or(self.cwd_at_workspace);
            if is_on_its_mount {
                self.learn_home(evidence);
            }
        }
        // Another directory than the original says nothing of the mount that the original is on, nor does one that
        // cannot be known again.
        if self.mount.is_none() || (directory.is_some() && self.original == *directory) {
            self.mount = Some(*mount);
        }
    }

    fn learn_home(&mut self, evidence: &Evidence) {
        let PathState::Exists {
            directory: Some(directory),
            ..
        } = evidence.path
        else {
            return;
        };
        let is_known = self.home.as_ref().map(|home| home.directory) == Some(directory);
        let is_first =
            self.original == Some(directory) && evidence.is_older_than_the_process(&directory);
        if directory.born_ns.is_some()
            && (is_known || is_first || evidence.pid_file == PidFile::NamesIt)
        {
            self.home = Some(Home {
                directory,
                at: evidence.resolved.clone(),
                is_deleted: false,
            });
        }
    }

    /// Takes in that this directory was deleted, which was seen as it happened. That proves something of who was
    /// started on it, and of nobody else.
    pub fn prove_deleted(&mut self, directory: &FileId) {
        if let Some(home) = self
            .home
            .as_mut()
            .filter(|home| home.directory == *directory)
        {
            home.is_deleted = true;
        }
    }

    /// Whether the deletion of what it was started on was proved, or was seen.
    #[must_use]
    pub fn knows_of_a_deletion(&self) -> bool {
        self.deletion.is_some() || self.home.as_ref().is_some_and(|home| home.is_deleted)
    }

    /// What became of the log, given what is known of it.
    #[must_use]
    pub fn log_fate(&self, evidence: &Evidence) -> Option<Fate> {
        let known_by_hand = evidence.log.as_ref().map(|log| log.id) == self.discredited_log
            && self.discredited_log.is_some();
        match evidence.log_fate() {
            Some(Fate::Deleted) if known_by_hand || self.is_log_deleted_alone(evidence) => {
                Some(Fate::Unprovable)
            }
            fate => fate,
        }
    }

    /// Whether the log is deleted and the directory at the path is the original all the same: it
    /// is the one that was remembered, or older than the log, which was made in it.
    fn is_log_deleted_alone(&self, evidence: &Evidence) -> bool {
        let (Some(Fate::Deleted), Some(log)) = (evidence.log_fate(), &evidence.log) else {
            return false;
        };
        let PathState::Exists {
            directory: Some(directory),
            ..
        } = &evidence.path
        else {
            return false;
        };
        let is_older = directory.device == log.id.device
            && matches!((directory.born_ns, log.id.born_ns), (Some(directory), Some(log)) if directory <= log);
        let is_remembered = directory.born_ns.is_some() && self.original == Some(*directory);
        log.filesystem.identifies_files() && (is_older || is_remembered)
    }

    /// The deletion that this look, or an earlier one, proves, or that was seen as it happened.
    pub(super) fn proof_in(&self, evidence: &Evidence) -> Option<ProvedDeletion> {
        let held = self.held_proof_in(evidence);
        // Where the path leads elsewhere by now, what it led to before may go.
        let is_seen = self.home.as_ref().is_some_and(|home| {
            let leads_there = home.at.is_some() && home.at == evidence.resolved;
            home.is_deleted && leads_there && !home.is_at(&evidence.path)
        });
        match (held, is_seen) {
            (held, false) => held,
            (held, true) => Some(ProvedDeletion {
                of_workspace: true,
                log: held.and_then(|held| held.log),
            }),
        }
    }

    /// The deletion that is proved by what the process holds, or held.
    fn held_proof_in(&self, evidence: &Evidence) -> Option<ProvedDeletion> {
        let of_workspace = evidence.cwd_fate(self.cwd_at_workspace) == Some(Fate::Deleted);
        let log = evidence
            .log
            .as_ref()
            .filter(|_| self.log_fate(evidence) == Some(Fate::Deleted));
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
