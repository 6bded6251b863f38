//! What happens, for those who follow it: the last records of the event log, then each new one, without
//! a gap and without a doublet, and a word whenever the state of the daemon may have changed.
//!
//! Nothing in here is shared with the owner of the state: a follower that does not read holds nobody up.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};

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
    /// The last records of the event log, newest last.
    pub last: Vec<Value>,
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
            Some(_) => Refusal::Internal("the event log gave no answer in time".to_owned()),
        };
        let seq = self.announcements.settled().await.ok_or_else(unsettled)?;
        let Newest {
            mut records,
            is_cut,
        } = self.read(limit).await?;
        // Whatever the reading found is published by then.
        self.announcements.settled().await.ok_or_else(unsettled)?;
        let mut pending = VecDeque::new();
        loop {
            match published.try_recv() {
                Ok(record) if record.seq <= seq => {}
                Ok(record) => pending.push_back(record),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                Err(TryRecvError::Lagged(_)) => return Ok(None),
            }
        }
        // What was written while the log was read comes once, and with its number.
        records.retain(|found| {
            let found = found.to_string();
            !pending.iter().any(|record| record.event == found)
        });
        Ok(Some(Follower {
            last: records,
            is_cut,
            seq,
            changes,
            pending,
            published,
        }))
    }

    async fn read(&self, limit: usize) -> Result<Newest, Refusal> {
        let turn = self.turns.clone().next().await?;
        let (state_dir, keep) = (self.state_dir.clone(), self.keep_segments);
        let query = Query {
            limit: Some(limit),
            all: true,
            ..Query::default()
        };
        let read = on_blocking_pool(READ_LIMIT, move || {
            let _turn = turn;
            event_log::read_newest(&state_dir, keep, &query, BYTES_AT_ONCE)
        });
        match read.await {
            Some(Ok(newest)) => Ok(newest),
            Some(Err(error)) => Err(Refusal::Internal(words(&error).0)),
            None => Err(Refusal::Internal(
                "the event log gave no answer in time".to_owned(),
            )),
        }
    }
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
mod tests {
    use super::*;
    use crate::event_log::Rotation;
    use crate::orphan::event::Event;

    const ROTATION: Rotation = Rotation {
        rotate_bytes: 4096,
        keep: 3,
    };

    struct Desk {
        folder: tempfile::TempDir,
        journal: Journal,
        feed: Feed,
        _changes: watch::Sender<u64>,
    }

    fn desk() -> Desk {
        desk_with(ROTATION)
    }

    fn desk_with(rotation: Rotation) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::start(folder.path(), rotation);
        let (_changes, changed) = watch::channel(0);
        let feed = Feed::new(&journal, changed, folder.path().to_path_buf(), 3);
        Desk {
            folder,
            journal,
            feed,
            _changes,
        }
    }

    fn happened(number: usize) -> Vec<Event> {
        vec![Event::ConfigRejected {
            problem: format!("number {number}"),
        }]
    }

    fn number(event: &Value) -> usize {
        let problem = event["problem"].as_str().unwrap();
        problem.strip_prefix("number ").unwrap().parse().unwrap()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    async fn next(follower: &mut Follower) -> Arc<Published> {
        let next = tokio::time::timeout(Duration::from_secs(60), follower.next());
        match next.await.expect("a record comes") {
            Some(News::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_long_records_a_follower_begins_with_the_newest() {
        runtime().block_on(async {
            let desk = desk_with(Rotation {
                rotate_bytes: u64::MAX,
                keep: 3,
            });
            let long = |number: usize| Event::ConfigRejected {
                problem: format!("{number} {}", "x".repeat(BYTES_AT_ONCE / 10)),
            };
            for number in 0..20 {
                desk.journal
                    .record_and_flush(vec![long(number)])
                    .await
                    .unwrap();
            }
            let follower = desk.feed.follow(20).await.unwrap();
            let numbers = follower.last.iter().map(|event| {
                let problem = event["problem"].as_str().unwrap();
                problem.split(' ').next().unwrap().parse::<usize>().unwrap()
            });
            assert_eq!(numbers.collect::<Vec<_>>(), (11..20).collect::<Vec<_>>());
            assert!(follower.is_cut);
            let follower = desk.feed.follow(9).await.unwrap();
            assert_eq!((follower.last.len(), follower.is_cut), (9, false));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_begins_does_not_wait_for_a_turn_without_end() {
        let desk = desk();
        let _turns = [
            desk.feed.turns.clone().next().await.unwrap(),
            desk.feed.turns.clone().next().await.unwrap(),
        ];
        let refused = desk.feed.read(1).await;
        assert!(matches!(refused, Err(Refusal::TooBusy(_))), "{refused:?}");
    }

    #[test]
    fn whoever_begins_while_records_pour_in_misses_none_and_gets_none_twice() {
        const MANY: usize = 1_000;
        runtime().block_on(async {
            let Desk {
                folder: _folder,
                journal,
                feed,
                _changes,
            } = desk();
            let pouring = tokio::spawn(async move {
                for number in 0..MANY {
                    journal.record_and_flush(happened(number)).await.unwrap();
                }
                journal
            });
            let mut followers = Vec::new();
            for _ in 0..20 {
                let feed = feed.clone();
                followers.push(tokio::spawn(async move {
                    let mut follower = feed.follow(5).await.unwrap();
                    let mut seen: Vec<usize> = follower.last.iter().map(number).collect();
                    let mut seq = follower.seq;
                    while seen.last() != Some(&(MANY - 1)) {
                        let record = next(&mut follower).await;
                        assert_eq!(record.seq, seq + 1);
                        assert!(record.is_recorded);
                        seq = record.seq;
                        seen.push(number(&serde_json::from_str(&record.event).unwrap()));
                    }
                    assert_eq!(seq, MANY as u64);
                    let first = seen.first().copied().unwrap_or_default();
                    assert_eq!(seen, (first..MANY).collect::<Vec<_>>());
                }));
                tokio::task::yield_now().await;
            }
            for follower in followers {
                follower.await.unwrap();
            }
            drop(pouring.await.unwrap());
        });
    }

    #[test]
    fn the_last_ones_are_found_in_rotated_segments_too() {
        runtime().block_on(async {
            let desk = desk();
            for number in 0..100 {
                desk.journal.record(happened(number));
            }
            let follower = desk.feed.follow(60).await.unwrap();
            assert!(desk.folder.path().join("events.jsonl.1").exists());
            let last: Vec<usize> = follower.last.iter().map(number).collect();
            assert_eq!(last, (40..100).collect::<Vec<_>>());
            assert_eq!(follower.seq, 100);
        });
    }

    #[test]
    fn whoever_does_not_read_is_told_how_much_it_missed_and_the_others_miss_nothing() {
        const MANY: u64 = 5_000;
        runtime().block_on(async {
            let desk = desk();
            let mut sleeper = desk.feed.follow(0).await.unwrap();
            let mut reader = desk.feed.follow(0).await.unwrap();
            for seq in 1..=MANY {
                desk.journal.record(happened(0));
                assert_eq!(next(&mut reader).await.seq, seq);
            }
            let Some(News::Missed(missed)) = sleeper.next().await else {
                panic!("it missed nothing");
            };
            assert!((1..MANY).contains(&missed));
            for seq in missed + 1..=MANY {
                assert_eq!(next(&mut sleeper).await.seq, seq);
            }
        });
    }

    #[test]
    fn a_record_that_could_not_be_written_is_told_as_such() {
        runtime().block_on(async {
            let desk = desk();
            let mut follower = desk.feed.follow(0).await.unwrap();
            // A directory in the place of the log: nobody can write that, not even root.
            std::fs::create_dir(desk.folder.path().join("events.jsonl")).unwrap();
            desk.journal.record(happened(7));
            let record = next(&mut follower).await;
            assert_eq!((record.seq, record.is_recorded), (1, false));
            std::fs::remove_dir(desk.folder.path().join("events.jsonl")).unwrap();
            desk.journal.record_and_flush(happened(8)).await.unwrap();
            let record = next(&mut follower).await;
            assert_eq!((record.seq, record.is_recorded), (2, true));
            assert_eq!(number(&serde_json::from_str(&record.event).unwrap()), 8);
        });
    }

    #[test]
    fn when_the_journal_ends_everything_is_told_and_then_its_end() {
        runtime().block_on(async {
            let desk = desk();
            let mut follower = desk.feed.follow(0).await.unwrap();
            desk.journal.record(happened(1));
            drop(desk.journal);
            assert_eq!(next(&mut follower).await.seq, 1);
            assert!(follower.next().await.is_none());
            assert_eq!(
                desk.feed.follow(0).await.map(|_| ()),
                Err(Refusal::ShuttingDown)
            );
        });
    }
}
