//! The configuration in the shape that scanning and terminating need.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, Uids};
use crate::orphan::coordinator::CustomForm;
use crate::orphan::ephemeral::{EphemeralRoots, EphemeralRules};
use crate::orphan::evidence::{Evidence, normalised, seen_from_outside};
use crate::orphan::victims::Scope;
use crate::os::evidence::JudgedUids;

/// What a scan or a termination has to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Forms beside the built-in ones.
    pub forms: Vec<CustomForm>,
    /// Whose coordinators are judged.
    pub judged: JudgedUids,
    /// Only workspaces below these; empty = everywhere.
    pub workspace_roots: Vec<PathBuf>,
    /// What makes a path ephemeral.
    pub ephemeral: EphemeralRules,
    /// How old an ephemeral one must be.
    pub ephemeral_min_age: Duration,
    /// Workspaces at or below these are never touched.
    pub protect: Vec<PathBuf>,
    /// How long one workspace may take to answer.
    pub probe_timeout: Duration,
    /// How far termination reaches.
    pub scope: Scope,
    /// How long SIGTERM is given.
    pub sigterm_wait: Duration,
    /// How long SIGKILL is given.
    pub sigkill_wait: Duration,
}

impl Settings {
    /// Takes what is needed from the configuration; `env` answers for `$TMPDIR`, `own_uid` is
    /// the caller's.
    #[must_use]
    pub fn new(config: &Config, env: &impl Fn(&str) -> Option<OsString>, own_uid: u32) -> Self {
        Self {
            forms: config.coordinator.forms.clone(),
            judged: match &config.coordinator.uids {
                Uids::Own => JudgedUids::Only(vec![own_uid]),
                Uids::All => JudgedUids::AllButRoot,
                Uids::Listed(uids) => JudgedUids::Only(uids.clone()),
            },
            workspace_roots: config.coordinator.workspace_roots.clone(),
            ephemeral: EphemeralRules {
                hints: config.orphan.ephemeral_hints.clone(),
                roots: EphemeralRoots::Below(config.orphan.temporary_roots(env)),
            },
            ephemeral_min_age: config.orphan.ephemeral_min_age,
            protect: with_real_paths(&config.orphan.protect),
            probe_timeout: config.scan.probe_timeout,
            scope: config.terminate.scope,
            sigterm_wait: config.terminate.sigterm_wait,
            sigkill_wait: config.terminate.sigkill_wait,
        }
    }

    /// Whether a coordinator with this workspace is listed at all.
    #[must_use]
    pub fn covers(&self, workspace: Option<&Path>) -> bool {
        if self.workspace_roots.is_empty() {
            return true;
        }
        // By its text: nothing outside the roots is touched, not even to resolve it.
        workspace.is_some_and(|workspace| is_below_any(workspace, &self.workspace_roots))
    }

    /// The same once it is known where the path leads: `..` behind a link can lead out of a root.
    #[must_use]
    pub fn covers_evidence(&self, evidence: &Evidence) -> bool {
        let climbs = |path: &PathBuf| path.components().any(|part| part == Component::ParentDir);
        match (&evidence.workspace, &evidence.resolved) {
            (Some(workspace), Some(resolved)) if climbs(workspace) => self.covers(Some(resolved)),
            (Some(workspace), None) if climbs(workspace) => self.workspace_roots.is_empty(),
            (workspace, _) => self.covers(workspace.as_deref()),
        }
    }

    /// Whether the owner said that this workspace is never to be touched: by its name, by where its
    /// links lead, or by where what the process holds was last seen.
    #[must_use]
    pub fn protects(&self, evidence: &Evidence) -> bool {
        let inside = [&evidence.workspace, &evidence.resolved]
            .into_iter()
            .flatten();
        let outside = inside
            .clone()
            .map(|path| seen_from_outside(&evidence.root, path));
        let held = [&evidence.cwd, &evidence.log].into_iter().flatten();
        inside
            .cloned()
            .chain(outside)
            .chain(held.map(|holding| holding.path.clone()))
            .any(|path| is_below_any(&path, &self.protect))
    }
}

/// Each path as it was written, and where it leads now.
fn with_real_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    let real = paths.iter().filter_map(|path| path.canonicalize().ok());
    paths.iter().cloned().chain(real).collect()
}

fn is_below_any(path: &Path, roots: &[PathBuf]) -> bool {
    let path = normalised(path);
    roots.iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests;
