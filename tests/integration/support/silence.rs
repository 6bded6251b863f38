//! A file system that never answers: whoever asks it waits until this is dropped.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A FUSE mount of which nobody serves the other end.
pub(crate) struct Silence {
    /// Closed, it makes everybody who waits get an error.
    _server: File,
    point: PathBuf,
}

impl Silence {
    /// None where this may not be mounted.
    pub(crate) fn over(point: &Path) -> Option<Self> {
        let mut options = File::options();
        let server = options.read(true).write(true).open("/dev/fuse").ok()?;
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        let data = std::ffi::CString::new(data).ok()?;
        mount("tad", point, "fuse", MountFlags::empty(), Some(&*data)).ok()?;
        let point = point.to_path_buf();
        Some(Self {
            _server: server,
            point,
        })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = unmount(&self.point, UnmountFlags::DETACH);
    }
}
