//! How the daemon is doing, for whoever looks after it.

use std::time::Duration;

use super::Dispatcher;
use crate::orphan::checkup::{Hanging, Pausing, Reaping, Scans};
use crate::orphan::clock::Now;
use crate::orphan::steering::Pause;
use crate::supervisor::checkup::Running;
use crate::supervisor::scan::probing_limit;
use crate::supervisor::settings::stall;
use crate::wire::headline::{self, Phase};

impl Dispatcher {
    /// Whether no scan has given a result for so long that something must be wrong: three intervals, and a
    /// minute at least; and while one runs, what its probes may take. One that has not seen anything yet,
    /// or that stops, is not waited for.
    #[must_use]
    pub fn is_stalled(&self, now: Now) -> bool {
        let probing = match self.is_scanning {
            true => probing_limit(
                self.registry.coordinators().count(),
                self.settings.probe_timeout,
            ),
            false => Duration::ZERO,
        };
        let limit = stall(self.settings.reap.interval).saturating_add(probing);
        let is_late = self
            .last_look
            .is_some_and(|ended| now.moment.since(ended) > limit);
        is_late && self.stopping.is_none()
    }

    /// Whether its first scan is under way: with many workspaces that do not answer that takes its time.
    #[must_use]
    pub fn is_scanning_first(&self) -> bool {
        self.last_look.is_none() && self.scan_problem.is_none() && self.is_scanning
    }

    /// What it knows of its own running, for whoever looks at all of it.
    pub(super) fn running(&self, now: Now) -> Running {
        let last = self.last_scan.as_ref();
        let steering = self.policy.steering();
        let pause = steering.pause.filter(|pause| pause.holds(now));
        Running {
            identity: self.identity.clone(),
            targets: self
                .registry
                .coordinators()
                .map(|one| one.identity().pid)
                .collect(),
            scans: Scans {
                last: self.last_look.map(|ended| now.moment.since(ended)),
                interval: self.settings.reap.interval,
                took: last.map(|scan| scan.took).unwrap_or_default(),
                lag: last.map(|scan| scan.lag).unwrap_or_default(),
                is_stalled: self.is_stalled(now),
                problem: self.scan_problem.clone(),
                done: self.counters.scans,
                failed: self.counters.failed_scans,
                // The one who looks knows.
                hanging: Hanging::default(),
            },
            reaping: Reaping {
                confirm: self.settings.reap.confirm,
                paused: match pause {
                    None => Pausing::Not,
                    Some(Pause { until: None, .. }) => Pausing::Endless,
                    Some(Pause {
                        until: Some(until), ..
                    }) => Pausing::For(until.duration_since(now.wall).unwrap_or_default()),
                },
                suspended: steering.suspension.as_ref().map(|one| one.why.clone()),
                are_keeps_unknown: steering.is_unknown,
                is_view_obstructed: !self.obstacles.is_empty(),
                is_audit_lost: self.policy.is_audit_lost(),
                is_steering_owed: self.is_steering_owed,
                respawning: self.policy.respawns().waiting().count(),
            },
        }
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// What it is doing, in a line for people.
    #[must_use]
    pub fn headline(&self, now: Now) -> String {
        let phase = match &self.scan_problem {
            _ if self.is_stopping() => Phase::Stopping,
            Some(problem) => Phase::Blind(problem),
            None => Phase::Watching,
        };
        headline::headline(&self.report(now), phase)
    }
}
