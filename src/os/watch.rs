//! Directories whose deletion, move or unmount is told of when it happens. What became of one is for a look to
//! find out; but where the kernel says that this very directory was deleted, that is told as well.
//!
//! Bounded, and none of it is relied upon: whoever is not told finds out at the next look.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

use std::collections::BTreeMap;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
pub use linux::Directories;
#[cfg(target_os = "macos")]
pub use macos::Directories;

use crate::orphan::evidence::FileId;

/// Directories that may not be where they were; and which directory certainly was deleted there, if one was.
pub type Touched = BTreeMap<PathBuf, Option<FileId>>;

/// Directories that are to be watched: where they are, and which was seen there.
pub type Wanted = BTreeMap<PathBuf, FileId>;

/// How many directories are watched at most, each with the one above it.
pub const MOST: usize = 512;
