//! The client: arguments → [`run`]. Wiring only.

use std::process::ExitCode;

use team_agentd::cli::ExitStatus;
use team_agentd::cli::run::run;
use team_agentd::cli::terminal::Terminal;
use team_agentd::os::host::{keep_files_private, terminal_columns};

fn main() -> ExitCode {
    keep_files_private();
    let terminal = Terminal::detect(terminal_columns());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitStatus::EngineError.into();
    };
    let status = runtime.block_on(run(std::env::args_os(), terminal));
    // A probe of a dead file server may never return: nobody waits for it.
    runtime.shutdown_background();
    status
}
