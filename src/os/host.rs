//! What is asked of the machine once: who we are, whether `/proc` is ours, how much we may open.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

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

/// How many files this process may have open.
///
/// # Errors
/// `getrlimit(2)`.
pub fn open_file_limit() -> io::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// The width of the terminal that standard output is, in columns, if it is one.
#[must_use]
pub fn terminal_columns() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

/// The columns and rows of the terminal that standard error is, if it is one and says so.
#[must_use]
pub fn terminal_of_standard_error() -> Option<(u16, u16)> {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .map(|size| (size.ws_col, size.ws_row))
        .filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// Whether this process may draw on the terminal that standard error is: it is in the foreground there.
#[must_use]
pub fn is_in_the_foreground() -> bool {
    let has_it = rustix::termios::tcgetpgrp(std::io::stderr());
    has_it.is_ok_and(|group| group == rustix::process::getpgrp())
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
    let handle = ProcessHandle::open(real).map(drop);
    // Elsewhere there is no process table in the form of files.
    let shown = cfg!(target_os = "linux").then(|| std::fs::read_link("/proc/self"));
    fitness(real, handle, shown)
}

/// What it means that this process, whose pid is `real`, gets a handle on itself or does not, and what
/// `/proc/self` says, where there is such a thing.
fn fitness(
    real: u32,
    handle: Result<(), OpenError>,
    shown: Option<io::Result<PathBuf>>,
) -> Result<(), UnfitHost> {
    handle.map_err(UnfitHost::NoHandles)?;
    let shown = match shown {
        None => return Ok(()),
        Some(Ok(target)) => target.to_string_lossy().into_owned(),
        Some(Err(error)) => error.to_string(),
    };
    if shown == real.to_string() {
        Ok(())
    } else {
        Err(UnfitHost::ForeignProcessTable { shown, real })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &str) -> Option<io::Result<PathBuf>> {
        Some(Ok(PathBuf::from(target)))
    }

    #[test]
    fn a_host_whose_process_table_is_ours_and_that_gives_handles_is_fit() {
        assert!(fitness(42, Ok(()), shown("42")).is_ok());
        assert!(fitness(42, Ok(()), None).is_ok(), "there is no such table");
        assert!(check().is_ok(), "this one is");
    }

    #[test]
    fn without_handles_on_processes_no_host_is_fit() {
        for error in [
            OpenError::Gone,
            OpenError::Unavailable(io::ErrorKind::Unsupported.into()),
        ] {
            let unfit = fitness(42, Err(error), shown("42"));
            assert!(matches!(unfit, Err(UnfitHost::NoHandles(_))), "{unfit:?}");
        }
    }

    #[test]
    fn a_process_table_of_another_namespace_or_none_at_all_is_not_fit() {
        let unreadable = Some(Err(io::ErrorKind::NotFound.into()));
        for shown in [shown("43"), shown("4"), shown("421"), shown(""), unreadable] {
            let unfit = fitness(42, Ok(()), shown);
            assert!(
                matches!(unfit, Err(UnfitHost::ForeignProcessTable { real: 42, .. })),
                "{unfit:?}"
            );
        }
    }
}
