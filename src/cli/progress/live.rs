//! The lines on a terminal: drawn over and over below what stands there, and taken away in the end. The
//! terminal's settings stay as they are, so that nothing has to be given back but these lines.

use std::io::stderr;

use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::lines::lines;
use super::model::Model;
use crate::cli::render::View;
use crate::cli::terminal::Terminal;
use crate::os::host::terminal_of_standard_error;
use crate::os::signals::{TerminalSignal, TerminalSignals, stop_here};
use crate::wire::results::Source;

/// At most so many pictures in a second.
const PICTURES_PER_SECOND: u8 = 20;

/// A part of a terminal. Dropping it clears that part.
pub(super) struct Live {
    source: Source,
    bar: ProgressBar,
    signals: TerminalSignals,
    has_colours: bool,
}

impl Live {
    /// Begins to draw; nothing is shown where that cannot be done.
    pub(super) fn begin(source: Source) -> Option<Self> {
        // First this: whoever ends us leaves no half picture.
        let signals = TerminalSignals::listen_once().ok()?;
        let style = ProgressStyle::with_template("{msg}").ok()?;
        let target = ProgressDrawTarget::stderr_with_hz(PICTURES_PER_SECOND);
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Some(Self {
            source,
            bar,
            signals,
            has_colours: AutoStream::choice(&stderr()) != ColorChoice::Never,
        })
    }

    pub(super) fn draw(&self, model: &Model, view: &View) {
        let (width, rows) = terminal_of_standard_error().unwrap_or((80, 24));
        let view = View {
            terminal: Terminal {
                is_terminal: self.has_colours,
                width: width.into(),
            },
            now: Timestamp::now(),
            zone: view.zone.clone(),
        };
        let picture = lines(model, &view, rows.into()).join("\n");
        self.bar.set_message(picture);
    }

    /// Does this with nothing drawn.
    pub(super) fn suspended(&self, act: impl FnOnce()) {
        self.bar.suspend(act);
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
                Some(TerminalSignal::Continued) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
