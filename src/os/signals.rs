//! SIGTERM, SIGINT and SIGHUP as values.

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
