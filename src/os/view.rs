//! Whether the daemon sees what others see: its mounts, its root, its process table.

use crate::orphan::process::Pid;
use crate::orphan::view::Obstacle;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod tree;

/// Everything that hides processes or paths from this process. `targets` are coordinators: if nobody
/// above this process can be looked into, it is they whose view is compared with.
///
/// Blocking. On macOS there are no such namespaces; what its privacy rules deny is an error where it
/// is denied.
#[must_use]
pub fn obstacles(targets: &[Pid]) -> Vec<Obstacle> {
    #[cfg(target_os = "linux")]
    return linux::obstacles(targets);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = targets;
        Vec::new()
    }
}
