//! Which segment holds what, against the original's own code and against a model of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use serde_json::json;
use tempfile::TempDir;

use super::super::EventLogError;
use super::*;

/// The archives' contents by number, 0 the current segment's, moved as the original moves them.
#[derive(Default)]
struct Model(BTreeMap<u32, Vec<u8>>);

impl Model {
    fn write(&mut self, rotation: Rotation, record: &Record) {
        if self
            .0
            .get(&0)
            .is_some_and(|current| current.len() as u64 >= rotation.rotate_bytes)
        {
            self.0.remove(&rotation.keep);
            for number in (0..rotation.keep).rev() {
                if let Some(segment) = self.0.remove(&number) {
                    self.0.insert(number + 1, segment);
                }
            }
        }
        super::super::line::append(self.0.entry(0).or_default(), &record.to_value()).unwrap();
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let name = |&number: &u32| match number {
            0 => "events.jsonl".to_owned(),
            number => format!("events.jsonl.{number}"),
        };
        self.0
            .iter()
            .map(|(number, segment)| (name(number), segment.clone()))
            .collect()
    }
}

fn numbers(records: &[Value]) -> Vec<u64> {
    records
        .iter()
        .map(|record| record["number"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_segment_that_has_reached_its_size_is_rotated_before_the_next_record() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 1000,
            keep: 5,
        },
    )
    .unwrap();
    log.append(&[record_of(500, 1), record_of(499, 2)]).unwrap();
    log.append(&[record_of(300, 3)]).unwrap();
    assert_eq!(
        names(root.path()),
        ["events.jsonl"],
        "999 bytes were not 1000"
    );
    log.append(&[record_of(1000, 4), record_of(300, 5)])
        .unwrap();
    let files = files(root.path());
    let sizes: Vec<_> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.len()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("events.jsonl", 300),
            ("events.jsonl.1", 1000),
            ("events.jsonl.2", 1299)
        ]
    );
    assert_eq!(numbers(&read_all(root.path())), [1, 2, 3, 4, 5]);
    assert!(log.rotation_failure().is_none());
    log.sync().unwrap();
    assert_eq!(log.unsynced_segments(), 0);
}

#[test]
fn no_more_than_keep_archives_stay_and_the_oldest_go() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 4096,
            keep: 3,
        },
    )
    .unwrap();
    for number in 0..10 {
        log.append(&[record_of(5000, number)]).unwrap();
    }
    assert_eq!(
        names(root.path()),
        [
            "events.jsonl",
            "events.jsonl.1",
            "events.jsonl.2",
            "events.jsonl.3"
        ]
    );
    assert_eq!(numbers(&read_all(root.path())), [6, 7, 8, 9]);
}

#[test]
fn one_archive_can_be_all_there_is() {
    for keep in [1, 0] {
        let root = TempDir::new().unwrap();
        let mut log = EventLog::open(
            root.path(),
            Rotation {
                rotate_bytes: 4096,
                keep,
            },
        )
        .unwrap();
        let records: Vec<_> = (0..5).map(|number| record_of(5000, number)).collect();
        log.append(&records).unwrap();
        assert_eq!(names(root.path()), ["events.jsonl", "events.jsonl.1"]);
        assert_eq!(numbers(&read_all(root.path())), [3, 4]);
    }
}

#[test]
fn a_size_of_zero_does_not_rotate_empty_segments() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 0,
            keep: 2,
        },
    )
    .unwrap();
    log.append(&[record_of(300, 1), record_of(300, 2)]).unwrap();
    assert_eq!(names(root.path()), ["events.jsonl", "events.jsonl.1"]);
}

#[test]
fn a_huge_keep_costs_nothing_and_its_archives_survive_a_smaller_one() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 300,
            keep: u32::MAX,
        },
    )
    .unwrap();
    for number in 0..12 {
        log.append(&[record_of(300, number)]).unwrap();
    }
    assert_eq!(files(root.path()).len(), 12);
    log.set_rotation(Rotation {
        rotate_bytes: 300,
        keep: 2,
    });
    log.append(&[record_of(300, 12)]).unwrap();
    assert_eq!(
        files(root.path()).len(),
        12,
        "one went, one came, the leftovers stayed"
    );
    assert_eq!(
        numbers(&read_all(root.path())),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]
    );
}

#[test]
fn a_rotation_that_fails_costs_no_record_and_is_tried_again() {
    let root = TempDir::new().unwrap();
    let in_the_way = root.path().join("events.jsonl.2");
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 4096,
            keep: 2,
        },
    )
    .unwrap();
    log.append(&[record_of(5000, 1), record_of(5000, 2)])
        .unwrap();
    fs::create_dir_all(in_the_way.join("not empty")).unwrap();
    for number in 3..7 {
        log.append(&[record_of(5000, number), record_of(300, number)])
            .unwrap();
        let failure = log.rotation_failure();
        assert!(
            matches!(failure, Some(EventLogError::Rotate { path, .. }) if *path == in_the_way),
            "{failure:?}"
        );
    }
    assert_eq!(names(root.path()), ["events.jsonl", "events.jsonl.1"]);
    assert_eq!(current(root.path()).lines().count(), 9);

    fs::remove_dir_all(&in_the_way).unwrap();
    log.append(&[record_of(300, 7)]).unwrap();
    assert!(log.rotation_failure().is_none());
    assert_eq!(
        numbers(&read_all(root.path())),
        [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]
    );
    assert_eq!(
        names(root.path()),
        ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    );
}

#[test]
fn a_rotation_that_fails_is_tried_once_for_an_append() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 300,
            keep: 1,
        },
    )
    .unwrap();
    log.append(&[record_of(300, 0)]).unwrap();
    fs::create_dir(root.path().join("events.jsonl.1")).unwrap();
    let Some(before) = writes_so_far() else {
        return skip("no count of writes for a thread");
    };
    let records: Vec<_> = (1..50).map(|number| record_of(300, number)).collect();
    log.append(&records).unwrap();
    assert_eq!(writes_so_far(), Some(before + 1));
}

#[test]
fn what_only_resembles_an_archive_is_left_alone() {
    let root = TempDir::new().unwrap();
    let strangers = [
        "events.jsonl.0",
        "events.jsonl.01",
        "events.jsonl.+3",
        "events.jsonl.1.gz",
        "events.jsonl.",
        "events.jsonl.99999999999",
        "events.jsonl2",
        "xevents.jsonl.2",
    ];
    strangers
        .iter()
        .for_each(|name| fs::write(root.path().join(name), name).unwrap());
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 300,
            keep: 5,
        },
    )
    .unwrap();
    for number in 0..9 {
        log.append(&[record_of(300, number)]).unwrap();
        assert!(log.rotation_failure().is_none(), "{log:?}");
    }
    let files = files(root.path());
    assert!(strangers.iter().all(|&name| files[name] == name.as_bytes()));
    assert_eq!(files.len(), strangers.len() + 6);
}

#[test]
fn segments_filled_without_a_flush_do_not_pile_up_descriptors() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 300,
            keep: 50,
        },
    )
    .unwrap();
    let records: Vec<_> = (0..40).map(|number| record_of(300, number)).collect();
    log.append(&records).unwrap();
    assert_eq!(files(root.path()).len(), 40);
    assert!(
        (1..=4).contains(&log.unsynced_segments()),
        "{}",
        log.unsynced_segments()
    );
    log.sync().unwrap();
    assert_eq!(log.unsynced_segments(), 0);
}

#[test]
fn the_original_and_this_leave_the_same_files() {
    for (rotate_bytes, keep) in [(4096, 3), (1000, 1), (5 << 20, 5)] {
        let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let arguments = [
            theirs.path().to_str().unwrap(),
            &rotate_bytes.to_string(),
            &keep.to_string(),
        ];
        let Some(mut python) = python(include_str!("original.py"), &arguments) else {
            return;
        };
        let mut log = EventLog::open(ours.path(), Rotation { rotate_bytes, keep }).unwrap();
        let mut stdin = python.stdin.take().unwrap();
        for number in 0..200 {
            let record = record(json!({
                "number": number,
                "workspace": "/tmp/ü\u{7f}\n".repeat(number % 40),
                "nested": {"z": 0.1 * number as f64, "a": [1e-7, 1e16, null]},
            }));
            let Value::Object(mut fields) = record.to_value() else {
                unreachable!()
            };
            let event = fields.remove("event");
            writeln!(stdin, "{}", json!([event, fields])).unwrap();
            log.append(&[record]).unwrap();
        }
        drop(stdin);
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(files(ours.path()), files(theirs.path()));
        // Each reads the other's: as the files are the same, ours read by ours has to be theirs
        // read by theirs.
        let their_tail: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let last_20 = Query {
            limit: Some(20),
            ..Query::default()
        };
        assert_eq!(
            super::super::read(theirs.path(), keep, &last_20).unwrap(),
            their_tail
        );
    }
}

#[test]
fn any_sequence_of_appends_keeps_what_the_original_would_keep() {
    let step = (
        prop::collection::vec(250..1500_usize, 0..6),
        prop::option::weighted(0.1, (prop_oneof![Just(1), 300..4000_u64], 1..5_u32)),
        prop::bool::weighted(0.1),
    );
    let steps = prop::collection::vec(step, 0..25);
    proptest!(|(steps in steps, rotate_bytes in 300..4000_u64, keep in 1..5_u32)| {
        let root = TempDir::new().unwrap();
        let mut rotation = Rotation { rotate_bytes, keep };
        let mut log = EventLog::open(root.path(), rotation).unwrap();
        let mut model = Model::default();
        model.0.insert(0, Vec::new());
        let mut number = 0;
        for (sizes, change, reopen) in steps {
            if reopen {
                log = EventLog::open(root.path(), rotation).unwrap();
            }
            if let Some((rotate_bytes, keep)) = change {
                rotation = Rotation { rotate_bytes, keep };
                log.set_rotation(rotation);
            }
            let numbered = sizes.into_iter().zip(number..);
            let records: Vec<_> = numbered.map(|(size, number)| record_of(size, number)).collect();
            number += records.len();
            records.iter().for_each(|record| model.write(rotation, record));
            log.append(&records).unwrap();
        }
        prop_assert_eq!(files(root.path()), model.files());
        let oldest_first: Vec<u8> = model.0.into_values().rev().flatten().collect();
        let lines = oldest_first.split_inclusive(|&byte| byte == b'\n');
        let parsed: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        prop_assert_eq!(read_all(root.path()), parsed);
    });
}

#[test]
fn any_record_reads_back_as_it_was() {
    // Floats whose digits are few: serde_json's default reader may be off by the last bit for
    // others.
    let floats = any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0));
    proptest!(|(fields in prop::collection::vec(fields(value(floats)), 1..8))| {
        let root = TempDir::new().unwrap();
        let rotation = Rotation { rotate_bytes: 300, keep: 50 };
        let mut log = EventLog::open(root.path(), rotation).unwrap();
        let blank = record(json!({}));
        let records: Vec<_> =
            fields.into_iter().map(|fields| Record { fields, ..blank.clone() }).collect();
        log.append(&records).unwrap();
        prop_assert_eq!(read_all(root.path()), values(&records));
    });
}
