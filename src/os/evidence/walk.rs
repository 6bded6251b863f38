//! Resolves a path as one process would: from its root, component by component.
//!
//! A walk over directory descriptors is `openat2(RESOLVE_IN_ROOT)` made by hand: `..` and absolute
//! links stay below the root. It knows each directory's mount before it asks that mount anything,
//! so it stops before it would trigger an automount, and it never follows a magic link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::mounts::MountTable;
use super::{SYMLINK_LIMIT, errno_name};
use crate::orphan::evidence::{Dangling, FileId, Filesystem, MountKey};

/// The longest path the kernel resolves, in bytes with its final NUL.
const PATH_LIMIT_BYTES: usize = 4096;

/// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
const STATX_MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// What resolving a path gave.
pub(super) enum Walk {
    /// Something is there.
    Found { node: Box<Node>, resolved: PathBuf },
    /// A component is missing, or not a directory.
    Missing {
        /// Where the path would be.
        resolved: PathBuf,
        /// Whether a symbolic link named the missing component.
        dangling: Dangling,
        /// The deepest existing ancestor.
        ancestor: Box<Node>,
    },
    /// Any other answer.
    Failed { errno: &'static str },
}

/// An open file or directory that nobody reads from: a place in the tree.
pub(super) struct Node {
    pub(super) fd: OwnedFd,
    pub(super) stat: Statx,
    /// As in the mount table.
    pub(super) mount_id: u64,
}

impl Node {
    /// Opens what `path` names, following it: for the kernel's own links below `/proc/PID`.
    pub(super) fn open_magic(path: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Self::of(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
    }

    /// Opens `name` in this directory without following it.
    pub(super) fn lookup(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?)
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

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.stx_mode.into())
    }

    pub(super) fn device(&self) -> u64 {
        rustix::fs::makedev(self.stat.stx_dev_major, self.stat.stx_dev_minor)
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
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::from(Errno::OPNOTSUPP))
}

/// A component that is still to be walked, and where it came from.
struct Ahead {
    name: OsString,
    from: Dangling,
}

/// Resolves the absolute `path` below `root`, following every symbolic link.
pub(super) fn walk(root: Node, path: &Path, mounts: &MountTable) -> Walk {
    if path.as_os_str().len() >= PATH_LIMIT_BYTES {
        return Walk::Failed {
            errno: "ENAMETOOLONG",
        };
    }
    let mut ahead: VecDeque<Ahead> = components(path, Dangling::No).collect();
    let mut resolved = PathBuf::from("/");
    let mut above: Vec<Node> = Vec::new();
    let mut here = root;
    let mut links_followed = 0;
    while let Some(Ahead { name, from }) = ahead.pop_front() {
        if name == ".." {
            if let Some(parent) = above.pop() {
                here = parent;
                resolved.pop();
            }
            continue;
        }
        let filesystem = here.filesystem(mounts);
        // Looking further would mount something for a process that may be an orphan.
        let covered = || mounts.is_mount_point(&resolved.join(&name));
        if filesystem == Filesystem::Autofs && !covered() {
            return missing(here, remaining(&resolved, &name, &ahead), from);
        }
        if mounts.get(here.mount_id).is_some_and(|mount| mount.is_proc) {
            // `/proc/self` is somebody else to each reader.
            return Walk::Failed { errno: "EXDEV" };
        }
        let next = match here.lookup(&name) {
            Ok(next) => next,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR) => {
                    return missing(here, remaining(&resolved, &name, &ahead), from);
                }
                _ => {
                    return Walk::Failed {
                        errno: errno_name(&error),
                    };
                }
            },
        };
        if next.file_type() != FileType::Symlink {
            above.push(std::mem::replace(&mut here, next));
            resolved.push(&name);
            continue;
        }
        links_followed += 1;
        if links_followed > SYMLINK_LIMIT {
            return Walk::Failed { errno: "ELOOP" };
        }
        let target = match rustix::fs::readlinkat(&next.fd, "", Vec::new()) {
            Ok(target) => PathBuf::from(OsString::from_vec(target.into_bytes())),
            Err(errno) => {
                return Walk::Failed {
                    errno: errno_name(&errno.into()),
                };
            }
        };
        if target.is_absolute() && !above.is_empty() {
            here = above.swap_remove(0);
            above.clear();
        }
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        for part in components(&target, Dangling::Symlink)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            ahead.push_front(part);
        }
    }
    Walk::Found {
        node: Box::new(here),
        resolved,
    }
}

fn components(path: &Path, from: Dangling) -> impl Iterator<Item = Ahead> + '_ {
    path.components().filter_map(move |component| {
        match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        }
        .map(|name| Ahead { name, from })
    })
}

fn missing(ancestor: Node, resolved: PathBuf, dangling: Dangling) -> Walk {
    Walk::Missing {
        resolved,
        dangling,
        ancestor: Box::new(ancestor),
    }
}

/// Where a path would be whose component `name` is missing below `resolved`.
fn remaining(resolved: &Path, name: &OsStr, ahead: &VecDeque<Ahead>) -> PathBuf {
    let mut path = resolved.join(name);
    for Ahead { name, .. } in ahead {
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
    }
    path
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
    use std::os::unix::fs::symlink;

    fn resolve(root: &Path, path: &str) -> Walk {
        let mounts = MountTable::of(std::process::id(), "/proc/self", Path::new("/")).unwrap();
        let root = Node::open_magic(root.to_str().unwrap()).unwrap();
        walk(root, Path::new(path), &mounts)
    }

    fn found(root: &Path, path: &str) -> Option<PathBuf> {
        match resolve(root, path) {
            Walk::Found { resolved, .. } => Some(resolved),
            Walk::Missing { .. } | Walk::Failed { .. } => None,
        }
    }

    #[test]
    fn links_and_dots_stay_below_the_process_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("home/me/ws")).unwrap();
        symlink("/home/me", root.path().join("abs")).unwrap();
        symlink("../../home/me/ws", root.path().join("home/me/rel")).unwrap();
        symlink("/../../../home", root.path().join("up")).unwrap();
        for path in [
            "/home/me/ws",
            "/abs/ws",
            "/home/me/rel",
            "/up/me/ws",
            "/../home/./me/ws/",
        ] {
            assert_eq!(
                found(root.path(), path),
                Some("/home/me/ws".into()),
                "{path}"
            );
        }
        assert_eq!(found(root.path(), "/"), Some("/".into()));
    }

    #[test]
    fn a_missing_path_says_where_it_would_be_and_whether_a_link_named_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("private/tmp")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        symlink("private/tmp", root.path().join("tmp")).unwrap();
        symlink("/gone/ws", root.path().join("dangling")).unwrap();
        for (path, expected, link) in [
            ("/tmp/ws/x", "/private/tmp/ws/x", Dangling::No),
            ("/dangling", "/gone/ws", Dangling::Symlink),
            ("/dangling/sub", "/gone/ws/sub", Dangling::Symlink),
            ("/file/sub", "/file/sub", Dangling::No),
        ] {
            match resolve(root.path(), path) {
                Walk::Missing {
                    resolved,
                    dangling,
                    ancestor,
                } => {
                    assert_eq!((resolved.to_str().unwrap(), dangling), (expected, link));
                    assert_eq!(
                        ancestor.file_type() == FileType::Directory,
                        path != "/file/sub"
                    );
                }
                _ => panic!("{path} is missing"),
            }
        }
    }

    #[test]
    fn whatever_is_not_a_missing_component_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let long = format!("/{}", "x".repeat(300));
        let longer = "/x".repeat(2100);
        for (path, name) in [
            ("/a/ws", "ELOOP"),
            (&long, "ENAMETOOLONG"),
            (&longer, "ENAMETOOLONG"),
        ] {
            match resolve(root.path(), path) {
                Walk::Failed { errno } => assert_eq!(errno, name),
                _ => panic!("{name} expected"),
            }
        }
        assert!(matches!(
            resolve(Path::new("/"), "/proc/self/cwd"),
            Walk::Failed { errno: "EXDEV" }
        ));
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
