//! Decides what happens next: an event comes in, effects come out. Synchronous; no clock but the
//! time it is given, no I/O.
//!
//! Owns all state of the daemon: the registry, the terminations under way, who waits for what.

mod asking;
mod ending;
mod fixing;
mod health;
mod noticing;
mod reaping;
mod scanning;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use self::asking::Waiting;
use self::ending::Lost;
use self::fixing::Fixing;
use self::noticing::Touched;
use super::event::{Effect, Event, Loaded, Ticket};
use super::request::Refusal;
use super::settings::Settings;
use super::termination::Orders;
use crate::orphan::clock::{Moment, Now};
use crate::orphan::event::Event as Fact;
use crate::orphan::evidence::FileId;
use crate::orphan::policy::Policy;
use crate::orphan::process::ProcessIdentity;
use crate::orphan::registry::{Cleared, Registry, Sighting, Transition};
use crate::orphan::steering::Steering;
use crate::orphan::termination::subject;
use crate::orphan::view::Obstacle;
use crate::os::panics;
use crate::wire::results::{self, Source};
use crate::wire::status::{self, Counters, Identity, LastScan, StatusReport};

/// The state of the daemon.
#[derive(Debug)]
pub struct Dispatcher {
    identity: Identity,
    settings: Arc<Settings>,
    registry: Registry,
    policy: Policy,
    /// For the waves under way: what holds by now holds for them too.
    orders: watch::Sender<Arc<Orders>>,
    /// What the owner said, or the breaker, could not be written down.
    is_steering_owed: bool,
    obstacles: Vec<Obstacle>,
    is_scanning: bool,
    /// That is no scan, but a look at some.
    is_looking: bool,
    /// It became time for a scan meanwhile.
    is_tick_due: bool,
    /// To be looked at as soon as nobody looks.
    touched: Touched,
    /// Were deleted since the last look began.
    deleted: Vec<FileId>,
    scan_began: Option<Moment>,
    scan_lag: Duration,
    /// Waits for the scan that runs.
    scanned_for: Vec<(Ticket, Waiting)>,
    /// For whom a scan has ended.
    due: VecDeque<(Ticket, Waiting)>,
    /// Came while a scan ran: waits for the next, which sees the world after the request.
    queued: Vec<(Ticket, Waiting)>,
    ending: BTreeSet<ProcessIdentity>,
    /// Left the scans while they are being ended.
    unsaid: BTreeMap<ProcessIdentity, Lost>,
    /// Ended while a scan ran, which may have seen them alive before.
    ended_meanwhile: HashSet<ProcessIdentity>,
    fixing: Vec<Fixing>,
    last_scan: Option<LastScan>,
    /// When a scan last gave a result.
    last_look: Option<Moment>,
    /// Why the newest scan gave none.
    scan_problem: Option<String>,
    counters: Counters,
    has_begun: bool,
    is_ready: bool,
    stopping: Option<String>,
    /// It was told to stop a second time.
    is_hurried: bool,
    has_left: bool,
}

impl Dispatcher {
    /// A daemon that has seen nothing yet.
    #[must_use]
    pub fn new(identity: Identity, settings: Arc<Settings>, steering: Steering) -> Self {
        let orders = Orders {
            steering: Arc::new(steering.clone()),
            settings: Arc::clone(&settings),
            is_view_obstructed: false,
            demands: Vec::new(),
        };
        Self {
            identity,
            settings,
            registry: Registry::default(),
            orders: watch::Sender::new(Arc::new(orders)),
            policy: Policy::new(steering),
            is_steering_owed: false,
            obstacles: Vec::new(),
            is_scanning: false,
            is_looking: false,
            is_tick_due: false,
            touched: Touched::new(),
            deleted: Vec::new(),
            scan_began: None,
            scan_lag: Duration::ZERO,
            scanned_for: Vec::new(),
            due: VecDeque::new(),
            queued: Vec::new(),
            ending: BTreeSet::new(),
            unsaid: BTreeMap::new(),
            ended_meanwhile: HashSet::new(),
            fixing: Vec::new(),
            last_scan: None,
            last_look: None,
            scan_problem: None,
            counters: Counters::default(),
            has_begun: false,
            is_ready: false,
            stopping: None,
            is_hurried: false,
            has_left: false,
        }
    }

    /// Takes in one event.
    pub fn handle_event(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Tick => self.tick(now, &mut effects),
            Event::Scanned {
                observations,
                around,
                took,
            } => self.scanned(observations, around, took, now, &mut effects),
            Event::Deleted(directory) => self.deleted.push(directory),
            Event::Touched(touched) => self.touched(touched, &mut effects),
            Event::Exited(identity) => self.exited(&identity, now, &mut effects),
            Event::Looked(observations) => self.looked(observations, now, &mut effects),
            Event::Asked {
                ticket,
                peer,
                request,
            } => self.asked(ticket, peer, request, now, &mut effects),
            Event::LookedUp { ticket, strangers } => {
                self.looked_up(ticket, strangers, now, &mut effects);
            }
            Event::ReloadAsked => effects.push(Effect::LoadConfig { ticket: None }),
            Event::Identified {
                ticket,
                what,
                is_kept,
                found,
            } => self.identified(ticket, &what, is_kept, found, &mut effects),
            Event::Kept { answer, result } => self.kept(answer, result, &mut effects),
            Event::GoOn => self.serve_some(now, &mut effects),
            Event::AuditIsBack => self.policy.audit_is_back(),
            Event::Reloaded { ticket, result } => {
                self.reloaded(ticket, result, now, &mut effects);
            }
            Event::Ended(termination) => self.ended(*termination, now, &mut effects),
            Event::Stop { cause } => self.stop(cause, &mut effects),
        }
        self.leave_if_done(&mut effects);
        effects
    }

    /// From now on this holds, for what is under way too.
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.orders.send_if_modified(|orders| {
            let mut next = Orders::clone(orders);
            change(&mut next);
            // What says the same again disturbs nobody who goes by it.
            let is_another = !next.says_the_same_as(orders);
            if is_another {
                *orders = Arc::new(next);
            }
            is_another
        });
    }

    fn note(&mut self, transitions: Vec<Transition>, now: Now, effects: &mut Vec<Effect>) {
        let mut facts = Vec::new();
        for transition in transitions {
            match transition {
                Transition::Detected(sighting) => {
                    // It was away while it is being ended, and nobody has said so.
                    if let Some(lost) = self.unsaid.remove(&sighting.identity()) {
                        let before = &lost.sighting.observation.coordinator;
                        if *before == sighting.observation.coordinator {
                            // It was only out of sight, and is the same orphan: nothing was said, nor is.
                            continue;
                        }
                        facts.push(self.lost(lost, true, now));
                    }
                    self.counters.detected += 1;
                    facts.push(Fact::Detected {
                        subject: subject(&sighting),
                        grounds: sighting.grounds(),
                    });
                }
                // What we end ourselves is reported as killed.
                Transition::Cleared {
                    sighting,
                    was,
                    cause: Cleared::Exited,
                } if self.ending.contains(&sighting.identity()) => {
                    let identity = sighting.identity();
                    self.unsaid.insert(identity, Lost { sighting, was });
                }
                Transition::Cleared {
                    sighting,
                    was,
                    cause,
                } => facts.push(self.cleared(&sighting, was, cause, now)),
            }
        }
        if !facts.is_empty() {
            effects.push(Effect::Record(facts));
        }
    }

    fn cleared(&mut self, sighting: &Sighting, was: String, cause: Cleared, now: Now) -> Fact {
        self.counters.cleared += 1;
        self.policy.cleared(sighting, &was, now);
        let still_runs = cause == Cleared::VerdictChanged;
        let mut subject = subject(sighting);
        let reason_now = still_runs.then(|| std::mem::take(&mut subject.reason));
        subject.reason = was;
        Fact::Cleared {
            subject,
            cause,
            now: reason_now,
        }
    }

    /// All or nothing: what is under way goes on as it began.
    fn reloaded(
        &mut self,
        ticket: Option<Ticket>,
        result: Result<Box<Loaded>, String>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match result {
            Ok(loaded) => {
                self.settings = Arc::clone(&loaded.settings);
                self.order(|orders| orders.settings = Arc::clone(&loaded.settings));
                self.identity.config.clone_from(&loaded.file);
                effects.push(Effect::Record(vec![Fact::ConfigReloaded {
                    file: loaded.file.clone(),
                }]));
                let settings = Arc::clone(&loaded.settings);
                let others = self
                    .registry
                    .forget_others(|known| settings.covers_evidence(&known.observation.evidence));
                self.note(others, now, effects);
                effects.push(Effect::Use(loaded));
                Ok(results::reloaded(self.identity.config.as_deref()))
            }
            Err(problem) => {
                effects.push(Effect::Record(vec![Fact::ConfigRejected {
                    problem: problem.clone(),
                }]));
                Err(Refusal::ConfigRejected(problem))
            }
        };
        if let Some(ticket) = ticket {
            effects.push(Effect::Answer { ticket, answer });
        }
    }

    /// The first time, what is under way is finished. The second time nobody waits for that: whoever
    /// had SIGTERM keeps all its time, and the next daemon says that this one left.
    fn stop(&mut self, cause: String, effects: &mut Vec<Effect>) {
        if let Some(before) = &self.stopping {
            if !self.is_hurried {
                self.is_hurried = true;
                self.stopping = Some(format!("{before}, then {cause}"));
                self.give_up_fixes(effects);
            }
            return;
        }
        self.stopping = Some(cause);
        let waiting = self.due.drain(..);
        let waiting = waiting.chain(self.scanned_for.drain(..));
        let waiting = waiting.chain(self.queued.drain(..));
        effects.extend(waiting.map(|(ticket, _)| Effect::Answer {
            ticket,
            answer: Err(Refusal::ShuttingDown),
        }));
    }

    fn leave_if_done(&mut self, effects: &mut Vec<Effect>) {
        if self.stopping.is_none() || self.has_left {
            return;
        }
        if self.ending.is_empty() {
            self.give_up_strangers(effects);
        }
        let is_done = self.ending.is_empty() && self.fixing.is_empty();
        if let Some(cause) = &self.stopping
            && (is_done || self.is_hurried)
        {
            if self.identity.source == Source::Daemon {
                let stopped = Fact::DaemonStopped {
                    pid: self.identity.pid,
                    cause: cause.clone(),
                };
                effects.push(Effect::Record(vec![stopped]));
            }
            effects.push(Effect::Exit);
            self.has_left = true;
        }
    }

    fn scan_facts(&self, now: Now) -> results::ScanFacts {
        let last = self.last_scan.as_ref();
        results::ScanFacts {
            source: self.identity.source,
            now: now.wall,
            took: last.map_or(Duration::ZERO, |scan| scan.took),
            unread: last.map_or(0, |scan| scan.unread),
        }
    }

    fn status(&self, now: Now) -> Value {
        status::status(&self.report(now))
    }

    fn report(&self, now: Now) -> StatusReport<'_> {
        StatusReport {
            identity: &self.identity,
            registry: &self.registry,
            policy: &self.policy,
            rules: &self.settings.reap,
            terminate: status::Ending {
                scope: self.settings.scope,
                sigterm_wait: self.settings.sigterm_wait,
                sigkill_wait: self.settings.sigkill_wait,
            },
            obstacles: &self.obstacles,
            ending: &self.ending,
            last_scan: self.last_scan.as_ref(),
            counters: &self.counters,
            panics: panics::count(),
            now,
        }
    }
}

#[cfg(test)]
mod tests;
