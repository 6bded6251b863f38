//! What the service manager hears of the daemon: that it is up, that it goes on, what it does, and that it ends.
//!
//! Decides nothing about the daemon, and is fed by nobody but its loop: a loop that stands still says nothing.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::dispatcher::Dispatcher;
use crate::orphan::clock::Now;
use crate::os::service::ServiceManager;

/// How many times within the watchdog's time it is fed: one or two may come late.
const FEEDS: u32 = 3;
/// How often more time is asked for while kills in progress are finished.
const DRAIN_BEAT: Duration = Duration::from_secs(10);
/// How much, then and during a first scan: several beats, and what is left to do afterwards.
const ALLOWANCE: Duration = Duration::from_secs(40);
/// How soon something is said again that the service manager could not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Speaks to the service manager. In the client there is none.
pub(super) struct Reporter {
    manager: Option<ServiceManager>,
    beats: Option<Interval>,
    is_stopping: bool,
    is_stalled: bool,
}

impl Reporter {
    pub(super) fn new(manager: Option<ServiceManager>) -> Self {
        let watchdog = manager.as_ref().and_then(ServiceManager::watchdog);
        Self {
            manager,
            beats: watchdog.map(|limit| every(limit / FEEDS)),
            is_stopping: false,
            is_stalled: false,
        }
    }

    /// Waits until it is time for [`Self::beat`].
    pub(super) async fn is_due(&mut self) {
        let is_owed = self.manager.as_ref().is_some_and(ServiceManager::is_owed);
        match &mut self.beats {
            Some(beats) => {
                beats.tick().await;
            }
            None if is_owed => sleep(AGAIN).await,
            None => std::future::pending().await,
        }
    }

    /// Says that the loop goes round, if it does any good.
    pub(super) fn beat(&mut self, dispatcher: &Dispatcher, now: Now) {
        let Some(manager) = &mut self.manager else {
            return;
        };
        if dispatcher.is_stopping() || dispatcher.is_scanning_first() {
            manager.takes(ALLOWANCE);
        }
        let is_stalled = dispatcher.is_stalled(now);
        if is_stalled && !self.is_stalled && manager.watchdog().is_some() {
            tracing::error!(
                "no scan has ended for too long: the service manager is to start the daemon anew"
            );
        }
        self.is_stalled = is_stalled;
        if !is_stalled {
            manager.alive();
        }
    }

    /// Says what has changed.
    pub(super) fn report(&mut self, dispatcher: &Dispatcher, now: Now) {
        let Some(manager) = &mut self.manager else {
            return;
        };
        if dispatcher.is_stopping() && !self.is_stopping {
            self.is_stopping = true;
            manager.stopping(ALLOWANCE);
            let beat = manager
                .watchdog()
                .map_or(DRAIN_BEAT, |limit| DRAIN_BEAT.min(limit / FEEDS));
            self.beats = Some(every(beat));
        }
        manager.status(&dispatcher.headline(now));
    }

    /// Says that the daemon is up.
    pub(super) fn ready(&mut self) {
        if let Some(manager) = &mut self.manager {
            tracing::info!("ready");
            manager.ready();
        }
    }
}

fn every(period: Duration) -> Interval {
    // An interval of nothing is refused.
    let mut beats = interval(period.max(Duration::from_millis(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::orphan::fixtures::{clock, now};
    use crate::orphan::steering::Steering;
    use crate::supervisor::event::{Around, Event};
    use crate::supervisor::settings::Settings;
    use crate::wire::results::Source;
    use crate::wire::status::Identity;

    /// A daemon that has not looked yet.
    fn unready() -> Dispatcher {
        let identity = Identity {
            source: Source::Daemon,
            pid: 500,
            socket: None,
            config: None,
            started: now(),
        };
        let settings = Settings::new(&Config::default(), &|_| None, 1000);
        Dispatcher::new(identity, Arc::new(settings), Steering::default())
    }

    /// One whose first scan has just ended.
    fn dispatcher() -> Dispatcher {
        let mut dispatcher = unready();
        dispatcher.handle_event(Event::Tick, clock());
        let scanned = Event::Scanned {
            observations: Ok(Vec::new()),
            around: Around::default(),
            took: Duration::ZERO,
        };
        dispatcher.handle_event(scanned, clock());
        dispatcher
    }

    fn later(by: Duration) -> Now {
        let mut now = clock();
        now.moment = now.moment.after(by);
        now
    }

    fn heard(mailbox: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| {
            let length = mailbox.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
        .collect()
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_as_long_as_scans_end_and_while_kills_are_finished() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let mailbox = UnixDatagram::bind(&place).unwrap();
        mailbox.set_nonblocking(true).unwrap();
        let manager = ServiceManager::at(&place, Some(Duration::from_secs(60)));
        let mut reporter = Reporter::new(Some(manager));
        let mut dispatcher = dispatcher();

        reporter.beat(&dispatcher, clock());
        assert_eq!(heard(&mailbox), ["WATCHDOG=1"]);
        reporter.beat(&dispatcher, later(Duration::from_secs(60)));
        assert_eq!(heard(&mailbox), ["WATCHDOG=1"]);
        reporter.beat(&dispatcher, later(Duration::from_secs(61)));
        assert_eq!(heard(&mailbox), [""; 0], "no scan has ended for too long");

        let cause = "SIGTERM".to_owned();
        dispatcher.handle_event(Event::Stop { cause }, clock());
        reporter.report(&dispatcher, clock());
        reporter.report(&dispatcher, clock());
        assert_eq!(
            heard(&mailbox),
            [
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000",
                "STATUS=stopping"
            ]
        );
        reporter.beat(&dispatcher, later(Duration::from_hours(1)));
        assert_eq!(
            heard(&mailbox),
            ["EXTEND_TIMEOUT_USEC=40000000", "WATCHDOG=1"],
            "nobody looks any more, and nobody is to"
        );
    }

    #[tokio::test]
    async fn a_first_scan_is_given_its_time_and_one_that_failed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let mailbox = UnixDatagram::bind(&place).unwrap();
        mailbox.set_nonblocking(true).unwrap();
        let manager = ServiceManager::at(&place, Some(Duration::from_secs(60)));
        let mut reporter = Reporter::new(Some(manager));
        let mut dispatcher = unready();
        dispatcher.handle_event(Event::Tick, clock());
        reporter.beat(&dispatcher, later(Duration::from_mins(2)));
        assert_eq!(
            heard(&mailbox),
            ["EXTEND_TIMEOUT_USEC=40000000", "WATCHDOG=1"]
        );
        let failed = Event::Scanned {
            observations: Err("no process table".to_owned()),
            around: Around::default(),
            took: Duration::ZERO,
        };
        dispatcher.handle_event(failed, clock());
        dispatcher.handle_event(Event::Tick, clock());
        reporter.beat(&dispatcher, clock());
        assert_eq!(heard(&mailbox), ["WATCHDOG=1"]);
    }

    #[tokio::test]
    async fn in_the_client_nobody_is_told_anything() {
        let mut reporter = Reporter::new(None);
        let dispatcher = dispatcher();
        reporter.beat(&dispatcher, clock());
        reporter.report(&dispatcher, clock());
        reporter.ready();
        let due = tokio::time::timeout(Duration::from_millis(10), reporter.is_due());
        assert!(due.await.is_err(), "there is nothing to wait for");
    }
}
