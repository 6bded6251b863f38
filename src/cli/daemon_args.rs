//! The arguments of the daemon.

use std::path::PathBuf;

use clap::Parser;

/// Finds orphaned team-agent coordinators, and ends them when asked to.
#[derive(Debug, Parser)]
#[command(name = "team-agentd", version)]
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
