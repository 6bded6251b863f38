//! Which workspaces are watched, whose they are, and who is told when one may have gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::event::Event;
use crate::orphan::process::ProcessIdentity;
use crate::os::watch::Directories;

/// How long after one look the next is asked for, at least: whatever happens meanwhile is one.
const PAUSE: Duration = Duration::from_millis(20);

type Owners = BTreeMap<PathBuf, Vec<ProcessIdentity>>;

/// A watch on workspaces. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    directories: Arc<Directories>,
    owners: Arc<Mutex<Owners>>,
    /// One that hangs keeps its thread: no second one is started beside it.
    turn: Arc<tokio::sync::Mutex<()>>,
    _listening: AbortOnDropHandle<()>,
}

impl Watch {
    /// Watches nothing yet. None where nobody is told of anything: then there are the scans.
    pub(super) fn begin(events: mpsc::UnboundedSender<Event>) -> Option<Self> {
        let directories = match Directories::new() {
            Ok(directories) => Arc::new(directories),
            Err(error) => {
                tracing::debug!(%error, "no workspace is watched");
                return None;
            }
        };
        let owners = Arc::new(Mutex::new(Owners::new()));
        let listening = listen(Arc::clone(&directories), Arc::clone(&owners), events);
        Some(Self {
            directories,
            owners,
            turn: Arc::default(),
            _listening: AbortOnDropHandle::new(tokio::spawn(listening)),
        })
    }

    /// From now on these are watched.
    pub(super) fn set<'a>(&self, workspaces: impl Iterator<Item = (ProcessIdentity, &'a Path)>) {
        let mut owners = Owners::new();
        for (identity, path) in workspaces {
            owners.entry(path.to_path_buf()).or_default().push(identity);
        }
        let wanted: BTreeSet<PathBuf> = owners.keys().cloned().collect();
        *lock(&self.owners) = owners;
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else {
            return;
        };
        let directories = Arc::clone(&self.directories);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            directories.watch(&wanted);
        });
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
        let whose: Vec<ProcessIdentity> = {
            let owners = lock(&owners);
            let whose = touched.iter().filter_map(|path| owners.get(path));
            whose.flatten().copied().collect()
        };
        if events.send(Event::Touched(whose)).is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn lock(owners: &Mutex<Owners>) -> MutexGuard<'_, Owners> {
    owners.lock().unwrap_or_else(PoisonError::into_inner)
}
