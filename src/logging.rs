//! Logs go to stderr: journald adds the time and the unit, a terminal gets the time from us.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Which logs are wanted, when the environment does not say.
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
    let filter = EnvFilter::try_from_env("TEAM_AGENTD_LOG")
        .unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
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
    Logging { _writer: guard }
}
