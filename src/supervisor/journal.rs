//! The one writer of the event log: takes events, answers when they are on disk.
//!
//! Runs on a thread of its own, because a disk may block; what arrives together is flushed together.
//! Each record is published to those who follow, in the order it was written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::event_log::{EventLog, EventLogError, Record, Rotation};
use crate::orphan::event::Event;
use crate::wire;

/// How long a flush may take before the record counts as not written.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// What could not be recorded, in the system's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log cannot be written: {0}")]
pub struct AuditError(pub String);

/// How many records wait for a follower that does not read; then it misses the oldest.
const FOLLOWER_LAG_LIMIT: usize = 1024;

/// A record, as those who follow get it.
#[derive(Debug)]
pub struct Published {
    /// Which one it is since the daemon started, from 1.
    pub seq: u64,
    /// Its object, as JSON in one line.
    pub event: String,
    /// Whether it stands in the event log. If not, it may be written later.
    pub is_recorded: bool,
}

#[derive(Debug)]
struct Batch {
    events: Vec<(SystemTime, Event)>,
    wanted: Wanted,
    done: Option<oneshot::Sender<Done>>,
}

/// What became of a batch.
#[derive(Debug)]
struct Done {
    result: Result<(), AuditError>,
    /// The last record that was published by then.
    seq: u64,
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
    published: broadcast::WeakSender<Arc<Published>>,
}

/// A way to what the journal publishes. It does not keep the journal's writer from ending.
#[derive(Clone, Debug)]
pub(super) struct Announcements {
    batches: mpsc::WeakUnboundedSender<Batch>,
    published: broadcast::WeakSender<Arc<Published>>,
}

impl Announcements {
    /// Everything that is published from now on; none if the writer has ended. The receiver is
    /// closed when everything was written and the writer ends.
    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<Arc<Published>>> {
        Some(self.published.upgrade()?.subscribe())
    }

    /// Waits until everything that was sent to the journal before is in the log, or certainly is not;
    /// the number of the last record by then. None if the writer has ended, or does not get there.
    pub(super) async fn settled(&self) -> Option<u64> {
        let (done, answer) = oneshot::channel();
        let batch = Batch {
            events: Vec::new(),
            wanted: Wanted::InTheLog,
            done: Some(done),
        };
        self.batches.upgrade()?.send(batch).ok()?;
        let answered = tokio::time::timeout(FLUSH_LIMIT, answer).await;
        Some(answered.ok()?.ok()?.seq)
    }
}

impl Journal {
    /// When the writer has ended although there are journals: it panicked.
    pub async fn lost(&self) {
        self.batches.closed().await;
    }

    /// Starts the writer. An event log that cannot be opened now is tried again with each batch.
    /// The handle ends when every clone of the journal is gone and all is written.
    #[must_use]
    pub fn start(state_dir: &Path, rotation: Rotation) -> (Self, std::thread::JoinHandle<()>) {
        let (batches, mut incoming) = mpsc::unbounded_channel::<Batch>();
        let publisher = broadcast::Sender::new(FOLLOWER_LAG_LIMIT);
        let published = publisher.downgrade();
        let state_dir = state_dir.to_path_buf();
        let writer = std::thread::spawn(move || {
            let mut writer = Writer {
                log: None,
                state_dir,
                rotation,
                owed: Vec::new(),
                is_doubtful: false,
                rotation_problem: None,
                publisher,
                seq: 0,
            };
            while let Some(batch) = incoming.blocking_recv() {
                let result = writer.write(batch.events, batch.wanted);
                if let Err(error) = &result {
                    tracing::error!(%error, "events were not recorded");
                }
                if let Some(done) = batch.done {
                    let seq = writer.seq;
                    // Nobody waits any more: the record stands all the same.
                    let _ = done.send(Done { result, seq });
                }
            }
            // What could not be written then may fit now.
            if let Err(error) = writer.write(Vec::new(), Wanted::OnDisk) {
                tracing::error!(%error, lost = writer.owed.len(), "events are lost");
            }
        });
        (Self { batches, published }, writer)
    }

    /// A way to what this publishes.
    pub(super) fn announcements(&self) -> Announcements {
        Announcements {
            batches: self.batches.downgrade(),
            published: self.published.clone(),
        }
    }

    /// A journal that keeps nothing, for looking only: what must be recorded cannot be.
    #[must_use]
    pub fn nowhere() -> Self {
        let (batches, _) = mpsc::unbounded_channel();
        let published = broadcast::Sender::new(1).downgrade();
        Self { batches, published }
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
            Ok(Ok(done)) => done.result,
            Ok(Err(_)) => Err(AuditError("its writer is gone".to_owned())),
            Err(_) => Err(AuditError(format!(
                "no answer within {} s",
                FLUSH_LIMIT.as_secs()
            ))),
        }
    }

    fn send(&self, events: Vec<Event>, wanted: Wanted, done: Option<oneshot::Sender<Done>>) {
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
    /// The only one: followers learn from its end that nothing more comes.
    publisher: broadcast::Sender<Arc<Published>>,
    seq: u64,
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
        let owed_before = self.owed.len();
        let told: Vec<String> = records.iter().filter_map(|new| self.told(new)).collect();
        self.owed.extend(records);
        let result = self.write_owed(wanted);
        // Those that are in the log were taken off the front.
        let written = (owed_before + announced).saturating_sub(self.owed.len());
        self.publish(announced, told, written.saturating_sub(owed_before));
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

    /// The record for those who follow, if anybody does.
    fn told(&self, record: &Record) -> Option<String> {
        (self.publisher.receiver_count() > 0).then(|| record.to_value().to_string())
    }

    /// Counts `many` new records, of which the first `recorded` are in the log, and tells those who
    /// follow. Who came while they were written finds them in the log and does not need them.
    fn publish(&mut self, many: usize, told: Vec<String>, recorded: usize) {
        let first = self.seq + 1;
        self.seq += many as u64;
        if told.len() < many {
            return;
        }
        for ((at, seq), event) in (first..).enumerate().zip(told) {
            // The last of them may have left.
            let _ = self.publisher.send(Arc::new(Published {
                seq,
                event,
                is_recorded: at < recorded,
            }));
        }
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
