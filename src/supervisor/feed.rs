//! What happens, for those who follow it: the last records of the event log, then each new one, without
//! a gap and without a doublet, and a word whenever the state of the daemon may have changed.
//!
//! Nothing in here is shared with the owner of the state: a follower that does not read holds nobody up.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};

mod beginning;

use self::beginning::{Beginning, beginning};
use super::journal::{Announcements, Journal, Published, words};
use super::request::Refusal;
use super::scan::on_blocking_pool;
use super::turns::Turns;
use crate::event_log::{self, Newest, Query};

/// The most records that a follower begins with.
pub const MOST_AT_ONCE: usize = 1000;
/// And at most so many bytes of them, as JSON: the newest. Each follower may keep that unread.
const BYTES_AT_ONCE: usize = 1 << 20;
/// How long reading the last records may take.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// How often it is begun anew when more happens meanwhile than a follower can be told of.
const ATTEMPTS: usize = 3;
/// How often the log is looked through for the last records, when more and more of those found are told of one by one.
const LOOKS: usize = 4;

/// How often the state may have changed so far.
pub type Changes = watch::Receiver<u64>;

/// Where followers come from.
#[derive(Clone, Debug)]
pub struct Feed {
    announcements: Announcements,
    changes: Changes,
    state_dir: PathBuf,
    keep_segments: u32,
    turns: Turns,
}

/// One follower.
#[derive(Debug)]
pub struct Follower {
    /// The last records of the event log, newest last: an array, as JSON.
    pub last: String,
    /// There are earlier ones that were asked for, and had no room.
    pub is_cut: bool,
    /// The number of the last record that happened before what [`Follower::next`] gives.
    pub seq: u64,
    /// Whenever the state may have changed.
    pub changes: Changes,
    /// Came while the last ones were read.
    pending: VecDeque<Arc<Published>>,
    published: broadcast::Receiver<Arc<Published>>,
}

/// What a follower is told.
#[derive(Debug)]
pub enum News {
    /// This happened.
    Record(Arc<Published>),
    /// It did not read for so long that it missed this many records.
    Missed(u64),
}

impl Feed {
    /// Of the records of `journal`, which lie in `state_dir`, and of the changes of the state.
    #[must_use]
    pub fn new(
        journal: &Journal,
        changes: Changes,
        state_dir: PathBuf,
        keep_segments: u32,
    ) -> Self {
        Self {
            announcements: journal.announcements(),
            changes,
            state_dir,
            keep_segments,
            turns: Turns::of_beginnings(),
        }
    }

    /// The changes of the state.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// Begins to follow, from the last `limit` records on.
    ///
    /// # Errors
    /// If the event log cannot be read, or the daemon ends.
    pub async fn follow(&self, limit: usize) -> Result<Follower, Refusal> {
        for _ in 0..ATTEMPTS {
            if let Some(follower) = self.try_to_follow(limit).await? {
                return Ok(follower);
            }
        }
        Err(Refusal::TooBusy("records of the event log"))
    }

    /// None if so much happened meanwhile that a record was missed.
    async fn try_to_follow(&self, limit: usize) -> Result<Option<Follower>, Refusal> {
        let gone = || Refusal::ShuttingDown;
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        // First this, so that nothing falls between what is read and what comes.
        let mut published = self.announcements.subscribe().ok_or_else(gone)?;
        // Its writer is gone, or a disk holds it up.
        let unsettled = || match self.announcements.subscribe() {
            None => gone(),
            Some(_) => no_answer(),
        };
        let seq = self.announcements.settled().await.ok_or_else(unsettled)?;
        let mut pending = VecDeque::new();
        let (mut records, mut bytes) = (limit, BYTES_AT_ONCE);
        let mut looks = 1;
        loop {
            let (newest, turn) = self.read(records, bytes).await?;
            // Whatever the reading found is published by then.
            self.announcements.settled().await.ok_or_else(unsettled)?;
            loop {
                match published.try_recv() {
                    Ok(record) if record.seq <= seq => {}
                    Ok(record) => pending.push_back(record),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                    Err(TryRecvError::Lagged(_)) => return Ok(None),
                }
            }
            let begun = begin(newest, records, limit, pending.clone(), turn).await?;
            if begun.is_short && looks < LOOKS {
                // As many more will be found as have come, and those that come meanwhile.
                looks += 1;
                records = limit + 2 * pending.len() + 16;
                let told: usize = pending.iter().map(|record| record.event.len()).sum();
                bytes = BYTES_AT_ONCE + 3 * told;
                continue;
            }
            return Ok(Some(Follower {
                last: begun.array,
                is_cut: begun.is_cut,
                seq,
                changes,
                pending,
                published,
            }));
        }
    }

    /// The newest so many records, of so many bytes at most; and the turn at that, which is the reader's until all is
    /// made of them.
    async fn read(
        &self,
        records: usize,
        most_bytes: usize,
    ) -> Result<(Newest, OwnedSemaphorePermit), Refusal> {
        let turn = self.turns.clone().next().await?;
        let (state_dir, keep) = (self.state_dir.clone(), self.keep_segments);
        let query = Query {
            limit: Some(records),
            all: true,
            ..Query::default()
        };
        let read = on_blocking_pool(READ_LIMIT, move || {
            event_log::read_newest(&state_dir, keep, &query, most_bytes)
                .map(|newest| (newest, turn))
        });
        match read.await {
            Some(Ok(read)) => Ok(read),
            Some(Err(error)) => Err(Refusal::Internal(words(&error).0)),
            None => Err(no_answer()),
        }
    }
}

/// What a follower begins with. Up to a megabyte is compared and put together for that: not where everybody waits.
async fn begin(
    newest: Newest,
    asked: usize,
    limit: usize,
    told: VecDeque<Arc<Published>>,
    turn: OwnedSemaphorePermit,
) -> Result<Beginning, Refusal> {
    let begun = on_blocking_pool(READ_LIMIT, move || {
        let _turn = turn;
        beginning(&newest, asked, limit, &told)
    });
    begun.await.ok_or_else(no_answer)
}

fn no_answer() -> Refusal {
    Refusal::Internal("the event log gave no answer in time".to_owned())
}

impl Follower {
    /// The next thing to be told; none when the daemon has ended and everything was told. Nothing is
    /// lost if it is not waited for to the end.
    pub async fn next(&mut self) -> Option<News> {
        if let Some(record) = self.pending.pop_front() {
            return Some(News::Record(record));
        }
        match self.published.recv().await {
            Ok(record) => Some(News::Record(record)),
            Err(RecvError::Lagged(missed)) => Some(News::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests;
