//! The only place that prints. Each text goes out whole and at once; colours are taken out on the
//! way where they are not wanted (no terminal, `NO_COLOR`, `CLICOLOR`).
//!
//! Must not know what is printed.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use serde_json::Value;

use super::safe_text::json_line;
use crate::os::files::has_hung_up;
use crate::os::host::environment;

/// Standard output and standard error, or what stands in for them.
pub(super) struct Output<O, E> {
    stdout: O,
    stderr: E,
    is_live: bool,
    /// Whether these are the real ones.
    is_standard: bool,
}

impl Output<anstream::Stdout, anstream::Stderr> {
    /// Those of this process. They are not held locked: other threads may have a word to say.
    pub(super) fn standard() -> Self {
        Self {
            is_live: can_be_drawn_on(&io::stderr()),
            is_standard: true,
            ..Self::new(anstream::stdout(), anstream::stderr())
        }
    }
}

impl<O: Write, E: Write> Output<O, E> {
    pub(super) fn new(stdout: O, stderr: E) -> Self {
        Self {
            stdout,
            stderr,
            is_live: false,
            is_standard: false,
        }
    }

    /// Whether nobody reads standard output any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_standard && has_hung_up(io::stdout())
    }

    /// Whether standard error is a terminal on which things are drawn again and again, rather than added.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Prints a result; an empty one is no line at all.
    ///
    /// A reader that went away has read what it wanted: that is no error.
    ///
    /// # Errors
    ///
    /// If it cannot be written for any other reason.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let written = put_line(&mut self.stdout, text);
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })
    }

    /// Prints a part of something that goes on, until the reader has gone away: then there is nobody
    /// to go on for.
    ///
    /// # Errors
    ///
    /// As [`Output::text`].
    pub(super) fn part(&mut self, text: &str) -> io::Result<ControlFlow<()>> {
        match put_line(&mut self.stdout, text) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(error),
        }
    }

    /// Prints a result as one line of JSON.
    ///
    /// # Errors
    ///
    /// As [`Output::text`].
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.text(&json_line(value))
    }

    /// Says something beside the result. If nobody can hear it, there is nobody to tell that to.
    pub(super) fn note(&mut self, text: &str) {
        let _ = put_line(&mut self.stderr, text);
    }
}

fn can_be_drawn_on(stream: &impl IsTerminal) -> bool {
    // So does a terminal say that cannot move its cursor.
    let is_dumb = environment("TERM").is_none_or(|name| name == "dumb" || name.is_empty());
    stream.is_terminal() && !is_dumb
}

/// `text`, ended by exactly one line feed.
fn put_line(out: &mut impl Write, text: &str) -> io::Result<()> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    out.write_all(format!("{text}\n").as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pipe that fails.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_text_is_ended_by_one_line_feed() {
        let mut out = Output::new(Vec::new(), Vec::new());
        out.text("one").unwrap();
        out.text("two\n").unwrap();
        out.text("").unwrap();
        out.json(&json!({"a": "\u{9b}"})).unwrap();
        out.note("beside");
        assert_eq!(
            String::from_utf8(out.stdout).unwrap(),
            "one\ntwo\n{\"a\":\"\\u009b\"}\n"
        );
        assert_eq!(out.stderr, b"beside\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let mut out = Output::new(
            Failing(io::ErrorKind::BrokenPipe),
            Failing(io::ErrorKind::BrokenPipe),
        );
        out.text("one").unwrap();
        out.note("beside");
        assert_eq!(out.part("one").unwrap(), ControlFlow::Break(()));
        let mut out = Output::new(Vec::new(), Vec::new());
        assert_eq!(out.part("one").unwrap(), ControlFlow::Continue(()));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut out = Output::new(Failing(io::ErrorKind::StorageFull), Vec::new());
        assert_eq!(
            out.text("one").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    }
}
