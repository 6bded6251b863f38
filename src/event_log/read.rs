//! The reading side: from the end backwards, so that the last few records cost the same in a log of
//! any size. It must not know how the log is written, and needs no lock: it reads while the daemon
//! writes and rotates.

use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::lines::{BLOCK_BYTES, LinesFromEnd, ends_line};
use super::{EventLogError, archive_numbers, archive_path, open_regular, segment_path};

/// How often, and how long after each other, a last line that has no end is looked at again: it may
/// just be being written, and the kernel shows a write that goes over several pages page by page.
const LOOKS_AT_AN_END: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// How often a segment is looked for that has a name: a rotation may give it one that was not listed yet.
const LOOKS_FOR_A_SEGMENT: usize = 5;

/// So many are given whatever their length: one that whoever asks has already, by which the place is found again, and one
/// that is earlier.
const AT_LEAST: usize = 2;

/// Which records are wanted; everything given has to hold. The default is all of the current
/// segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// No more than this many, the last ones that match.
    pub limit: Option<usize>,
    /// So many of the last ones that match are passed over: what is asked for comes before those. As more is written
    /// meanwhile, that shows some twice, and hides none.
    pub skip: usize,
    /// The archives too, not only the current segment.
    pub all: bool,
    /// Only records with this `pid`.
    pub pid: Option<i64>,
    /// Only records whose `ts` is this or later. The clock may have been set back meanwhile: each
    /// is looked at.
    pub since: Option<jiff::Timestamp>,
}

/// The records in `state_dir` that `query` asks for, oldest first. A line that is not a JSON
/// object, such as one that a crash cut short, comes as `{"raw": line}`, unless the query names a
/// pid or a time. A missing log is an empty one.
///
/// Archives numbered above `keep` are what an earlier configuration left: read where they can be,
/// passed over where not. Without a limit the whole answer is held in memory.
///
/// # Errors
/// `Read`, when a segment that exists cannot be read.
pub fn read(state_dir: &Path, keep: u32, query: &Query) -> Result<Vec<Value>, EventLogError> {
    let mut found = Vec::new();
    each_from_end(state_dir, keep, query, |event| {
        found.push(event);
        ControlFlow::Continue(())
    })?;
    found.reverse();
    Ok(found)
}

/// The newest records that had room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Each as JSON, oldest first.
    pub records: Vec<String>,
    /// There are earlier ones that were asked for, and had no room.
    pub is_cut: bool,
}

/// The same as [`read`], of `most_bytes` as JSON at most: of what does not fit, the newest. The newest two are given
/// whatever their length.
///
/// # Errors
/// See [`read`].
pub fn read_newest(
    state_dir: &Path,
    keep: u32,
    query: &Query,
    most_bytes: usize,
) -> Result<Newest, EventLogError> {
    let mut records = Vec::new();
    let (mut bytes, mut is_cut) = (0, false);
    each_from_end(state_dir, keep, query, |record| {
        let json = record.to_string();
        bytes += json.len() + 1;
        is_cut = bytes > most_bytes && records.len() >= AT_LEAST;
        if is_cut {
            return ControlFlow::Break(());
        }
        records.push(json);
        ControlFlow::Continue(())
    })?;
    records.reverse();
    Ok(Newest { records, is_cut })
}

/// Records as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsJson {
    /// All of them, oldest first.
    pub array: String,
    /// There are earlier ones that were asked for, and had no room.
    pub is_cut: bool,
}

/// The same as [`read`], as JSON of `most_bytes` at most: of what does not fit, the newest. The newest two are given
/// whatever their length. No more than that is held in memory.
///
/// # Errors
/// See [`read`].
pub fn read_json(
    state_dir: &Path,
    keep: u32,
    query: &Query,
    most_bytes: usize,
) -> Result<EventsJson, EventLogError> {
    let Newest { records, is_cut } = read_newest(state_dir, keep, query, most_bytes)?;
    let array = format!("[{}]", records.join(","));
    Ok(EventsJson { array, is_cut })
}

/// Gives every record that is asked for, newest first.
fn each_from_end(
    state_dir: &Path,
    keep: u32,
    query: &Query,
    mut each: impl FnMut(Value) -> ControlFlow<()>,
) -> Result<(), EventLogError> {
    let limit = query.limit.unwrap_or(usize::MAX);
    let (mut count, mut passed) = (0, 0);
    let archives = if query.all {
        Archives::Leftovers { above: keep }
    } else {
        Archives::None
    };
    if limit == 0 {
        return Ok(());
    }
    each_line_from_end(state_dir, archives, |line| {
        match query.answer(line) {
            Some(_) if passed < query.skip => passed += 1,
            Some(event) => {
                each(event)?;
                count += 1;
            }
            None => {}
        }
        match count < limit {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })
}

/// The signals whose outcome was never recorded: for each escalation its last `orphan.signal`
/// record that no `orphan.killed`, `.failed`, `.spared` or `.interrupted` for the orphan follows,
/// oldest first. Signals belong to the escalation of their `orphan_pid` (their own `pid` if they
/// name none), outcomes to that of their `pid`. A start of the daemon ends none of them. Goes
/// through all segments there are.
///
/// # Errors
/// `Read`, when the current segment exists and cannot be read; an archive is passed over.
pub fn unfinished(state_dir: &Path) -> Result<Vec<Value>, EventLogError> {
    let mut decided = HashSet::new();
    let mut signals = Vec::new();
    each_line_from_end(state_dir, Archives::All, |line| {
        let Some(outline) = Outline::of(line) else {
            return ControlFlow::Continue(());
        };
        // Going backwards, the first word about an escalation is the last one that was written.
        match outline.event.as_str() {
            Some("orphan.signal") => {
                let orphan_pid = outline.orphan_pid.as_i64().or_else(|| outline.pid.as_i64());
                if orphan_pid.is_some_and(|pid| decided.insert(pid)) {
                    signals.extend(object(line));
                }
            }
            Some("orphan.killed" | "orphan.failed" | "orphan.spared" | "orphan.interrupted") => {
                decided.extend(outline.pid.as_i64());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    signals.reverse();
    Ok(signals)
}

impl Query {
    /// What the line is to this query: nothing, or what stands for it in the answer.
    fn answer(&self, line: &[u8]) -> Option<Value> {
        if self.pid.is_none() && self.since.is_none() {
            return Some(
                object(line).unwrap_or_else(|| json!({ "raw": String::from_utf8_lossy(line) })),
            );
        }
        let outline = Outline::of(line)?;
        let wanted = self.pid.is_none_or(|pid| outline.pid.as_i64() == Some(pid))
            && self
                .since
                .is_none_or(|since| outline.time().is_some_and(|time| time >= since));
        if wanted { object(line) } else { None }
    }
}

/// The few fields that decide over a record. Skipping the others makes passing over a record
/// several times cheaper than building its whole value. Any type is taken, so that an odd one does
/// not hide the record.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outline {
    event: Value,
    orphan_pid: Value,
    pid: Value,
    ts: Value,
}

impl Outline {
    fn of(line: &[u8]) -> Option<Outline> {
        // An array would do for a struct, field by field; it is no record.
        line.trim_ascii_start()
            .starts_with(b"{")
            .then(|| serde_json::from_slice(line).ok())?
    }

    fn time(&self) -> Option<jiff::Timestamp> {
        self.ts.as_str()?.parse().ok()
    }
}

fn object(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().filter(Value::is_object)
}

#[derive(Clone, Copy)]
pub(super) enum Archives {
    None,
    All,
    /// All; but those numbered higher only if they can be opened.
    Leftovers {
        above: u32,
    },
}

/// Gives every line, newest first: of the current segment, then of the archives from number 1 up.
///
/// A rotation meanwhile moves segments up, in the direction of the walk, and leaves newer ones behind them. So each is
/// looked for behind the one that was read last, wherever that stands by then: none is hidden, shown twice, or shown as
/// older than it is.
pub(super) fn each_line_from_end(
    state_dir: &Path,
    archives: Archives,
    mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), EventLogError> {
    // Where nobody rotates, one that is gone says nothing of the others.
    let above = match archives {
        Archives::Leftovers { above } => above,
        Archives::None | Archives::All => 0,
    };
    let mut last: Option<Passed> = None;
    let mut number = 0;
    loop {
        let path = path_of(state_dir, number);
        let failed = |source| EventLogError::Read {
            path: path.clone(),
            source,
        };
        let opened = open_regular(&path, OpenOptions::new().read(true));
        // Looked at only now: while that one stands where it stood, what is opened behind it is older.
        let is_older = last.as_ref().is_none_or(|last| {
            last.place_now(state_dir)
                .map_or(number > above, |place| place == last.place)
        });
        match opened {
            _ if !is_older => {}
            Ok(segment) => {
                let len = segment.metadata().map_err(failed)?.len();
                let len = settled_len(&segment, len, || std::thread::sleep(BETWEEN_LOOKS));
                let len = len.map_err(failed)?;
                let mut lines = LinesFromEnd::new(&segment, len, BLOCK_BYTES);
                while let Some(line) = lines.next_line().map_err(failed)? {
                    if each(line).is_break() {
                        return Ok(());
                    }
                }
                last = Some(Passed {
                    segment,
                    place: number,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if matches!(archives, Archives::Leftovers { above } if number > above) => {}
            // What one archive hides is no reason not to say what the others show.
            Err(error) if matches!(archives, Archives::All) && number > 0 => {
                tracing::warn!(path = %crate::text::in_line(path), %error, "an archive cannot be read");
            }
            Err(error) => return Err(failed(error)),
        }
        if matches!(archives, Archives::None) {
            return Ok(());
        }
        let passed = match &mut last {
            None => number,
            Some(last) => match last.place_now(state_dir) {
                Some(place) => {
                    last.place = place;
                    if is_older { place.max(number) } else { place }
                }
                // The oldest that is kept goes: whatever is older went before it, but what an earlier configuration left.
                None => number.max(above),
            },
        };
        // Listed anew each time, because a rotation may have added a number.
        let next = match archive_numbers(state_dir) {
            Ok(numbers) => numbers.into_iter().find(|&next| next > passed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(EventLogError::Read {
                    path: state_dir.to_owned(),
                    source,
                });
            }
        };
        match next {
            Some(next) => number = next,
            None => return Ok(()),
        }
    }
}

/// A segment that was read, held open: so no other gets its inode.
struct Passed {
    segment: File,
    /// The number that it had last.
    place: u32,
}

impl Passed {
    /// The number that it has now; none, if it is gone. Looked for from the old one up, as rotations move it.
    fn place_now(&self, state_dir: &Path) -> Option<u32> {
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        for _ in 0..LOOKS_FOR_A_SEGMENT {
            let held = self.segment.metadata().ok()?;
            if held.nlink() == 0 {
                return None;
            }
            let above = archive_numbers(state_dir).unwrap_or_default();
            let above = above.into_iter().filter(|&number| number > self.place);
            let mut places = std::iter::once(self.place).chain(above);
            let stands_at = |&number: &u32| {
                let found = path_of(state_dir, number).symlink_metadata();
                found.is_ok_and(|found| identity(&found) == identity(&held))
            };
            if let Some(place) = places.find(stands_at) {
                return Some(place);
            }
        }
        None
    }
}

fn path_of(state_dir: &Path, number: u32) -> PathBuf {
    match number {
        0 => segment_path(state_dir),
        number => archive_path(state_dir, number),
    }
}

/// The length of a segment that had `len` bytes, once its last line has an end; or as it is after so
/// many looks, if that line was cut off or is nobody's record.
pub(super) fn settled_len(segment: &File, len: u64, mut pause: impl FnMut()) -> io::Result<u64> {
    let mut len = len;
    for _ in 1..LOOKS_AT_AN_END {
        // Emptied meanwhile, or taken back: looked at again, too.
        if len == 0 || ends_line(segment, len).unwrap_or(false) {
            break;
        }
        pause();
        len = segment.metadata()?.len();
    }
    Ok(len)
}
