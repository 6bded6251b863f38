//! kqueue(2): a vnode filter on each directory and on the one above it, which are held open for that alone
//! (`O_EVTONLY` keeps no volume from being unmounted). What happens further above the next look finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::macos::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::buffer::{Buffer, spare_capacity};
use rustix::event::kqueue::{Event, EventFilter, EventFlags, VnodeEvents, kevent, kqueue};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Touched, Wanted};
use crate::orphan::evidence::FileId;
use crate::os::host::open_file_limit;

/// All of them take no more than this part of the descriptors that may be open.
const SHARE_OF_DESCRIPTORS: u64 = 8;
/// As many events are taken at once.
const EVENTS: usize = 64;
/// What says that a directory is not where it was.
const WANTED: VnodeEvents = VnodeEvents::DELETE
    .union(VnodeEvents::RENAME)
    .union(VnodeEvents::REVOKE);

/// Directories that are watched.
#[derive(Debug)]
pub struct Directories {
    kqueue: AsyncFd<OwnedFd>,
    most: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Those that are watched.
    places: BTreeSet<PathBuf>,
    /// They, and those above them. A descriptor that is closed takes its filter with it.
    opened: BTreeMap<PathBuf, File>,
    /// Wanted, and not there.
    missing: BTreeSet<PathBuf>,
}

impl Directories {
    /// Nothing is watched yet. To be called in a runtime.
    ///
    /// # Errors
    /// If the kernel gives no queue (kqueue(2)).
    pub fn new() -> io::Result<Self> {
        let kqueue = kqueue()?;
        // SAFETY: it owns the descriptor, and nothing else closes or registers that.
        #[expect(unsafe_code, reason = "tokio has no safe form of this")]
        let kqueue = unsafe { AsyncFd::register_with_interest(kqueue, Interest::READABLE) };
        // Each takes two, at most.
        let descriptors = open_file_limit().unwrap_or_default() / SHARE_OF_DESCRIPTORS / 2;
        Ok(Self {
            kqueue: kqueue.map_err(io::Error::from)?,
            most: usize::try_from(descriptors).map_or(super::MOST, |most| most.min(super::MOST)),
            table: Mutex::default(),
        })
    }

    /// Whether exactly these are watched.
    #[must_use]
    pub fn are_just(&self, wanted: &Wanted) -> bool {
        self.table().places.iter().eq(wanted.keys())
    }

    /// From now on these are watched, and no others; those that cannot be are not. Gives those that are not
    /// there, once each. Real paths. Blocks where a path does.
    pub fn watch(&self, wanted: &Wanted) -> Touched {
        let new: Vec<PathBuf> = {
            let mut table = self.table();
            table.missing.retain(|path| wanted.contains_key(path));
            table.places.retain(|path| wanted.contains_key(path));
            table.close_unneeded();
            let new = wanted.keys().filter(|path| !table.places.contains(*path));
            new.take(self.most.saturating_sub(table.places.len()))
                .cloned()
                .collect()
        };
        let mut missing = Touched::new();
        for path in new {
            // Before it is opened: what happens from then on is to be known as its.
            self.table().places.insert(path.clone());
            let above = path.parent().map_or(Ok(()), |above| self.open(above));
            if let Err(error) = above.and_then(|()| self.open(&path)) {
                let mut table = self.table();
                table.places.remove(&path);
                table.close_unneeded();
                let errno = Errno::from_io_error(&error);
                let is_missing = matches!(errno, Some(Errno::NOENT | Errno::NOTDIR));
                if is_missing && table.missing.insert(path.clone()) {
                    missing.insert(path, None);
                }
            }
        }
        missing
    }

    /// Has the kernel tell of this directory, unless it does.
    fn open(&self, path: &Path) -> io::Result<()> {
        if self.table().opened.contains_key(path) {
            return Ok(());
        }
        // Not under the lock: it may block.
        let flags = libc::O_EVTONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let filter = EventFilter::Vnode {
            vnode: opened.as_raw_fd(),
            flags: WANTED,
        };
        let flags = EventFlags::ADD | EventFlags::CLEAR;
        let changes = [Event::new(filter, flags, std::ptr::null_mut())];
        // Under the lock: what is told of is to be known by its descriptor.
        let mut table = self.table();
        self.kevent::<&mut [Event]>(&changes, &mut [])?;
        table.opened.insert(path.to_path_buf(), opened);
        Ok(())
    }

    /// The next of them that may not be where they were. They are not watched any more.
    ///
    /// # Errors
    /// If the kernel tells nothing any more.
    pub async fn next(&self) -> io::Result<Touched> {
        loop {
            let mut ready = self.kqueue.readable().await?;
            let events = self.events()?;
            if events.len() < EVENTS {
                ready.clear_ready();
            }
            let touched: Touched = events
                .iter()
                .flat_map(|event| self.concerned(event))
                .collect();
            if !touched.is_empty() {
                return Ok(touched);
            }
        }
    }

    /// Which directories something that happened concerns. They are not watched any more.
    fn concerned(&self, event: &Event) -> Touched {
        let EventFilter::Vnode { vnode, flags } = event.filter() else {
            return Touched::new();
        };
        self.table().take(vnode, flags)
    }

    fn events(&self) -> io::Result<Vec<Event>> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match self.kevent(&[], spare_capacity(&mut events)) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(events),
            }
        }
    }

    /// Changes filters, and takes what happened, without waiting.
    #[expect(
        unsafe_code,
        reason = "kevent is unsafe for the sake of descriptors in filters"
    )]
    fn kevent<B: Buffer<Event>>(&self, changes: &[Event], events: B) -> Result<B::Output, Errno> {
        let kqueue = self.kqueue.get_ref();
        // SAFETY: each filter names a descriptor that is open then; closed later, it takes its filter with it.
        unsafe { kevent(kqueue, changes, events, Some(Duration::ZERO)) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets whatever is concerned by what happened to the directory that is opened as this, itself included, and gives
    /// which were watched.
    fn take(&mut self, vnode: RawFd, happened: VnodeEvents) -> Touched {
        let is_it = |(_, opened): &(&PathBuf, &File)| opened.as_raw_fd() == vnode;
        let Some((path, _)) = self.opened.iter().find(is_it) else {
            return Touched::new();
        };
        let path = path.clone();
        let Some(opened) = self.opened.remove(&path) else {
            return Touched::new();
        };
        let below = self
            .places
            .extract_if(.., |place| place.parent() == Some(&path));
        let mut touched: Touched = below.map(|place| (place, None)).collect();
        if self.places.remove(&path) {
            let is_deleted = happened.contains(VnodeEvents::DELETE);
            let deleted = is_deleted.then(|| deleted(&opened)).flatten();
            touched.insert(path, deleted);
        }
        self.close_unneeded();
        touched
    }

    fn close_unneeded(&mut self) {
        let above = self.places.iter().filter_map(|place| place.parent());
        let above: BTreeSet<&Path> = above.collect();
        let places = &self.places;
        self.opened
            .retain(|path, _| places.contains(path) || above.contains(path.as_path()));
    }
}

/// Which directory this was, if it has no name left.
fn deleted(opened: &File) -> Option<FileId> {
    let metadata = opened.metadata().ok()?;
    let born = metadata.st_birthtime();
    (metadata.st_nlink() == 0 && born > 0).then(|| FileId {
        // `dev_t` is 32 bits wide and signed; the standard library widens it with its sign.
        device: metadata.st_dev() & u64::from(u32::MAX),
        inode: metadata.st_ino(),
        born_ns: Some(i128::from(born) * 1_000_000_000 + i128::from(metadata.st_birthtime_nsec())),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As if some directory had been seen there.
    fn wanted<const N: usize>(paths: [&Path; N]) -> Wanted {
        let seen = FileId {
            device: 0,
            inode: 0,
            born_ns: None,
        };
        paths.map(|path| (path.to_path_buf(), seen)).into()
    }

    #[tokio::test]
    async fn a_deletion_and_a_move_are_told_of() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        let [ws, other] = ["ws", "other"].map(|name| top.join(name));
        fs::create_dir(&ws).unwrap();
        fs::create_dir(&other).unwrap();
        let directories = Directories::new().unwrap();
        let gone = top.join("gone");
        let all = wanted([&ws, &other, &gone]);
        assert_eq!(directories.watch(&all), Touched::from([(gone, None)]));
        let inode = fs::metadata(&ws).unwrap().st_ino();
        fs::remove_dir(&ws).unwrap();
        let told = directories.next().await.unwrap();
        let deleted = told.get(&ws).copied().flatten();
        assert_eq!(deleted.map(|id| id.inode), Some(inode), "{told:?}");
        fs::rename(&other, top.join("elsewhere")).unwrap();
        let told = directories.next().await.unwrap();
        assert_eq!(told, Touched::from([(other, None)]));
        assert!(directories.are_just(&Wanted::new()));
    }

    #[tokio::test]
    async fn a_move_of_the_directory_above_is_told_of_for_all_below_it() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        let paths = ["above/one", "above/two", "beside"].map(|name| top.join(name));
        for path in &paths {
            fs::create_dir_all(path).unwrap();
        }
        let [one, two, beside] = &paths;
        let directories = Directories::new().unwrap();
        assert_eq!(
            directories.watch(&wanted([one, two, beside])),
            Touched::new()
        );
        fs::rename(top.join("above"), top.join("elsewhere")).unwrap();
        let told = directories.next().await.unwrap();
        let below = ["above/one", "above/two"].map(|name| (top.join(name), None));
        assert_eq!(told, Touched::from(below));
        assert!(directories.are_just(&wanted([beside])));
    }
}
