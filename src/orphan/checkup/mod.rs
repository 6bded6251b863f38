//! The health of the daemon itself: facts about the machine, its files and its own running → what is
//! well, what is not, and what can be done. Pure: whoever calls brings the facts.
//!
//! - `machine.rs`: what it sees, what the kernel gives it, how much it may open
//! - `places.rs`, `log.rs`: its state directory and its socket; its event log
//! - `running.rs`: its configuration, its program, its scans, what it ends by itself
//! - `client.rs`: what only who asks can see
//!
//! Must not know how a fact is found out, nor how a check is shown.

mod client;
mod log;
mod machine;
mod places;
mod running;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use client::{AtWork, Presence, daemon, daemons, skew, socket_directory, too_old};
pub use log::{EventLogFacts, event_log};
pub use machine::{Descriptors, Kernel, MountIds, descriptors, kernel, view};
pub use places::{
    FileFacts, Found, LockState, SocketFacts, StateDirectory, socket, state_directory,
};
pub use running::{
    Configuration, Hanging, Pausing, Program, Reaping, Reread, Scans, configuration, reaping,
    scans, service, version,
};

/// How a check came out, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// It is well, or there is nothing to be well here.
    Ok,
    /// It works, but not as it should, or it could not be looked at.
    Warning,
    /// Something does not work, or is not safe.
    Problem,
}

impl Finding {
    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: a stable word.
    pub check: &'static str,
    /// How it came out.
    pub finding: Finding,
    /// What was found, in a sentence.
    pub says: String,
    /// What can be done, if something has to be.
    pub remedy: Option<String>,
}

impl Check {
    /// All is well.
    #[must_use]
    pub fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self {
            check,
            finding: Finding::Ok,
            says: says.into(),
            remedy: None,
        }
    }

    /// Something is not as it should be.
    #[must_use]
    pub fn warning(
        check: &'static str,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            finding: Finding::Warning,
            says: says.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Something does not work.
    #[must_use]
    pub fn problem(
        check: &'static str,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            finding: Finding::Problem,
            ..Self::warning(check, says, remedy)
        }
    }

    /// There was no answer within `limit`.
    #[must_use]
    pub fn unanswered(check: &'static str, limit: Duration) -> Self {
        Self::warning(
            check,
            format!("no answer within {}", Span(limit)),
            "something there hangs, often a disk or a network mount: look at it, and ask again",
        )
    }

    /// It is not looked at on this system.
    #[must_use]
    pub fn not_here(check: &'static str, why: &str) -> Self {
        Self::ok(check, format!("not checked here: {why}"))
    }
}

/// Who looks: what has to be there of a daemon that runs need not be there before one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standpoint {
    /// The daemon, at itself.
    Daemon,
    /// The client, at what a daemon of this user would find.
    Client,
}

/// A length of time in words, in its two greatest units.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match (days, hours, minutes, seconds) {
            (0, 0, 0, 0) => write!(formatter, "{} ms", self.0.as_millis()),
            (0, 0, 0, _) => write!(formatter, "{seconds} s"),
            (0, 0, _, _) => write!(formatter, "{minutes} min {} s", seconds % 60),
            (0, _, _, _) => write!(formatter, "{hours} h {minutes} min"),
            _ => write!(formatter, "{days} d {hours} h"),
        }
    }
}

/// A number of bytes in the unit that fits.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..1_000 => write!(formatter, "{bytes} bytes"),
            bytes @ 1_000..1_000_000 => write!(formatter, "{} kB", bytes / 1_000),
            bytes @ 1_000_000..1_000_000_000 => write!(formatter, "{} MB", bytes / 1_000_000),
            bytes => write!(formatter, "{} GB", bytes / 1_000_000_000),
        }
    }
}

/// A path as it is typed into a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%=:,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
