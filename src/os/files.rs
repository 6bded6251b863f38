//! The files a daemon owns: its state directory, its locks, its socket's directory.

use crate::text::in_line;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::host::own_uid;

/// Why a file or directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system said no.
    #[error("failed to {what} {}: {source}", in_line(path))]
    System {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody else holds the lock.
    #[error("{} is held by {}", in_line(path), holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who holds it, by its own word.
        holder: Option<u32>,
    },
    /// A directory that others could put things into, or take them from.
    #[error(
        "{} is {problem}: use a directory of your own with mode 0700",
        in_line(path)
    )]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that is no socket is in the way.
    #[error(
        "{} is not a socket and is left as it is: choose another --socket",
        in_line(path)
    )]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
}

fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError::System { what, path, source }
}

/// Creates `path` and its missing parents with mode 0700; one that exists is left as it is.
///
/// # Errors
/// If it cannot be created.
pub fn create_private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(system("create", path))
}

/// Makes sure that only we (or root) decide what a name in this directory means.
///
/// # Errors
/// If it is a symbolic link, somebody else's, or writable by others (unless sticky, as `/tmp` is).
pub fn check_socket_directory(path: &Path) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(path).map_err(system("look at", path))?;
    let sticky = metadata.mode() & 0o1000 != 0;
    let problem = if !metadata.is_dir() {
        "not a directory (a symbolic link is not followed)".to_owned()
    } else if metadata.uid() != own_uid() && metadata.uid() != 0 {
        format!("owned by uid {}", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 && !sticky {
        format!("writable by others (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(FileError::Unsafe {
        path: path.to_path_buf(),
        problem,
    })
}

/// Opens a regular file: no link is followed, and neither a fifo in its place nor any other special file
/// can stall the caller or be taken for it. (`O_CLOEXEC` is the standard library's own habit.)
///
/// # Errors
/// The system's, and `InvalidInput` for what is no regular file.
pub fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let guards = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = options
        .custom_flags(guards.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// Opens a regular file for reading, where a link may lead to it; never waits for a FIFO's writer.
///
/// # Errors
/// The system's, and `InvalidInput` for what is no regular file.
pub fn open_following(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// Puts `bytes` in the place of what is at `path`: all of it or nothing, also if the machine crashes.
///
/// # Errors
/// If it is not certainly on disk.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (mut file, new) = create_beside(path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(system("write", &new))
        .and_then(|()| fs::rename(&new, path).map_err(system("replace", path)));
    if let Err(error) = written {
        // Ours alone: nobody else gave it this name.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(system("flush", directory))
}

/// A new file beside `path`, under a name that nobody has: what has it already, a link for one, is neither
/// used nor touched (`O_EXCL`).
fn create_beside(path: &Path) -> Result<(File, PathBuf), FileError> {
    const ATTEMPTS: u32 = 100;
    let mut attempt = 0;
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.{attempt}.new", std::process::id()));
        let new = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&new) {
            Ok(file) => return Ok((file, new)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(system("create", &new)(error)),
        }
    }
}

/// Whether nobody is at the other end of this socket, pipe or terminal any more: who has closed only half of a
/// socket is (poll(2): `POLLHUP`, and `POLLERR` for a pipe that nobody reads).
#[must_use]
pub fn has_hung_up(stream: impl AsFd) -> bool {
    let mut ends = [PollFd::new(&stream, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::HUP | PollFlags::ERR;
    poll(&mut ends, Some(&now)).is_ok() && ends[0].revents().intersects(gone)
}

/// Removes a socket that nobody listens on any more. Call it only with the lock beside it held.
///
/// # Errors
/// If something else than a socket is there, or it cannot be removed.
pub fn remove_stale_socket(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            fs::remove_file(path).map_err(system("remove", path))
        }
        Ok(_) => Err(FileError::NotASocket {
            path: path.to_path_buf(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system("look at", path)(error)),
    }
}

/// A lock that ends with its holder, however that one ends (flock(2)).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, without waiting for one who holds it.
    ///
    /// # Errors
    /// [`FileError::Held`] with the holder's pid, if it wrote it down.
    pub fn take(path: &Path) -> Result<Self, FileError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(system("open", path))?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FileError::Held {
                    path: path.to_path_buf(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(system("lock", path)(error)),
        }
        // For messages only: the lock is what counts.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { _file: file })
    }

    /// Whether somebody holds the lock at this moment.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        // Asked by trying: the shared lock is gone again before this returns, and whoever takes
        // the lock in this moment tries again.
        open_regular(path, OpenOptions::new().read(true))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Who took the lock last, by its own word.
    #[must_use]
    pub fn last_holder(path: &Path) -> Option<u32> {
        holder(&mut open_regular(path, OpenOptions::new().read(true)).ok()?)
    }
}

/// Tries a few times: somebody may only be asking whether the lock is held.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    let mut result = file.try_lock();
    for _ in 0..5 {
        if !matches!(result, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        result = file.try_lock();
    }
    result
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_holder_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!Lock::is_held(&path));
        let lock = Lock::take(&path).unwrap();
        assert!(Lock::is_held(&path));
        assert_eq!(Lock::last_holder(&path), Some(std::process::id()));
        match Lock::take(&path) {
            Err(FileError::Held { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("taken twice: {other:?}"),
        }
        drop(lock);
        assert!(!Lock::is_held(&path));
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whatever_lies_beside_it_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let path = dir.path().join("unit.service");
        let precious = dir.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        let first = format!(".unit.service.{}.0.new", std::process::id());
        for name in ["unit.new", &first] {
            std::os::unix::fs::symlink(&precious, dir.path().join(name)).unwrap();
        }
        let before = names();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
        assert_eq!(names().len(), before.len() + 1);

        // A directory cannot be replaced by a file.
        let full = dir.path().join("full");
        fs::create_dir_all(full.join("of")).unwrap();
        let before = names();
        assert!(matches!(
            replace(&full, b"three"),
            Err(FileError::System {
                what: "replace",
                ..
            })
        ));
        assert_eq!(names(), before);
    }

    #[test]
    fn a_socket_directory_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        assert!(check_socket_directory(dir.path()).is_ok());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(
            check_socket_directory(&link),
            Err(FileError::Unsafe { .. })
        ));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            check_socket_directory(dir.path()),
            Err(FileError::Unsafe { .. })
        ));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(check_socket_directory(dir.path()).is_ok());
    }

    #[test]
    fn only_a_socket_is_taken_out_of_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert!(remove_stale_socket(&path).is_ok());
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        remove_stale_socket(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(matches!(
            remove_stale_socket(&path),
            Err(FileError::NotASocket { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
