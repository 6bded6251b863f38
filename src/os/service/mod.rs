//! What a service manager such as systemd is told, sd_notify(3), and hands over, sd_listen_fds(3).
//!
//! Must not know what there is to tell, nor when. Where nobody started us as a service nothing happens.

mod mailbox;
mod sockets;

use std::time::Duration;

use sd_notify::NotifyState;

use self::mailbox::Mailbox;
use super::host::environment;

pub use sockets::{InheritError, inherited_socket};

/// How much of a status line is shown: longer ones are cut.
const LONGEST_STATUS: usize = 400;

/// The one who started this process as a service, and may want to know how it is doing.
///
/// Nothing here waits. What it cannot take at once it is told later, with what is to be told then.
#[derive(Debug)]
pub struct ServiceManager {
    mailbox: Option<Mailbox>,
    watchdog: Option<Duration>,
    owed: Owed,
    status: String,
    is_deaf: bool,
}

/// What it has to be told and was not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Owed {
    ready: bool,
    stopping: bool,
    status: bool,
}

impl ServiceManager {
    /// The one that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC`. Perhaps there is none: then what is
    /// said to it goes nowhere.
    #[must_use]
    pub fn from_environment() -> Self {
        let place = environment("NOTIFY_SOCKET").filter(|place| !place.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Self::with(place.map(Mailbox::at), watchdog)
    }

    fn with(mailbox: Option<Mailbox>, watchdog: Option<Duration>) -> Self {
        Self {
            watchdog: watchdog.filter(|_| mailbox.is_some()),
            mailbox,
            owed: Owed::default(),
            status: String::new(),
            is_deaf: false,
        }
    }

    /// One that listens at this path, for tests.
    #[cfg(test)]
    pub(crate) fn at(place: &std::path::Path, watchdog: Option<Duration>) -> Self {
        Self::with(Some(Mailbox::at(place.into())), watchdog)
    }

    /// Within which time it wants to hear from us, again and again, if at all.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether it could not be told something that it has to know.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.owed != Owed::default()
    }

    /// The service is up.
    pub fn ready(&mut self) {
        self.owed.ready = true;
        self.tell(&[]);
    }

    /// The service works as it should: the watchdog may wait once more.
    pub fn alive(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// The service ends, and takes so long from now on unless more is asked for.
    pub fn stopping(&mut self, at_least: Duration) {
        self.owed.stopping = true;
        self.takes(at_least);
    }

    /// It takes so long from now on, whatever was the limit.
    pub fn takes(&mut self, at_least: Duration) {
        let at_least = u32::try_from(at_least.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::ExtendTimeoutUsec(at_least)]);
    }

    /// What the service is doing, in a line for people. Said only if it is another one than before.
    pub fn status(&mut self, line: &str) {
        // A line feed would end it, and what follows be taken for something else than a status.
        let printable = line
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(LONGEST_STATUS);
        let line: String = printable.collect();
        if line != self.status {
            self.status = line;
            self.owed.status = true;
        }
        if self.is_owed() {
            self.tell(&[]);
        }
    }

    /// Says what is owed, and what is only worth saying now. One that cannot be told changes nothing for us; if it
    /// waits in vain it ends us, and that is its to decide.
    fn tell(&mut self, passing: &[NotifyState<'_>]) {
        let Some(mailbox) = &mut self.mailbox else {
            self.owed = Owed::default();
            return;
        };
        let owed = [
            self.owed.status.then(|| NotifyState::Status(&self.status)),
            self.owed.ready.then_some(NotifyState::Ready),
            self.owed.stopping.then_some(NotifyState::Stopping),
        ];
        let lines: Vec<String> = owed
            .iter()
            .flatten()
            .chain(passing)
            .map(ToString::to_string)
            .collect();
        match mailbox.put(lines.join("\n").as_bytes()) {
            Ok(()) => {
                self.owed = Owed::default();
                self.is_deaf = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_deaf, true) {
                    tracing::warn!(%error, "the service manager cannot be told how the daemon is doing");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
