//! inotify(7): one descriptor, and a watch on each directory and on the one above it. The latter tells of a
//! deletion at once, the former only when nobody works in the directory any more; it tells of an unmount.
//!
//! A deletion under its name is this directory's: the one above was watched before the directory was found below
//! it by that name, and whatever took the name from it since was told of before, and ended the watch. Only to
//! put another directory in its place (rename(2)) is not told of, and that deletes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Touched;
use crate::orphan::evidence::FileId;

/// What is asked of each of them, whatever it is watched for: a second watch on a directory takes the place of
/// the first.
const WANTED: WatchFlags = WatchFlags::DELETE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// What says that a directory itself is not where it was.
const OF_ITSELF: ReadFlags = ReadFlags::DELETE_SELF
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// How long nothing is read after something that concerned nobody. The kernel keeps some 16,000 events.
const NOISE_PAUSE: Duration = Duration::from_millis(5);

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
    pub fn are_just(&self, wanted: &BTreeSet<PathBuf>) -> bool {
        self.table().places.keys().eq(wanted)
    }

    /// From now on these are watched, and no others; those that cannot be are not. Gives those that are not
    /// there, once each. Real paths. Blocks where a path does.
    pub fn watch(&self, wanted: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut missing = BTreeSet::new();
        let (given_up, new) = {
            let mut table = self.table();
            table.missing.retain(|path| wanted.contains(path));
            let given_up: Vec<PathBuf> = table.places.keys().cloned().collect();
            let given_up = given_up.into_iter().filter(|path| !wanted.contains(path));
            let unwatched: Vec<i32> = given_up.flat_map(|path| table.forget(&path)).collect();
            let new = wanted
                .iter()
                .filter(|path| !table.places.contains_key(*path));
            (
                unwatched,
                new.take(super::MOST).cloned().collect::<Vec<_>>(),
            )
        };
        self.unwatch(&given_up);
        for path in new {
            let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            if self.table().places.len() >= super::MOST {
                break;
            }
            // Not under the lock: they may block.
            let (above, itself) = self.add(above, name);
            match (above, itself) {
                (Ok(above), Ok((itself, id))) => {
                    let place = Place { above, itself, id };
                    self.table().add(&path, name, place);
                }
                (above, itself) => {
                    let mut table = self.table();
                    let is_missing = |error: &Errno| matches!(*error, Errno::NOENT | Errno::NOTDIR);
                    if itself.as_ref().is_err_and(is_missing) && table.missing.insert(path.clone())
                    {
                        missing.insert(path);
                    }
                    let itself = itself.map(|(watch, _)| watch);
                    let half: Vec<i32> = [above, itself].into_iter().flatten().collect();
                    let is_needed = |watch: &&i32| table.watches.contains_key(*watch);
                    let unneeded: Vec<i32> = half
                        .iter()
                        .filter(|watch| !is_needed(watch))
                        .copied()
                        .collect();
                    drop(table);
                    self.unwatch(&unneeded);
                    let full = |error| matches!(error, Errno::NOSPC | Errno::NOMEM);
                    if above.is_err_and(full) || itself.is_err_and(full) {
                        break;
                    }
                }
            }
        }
        missing
    }

    /// Watches a directory, and then the one that is below it by this name.
    fn add(&self, above: &Path, name: &OsStr) -> (Watching<i32>, Watching<(i32, Option<FileId>)>) {
        let open = |directory: BorrowedFd<'_>, name: &OsStr| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(directory, name, flags, Mode::empty())
        };
        // What was opened, and not what has its name by now.
        let watch = |opened: &OwnedFd| {
            let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
            add_watch(self.inotify.get_ref(), path, WANTED)
        };
        let above = match open(CWD, above.as_os_str()) {
            Ok(above) => above,
            Err(error) => return (Err(error), Err(error)),
        };
        let watched_above = watch(&above);
        let itself = open(above.as_fd(), name)
            .and_then(|itself| Ok((watch(&itself)?, certain_id(&above, &itself))));
        (watched_above, itself)
    }

    /// The next of them that may not be where they were. They are not watched any more.
    ///
    /// # Errors
    /// If the kernel tells nothing any more.
    pub async fn next(&self) -> io::Result<Touched> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let (touched, unwatched) = self.read()?;
            ready.clear_ready();
            self.unwatch(&unwatched);
            if !touched.is_empty() {
                return Ok(touched);
            }
            // Where much happens that concerns nobody, that is gone through at once, and not one by one.
            tokio::time::sleep(NOISE_PAUSE).await;
        }
    }

    /// Everything that has happened by now: who is concerned, and what need not be watched any more.
    fn read(&self) -> io::Result<(Touched, Vec<i32>)> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
        let (mut touched, mut unwatched) = (Touched::new(), Vec::new());
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::WOULDBLOCK) => return Ok((touched, unwatched)),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = event
                .file_name()
                .map(|name| OsStr::from_bytes(name.to_bytes()));
            let mut table = self.table();
            for (path, deleted) in table.concerned(event.wd(), event.events(), name) {
                unwatched.extend(table.forget(&path));
                touched.insert(path, deleted);
            }
        }
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

type Watching<T> = Result<T, Errno>;

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

/// How a directory is watched.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The watch on the one above.
    above: i32,
    /// Its own.
    itself: i32,
    /// Which directory it is.
    id: Option<FileId>,
}

/// Which watch is there for what.
#[derive(Debug, Default)]
struct Table {
    places: BTreeMap<PathBuf, Place>,
    watches: HashMap<i32, Watched>,
    /// Wanted, and not there.
    missing: BTreeSet<PathBuf>,
}

/// Why a directory is watched.
#[derive(Debug, Default)]
struct Watched {
    /// It is one of them, by these paths.
    itself: BTreeSet<PathBuf>,
    /// It is above some of them.
    below: HashMap<OsString, PathBuf>,
}

impl Table {
    fn add(&mut self, path: &Path, name: &OsStr, place: Place) {
        self.places.insert(path.to_path_buf(), place);
        let watched = self.watches.entry(place.above).or_default();
        watched
            .below
            .insert(name.to_os_string(), path.to_path_buf());
        let watched = self.watches.entry(place.itself).or_default();
        watched.itself.insert(path.to_path_buf());
    }

    /// Which directories something that happened concerns, and which of them it deleted.
    fn concerned(&self, watch: i32, events: ReadFlags, name: Option<&OsStr>) -> Touched {
        let only_touched = |path: &PathBuf| (path.clone(), None);
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.places.keys().map(only_touched).collect();
        }
        let Some(watched) = self.watches.get(&watch) else {
            return Touched::new();
        };
        let deleted = |path: &PathBuf| {
            let place = self.places.get(path);
            (path.clone(), place.and_then(|place| place.id))
        };
        if events.contains(ReadFlags::DELETE_SELF) {
            let itself = watched.itself.iter().map(deleted);
            return itself
                .chain(watched.below.values().map(only_touched))
                .collect();
        }
        if events.intersects(OF_ITSELF) {
            let below = watched.below.values();
            return watched
                .itself
                .iter()
                .chain(below)
                .map(only_touched)
                .collect();
        }
        let named = name.and_then(|name| watched.below.get(name)).into_iter();
        match events.contains(ReadFlags::DELETE | ReadFlags::ISDIR) {
            true => named.map(deleted).collect(),
            false => named.map(only_touched).collect(),
        }
    }

    /// Forgets a directory. Gives the watches that nobody needs any more.
    fn forget(&mut self, path: &Path) -> Vec<i32> {
        let Some(Place { above, itself, .. }) = self.places.remove(path) else {
            return Vec::new();
        };
        if let Some(watched) = self.watches.get_mut(&above) {
            watched.below.retain(|_, below| below != path);
        }
        if let Some(watched) = self.watches.get_mut(&itself) {
            watched.itself.remove(path);
        }
        let mut unneeded = Vec::new();
        for watch in [above, itself] {
            let is_needed =
                |watched: &Watched| !(watched.itself.is_empty() && watched.below.is_empty());
            if self
                .watches
                .get(&watch)
                .is_some_and(|watched| !is_needed(watched))
            {
                self.watches.remove(&watch);
                unneeded.push(watch);
            }
        }
        unneeded
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::SystemTime;

    use super::*;

    struct Place {
        _directory: tempfile::TempDir,
        top: PathBuf,
        directories: Directories,
    }

    fn place() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        Place {
            _directory: directory,
            top,
            directories: Directories::new().unwrap(),
        }
    }

    impl Place {
        fn at(&self, path: &str) -> PathBuf {
            self.top.join(path)
        }

        fn make(&self, paths: &[&str]) -> BTreeSet<PathBuf> {
            let made = paths.iter().map(|path| self.at(path));
            made.inspect(|path| fs::create_dir_all(path).unwrap())
                .collect()
        }

        async fn told(&self) -> Touched {
            let next = tokio::time::timeout(Duration::from_secs(60), self.directories.next());
            next.await.unwrap().unwrap()
        }

        async fn touched(&self) -> Vec<PathBuf> {
            self.told().await.into_keys().collect()
        }

        /// By what a deletion of this one is told of.
        fn id(&self, path: &str) -> FileId {
            let metadata = fs::metadata(self.at(path)).unwrap();
            let born = metadata.created().unwrap();
            let born = born.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
                born_ns: i128::try_from(born.as_nanos()).ok(),
            }
        }

        fn deleted(&self, path: &str, id: Option<FileId>) -> Touched {
            Touched::from([(self.at(path), id)])
        }

        async fn is_quiet(&self) -> bool {
            // Whatever happened is there already: the kernel tells at once.
            let next = tokio::time::timeout(Duration::from_millis(50), self.directories.next());
            next.await.is_err()
        }

        fn watches(&self) -> usize {
            self.directories.table().watches.len()
        }
    }

    #[tokio::test]
    async fn a_deletion_and_a_move_are_told_of_and_nothing_else() {
        let place = place();
        let wanted = place.make(&["a/ws", "a/other", "b/ws"]);
        place.directories.watch(&wanted);
        fs::write(place.at("a/ws/file"), "x").unwrap();
        fs::remove_file(place.at("a/ws/file")).unwrap();
        fs::create_dir(place.at("a/nobody's")).unwrap();
        fs::remove_dir(place.at("a/nobody's")).unwrap();
        assert!(place.is_quiet().await);
        fs::remove_dir(place.at("a/ws")).unwrap();
        assert_eq!(place.touched().await, [place.at("a/ws")]);
        fs::rename(place.at("b/ws"), place.at("b/elsewhere")).unwrap();
        assert_eq!(place.touched().await, [place.at("b/ws")]);
        assert!(place.is_quiet().await);
        // The other one, and what is above it.
        assert_eq!(place.watches(), 2);
        // What is above it may go elsewhere as well.
        fs::rename(place.at("a"), place.at("c")).unwrap();
        assert_eq!(place.touched().await, [place.at("a/other")]);
        assert_eq!(place.watches(), 0);
    }

    #[tokio::test]
    async fn a_deletion_is_told_of_although_somebody_works_there() {
        let place = place();
        let wanted = place.make(&["ws"]);
        place.directories.watch(&wanted);
        let id = place.id("ws");
        let _held = fs::File::open(place.at("ws")).unwrap();
        fs::remove_dir(place.at("ws")).unwrap();
        assert_eq!(place.told().await, place.deleted("ws", Some(id)));
    }

    #[tokio::test]
    async fn which_directory_was_deleted_is_told_only_where_that_is_certain() {
        let place = place();
        let wanted = place.make(&["ws", "other"]);
        let (ws, other) = (place.id("ws"), place.id("other"));
        place.directories.watch(&wanted);
        fs::remove_dir(place.at("ws")).unwrap();
        fs::create_dir(place.at("ws")).unwrap();
        assert_eq!(place.told().await, place.deleted("ws", Some(ws)));
        // Moved away, and another one is deleted by its name.
        fs::rename(place.at("other"), place.at("elsewhere")).unwrap();
        fs::create_dir(place.at("other")).unwrap();
        fs::remove_dir(place.at("other")).unwrap();
        assert_eq!(place.told().await, place.deleted("other", None));
        // Another one is put in its place, which deletes it, and then that one is deleted.
        place.make(&["other", "new"]);
        place.directories.watch(&wanted);
        let (again, new) = (place.id("other"), place.id("new"));
        assert!(again != other && again != new);
        fs::rename(place.at("new"), place.at("other")).unwrap();
        fs::remove_dir(place.at("other")).unwrap();
        assert_eq!(place.told().await, place.deleted("other", Some(again)));
        // Both change places.
        place.make(&["other", "new"]);
        place.directories.watch(&wanted);
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        let (one, two) = (place.at("other"), place.at("new"));
        rustix::fs::renameat_with(CWD, one, CWD, two, exchange).unwrap();
        fs::remove_dir(place.at("other")).unwrap();
        assert_eq!(place.told().await, place.deleted("other", None));
    }

    #[tokio::test]
    async fn one_that_was_made_again_is_watched_again() {
        let place = place();
        let wanted = place.make(&["ws", "ws/inner"]);
        for _ in 0..3 {
            place.directories.watch(&wanted);
            assert_eq!(place.watches(), 3);
            fs::remove_dir_all(place.at("ws")).unwrap();
            let mut touched = BTreeSet::new();
            while touched.len() < 2 {
                touched.extend(place.touched().await);
            }
            assert_eq!(touched, wanted);
            place.make(&["ws", "ws/inner"]);
        }
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_not_watched() {
        let place = place();
        let wanted = place.make(&["a/ws", "b/ws"]);
        place.directories.watch(&wanted);
        let only = BTreeSet::from([place.at("b/ws")]);
        place.directories.watch(&only);
        assert_eq!(place.watches(), 2);
        fs::remove_dir(place.at("a/ws")).unwrap();
        assert!(place.is_quiet().await);
        assert!(!place.directories.are_just(&wanted) && place.directories.are_just(&only));
        // What is not there is said once, until it is not wanted any more.
        let missing = BTreeSet::from([place.at("nowhere/ws"), place.at("b/gone")]);
        assert_eq!(place.directories.watch(&missing), missing);
        assert_eq!(place.directories.watch(&missing), BTreeSet::new());
        assert_eq!(place.watches(), 0);
        place.directories.watch(&only);
        assert_eq!(place.directories.watch(&missing), missing);
        // Never more than so many.
        let many: Vec<String> = (0..=super::super::MOST)
            .map(|number| format!("c/{number}"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        place.directories.watch(&place.make(&many));
        assert_eq!(place.watches(), super::super::MOST + 1);
    }
}
