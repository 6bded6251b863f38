//! How much of the log there is.

use std::fs;

use crate::event_log::measure;

#[test]
fn a_log_is_measured_with_its_archives_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let none = measure(&state);
    assert!(none.bytes.is_none() && none.writable.is_ok() && none.archives == 0);
    assert!(!state.exists());

    fs::create_dir(&state).unwrap();
    for (name, length) in [
        ("events.jsonl", 10),
        ("events.jsonl.1", 200),
        ("events.jsonl.7", 3_000),
        ("events.jsonl.bak", 40_000),
    ] {
        fs::write(state.join(name), vec![b'.'; length]).unwrap();
    }
    let some = measure(&state);
    assert_eq!(
        (some.bytes, some.archives, some.archived_bytes),
        (Some(10), 2, 3_200)
    );
    assert!(some.writable.is_ok());
    assert_eq!(some.path, state.join("events.jsonl"));
}

#[test]
fn what_is_no_regular_file_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert!(measure(dir.path()).writable.is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(measure(dir.path()).writable.is_err());
}
