//! Opening, appending, flushing; what is found in the way there. (Rotation has its own file.)

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::json;
use tempfile::TempDir;

use super::super::write::write_fully;
use super::super::{EventLogError, read};
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_missing_directory_and_file_are_made_for_this_user_only() {
    let root = TempDir::new().unwrap();
    let state_dir = root.path().join("state/team-agentd");
    let mut log = EventLog::open(&state_dir, ROOMY).unwrap();
    assert_eq!(mode(&root.path().join("state")), 0o700);
    assert_eq!(mode(&state_dir), 0o700);
    assert_eq!(mode(&state_dir.join("events.jsonl")), 0o600);
    assert_eq!(current(&state_dir), "");
    log.sync().unwrap();
}

#[test]
fn an_existing_log_is_continued_as_it_is() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("events.jsonl");
    fs::write(&path, "{\"event\": \"earlier\"}\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    log.append(&[record(json!({"pid": 1}))]).unwrap();
    assert!(
        current(root.path())
            .starts_with("{\"event\": \"earlier\"}\n{\"event\": \"orphan.detected\"")
    );
    assert_eq!(
        mode(&path),
        0o640,
        "whom the operator lets read is the operator's business"
    );
}

#[test]
fn records_are_appended_in_order_and_read_back_as_they_were() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let records: Vec<_> = (0..50)
        .map(|number| record_of(200 + number, number))
        .collect();
    log.append(&records[..1]).unwrap();
    log.append(&[]).unwrap();
    log.append(&records[1..]).unwrap();
    log.sync().unwrap();
    assert_eq!(read_all(root.path()), values(&records));
}

#[test]
fn records_given_together_go_out_in_one_write_for_each_segment() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let records: Vec<_> = (0..100).map(|number| record_of(300, number)).collect();
    let Some(before) = writes_so_far() else {
        return skip("no count of writes for a thread");
    };
    log.append(&records).unwrap();
    assert_eq!(writes_so_far(), Some(before + 1));
    log.set_rotation(Rotation {
        rotate_bytes: 7500,
        keep: 9,
    });
    log.append(&records).unwrap();
    assert_eq!(
        writes_so_far(),
        Some(before + 5),
        "25 of 300 bytes fill one, and the first was full"
    );
    assert_eq!(read_all(root.path()).len(), 200);
}

#[test]
fn a_record_with_newlines_and_escapes_stays_one_line() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let hostile = record(
        json!({"cmdline": "a\nb\r\n\u{1b}[31m\u{2028}\0\"}\n{\"event\": \"forged\"}", "\n": "\t"}),
    );
    log.append(&[hostile.clone(), record(json!({}))]).unwrap();
    assert_eq!(current(root.path()).matches('\n').count(), 2);
    assert_eq!(read_all(root.path())[0], hostile.to_value());
}

#[test]
fn a_record_that_a_crash_cut_short_is_taken_off_before_the_next_one() {
    let long = format!("{{\"event\": \"{}", "x".repeat(100_000));
    for torn in ["{", "{\"event\": \"tor", "{\"event\": \"torn\"", &long] {
        let root = TempDir::new().unwrap();
        let whole = "{\"event\": \"whole\"}\n";
        fs::write(root.path().join("events.jsonl"), whole.to_owned() + torn).unwrap();
        let mut log = EventLog::open(root.path(), ROOMY).unwrap();
        assert_eq!(current(root.path()), whole);
        let next = record(json!({"pid": 1}));
        log.append(std::slice::from_ref(&next)).unwrap();
        assert_eq!(
            read_all(root.path()),
            [json!({"event": "whole"}), next.to_value()]
        );
    }
}

#[test]
fn any_other_last_line_without_its_end_is_closed_before_the_next_record() {
    for (last, read) in [
        ("{\"event\": \"tail\"}", json!({"event": "tail"})),
        ("somebody's note", json!({"raw": "somebody's note"})),
    ] {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("events.jsonl"), last).unwrap();
        let mut log = EventLog::open(root.path(), ROOMY).unwrap();
        assert_eq!(current(root.path()), format!("{last}\n"));
        let next = record(json!({"pid": 1}));
        log.append(std::slice::from_ref(&next)).unwrap();
        assert_eq!(read_all(root.path()), [read, next.to_value()]);
    }
}

#[test]
fn a_line_torn_while_the_log_was_open_is_closed_too() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let records = [record(json!({"pid": 1})), record(json!({"pid": 2}))];
    log.append(&records[..1]).unwrap();
    let mut other = fs::OpenOptions::new()
        .append(true)
        .open(root.path().join("events.jsonl"))
        .unwrap();
    other.write_all(b"{\"half").unwrap();
    log.append(&records[1..]).unwrap();
    assert_eq!(
        read_all(root.path()),
        [
            records[0].to_value(),
            json!({"raw": "{\"half"}),
            records[1].to_value()
        ]
    );
}

#[test]
fn a_log_emptied_underneath_starts_at_its_beginning() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(
        root.path(),
        Rotation {
            rotate_bytes: 4096,
            keep: 5,
        },
    )
    .unwrap();
    log.append(&[record_of(5000, 1)]).unwrap();
    fs::File::create(root.path().join("events.jsonl")).unwrap();
    log.append(&[record_of(300, 2)]).unwrap();
    assert_eq!(
        names(root.path()),
        ["events.jsonl"],
        "an empty segment is not full"
    );
    assert_eq!(read_all(root.path()), [record_of(300, 2).to_value()]);
}

#[test]
fn a_log_deleted_or_renamed_underneath_is_made_anew() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("events.jsonl");
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let record = |number| record_of(300, number);
    log.append(&[record(1)]).unwrap();
    fs::remove_file(&path).unwrap();
    log.append(&[record(2)]).unwrap();
    assert_eq!(read_all(root.path()), [record(2).to_value()]);
    assert_eq!(mode(&path), 0o600);

    fs::rename(&path, root.path().join("taken-away")).unwrap();
    log.append(&[record(3)]).unwrap();
    assert_eq!(read_all(root.path()), [record(3).to_value()]);

    // Another file in its place, with a torn line of its own.
    fs::write(root.path().join("other"), "torn").unwrap();
    fs::rename(root.path().join("other"), &path).unwrap();
    log.append(&[record(4)]).unwrap();
    assert_eq!(
        read_all(root.path()),
        [json!({"raw": "torn"}), record(4).to_value()]
    );
    log.sync().unwrap();
    assert!(files(root.path())["taken-away"].ends_with(b"\n"));
}

#[test]
fn a_state_directory_deleted_underneath_is_made_anew() {
    let root = TempDir::new().unwrap();
    let state_dir = root.path().join("state");
    let mut log = EventLog::open(&state_dir, ROOMY).unwrap();
    fs::remove_dir_all(&state_dir).unwrap();
    log.append(&[record(json!({"pid": 1}))]).unwrap();
    log.sync().unwrap();
    assert_eq!(mode(&state_dir), 0o700);
    assert_eq!(read_all(&state_dir).len(), 1);
}

#[test]
fn a_log_taken_away_over_and_over_does_not_pile_up_descriptors() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    let path = root.path().join("events.jsonl");
    let mut held = Vec::new();
    for number in 0..100 {
        log.append(&[record_of(300, number)]).unwrap();
        held.push(fs::metadata(&path).unwrap().ino());
        fs::rename(&path, root.path().join(format!("taken-away-{number}"))).unwrap();
    }
    assert!(log.unsynced_segments() <= 4, "{}", log.unsynced_segments());
    assert_eq!(held.len(), 100);
}

#[test]
fn neither_a_link_nor_a_fifo_nor_a_directory_is_taken_for_the_log() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("events.jsonl");
    let target = root.path().join("target");
    fs::write(&target, "untouched").unwrap();
    let refused = || {
        let opened = EventLog::open(root.path(), ROOMY);
        assert!(matches!(opened, Err(EventLogError::Open { path: named, .. }) if named == path));
        assert!(matches!(
            read(root.path(), 5, &Query::default()),
            Err(EventLogError::Read { .. })
        ));
    };
    symlink(&target, &path).unwrap();
    refused();
    fs::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    refused();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused();
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
}

#[test]
fn a_link_put_in_place_of_the_open_log_is_an_error_until_it_is_gone() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("events.jsonl");
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    fs::rename(&path, root.path().join("target")).unwrap();
    symlink("target", &path).unwrap();
    let refused = log.append(&[record(json!({}))]);
    assert!(
        matches!(refused, Err(EventLogError::Open { .. })),
        "{refused:?}"
    );
    fs::remove_file(&path).unwrap();
    log.append(&[record(json!({}))]).unwrap();
    assert_eq!(read_all(root.path()).len(), 1);
}

#[test]
fn a_file_in_place_of_the_state_directory_is_an_error_with_its_path() {
    let root = TempDir::new().unwrap();
    let state_dir = root.path().join("state");
    fs::write(&state_dir, "").unwrap();
    let error = EventLog::open(&state_dir, ROOMY).unwrap_err();
    assert!(
        error.to_string().contains(state_dir.to_str().unwrap()),
        "{error}"
    );
    let error = EventLog::open(&state_dir.join("below"), ROOMY).unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[test]
fn a_flush_without_anything_new_is_fine() {
    let root = TempDir::new().unwrap();
    let mut log = EventLog::open(root.path(), ROOMY).unwrap();
    log.sync().unwrap();
    log.append(&[record(json!({}))]).unwrap();
    log.sync().unwrap();
    log.sync().unwrap();
    assert_eq!(log.unsynced_segments(), 0);
}

/// Takes a few bytes at a time, with an interruption before each, until it is full.
struct Reluctant {
    taken: Vec<u8>,
    room: usize,
    interrupted: bool,
    calls: usize,
}

impl Write for Reluctant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.room).min(7);
        self.taken.extend_from_slice(&bytes[..count]);
        self.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_writes_and_interruptions_lose_nothing() {
    let bytes = b"{\"event\": \"a\"}\n{\"event\": \"b\"}\n";
    let mut roomy = Reluctant {
        taken: Vec::new(),
        room: 1000,
        interrupted: false,
        calls: 0,
    };
    let (written, result) = write_fully(&mut roomy, bytes);
    assert!(result.is_ok() && written == bytes.len() && roomy.taken == bytes && roomy.calls == 10);

    let mut full = Reluctant {
        taken: Vec::new(),
        room: 20,
        interrupted: false,
        calls: 0,
    };
    let (written, result) = write_fully(&mut full, bytes);
    assert_eq!(
        (written, result.unwrap_err().kind()),
        (20, io::ErrorKind::StorageFull)
    );
    assert_eq!(full.taken, bytes[..20]);
}
