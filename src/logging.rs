//! Logs go to stderr: journald adds the time and the unit, a terminal gets the time from us.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Which logs are wanted, when the environment does not say.
const DEFAULT_FILTER: &str = "info";

/// Starts logging. `TEAM_AGENTD_LOG` filters, as in `team_agentd=debug`.
pub fn start() {
    let filter = EnvFilter::try_from_env("TEAM_AGENTD_LOG")
        .unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // systemd sets JOURNAL_STREAM: the journal has a clock of its own.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init();
    } else {
        builder.init();
    }
}
