//! The whole event log as it lies on disk, archives included.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Result;

/// Every record, oldest first, and what is none.
pub(crate) struct Records {
    pub(crate) all: Vec<Value>,
    /// Lines that are no JSON object.
    pub(crate) torn: Vec<String>,
    /// The last line of the last segment has no end.
    pub(crate) is_cut_off: bool,
    /// A number is missing among the segments: a rotation was cut off.
    pub(crate) has_gap: bool,
}

impl Records {
    /// As they are while nothing rotates: what moves from one name to the next in the middle would be missing.
    pub(crate) fn read(state_dir: &Path) -> Result<Self> {
        let places = || -> Result<BTreeSet<(OsString, u64)>> {
            let entries = fs::read_dir(state_dir)?;
            let places = entries.map(|entry| {
                let entry = entry?;
                let name = entry.file_name();
                let is_segment = name.as_bytes().starts_with(b"events.jsonl");
                Ok(is_segment.then(|| (name, entry.ino())))
            });
            let places = places.collect::<std::io::Result<Vec<_>>>()?;
            Ok(places.into_iter().flatten().collect())
        };
        loop {
            let before = places()?;
            let records = Self::read_once(state_dir)?;
            if places()? == before {
                return Ok(records);
            }
        }
    }

    fn read_once(state_dir: &Path) -> Result<Self> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(state_dir)? {
            let name = entry?.file_name();
            let Some(after) = name
                .to_str()
                .and_then(|name| name.strip_prefix("events.jsonl"))
            else {
                continue;
            };
            segments.push(after.trim_start_matches('.').parse::<usize>().unwrap_or(0));
        }
        segments.sort_unstable();
        let mut records = Self {
            all: Vec::new(),
            torn: Vec::new(),
            is_cut_off: false,
            has_gap: segments
                .iter()
                .enumerate()
                .any(|(at, number)| at != *number),
        };
        for number in segments.into_iter().rev() {
            let text = match fs::read(segment(state_dir, number)) {
                Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let mut lines: Vec<&str> = text.split('\n').collect();
            // What stands behind the last newline.
            let rest = lines.pop().unwrap_or_default();
            records.is_cut_off |= !rest.is_empty();
            for line in lines {
                match serde_json::from_str::<Value>(line) {
                    Ok(record) if record.is_object() => records.all.push(record),
                    _ => records.torn.push(line.to_owned()),
                }
            }
        }
        Ok(records)
    }

    /// How many there are of that name.
    pub(crate) fn named(&self, event: &str) -> usize {
        let named = self.all.iter().filter(|record| record["event"] == event);
        named.count()
    }

    /// How many of that name there are about that process.
    pub(crate) fn about(&self, pid: i32, event: &str) -> usize {
        let about = self.all.iter().filter(|record| record["pid"] == pid);
        about.filter(|record| record["event"] == event).count()
    }

    /// How many times that signal was announced for that process.
    pub(crate) fn signals(&self, pid: i32, signal: &str) -> usize {
        let about = self.all.iter().filter(|record| record["pid"] == pid);
        about
            .filter(|record| record["signal"] == signal && record["event"] == "orphan.signal")
            .count()
    }

    /// Whether the last word about an orphan's end is a signal, to it or one of its own.
    pub(crate) fn is_open(&self, pid: i32) -> bool {
        let mut is_open = false;
        for record in &self.all {
            let of = match &record["orphan_pid"] {
                Value::Null => &record["pid"],
                of => of,
            };
            match record["event"].as_str() {
                Some("orphan.signal") if *of == pid => is_open = true,
                Some(
                    "orphan.killed" | "orphan.failed" | "orphan.spared" | "orphan.interrupted",
                ) if record["pid"] == pid => is_open = false,
                _ => {}
            }
        }
        is_open
    }
}

/// The segment of that number; 0 is the current one.
pub(crate) fn segment(state_dir: &Path, number: usize) -> PathBuf {
    match number {
        0 => state_dir.join("events.jsonl"),
        number => state_dir.join(format!("events.jsonl.{number}")),
    }
}
