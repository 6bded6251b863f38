//! A place in the tree on macOS: a path without symbolic links, and what lstat(2) says about it.
//!
//! There is no descriptor of the O_PATH kind here, so a place can change under its path between two
//! looks. Whoever signals looks again.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::macos::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::PID_FILE_LIMIT_BYTES;
use super::mounts::MountTable;
use crate::orphan::evidence::{FileId, Filesystem, MountKey};

/// PATH_MAX, sys/syslimits.h: the longest path the kernel resolves, with its final NUL.
pub(super) const PATH_LIMIT_BYTES: usize = 1024;
/// MAXSYMLINKS, sys/param.h: the longest chain of symbolic links the kernel follows.
pub(super) const SYMLINK_LIMIT: u32 = 32;

/// A file or directory at a path in the daemon's view.
pub(super) struct Node {
    path: PathBuf,
    metadata: Metadata,
}

impl Node {
    /// What is at `path`, without following it if it is a symbolic link.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            metadata: std::fs::symlink_metadata(&path)?,
            path,
        })
    }

    /// What is called `name` in this directory, without following it.
    pub(super) fn lookup(&self, name: &OsStr) -> io::Result<Self> {
        if self.is_directory() {
            Self::at(self.path.join(name))
        } else {
            // A path would follow a symbolic link here.
            Err(Errno::NOTDIR.into())
        }
    }

    /// A path is looked up part by part.
    pub(super) fn in_one_step(&self, _path: &Path, _mounts: &MountTable) -> Option<Self> {
        None
    }

    /// The directory that is below this one by these names, none of which is followed.
    pub(super) fn lookup_below(
        &self,
        names: [&OsStr; 2],
        _mounts: &MountTable,
    ) -> io::Result<Self> {
        self.lookup(names[0])?.lookup(names[1])
    }

    /// The start of the file `name` in this directory, without following or blocking, as much of it
    /// as a pid file may hold and one byte more.
    pub(super) fn read_start(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        let place = self.lookup(name)?;
        let file = OpenOptions::new()
            .read(true)
            // No link at any part of the path; O_NOFOLLOW besides it is EINVAL.
            .custom_flags(libc::O_NOFOLLOW_ANY | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&place.path)?;
        let opened = Self::of(&file, place.path.clone())?;
        // Kernels before macOS 11 do not know the flag.
        if !opened.is_regular_file() || !opened.is_same_file(&place) {
            return Err(Errno::LOOP.into());
        }
        let mut bytes = Vec::new();
        file.take(PID_FILE_LIMIT_BYTES as u64 + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn of(file: &File, path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            metadata: file.metadata()?,
            path,
        })
    }

    fn is_same_file(&self, other: &Self) -> bool {
        self.is_file(other.device(), other.inode())
    }

    /// Whether it is the file with these numbers.
    pub(super) fn is_file(&self, device: u64, inode: u64) -> bool {
        (self.device(), self.inode()) == (device, inode)
    }

    /// Where this symbolic link leads.
    pub(super) fn link_target(&self) -> io::Result<PathBuf> {
        std::fs::read_link(&self.path)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.metadata.is_dir()
    }

    pub(super) fn is_regular_file(&self) -> bool {
        self.metadata.is_file()
    }

    pub(super) fn is_symlink(&self) -> bool {
        self.metadata.is_symlink()
    }

    /// How many names it has.
    pub(super) fn links(&self) -> u64 {
        self.metadata.st_nlink()
    }

    /// The first number of the file system's id, unsigned as libproc has it.
    /// The number of the mount it is on, as in the mount table.
    pub(super) fn mount_number(&self) -> u64 {
        self.device()
    }

    fn device(&self) -> u64 {
        // `dev_t` is 32 bits wide and signed; the standard library widens it with its sign.
        self.metadata.st_dev() & u64::from(u32::MAX)
    }

    fn inode(&self) -> u64 {
        self.metadata.st_ino()
    }

    /// There is no procfs.
    pub(super) fn is_on_procfs(&self, _mounts: &MountTable) -> bool {
        false
    }

    /// The mount it is on, as it can be known again while nothing else is mounted with its number.
    pub(super) fn mount(&self) -> MountKey {
        MountKey {
            id: self.device(),
            device: self.device(),
        }
    }

    pub(super) fn filesystem(&self, mounts: &MountTable) -> Filesystem {
        mounts.filesystem(self.device())
    }

    /// Which file this is; its birth time only where it can be trusted.
    pub(super) fn id(&self, filesystem: Filesystem) -> FileId {
        let seconds = self.metadata.st_birthtime();
        // Zero stands for one that was never recorded.
        let recorded = seconds > 0 && filesystem.identifies_files();
        FileId {
            device: self.device(),
            inode: self.inode(),
            born_ns: recorded.then(|| {
                i128::from(seconds) * 1_000_000_000 + i128::from(self.metadata.st_birthtime_nsec())
            }),
        }
    }
}
