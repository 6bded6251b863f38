//! Programs of the system that are run to their end, such as a service manager's client: by an
//! absolute path, without a shell, with nothing to read, within a time limit.
//!
//! Only the client's service commands use this. The daemon starts no program.

use crate::text::in_line;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What a program said, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl Said {
    /// Whether it did what it was asked for, by its own word.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Its own words for why it did not: standard error, or else what it printed.
    #[must_use]
    pub fn complaint(&self) -> String {
        let said = [&self.stderr, &self.stdout];
        let words = said
            .into_iter()
            .map(|text| text.trim())
            .find(|text| !text.is_empty());
        match (words, self.code) {
            (Some(words), _) => words.to_owned(),
            (None, Some(code)) => format!("exit status {code}"),
            (None, None) => "ended by a signal".to_owned(),
        }
    }
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be started.
    #[error("failed to start {}: {source}", in_line(program))]
    NotStarted {
        /// Which.
        program: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It took too long, and was killed.
    #[error("{} did not end within {} s", in_line(program), limit.as_secs())]
    TooSlow {
        /// Which.
        program: PathBuf,
        /// What it was given.
        limit: Duration,
    },
}

/// Runs `program` with `arguments` and, beside this process's own environment, `variables`. Must be called
/// on a runtime.
///
/// # Errors
/// See [`RunError`]. How the program ended is no error but in [`Said`].
pub async fn run(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(String, String)],
    limit: Duration,
) -> Result<Said, RunError> {
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().cloned())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(limit, output).await;
    let output = output.map_err(|_| RunError::TooSlow {
        program: program.to_path_buf(),
        limit,
    })?;
    let output = output.map_err(|source| RunError::NotStarted {
        program: program.to_path_buf(),
        source,
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

/// The name of process `pid`, as the system keeps it; none if there is no such process.
#[must_use]
pub fn name_of(pid: u32) -> Option<String> {
    let pid = sysinfo::Pid::from_u32(pid);
    let mut system = sysinfo::System::new().ok()?;
    let one = sysinfo::ProcessesToUpdate::Some(&[pid]);
    system.refresh_processes_specifics(one, true, sysinfo::ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    Some(process.name().to_string_lossy().into_owned())
}

/// Whether process `pid` runs the very file that is at `path` now, and not one that was there
/// before. `None` where that cannot be told.
#[cfg(target_os = "linux")]
#[must_use]
pub fn runs_file(pid: u32, path: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    // The link is followed by the kernel to the file itself, also when that has no name any more.
    let running = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    let there = std::fs::metadata(path).ok()?;
    Some((running.dev(), running.ino()) == (there.dev(), there.ino()))
}

/// Whether process `pid` runs the very file that is at `path` now. macOS gives names only.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn runs_file(_pid: u32, _path: &Path) -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

    use super::*;

    fn run_sh(script: &str, limit: Duration) -> Result<Said, RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let variables = [("GIVEN".to_owned(), "a b".to_owned())];
        runtime.block_on(run(
            Path::new("/bin/sh"),
            &["-c", script],
            &variables,
            limit,
        ))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_is_heard_to_its_end() {
        let said = run_sh("cat; echo \"$GIVEN\"; echo oh >&2; exit 3", LONG).unwrap();
        assert_eq!(said.code, Some(3));
        assert_eq!((&*said.stdout, &*said.stderr), ("a b\n", "oh\n"));
        assert_eq!((said.is_success(), &*said.complaint()), (false, "oh"));
        assert_eq!(run_sh("exit 4", LONG).unwrap().complaint(), "exit status 4");
        assert!(run_sh(":", LONG).unwrap().is_success());
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!("echo $$ > '{}'; exec sleep 600", note.display());
        // On a busy machine it may not even have begun: then it gets longer.
        let mut limit = Duration::from_millis(100);
        let pid = loop {
            let error = run_sh(&script, limit).unwrap_err();
            assert!(matches!(error, RunError::TooSlow { .. }), "{error}");
            let pid = std::fs::read_to_string(&note).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<i32>() {
                break nix::unistd::Pid::from_raw(pid);
            }
            limit *= 2;
        };
        // It is our child, which nobody else waits for: it is gone, or it can be awaited.
        let deadline = std::time::Instant::now() + LONG;
        while waitpid(pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            if std::time::Instant::now() > deadline {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                panic!("it was not ended");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_process_is_known_by_its_name() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let name = name_of(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(name.as_deref(), Some("sleep"));
        // More than any system gives.
        assert_eq!(name_of(u32::MAX / 2), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_that_was_replaced_is_noticed() {
        let own = std::env::current_exe().unwrap();
        let pid = std::process::id();
        assert_eq!(runs_file(pid, &own), Some(true));
        assert_eq!(runs_file(pid, Path::new("/bin/sh")), Some(false));
        assert_eq!(runs_file(pid, Path::new("/nowhere")), None);
    }
}
