//! Why a command has no result: the exit status, a stable word, what happened, and what to do.
//!
//! Must not know which command it was, nor how it is printed.

use std::path::Path;

use serde_json::{Value, json};

use super::ExitStatus;
use crate::config::ConfigError;
use crate::control::client::{CallError, ConnectError};
use crate::control::embedded::EmbeddedError;
use crate::text::in_line;

/// How a daemon is started.
const START_ONE: &str =
    "start one: team-agentctl service install, or in the foreground: team-agentd";

/// A command that has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller is told.
    pub status: ExitStatus,
    /// A stable word for scripts.
    pub kind: String,
    /// What happened: lower case, may have several lines.
    pub message: String,
    /// What can be done about it, unless the message says so itself.
    pub remedy: Option<String>,
}

impl Failure {
    fn new(status: ExitStatus, kind: &str, message: impl ToString) -> Self {
        Self {
            status,
            kind: kind.to_owned(),
            message: message.to_string(),
            remedy: None,
        }
    }

    /// The same with what can be done about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The service cannot be installed, removed or looked at.
    #[must_use]
    pub fn service(kind: &str, message: impl ToString) -> Self {
        Self::new(ExitStatus::Failed, kind, message)
    }

    /// The command line is wrong.
    #[must_use]
    pub fn usage(message: impl ToString) -> Self {
        Self::new(ExitStatus::Usage, "usage", message)
    }

    /// The configuration is wrong, and the command was about the configuration.
    #[must_use]
    pub fn config(error: &ConfigError) -> Self {
        Self::new(ExitStatus::Usage, "config", error)
    }

    /// A file cannot be written.
    #[must_use]
    pub fn unwritable(path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            ExitStatus::EngineError,
            "unwritable",
            format!("failed to write {}: {error}", in_line(path)),
        )
    }

    /// The result cannot be printed.
    #[must_use]
    pub fn output(error: &std::io::Error) -> Self {
        Self::new(
            ExitStatus::EngineError,
            "output",
            format!("failed to print the result: {error}"),
        )
    }

    /// The failure as `--json` prints it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error = json!({"kind": self.kind, "message": self.message});
        if let (Some(remedy), Some(object)) = (&self.remedy, error.as_object_mut()) {
            object.insert("remedy".to_owned(), remedy.clone().into());
        }
        json!({"ok": false, "error": error})
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match &error {
            ConnectError::NoDaemon { .. } => {
                Self::new(ExitStatus::NoDaemon, "no_daemon", &error).with_remedy(START_ONE)
            }
            // Somebody may listen there: working beside them unasked could contradict them.
            ConnectError::Failed { .. } => {
                Self::new(ExitStatus::EngineError, "unreachable", &error)
                    .with_remedy("a daemon may run there all the same; --embedded works without it")
            }
            ConnectError::ForeignDaemon { .. } => {
                Self::new(ExitStatus::EngineError, "foreign_daemon", &error)
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Answer { kind, message, .. } => {
                let failure = Self::new(ExitStatus::EngineError, &kind, message);
                match kind.as_str() {
                    "line_too_long" => failure.with_remedy("name fewer at once"),
                    _ => failure,
                }
            }
            CallError::Lost(source) => Self::new(
                ExitStatus::EngineError,
                "lost",
                format!("lost the daemon before it answered: {source}"),
            )
            .with_remedy(
                "kills in progress go on without this client; see: team-agentctl status, and if a \
                 service manager is to start it: team-agentctl service status",
            ),
            CallError::Silent { .. } => Self::new(ExitStatus::EngineError, "silent", error)
                .with_remedy("what is wrong with it: team-agentctl doctor"),
        }
    }
}

impl From<EmbeddedError> for Failure {
    fn from(error: EmbeddedError) -> Self {
        let message = error.to_string();
        match error {
            EmbeddedError::Config(_) => Self::new(ExitStatus::EngineError, "config", message),
            EmbeddedError::Locked { .. } => Self::new(ExitStatus::EngineError, "locked", message),
            EmbeddedError::Request { kind, message, .. } => {
                Self::new(ExitStatus::EngineError, &kind, message)
            }
            EmbeddedError::Interrupted => {
                Self::new(ExitStatus::EngineError, "interrupted", message)
                    .with_remedy("what is left, and how to end it: team-agentctl scan")
            }
            EmbeddedError::Failed(message) => Self::new(ExitStatus::EngineError, "failed", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_failure_has_a_status_and_a_word() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let answer = || CallError::Answer {
            code: -32602,
            kind: "no_such_process".to_owned(),
            message: "no process has pid 7".to_owned(),
        };
        let missing = || ConfigError::Missing { path: "/c".into() };
        for (failure, status, kind) in [
            (
                ConnectError::NoDaemon { tried: vec![] }.into(),
                4,
                "no_daemon",
            ),
            (
                ConnectError::Failed {
                    socket: "/s".into(),
                    source: denied(),
                }
                .into(),
                5,
                "unreachable",
            ),
            (
                ConnectError::ForeignDaemon {
                    socket: "/s".into(),
                    uid: 7,
                }
                .into(),
                5,
                "foreign_daemon",
            ),
            (answer().into(), 5, "no_such_process"),
            (CallError::Lost(denied()).into(), 5, "lost"),
            (
                CallError::Silent {
                    socket: "/s".into(),
                }
                .into(),
                5,
                "silent",
            ),
            (EmbeddedError::Config(missing()).into(), 5, "config"),
            (
                EmbeddedError::Locked {
                    holder: Some(7),
                    state_dir: "/d".into(),
                }
                .into(),
                5,
                "locked",
            ),
            (EmbeddedError::Interrupted.into(), 5, "interrupted"),
            (
                EmbeddedError::Failed("it broke".to_owned()).into(),
                5,
                "failed",
            ),
            (Failure::config(&missing()), 2, "config"),
            (Failure::usage("no"), 2, "usage"),
            (Failure::output(&denied()), 5, "output"),
            (
                Failure::unwritable(Path::new("/p"), &denied()),
                5,
                "unwritable",
            ),
        ] {
            let failure: Failure = failure;
            assert_eq!(
                (failure.status.code(), failure.kind.as_str()),
                (status, kind)
            );
            assert!(!failure.message.is_empty());
        }
    }

    #[test]
    fn a_request_that_is_too_long_can_be_made_shorter() {
        let failure = Failure::from(CallError::Answer {
            code: -32600,
            kind: "line_too_long".to_owned(),
            message: "a request is at most 65536 bytes long".to_owned(),
        });
        assert_eq!(failure.remedy.as_deref(), Some("name fewer at once"));
    }

    #[test]
    fn a_missing_daemon_is_named_with_the_way_to_start_one() {
        let failure = Failure::from(ConnectError::NoDaemon {
            tried: vec!["/a".into(), "/b".into()],
        });
        assert_eq!(
            failure.to_json(),
            json!({"ok": false, "error": {
                "kind": "no_daemon",
                "message": "no daemon on /a or /b",
                "remedy": "start one: team-agentctl service install, or in the foreground: team-agentd",
            }})
        );
    }
}
