//! One exact process: ask whether it lives, signal it, await its exit.
//!
//! A handle is opened before any fact about the process is read, and it is what signals. There is
//! no way to signal a bare pid in this program.

use std::io;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::ProcessHandle;

#[cfg(target_os = "macos")]
mod by_version;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::ProcessHandle;

/// Why there is no handle.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No such process, or it is just going.
    #[error("the process is gone")]
    Gone,
    /// The kernel gives none: nothing can be signalled safely.
    #[error("the kernel gives no process handle: {0}")]
    Unavailable(#[source] io::Error),
}

/// What became of a signal.
#[derive(Debug)]
pub enum Delivery {
    /// The kernel took it.
    Sent,
    /// The process has exited.
    Gone,
    /// The kernel refused: the process is alive (EPERM among others).
    Refused(io::Error),
}

/// The signals that this program sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalNumber {
    /// SIGTERM
    Term,
    /// SIGCONT: a stopped process does not see SIGTERM before it.
    Continue,
    /// SIGKILL
    Kill,
}
