//! Signals as values: those that a daemon listens to, and those that matter to who has the terminal.

use std::io;

use futures_util::StreamExt;
use nix::sys::signal::Signal;
use signal_hook_tokio::Signals;

/// What a signal to the daemon asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To stop, and by which signal.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

/// The signals that the daemon listens to.
pub struct SignalStream(Signals);

impl SignalStream {
    /// Starts to listen. From now on these signals do not end the process.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Signals::new([
            Signal::SIGTERM as i32,
            Signal::SIGINT as i32,
            Signal::SIGHUP as i32,
        ])
        .map(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> Option<Asked> {
        loop {
            let number = self.0.next().await?;
            match Signal::try_from(number) {
                Ok(Signal::SIGTERM) => return Some(Asked::Stop("SIGTERM")),
                Ok(Signal::SIGINT) => return Some(Asked::Stop("SIGINT")),
                Ok(Signal::SIGHUP) => return Some(Asked::Reload),
                _ => {}
            }
        }
    }
}

/// What a signal says to a program that has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalSignal {
    /// To end; by which signal.
    End(i32),
    /// To stop for a while.
    Stop,
    /// It was stopped, and goes on.
    Continued,
}

/// The signals that a program with the terminal listens to.
pub struct TerminalSignals(Signals);

impl TerminalSignals {
    /// Starts to listen. From now on these signals neither end nor stop the process.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Signals::new([
            Signal::SIGTERM as i32,
            Signal::SIGINT as i32,
            Signal::SIGHUP as i32,
            Signal::SIGQUIT as i32,
            Signal::SIGTSTP as i32,
            Signal::SIGCONT as i32,
        ])
        .map(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> Option<TerminalSignal> {
        let number = self.0.next().await?;
        Some(match Signal::try_from(number) {
            Ok(Signal::SIGTSTP) => TerminalSignal::Stop,
            Ok(Signal::SIGCONT) => TerminalSignal::Continued,
            _ => TerminalSignal::End(number),
        })
    }
}

/// Whether this is the signal of who wants an end at once, whatever is under way.
#[must_use]
pub fn is_quit(number: i32) -> bool {
    number == Signal::SIGQUIT as i32
}

/// Stops this process until it gets SIGCONT.
pub fn stop_here() {
    // Nobody can catch SIGSTOP, and it goes to this very process: it cannot fail.
    let _ = nix::sys::signal::raise(Signal::SIGSTOP);
}

/// Ends this process as the signal does by itself, whatever was installed for it.
pub fn end_by(number: i32) {
    // It ends a moment later anyway.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}
