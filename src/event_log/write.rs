//! The writing side: append, rotate, flush. It must not know what a record means, and takes no
//! lock: one process writes at a time, which the caller sees to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::lines::{BLOCK_BYTES, LinesFromEnd, ends_line};
use super::{
    EventLogError, Record, Rotation, archive_numbers, archive_path, line, open_regular,
    segment_path,
};

/// A caller who never flushes must not cost a descriptor for every segment it fills.
const UNSYNCED_SEGMENTS_MAX: usize = 4;

/// The log, open for appending. Dropping it flushes nothing to disk.
#[derive(Debug)]
pub struct EventLog {
    state_dir: PathBuf,
    path: PathBuf,
    rotation: Rotation,
    segment: File,
    /// The length up to which the segment is known to consist of whole lines. When the file has any
    /// other length, its last byte is looked at before the next record is written behind it.
    whole_len: Option<u64>,
    /// The segment has bytes that were not flushed.
    segment_unsynced: bool,
    /// Segments rotated or taken away before they were flushed.
    unsynced: Vec<File>,
    /// Names in the state directory have changed since it was flushed.
    directory_unsynced: bool,
    rotation_failure: Option<EventLogError>,
}

impl EventLog {
    /// Opens the log in `state_dir`. A missing directory is made (0700), as is a missing
    /// `events.jsonl` (0600). The beginning of a record, as a crash in the middle of a write leaves it
    /// behind, is taken off again: nobody was told that it is in the log. Any other last line without
    /// its newline is closed, so that the next record stands on its own line.
    ///
    /// # Errors
    /// `CreateDirectory` or `Open`. A full disk is not one: it shows at the first append.
    pub fn open(state_dir: &Path, rotation: Rotation) -> Result<EventLog, EventLogError> {
        let path = segment_path(state_dir);
        let (segment, created) = open_segment(state_dir, &path)?;
        let mut log = EventLog {
            state_dir: state_dir.to_owned(),
            path,
            rotation,
            segment,
            whole_len: None,
            segment_unsynced: false,
            unsynced: Vec::new(),
            directory_unsynced: created,
            rotation_failure: None,
        };
        // Not being able to mend that now is no reason not to start: the next append tries again.
        let _ = log.mend_last_line();
        Ok(log)
    }

    /// Goes by `rotation` from the next record on. Archives above a lowered `keep` stay where they
    /// are.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    /// Why the last rotation that was due did not happen, until one does. Records are not lost by
    /// it, but the current segment outgrows its bound.
    #[must_use]
    pub fn rotation_failure(&self) -> Option<&EventLogError> {
        self.rotation_failure.as_ref()
    }

    /// Appends `records` in order, each as a line of its own, in one write where no rotation comes
    /// between them. If `events.jsonl` has been deleted or renamed underneath, it is made anew
    /// first, so that no record goes into a file nobody will find.
    ///
    /// Only [`sync`](Self::sync) makes them last through a power failure.
    ///
    /// # Errors
    /// `Append` when a record could not be written: `recorded` of them are in the log, and nothing
    /// of the next one. `CreateDirectory` or `Open` (and in rare cases `Sync`) when the segment was
    /// gone and could not be replaced: nothing is in the log. A rotation that fails is no error.
    pub fn append(&mut self, records: &[Record]) -> Result<(), EventLogError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut len = self.settle()?;
        let mut recorded = 0;
        let mut may_rotate = true;
        let mut lines = Vec::new();
        for record in records {
            if may_rotate && len + lines.len() as u64 >= self.rotation.rotate_bytes.max(1) {
                len = self.write_lines(&mut lines, len, &mut recorded)?;
                match self.rotate() {
                    Ok(()) => {
                        len = 0;
                        self.rotation_failure = None;
                    }
                    Err(failure) => {
                        // One try for each append: the rest of these records share what fate the
                        // segment has.
                        may_rotate = false;
                        self.rotation_failure = Some(failure);
                    }
                }
            }
            line::append(&mut lines, &record.to_value())
                .map_err(|source| self.append_error(recorded, source))?;
        }
        self.write_lines(&mut lines, len, &mut recorded)?;
        Ok(())
    }

    /// Flushes to disk everything appended so far, wherever it lies by now, and the names of the
    /// segments.
    ///
    /// # Errors
    /// `Sync`. Linux reports a failed write-back once and then forgets it (`fsync(2)`), so a later
    /// success does not take the failure back: treat what was appended before it as not recorded.
    pub fn sync(&mut self) -> Result<(), EventLogError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EventLogError::Sync { path, source }
        };
        while let Some(segment) = self.unsynced.last() {
            segment.sync_data().map_err(failed(&self.path))?;
            self.unsynced.pop();
        }
        if self.segment_unsynced {
            self.segment.sync_data().map_err(failed(&self.path))?;
            self.segment_unsynced = false;
        }
        if self.directory_unsynced {
            sync_directory(&self.state_dir).map_err(failed(&self.state_dir))?;
            self.directory_unsynced = false;
        }
        Ok(())
    }

    /// Makes sure that the segment held is the one at its path and ends in a whole line; its
    /// length.
    fn settle(&mut self) -> Result<u64, EventLogError> {
        let unusable = |path: &Path, source| EventLogError::Open {
            path: path.to_owned(),
            source,
        };
        let held = self
            .segment
            .metadata()
            .map_err(|source| unusable(&self.path, source))?;
        let in_place = match fs::symlink_metadata(&self.path) {
            Ok(found) => (found.dev(), found.ino()) == (held.dev(), held.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(unusable(&self.path, source)),
        };
        let mut len = held.len();
        if !in_place {
            if self.unsynced.len() >= UNSYNCED_SEGMENTS_MAX {
                self.sync()?;
            }
            let (segment, created) = open_segment(&self.state_dir, &self.path)?;
            len = segment
                .metadata()
                .map_err(|source| unusable(&self.path, source))?
                .len();
            self.directory_unsynced |= created;
            self.replace_segment(segment);
        }
        if self.whole_len != Some(len) {
            len = self
                .close_torn_line(len)
                .map_err(|source| self.append_error(0, source))?;
        }
        Ok(len)
    }

    /// Takes off a last line that is the beginning of a record, where that can be done (an append-only
    /// file keeps it), and ends any other that is not ended. SIGKILL ends a write(2) between two pages.
    fn mend_last_line(&mut self) -> io::Result<()> {
        let len = self.segment.metadata()?.len();
        let begun = begun_record(&self.segment, len)?;
        if begun > 0 && self.segment.set_len(len - begun).is_ok() {
            self.segment_unsynced = true;
            self.whole_len = Some(len - begun);
            return Ok(());
        }
        self.close_torn_line(len).map(|_| ())
    }

    /// Ends the last line of a segment of `len` bytes if it is not ended; the new length.
    fn close_torn_line(&mut self, len: u64) -> io::Result<u64> {
        let mut whole_len = len;
        if len > 0 && !ends_line(&self.segment, len)? {
            self.segment_unsynced = true;
            write_fully(&mut self.segment, b"\n").1?;
            whole_len += 1;
        }
        self.whole_len = Some(whole_len);
        Ok(whole_len)
    }

    /// Writes out `lines` behind the `len` bytes there are and empties them; the new length. Adds
    /// to `recorded` the lines that got in, also when not all of them did.
    fn write_lines(
        &mut self,
        lines: &mut Vec<u8>,
        len: u64,
        recorded: &mut usize,
    ) -> Result<u64, EventLogError> {
        if lines.is_empty() {
            return Ok(len);
        }
        self.segment_unsynced = true;
        let (written, result) = write_fully(&mut self.segment, lines);
        let whole = match result {
            Ok(()) => written,
            Err(_) => lines[..written]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |newline| newline + 1),
        };
        *recorded += lines[..whole].iter().filter(|&&byte| byte == b'\n').count();
        self.whole_len = Some(len + whole as u64);
        if let Err(source) = result {
            // Where that cannot be done (an append-only file, say), the next append finds a length
            // it does not know, and closes the line.
            let _ = self.cut_off((written - whole) as u64);
            return Err(self.append_error(*recorded, source));
        }
        lines.clear();
        Ok(len + whole as u64)
    }

    /// Takes the last `torn` bytes off the segment.
    fn cut_off(&mut self, torn: u64) -> io::Result<()> {
        if torn == 0 {
            return Ok(());
        }
        let len = self.segment.metadata()?.len();
        self.segment.set_len(len.saturating_sub(torn))
    }

    /// Rotates as the original does: the archive numbered `keep` goes, each other moves up by one,
    /// and the current segment becomes number 1. It differs where a step fails: the original goes
    /// on and overwrites the archive that could not be moved; this stops, and its next try fills
    /// the place that was left free instead of dropping one more archive for it.
    fn rotate(&mut self) -> Result<(), EventLogError> {
        let failed = |path: PathBuf| move |source| EventLogError::Rotate { path, source };
        if self.unsynced.len() >= UNSYNCED_SEGMENTS_MAX {
            self.sync()?;
        }
        let keep = self.rotation.keep.max(1);
        let numbers = archive_numbers(&self.state_dir).map_err(failed(self.state_dir.clone()))?;
        let left_free = match self.rotation_failure {
            Some(_) => (1..=keep).find(|number| numbers.binary_search(number).is_err()),
            None => None,
        };
        if left_free.is_none() {
            let oldest = archive_path(&self.state_dir, keep);
            match fs::remove_file(&oldest) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(oldest)(error));
                }
                _ => self.directory_unsynced = true,
            }
        }
        let free = left_free.unwrap_or(keep);
        for number in numbers.into_iter().rev().filter(|&number| number < free) {
            let archive = archive_path(&self.state_dir, number);
            fs::rename(&archive, archive_path(&self.state_dir, number + 1))
                .map_err(failed(archive))?;
            self.directory_unsynced = true;
        }
        let newest = archive_path(&self.state_dir, 1);
        fs::rename(&self.path, &newest).map_err(failed(self.path.clone()))?;
        self.directory_unsynced = true;
        match open_segment(&self.state_dir, &self.path) {
            Ok((segment, _)) => {
                self.replace_segment(segment);
                self.whole_len = Some(0);
                Ok(())
            }
            Err(error) => {
                // No place for a new file may still leave place in this one. Should its name not
                // come back either, these records end in the archive, and the next append tries
                // again to make a current segment.
                let _ = fs::rename(&newest, &self.path);
                Err(error)
            }
        }
    }

    fn replace_segment(&mut self, segment: File) {
        let before = std::mem::replace(&mut self.segment, segment);
        self.whole_len = None;
        if std::mem::take(&mut self.segment_unsynced) {
            self.unsynced.push(before);
        }
    }

    #[cfg(test)]
    pub(super) fn unsynced_segments(&self) -> usize {
        self.unsynced.len()
    }

    fn append_error(&self, recorded: usize, source: io::Error) -> EventLogError {
        EventLogError::Append {
            path: self.path.clone(),
            recorded,
            source,
        }
    }
}

/// Opens the current segment, and says whether it had to be made.
fn open_segment(state_dir: &Path, path: &Path) -> Result<(File, bool), EventLogError> {
    let mut options = OpenOptions::new();
    // Read as well: the last byte tells whether the last line is whole.
    options.read(true).append(true).mode(0o600);
    let opened = match open_regular(path, &mut options) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directory(state_dir).map_err(|source| EventLogError::CreateDirectory {
                path: state_dir.to_owned(),
                source,
            })?;
            open_regular(path, options.create(true)).map(|segment| (segment, true))
        }
        other => other.map(|segment| (segment, false)),
    };
    opened.map_err(|source| EventLogError::Open {
        path: path.to_owned(),
        source,
    })
}

/// How long the beginning of a record is that a segment of `len` bytes ends with; 0 if it ends with
/// anything else. No other text begins like one.
fn begun_record(segment: &File, len: u64) -> io::Result<u64> {
    if len == 0 || ends_line(segment, len)? {
        return Ok(0);
    }
    let mut lines = LinesFromEnd::new(segment, len, BLOCK_BYTES);
    let begun = lines.next_line()?.filter(|line| {
        line.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_err()
    });
    Ok(begun.map_or(0, |line| line.len() as u64))
}

/// Makes `state_dir` and what is missing above it, for this user only.
fn create_directory(state_dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = state_dir
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        // Ours to make, not ours to insist on: one may create in a directory without being allowed
        // to read it.
        let _ = sync_directory(parent);
    }
    Ok(())
}

/// Flushes the names in a directory, where the file system knows how to.
fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match File::open(path)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Writes all of `bytes` in as few writes as the system allows, and says how many got through when
/// not all did.
pub(super) fn write_fully(writer: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
