//! The event log: what happened to which process, one JSON object a line, in `events.jsonl` and its
//! archives `events.jsonl.1` (the newest) and up. This file holds the words both sides share
//! (record, query, error, the names of the segments); `line` puts a record into the original tool's
//! form, `write` appends and rotates, `read` reads backwards, by `lines`,
//! `measure` says how much there is.
//!
//! It must not know which events there are, when one is due, or who may write: the caller holds the
//! lock of the state directory. The one exception is [`unfinished`], which has to tell a signal
//! from an outcome.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod line;
mod lines;
mod measure;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use measure::{Measured, measure};
pub use read::{EventsJson, Newest, Query, read, read_json, read_newest, unfinished};
pub use write::EventLog;

use crate::text::in_line;
use std::io;
use std::path::{Path, PathBuf};

use crate::os::files::open_regular;
use serde_json::{Map, Value};

const SEGMENT_NAME: &str = "events.jsonl";

/// When a segment is full, and how many full ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A segment that has reached this many bytes is rotated away before the next record. 0 counts
    /// as 1.
    pub rotate_bytes: u64,
    /// How many archives stay beside the current segment. 0 counts as 1: what was just rotated away
    /// is never destroyed at once.
    pub keep: u32,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When; written in UTC, cut to whole microseconds.
    pub ts: jiff::Timestamp,
    /// The dotted name, such as `orphan.signal`.
    pub event: &'static str,
    /// Everything else. A field called `ts` or `event` gives way to the two above.
    pub fields: Map<String, Value>,
}

impl Record {
    /// The record as the object its line holds, for those who are told of it without reading the
    /// file.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = self.fields.clone();
        object.insert("ts".to_owned(), line::timestamp(self.ts).into());
        object.insert("event".to_owned(), self.event.into());
        Value::Object(object)
    }
}

/// Why the log could not be used. Each reads on from "failed to"; the system's words are in the
/// source.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The state directory is missing and could not be made.
    #[error(
        "create the state directory {}; name a writable one with --state-dir",
        in_line(path)
    )]
    CreateDirectory {
        /// The state directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The current segment could not be opened for writing: nothing has been recorded.
    #[error(
        "open the event log {}; it has to be a regular file, not a link, \
         that this user may read and write",
        in_line(path)
    )]
    Open {
        /// The current segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record could not be written. No part of a line stays behind, and a later append may well
    /// succeed.
    #[error("append to the event log {}", in_line(path))]
    Append {
        /// The current segment.
        path: PathBuf,
        /// How many of the records given, from the first, are in the log as whole lines.
        recorded: usize,
        /// What the system said.
        source: io::Error,
    },
    /// What was appended may not survive a power failure.
    #[error("flush the event log {} to disk", in_line(path))]
    Sync {
        /// The segment or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A full segment could not be rotated away. Recording goes on in it: see
    /// [`EventLog::rotation_failure`].
    #[error(
        "rotate the event log at {}; its current segment grows until that is put right",
        in_line(path)
    )]
    Rotate {
        /// The name that stood in the way.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment, or the list of them, could not be read.
    #[error("read the event log {}", in_line(path))]
    Read {
        /// The segment or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn segment_path(state_dir: &Path) -> PathBuf {
    state_dir.join(SEGMENT_NAME)
}

fn archive_path(state_dir: &Path, number: u32) -> PathBuf {
    state_dir.join(format!("{SEGMENT_NAME}.{number}"))
}

/// The numbers of the archives on disk, ascending. Listed rather than probed, so that a huge `keep`
/// costs nothing and what an earlier, larger `keep` left is found.
fn archive_numbers(state_dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(state_dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(SEGMENT_NAME)?.strip_prefix('.'))
            .filter(|digits| digits.starts_with(|first: char| matches!(first, '1'..='9')))
            .and_then(|digits| digits.parse::<u32>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
