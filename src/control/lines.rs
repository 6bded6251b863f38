//! Bytes ↔ lines. A line that is too long is a value, not an error: the connection goes on after it.

use std::io;

use tokio::time::Instant;
use tokio_util::bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// The longest request line, in bytes without its newline.
pub const LINE_LIMIT_BYTES: usize = 64 << 10;

/// One line from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its newline.
    Whole(Vec<u8>),
    /// One that was longer than it may be; it has been read past.
    TooLong,
    /// One or several in which nothing stands: said, so that whoever sends many of them waits for its turns
    /// as with any other line.
    Blank,
}

/// Splits a stream into lines of a limited length.
#[derive(Debug, Default)]
pub struct LineDecoder {
    /// Bytes at the front that are known to hold no newline.
    searched: usize,
    /// Within a line that is too long, up to its newline.
    is_skipping: bool,
    /// Since when there is a line that is not finished.
    begun: Option<Instant>,
}

impl LineDecoder {
    /// Since when there is a line that is not finished, if there is one.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        self.begun
    }
}

impl Decoder for LineDecoder {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Line>> {
        // At the beginning of a line only: what was looked through before is not looked through again.
        if self.searched == 0 && !self.is_skipping {
            let blank = blank_lines(source);
            if blank > 0 {
                source.advance(blank);
                self.begun = None;
                return Ok(Some(Line::Blank));
            }
        }
        let newline = source[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| self.searched + at);
        let Some(end) = newline else {
            if self.is_skipping || source.len() > LINE_LIMIT_BYTES {
                self.is_skipping = true;
                source.clear();
            }
            self.searched = source.len();
            let is_within_one = self.is_skipping || !source.is_empty();
            self.begun = match is_within_one {
                true => Some(self.begun.unwrap_or_else(Instant::now)),
                false => None,
            };
            return Ok(None);
        };
        self.begun = None;
        self.searched = 0;
        let line = source.split_to(end).to_vec();
        source.advance(1);
        if std::mem::take(&mut self.is_skipping) || line.len() > LINE_LIMIT_BYTES {
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(match line.trim_ascii().is_empty() {
            true => Line::Blank,
            false => Line::Whole(line),
        }))
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> io::Result<Option<Line>> {
        if let Some(line) = self.decode(source)? {
            return Ok(Some(line));
        }
        // `printf '{…}' | nc -U`: the last line may lack its newline.
        let rest = source.split_to(source.len()).to_vec();
        self.searched = 0;
        if std::mem::take(&mut self.is_skipping) {
            return Ok(Some(Line::TooLong));
        }
        Ok((!rest.trim_ascii().is_empty()).then_some(Line::Whole(rest)))
    }
}

/// How many bytes at the front are whole lines in which nothing stands.
fn blank_lines(source: &[u8]) -> usize {
    let mut whole = 0;
    for (at, byte) in source.iter().enumerate() {
        match byte {
            b'\n' if at - whole <= LINE_LIMIT_BYTES => whole = at + 1,
            b'\n' => break,
            space if space.is_ascii_whitespace() => {}
            _ => break,
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<Line> {
        let mut decoder = LineDecoder::default();
        let mut buffer = BytesMut::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(line) = decoder.decode(&mut buffer).unwrap() {
                lines.push(line);
            }
        }
        while let Some(line) = decoder.decode_eof(&mut buffer).unwrap() {
            lines.push(line);
        }
        lines
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn blank_lines_are_passed_over_together_and_said_once() {
        for blank in ["\n", "\r\n", " \t\n"] {
            let mut decoder = LineDecoder::default();
            let mut buffer = BytesMut::from(blank.repeat(10_000).as_bytes());
            buffer.extend_from_slice(b" x\n ");
            assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Line::Blank));
            assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(whole(" x")));
            assert_eq!(decoder.decode(&mut buffer).unwrap(), None);
            assert!(decoder.begun().is_some(), "a line may begin with spaces");
            buffer.extend_from_slice(b"\n\n");
            assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Line::Blank));
            assert!(decoder.begun().is_none());
        }
        let spaces = [" ".repeat(LINE_LIMIT_BYTES + 1).as_bytes(), b"\n\n"].concat();
        assert_eq!(decode(&[&spaces]), [Line::TooLong, Line::Blank]);
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        assert_eq!(
            decode(&[b"ab", b"c\n\n \nde\nf"]),
            [whole("abc"), Line::Blank, whole("de"), whole("f")]
        );
        assert_eq!(decode(&[b""]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let long = vec![b'x'; LINE_LIMIT_BYTES + 1];
        let fits = vec![b'y'; LINE_LIMIT_BYTES];
        assert_eq!(
            decode(&[&long, b"x", b"x\n", &fits, b"\nnext\n"]),
            [Line::TooLong, Line::Whole(fits.clone()), whole("next")]
        );
        let mut at_once = long.clone();
        at_once.extend_from_slice(b"\nnext\n");
        assert_eq!(decode(&[&at_once]), [Line::TooLong, whole("next")]);
        assert_eq!(decode(&[&long]), [Line::TooLong]);
    }
}
