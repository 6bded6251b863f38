//! One scan: list, pin, recognise, probe. The checks under a handle before a signal are the same
//! code, for one process.
//!
//! Whatever may block runs on the blocking pool, each workspace under its own time limit. A probe
//! that hangs keeps its thread; the same process is not probed again until that one returns, nor is
//! what hangs with it.

mod lanes;
mod looks;
mod pinning;
mod probes;
mod subject;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use self::lanes::{Answer, PROBES_AT_ONCE, each_within, within};
pub(super) use self::looks::on_blocking_pool;
use self::looks::{LOOK_IS_WORK_FOR, Looks};
use self::pinning::{Held, Suspects};
pub(super) use self::probes::lock;
use self::probes::{Coordinating, PROBE_THREADS, Probes};
use self::subject::{Probe, Subject};
use super::event::{Around, Followed};
use super::settings::{Settings, real_path};
use crate::orphan::checkup::Hanging;
use crate::orphan::coordinator::recognise;
use crate::orphan::memory::Memory;
use crate::orphan::process::{Pid, ProcessIdentity, ProcessRecord};
use crate::orphan::registry::{Observation, Unread};
use crate::os::evidence::Remembered;
use crate::os::facts::{self, PinError, Pinned};
use crate::os::handle::ProcessHandle;
use crate::os::patience::{self, NoAnswer};
use crate::os::processes::{Candidates, ListError, Seen, Sweep, candidates};
use crate::os::view;

/// How long the probes of so many coordinators may take, if every one of them hangs.
#[must_use]
pub fn probing_limit(coordinators: usize, probe_timeout: Duration) -> Duration {
    let rounds = coordinators.div_ceil(PROBES_AT_ONCE);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    // As if each round were of those that are held together, and began with one thread.
    probe_timeout
        .saturating_add(LOOK_IS_WORK_FOR)
        .saturating_mul(rounds)
}

/// How many threads may block at the same time: as many as can look and hang here, and the few of everybody else
/// (`turns.rs`, the event log, the configuration). None is there before it is needed.
pub const BLOCKING_THREADS: usize = 2 * PROBE_THREADS + 64;

/// How long listing and reading the process table may take.
const LISTING_LIMIT: Duration = Duration::from_secs(30);

/// How long comparing our view with others' may take.
const AROUND_LIMIT: Duration = Duration::from_secs(5);

/// Why a scan gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The process table could not be read in time.
    #[error("the process table gave no answer within {} s", LISTING_LIMIT.as_secs())]
    ListingTimedOut,
    /// The process table could not be read.
    #[error("the process table cannot be read: {0}")]
    Listing(#[from] ListError),
    /// There is not enough of something to look at every process.
    #[error("the scan is incomplete: {0}")]
    Shortage(String),
    /// The last listing still hangs.
    #[error("an earlier look at the process table still has no answer")]
    ListingHangs,
    /// The scan itself failed.
    #[error("the scan stopped: {0}")]
    Stopped(#[source] tokio::task::JoinError),
}

/// What a look at every coordinator gave.
#[derive(Debug, Default)]
pub struct Scan {
    /// Each that could be looked at.
    pub observations: Vec<Observation>,
    /// Who could not be read: those that are known, and whoever hangs, whatever it is.
    pub unread: Vec<Unread>,
}

/// What looking at one process gave.
#[derive(Debug)]
pub enum Look {
    /// It is a coordinator.
    Coordinator(Box<Observation>),
    /// It is none; this is what it is.
    NotOne(Box<ProcessRecord>),
    /// It is gone, or another program by now.
    Gone,
    /// It is there but cannot be read.
    Unreadable(PinError),
}

/// Scans, and remembers which probes hang.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    probes: Arc<Mutex<Probes<Coordinating>>>,
    /// Looks at one process by itself.
    pins: Arc<Mutex<Probes<Pid>>>,
    listing: Arc<tokio::sync::Mutex<()>>,
    around: Arc<tokio::sync::Mutex<()>>,
    following: Arc<tokio::sync::Mutex<()>>,
    looks: Looks,
    last: Arc<Mutex<Option<Last>>>,
}

/// The last scan that gave a result.
#[derive(Debug)]
struct Last {
    settings: Arc<Settings>,
    seen: Seen,
}

impl Scanner {
    /// Looks at every coordinator of the machine. `memories` are of those that are known.
    ///
    /// # Errors
    /// See [`ScanError`]; single processes never fail a scan.
    pub async fn scan(
        &self,
        sweep: Sweep,
        settings: &Arc<Settings>,
        memories: &HashMap<ProcessIdentity, Memory>,
    ) -> Result<Scan, ScanError> {
        let known = memories.keys().map(|identity| identity.pid).collect();
        let before = self.seen_under(settings);
        let under = Arc::clone(settings);
        let list = move || {
            let Candidates { pids, seen } = candidates(&before, sweep, &known, &under.forms)?;
            Ok((Suspects::new(pids, known, under).pin_some()?, seen))
        };
        let (mut pinned, seen) = self.at_the_table(list).await?;
        let mut observations = Vec::new();
        let passed_over = seen.passed_over().iter().copied();
        let mut unread: Vec<Unread> = passed_over.map(pinning::hangs).collect();
        loop {
            let Held {
                found,
                unread: more,
                rest,
            } = pinned;
            unread.extend(more);
            let subjects = found.into_iter().map(|(pinned, coordinator)| {
                let memory = memories.get(&pinned.record.identity);
                Subject {
                    remembered: memory.map(remembered).unwrap_or_default(),
                    pinned,
                    coordinator,
                }
            });
            for look in self.observe_each(subjects, settings).await {
                observations.extend(look?.filter(|seen| settings.covers_evidence(&seen.evidence)));
            }
            if rest.is_empty() {
                break;
            }
            pinned = self.at_the_table(move || rest.pin_some()).await?;
        }
        observations.sort_by_key(|observation| observation.record.identity);
        // Only now: whoever was found by a scan that gave no result was not seen.
        let settings = Arc::clone(settings);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Last { settings, seen });
        Ok(Scan {
            observations,
            unread,
        })
    }

    /// What hangs.
    #[must_use]
    pub fn hanging(&self) -> Hanging {
        let mut processes = patience::hanging();
        processes.extend(lock(&self.pins).hang());
        Hanging {
            workspaces: lock(&self.probes).hang().count(),
            processes,
        }
    }

    /// Reads the process table. One look that hangs keeps its thread: no second one is started beside it.
    async fn at_the_table<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> Result<T, ScanError> + Send + 'static,
    ) -> Result<T, ScanError> {
        let turn = Arc::clone(&self.listing)
            .try_lock_owned()
            .map_err(|_| ScanError::ListingHangs)?;
        let look = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            look()
        });
        timeout(LISTING_LIMIT, look)
            .await
            .map_err(|_| ScanError::ListingTimedOut)?
            .map_err(ScanError::Stopped)?
    }

    /// What was seen already, if that was under this configuration.
    fn seen_under(&self, settings: &Arc<Settings>) -> Seen {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .filter(|last| Arc::ptr_eq(&last.settings, settings))
            .map(|last| last.seen.clone())
            .unwrap_or_default()
    }

    /// Looks at what else a scan has to know: what hides something from us, by comparison with these
    /// coordinators if need be, which kept processes have ended, and what is above us.
    pub async fn look_around(&self, targets: Vec<Pid>, kept: Vec<ProcessIdentity>) -> Around {
        // One that hangs keeps its thread: no second one is started beside it.
        let Ok(turn) = Arc::clone(&self.around).try_lock_owned() else {
            return Around::default();
        };
        let look = on_blocking_pool(AROUND_LIMIT, move || {
            let _turn = turn;
            Around {
                obstacles: Some(view::obstacles(&targets)),
                ended: kept.into_iter().filter(has_ended).collect(),
                own: Some(facts::lineage(std::process::id())),
                ..Around::default()
            }
        });
        look.await.unwrap_or_default()
    }

    /// Where these paths lead now: those of them that were followed within the limit, which is for all of them together.
    pub async fn follow(&self, paths: Vec<PathBuf>, limit: Duration) -> Option<Followed> {
        if paths.is_empty() {
            return Some(Followed::default());
        }
        // One that hangs keeps its thread: no second one is started beside it.
        let turn = Arc::clone(&self.following).try_lock_owned().ok()?;
        let followed = Arc::new(Mutex::new(Followed::default()));
        let so_far = Arc::clone(&followed);
        let follow = move || {
            let _turn = turn;
            for path in paths {
                let real = real_path(&path).filter(|real| *real != path);
                let mut so_far = lock(&so_far);
                so_far.leads.extend(real.map(|real| (path.clone(), real)));
                so_far.names.insert(path);
            }
        };
        // The rest is not known: those before one that hangs are.
        let _ = on_blocking_pool(limit, follow).await;
        let followed = lock(&followed).clone();
        Some(followed)
    }

    /// Pins and looks at the one process that has `pid` now.
    pub async fn look(
        &self,
        pid: Pid,
        memory: &Memory,
        settings: &Arc<Settings>,
    ) -> (Look, Option<ProcessHandle>) {
        self.looks.take(self.look_at(pid, memory, settings)).await
    }

    async fn look_at(
        &self,
        pid: Pid,
        memory: &Memory,
        settings: &Arc<Settings>,
    ) -> (Look, Option<ProcessHandle>) {
        let pin = within(&self.pins, pid, settings.probe_timeout, move || {
            patience::without_limit(|| facts::pin(pid))
        });
        let no_answer =
            |none: NoAnswer| (Look::Unreadable(PinError::Unreadable(none.into())), None);
        let pinned = match pin.await {
            Answer::Given(Ok(pinned)) => pinned,
            Answer::Given(Err(PinError::Gone)) => return (Look::Gone, None),
            Answer::Given(Err(error)) => return (Look::Unreadable(error), None),
            Answer::Awaited => return no_answer(NoAnswer::Hangs),
            Answer::NotBegun => return no_answer(NoAnswer::TooManyHang),
        };
        let Some(coordinator) = recognise(&pinned.record.argv, &settings.forms) else {
            let Pinned { handle, record } = pinned;
            return (Look::NotOne(Box::new(record)), Some(handle));
        };
        let subject = Subject {
            pinned,
            coordinator,
            remembered: remembered(memory),
        };
        let (look, handle) = self.observe(subject, settings).await;
        let look = match look {
            Ok(Some(observation)) => Look::Coordinator(Box::new(observation)),
            Ok(None) => Look::Gone,
            Err(error) => Look::Unreadable(PinError::Unreadable(std::io::Error::other(error))),
        };
        (look, Some(handle))
    }

    /// Gathers evidence about a pinned coordinator. Nothing if it exited or became another program
    /// while it was looked at: then the evidence may be somebody else's.
    async fn observe(
        &self,
        subject: Subject,
        settings: &Settings,
    ) -> (Result<Option<Observation>, ScanError>, ProcessHandle) {
        let (probe, work) = subject.begin(settings);
        let answer = within(&self.probes, probe.what(), settings.probe_timeout, work).await;
        probe.end(answer)
    }

    /// The same of several.
    async fn observe_each(
        &self,
        subjects: impl Iterator<Item = Subject>,
        settings: &Settings,
    ) -> Vec<Result<Option<Observation>, ScanError>> {
        let begun = subjects.map(|subject| subject.begin(settings));
        let (probes, works): (Vec<Probe>, Vec<_>) = begun.unzip();
        let works = probes.iter().map(Probe::what).zip(works).collect();
        let answers = each_within(&self.probes, settings.probe_timeout, works).await;
        let ends = probes.into_iter().zip(answers);
        ends.map(|(probe, answer)| probe.end(answer).0).collect()
    }
}

fn remembered(memory: &Memory) -> Remembered {
    Remembered {
        mount: memory.mount,
        hung_on: memory.hung_on,
    }
}

/// Whether this very process is gone. One that cannot be looked at is not.
fn has_ended(identity: &ProcessIdentity) -> bool {
    match facts::identify(identity.pid) {
        Ok((_, found)) => found != *identity,
        Err(PinError::Gone) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
