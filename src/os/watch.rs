//! Directories whose deletion, move or unmount is told of when it happens. What became of one is for a look to
//! find out; but where the kernel says that this very directory was deleted, that is told as well.
//!
//! Bounded, and none of it is relied upon: whoever is not told finds out at the next look.

#[cfg(target_os = "linux")]
#[path = "watch/linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "watch/macos.rs"]
mod system;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use system::Directories;

use crate::orphan::evidence::FileId;

/// Directories that may not be where they were; and which directory certainly was deleted there, if one was.
pub type Touched = BTreeMap<PathBuf, Option<FileId>>;

/// How many directories are watched at most, each with the one above it.
pub const MOST: usize = 512;
