//! What load, races and crashes do to the daemon, or do not:
//!
//! ```text
//! $ cargo bench --bench faults                           # all parts, at full length, the release build
//! $ cargo bench --bench faults -- kill9 500              # one part, so many rounds
//! $ cargo bench --bench faults -- flood growth --seed 7  # several, with the chance of an earlier run
//! $ cargo bench --profile dev --bench faults -- short    # a few seconds each
//! ```
//!
//! The parts are those of `PARTS` in `faults/run.rs`. Each runs with a daemon of its own in a private pid
//! and mount namespace, prints rows of one table, and ends the run with a failure at the first wrong kill,
//! torn line, lost answer or whatever else must not be. docs/reliability.md says what the figures mean.
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "this program's business is a table, and to say how far it got"
    )
)]

#[cfg(target_os = "linux")]
#[path = "faults/run.rs"]
mod run;
#[cfg(target_os = "linux")]
#[path = "../tests/integration/support/silence.rs"]
mod silence;
#[cfg(target_os = "linux")]
#[expect(
    dead_code,
    unused_imports,
    reason = "the other benches measure with the rest"
)]
mod support;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
