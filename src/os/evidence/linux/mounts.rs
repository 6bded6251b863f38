//! The mount table of one process, proc_pid_mountinfo(5).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::fstab::unescaped;
use crate::orphan::evidence::Filesystem;
use crate::orphan::process::Pid;
use crate::os::proc_file;

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is, below the process's root.
    pub(super) point: PathBuf,
    /// What kind of file system, as far as evidence goes.
    pub(super) filesystem: Filesystem,
    /// Whether it is procfs, whose links mean something else to each reader.
    pub(super) is_proc: bool,
}

/// All mounts that a process can reach from its root.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MountTable {
    by_id: HashMap<u64, Mount>,
}

impl MountTable {
    /// Reads the table of `pid`, which `/proc` shows at `place`, and whose root is `root` in the
    /// daemon's view.
    ///
    /// A plain chroot's table lacks the mount that its root lies on: a process's own table shows
    /// only what can be reached from its root. The daemon's table fills the gap if it is of the
    /// same mount namespace, where mount ids mean the same.
    pub(super) fn of(pid: Pid, place: &str, root: &Path) -> io::Result<Self> {
        let text = proc_file::read(format!("{place}/mountinfo"))?;
        let mut table = Self::parse(&text);
        if root != Path::new("/") && shares_mount_namespace(pid) {
            table.add_from_above(Self::parse(&proc_file::read("/proc/self/mountinfo")?), root);
        }
        Ok(table)
    }

    fn add_from_above(&mut self, own: Self, root: &Path) {
        for (id, mut mount) in own.by_id {
            mount.point = match mount.point.strip_prefix(root) {
                Ok(below) => Path::new("/").join(below),
                // Above or beside its root: at no path of its own.
                Err(_) => PathBuf::new(),
            };
            self.by_id.entry(id).or_insert(mount);
        }
    }

    pub(super) fn parse(text: &[u8]) -> Self {
        let by_id = text
            .split(|byte| *byte == b'\n')
            .filter_map(parse_line)
            .collect();
        Self { by_id }
    }

    pub(super) fn get(&self, id: u64) -> Option<&Mount> {
        self.by_id.get(&id)
    }

    pub(super) fn is_mount_point(&self, path: &Path) -> bool {
        self.by_id.values().any(|mount| mount.point == path)
    }

    /// Whether all that is mounted on the way to a path are this machine's own disks.
    pub(super) fn are_of_this_machine_above(&self, path: &Path) -> bool {
        let mut on_the_way = self
            .by_id
            .values()
            .filter(|mount| path.starts_with(&mount.point));
        on_the_way.all(|mount| mount.filesystem.is_of_this_machine())
    }

    /// Each mount by its number, with its point.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Path)> {
        let numbered = self.by_id.iter();
        numbered.map(|(id, mount)| (*id, mount.point.as_path()))
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Path> {
        self.by_id.values().map(|mount| mount.point.as_path())
    }
}

/// Whether a process sees the same tree of mounts as the daemon. Not if it cannot be told.
fn shares_mount_namespace(pid: Pid) -> bool {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    namespace("self").is_some_and(|own| namespace(&pid.to_string()) == Some(own))
}

fn parse_line(line: &[u8]) -> Option<(u64, Mount)> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
    let id = number(fields.first()?)?;
    let separator = fields.iter().position(|field| *field == b"-")?;
    let kind = std::str::from_utf8(fields.get(separator + 1)?).ok()?;
    Some((
        id,
        Mount {
            point: PathBuf::from(OsStr::from_bytes(&unescaped(fields.get(4)?))),
            filesystem: classify(kind),
            is_proc: kind == "proc",
        },
    ))
}

/// File systems by name. What is not known here is not believed.
fn classify(kind: &str) -> Filesystem {
    match kind {
        "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "tmpfs" | "f2fs" | "zfs" | "bcachefs"
        | "ramfs" | "jfs" | "nilfs2" | "reiserfs" | "rootfs" | "devtmpfs" | "hugetlbfs"
        | "squashfs" | "erofs" | "iso9660" | "udf" | "ntfs3" | "hfsplus" => Filesystem::Local,
        "overlay" | "aufs" | "vfat" | "msdos" | "exfat" | "ecryptfs" => Filesystem::Unsteady,
        "autofs" => Filesystem::Autofs,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "ceph" | "afs" | "coda" | "lustre"
        | "gfs2" | "ocfs2" | "gpfs" | "beegfs" | "orangefs" | "virtiofs" | "vboxsf" | "vmhgfs"
        | "prl_fs" | "nfsd" => Filesystem::Network,
        fuse if fuse.starts_with("fuse") => Filesystem::Fuse,
        _ => Filesystem::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table_is_read_with_its_escapes_and_optional_fields() {
        let text = b"36 35 98:0 / /mnt/my\\040disk rw,noatime master:1 shared:2 - ext4 /dev/x rw\n\
            40 35 0:50 / /net rw - autofs systemd-1 rw\n\
            41 35 0:51 / /f rw - fuse.sshfs me@host rw\nnot a line\n";
        let table = MountTable::parse(text);
        let disk = table.get(36).unwrap();
        assert_eq!(disk.point, Path::new("/mnt/my disk"));
        assert_eq!(disk.filesystem, Filesystem::Local);
        assert_eq!(table.get(37), None);
        assert_eq!(table.get(40).unwrap().filesystem, Filesystem::Autofs);
        assert_eq!(table.get(41).unwrap().filesystem, Filesystem::Fuse);
        assert!(table.is_mount_point(Path::new("/net")));
        assert_eq!(table.points().count(), 3);
    }
}
