//! What a fix does while its answer is awaited: on a terminal a line for each orphan, elsewhere a log.
//!
//! | file | what lives there |
//! |---|---|
//! | `model.rs` | which orphans are this fix's, and what became of them; pure |
//! | `lines.rs` | the model at a moment, as lines that fit; pure |
//! | `live.rs` | those lines on a terminal, and what a signal does to them |
//!
//! All of it goes to standard error: the result is for standard output. Nothing is asked for, everything
//! is told; whatever is not told changes nothing about the fix.

mod lines;
mod live;
mod model;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::live::Live;
pub(super) use self::model::About;
use self::model::Model;
use super::failure::Failure;
use super::output::Output;
use super::render::View;
use super::safe_text::escape;
use crate::control::telling::{Told, Word};
use crate::os::signals::{end_by, is_quit};
use crate::wire::results::Source;

/// How long the last records are waited for that the answer has overtaken.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);
/// What is said to who does not wait for the end.
const GOES_ON: &str =
    "interrupted: the daemon goes on with what is under way (see: team-agentctl events --follow)";
/// How often what counts down is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Awaits the answer to a fix that is `about` some, and shows what is told meanwhile.
///
/// # Errors
/// That of the answer.
pub(super) async fn alongside<O: Write, E: Write>(
    answer: impl Future<Output = Result<Value, Failure>>,
    mut told: Told,
    about: &About,
    output: &mut Output<O, E>,
    view: &View,
) -> Result<Value, Failure> {
    let mut progress = Progress {
        model: Model::new(std::process::id(), about),
        live: None,
        output,
        view,
    };
    let mut answer = pin!(answer);
    let mut drawn = Instant::now();
    let answered = loop {
        tokio::select! {
            // However much is told: the answer and a signal come first.
            biased;
            answered = &mut answer => break answered,
            number = Live::ended(&mut progress.live) => progress.end_by(number),
            () = sleep_until(drawn + FRAME), if progress.live.is_some() => {
                drawn = Instant::now();
                progress.draw();
            }
            Some(word) = told.recv() => progress.take(word),
        }
    };
    // What was said before the answer comes before it, also before one that is an error.
    while let Ok(word) = told.try_recv() {
        progress.take(word);
    }
    let result = answered?;
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !progress.model.has_told(&result) {
        match timeout_at(deadline, told.recv()).await {
            Ok(Some(word)) => progress.take(word),
            Ok(None) | Err(_) => break,
        }
    }
    // Whatever was told too late is in the result.
    let named = match about {
        About::All => &[][..],
        About::These(pids) => pids,
    };
    for line in progress.model.finish(&result, named) {
        progress.log(Timestamp::now(), &line);
    }
    Ok(result)
}

struct Progress<'a, O, E> {
    model: Model,
    live: Option<Live>,
    output: &'a mut Output<O, E>,
    view: &'a View,
}

impl<O: Write, E: Write> Progress<'_, O, E> {
    fn take(&mut self, word: Word) {
        match word {
            Word::Begun { source, status } => {
                self.model.begun(status);
                if self.output.is_live() {
                    // Drawn after a moment: what is over by then leaves the terminal quiet.
                    self.live = Live::begin(source);
                }
            }
            Word::Record(event) => {
                if let Some(line) = self.model.take(&event) {
                    let at = self.view.moment(&event["ts"]);
                    self.log(at.unwrap_or_else(Timestamp::now), &line);
                }
            }
            Word::Missed(many) => {
                let line = format!("{many} records were missed: team-agentctl events has them");
                self.log(Timestamp::now(), &line);
            }
            Word::Notice(text) => {
                let text = escape(&text);
                let mut say = || self.output.note(&text);
                match &mut self.live {
                    Some(live) => live.suspended(say),
                    None => say(),
                }
            }
        }
    }

    /// A line of the log, where that is what is shown. It is as long as it is: nobody reads it in columns.
    fn log(&mut self, at: Timestamp, line: &str) {
        if !self.output.is_live() {
            let time = at.to_zoned(self.view.zone.clone()).strftime("%H:%M:%S");
            self.output.note(&format!("{time} {line}"));
        }
    }

    /// A signal is to end this. The daemon goes on by itself; the engine in this process hears of the
    /// signal, too, says so, and finishes what is under way.
    fn end_by(&mut self, number: i32) {
        let Some(live) = &self.live else { return };
        match live.source() {
            Source::Embedded if !is_quit(number) => {}
            source => {
                self.live = None;
                if source == Source::Daemon {
                    self.output.note(GOES_ON);
                }
                end_by(number);
            }
        }
    }

    fn draw(&mut self) {
        if let Some(live) = &mut self.live {
            live.draw(&self.model, self.view);
        }
    }
}
