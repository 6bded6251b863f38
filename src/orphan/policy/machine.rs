//! One machine per coordinator: seen → suspected → confirmed → terminating → gone, failed or spared.
//! A pure function of state and input; who asks has looked at the clock.

use std::time::Duration;

use super::Rules;
use crate::orphan::clock::Moment;
use crate::orphan::escalation::{Failure, Outcome};
use crate::orphan::evidence::{FileId, PathState};
use crate::orphan::process::RunState;
use crate::orphan::registry::Sighting;
use crate::orphan::verdict::OrphanReason;

/// Where one coordinator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is no orphan.
    Seen,
    /// It is one, and has not been for long enough, or was not seen so often enough.
    Suspected(Patience),
    /// It is one, and patience with it is over: what keeps it alive now are brakes.
    Confirmed(Patience),
    /// It is being ended.
    Terminating(Patience),
    /// It could not be ended.
    Failed {
        /// Why.
        error: Failure,
        /// Patience with it, begun anew.
        patience: Patience,
        /// What it looked like afterwards.
        since: Option<Look>,
    },
    /// Its termination was called off.
    Spared {
        /// Why, in a stable word.
        why: String,
        /// Patience with it, begun anew.
        patience: Patience,
    },
    /// It has ended.
    Gone,
}

/// How long and how often something has been seen to be an orphan, without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Since when.
    pub since: Moment,
    /// How often.
    pub sightings: u32,
    /// Whether it was an orphan when the daemon started.
    pub since_start: bool,
    /// Nobody could look at it since: patience begins with the next sighting.
    pub is_unread: bool,
    /// What was seen last.
    pub look: Look,
}

/// What has to stay as it is for patience to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    kind: Kind,
    /// What is at the path, where it can be told.
    directory: Option<FileId>,
    /// Whether something holds it: a tracer, a freezer, a disk.
    is_held: bool,
}

/// Missing, replaced and trashed are one thing: a coordinator makes its directory again and again.
/// One that only has a name like a test's is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deleted,
    Ephemeral,
}

impl Look {
    /// At an orphan.
    #[must_use]
    pub fn at(sighting: &Sighting, reason: &OrphanReason) -> Self {
        let observation = &sighting.observation;
        Self {
            kind: match reason {
                OrphanReason::Ephemeral(_) => Kind::Ephemeral,
                OrphanReason::PathMissing | OrphanReason::Replaced | OrphanReason::Trashed => {
                    Kind::Deleted
                }
            },
            directory: match observation.evidence.path {
                PathState::Exists { directory, .. } => directory,
                _ => None,
            },
            is_held: !matches!(observation.record.state, RunState('R' | 'S' | 'I')),
        }
    }

    /// Whether `later` shows the same case: not another directory in the place of this one's.
    fn is_same_case(&self, later: &Self) -> bool {
        let another = matches!(
            (self.directory, later.directory),
            (Some(before), Some(now)) if before != now
        );
        self.kind == later.kind && !another
    }
}

impl Patience {
    fn begin(look: Look, since_start: bool, now: Moment) -> Self {
        Self {
            since: now,
            sightings: 1,
            since_start,
            is_unread: false,
            look,
        }
    }

    /// The same case, looked at once more; or another one, with which patience begins.
    fn seen(self, look: Look, now: Moment) -> Self {
        if !self.look.is_same_case(&look) {
            return Self::begin(look, self.since_start, now);
        }
        Self {
            since: match self.is_unread {
                true => now,
                false => self.since,
            },
            is_unread: false,
            sightings: self.sightings.saturating_add(1),
            look: Look {
                directory: look.directory.or(self.look.directory),
                ..look
            },
            ..self
        }
    }

    /// From the beginning: the next sighting is the first.
    fn anew(self, now: Moment) -> Self {
        Self {
            since: now,
            sightings: 0,
            ..self
        }
    }

    /// The same, and the beginning is not even now.
    fn unread(self, now: Moment) -> Self {
        Self {
            is_unread: true,
            ..self.anew(now)
        }
    }

    /// How long it has to be an orphan.
    #[must_use]
    pub fn grace(&self, rules: &Rules) -> Duration {
        if self.since_start {
            rules.start_grace
        } else {
            rules.grace
        }
    }

    /// Whether it was an orphan for long enough, as of a look at `looked_at`, and was seen so often
    /// enough.
    #[must_use]
    pub fn is_over(&self, rules: &Rules, looked_at: Moment) -> bool {
        looked_at.since(self.since) >= self.grace(rules) && self.sightings >= rules.min_sightings
    }

    fn judged(self, rules: &Rules, looked_at: Moment) -> State {
        if self.is_over(rules, looked_at) {
            State::Confirmed(self)
        } else {
            State::Suspected(self)
        }
    }
}

/// Something that happened to one coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A scan showed that it is no orphan.
    NoOrphan,
    /// A scan showed that it is one.
    Orphan {
        /// What it looked like.
        look: Look,
        /// Whether this is the daemon's first scan.
        is_first_scan: bool,
        /// When that scan began: it was an orphan then or later, and nobody knows until when.
        looked_at: Moment,
    },
    /// Nobody looked for too long: the machine slept, or the daemon stood still.
    Unwatched,
    /// Nobody could look: it could not be read.
    Unread,
    /// Somebody began to end it.
    Began,
    /// That ended.
    Ended(Outcome),
    /// It came to nothing for the sake of who asked for it, in this word: nothing that this changes.
    LetGo(String),
}

impl State {
    /// The state after `input`.
    #[must_use]
    pub fn after(self, input: Input, rules: &Rules, now: Moment) -> Self {
        match (self, input) {
            (Self::Gone, _) | (_, Input::Ended(Outcome::Killed { .. } | Outcome::Missing)) => {
                Self::Gone
            }
            (state, Input::Ended(outcome)) => state.ended(outcome, now),
            (state, Input::LetGo(why)) => match state.patience() {
                Some(patience) => Self::Spared { why, patience },
                None => state,
            },
            // Its wave looks for itself, before each signal. But if that comes to nothing, a break
            // meanwhile was one all the same.
            (Self::Terminating(patience), Input::NoOrphan | Input::Unwatched) => {
                Self::Terminating(patience.anew(now))
            }
            (Self::Terminating(patience), Input::Unread) => Self::Terminating(patience.unread(now)),
            (Self::Terminating(patience), Input::Orphan { look, .. }) => {
                Self::Terminating(patience.seen(look, now))
            }
            (state @ Self::Terminating(_), Input::Began)
            | (state @ Self::Seen, Input::Unwatched | Input::Unread) => state,
            (_, Input::NoOrphan) => Self::Seen,
            (
                Self::Seen,
                Input::Orphan {
                    look,
                    is_first_scan,
                    looked_at,
                },
            ) => Patience::begin(look, is_first_scan, now).judged(rules, looked_at),
            (
                state,
                Input::Orphan {
                    look, looked_at, ..
                },
            ) => state.orphan_again(look, rules, looked_at, now),
            (state, Input::Unwatched) => state.begin_patience_anew(|patience| patience.anew(now)),
            (state, Input::Unread) => state.begin_patience_anew(|patience| patience.unread(now)),
            (state, Input::Began) => match state.patience() {
                Some(patience) => Self::Terminating(patience),
                None => state,
            },
        }
    }

    fn orphan_again(self, look: Look, rules: &Rules, looked_at: Moment, now: Moment) -> Self {
        match self {
            Self::Suspected(patience) | Self::Confirmed(patience) => {
                patience.seen(look, now).judged(rules, looked_at)
            }
            // It survived everything there is: nothing more until it is not the same any more.
            Self::Failed {
                error,
                patience,
                since,
            } if is_final(error) => {
                if since.is_none_or(|since| since == look) {
                    Self::Failed {
                        error,
                        patience,
                        since: Some(look),
                    }
                } else {
                    Patience::begin(look, patience.since_start, now).judged(rules, looked_at)
                }
            }
            Self::Failed {
                error, patience, ..
            } => match patience.seen(look, now).judged(rules, looked_at) {
                Self::Suspected(patience) => failed(error, patience),
                confirmed => confirmed,
            },
            Self::Spared { why, patience } => {
                match patience.seen(look, now).judged(rules, looked_at) {
                    Self::Suspected(patience) => Self::Spared { why, patience },
                    confirmed => confirmed,
                }
            }
            state @ (Self::Seen | Self::Terminating(_) | Self::Gone) => state,
        }
    }

    fn begin_patience_anew(self, anew: impl FnOnce(Patience) -> Patience) -> Self {
        match self {
            Self::Suspected(patience) | Self::Confirmed(patience) => {
                Self::Suspected(anew(patience))
            }
            Self::Failed {
                error, patience, ..
            } if !is_final(error) => failed(error, anew(patience)),
            Self::Spared { why, patience } => Self::Spared {
                why,
                patience: anew(patience),
            },
            state => state,
        }
    }

    fn ended(self, outcome: Outcome, now: Moment) -> Self {
        let Some(patience) = self.patience() else {
            return self;
        };
        match outcome {
            // What was wrong was ours: patience with it is not.
            Outcome::Failed {
                error: error @ Failure::AuditUnavailable,
                ..
            } => failed(error, patience),
            Outcome::Failed { error, .. } => failed(error, patience.anew(now)),
            Outcome::Spared { why } => Self::Spared {
                why,
                patience: patience.anew(now),
            },
            Outcome::Killed { .. } | Outcome::Missing => Self::Gone,
        }
    }

    /// Patience with it, while it is an orphan.
    #[must_use]
    pub fn patience(&self) -> Option<Patience> {
        match self {
            Self::Seen | Self::Gone => None,
            Self::Suspected(patience)
            | Self::Confirmed(patience)
            | Self::Terminating(patience)
            | Self::Failed { patience, .. }
            | Self::Spared { patience, .. } => Some(*patience),
        }
    }

    /// A stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Suspected(_) => "suspected",
            Self::Confirmed(_) => "confirmed",
            Self::Terminating(_) => "terminating",
            Self::Failed { .. } => "failed",
            Self::Spared { .. } => "spared",
            Self::Gone => "gone",
        }
    }
}

fn failed(error: Failure, patience: Patience) -> State {
    State::Failed {
        error,
        patience,
        since: None,
    }
}

/// Whether a failure is one that only a change of the process itself can undo.
pub(super) fn is_final(error: Failure) -> bool {
    match error {
        Failure::AliveAfterSigkill | Failure::PermissionDenied => true,
        Failure::AuditUnavailable | Failure::CheckUnavailable => false,
    }
}

#[cfg(test)]
#[path = "machine/tests.rs"]
mod tests;
