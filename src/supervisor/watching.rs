//! Whom the daemon watches between two scans: whose workspace may have gone, and who has exited.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::event::Event;
use super::scan::lock;
use crate::orphan::evidence::FileId;
use crate::orphan::process::ProcessIdentity;
use crate::os::facts::{self, PinError};
use crate::os::handle::{OpenError, ProcessHandle};
use crate::os::host::open_file_limit;
use crate::os::watch::{Directories, Touched, Wanted};

/// How long after one look the next is asked for, at least: whatever happens meanwhile is one.
const PAUSE: Duration = Duration::from_millis(20);

/// Of how many coordinators the exit is awaited, at most: each takes a descriptor …
const MOST_EXITS: u64 = 256;
/// … and all of them no more than this part of those that may be open.
const SHARE_OF_DESCRIPTORS: u64 = 8;

type Turn = Arc<tokio::sync::Mutex<()>>;
type Owners = BTreeMap<PathBuf, Vec<ProcessIdentity>>;
type Awaited = HashMap<ProcessIdentity, AbortOnDropHandle<()>>;

/// A watch on workspaces, and on coordinators. It ends when this is dropped. Whatever it does not tell of the
/// next scan finds.
#[derive(Debug)]
pub(super) struct Watch {
    directories: Option<Arc<Directories>>,
    owners: Arc<Mutex<Owners>>,
    awaited: Arc<Mutex<Awaited>>,
    most_exits: usize,
    events: mpsc::UnboundedSender<Event>,
    /// One that hangs keeps its thread: no second one is started beside it. At directories …
    at_directories: Turn,
    /// … and at processes, which are on no disk.
    at_processes: Turn,
    /// It was said that directories hang.
    has_said_so: AtomicBool,
    _listening: Option<AbortOnDropHandle<()>>,
}

impl Watch {
    /// Watches nobody yet.
    pub(super) fn begin(events: mpsc::UnboundedSender<Event>) -> Self {
        let directories = Directories::new()
            .inspect_err(|error| tracing::debug!(%error, "no workspace is watched"))
            .ok()
            .map(Arc::new);
        let owners = Arc::new(Mutex::new(Owners::new()));
        let listening = directories.as_ref().map(|directories| {
            let listening = listen(Arc::clone(directories), Arc::clone(&owners), events.clone());
            AbortOnDropHandle::new(tokio::spawn(listening))
        });
        let descriptors = open_file_limit().unwrap_or_default() / SHARE_OF_DESCRIPTORS;
        Self {
            directories,
            owners,
            awaited: Arc::default(),
            most_exits: usize::try_from(descriptors.min(MOST_EXITS)).unwrap_or_default(),
            events,
            at_directories: Turn::default(),
            at_processes: Turn::default(),
            has_said_so: AtomicBool::new(false),
            _listening: listening,
        }
    }

    /// From now on these are watched: coordinators, and workspaces.
    pub(super) fn set<'a>(
        &self,
        coordinators: BTreeSet<ProcessIdentity>,
        workspaces: impl Iterator<Item = (ProcessIdentity, &'a Path, FileId)>,
    ) {
        let (mut owners, mut wanted) = (Owners::new(), Wanted::new());
        for (identity, path, directory) in workspaces {
            owners.entry(path.to_path_buf()).or_default().push(identity);
            wanted.insert(path.to_path_buf(), directory);
        }
        *lock(&self.owners) = owners;
        self.watch_directories(wanted);
        self.await_exits(&coordinators);
    }

    fn watch_directories(&self, wanted: Wanted) {
        let is_another = |directories: &&Arc<Directories>| !directories.are_just(&wanted);
        let Some(directories) = self.directories.as_ref().filter(is_another).cloned() else {
            return;
        };
        let Ok(turn) = Arc::clone(&self.at_directories).try_lock_owned() else {
            if !self.has_said_so.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "a directory that is to be watched gives no answer: until it does, workspaces are only looked at with each scan"
                );
            }
            return;
        };
        self.has_said_so.store(false, Ordering::Relaxed);
        let (owners, events) = (Arc::clone(&self.owners), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            tell(&directories.watch(&wanted), &owners, &events);
        });
    }

    fn await_exits(&self, coordinators: &BTreeSet<ProcessIdentity>) {
        let Ok(turn) = Arc::clone(&self.at_processes).try_lock_owned() else {
            return;
        };
        let new: Vec<ProcessIdentity> = {
            let mut awaited = lock(&self.awaited);
            awaited.retain(|identity, _| coordinators.contains(identity));
            let new = coordinators.iter().filter(|one| !awaited.contains_key(one));
            let room = self.most_exits.saturating_sub(awaited.len());
            new.take(room).copied().collect()
        };
        if new.is_empty() {
            return;
        }
        let (awaited, events) = (Arc::clone(&self.awaited), self.events.clone());
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            for identity in new {
                match find(identity) {
                    Found::There(handle) => {
                        let exit = await_exit(identity, handle, events.clone());
                        let exit = AbortOnDropHandle::new(runtime.spawn(exit));
                        lock(&awaited).insert(identity, exit);
                    }
                    Found::Gone => {
                        let _ = events.send(Event::Exited(identity));
                    }
                    Found::Unclear => {}
                }
            }
        });
    }
}

/// What became of a process since it was seen.
enum Found {
    There(ProcessHandle),
    Gone,
    Unclear,
}

/// Finds exactly this process. Blocking.
fn find(identity: ProcessIdentity) -> Found {
    // The kernel's own number says all, where there is one.
    let (handle, is_it) = if identity.unique == 0 {
        match facts::identify(identity.pid) {
            Ok((handle, found)) => (handle, found == identity),
            Err(PinError::Gone) => return Found::Gone,
            Err(_) => return Found::Unclear,
        }
    } else {
        match ProcessHandle::open(identity.pid) {
            // No number where there was one says nothing.
            Ok(handle) if handle.unique() == 0 => return Found::Unclear,
            Ok(handle) => {
                let is_it = handle.unique() == identity.unique;
                (handle, is_it)
            }
            Err(OpenError::Gone) => return Found::Gone,
            Err(_) => return Found::Unclear,
        }
    };
    match is_it {
        true => Found::There(handle),
        false => Found::Gone,
    }
}

/// Tells of what happened to these, and whose workspaces they are.
fn tell(touched: &Touched, owners: &Mutex<Owners>, events: &mpsc::UnboundedSender<Event>) {
    // The supervisor outlives its watch.
    for directory in touched.values().flatten() {
        let _ = events.send(Event::Deleted(*directory));
    }
    let owners = lock(owners);
    let whose = touched.keys().filter_map(|path| owners.get(path));
    let whose: Vec<ProcessIdentity> = whose.flatten().copied().collect();
    if !whose.is_empty() {
        let _ = events.send(Event::Touched(whose));
    }
}

async fn await_exit(
    identity: ProcessIdentity,
    handle: ProcessHandle,
    events: mpsc::UnboundedSender<Event>,
) {
    if handle.exited().await.is_ok() {
        let _ = events.send(Event::Exited(identity));
    }
}

async fn listen(
    directories: Arc<Directories>,
    owners: Arc<Mutex<Owners>>,
    events: mpsc::UnboundedSender<Event>,
) {
    loop {
        let touched = match directories.next().await {
            Ok(touched) => touched,
            Err(error) => {
                tracing::warn!(%error, "workspaces are not watched any more");
                return;
            }
        };
        tell(&touched, &owners, &events);
        if events.is_closed() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn while_a_directory_hangs_exits_are_awaited_and_afterwards_it_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().canonicalize().unwrap().join("workspace");
        std::fs::create_dir(&workspace).unwrap();
        // Whichever it is: only that something happens there is told of.
        let directory = FileId {
            device: 0,
            inode: 0,
            born_ns: None,
        };
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let identity = facts::pin(child.id()).unwrap().record.identity;

        let (events, mut told) = mpsc::unbounded_channel();
        let watch = Watch::begin(events);
        let set = || {
            let workspaces = [(identity, workspace.as_path(), directory)];
            watch.set([identity].into(), workspaces.into_iter());
        };
        let has_said_so = || watch.has_said_so.load(Ordering::Relaxed);
        // As one does that looks at a directory, and gets no answer.
        let hanging = Arc::clone(&watch.at_directories).try_lock_owned().unwrap();
        set();
        assert!(has_said_so());
        drop(child.stdin.take());
        let exited = told.recv().await;
        assert!(matches!(exited, Some(Event::Exited(who)) if who == identity));
        child.wait().unwrap();
        std::fs::remove_dir(&workspace).unwrap();
        assert!(told.try_recv().is_err(), "nobody watches it yet");

        std::fs::create_dir(&workspace).unwrap();
        drop(hanging);
        set();
        assert!(!has_said_so(), "the next time it is said again");
        // It tells at once that this is another directory, and then of its end.
        drop(watch.at_directories.lock().await);
        while told.try_recv().is_ok() {}
        std::fs::remove_dir(&workspace).unwrap();
        let give_up = Duration::from_secs(60);
        let touched = async {
            loop {
                if let Some(Event::Touched(whose)) = told.recv().await {
                    return whose;
                }
            }
        };
        let touched = tokio::time::timeout(give_up, touched).await;
        assert_eq!(touched.expect("it is told of"), [identity]);
    }
}
