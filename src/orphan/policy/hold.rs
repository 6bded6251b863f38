//! What keeps an orphan from being ended by the daemon itself: for people, and for the machine.

use super::Rules;
use crate::orphan::clock::{Moment, Now};
use crate::orphan::escalation::Failure;
use crate::orphan::steering::Pause;

/// One thing that holds automatic reaping back from one orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody asked for automatic reaping.
    NotAllowed,
    /// It is an orphan for a reason that is not listed.
    ReasonNotListed,
    /// Its workspace is below a protected path.
    Protected,
    /// Its owner keeps it.
    Kept,
    /// The daemon runs below it.
    ProtectedAncestor,
    /// It may: what is above the daemon is not all visible.
    LineageUnknown,
    /// It is one only by its name, and young: a test suite may be running.
    Young {
        /// When it will be old enough.
        until: Moment,
    },
    /// The daemon does not see everything there is.
    ViewObstructed,
    /// It suspended itself: too many turned orphan at once, or what the owner said is lost.
    Suspended {
        /// What happened, for people.
        why: String,
    },
    /// Its owner paused automatic reaping.
    Paused(Pause),
    /// What cannot be recorded is not done.
    AuditLost,
    /// It was tried, and nothing has changed since.
    FailedBefore(Failure),
    /// It has not been an orphan for long enough.
    Grace {
        /// When it will have been.
        until: Moment,
    },
    /// It was not seen often enough.
    Sightings {
        /// So often it was.
        seen: u32,
        /// So often it has to be.
        needed: u32,
        /// When the last look was.
        looked_at: Moment,
    },
    /// Something starts it again and again.
    Respawned {
        /// When the next may be ended.
        until: Moment,
    },
}

impl Hold {
    /// A stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotAllowed => "reap_not_confirmed",
            Self::ReasonNotListed => "reason_not_listed",
            Self::Protected => "protected",
            Self::Kept => "kept",
            Self::ProtectedAncestor => "protected_ancestor",
            Self::LineageUnknown => "lineage_unknown",
            Self::Young { .. } => "younger_than_ephemeral_min_age",
            Self::ViewObstructed => "view_obstructed",
            Self::Suspended { .. } => "suspended",
            Self::Paused(_) => "paused",
            Self::AuditLost => "audit_unavailable",
            Self::FailedBefore(error) => error.word(),
            Self::Grace { .. } => "grace",
            Self::Sightings { .. } => "min_sightings",
            Self::Respawned { .. } => "respawned",
        }
    }

    /// When it ends, if that can be told.
    #[must_use]
    pub fn ends(&self, now: Now, rules: &Rules) -> Option<Moment> {
        match self {
            Self::Grace { until } | Self::Respawned { until } | Self::Young { until } => {
                Some(*until)
            }
            Self::Sightings {
                seen,
                needed,
                looked_at,
            } => {
                let scans = needed.saturating_sub(*seen);
                Some(looked_at.after(rules.interval.saturating_mul(scans)))
            }
            Self::Paused(pause) => {
                let left = pause.until?.duration_since(now.wall).unwrap_or_default();
                let by_the_wall = now.moment.after(left);
                Some(pause.not_before.unwrap_or(by_the_wall).max(by_the_wall))
            }
            Self::NotAllowed
            | Self::ReasonNotListed
            | Self::Protected
            | Self::Kept
            | Self::ProtectedAncestor
            | Self::LineageUnknown
            | Self::ViewObstructed
            | Self::Suspended { .. }
            | Self::AuditLost
            | Self::FailedBefore(_) => None,
        }
    }
}
