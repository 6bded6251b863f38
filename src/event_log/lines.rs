//! The lines of a segment, from the last to the first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Twenty records of the usual size fit, and so a `read` of the default limit is one read of the
/// file.
pub(super) const BLOCK_BYTES: usize = 32 * 1024;

/// Whether a file of `len` bytes, which is not 0, ends with a newline.
pub(super) fn ends_line(file: &File, len: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, len - 1)?;
    Ok(last == *b"\n")
}

/// The lines of a file from the last to the first, without their newlines.
pub(super) struct LinesFromEnd<'file> {
    file: &'file File,
    block_bytes: usize,
    /// Where in the file the buffer begins; what lies before it was not read yet.
    position: u64,
    buffer: Vec<u8>,
    /// How much of the buffer, from its beginning, was not given out yet.
    pending: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Start,
    Within,
    Done,
}

impl<'file> LinesFromEnd<'file> {
    pub(super) fn new(file: &'file File, len: u64, block_bytes: usize) -> Self {
        Self {
            file,
            block_bytes,
            position: len,
            buffer: Vec::new(),
            pending: 0,
            state: State::Start,
        }
    }

    /// The line before the one given last; the file's last line first.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        if self.state == State::Start {
            self.fill()?;
            self.state = match self.buffer.last() {
                // Ends the last line; there is none after it.
                Some(b'\n') => {
                    self.pending -= 1;
                    State::Within
                }
                Some(_) => State::Within,
                None => State::Done,
            };
        }
        while self.state == State::Within {
            let end = self.pending;
            if let Some(newline) = self.buffer[..end].iter().rposition(|&byte| byte == b'\n') {
                self.pending = newline;
                return Ok(Some(&self.buffer[newline + 1..end]));
            }
            if self.position == 0 {
                self.state = State::Done;
                return Ok(Some(&self.buffer[..end]));
            }
            self.fill()?;
        }
        Ok(None)
    }

    /// Puts the block before the buffer in front of what is pending. As it is no smaller than that,
    /// the copying (and the second look for a newline) stays in proportion to the length of the
    /// line, however long.
    fn fill(&mut self) -> io::Result<()> {
        let wanted = self.block_bytes.max(self.pending);
        let block = usize::try_from(self.position).map_or(wanted, |before| before.min(wanted));
        let position = self.position - block as u64;
        let mut buffer = vec![0; block];
        let read = read_fully_at(self.file, &mut buffer, position)?;
        if read < block {
            if self.state != State::Start {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "truncated while it was read",
                ));
            }
            // The writer has taken back the beginning of a line that it could not finish.
            buffer.truncate(read);
        }
        buffer.extend_from_slice(&self.buffer[..self.pending]);
        self.pending = buffer.len();
        self.buffer = buffer;
        self.position = position;
        Ok(())
    }
}

fn read_fully_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
