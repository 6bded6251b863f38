//! Facts for the health of the daemon itself. What they mean is [`crate::orphan::checkup`]'s.
//!
//! All of it may block: a file system that hangs hangs whoever asks it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::evidence::mount_ids;
use super::files::Lock;
use super::handle::{Delivery, ProcessHandle, SignalNumber};
use super::host::{self, environment, own_uid};
use crate::orphan::checkup::{
    Descriptors, FileFacts, Found, Kernel, LockState, Program, StateDirectory,
};

/// What the kernel gives to this process.
#[must_use]
pub fn kernel() -> Kernel {
    let own = ProcessHandle::open(std::process::id());
    // SIGCONT to ourselves, who run: whether it may be sent is all there is to it.
    let signals = own.as_ref().map(|own| own.signal(SignalNumber::Continue));
    let name = sysinfo::System::kernel_version();
    let system = match cfg!(target_os = "macos") {
        true => "Darwin",
        false => "Linux",
    };
    Kernel {
        name: format!("{system} {}", name.unwrap_or_else(|_| "?".to_owned())),
        fitness: host::check().map_err(|unfit| unfit.to_string()),
        signals: match signals {
            Ok(Delivery::Refused(error)) => Err(error.to_string()),
            _ => Ok(()),
        },
        mount_ids: mount_ids(),
        has_unique_numbers: own.is_ok_and(|own| own.unique() != 0),
    }
}

/// How many files this process may open, and has open.
///
/// # Errors
/// If the system does not say.
pub fn descriptors() -> io::Result<Descriptors> {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The listing has one of its own.
    let open = fs::read_dir("/dev/fd").map(|open| (open.count() as u64).saturating_sub(1));
    Ok(Descriptors {
        soft,
        hard,
        open: open.ok(),
    })
}

/// What is at `path`; a link is not followed.
#[must_use]
pub fn look(path: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Found::There(FileFacts {
            is_directory: metadata.is_dir(),
            is_socket: metadata.file_type().is_socket(),
            uid: metadata.uid(),
            mode: metadata.mode() & 0o7777,
            id: id(&metadata),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

/// Device and inode of what is at `path`, links followed; none if that cannot be told.
#[must_use]
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().as_ref().map(id)
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// What is known of the state directory `path`, in which `lock` lies.
#[must_use]
pub fn state_directory(path: &Path, lock: &Path, at_start: Option<(u64, u64)>) -> StateDirectory {
    let is_held = Lock::is_held(lock);
    StateDirectory {
        path: path.to_path_buf(),
        found: look(path),
        at_start,
        lock: match is_held {
            true => LockState::Held(Lock::last_holder(lock)),
            false => LockState::Free,
        },
        own_pid: std::process::id(),
        own_uid: own_uid(),
    }
}

/// How much room there is for us on the file system of `path`, or of what will be its parent.
#[must_use]
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|ancestor| ancestor.exists())?;
    let space = rustix::fs::statvfs(there).ok()?;
    // Some of it is root's alone.
    let blocks = match own_uid() {
        0 => space.f_bfree,
        _ => space.f_bavail,
    };
    Some(blocks.saturating_mul(space.f_frsize))
}

/// Whether files can be made in `directory`, or, where it is missing, in what will be its parent.
///
/// # Errors
/// The system's words.
pub fn may_write_into(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let there = directory.ancestors().find(|ancestor| ancestor.exists());
    let there = there.unwrap_or(Path::new("/"));
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, there, wanted, AtFlags::EACCESS)?)
}

/// The program that this process runs, as it was when it started.
#[derive(Clone, Debug, Default)]
pub struct OwnProgram {
    path: Option<PathBuf>,
    id: Option<(u64, u64)>,
}

impl OwnProgram {
    /// To be asked before anybody had time to replace it.
    #[must_use]
    pub fn at_start() -> Self {
        let path = std::env::current_exe().ok();
        // The kernel's own link leads to the file itself, whatever has its name by now.
        let id = match cfg!(target_os = "linux") {
            true => identity(Path::new("/proc/self/exe")),
            false => path.as_deref().and_then(identity),
        };
        Self { path, id }
    }

    /// What is in its place now.
    #[must_use]
    pub fn now(&self) -> Program {
        let (Some(path), Some(id)) = (&self.path, self.id) else {
            return Program::Unknown;
        };
        match fs::metadata(path) {
            Ok(there) if self::id(&there) == id => Program::Same,
            Ok(_) => Program::Replaced,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Program::Removed,
            Err(_) => Program::Unknown,
        }
    }
}

/// Who runs this process as a service, if somebody does.
#[must_use]
pub fn service_manager() -> Option<&'static str> {
    let is_set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
    if is_set("NOTIFY_SOCKET") {
        return Some("systemd");
    }
    // launchd says 0 to what it started for somebody's terminal.
    let label = environment("XPC_SERVICE_NAME").filter(|label| label != "0" && !label.is_empty());
    label
        .filter(|_| cfg!(target_os = "macos"))
        .map(|_| "launchd")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::orphan::checkup::{Standpoint, kernel as judged};

    #[test]
    fn this_machine_is_fit_and_says_its_name() {
        let found = kernel();
        let check = judged(&found);
        assert_eq!(check.finding.word(), "ok", "{check:?}");
        assert!(
            found.name.contains('.') && !found.name.contains('?'),
            "{found:?}"
        );
        let limits = descriptors().unwrap();
        assert!(limits.soft <= limits.hard && limits.open > Some(2));
        let more = fs::File::open("/dev/null").unwrap();
        assert!(descriptors().unwrap().open > Some(3));
        drop(more);
    }

    #[test]
    fn what_is_at_a_path_is_told_without_following_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(look(&path), Found::Missing);
        assert!(matches!(
            look(Path::new("/dev/null/x")),
            Found::Unreadable(_)
        ));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1750)).unwrap();
        let Found::There(facts) = look(&path) else {
            panic!("it is there")
        };
        assert_eq!((facts.is_directory, facts.mode), (true, 0o1750));
        assert_eq!((facts.uid, Some(facts.id)), (own_uid(), identity(&path)));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let Found::There(facts) = look(&link) else {
            panic!("it is there")
        };
        assert!(!facts.is_directory);
        let socket = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(look(&socket), Found::There(facts) if facts.is_socket));
    }

    #[test]
    fn a_lock_is_free_until_somebody_takes_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let lock = dir.path().join("lock");
        let state = || state_directory(dir.path(), &lock, identity(dir.path()));
        assert_eq!(state().lock, LockState::Free);
        let held = Lock::take(&lock).unwrap();
        assert_eq!(state().lock, LockState::Held(Some(std::process::id())));
        let check = crate::orphan::checkup::state_directory(&state(), Standpoint::Daemon);
        assert_eq!(check.finding.word(), "ok", "{check:?}");
        drop(held);
        assert_eq!(state().lock, LockState::Free);
    }

    #[test]
    fn room_is_looked_for_where_a_directory_will_be() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("not/there/yet");
        assert!(free_space(&below) > Some(0));
        assert!(may_write_into(&below).is_ok());
        if own_uid() != 0 {
            assert!(may_write_into(Path::new("/usr/bin")).is_err());
        }
        assert!(
            may_write_into(Path::new("/proc/self")).is_err(),
            "nobody makes files there"
        );
    }

    #[test]
    fn a_program_is_followed_by_its_file() {
        assert_eq!(OwnProgram::at_start().now(), Program::Same);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "one").unwrap();
        let program = OwnProgram {
            id: identity(&path),
            path: Some(path.clone()),
        };
        assert_eq!(program.now(), Program::Same);
        fs::rename(&path, dir.path().join("kept")).unwrap();
        assert_eq!(program.now(), Program::Removed);
        fs::write(&path, "two").unwrap();
        assert_eq!(program.now(), Program::Replaced);
        assert_eq!(OwnProgram::default().now(), Program::Unknown);
    }
}
