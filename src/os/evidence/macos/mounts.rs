//! The mount table, getfsstat(2). It is the same for all processes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::kinds::classify;
use crate::orphan::evidence::Filesystem;
use crate::os::libproc::text;

const _: () = assert!(size_of::<libc::statfs>() == 2168);
const _: () = assert!(size_of::<libc::fsid_t>() == 8);

/// One mount.
#[derive(Debug)]
struct Mount {
    /// Where it is, below the process's root.
    point: PathBuf,
    filesystem: Filesystem,
}

/// All mounts, by the device that stat(2) gives for what is on them.
#[derive(Debug)]
pub(super) struct MountTable {
    by_device: HashMap<u64, Mount>,
}

impl MountTable {
    /// Reads the table for a process whose root is `root` in the daemon's view.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let by_device = mounted()?.iter().map(|stat| mount(stat, root)).collect();
        Ok(Self { by_device })
    }

    pub(super) fn has(&self, device: u64) -> bool {
        self.by_device.contains_key(&device)
    }

    /// What kind of file system this device has; nothing is believed of one that is not in the table.
    pub(super) fn filesystem(&self, device: u64) -> Filesystem {
        self.by_device
            .get(&device)
            .map_or(Filesystem::Other, |mount| mount.filesystem)
    }

    pub(super) fn is_mount_point(&self, path: &Path) -> bool {
        self.by_device.values().any(|mount| mount.point == path)
    }

    /// Each mount by its device, with its point.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Path)> {
        let numbered = self.by_device.iter();
        numbered.map(|(device, mount)| (*device, mount.point.as_path()))
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Path> {
        self.by_device.values().map(|mount| mount.point.as_path())
    }
}

/// A mount with its device.
fn mount(stat: &libc::statfs, root: &Path) -> (u64, Mount) {
    #[expect(unsafe_code, reason = "libc hides the two numbers of a fsid_t")]
    let id = {
        // SAFETY: sys/_types/_fsid_t.h: `struct fsid { int32_t val[2]; }`.
        unsafe { std::mem::transmute::<libc::fsid_t, [i32; 2]>(stat.f_fsid) }
    };
    // The first number is the device that stat(2) gives; the second is that of the kind.
    let [device, _] = id.map(|number| u64::from(number.cast_unsigned()));
    let point = PathBuf::from(text(&stat.f_mntonname));
    let mount = Mount {
        point: match point.strip_prefix(root) {
            Ok(below) => Path::new("/").join(below),
            // Above or beside its root: at no path of its own.
            Err(_) => PathBuf::new(),
        },
        filesystem: classify(&text(&stat.f_fstypename).to_string_lossy()),
    };
    (device, mount)
}

/// All mounted file systems, as the kernel last knew them: asks no server.
fn mounted() -> io::Result<Vec<libc::statfs>> {
    let mut room = 64;
    loop {
        let mut found: Vec<libc::statfs> = Vec::with_capacity(room);
        let bytes = i32::try_from(room * size_of::<libc::statfs>()).map_err(|_| Errno::E2BIG)?;
        #[expect(unsafe_code, reason = "getfsstat has no safe form")]
        let count = {
            // SAFETY: the buffer is writable and as long as is said; the kernel writes no more.
            unsafe { libc::getfsstat(found.as_mut_ptr(), bytes, libc::MNT_NOWAIT) }
        };
        let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
        if count >= room {
            // Full: there may be more.
            room *= 2;
            continue;
        }
        #[expect(unsafe_code, reason = "the structs were filled by the kernel")]
        {
            // SAFETY: the kernel filled `count` structs, and there is room for more.
            unsafe { found.set_len(count) };
        }
        return Ok(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::macos::fs::MetadataExt;

    #[test]
    fn the_root_is_mounted_and_found_by_its_device() {
        let table = MountTable::of(Path::new("/")).unwrap();
        assert!(table.is_mount_point(Path::new("/")));
        let device = std::fs::metadata("/").unwrap().st_dev() & u64::from(u32::MAX);
        assert!(table.has(device));
        assert_eq!(table.filesystem(device), Filesystem::Local);
        assert_eq!(table.filesystem(u64::MAX), Filesystem::Other);
    }
}
