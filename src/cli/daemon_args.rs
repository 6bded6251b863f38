//! The arguments of the daemon. What it does with them is wired in its binary.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::usage;

/// Finds orphaned team-agent coordinators, and ends them when asked to.
#[derive(Debug, Parser)]
#[command(name = "team-agentd", version, after_help = AFTER_HELP)]
pub struct DaemonArgs {
    /// Read this configuration file, and no other
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen on this socket
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Keep the event log and the lock here
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

impl DaemonArgs {
    /// Reads the arguments, the program's name first.
    ///
    /// # Errors
    ///
    /// What is wrong with them; also `--help` and `--version`, which are answered by printing.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).map_err(|error| usage::safe_to_show(error, &arguments))
    }
}

const AFTER_HELP: &str = "\
Runs in the foreground and logs to standard error. SIGHUP reads the configuration again; SIGTERM and
SIGINT stop it, once the kills in progress have finished.

Environment:
  TEAM_AGENTD_CONFIG  the configuration file, if --config does not name one
  TEAM_AGENTD_SOCKET  the socket, if --socket does not name one
  TEAM_AGENTD_LOG     what is logged, such as debug or team_agentd=trace

Examples:
  team-agentd                             with the defaults, or your own configuration
  team-agentd --config ./team-agentd.toml
  team-agentctl config check              says what is wrong with the configuration
  team-agentctl status                    asks the running daemon";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_put_together_well() {
        DaemonArgs::command().debug_assert();
    }

    #[test]
    fn every_place_can_be_named() {
        let line = [
            "team-agentd",
            "--config",
            "c",
            "--socket",
            "s",
            "--state-dir",
            "d",
        ];
        let args = DaemonArgs::try_parse_from(line).unwrap();
        assert_eq!(args.config, Some("c".into()));
        assert_eq!(args.socket, Some("s".into()));
        assert_eq!(args.state_dir, Some("d".into()));
    }

    #[test]
    fn nothing_has_to_be_named_and_nothing_else_can_be() {
        let args = DaemonArgs::try_parse_from(["team-agentd"]).unwrap();
        assert_eq!(
            (args.config, args.socket, args.state_dir),
            (None, None, None)
        );
        assert!(DaemonArgs::try_parse_from(["team-agentd", "run"]).is_err());
        assert!(DaemonArgs::try_parse_from(["team-agentd", "--fix"]).is_err());
    }
}
