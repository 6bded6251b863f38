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
use crate::os::host::{is_in_the_foreground, terminal_of_standard_error};
use crate::os::signals::{TerminalSignal, TerminalSignals, stop_here};
use crate::wire::results::Source;

/// At most so many pictures in a second.
const PICTURES_PER_SECOND: u8 = 20;

/// A part of a terminal. Dropping it clears that part.
pub(super) struct Live {
    source: Source,
    /// What is drawn; nothing while the terminal is somebody else's.
    bar: Option<ProgressBar>,
    signals: TerminalSignals,
    has_colours: bool,
}

impl Live {
    /// Begins to draw; nothing is shown where that cannot be done.
    pub(super) fn begin(source: Source) -> Option<Self> {
        // First this: whoever ends us leaves no half picture.
        let signals = TerminalSignals::listen_once().ok()?;
        Some(Self {
            source,
            bar: None,
            signals,
            has_colours: AutoStream::choice(&stderr()) != ColorChoice::Never,
        })
    }

    pub(super) fn draw(&mut self, model: &Model, view: &View) {
        // In the background the terminal is somebody else's, what stands there too.
        match (is_in_the_foreground(), &self.bar) {
            (true, None) => self.bar = new_bar(),
            (false, Some(_)) => self.forget(),
            _ => {}
        }
        let Some(bar) = &self.bar else { return };
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
        let picture = lines(model, &view, rows.into()).join("\n");
        bar.set_message(picture);
    }

    /// Leaves what is drawn where it stands.
    fn forget(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Does this with nothing drawn.
    pub(super) fn suspended(&self, act: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
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

fn new_bar() -> Option<ProgressBar> {
    let style = ProgressStyle::with_template("{msg}").ok()?;
    let target = ProgressDrawTarget::stderr_with_hz(PICTURES_PER_SECOND);
    Some(ProgressBar::with_draw_target(None, target).with_style(style))
}

impl Drop for Live {
    fn drop(&mut self) {
        if is_in_the_foreground()
            && let Some(bar) = &self.bar
        {
            bar.finish_and_clear();
        }
        self.forget();
    }
}
