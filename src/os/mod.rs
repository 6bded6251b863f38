//! The edge: the only home of sysinfo, nix, rustix and unsafe code.
//!
//! Says what the kernel and the disk say, and signals one exact process through its handle. Decides
//! nothing: what facts mean is [`crate::orphan`]'s.

pub mod allocator;
pub mod checkup;
pub mod clock;
pub mod errno;
pub mod evidence;
pub mod facts;
pub mod files;
pub mod handle;
pub mod host;
#[cfg(target_os = "macos")]
mod libproc;
pub mod panics;
pub mod paths;
pub mod patience;
#[cfg(target_os = "linux")]
mod proc_file;
pub mod processes;
pub mod programs;
pub mod service;
pub mod signals;
pub mod view;
pub mod watch;
