//! The TERM → KILL state machine of one orphan. No pids, no timers, no signals sent: each input is
//! something that happened, each step says what is to be done next.

use super::event::Signal;

/// What has to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Check the process again under its handle.
    Check,
    /// Write and flush the record of this signal.
    Record(Signal),
    /// Send this signal.
    Send(Signal),
    /// Await its exit for as long as this signal is given.
    Await(Signal),
    /// Nothing: this is how it ended.
    Finish(Outcome),
}

/// Something that happened to the escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Identity, argv and verdict still hold.
    CheckPassed,
    /// They do not, or something protects it.
    CheckFailed {
        /// Why, in a stable word.
        why: String,
    },
    /// The check could not be made, for a reason of our own.
    CheckUnavailable {
        /// What was in the way.
        detail: String,
    },
    /// Every process of this escalation has exited.
    Gone,
    /// The record is on disk.
    Recorded,
    /// It could not be written.
    NotRecorded,
    /// The signal is on its way.
    Sent,
    /// The system refused to deliver it.
    Refused {
        /// The system's words.
        detail: String,
    },
    /// The time for this wait is over.
    WaitOver,
}

/// What a failed record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// No record, no signal: automatic reaping.
    Required,
    /// The signal goes on, and the result says so: somebody asked for it.
    Wanted,
}

/// How an escalation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process is gone.
    Killed {
        /// Whether SIGKILL had to be sent.
        sigkill_required: bool,
    },
    /// It was gone before the first signal.
    Missing,
    /// It could not be ended.
    Failed {
        /// A stable word.
        error: Failure,
        /// The system's words.
        detail: Option<String>,
        /// Whether SIGKILL was sent or tried.
        sigkill_attempted: bool,
    },
    /// It was let go.
    Spared {
        /// Why, in a stable word.
        why: String,
    },
}

impl Outcome {
    /// Whether it was let go for this.
    #[must_use]
    pub fn is_spared_as(&self, word: &str) -> bool {
        matches!(self, Self::Spared { why } if why == word)
    }

    /// Whether it could not be ended for this.
    #[must_use]
    pub fn is_failed_for(&self, failure: Failure) -> bool {
        matches!(self, Self::Failed { error, .. } if *error == failure)
    }
}

/// Why a process could not be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It survived both signals.
    AliveAfterSigkill,
    /// The system refused the signal.
    PermissionDenied,
    /// The event log could not be written.
    AuditUnavailable,
    /// It got SIGTERM, and could not be checked again for SIGKILL.
    CheckUnavailable,
}

impl Failure {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AliveAfterSigkill => "alive_after_sigkill",
            Self::PermissionDenied => "permission_denied",
            Self::AuditUnavailable => "audit_unavailable",
            Self::CheckUnavailable => "check_unavailable",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Checking(Signal),
    Recording(Signal),
    Sending(Signal),
    Awaiting(Signal),
    Done(Outcome),
}

/// One orphan's escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    state: State,
    audit: Audit,
}

impl Escalation {
    /// A new one: the first step is a check.
    #[must_use]
    pub fn new(audit: Audit) -> Self {
        Self {
            state: State::Checking(Signal::Term),
            audit,
        }
    }

    /// From now on a failed record means this: who wants it may be somebody else by now.
    pub fn set_audit(&mut self, audit: Audit) {
        self.audit = audit;
    }

    /// What has to be done now.
    #[must_use]
    pub fn step(&self) -> Step {
        match &self.state {
            State::Checking(_) => Step::Check,
            State::Recording(signal) => Step::Record(*signal),
            State::Sending(signal) => Step::Send(*signal),
            State::Awaiting(signal) => Step::Await(*signal),
            State::Done(outcome) => Step::Finish(outcome.clone()),
        }
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Takes in what happened. An input that does not belong to the current state changes nothing:
    /// no late or repeated answer can bring about a signal.
    pub fn advance(&mut self, input: Input) {
        use State::{Awaiting, Checking, Done, Recording, Sending};
        let next = match (&self.state, input) {
            (Checking(signal), Input::CheckPassed) => Recording(*signal),
            // A doubt counts as long as the signal is not out.
            (Checking(_) | Recording(_) | Sending(_), Input::CheckFailed { why }) => {
                Done(Outcome::Spared { why })
            }
            // Before SIGTERM nothing was done yet; after it the orphan is neither ended nor spared.
            (
                Checking(Signal::Term) | Recording(Signal::Term) | Sending(Signal::Term),
                Input::CheckUnavailable { detail },
            ) => Done(Outcome::Spared { why: detail }),
            (
                Checking(Signal::Kill) | Recording(Signal::Kill) | Sending(Signal::Kill),
                Input::CheckUnavailable { detail },
            ) => Done(Outcome::Failed {
                error: Failure::CheckUnavailable,
                detail: Some(detail),
                sigkill_attempted: false,
            }),
            (Recording(signal), Input::Recorded) => Sending(*signal),
            (Recording(signal), Input::NotRecorded) => match self.audit {
                Audit::Wanted => Sending(*signal),
                Audit::Required => Done(Outcome::Failed {
                    error: Failure::AuditUnavailable,
                    detail: None,
                    sigkill_attempted: false,
                }),
            },
            (Sending(signal), Input::Sent) => Awaiting(*signal),
            (Sending(signal), Input::Refused { detail }) => Done(Outcome::Failed {
                error: Failure::PermissionDenied,
                detail: Some(detail),
                sigkill_attempted: *signal == Signal::Kill,
            }),
            (Awaiting(Signal::Term), Input::WaitOver) => Checking(Signal::Kill),
            (Awaiting(Signal::Kill), Input::WaitOver) => Done(Outcome::Failed {
                error: Failure::AliveAfterSigkill,
                detail: None,
                sigkill_attempted: true,
            }),
            (Done(_), _) => return,
            (state, Input::Gone) => Done(gone_in(state)),
            _ => return,
        };
        self.state = next;
    }
}

/// What it means that the process is gone in `state`: before SIGTERM went out it was missing, and
/// SIGKILL was required only if it went out.
fn gone_in(state: &State) -> Outcome {
    match state {
        State::Checking(Signal::Term)
        | State::Recording(Signal::Term)
        | State::Sending(Signal::Term) => Outcome::Missing,
        State::Awaiting(Signal::Kill) => Outcome::Killed {
            sigkill_required: true,
        },
        _ => Outcome::Killed {
            sigkill_required: false,
        },
    }
}

#[cfg(test)]
mod tests;
