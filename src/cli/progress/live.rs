//! The lines on a terminal: drawn over and over below what stands there, and taken away in the end. The
//! terminal's settings stay as they are, so that nothing has to be given back but these lines.

use std::io::{self, Write, stderr};

use anstream::{AutoStream, ColorChoice};
use crossterm::cursor::{MoveToColumn, MoveToPreviousLine};
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use jiff::Timestamp;

use super::lines::lines;
use super::model::Model;
use crate::cli::render::View;
use crate::cli::terminal::Terminal;
use crate::os::host::{is_in_the_foreground, terminal_of_standard_error};
use crate::os::signals::{TerminalSignal, TerminalSignals, stop_here};
use crate::wire::results::Source;

/// A part of a terminal. Dropping it clears that part.
pub(super) struct Live {
    source: Source,
    /// What stands there; nothing while the terminal is somebody else's.
    drawn: Vec<String>,
    signals: TerminalSignals,
    has_colours: bool,
}

impl Live {
    /// Begins to draw; nothing is shown where that cannot be done.
    pub(super) fn begin(source: Source) -> Option<Self> {
        // First this: whoever ends us leaves no half picture.
        let signals = TerminalSignals::listen_twice().ok()?;
        Some(Self {
            source,
            drawn: Vec::new(),
            signals,
            has_colours: AutoStream::choice(&stderr()) != ColorChoice::Never,
        })
    }

    pub(super) fn draw(&mut self, model: &Model, view: &View) {
        if !is_in_the_foreground() {
            // The terminal is somebody else's, what stands there too.
            self.drawn.clear();
            return;
        }
        let (width, rows) = terminal_of_standard_error().unwrap_or((80, 24));
        let view = View {
            terminal: Terminal {
                is_terminal: self.has_colours,
                width: width.into(),
            },
            now: Timestamp::now(),
            zone: view.zone.clone(),
            program: crate::cli::render::PROGRAM.to_owned(),
        };
        let picture = lines(model, &view, rows.into());
        if picture != self.drawn {
            // A terminal that cannot be written to shows nothing.
            let _ = replace(&self.drawn, &picture);
            self.drawn = picture;
        }
    }

    /// Does this with nothing drawn.
    pub(super) fn suspended(&mut self, act: impl FnOnce()) {
        self.clear();
        act();
    }

    fn clear(&mut self) {
        if is_in_the_foreground() && !self.drawn.is_empty() {
            let _ = replace(&self.drawn, &[]);
        }
        self.drawn.clear();
    }

    /// Where the kills happen.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Waits for a signal that is to end this, and gives its number; for ever, if nothing is drawn. One
    /// that is to stop it for a while does.
    pub(super) async fn ended(live: &mut Option<Self>) -> i32 {
        let Some(live) = live else {
            return std::future::pending().await;
        };
        loop {
            match live.signals.next().await {
                Some(TerminalSignal::End(number)) => return number,
                Some(TerminalSignal::Stop) => live.suspended(stop_here),
                // What is drawn next stands below whatever somebody else wrote meanwhile.
                Some(TerminalSignal::Continued) => live.drawn.clear(),
                None => return std::future::pending().await,
            }
        }
    }
}

/// Draws these lines where those stand, in one piece. The cursor stays on the line below: what a key writes
/// there is wiped with them.
fn replace(before: &[String], lines: &[String]) -> io::Result<()> {
    let mut picture = Vec::new();
    match u16::try_from(before.len()) {
        Ok(up @ 1..) => queue!(picture, MoveToPreviousLine(up))?,
        _ => queue!(picture, MoveToColumn(0))?,
    }
    for line in lines {
        queue!(
            picture,
            Print(line),
            Clear(ClearType::UntilNewLine),
            Print("\n")
        )?;
    }
    queue!(picture, Clear(ClearType::FromCursorDown))?;
    stderr().write_all(&picture)
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}
