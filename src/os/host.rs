//! What is asked of the machine once: who we are, whether `/proc` is ours, how much we may open.

use std::ffi::OsString;
use std::io;

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

/// Raises the soft limit on open files to the hard one: each process under termination takes one.
///
/// # Errors
/// If the limits cannot be read or set.
pub fn raise_open_file_limit() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Files of this process are for its owner alone, unless said otherwise.
pub fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// Why the process table that this process sees is not its own.
#[derive(Debug, thiserror::Error)]
#[error(
    "/proc shows another pid namespace (it says this process is {shown}, the kernel says {real}): \
     mount a /proc of this namespace"
)]
pub struct ForeignProcessTable {
    shown: String,
    real: u32,
}

/// Makes sure that pids in `/proc` mean what they mean to system calls.
///
/// # Errors
/// If they do not: then a fact could belong to one process and a signal go to another.
pub fn check_process_table() -> Result<(), ForeignProcessTable> {
    if cfg!(not(target_os = "linux")) {
        return Ok(());
    }
    let real = std::process::id();
    let shown = std::fs::read_link("/proc/self")
        .map(|target| target.to_string_lossy().into_owned())
        .unwrap_or_else(|error| error.to_string());
    if shown == real.to_string() {
        Ok(())
    } else {
        Err(ForeignProcessTable { shown, real })
    }
}
