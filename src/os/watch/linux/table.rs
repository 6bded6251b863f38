//! Which watch is there for which directory, and what an event on it says. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::ReadFlags;

use crate::orphan::evidence::FileId;
use crate::os::watch::Touched;

/// What says that a directory itself is not where it was.
const OF_ITSELF: ReadFlags = ReadFlags::DELETE_SELF
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// How a directory is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The watch on the one above.
    above: i32,
    /// Its own, once it was found.
    itself: Option<i32>,
    /// Which directory it is, if that is certain.
    id: Option<FileId>,
}

/// Which watch is there for what.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) places: BTreeMap<PathBuf, Place>,
    pub(super) watches: HashMap<i32, Watched>,
    /// Wanted, and not there.
    pub(super) missing: BTreeSet<PathBuf>,
}

/// Why a directory is watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// It is one of them, by these paths.
    itself: BTreeSet<PathBuf>,
    /// It is above some of them.
    below: HashMap<OsString, PathBuf>,
}

impl Table {
    /// From now on what happens to this name concerns this path.
    pub(super) fn add(&mut self, path: &Path, name: &OsStr, above: i32) {
        let place = Place {
            above,
            itself: None,
            id: None,
        };
        self.places.insert(path.to_path_buf(), place);
        let watched = self.watches.entry(above).or_default();
        watched
            .below
            .insert(name.to_os_string(), path.to_path_buf());
    }

    /// Says which directory is there, unless something happened to its name since that was added.
    pub(super) fn find(&mut self, path: &Path, itself: i32, id: Option<FileId>) -> bool {
        let Some(place) = self.places.get_mut(path) else {
            return false;
        };
        place.itself = Some(itself);
        place.id = id;
        let watched = self.watches.entry(itself).or_default();
        watched.itself.insert(path.to_path_buf());
        true
    }

    /// Which directories something that happened concerns, and which of them it deleted.
    pub(super) fn concerned(&self, watch: i32, events: ReadFlags, name: Option<&OsStr>) -> Touched {
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
    pub(super) fn forget(&mut self, path: &Path) -> Vec<i32> {
        let Some(Place { above, itself, .. }) = self.places.remove(path) else {
            return Vec::new();
        };
        if let Some(watched) = self.watches.get_mut(&above) {
            watched.below.retain(|_, below| below != path);
        }
        if let Some(watched) = itself.and_then(|itself| self.watches.get_mut(&itself)) {
            watched.itself.remove(path);
        }
        let mut unneeded = Vec::new();
        for watch in [Some(above), itself].into_iter().flatten() {
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
    use super::*;

    #[test]
    fn what_happens_to_a_name_before_it_is_known_who_has_it_ends_the_watch() {
        let (path, name) = (Path::new("/w/ws"), OsStr::new("ws"));
        let mut table = Table::default();
        table.add(path, name, 1);
        let touched = table.concerned(1, ReadFlags::MOVED_FROM | ReadFlags::ISDIR, Some(name));
        assert_eq!(touched, Touched::from([(path.to_path_buf(), None)]));
        assert_eq!(table.forget(path), [1]);
        assert!(!table.find(path, 2, None));
        assert!(table.watches.is_empty() && table.places.is_empty());
    }
}
