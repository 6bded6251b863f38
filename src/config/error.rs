//! What can be wrong with a configuration file, in words that lead to the place and the remedy.
//!
//! Must not know which keys there are.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::text::{escape, in_line};

/// Why a configuration file was not taken. Every variant names the file.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file does not exist (or is a symlink that leads nowhere).
    #[error(
        "{}: no such file (create it, or correct what names it: the command line, or \
         $TEAM_AGENTD_CONFIG; without both the defaults hold)",
        in_line(path)
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The file is there and could not be read. The words of `source` are part of the message.
    #[error("{}: cannot be read: {source}", in_line(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and is not a valid configuration. The message has one line a problem,
    /// `path:line: key: what`.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in the order of its lines; never empty.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The full dotted key, `reap.grace`; empty when the fault lies outside of any.
    pub key: String,
    /// What is wrong with it, and how to put it right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both may quote the file, and that is not what it seems to be.
        if !self.key.is_empty() {
            write!(formatter, "{}: ", escape(&self.key))?;
        }
        formatter.write_str(&escape(&self.what))
    }
}

impl ConfigError {
    pub(super) fn invalid(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self::Invalid {
            path: path.to_owned(),
            problems,
        }
    }
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let mut lines = String::new();
    for problem in problems {
        let separator = if lines.is_empty() { "" } else { "\n" };
        // Writing to a String does not fail.
        let _ = write!(
            lines,
            "{separator}{}:{}: {problem}",
            in_line(path),
            problem.line
        );
    }
    lines
}
