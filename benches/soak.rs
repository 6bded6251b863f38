//! The daemon left to itself for a long time, among processes that come and go in every way there is:
//!
//! ```text
//! $ cargo bench --bench soak                       # half an hour, the release build
//! $ cargo bench --bench soak -- 5m --seed 7        # so long, with the chance of an earlier run
//! $ cargo bench --profile dev --bench soak -- 60s  # the build that the tests use
//! ```
//!
//! A model beside it knows the truth of each process at each time, reads the event log along, and ends
//! the run at the first wrong kill, missed orphan, lost record, or growth. What kills runs in a private
//! pid and mount namespace, and ends with it. docs/reliability.md says what the figures mean.
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "this program's business is a table, and to say how far it got"
    )
)]

#[cfg(target_os = "linux")]
#[path = "soak/run.rs"]
mod run;
#[cfg(target_os = "linux")]
#[expect(
    dead_code,
    unused_imports,
    reason = "the other bench measures with the rest"
)]
mod support;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
