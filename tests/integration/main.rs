//! The project from the outside: its real binaries, real processes and the real disk, each test in
//! a process table of its own. What the units are for stands next to them; here is what people and
//! scripts rely on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        reason = "a test may panic and speak"
    )
)]

#[cfg(target_os = "linux")]
mod support;

// The house itself.
mod arrows;
mod docs;

// Who is a coordinator, and what becomes of it.
#[cfg(target_os = "linux")]
mod ephemeral;
#[cfg(target_os = "linux")]
mod evidence_that_lies;
#[cfg(target_os = "linux")]
mod judging;
#[cfg(target_os = "linux")]
mod moved;
#[cfg(target_os = "linux")]
mod not_judged;
#[cfg(target_os = "linux")]
mod noticing;
#[cfg(target_os = "linux")]
mod recognising;
#[cfg(target_os = "linux")]
mod volumes;

// What the tool before this one did wrong.
#[cfg(target_os = "linux")]
mod regressions;

// Ending the orphans, and nobody else.
#[cfg(target_os = "linux")]
mod attacks;
#[cfg(target_os = "linux")]
mod brakes;
#[cfg(target_os = "linux")]
mod failing;
#[cfg(target_os = "linux")]
mod fixing;
#[cfg(target_os = "linux")]
mod gate;
#[cfg(target_os = "linux")]
mod keeping;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod locked_maps;
#[cfg(target_os = "linux")]
mod nested;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod reaping;
#[cfg(target_os = "linux")]
mod rescanning;
#[cfg(target_os = "linux")]
mod unfit_hosts;
#[cfg(target_os = "linux")]
mod view;
#[cfg(target_os = "linux")]
mod waves;
#[cfg(target_os = "linux")]
mod who_dies;

// What people and scripts see.
#[cfg(target_os = "linux")]
mod broken_pipes;
#[cfg(target_os = "linux")]
mod by_hand;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod completing;
#[cfg(target_os = "linux")]
mod doctor;
#[cfg(target_os = "linux")]
mod embedded;
#[cfg(target_os = "linux")]
mod event_log;
#[cfg(target_os = "linux")]
mod events_command;
#[cfg(target_os = "linux")]
mod explain;
#[cfg(target_os = "linux")]
mod following;
#[cfg(target_os = "linux")]
mod frozen_results;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod resources;
#[cfg(target_os = "linux")]
mod subscribing;
#[cfg(target_os = "linux")]
mod watching;

// The daemon as a service.
#[cfg(target_os = "linux")]
mod config;
#[cfg(target_os = "linux")]
mod daemon;

#[cfg(target_os = "linux")]
mod package;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod service_command;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod systemd;

/// Elsewhere there is no private process table, and nothing that kills runs outside of one.
#[cfg(not(target_os = "linux"))]
#[test]
fn nothing_was_tested_here_because_this_is_not_linux() {
    eprintln!("SKIPPED (needs Linux pid namespaces): every integration test");
}
