//! The loop: waits for keys, the daemon, answers, signals and the time, and redraws what changed.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::Instant;

use super::draw::{Look, draw};
use super::keys::Key;
use super::line::{Line, ask};
use super::model::{Effect, Input, Model};
use super::screen::Screen;
use crate::cli::failure::Failure;
use crate::cli::render::View;
use crate::os::host::environment;
use crate::os::signals::{TerminalSignal, TerminalSignals, end_by, stop_here};

/// The least time between two pictures.
const FRAME: Duration = Duration::from_millis(40);
/// How often what counts down is drawn …
const SECOND: Duration = Duration::from_secs(1);
/// … and everything else, for the ages in it.
const SELDOM: Duration = Duration::from_secs(20);

/// Watches until the user has seen enough.
///
/// # Errors
/// If this is no terminal, or there is no daemon to begin with.
pub(in crate::cli) async fn watch(socket: Option<&Path>, view: &View) -> Result<(), Failure> {
    if !view.terminal.is_terminal || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "watch needs a terminal: without one there are team-agentctl events --follow \
             and team-agentctl status",
        ));
    }
    let (last, line) = Line::open(socket).await?;
    // First this: a signal must not find the terminal taken and nobody to give it back.
    let signals = TerminalSignals::listen().map_err(|error| Failure::output(&error))?;
    let screen = Screen::take().map_err(|error| Failure::output(&error))?;
    let live = Live {
        model: Model::new(last),
        view: View {
            terminal: crate::cli::terminal::Terminal {
                is_terminal: false,
                ..view.terminal
            },
            ..view.clone()
        },
        has_colours: environment("NO_COLOR").is_none_or(|value| value.is_empty()),
        line,
        screen,
        keys: EventStream::new(),
        signals,
        asked: FuturesUnordered::new(),
    };
    let ended_by = live.run().await.map_err(|error| Failure::output(&error))?;
    if let Some(signal) = ended_by {
        // Whoever started this sees what ended it.
        end_by(signal);
    }
    Ok(())
}

struct Live {
    model: Model,
    view: View,
    has_colours: bool,
    line: Line,
    screen: Screen,
    keys: EventStream,
    signals: TerminalSignals,
    asked: FuturesUnordered<LocalBoxFuture<'static, Input>>,
}

/// What there is to do after something happened.
enum Next {
    Take(Input),
    Redraw,
    /// Somebody else had the terminal meanwhile.
    TakeAgain,
    Suspend,
    /// The end, by a signal or without one.
    Leave(Option<i32>),
}

impl Live {
    /// Gives the number of the signal that ended it, if one did.
    async fn run(mut self) -> io::Result<Option<i32>> {
        let mut drawn = Instant::now();
        self.draw()?;
        let mut is_stale = false;
        loop {
            let pause = match (is_stale, self.model.counts_down()) {
                (true, _) => FRAME,
                (false, true) => SECOND,
                (false, false) => SELDOM,
            };
            let next = tokio::select! {
                key = self.keys.next() => of_terminal(key)?,
                heard = self.line.next() => Next::Take(heard),
                Some(answer) = self.asked.next() => Next::Take(answer),
                signal = self.signals.next() => match signal {
                    Some(TerminalSignal::End(number)) => Next::Leave(Some(number)),
                    Some(TerminalSignal::Stop) => Next::Suspend,
                    Some(TerminalSignal::Continued) => Next::TakeAgain,
                    None => Next::Leave(None),
                },
                () = tokio::time::sleep_until(drawn + pause) => {
                    self.draw()?;
                    drawn = Instant::now();
                    is_stale = false;
                    continue;
                }
            };
            is_stale = true;
            match next {
                Next::Redraw => {}
                Next::Take(input) => {
                    self.view.now = Timestamp::now();
                    for effect in self.model.update(input, &self.view) {
                        match effect {
                            Effect::Ask(what) => {
                                let asked = ask(self.line.way(), what);
                                self.asked.push(Box::pin(asked));
                            }
                            Effect::Leave => return Ok(None),
                            Effect::Suspend => self.suspend()?,
                        }
                    }
                }
                Next::TakeAgain => {
                    // Whoever had it may have changed what is taken for taken.
                    self.screen.give_back();
                    self.screen.take_again()?;
                }
                Next::Suspend => self.suspend()?,
                Next::Leave(signal) => return Ok(signal),
            }
        }
    }

    /// Stops this process, with the terminal as it was; goes on when it is continued.
    fn suspend(&mut self) -> io::Result<()> {
        self.screen.give_back();
        stop_here();
        self.screen.take_again()
    }

    fn draw(&mut self) -> io::Result<()> {
        let look = Look {
            now: Timestamp::now(),
            zone: self.view.zone.clone(),
            has_colours: self.has_colours,
        };
        let Self { model, screen, .. } = self;
        let mut furthest = 0;
        screen.draw(|frame| furthest = draw(frame, model, &look))?;
        model.scrolls_to(furthest);
        Ok(())
    }
}

/// What came from the terminal. Without one there is nobody to watch.
fn of_terminal(event: Option<io::Result<Event>>) -> io::Result<Next> {
    Ok(match event.transpose()? {
        Some(Event::Key(key)) => {
            Key::read(&key).map_or(Next::Redraw, |key| Next::Take(Input::Key(key)))
        }
        Some(_) => Next::Redraw,
        None => Next::Leave(None),
    })
}
