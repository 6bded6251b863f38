//! A place in the tree on Linux: an O_PATH descriptor, and what statx(2) says about it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::{Errno, retry_on_intr};

use super::PID_FILE_LIMIT_BYTES;
use super::mounts::MountTable;
use crate::orphan::checkup::MountIds;
use crate::orphan::evidence::{FileId, Filesystem, MountKey};

/// The longest path the kernel resolves, in bytes with its final NUL.
pub(super) const PATH_LIMIT_BYTES: usize = 4096;
/// The longest chain of symbolic links the kernel follows, path_resolution(7).
pub(super) const SYMLINK_LIMIT: u32 = 40;

/// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
const STATX_MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// To open what has a name, and no link, only to say where it is.
const A_PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open file or directory that nobody reads from: a place in the tree.
pub(super) struct Node {
    fd: OwnedFd,
    stat: Statx,
    /// As in the mount table.
    mount_id: u64,
}

impl Node {
    /// Opens what `path` names, following it: for the kernel's own links below `/proc/PID`.
    pub(super) fn open_magic(path: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Self::of(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
    }

    /// Opens `name` in this directory without following it.
    pub(super) fn lookup(&self, name: &OsStr) -> io::Result<Self> {
        Self::of(rustix::fs::openat(&self.fd, name, A_PLACE, Mode::empty())?)
    }

    /// What an absolute path without `..` names below this root, where that takes one step instead of three for each of its
    /// parts: no part of it is a link, and all that is mounted on the way are this machine's own disks, so that looking
    /// mounts nothing (openat2(2), Linux 5.6). None says nothing.
    pub(super) fn in_one_step(&self, path: &Path, mounts: &MountTable) -> Option<Self> {
        let is_on_a_disk = |node: &Self| node.filesystem(mounts).is_of_this_machine();
        if !is_on_a_disk(self) || !mounts.are_of_this_machine_above(path) {
            return None;
        }
        let below = path.strip_prefix("/").ok()?;
        let found = self.below(below, ResolveFlags::empty()).ok()?;
        (!found.is_symlink() && is_on_a_disk(&found)).then_some(found)
    }

    /// The directory that is below this one by these names, none of which is followed.
    pub(super) fn lookup_below(&self, names: [&OsStr; 2], mounts: &MountTable) -> io::Result<Self> {
        if self.filesystem(mounts).is_of_this_machine() {
            let path: PathBuf = names.iter().collect();
            match self.below(&path, ResolveFlags::NO_XDEV) {
                Ok(found) => return Ok(found),
                Err(Errno::NOENT) => return Err(Errno::NOENT.into()),
                // Not in one step.
                Err(_) => {}
            }
        }
        self.lookup(names[0])?.lookup(names[1])
    }

    fn below(&self, path: &Path, more: ResolveFlags) -> rustix::io::Result<Self> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | more;
        let found = rustix::fs::openat2(&self.fd, path, A_PLACE, Mode::empty(), resolve)?;
        // Whatever that says, it does not say that nothing is there.
        Self::of(found).map_err(|_| Errno::IO)
    }

    fn of(fd: OwnedFd) -> io::Result<Self> {
        // Cached attributes do: what a network or FUSE server would say is not believed anyway,
        // and asking one may take for ever.
        let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
        let stat = rustix::fs::statx(&fd, "", flags, wanted)?;
        let mount_id = if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
            stat.stx_mnt_id
        } else {
            mount_id_from_fdinfo(&fd)?
        };
        Ok(Self { fd, stat, mount_id })
    }

    /// The start of the file `name` in this directory, without following or blocking: as much as a pid
    /// file may hold, and one byte more.
    pub(super) fn read_start(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        let mut bytes = [0; PID_FILE_LIMIT_BYTES + 1];
        // Of a regular file as much is read as there is.
        let read = retry_on_intr(|| rustix::io::read(&file, &mut bytes))?;
        Ok(bytes[..read].to_vec())
    }

    /// Where this symbolic link leads.
    pub(super) fn link_target(&self) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.fd, "", Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    pub(super) fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    pub(super) fn is_regular_file(&self) -> bool {
        self.file_type() == FileType::RegularFile
    }

    pub(super) fn is_symlink(&self) -> bool {
        self.file_type() == FileType::Symlink
    }

    fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.stx_mode.into())
    }

    /// How many names it has: none if it was deleted.
    pub(super) fn links(&self) -> u64 {
        self.stat.stx_nlink.into()
    }

    fn device(&self) -> u64 {
        rustix::fs::makedev(self.stat.stx_dev_major, self.stat.stx_dev_minor)
    }

    /// Whether it lies on procfs, whose links mean something else to each reader.
    pub(super) fn is_on_procfs(&self, mounts: &MountTable) -> bool {
        mounts.get(self.mount_id).is_some_and(|mount| mount.is_proc)
    }

    /// Whether both are the same directory, by the same way to it.
    pub(super) fn is_the_same_place_as(&self, other: &Self) -> bool {
        let place = |node: &Self| (node.mount_id, node.device(), node.stat.stx_ino);
        place(self) == place(other)
    }

    /// Whether its mount is in the table.
    pub(super) fn is_mounted(&self, mounts: &MountTable) -> bool {
        mounts.get(self.mount_id).is_some()
    }

    /// The mount it is on, as it can be known again: mount ids are given to other mounts, unique
    /// ones (Linux 6.8) are not.
    pub(super) fn mount(&self) -> MountKey {
        let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let unique = rustix::fs::statx(&self.fd, "", flags, STATX_MNT_ID_UNIQUE)
            .ok()
            .filter(|stat| stat.stx_mask & STATX_MNT_ID_UNIQUE.bits() != 0)
            .map(|stat| stat.stx_mnt_id);
        match unique {
            Some(id) => MountKey { id, device: 0 },
            None => MountKey {
                id: self.mount_id,
                device: self.device(),
            },
        }
    }

    /// The number of the mount it is on, as in the mount table; a later mount may have it again.
    pub(super) fn mount_number(&self) -> u64 {
        self.mount_id
    }

    /// How mounts are told apart on this kernel, found out where this is.
    pub(super) fn mount_ids(&self) -> MountIds {
        let has_mount_id = self.stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        // Only a mount that is known by a number that may be given again needs its device too.
        match (has_mount_id, self.mount().device == 0) {
            (false, _) => MountIds::FromText,
            (true, false) => MountIds::Reused,
            (true, true) => MountIds::Unique,
        }
    }

    pub(super) fn filesystem(&self, mounts: &MountTable) -> Filesystem {
        mounts
            .get(self.mount_id)
            .map_or(Filesystem::Other, |mount| mount.filesystem)
    }

    /// Which file this is; its birth time only where it can be trusted.
    pub(super) fn id(&self, filesystem: Filesystem) -> FileId {
        let born = self.stat.stx_btime;
        // Zero stands for one that was never recorded.
        let recorded = self.stat.stx_mask & StatxFlags::BTIME.bits() != 0 && born.tv_sec > 0;
        FileId {
            device: self.device(),
            inode: self.stat.stx_ino,
            born_ns: (recorded && filesystem.identifies_files())
                .then(|| i128::from(born.tv_sec) * 1_000_000_000 + i128::from(born.tv_nsec)),
        }
    }
}

/// The mount id of an open file, for kernels before 5.8.
fn mount_id_from_fdinfo(fd: &OwnedFd) -> io::Result<u64> {
    use std::os::fd::AsRawFd;
    let place = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(place).map_err(|error| match error.kind() {
        // This is what is missing, and not what was opened.
        io::ErrorKind::NotFound => Errno::OPNOTSUPP.into(),
        _ => error,
    })?;
    text.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::from(Errno::OPNOTSUPP))
}

/// The text of one of the kernel's links, and whether its target is said to be deleted.
pub(super) fn kernel_link(path: &str) -> io::Result<PathBuf> {
    let text = rustix::fs::readlinkat(CWD, path, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(text.into_bytes())))
}

/// The path a kernel link means, given that its target has no links left: the mark that the kernel
/// appends is not part of it.
pub(super) fn last_known(path: PathBuf, links: u64) -> PathBuf {
    if links > 0 {
        return path;
    }
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(stem) => PathBuf::from(OsStr::from_bytes(stem)),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_birth_time_is_believed_only_where_the_file_system_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::open_magic(folder.path().to_str().unwrap()).unwrap();
        node.stat.stx_mask |= StatxFlags::BTIME.bits();
        node.stat.stx_btime.tv_sec = 7;
        node.stat.stx_btime.tv_nsec = 8;
        let born = Some(7_000_000_008);
        for (filesystem, believed) in [
            (Filesystem::Local, born),
            (Filesystem::Unsteady, None),
            (Filesystem::Network, None),
            (Filesystem::Fuse, None),
            (Filesystem::Autofs, None),
            (Filesystem::Other, None),
        ] {
            assert_eq!(node.id(filesystem).born_ns, believed, "{filesystem:?}");
        }
        node.stat.stx_btime.tv_sec = 0;
        assert_eq!(node.id(Filesystem::Local).born_ns, None, "never recorded");
        node.stat.stx_btime.tv_sec = 7;
        node.stat.stx_mask &= !StatxFlags::BTIME.bits();
        assert_eq!(node.id(Filesystem::Local).born_ns, None, "not given");
    }

    #[test]
    fn the_deleted_mark_is_part_of_a_name_unless_the_link_count_says_otherwise() {
        let marked = PathBuf::from("/w (deleted)");
        assert_eq!(last_known(marked.clone(), 2), marked);
        assert_eq!(last_known(marked, 0), Path::new("/w"));
        assert_eq!(
            last_known("/w (deleted) (deleted)".into(), 0),
            Path::new("/w (deleted)")
        );
    }
}
