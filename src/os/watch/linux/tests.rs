//! Directories that are deleted, moved and made again, for real.

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

    fn make(&self, paths: &[&str]) -> Wanted {
        let made = paths.iter().map(|path| {
            fs::create_dir_all(self.at(path)).unwrap();
            (self.at(path), self.id(path))
        });
        made.collect()
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
async fn what_was_told_before_it_was_watched_is_about_another_one() {
    let place = place();
    let both = place.make(&["ws", "sibling"]);
    place.directories.watch(&place.make(&["sibling"]));
    // The directory above is watched for the sibling's sake, and nobody reads for a while.
    fs::rename(place.at("ws"), place.at("elsewhere")).unwrap();
    fs::create_dir(place.at("ws")).unwrap();
    fs::remove_dir(place.at("ws")).unwrap();
    fs::rename(place.at("elsewhere"), place.at("ws")).unwrap();
    assert_eq!(place.directories.watch(&both), place.deleted("ws", None));
    assert!(!place.directories.are_just(&both));
    // With that behind it, it is.
    assert_eq!(place.directories.watch(&both), Touched::new());
    let ws = place.id("ws");
    fs::remove_dir(place.at("ws")).unwrap();
    assert_eq!(place.told().await, place.deleted("ws", Some(ws)));
}

#[tokio::test]
async fn a_storm_is_read_in_portions_and_hides_nothing() {
    let place = place();
    let wanted = place.make(&["ws"]);
    place.directories.watch(&wanted);
    let ws = place.id("ws");
    for number in 0..EVENTS_AT_ONCE + 500 {
        let file = place.at(&number.to_string());
        fs::write(&file, "").unwrap();
        fs::remove_file(file).unwrap();
    }
    fs::remove_dir(place.at("ws")).unwrap();
    let mut touched = Touched::new();
    let mut read = || {
        let mut table = place.directories.table();
        let read = place
            .directories
            .read(&mut table, EVENTS_AT_ONCE, &mut touched);
        read.unwrap().is_all
    };
    assert!(!read(), "others have their turn in between");
    assert!(read());
    assert_eq!(touched, place.deleted("ws", Some(ws)));
}

#[tokio::test]
async fn one_that_was_made_again_is_watched_again() {
    let place = place();
    for _ in 0..3 {
        let wanted = place.make(&["ws", "ws/inner"]);
        assert_eq!(place.directories.watch(&wanted), Touched::new());
        assert_eq!(place.watches(), 3);
        fs::remove_dir_all(place.at("ws")).unwrap();
        let mut touched = Touched::new();
        while touched.len() < 2 {
            touched.extend(place.told().await);
        }
        assert!(touched.keys().eq(wanted.keys()), "{touched:?}");
    }
}

#[tokio::test]
async fn one_that_is_another_by_the_time_it_is_watched_is_told_of() {
    let place = place();
    let wanted = place.make(&["ws", "other"]);
    fs::remove_dir(place.at("ws")).unwrap();
    fs::create_dir(place.at("ws")).unwrap();
    assert_eq!(place.directories.watch(&wanted), place.deleted("ws", None));
    // It is watched all the same, and is nothing new to whoever has looked again.
    assert!(place.directories.are_just(&wanted));
    let wanted = place.make(&["ws", "other"]);
    assert_eq!(place.directories.watch(&wanted), Touched::new());
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_not_watched() {
    let place = place();
    let wanted = place.make(&["a/ws", "b/ws"]);
    place.directories.watch(&wanted);
    let only = place.make(&["b/ws"]);
    place.directories.watch(&only);
    assert_eq!(place.watches(), 2);
    fs::remove_dir(place.at("a/ws")).unwrap();
    assert!(place.is_quiet().await);
    assert!(!place.directories.are_just(&wanted) && place.directories.are_just(&only));
    // What is not there is said once, until it is not wanted any more.
    let seen = place.id("b/ws");
    let missing = ["nowhere/ws", "b/gone"].map(|path| place.at(path));
    let told: Touched = missing.clone().map(|path| (path, None)).into();
    let missing = missing.map(|path| (path, seen)).into();
    assert_eq!(place.directories.watch(&missing), told);
    assert_eq!(place.directories.watch(&missing), Touched::new());
    assert_eq!(place.watches(), 0);
    place.directories.watch(&only);
    assert_eq!(place.directories.watch(&missing), told);
    // Never more than so many.
    let many: Vec<String> = (0..=crate::os::watch::MOST)
        .map(|number| format!("c/{number}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    place.directories.watch(&place.make(&many));
    assert_eq!(place.watches(), crate::os::watch::MOST + 1);
}
