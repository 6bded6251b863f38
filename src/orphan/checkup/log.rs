//! Whether what happens can be recorded.

use std::path::PathBuf;

use super::{Bytes, Check};

/// What is known of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogFacts {
    /// Its current segment.
    pub path: PathBuf,
    /// How long that is; none if there is none yet.
    pub bytes: Option<u64>,
    /// How many archives there are.
    pub archives: usize,
    /// And how long they are together.
    pub archived_bytes: u64,
    /// Whether it can be written; or what the system, or who writes it, says.
    pub writable: Result<(), String>,
    /// How much room there is on its file system for us.
    pub free: Option<u64>,
    /// From how many bytes on a segment is rotated away.
    pub rotate_bytes: u64,
    /// How many archives are kept.
    pub keep: u32,
}

/// Less room than this may be too little for what is recorded of one kill.
const HARDLY_ANY_ROOM: u64 = 64 * 1024;
/// By so much a segment may be longer than it is rotated at: a record is written whole.
const LONGEST_RECORD: u64 = 1024 * 1024;

/// Whether what happens can be recorded: without that nothing is ended automatically.
#[must_use]
pub fn event_log(log: &EventLogFacts) -> Check {
    const EVENT_LOG: &str = "event_log";
    const HELD: &str = "nothing is ended automatically without a record";
    let path = log.path.display();
    if let Err(problem) = &log.writable {
        return Check::problem(
            EVENT_LOG,
            format!("{path} cannot be written: {problem}; {HELD}"),
            "make room on its file system, or the file and its directory writable for the daemon's user",
        );
    }
    let room = log.free.map(|free| format!("{} free", Bytes(free)));
    if log.free.is_some_and(|free| free < HARDLY_ANY_ROOM) {
        return Check::problem(
            EVENT_LOG,
            format!(
                "the file system of {path} is full ({}); {HELD}",
                room.unwrap_or_default()
            ),
            "make room there",
        );
    }
    let current = log.bytes.unwrap_or(0);
    if current > log.rotate_bytes.saturating_add(LONGEST_RECORD) {
        return Check::warning(
            EVENT_LOG,
            format!(
                "{path} has {} and goes on growing: it was to be rotated at {} (events.rotate_bytes)",
                Bytes(current),
                Bytes(log.rotate_bytes)
            ),
            "the daemon's log says what stands in the way of rotating it",
        );
    }
    // A segment may fill up before an old one is removed.
    if log.free.is_some_and(|free| free < log.rotate_bytes) {
        return Check::warning(
            EVENT_LOG,
            format!(
                "{path} may grow by more than there is room for ({}; events.rotate_bytes is {})",
                room.unwrap_or_default(),
                Bytes(log.rotate_bytes)
            ),
            "make room there, or lower events.rotate_bytes",
        );
    }
    let size = match log.bytes {
        None => format!("{path} is not there yet"),
        Some(_) => format!(
            "{path} can be written: {} in {} segment{}",
            Bytes(current.saturating_add(log.archived_bytes)),
            log.archives + 1,
            if log.archives == 0 { "" } else { "s" }
        ),
    };
    let room = room.map(|room| format!(", {room}")).unwrap_or_default();
    Check::ok(
        EVENT_LOG,
        format!(
            "{size}{room}; rotated at {}, {} kept",
            Bytes(log.rotate_bytes),
            log.keep
        ),
    )
}
