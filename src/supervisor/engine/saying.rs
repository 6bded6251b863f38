//! What the daemon's own log says of what happens. The event log is another thing: it is complete, and for programs.

use std::path::Path;

use crate::orphan::event::{Event as Fact, Subject};
use crate::orphan::policy::respawn::Respawn;
use crate::orphan::view::Obstacle;

/// A transition. What is said elsewhere, or is but an intention, is not said here.
pub(super) fn say_fact(fact: &Fact) {
    macro_rules! say {
        ($level:ident, $subject:ident, $message:literal $(, $($field:tt)+)?) => {{
            let Subject { pid, workspace, reason } = $subject;
            let workspace = workspace.as_deref().unwrap_or(Path::new(""));
            tracing::$level!(pid, ?workspace, reason, $($($field)+,)? $message);
        }};
    }
    match fact {
        Fact::Detected { subject, .. } => say!(info, subject, "an orphan was detected"),
        Fact::Cleared { subject, cause, .. } => {
            say!(info, subject, "an orphan is none any more", ?cause);
        }
        Fact::Killed {
            subject,
            sigkill_required,
            elapsed_ms,
            ..
        } => say!(
            info,
            subject,
            "an orphan has ended",
            sigkill_required,
            elapsed_ms
        ),
        Fact::Failed {
            subject,
            error,
            detail,
            ..
        } => {
            let detail = detail.as_deref().unwrap_or_default();
            say!(warn, subject, "an orphan could not be ended", error, detail);
        }
        Fact::Spared { subject, why, .. } => say!(info, subject, "an orphan was spared", why),
        Fact::Interrupted {
            subject, signal, ..
        } => say!(
            warn,
            subject,
            "an earlier daemon was cut off while it ended an orphan",
            signal
        ),
        Fact::ReapSuspended { why, .. } => tracing::warn!(why, "automatic reaping is held"),
        Fact::ReapResumed { .. } => tracing::info!("automatic reaping is held no longer"),
        Fact::ConfigReloaded { file } => {
            tracing::info!(?file, "a configuration is in force");
        }
        Fact::DaemonStarted { .. }
        | Fact::DaemonStopped { .. }
        | Fact::ConfigRejected { .. }
        | Fact::Signal { .. } => {}
    }
}

/// What the daemon cannot see, which has changed.
pub(super) fn say_view(obstacles: &[Obstacle]) {
    for obstacle in obstacles {
        tracing::error!(
            "the daemon does not see everything there is, and reaps nothing by itself: {obstacle}"
        );
    }
    if obstacles.is_empty() {
        tracing::info!("the daemon sees everything there is");
    }
}

/// Something starts coordinators again and again.
pub(super) fn say_respawn(workspace: &Path, respawn: &Respawn) {
    let starter = respawn.starter.as_ref();
    tracing::error!(
        ?workspace,
        kills = respawn.kills,
        parent = starter.map(|one| one.pid),
        parent_cmdline = starter.map(|one| one.cmdline.as_str()),
        unit = starter.and_then(|one| one.unit.as_deref()),
        "something starts a coordinator again and again: stop it there"
    );
}
