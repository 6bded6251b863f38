//! inotify(7): one descriptor, and a watch on each directory and on the one above it. The latter tells of a
//! deletion at once, the former only when nobody works in the directory any more; it tells of an unmount.
//!
//! A deletion under its name is this directory's if the kernel told of nothing else that happened to that name since
//! the directory was found by it: the one above was watched before, and whatever takes the name from the directory
//! is told of in its turn, and ends the watch. So it is only known which directory that is once everything
//! was read that was told by then. Only to put another directory in its place (rename(2)) is not told of, and that
//! deletes it.

mod table;

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use self::table::Table;
use super::{Touched, Wanted};
use crate::orphan::evidence::FileId;

/// What is asked of each of them, whatever it is watched for: a second watch on a directory takes the place of
/// the first.
const WANTED: WatchFlags = WatchFlags::DELETE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// How long nothing is read after something that concerned nobody.
const NOISE_PAUSE: Duration = Duration::from_millis(5);
/// So many events are read at a time: whoever reads has others to serve, however fast more of them come.
const EVENTS_AT_ONCE: usize = 4_096;
/// The kernel keeps no more of them than this (inotify(7), `max_queued_events`), unless its owner says otherwise.
const EVENTS_KEPT: usize = 16_384;

/// Directories that are watched.
#[derive(Debug)]
pub struct Directories {
    inotify: AsyncFd<OwnedFd>,
    table: Mutex<Table>,
}

impl Directories {
    /// Nothing is watched yet. To be called in a runtime.
    ///
    /// # Errors
    /// If the kernel gives no inotify descriptor (inotify_init1(2)).
    pub fn new() -> io::Result<Self> {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // SAFETY: it owns the descriptor, and nothing else closes or registers that.
        #[expect(unsafe_code, reason = "tokio has no safe form of this")]
        let inotify = unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE) };
        Ok(Self {
            inotify: inotify.map_err(io::Error::from)?,
            table: Mutex::default(),
        })
    }

    /// Whether exactly these are watched.
    #[must_use]
    pub fn are_just(&self, wanted: &Wanted) -> bool {
        self.table().places.keys().eq(wanted.keys())
    }

    /// From now on these are watched, and no others; those that cannot be are not. Gives those that are not
    /// there, once each, those that are others by now, and what has happened meanwhile. Real paths. Blocks where a path
    /// does.
    pub fn watch(&self, wanted: &Wanted) -> Touched {
        let mut touched = Touched::new();
        let (given_up, new) = {
            let mut table = self.table();
            table.missing.retain(|path| wanted.contains_key(path));
            let given_up: Vec<PathBuf> = table.places.keys().cloned().collect();
            let given_up = given_up
                .into_iter()
                .filter(|path| !wanted.contains_key(path));
            let unwatched: Vec<i32> = given_up.flat_map(|path| table.forget(&path)).collect();
            let new = wanted
                .iter()
                .filter(|(path, _)| !table.places.contains_key(*path));
            let new = new.map(|(path, seen)| (path.clone(), *seen));
            (unwatched, new.take(super::MOST).collect::<Vec<_>>())
        };
        self.unwatch(&given_up);
        for (path, seen) in new {
            let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            if self.table().places.len() >= super::MOST {
                break;
            }
            match self.add(&path, above, name, &mut touched) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    if self.table().missing.insert(path.clone()) {
                        touched.entry(path).or_insert(None);
                    }
                }
                // There is room for no more.
                Err(Errno::NOSPC | Errno::NOMEM) => break,
                Ok(Some(found)) if found != seen => {
                    touched.entry(path).or_insert(None);
                }
                Ok(_) | Err(_) => {}
            }
        }
        touched
    }

    /// Watches the directory above, and then the one that is below it by this name; which that is, if it is certain.
    fn add(
        &self,
        path: &Path,
        above: &Path,
        name: &OsStr,
        touched: &mut Touched,
    ) -> Result<Option<FileId>, Errno> {
        let open = |directory: BorrowedFd<'_>, name: &OsStr| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(directory, name, flags, Mode::empty())
        };
        // What was opened, and not what has its name by now.
        let watch = |opened: &OwnedFd| {
            let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
            add_watch(self.inotify.get_ref(), path, WANTED)
        };
        // Not under the lock: they may block.
        let above = open(CWD, above.as_os_str())?;
        let watched_above = watch(&above)?;
        self.table().add(path, name, watched_above);
        let found = open(above.as_fd(), name)
            .and_then(|itself| Ok((watch(&itself)?, certain_id(&above, &itself))));
        let mut table = self.table();
        // Whatever was told of that name by now may be about another directory.
        let read = self.read(&mut table, EVENTS_KEPT, touched);
        let Read {
            mut unneeded,
            is_all,
        } = read.unwrap_or_default();
        let result = match found {
            // Tried again with the next look.
            Ok((itself, _)) if !is_all => {
                unneeded.extend(table.forget(path));
                if !table.watches.contains_key(&itself) {
                    unneeded.push(itself);
                }
                Ok(None)
            }
            Ok((itself, id)) => {
                if !table.find(path, itself, id) && !table.watches.contains_key(&itself) {
                    unneeded.push(itself);
                }
                Ok(id)
            }
            Err(error) => {
                unneeded.extend(table.forget(path));
                Err(error)
            }
        };
        drop(table);
        self.unwatch(&unneeded);
        result
    }

    /// The next of them that may not be where they were. They are not watched any more.
    ///
    /// # Errors
    /// If the kernel tells nothing any more.
    pub async fn next(&self) -> io::Result<Touched> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut touched = Touched::new();
            let read = self.read(&mut self.table(), EVENTS_AT_ONCE, &mut touched)?;
            if read.is_all {
                ready.clear_ready();
            }
            self.unwatch(&read.unneeded);
            if !touched.is_empty() {
                return Ok(touched);
            }
            // Where much happens that concerns nobody, that is gone through at once, and not one by one.
            tokio::time::sleep(NOISE_PAUSE).await;
        }
    }

    /// What has happened by now, so many events of it at most: who is concerned. What one has read others must not
    /// go by before it is in the table, which is locked all the while.
    fn read(&self, table: &mut Table, most: usize, touched: &mut Touched) -> io::Result<Read> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut read = Read::default();
        let mut count = 0;
        // Those that are in the buffer already would be lost.
        while count < most || !events.is_buffer_empty() {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::WOULDBLOCK) => {
                    read.is_all = true;
                    break;
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            count += 1;
            let name = event
                .file_name()
                .map(|name| OsStr::from_bytes(name.to_bytes()));
            for (path, deleted) in table.concerned(event.wd(), event.events(), name) {
                read.unneeded.extend(table.forget(&path));
                touched.insert(path, deleted);
            }
        }
        Ok(read)
    }

    fn unwatch(&self, watches: &[i32]) {
        for watch in watches {
            // It may be gone by itself.
            let _ = remove_watch(self.inotify.get_ref(), *watch);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What reading events left behind.
#[derive(Debug, Default)]
struct Read {
    /// Watches that nobody needs any more.
    unneeded: Vec<i32>,
    /// There was nothing more to be read.
    is_all: bool,
}

/// Which directory this is, if what its name is deleted for is certainly it: not one that is mounted there, which
/// hides the one of that name.
fn certain_id(above: &OwnedFd, itself: &OwnedFd) -> Option<FileId> {
    let stat = |directory: &OwnedFd| {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
        let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(directory, "", flags, wanted).ok()?;
        let is_complete = StatxFlags::from_bits_retain(stat.stx_mask)
            .contains(StatxFlags::INO | StatxFlags::BTIME | StatxFlags::MNT_ID);
        is_complete.then_some(stat)
    };
    let (above, itself) = (stat(above)?, stat(itself)?);
    let born = itself.stx_btime;
    (above.stx_mnt_id == itself.stx_mnt_id && born.tv_sec > 0).then(|| FileId {
        device: rustix::fs::makedev(itself.stx_dev_major, itself.stx_dev_minor),
        inode: itself.stx_ino,
        born_ns: Some(i128::from(born.tv_sec) * 1_000_000_000 + i128::from(born.tv_nsec)),
    })
}

#[cfg(test)]
mod tests;
