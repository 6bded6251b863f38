//! What must hold whatever stands in an event log.

use std::cell::RefCell;
use std::fs::{File, remove_file};
use std::io;
use std::os::unix::fs::FileExt;

use super::lines::LinesFromEnd;

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// An event log, read from its end; the first byte says in which pieces.
pub fn events(data: &[u8]) {
    let Some((first, log)) = data.split_first() else {
        return;
    };
    FILE.with_borrow_mut(|file| {
        if file.is_none() {
            *file = nameless().ok();
        }
        let Some(file) = file else { return };
        let is_written = file.set_len(0).and_then(|()| file.write_all_at(log, 0));
        if is_written.is_err() {
            return;
        }
        let mut lines = LinesFromEnd::new(file, log.len() as u64, usize::from(*first).max(1));
        let mut found = Vec::new();
        while let Ok(Some(line)) = lines.next_line() {
            found.push(line.to_vec());
        }
        found.reverse();
        assert_eq!(found, wanted(log));
    });
}

/// A file that is gone when it is closed.
fn nameless() -> io::Result<File> {
    let own = std::thread::current().id();
    let name = format!("team-agentd-fuzzed-{}-{own:?}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    remove_file(path)?;
    Ok(file)
}

/// The lines as anybody else would read them; what comes after the last end of a line is one, too.
fn wanted(log: &[u8]) -> Vec<Vec<u8>> {
    if log.is_empty() {
        return Vec::new();
    }
    let log = log.strip_suffix(b"\n").unwrap_or(log);
    log.split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}
