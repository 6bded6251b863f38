//! Logs go to stderr: journald adds the time and the unit, a terminal gets the time from us.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Says which logs are wanted.
const VARIABLE: &str = "TEAM_AGENTD_LOG";
/// Which are, if it does not.
const DEFAULT_FILTER: &str = "info";

/// How many lines wait at most. There is a place for each from the beginning, and the library's own 128,000 take 4 MB.
const QUEUED_LINES: usize = 16_384;

/// Keeps the log's writer at work; the last lines go out when it is dropped.
#[must_use]
pub struct Logging {
    _writer: WorkerGuard,
}

/// Starts logging. `TEAM_AGENTD_LOG` filters, as in `team_agentd=debug`.
///
/// Lines go through a bounded queue to a thread of their own, which drops what it cannot write: a
/// full disk, or a pipe that nobody reads, must not stop a kill halfway.
pub fn start() -> Logging {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .finish(std::io::stderr());
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let wanted = wanted.to_string_lossy();
    let filter = match wanted.is_empty() {
        true => Ok(EnvFilter::new(DEFAULT_FILTER)),
        false => EnvFilter::try_new(&wanted),
    };
    let (filter, mistake) = match filter {
        Ok(filter) => (filter, None),
        Err(mistake) => (EnvFilter::new(DEFAULT_FILTER), Some(mistake)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(writer)
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // systemd sets JOURNAL_STREAM: the journal has a clock of its own.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init();
    } else {
        builder.init();
    }
    if let Some(mistake) = mistake {
        tracing::warn!(
            %mistake,
            value = ?wanted,
            "{VARIABLE} is no filter, such as debug or team_agentd=debug: it is ignored"
        );
    }
    Logging { _writer: guard }
}
