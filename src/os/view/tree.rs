//! What a path leads to in one mount table, proc_pid_mountinfo(5), by the table alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::os::evidence::unescaped;

/// Where the kernel and the service manager keep their own: nobody's workspace.
const NOBODYS: [&str; 6] = [
    "/dev",
    "/proc",
    "/sys",
    "/run/systemd",
    "/run/credentials",
    "/boot",
];
/// Somebody's all the same.
const SOMEBODYS: &str = "/dev/shm";

/// The mounts of one process, as the tree they are.
#[derive(Debug, Default)]
pub(super) struct MountTree {
    mounts: Vec<Mount>,
}

#[derive(Debug)]
struct Mount {
    id: u64,
    parent: u64,
    device: String,
    /// Which directory of the file system is mounted.
    root: PathBuf,
    point: PathBuf,
    super_options: String,
}

impl MountTree {
    pub(super) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        Self {
            mounts: lines.filter_map(Mount::parse).collect(),
        }
    }

    /// The mount that a path leads to: from the root, through every mount that is in the way.
    fn at(&self, path: &Path) -> Option<&Mount> {
        let has_parent = |mount: &Mount| {
            let mut others = self.mounts.iter().filter(|other| other.id != mount.id);
            others.any(|other| other.id == mount.parent)
        };
        let is_root = |mount: &&Mount| !has_parent(mount);
        let mut at = self.mounts.iter().find(is_root)?;
        // Each step leads to a child, and there are no more than all.
        for _ in 0..self.mounts.len() {
            let below = self
                .mounts
                .iter()
                .filter(|mount| mount.parent == at.id && mount.id != at.id)
                .filter(|mount| path.starts_with(&mount.point))
                // What is nearer to the root is met first, and hides what was mounted below before.
                .min_by_key(|mount| mount.point.components().count());
            match below {
                Some(mount) => at = mount,
                None => break,
            }
        }
        Some(at)
    }

    /// Which file system, and which directory of it, a path leads to.
    fn place_of(&self, path: &Path) -> Option<(&str, PathBuf)> {
        let mount = self.at(path)?;
        let below = path.strip_prefix(&mount.point).ok()?;
        Some((&mount.device, mount.root.join(below)))
    }

    /// The mount points at which this table leads elsewhere than the other, without those below
    /// another.
    pub(super) fn differences(&self, other: &Self) -> Vec<PathBuf> {
        let points: BTreeSet<&PathBuf> = self
            .mounts
            .iter()
            .chain(&other.mounts)
            .map(|mount| &mount.point)
            .filter(|point| may_be_somebodys(point))
            .collect();
        let mut found: Vec<PathBuf> = Vec::new();
        for point in points {
            let is_below = found.iter().any(|hidden| point.starts_with(hidden));
            if !is_below && self.place_of(point) != other.place_of(point) {
                found.push(point.clone());
            }
        }
        found
    }

    /// The options of the file system at `point` itself.
    pub(super) fn super_options_at(&self, point: &Path) -> Option<String> {
        let mount = self.at(point).filter(|mount| mount.point == point)?;
        Some(mount.super_options.clone())
    }
}

fn may_be_somebodys(point: &Path) -> bool {
    point.starts_with(SOMEBODYS) || !NOBODYS.iter().any(|nobodys| point.starts_with(nobodys))
}

impl Mount {
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let number = |field: &[u8]| str::from_utf8(field).ok()?.parse::<u64>().ok();
        let path = |field: &[u8]| PathBuf::from(OsStr::from_bytes(&unescaped(field)));
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let device = text(fields.next()?);
        let root = path(fields.next()?);
        let point = path(fields.next()?);
        let mut last = fields.skip_while(|field| *field != b"-").skip(3);
        Some(Self {
            id,
            parent,
            device,
            root,
            point,
            super_options: last.next().map(text).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
        1 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        2 1 0:5 / /proc rw - proc proc rw,hidepid=2\n\
        3 1 8:2 / /home rw - ext4 /dev/sda2 rw\n\
        4 1 0:9 / /tmp rw - tmpfs tmpfs rw\n\
        5 1 0:7 / /run rw - tmpfs tmpfs rw\n\
        6 3 8:3 / /home/me/my\\040disk rw - ext4 /dev/sda3 rw\n";

    const NOTHING: [&Path; 0] = [];

    fn differences(mine: &str, host: &str) -> Vec<PathBuf> {
        MountTree::parse(mine.as_bytes()).differences(&MountTree::parse(host.as_bytes()))
    }

    #[test]
    fn the_same_tree_hides_nothing_whatever_the_numbers() {
        let renumbered = HOST
            .lines()
            .map(|line| {
                let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
                for field in &mut fields[..2] {
                    *field = (field.parse::<u64>().unwrap() + 100).to_string();
                }
                fields.join(" ")
            })
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(differences(&renumbered, HOST), NOTHING);
    }

    #[test]
    fn a_directory_mounted_on_itself_hides_nothing() {
        // ReadWritePaths=, StateDirectory=, ProtectSystem=: read-only, but the same.
        let mine = format!(
            "{HOST}7 1 8:1 /var/lib/x /var/lib/x rw - ext4 /dev/sda1 rw\n8 1 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(differences(&mine, HOST), NOTHING);
    }

    #[test]
    fn a_private_directory_in_the_place_of_a_shared_one_is_found() {
        // PrivateTmp=
        let mine = format!("{HOST}7 4 0:9 /systemd-private-x/tmp /tmp rw - tmpfs tmpfs rw\n");
        assert_eq!(differences(&mine, HOST), [Path::new("/tmp")]);
        // ProtectHome=tmpfs, over a volume that has another below it
        let mine = format!("{HOST}7 3 0:40 / /home ro - tmpfs tmpfs ro\n");
        assert_eq!(differences(&mine, HOST), [Path::new("/home")]);
        // InaccessiblePaths=
        let mine =
            format!("{HOST}7 3 0:7 /systemd/inaccessible/dir /home/me/ws ro - tmpfs tmpfs ro\n");
        assert_eq!(differences(&mine, HOST), [Path::new("/home/me/ws")]);
    }

    #[test]
    fn a_volume_that_only_others_see_is_found() {
        let host = format!("{HOST}9 1 8:9 / /mnt/disk rw - ext4 /dev/sdb rw\n");
        assert_eq!(differences(HOST, &host), [Path::new("/mnt/disk")]);
    }

    #[test]
    fn what_was_mounted_below_before_is_hidden_by_what_came_over_it() {
        // A child of the root, not of the tmpfs: it was there first.
        let mine = "\
            1 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 8:2 / /home/me rw - ext4 /dev/sda2 rw\n\
            3 1 0:40 / /home rw - tmpfs tmpfs rw\n";
        let tree = MountTree::parse(mine.as_bytes());
        let (device, root) = tree.place_of(Path::new("/home/me/ws")).unwrap();
        assert_eq!((device, root.as_path()), ("0:40", Path::new("/me/ws")));
    }

    #[test]
    fn the_kernels_own_trees_are_nobodys_but_for_shared_memory() {
        let own_dev = format!("{HOST}7 1 0:50 / /dev rw - tmpfs tmpfs rw\n");
        assert_eq!(differences(&own_dev, HOST), NOTHING);
        let own_shm = format!("{HOST}7 1 0:50 / /dev/shm rw - tmpfs tmpfs rw\n");
        assert_eq!(differences(&own_shm, HOST), [Path::new("/dev/shm")]);
    }

    #[test]
    fn options_are_those_of_the_file_system_at_the_point_itself() {
        let tree = MountTree::parse(HOST.as_bytes());
        let options = |point| tree.super_options_at(Path::new(point));
        assert_eq!(options("/proc").as_deref(), Some("rw,hidepid=2"));
        assert_eq!(options("/proc/1"), None);
        assert_eq!(
            MountTree::parse(b"").super_options_at(Path::new("/proc")),
            None
        );
    }
}
