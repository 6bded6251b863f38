//! Reading: backwards must be as good as forwards; what a query asks for.

use std::fs::{self, File};
use std::ops::ControlFlow;

use serde_json::json;
use tempfile::TempDir;

use super::super::lines::LinesFromEnd;
use super::super::read::{Archives, each_line_from_end, settled_len};
use super::super::{EventLogError, EventsJson, read, read_json};
use super::*;

fn forwards(content: &[u8]) -> Vec<Vec<u8>> {
    let content = content
        .strip_suffix(b"\n")
        .map_or((content, !content.is_empty()), |content| (content, true));
    match content {
        ([], false) => Vec::new(),
        (content, _) => content
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect(),
    }
}

fn backwards(content: &[u8], block_bytes: usize) -> Vec<Vec<u8>> {
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, content).unwrap();
    let mut lines = LinesFromEnd::new(&file, content.len() as u64, block_bytes);
    let mut found = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        found.push(line.to_vec());
    }
    assert!(
        lines.next_line().unwrap().is_none(),
        "the end stays the end"
    );
    found.reverse();
    found
}

#[test]
fn backwards_finds_the_lines_that_forwards_finds() {
    let byte = prop_oneof![3 => Just(b'\n'), 10 => any::<u8>()];
    let pieces = prop_oneof![
        prop::collection::vec(byte, 0..40),
        (0..300_usize).prop_map(|length| vec![b'x'; length]),
    ];
    let content = prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat());
    proptest!(ProptestConfig::with_cases(2000), |(content in content, block_bytes in 1..80_usize)| {
        prop_assert_eq!(backwards(&content, block_bytes), forwards(&content));
    });
}

#[test]
fn every_block_boundary_is_a_good_one() {
    for content in [
        "",
        "\n",
        "\n\n",
        "a",
        "a\n",
        "\na",
        "ab\ncd\n",
        "ab\n\ncd",
        "abcdefgh\ni\njklmnop\n",
    ] {
        for block_bytes in 1..=content.len() + 1 {
            assert_eq!(
                backwards(content.as_bytes(), block_bytes),
                forwards(content.as_bytes()),
                "{content:?}"
            );
        }
    }
}

#[test]
fn a_line_far_longer_than_a_block_is_read_whole() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let records = [
        record_of(300, 1),
        record_of(3_000_000, 2),
        record_of(300, 3),
    ];
    log.append(&records).unwrap();
    assert_eq!(read_all(root.path()), values(&records));
}

#[test]
fn a_missing_log_is_an_empty_one() {
    let root = TempDir::new().unwrap();
    for state_dir in [root.path(), &root.path().join("missing")] {
        for all in [false, true] {
            assert_eq!(
                read(
                    state_dir,
                    5,
                    &Query {
                        all,
                        ..Query::default()
                    }
                )
                .unwrap(),
                [] as [Value; 0]
            );
        }
    }
}

#[test]
fn the_last_ones_come_oldest_first_from_the_current_segment_unless_all_are_asked_for() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("events.jsonl.10"), "{\"n\": 0}\n").unwrap();
    fs::write(
        root.path().join("events.jsonl.2"),
        "{\"n\": 1}\n{\"n\": 2}\n",
    )
    .unwrap();
    fs::write(root.path().join("events.jsonl.1"), "{\"n\": 3}\n").unwrap();
    fs::write(root.path().join("events.jsonl"), "{\"n\": 4}\n{\"n\": 5}\n").unwrap();
    for stranger in [
        "events.jsonl.01",
        "events.jsonl.+3",
        "events.jsonl.0",
        "events.jsonl.1.gz",
        "events.jsonl.99999999999",
    ] {
        fs::write(root.path().join(stranger), "{\"n\": 9}\n").unwrap();
    }
    let numbers = |limit, all| {
        let found = read(
            root.path(),
            5,
            &Query {
                limit,
                all,
                ..Query::default()
            },
        )
        .unwrap();
        found
            .iter()
            .map(|record| record["n"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, false), [4, 5]);
    assert_eq!(numbers(Some(1), false), [5]);
    assert_eq!(numbers(Some(0), true), [] as [u64; 0]);
    assert_eq!(numbers(Some(4), true), [2, 3, 4, 5]);
    assert_eq!(numbers(None, true), [0, 1, 2, 3, 4, 5]);
    fs::remove_file(root.path().join("events.jsonl")).unwrap();
    assert_eq!(numbers(None, false), [] as [u64; 0]);
    assert_eq!(numbers(Some(2), true), [2, 3]);
}

#[test]
fn what_cannot_be_read_is_an_error_unless_it_is_a_leftover() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("events.jsonl"), "{}\n").unwrap();
    fs::create_dir(root.path().join("events.jsonl.3")).unwrap();
    let all = Query {
        all: true,
        ..Query::default()
    };
    assert_eq!(read(root.path(), 2, &all).unwrap(), [json!({})]);
    let error = read(root.path(), 3, &all).unwrap_err();
    assert!(matches!(error, EventLogError::Read { path, .. } if path.ends_with("events.jsonl.3")));
}

#[test]
fn a_line_that_is_not_an_object_comes_raw_unless_a_pid_or_time_is_asked_for() {
    let root = TempDir::new().unwrap();
    let lines: &[u8] = b"{\"pid\": 7, \"ts\": \"2026-05-26T10:00:00+00:00\"}\nplain\n\n[7]\n\"7\"\nNaN\n\xff\xfe{\n{} {}\n{\"pid\": 7";
    fs::write(root.path().join("events.jsonl"), lines).unwrap();
    let raw = |line: &str| json!({ "raw": line });
    let record = json!({"pid": 7, "ts": "2026-05-26T10:00:00+00:00"});
    assert_eq!(
        read_all(root.path()),
        [
            record.clone(),
            raw("plain"),
            raw(""),
            raw("[7]"),
            raw("\"7\""),
            raw("NaN"),
            raw("\u{fffd}\u{fffd}{"),
            raw("{} {}"),
            raw("{\"pid\": 7"),
        ]
    );
    let of = |query| read(root.path(), 5, &query).unwrap();
    assert_eq!(
        of(Query {
            pid: Some(7),
            ..Query::default()
        }),
        std::slice::from_ref(&record)
    );
    assert_eq!(
        of(Query {
            since: Some(jiff::Timestamp::MIN),
            ..Query::default()
        }),
        [record]
    );
}

#[test]
fn as_json_the_newest_that_have_room_are_given() {
    let place = TempDir::new().unwrap();
    let line = |number: usize| format!("{{\"event\": \"e\", \"n\": {number}}}\n");
    let current: String = (5..10).map(line).collect();
    fs::write(place.path().join("events.jsonl"), current + "half \"a line").unwrap();
    let archive: String = (0..5).map(line).collect();
    fs::write(place.path().join("events.jsonl.1"), archive).unwrap();
    let query = Query {
        all: true,
        ..Query::default()
    };
    let events = |most_bytes| {
        let EventsJson { array, is_cut } = read_json(place.path(), 5, &query, most_bytes).unwrap();
        let array: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
        (array, is_cut)
    };
    let all = read(place.path(), 5, &query).unwrap();
    assert_eq!(all.len(), 11);
    assert_eq!(events(usize::MAX), (all.clone(), false));
    let raw = all[10].to_string().len() + 1;
    let one = all[0].to_string().len() + 1;
    assert_eq!(events(raw + 10 * one), (all.clone(), false));
    assert_eq!(events(raw + 10 * one - 1), (all[1..].to_vec(), true));
    assert_eq!(events(raw + one), (all[9..].to_vec(), true));
    // Two at least, and of none none.
    assert_eq!(events(0), (all[9..].to_vec(), true));
    fs::remove_file(place.path().join("events.jsonl")).unwrap();
    fs::write(place.path().join("events.jsonl.1"), "").unwrap();
    assert_eq!(events(0), (Vec::new(), false));
}

#[test]
fn a_whole_record_without_its_newline_is_a_record() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("events.jsonl"), "{\"n\": 1}\n{\"n\": 2}").unwrap();
    assert_eq!(read_all(root.path()), [json!({"n": 1}), json!({"n": 2})]);
}

#[test]
fn a_pid_and_a_time_choose_together() {
    let root = TempDir::new().unwrap();
    let content: String = [
        r#"{"n": 0, "pid": 7, "ts": "2026-05-26T10:00:00.000000+00:00"}"#,
        r#"{"n": 1, "pid": 8, "ts": "2026-05-26T12:00:00.000000+00:00"}"#,
        r#"{"n": 2, "pid": 7, "ts": "2026-05-26T12:00:00+00:00"}"#,
        r#"{"n": 3, "pid": 7, "ts": "2026-05-26T11:59:59.999999+00:00"}"#,
        r#"{"n": 4, "pid": "7", "ts": "2026-05-26T13:00:00Z"}"#,
        r#"{"n": 5, "pid": 7.0, "ts": 1}"#,
        r#"{"n": 6, "evidence": {"pid": 7}}"#,
        r#"{"n": 7, "pid": 7, "ts": "2026-05-26T15:00:00+02:00"}"#,
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    fs::write(root.path().join("events.jsonl"), content).unwrap();
    let noon = Some("2026-05-26T12:00:00Z".parse().unwrap());
    let numbers = |pid, since, limit| {
        let found = read(
            root.path(),
            5,
            &Query {
                limit,
                pid,
                since,
                ..Query::default()
            },
        )
        .unwrap();
        found
            .iter()
            .map(|record| record["n"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(Some(7), None, None), [0, 2, 3, 7]);
    assert_eq!(numbers(None, noon, None), [1, 2, 4, 7]);
    assert_eq!(numbers(Some(7), noon, None), [2, 7]);
    assert_eq!(numbers(Some(7), None, Some(2)), [3, 7]);
    assert_eq!(numbers(Some(-7), None, None), [] as [u64; 0]);
}

/// What is found in this log, in which each record is a segment, if after so many of them it is rotated so often.
fn found_with_rotations(keep: u32, archives: Archives, after: usize, times: usize) -> Vec<Value> {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("events.jsonl.12"), "{\"leftover\": 1}\n").unwrap();
    let rotation = Rotation {
        rotate_bytes: 300,
        keep,
    };
    let mut log = EventLog::open(root.path(), rotation).unwrap();
    for number in 1..=5 {
        log.append(&[record_of(300, number)]).unwrap();
    }
    let mut found = Vec::new();
    each_line_from_end(root.path(), archives, |line| {
        found.push(serde_json::from_slice::<Value>(line).unwrap());
        if found.len() == after {
            for number in 0..times {
                log.append(&[record_of(300, 6 + number)]).unwrap();
            }
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found.reverse();
    found
}

#[test]
fn rotations_while_it_is_read_hide_no_record_and_show_none_twice_or_in_the_wrong_order() {
    let records: Vec<_> = (1..=5).map(|number| record_of(300, number)).collect();
    let expected = [vec![json!({"leftover": 1})], values(&records)].concat();
    // Every place in the walk once: with the current segment, and with each archive, in hand.
    for after in 1..=5 {
        for times in 1..=3 {
            for archives in [Archives::All, Archives::Leftovers { above: 9 }] {
                let found = found_with_rotations(9, archives, after, times);
                assert_eq!(found, expected, "{times} after {after}");
            }
        }
    }
}

#[test]
fn what_goes_while_it_is_read_is_not_found_and_nothing_newer_in_its_place() {
    let records: Vec<_> = (1..=5).map(|number| record_of(300, number)).collect();
    let leftover = [json!({"leftover": 1})];
    let archives = Archives::Leftovers { above: 4 };
    for (after, times, first) in [
        (1, 2, 3),
        (1, 4, 5),
        (1, 5, 5),
        (2, 1, 2),
        (2, 4, 4),
        (2, 9, 4),
        (5, 9, 1),
    ] {
        let found = found_with_rotations(4, archives, after, times);
        let expected = [leftover.to_vec(), values(&records[first - 1..])].concat();
        assert_eq!(found, expected, "{times} after {after}");
    }
}

#[test]
fn a_reader_sees_a_line_taken_back_as_not_there() {
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, b"one\ntwo\n").unwrap();
    let mut lines = LinesFromEnd::new(&file, 11, 64);
    assert_eq!(lines.next_line().unwrap(), Some(b"two".as_slice()));
    assert_eq!(lines.next_line().unwrap(), Some(b"one".as_slice()));
    assert_eq!(lines.next_line().unwrap(), None);
    // But what goes while one is in the middle cannot be told from what was there.
    let mut lines = LinesFromEnd::new(&file, 8, 5);
    assert_eq!(lines.next_line().unwrap(), Some(b"two".as_slice()));
    file.set_len(2).unwrap();
    assert_eq!(
        lines.next_line().unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
}

#[test]
fn a_line_that_is_just_being_written_is_waited_for() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("events.jsonl");
    fs::write(&path, "{}\n{\"half").unwrap();
    let file = File::open(&path).unwrap();
    let mut parts = ["\": ", "1}\n"].iter();
    let len = settled_len(&file, 9, || {
        let mut end = File::options().append(true).open(&path).unwrap();
        let part = parts.next().expect("it is whole by now");
        std::io::Write::write_all(&mut end, part.as_bytes()).unwrap();
    });
    assert_eq!(len.unwrap(), 15);
    // One that nobody goes on with is given as it is, in the end.
    fs::write(&path, "{}\n{\"half").unwrap();
    let mut looks = 0;
    assert_eq!(settled_len(&file, 9, || looks += 1).unwrap(), 9);
    assert!(looks > 0);
}

/// What `query` is to find in `line`, the long way round.
fn answer(query: &Query, line: &str) -> Option<Value> {
    let unfiltered = query.pid.is_none() && query.since.is_none();
    let Some(record) = serde_json::from_str::<Value>(line)
        .ok()
        .filter(Value::is_object)
    else {
        return unfiltered.then(|| json!({ "raw": line }));
    };
    let time = record["ts"]
        .as_str()
        .and_then(|ts| ts.parse::<jiff::Timestamp>().ok());
    let of_pid = query.pid.is_none_or(|pid| record["pid"] == pid);
    let recent = query.since.is_none_or(|since| time >= Some(since));
    (of_pid && recent).then_some(record)
}

fn query() -> impl Strategy<Value = Query> {
    let since = prop::option::of(0..5_i64)
        .prop_map(|second| second.map(|second| jiff::Timestamp::new(second, 0).unwrap()));
    let pid = prop::option::of(0..3_i64);
    let skip = prop_oneof![Just(0), 0..12_usize];
    (
        prop::option::of(0..12_usize),
        skip,
        any::<bool>(),
        pid,
        since,
    )
        .prop_map(|(limit, skip, all, pid, since)| Query {
            limit,
            skip,
            all,
            pid,
            since,
        })
}

#[test]
fn a_query_backwards_is_a_filter_forwards() {
    let record = (0..3_i64, 0..5_i64).prop_map(|(pid, second)| {
        let ts = super::super::line::timestamp(jiff::Timestamp::new(second, 0).unwrap());
        json!({"pid": pid, "ts": ts}).to_string()
    });
    let line = prop_oneof![4 => record, 1 => "[ -~]{0,20}"];
    let segments = prop::collection::vec(prop::collection::vec(line, 0..12), 1..4);
    proptest!(|(segments in segments, query in query())| {
        let root = TempDir::new().unwrap();
        let mut expected = Vec::new();
        for (number, lines) in segments.iter().enumerate().rev() {
            let path = match number {
                0 => root.path().join("events.jsonl"),
                number => root.path().join(format!("events.jsonl.{number}")),
            };
            fs::write(path, lines.iter().flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
            if query.all || number == 0 {
                expected.extend(lines.iter().filter_map(|line| answer(&query, line)));
            }
        }
        expected.truncate(expected.len().saturating_sub(query.skip));
        let limit = query.limit.unwrap_or(usize::MAX);
        let expected = expected.split_off(expected.len().saturating_sub(limit));
        prop_assert_eq!(read(root.path(), 5, &query).unwrap(), expected);
    });
}
