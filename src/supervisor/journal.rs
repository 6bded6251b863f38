//! The one writer of the event log: takes events, answers when they are on disk.
//!
//! Runs on a thread of its own, because a disk may block; what arrives together is flushed together.

use std::path::Path;
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
            let mut log = None;
            while let Some(batch) = incoming.blocking_recv() {
                let result = write(&mut log, &state_dir, rotation, &batch);
                if let Err(error) = &result {
                    tracing::error!(%error, events = batch.events.len(), "events were not recorded");
                    log = None;
                }
                if let Some(done) = batch.done {
                    // Nobody waits any more: the record stands all the same.
                    let _ = done.send(result);
                }
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
fn words(error: EventLogError) -> AuditError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    AuditError(text)
}

fn write(
    log: &mut Option<EventLog>,
    state_dir: &Path,
    rotation: Rotation,
    batch: &Batch,
) -> Result<(), AuditError> {
    if batch.events.is_empty() {
        return Ok(());
    }
    let log = match log {
        Some(log) => log,
        None => log.insert(EventLog::open(state_dir, rotation).map_err(words)?),
    };
    let records: Vec<Record> = batch
        .events
        .iter()
        .map(|(at, event)| {
            let (event, fields) = wire::event::record(event);
            Record {
                ts: Timestamp::try_from(*at).unwrap_or(Timestamp::UNIX_EPOCH),
                event,
                fields,
            }
        })
        .collect();
    log.append(&records).map_err(words)?;
    if batch.wanted == Wanted::OnDisk {
        log.sync().map_err(words)?;
    }
    Ok(())
}
