//! Signals as values: those that a daemon listens to, and those that matter to who has the terminal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::flag;
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

/// What ends a program with the terminal.
const ENDING: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The signals that a program with the terminal listens to. When this is dropped, those that end a program do
/// so by themselves again.
pub struct TerminalSignals {
    signals: Signals,
    /// From when on they end the process by themselves.
    is_over: Arc<AtomicBool>,
}

impl TerminalSignals {
    /// Starts to listen. From now on these signals neither end nor stop the process.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        for ending in ENDING {
            flag::register_conditional_default(ending as i32, Arc::clone(&is_over))?;
        }
        let others = [Signal::SIGTSTP, Signal::SIGCONT];
        let all = ENDING.iter().chain(&others).map(|signal| *signal as i32);
        let signals = Signals::new(all)?;
        Ok(Self { signals, is_over })
    }

    /// The same, but the third one that is to end the process does: whoever writes to a terminal that nobody
    /// reads hears of none.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen_twice() -> io::Result<Self> {
        let listening = Self::listen()?;
        let heard = Arc::new(AtomicUsize::new(0));
        for ending in ENDING {
            let (heard, is_over) = (Arc::clone(&heard), Arc::clone(&listening.is_over));
            // After the above: the second one arms what the third one meets.
            let count = move || {
                if heard.fetch_add(1, Ordering::Relaxed) > 0 {
                    is_over.store(true, Ordering::Relaxed);
                }
            };
            // SAFETY: it does nothing but count (signal-safety(7)).
            #[expect(unsafe_code, reason = "signal_hook has no safe form of this")]
            unsafe {
                signal_hook::low_level::register(ending as i32, count)?;
            }
        }
        Ok(listening)
    }

    /// The next one.
    pub async fn next(&mut self) -> Option<TerminalSignal> {
        let number = self.signals.next().await?;
        Some(match Signal::try_from(number) {
            Ok(Signal::SIGTSTP) => TerminalSignal::Stop,
            Ok(Signal::SIGCONT) => TerminalSignal::Continued,
            _ => TerminalSignal::End(number),
        })
    }
}

impl Drop for TerminalSignals {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Whether this is the signal of who wants an end at once, whatever is under way.
#[must_use]
pub fn is_quit(number: i32) -> bool {
    number == Signal::SIGQUIT as i32
}

/// Stops this process until it gets SIGCONT, as SIGTSTP does by itself: not where nobody is there who could
/// let it go on (setpgid(2), orphaned process groups).
pub fn stop_here() {
    let usual = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no code of ours, and what is put back was there before.
    #[expect(unsafe_code, reason = "sigaction(2) has no safe form")]
    unsafe {
        // If it cannot be had, the process goes on: nothing is lost by that.
        let Ok(before) = sigaction(Signal::SIGTSTP, &usual) else {
            return;
        };
        let _ = nix::sys::signal::raise(Signal::SIGTSTP);
        let _ = sigaction(Signal::SIGTSTP, &before);
    }
}

/// Ends this process as the signal does by itself, whatever was installed for it.
pub fn end_by(number: i32) {
    // It ends a moment later anyway.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}
