//! How much of the log there is, and whether more can be written: looked at without leaving a trace.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{archive_numbers, archive_path, open_regular, segment_path};

/// The log as it lies on disk.
#[derive(Debug)]
pub struct Measured {
    /// The current segment.
    pub path: PathBuf,
    /// How long it is; none if there is none.
    pub bytes: Option<u64>,
    /// How many archives there are.
    pub archives: usize,
    /// How long they are together.
    pub archived_bytes: u64,
    /// Whether the current segment, if there is one, can be opened for writing.
    pub writable: io::Result<()>,
}

/// Looks at the log in `state_dir`. Blocking.
#[must_use]
pub fn measure(state_dir: &Path) -> Measured {
    let path = segment_path(state_dir);
    let opened = open_regular(&path, OpenOptions::new().read(true).append(true));
    let (bytes, writable) = match opened {
        Ok(segment) => (segment.metadata().ok().map(|facts| facts.len()), Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Ok(())),
        Err(error) => (
            fs::symlink_metadata(&path).ok().map(|facts| facts.len()),
            Err(error),
        ),
    };
    let archives = archive_numbers(state_dir).unwrap_or_default();
    let archived_bytes = archives
        .iter()
        .filter_map(|number| fs::symlink_metadata(archive_path(state_dir, *number)).ok())
        .map(|facts| facts.len())
        .sum();
    Measured {
        path,
        bytes,
        archives: archives.len(),
        archived_bytes,
        writable,
    }
}
