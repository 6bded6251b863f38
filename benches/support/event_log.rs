//! The event log as it grows on disk, read along: every line once, over every rotation.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the reading has got to.
pub(crate) struct EventLog {
    directory: PathBuf,
    segment: Option<BufReader<File>>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    /// How many lines were read.
    pub(crate) lines: usize,
}

impl EventLog {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            segment: None,
            begun: Vec::new(),
            lines: 0,
        }
    }

    /// The next complete line, if there is one.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            let Some(segment) = &mut self.segment else {
                match File::open(self.path(0)) {
                    Ok(file) => self.segment = Some(BufReader::new(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                }
                continue;
            };
            // Looked at before the end of the file is: what was rotated away grows no more.
            let own = segment.get_ref().metadata()?;
            let newer = newer_than((own.dev(), own.ino()), &self.directory)?;
            segment.read_until(b'\n', &mut self.begun)?;
            if self.begun.ends_with(b"\n") {
                self.begun.pop();
                self.lines += 1;
                let line = std::mem::take(&mut self.begun);
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            let Some(newer) = newer else {
                return Ok(None);
            };
            self.segment = Some(BufReader::new(newer));
            if !self.begun.is_empty() {
                // A crash cut it off, and the next daemon began a segment of its own.
                let line = std::mem::take(&mut self.begun);
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    /// How many lines there are in all segments.
    pub(crate) fn count_all(&self) -> io::Result<usize> {
        let mut count = 0;
        for number in 0.. {
            match fs::read(self.path(number)) {
                Ok(text) => count += text.iter().filter(|byte| **byte == b'\n').count(),
                Err(error) if error.kind() == io::ErrorKind::NotFound && number > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    fn path(&self, number: usize) -> PathBuf {
        path(&self.directory, number)
    }
}

fn path(directory: &Path, number: usize) -> PathBuf {
    match number {
        0 => directory.join("events.jsonl"),
        number => directory.join(format!("events.jsonl.{number}")),
    }
}

/// The segment after this one; none, if this one is the newest.
fn newer_than(own: (u64, u64), directory: &Path) -> io::Result<Option<File>> {
    let mut newer = None;
    for number in 0.. {
        let file = match File::open(path(directory, number)) {
            Ok(file) => file,
            // Between two renames of a rotation the newest is not there for a moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) == own {
            return Ok(newer);
        }
        newer = Some(file);
    }
    // In the middle of a rotation a number is missing. Were the segment gone for good, the count of
    // all lines at the end would tell.
    Ok(None)
}
