//! What is asked of the machine once: who we are, whether `/proc` is ours, how much we may open.

use std::ffi::OsString;
use std::io;

use super::handle::{OpenError, ProcessHandle};

/// The effective uid of this process.
#[must_use]
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// An environment variable of this process.
#[must_use]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A name for this boot of the machine: process identities are unique only within one. Empty where
/// start times are absolute, as on macOS.
#[must_use]
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Raises the soft limit on open files to the hard one: each process under termination takes one.
///
/// # Errors
/// If the limits cannot be read or set.
pub fn raise_open_file_limit() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// The width of the terminal that standard output is, in columns, if it is one.
#[must_use]
pub fn terminal_columns() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

/// Files of this process are for its owner alone, unless said otherwise.
pub fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// Why nothing can be judged or signalled safely on this machine.
#[derive(Debug, thiserror::Error)]
pub enum UnfitHost {
    /// The process table that this process sees is not its own.
    #[error(
        "/proc shows another pid namespace (it says this process is {shown}, the kernel says \
         {real}): mount a /proc of this namespace"
    )]
    ForeignProcessTable {
        /// What `/proc/self` says.
        shown: String,
        /// What the kernel says.
        real: u32,
    },
    /// There are no process handles.
    #[error("{0}: Linux 5.3 or later is needed, and a seccomp filter must allow pidfd_open")]
    NoHandles(#[source] OpenError),
}

/// Makes sure that pids in `/proc` mean what they mean to system calls, and that the kernel gives
/// handles on processes.
///
/// # Errors
/// If not: then a fact could belong to one process and a signal go to another.
pub fn check() -> Result<(), UnfitHost> {
    let real = std::process::id();
    ProcessHandle::open(real).map_err(UnfitHost::NoHandles)?;
    if cfg!(not(target_os = "linux")) {
        return Ok(());
    }
    let shown = std::fs::read_link("/proc/self")
        .map(|target| target.to_string_lossy().into_owned())
        .unwrap_or_else(|error| error.to_string());
    if shown == real.to_string() {
        Ok(())
    } else {
        Err(UnfitHost::ForeignProcessTable { shown, real })
    }
}
