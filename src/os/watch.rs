//! Directories whose deletion, move or unmount is told of when it happens. Only told: what became of one is
//! for a look to find out.
//!
//! Bounded, and none of it is relied upon: whoever is not told finds out at the next look.

#[cfg(target_os = "linux")]
#[path = "watch/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "watch/other.rs"]
mod system;

pub use system::Directories;

/// How many directories are watched at most, each with the one above it.
pub const MOST: usize = 512;
