//! The mount table of whoever sees what the daemon sees, which is nearly everybody: read once, as long as the
//! kernel says that it holds.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::mounts::MountTable;
use super::node::Node;
use crate::orphan::process::Pid;

/// So long one reading is believed at most: where something else than Linux makes up `/proc`, it may not say
/// that something has changed.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

static READING: Mutex<Option<Reading>> = Mutex::new(None);

/// The daemon's table, read through a file that tells of changes.
struct Reading {
    file: File,
    at: Instant,
    root: Node,
    namespace: PathBuf,
    table: Arc<MountTable>,
}

/// The table of a process with this root, as it is now, if that is the daemon's own; nothing otherwise, or if
/// that cannot be told. What was opened before this call and is on a mount that is gone by now is on none of it.
pub(super) fn of(pid: Pid, root: &Node) -> Option<Arc<MountTable>> {
    let namespace = namespace(&pid.to_string()).ok()?;
    let mut reading = READING.lock().unwrap_or_else(PoisonError::into_inner);
    if !reading.as_ref().is_some_and(Reading::holds) {
        *reading = None;
        *reading = Some(Reading::new().ok()?);
    }
    let own = reading.as_ref()?;
    (own.namespace == namespace && own.root.is_the_same_place_as(root))
        .then(|| Arc::clone(&own.table))
}

impl Reading {
    fn new() -> io::Result<Self> {
        // Opened before it is read: whatever changes from here on is told.
        let file = File::open("/proc/self/mountinfo")?;
        let mut reading = Self {
            file,
            at: Instant::now(),
            root: Node::open_magic("/proc/self/root")?,
            namespace: namespace("self")?,
            table: Arc::default(),
        };
        let mut text = Vec::new();
        reading.file.read_to_end(&mut text)?;
        reading.table = Arc::new(MountTable::parse(&text));
        Ok(reading)
    }

    /// Whether nothing was mounted, moved or unmounted since (proc_pid_mounts(5): poll(2), since Linux 2.6.15).
    fn holds(&self) -> bool {
        let mut watched = [PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::PRI)];
        let at_once = Timespec::default();
        let is_told = poll(&mut watched, Some(&at_once)).is_ok();
        let told_of = PollFlags::ERR | PollFlags::PRI;
        is_told && !watched[0].revents().intersects(told_of) && self.at.elapsed() < BELIEVED_FOR
    }
}

fn namespace(of: &str) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{of}/ns/mnt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_root_of_the_daemon_has_its_table() {
        let own = std::process::id();
        let root = || Node::open_magic("/proc/self/root").unwrap();
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let table = of(own, &root()).unwrap();
        assert_eq!(*table, MountTable::parse(&text));
        let elsewhere = Node::open_magic("/proc").unwrap();
        assert!(of(own, &elsewhere).is_none());
        assert!(of(u32::MAX, &root()).is_none());
    }
}
