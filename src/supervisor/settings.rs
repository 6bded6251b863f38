//! The configuration in the shape that scanning and terminating need.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, Uids};
use crate::orphan::coordinator::CustomForm;
use crate::orphan::ephemeral::{EphemeralRoots, EphemeralRules};
use crate::orphan::evidence::normalised;
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
            protect: config.orphan.protect.clone(),
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

    /// Whether the owner said that this workspace is never to be touched.
    #[must_use]
    pub fn protects(&self, workspace: &Path) -> bool {
        is_below_any(workspace, &self.protect)
    }
}

fn is_below_any(path: &Path, roots: &[PathBuf]) -> bool {
    let path = normalised(path);
    roots.iter().any(|root| path.starts_with(root))
}
