//! What a follower begins with, and what it is told.

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

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

fn last(follower: &Follower) -> Vec<Value> {
    serde_json::from_str(&follower.last).unwrap()
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
        let last_ones = last(&follower);
        let numbers = last_ones.iter().map(|event| {
            let problem = event["problem"].as_str().unwrap();
            problem.split(' ').next().unwrap().parse::<usize>().unwrap()
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (11..20).collect::<Vec<_>>());
        assert!(follower.is_cut);
        let follower = desk.feed.follow(9).await.unwrap();
        assert_eq!((last(&follower).len(), follower.is_cut), (9, false));
    });
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_does_not_wait_for_a_turn_without_end() {
    let desk = desk();
    let _turns = [
        desk.feed.turns.clone().next().await.unwrap(),
        desk.feed.turns.clone().next().await.unwrap(),
    ];
    let refused = desk.feed.read(1, 1).await;
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
                let mut seen: Vec<usize> = last(&follower).iter().map(number).collect();
                let mut seq = follower.seq;
                assert_eq!(seen.len() as u64, seq.min(5), "up to {seq}");
                assert!(!follower.is_cut);
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
        let last: Vec<usize> = last(&follower).iter().map(number).collect();
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

/// The processor time that this thread has had.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

#[test]
fn what_a_follower_begins_with_is_made_where_nobody_waits_for_it() {
    runtime().block_on(async {
        let desk = desk_with(Rotation {
            rotate_bytes: u64::MAX,
            keep: 3,
        });
        let long = "x\n\u{1b}".repeat(200);
        let events = (0..MOST_AT_ONCE).map(|number| Event::ConfigRejected {
            problem: format!("{number} {long}"),
        });
        desk.journal.record(events.collect());
        let follower = desk.feed.follow(MOST_AT_ONCE).await.unwrap();
        let records = last(&follower);
        assert!(records.len() > MOST_AT_ONCE / 2);
        let began = spent();
        for _ in 0..5 {
            desk.feed.follow(MOST_AT_ONCE).await.unwrap();
        }
        let following = spent() - began;
        let began = spent();
        for _ in 0..5 {
            let text: usize = records.iter().map(|one| one.to_string().len()).sum();
            assert!(text > 1 << 18);
        }
        let making = spent() - began;
        assert!(following < making / 2, "{following:?}, of {making:?}");
    });
}
