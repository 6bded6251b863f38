//! The one writer of the event log: takes events, answers when they are on disk.
//!
//! Runs on a thread of its own, because a disk may block; what arrives together is flushed together.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::event_log::{EventLog, EventLogError, Record, Rotation};
use crate::orphan::event::Event;
use crate::wire;

/// How long a flush may take before the record counts as not written.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// What could not be recorded, in the system's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log cannot be written: {0}")]
pub struct AuditError(pub String);

struct Batch {
    events: Vec<(SystemTime, Event)>,
    wanted: Wanted,
    done: Option<oneshot::Sender<Result<(), AuditError>>>,
}

/// How far a batch has to get before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Whoever reads the log finds it.
    InTheLog,
    /// It survives a crash of the machine.
    OnDisk,
}

/// A way to the event log that can be cloned.
#[derive(Clone, Debug)]
pub struct Journal {
    batches: mpsc::UnboundedSender<Batch>,
}

impl Journal {
    /// Starts the writer. An event log that cannot be opened now is tried again with each batch.
    /// The handle ends when every clone of the journal is gone and all is written.
    #[must_use]
    pub fn start(state_dir: &Path, rotation: Rotation) -> (Self, std::thread::JoinHandle<()>) {
        let (batches, mut incoming) = mpsc::unbounded_channel::<Batch>();
        let state_dir = state_dir.to_path_buf();
        let writer = std::thread::spawn(move || {
            let mut writer = Writer {
                log: None,
                state_dir,
                rotation,
                owed: Vec::new(),
                is_doubtful: false,
                rotation_problem: None,
            };
            while let Some(batch) = incoming.blocking_recv() {
                let result = writer.write(batch.events, batch.wanted);
                if let Err(error) = &result {
                    tracing::error!(%error, "events were not recorded");
                }
                if let Some(done) = batch.done {
                    // Nobody waits any more: the record stands all the same.
                    let _ = done.send(result);
                }
            }
            // What could not be written then may fit now.
            if let Err(error) = writer.write(Vec::new(), Wanted::OnDisk) {
                tracing::error!(%error, lost = writer.owed.len(), "events are lost");
            }
        });
        (Self { batches }, writer)
    }

    /// A journal that keeps nothing, for looking only: what must be recorded cannot be.
    #[must_use]
    pub fn nowhere() -> Self {
        let (batches, _) = mpsc::unbounded_channel();
        Self { batches }
    }

    /// Records what happened, without waiting.
    pub fn record(&self, events: Vec<Event>) {
        self.send(events, Wanted::InTheLog, None);
    }

    /// Records what is about to happen and waits until it is on disk, with one flush for all.
    ///
    /// # Errors
    /// If any of it is not certainly on disk.
    pub async fn record_and_flush(&self, events: Vec<Event>) -> Result<(), AuditError> {
        self.send_and_wait(events, Wanted::OnDisk).await
    }

    /// Waits until everything that was recorded before is in the log, or certainly is not.
    pub async fn settled(&self) {
        // Whether it could be written was said where it failed.
        let _ = self.send_and_wait(Vec::new(), Wanted::InTheLog).await;
    }

    async fn send_and_wait(&self, events: Vec<Event>, wanted: Wanted) -> Result<(), AuditError> {
        let (done, answer) = oneshot::channel();
        self.send(events, wanted, Some(done));
        match tokio::time::timeout(FLUSH_LIMIT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(AuditError("its writer is gone".to_owned())),
            Err(_) => Err(AuditError(format!(
                "no answer within {} s",
                FLUSH_LIMIT.as_secs()
            ))),
        }
    }

    fn send(
        &self,
        events: Vec<Event>,
        wanted: Wanted,
        done: Option<oneshot::Sender<Result<(), AuditError>>>,
    ) {
        let now = SystemTime::now();
        let events = events.into_iter().map(|event| (now, event)).collect();
        // A writer that is gone answers by dropping `done`.
        let _ = self.batches.send(Batch {
            events,
            wanted,
            done,
        });
    }
}

/// The error with the system's words behind it.
pub(super) fn words(error: &EventLogError) -> AuditError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    AuditError(text)
}

/// How many records are kept for when the event log can be written again.
const OWED_LIMIT: usize = 10_000;

/// The event log, and what it is owed.
struct Writer {
    log: Option<EventLog>,
    state_dir: PathBuf,
    rotation: Rotation,
    /// What happened and could not be written yet, oldest first.
    owed: Vec<Record>,
    /// Something failed, and nothing was certainly on disk since.
    is_doubtful: bool,
    rotation_problem: Option<String>,
}

impl Writer {
    fn write(
        &mut self,
        events: Vec<(SystemTime, Event)>,
        wanted: Wanted,
    ) -> Result<(), AuditError> {
        let records: Vec<Record> = events
            .iter()
            .map(|(at, event)| record(*at, event))
            .collect();
        // Whether it can be written again is found out by flushing it.
        let is_asked = self.is_doubtful && wanted == Wanted::OnDisk;
        if records.is_empty() && self.owed.is_empty() && !is_asked {
            return Ok(());
        }
        let announced = records.len();
        self.owed.extend(records);
        let result = self.write_owed(wanted);
        self.is_doubtful &= result.is_err() || wanted != Wanted::OnDisk;
        if result.is_err() {
            self.is_doubtful = true;
            self.log = None;
            if wanted == Wanted::OnDisk {
                // Announcements: whether what they announce happens is decided by this answer.
                // They are the last; of what was owed before some may be written by now.
                let others = self.owed.len().saturating_sub(announced);
                self.owed.truncate(others);
            }
            self.owed.truncate(OWED_LIMIT);
        }
        result
    }

    fn write_owed(&mut self, wanted: Wanted) -> Result<(), AuditError> {
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(
                EventLog::open(&self.state_dir, self.rotation).map_err(|error| words(&error))?,
            ),
        };
        let appended = log.append(&self.owed);
        let problem = log.rotation_failure().map(words).map(|error| error.0);
        if let Some(problem) = problem
            .as_ref()
            .filter(|_| problem != self.rotation_problem)
        {
            tracing::error!(%problem, "the event log is not rotated and goes on growing");
        }
        self.rotation_problem = problem;
        match appended {
            Ok(()) => self.owed.clear(),
            Err(error) => {
                if let EventLogError::Append { recorded, .. } = &error {
                    self.owed.drain(..(*recorded).min(self.owed.len()));
                }
                return Err(words(&error));
            }
        }
        if wanted == Wanted::OnDisk {
            log.sync().map_err(|error| words(&error))?;
        }
        Ok(())
    }
}

fn record(at: SystemTime, event: &Event) -> Record {
    let (event, fields) = wire::event::record(event);
    Record {
        ts: Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH),
        event,
        fields,
    }
}
