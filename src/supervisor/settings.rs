//! The configuration in the shape that scanning and terminating need.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::config::{Config, Uids};
use crate::orphan::coordinator::CustomForm;
use crate::orphan::ephemeral::{EphemeralRoots, EphemeralRules};
use crate::orphan::evidence::{Evidence, normalised};
use crate::orphan::policy::Rules;
use crate::orphan::steering::{concerns, is_below_any};
use crate::orphan::victims::Scope;
use crate::os::evidence::JudgedUids;
use crate::os::paths::leads_to;
use crate::supervisor::event::Followed;

/// How long following the protected paths and the temporary roots may take when the configuration is read, at most.
const FOLLOW_LIMIT: Duration = Duration::from_secs(5);

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
    /// When orphans are ended without being asked, and who is never touched.
    pub reap: Rules,
    /// So many of the protected paths are from the configuration, as it was read; the rest is where they have led
    /// since.
    pub protected_as_read: usize,
    /// Where they lead is not known yet, for want of an answer: so long everything is protected.
    pub is_protection_unknown: bool,
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
        let written = config.orphan.temporary_roots(env);
        let protect = config.orphan.protect.clone();
        let both = (written.clone(), protect.clone());
        let followed = followed_within(config.scan.probe_timeout.min(FOLLOW_LIMIT), move || {
            (with_real_paths(&both.0), with_real_paths(&both.1))
        });
        let is_protection_unknown = followed.is_none() && !protect.is_empty();
        if followed.is_none() {
            tracing::warn!(
                "where the protected paths and the temporary roots lead gives no answer: they are taken as they are \
                 written, and as long as it is not known, nothing is ended where anything is protected"
            );
        }
        let (roots, mut protect) = followed.unwrap_or_else(|| (written.clone(), protect));
        let protected_as_read = protect.len();
        if is_protection_unknown {
            protect.push(PathBuf::from("/"));
        }
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
                roots: EphemeralRoots::Below(temporary_roots(&written, roots)),
            },
            protected_as_read,
            is_protection_unknown,
            reap: rules(config, protect),
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

    /// The protected paths as the configuration has them, and where they led when it was read.
    #[must_use]
    pub fn protected_names(&self) -> &[PathBuf] {
        &self.reap.protect[..self.protected_as_read]
    }

    /// Where a protected path leads by now is protected, too: its link may have been changed. Nothing if that is
    /// known already. Where one led before stays protected, up to a thousand such places: whoever works there was
    /// started below what was protected. As long as it is not known of all of them, everything stays protected: what was
    /// followed may have been the paths of an earlier configuration.
    #[must_use]
    pub fn protecting(&self, followed: &Followed) -> Option<Self> {
        const MOST: usize = 1_000;
        let Followed { names, leads } = followed;
        let are_all_known = self
            .protected_names()
            .iter()
            .all(|name| names.contains(name));
        if self.is_protection_unknown && !are_all_known {
            return None;
        }
        let (as_read, later) = self.reap.protect.split_at(self.protected_as_read);
        let later = match self.is_protection_unknown {
            true => &[],
            false => later,
        };
        let is_new = |(name, real): &(&PathBuf, &PathBuf)| {
            as_read.contains(name) && !as_read.contains(real) && !later.contains(real)
        };
        let new: Vec<PathBuf> = leads
            .iter()
            .filter(is_new)
            .map(|(_, real)| real.clone())
            .collect();
        if new.is_empty() && !self.is_protection_unknown {
            return None;
        }
        let too_many = (later.len() + new.len()).saturating_sub(MOST);
        let later = later.iter().cloned().chain(new).skip(too_many);
        let protect = as_read.iter().cloned().chain(later).collect();
        let mut settings = self.clone();
        settings.reap.protect = protect;
        settings.is_protection_unknown = false;
        Some(settings)
    }

    /// Whether the owner said that this workspace is never to be touched.
    #[must_use]
    pub fn protects(&self, evidence: &Evidence) -> bool {
        concerns(evidence, &self.reap.protect)
    }
}

/// Temporary roots, and where they lead. One that leads to the root of everything, which nobody wrote there, is
/// none.
fn temporary_roots(written: &[PathBuf], mut roots: Vec<PathBuf>) -> Vec<PathBuf> {
    roots.retain(|root| root.parent().is_some() || written.contains(root));
    roots
}

fn rules(config: &Config, protect: Vec<PathBuf>) -> Rules {
    let reap = &config.reap;
    Rules {
        confirm: reap.confirm,
        reasons: reap.reasons.clone(),
        grace: reap.grace,
        min_sightings: reap.min_sightings,
        start_grace: reap.start_grace,
        max_per_scan: reap.max_per_scan,
        breaker_window: reap.breaker_window,
        breaker_share: reap.breaker_share,
        ephemeral_min_age: config.orphan.ephemeral_min_age,
        protect,
        interval: config.scan.interval,
        stall: stall(config.scan.interval) + 2 * config.scan.probe_timeout,
    }
}

/// When nobody has looked for this long, something is wrong with who should.
#[must_use]
pub fn stall(interval: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_mins(1);
    interval.saturating_mul(3).max(SHORTEST)
}

/// What following paths gives, within this time. Those that hang keep their threads, up to so many.
fn followed_within<T: Send + 'static>(
    limit: Duration,
    follow: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    const MOST: usize = 16;
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    if UNDER_WAY.load(Ordering::Relaxed) >= MOST {
        return None;
    }
    let (answer, answered) = channel();
    let follow = move || {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        let followed = follow();
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        // Nobody may wait for it any more.
        let _ = answer.send(followed);
    };
    std::thread::Builder::new().spawn(follow).ok()?;
    answered.recv_timeout(limit).ok()
}

/// Each path as it was written, and where it leads now, or would lead if it were still there. Blocking.
#[must_use]
pub fn with_real_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    let real = paths.iter().filter_map(|path| real_path(path));
    paths.iter().cloned().chain(real).collect()
}

/// Where this leads now, or would lead if it were still there. Blocking.
///
/// Links are followed as far as there is anything: what is protected may be deleted by now, and is to be found
/// where its parents, or a link to it, lead all the same. What takes back (`..`) something that is not there
/// is taken by its text: rather too much is protected than too little.
#[must_use]
pub fn real_path(path: &Path) -> Option<PathBuf> {
    if let Some(real) = leads_to(path) {
        return Some(normalised(&real));
    }
    path.ancestors().find_map(|ancestor| {
        let real = ancestor.canonicalize().ok()?;
        let rest = path.strip_prefix(ancestor).ok()?;
        Some(normalised(&real.join(rest)))
    })
}

#[cfg(test)]
mod tests;
