//! Performs what the dispatcher decided: the only place that waits for more than one thing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::checkup::{Doctor, Premises};
use super::dispatcher::Dispatcher;
use super::engine::Engine;
use super::event::{Effect, Event, Loaded};
use super::journal::Journal;
use super::reporting::Reporter;
use super::request::{Peer, Replied, Request};
use super::scan::Scanner;
use super::settings::Settings;
use super::steering_file;
use super::turns::Turns;
use super::watching::Watch;
use crate::orphan::steering::Steering;
use crate::os::clock;
use crate::os::service::ServiceManager;
use crate::wire::status;

/// A request on its way in.
#[derive(Debug)]
pub struct Asked {
    /// Who asks.
    pub peer: Peer,
    /// What.
    pub request: Request,
    /// Where the answer goes. Nobody listening any more changes nothing.
    pub answer: oneshot::Sender<Replied>,
}

/// The way in for requests.
pub type Requests = mpsc::Sender<Asked>;

/// What the supervisor runs on.
#[derive(Debug)]
pub struct Supervisor {
    /// What it says of itself.
    pub identity: status::Identity,
    /// The configuration.
    pub settings: Arc<Settings>,
    /// The way to the event log.
    pub journal: Journal,
    /// Where the event log is.
    pub state_dir: PathBuf,
    /// How many rotated segments of it are kept.
    pub keep_segments: u32,
    /// What the owner said before.
    pub steering: Steering,
    /// How often it scans by itself; never, in the client.
    pub interval: Option<Duration>,
    /// Reads the configuration again; in the client there is nothing to reload.
    pub load_config: Option<LoadConfig>,
    /// Who started the daemon and may look after it; nobody looks after the client.
    pub manager: Option<ServiceManager>,
    /// Counts how often the state may have changed.
    pub changes: watch::Sender<u64>,
    /// What the daemon stands on, as it was when it started.
    pub premises: Premises,
}

/// How long after a first scan that failed the next one begins, if the interval is not shorter: nobody
/// is served before there is one that did not.
const FIRST_SCAN_AGAIN: Duration = Duration::from_secs(5);

/// Reads the configuration afresh, from where it was read at the start. May block.
#[derive(Clone)]
pub struct LoadConfig(pub Arc<dyn Fn() -> Result<Loaded, String> + Send + Sync>);

impl std::fmt::Debug for LoadConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LoadConfig")
    }
}

/// What the owner asks of the daemon by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To stop, and why.
    Stop(String),
    /// To read the configuration again.
    Reload,
}

impl Supervisor {
    /// Runs until a command says to stop and everything under way has ended, or nobody can ask any
    /// more and nothing runs on an interval.
    pub async fn run(
        self,
        mut requests: mpsc::Receiver<Asked>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let mut dispatcher =
            Dispatcher::new(self.identity, Arc::clone(&self.settings), self.steering);
        let mut engine = Engine {
            steering_file: self
                .interval
                .map(|_| steering_file::start_writer(&self.state_dir, events.clone())),
            settings: self.settings,
            scanner: Scanner::default(),
            journal: self.journal,
            load_config: self.load_config,
            state_dir: self.state_dir,
            keep_segments: self.keep_segments,
            events: events.clone(),
            config_turn: Arc::default(),
            event_reads: Turns::of_event_reads(),
            explanations: Turns::of_explanations(),
            doctor: Doctor::new(self.premises),
            surveys: Turns::of_surveys(),
            identifications: Turns::of_identifications(),
            ways: Turns::of_ways(),
            // Who answers once and is gone needs not be told.
            watch: self.interval.map(|_| Watch::begin(events.clone())),
            waiting: HashMap::new(),
            next_ticket: 0,
            waves: JoinSet::new(),
        };
        let mut reporter = Reporter::new(self.manager);
        let mut interval = self.interval;
        let mut ticks = interval.map(|interval| ticks_every(interval.min(FIRST_SCAN_AGAIN)));
        let mut is_ready = false;
        let mut may_be_asked = true;
        let mut may_be_commanded = true;
        loop {
            let event = tokio::select! {
                _ = next_tick(&mut ticks) => Event::Tick,
                asked = requests.recv(), if may_be_asked => match asked {
                    Some(asked) => match engine.take(asked) {
                        Some(event) => event,
                        None => continue,
                    },
                    None => {
                        may_be_asked = false;
                        if ticks.is_some() {
                            continue;
                        }
                        Event::Stop { cause: "nobody asks any more".to_owned() }
                    }
                },
                Some(event) = incoming.recv() => event,
                command = commands.recv(), if may_be_commanded => match command {
                    Some(Command::Stop(cause)) => Event::Stop { cause },
                    Some(Command::Reload) => Event::ReloadAsked,
                    None => {
                        may_be_commanded = false;
                        continue;
                    }
                },
                () = reporter.is_due() => {
                    reporter.beat(&dispatcher, clock::now());
                    continue;
                }
            };
            let may_change = event.may_change_the_state();
            let is_long = matches!(event, Event::LookedUp { .. });
            let has_looked = matches!(event, Event::Scanned { .. } | Event::Looked(_));
            let now = clock::now();
            let effects = dispatcher.handle_event(event, now);
            reporter.report(&dispatcher, now);
            if has_looked && let Some(watch) = &engine.watch {
                watch.set(dispatcher.coordinators().collect(), dispatcher.workspaces());
            }
            if may_change {
                self.changes.send_modify(|changes| *changes += 1);
            }
            let mut has_recorded = false;
            for effect in effects {
                has_recorded |= matches!(effect, Effect::Record(_));
                match effect {
                    Effect::Exit => return,
                    Effect::Ready => {
                        is_ready = true;
                        reporter.ready();
                        ticks = interval.map(ticks_after);
                    }
                    Effect::Use(loaded) => {
                        interval = interval.map(|_| loaded.interval);
                        if is_ready {
                            ticks = interval.map(ticks_every);
                        }
                        engine.settings = loaded.settings;
                        engine.doctor.has_read(loaded.config);
                    }
                    Effect::Answer { ticket, answer } if has_recorded => {
                        engine.answer_after_records(ticket, answer);
                    }
                    other => engine.perform(other),
                }
            }
            if is_long {
                // Several may come at once, and others have their turns.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Ticks, the first one at once.
fn ticks_every(interval: Duration) -> tokio::time::Interval {
    let mut ticks = ticks_after(interval);
    ticks.reset_immediately();
    ticks
}

/// Ticks, the first one after the interval.
fn ticks_after(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.reset();
    // A scan slower than the interval delays the next one; ticks do not pile up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn next_tick(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
