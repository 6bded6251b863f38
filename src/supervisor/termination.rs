//! A wave: ends all its orphans at the same time, each with whoever dies with it.
//!
//! For all of them: check under the handle → record, one flush → SIGTERM and SIGCONT → await exits
//! → check again → take in new children → record → SIGKILL → await exits. Exits are awaited through
//! the handles, with no thread and no poll per victim. Each orphan's end is reported when it comes.
//! A large wave does so in portions, each as soon as it has its turn, and all within the same seconds.

mod case;
mod gather;
mod orders;
mod owner;
mod portions;
mod survey;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use self::case::{Case, Looked, Victim, await_exits_of, gone, is_exiting, send, spare, who_stays};
use self::gather::{GatheringCase, Newcomers, gather_all};
pub use self::orders::{Orders, Wave};
use self::portions::portions;
pub use self::survey::survey;
use super::journal::Journal;
use super::scan::{Look, Scanner, lock, on_blocking_pool};
use super::settings::Settings;
use crate::orphan::escalation::{Audit, Escalation, Failure, Input, Outcome, Step};
use crate::orphan::event::{Actor, Event, Signal};
use crate::orphan::judge::judge;
use crate::orphan::process::Pid;
use crate::orphan::registry::Sighting;
use crate::orphan::termination::{Reach, Termination};
use crate::orphan::victims::Relation;
use crate::os::facts;

/// How long looking at the processes around the orphans may take.
pub(super) const SNAPSHOT_LIMIT: Duration = Duration::from_secs(10);

/// How long ago a check may have begun when the signal goes out …
const STALE_AFTER: Duration = Duration::from_millis(250);
/// … if it can be made again so often. After that it counts how long ago it was over, so that a machine
/// that takes its time ends orphans, too: with a little more room for each of many.
const LOOKS_AGAIN: usize = 3;
const TOO_OLD_AFTER: Duration = Duration::from_secs(1);
const ROOM_FOR_EACH: Duration = Duration::from_millis(2);

/// So many portions are checked and signalled at the same time: one has its checks while another's records
/// are written.
const PORTIONS_AT_ONCE: usize = 2;

/// Why an orphan is spared that the daemon may not end by itself any more.
pub const REAPING_HELD: &str = "reaping_held";
/// The same, for what it is an orphan for by now.
pub const REASON_NOT_LISTED: &str = "reason_not_listed";
/// The same: it was patient with another case.
pub const REASON_CHANGED: &str = "reason_changed";

/// Runs a wave to its end. Every target's [`Termination`] goes to `ended`, as soon as it is known.
pub async fn run(
    wave: Wave,
    scanner: Scanner,
    journal: Journal,
    ended: mpsc::UnboundedSender<Termination>,
) {
    let runner = Runner {
        started: Instant::now(),
        wave_actor: wave.actor,
        own_pid: wave.own_pid,
        orders: wave.orders,
        settings: wave.settings,
        scanner,
        journal,
        ended,
        turns: Semaphore::new(PORTIONS_AT_ONCE),
        slow: Mutex::default(),
    };
    let portions = portions(wave.targets).await;
    join_all(portions.into_iter().map(|targets| runner.end(targets))).await;
}

/// The end of an orphan whose wave broke off: nothing more is known of it than before.
#[must_use]
pub fn lost(sighting: Sighting, actor: Actor) -> Termination {
    Termination {
        sighting,
        outcome: Outcome::Spared {
            why: "interrupted".to_owned(),
        },
        reach: None,
        members: Vec::new(),
        left_behind: Vec::new(),
        elapsed: Duration::ZERO,
        unrecorded: false,
        actor,
        starter: None,
    }
}

struct Runner {
    started: Instant,
    wave_actor: Actor,
    own_pid: Pid,
    orders: watch::Receiver<Arc<Orders>>,
    settings: Arc<Settings>,
    scanner: Scanner,
    journal: Journal,
    ended: mpsc::UnboundedSender<Termination>,
    /// For the portions of the wave: at checking and signalling.
    turns: Semaphore,
    /// Who has kept the wave waiting, and is not read again.
    slow: Mutex<BTreeSet<Pid>>,
}

impl Runner {
    /// Ends these orphans, checked, recorded and signalled together.
    async fn end(&self, targets: Vec<Sighting>) {
        let cases = targets
            .into_iter()
            .filter_map(|sighting| {
                let reason = sighting.verdict.orphan_reason()?.clone();
                Some((sighting, reason))
            })
            .map(|(sighting, reason)| Case {
                sighting,
                reason,
                escalation: Escalation::new(Audit::Required),
                actor: self.wave_actor,
                victims: Vec::new(),
                left_behind: Vec::new(),
                leader_row: None,
                starter: None,
                unrecorded: None,
                recorded: None,
                look: Looked::at(self.started),
            })
            .collect();
        let survivors = self.pass(Signal::Term, cases).await;
        let rest = self.pass(Signal::Kill, survivors).await;
        debug_assert!(
            rest.is_empty(),
            "every escalation ends with its second signal"
        );
    }

    /// One round: check, record, signal, await. Returns the cases that have to go on.
    async fn pass(&self, signal: Signal, mut cases: Vec<Case>) -> Vec<Case> {
        if cases.is_empty() {
            return cases;
        }
        // Nobody closes it. Those that wait for exits need none.
        let turn = self.turns.acquire().await;
        for case in &mut cases {
            case.recorded = None;
        }
        let orders = self.orders();
        let cases = join_all(cases.into_iter().map(|case| self.check(case))).await;
        let cases = self.report_ended(cases);
        let newcomers = match signal {
            Signal::Term => Newcomers::WhoeverBelongs,
            Signal::Kill => Newcomers::Children,
        };
        let cases = self.gather_victims(newcomers, cases).await;
        let cases = self.heed_owner(cases);
        let mut cases = self.report_ended(cases);
        self.record(signal, &mut cases).await;
        let mut cases = self.report_ended(cases);
        cases = self.look_again(orders, cases).await;
        // Nothing is awaited between this and the signals: what the owner was answered by now holds.
        let cases = self.heed_owner(cases);
        let mut cases = self.report_ended(cases);
        for case in &mut cases {
            send(signal, case);
        }
        drop(turn);
        let cases = self.report_ended(cases);
        self.await_exits(signal, cases).await
    }

    /// One that hangs, or a slow disk, held up all of them: the world may have moved on. Or who is kept, or a
    /// coordinator, is another question by now than under `orders`. Checks again until neither is so, and
    /// gives up on whom that does not help.
    async fn look_again(&self, mut orders: Arc<Orders>, mut cases: Vec<Case>) -> Vec<Case> {
        for _ in 0..LOOKS_AGAIN {
            let now = self.orders();
            let is_asked_anew = !now.ask_the_same_as(&orders);
            orders = now;
            let is_due = |case: &Case| is_asked_anew || case.look.began.elapsed() > STALE_AFTER;
            if !cases.iter().any(is_due) {
                return cases;
            }
            // Whoever was looked at just now does not wait for the slow ones again.
            let looks = cases.into_iter().map(|case| async move {
                match is_asked_anew || case.look.began.elapsed() > STALE_AFTER {
                    true => self.check(case).await,
                    false => case,
                }
            });
            let again = join_all(looks).await;
            let again = self.report_ended(again);
            // Their members too; whoever is new by now has no record.
            let again = self.gather_victims(Newcomers::Nobody, again).await;
            cases = self.report_ended(again);
        }
        let is_asked_anew = !self.orders().ask_the_same_as(&orders);
        let many = u32::try_from(cases.len()).unwrap_or(u32::MAX);
        let too_old = TOO_OLD_AFTER.saturating_add(ROOM_FOR_EACH.saturating_mul(many));
        for case in &mut cases {
            if is_asked_anew || case.look.over.elapsed() > too_old {
                let detail = "checks_take_too_long".to_owned();
                case.escalation.advance(Input::CheckUnavailable { detail });
            }
        }
        self.report_ended(cases)
    }

    /// Reads the orphan again under its handle: the same process, the same program, still an
    /// orphan, still nobody we must not touch. Leaves the escalation as it is if all of that holds.
    async fn check(&self, case: Case) -> Case {
        let began = Instant::now();
        let mut case = self.checked(case).await;
        case.look = Looked {
            began,
            over: Instant::now(),
        };
        case
    }

    async fn checked(&self, mut case: Case) -> Case {
        if case
            .orphan()
            .is_some_and(|orphan| !orphan.handle.is_alive())
        {
            return gone(case);
        }
        let identity = case.identity();
        let (look, handle) = self
            .scanner
            .look(identity.pid, &case.sighting.memory, &self.settings)
            .await;
        // Asked after everything was read: while the pinned process lives, nobody else has its pid,
        // so what was read is its own.
        let pinned = case.orphan().map(|orphan| Arc::clone(&orphan.handle));
        let still_there = match (&pinned, &handle) {
            (Some(pinned), _) => pinned.is_alive(),
            (None, Some(handle)) => handle.is_alive(),
            (None, None) => !matches!(look, Look::Gone),
        };
        if !still_there {
            return gone(case);
        }
        let observation = match look {
            Look::Coordinator(observation) => *observation,
            // Another process has the pid by now, so ours is gone.
            Look::NotOne(record) if record.identity != identity => {
                case.escalation.advance(Input::Gone);
                return case;
            }
            Look::NotOne(_) | Look::Gone => {
                let process = pinned.as_deref().or(handle.as_ref());
                if is_exiting(identity.pid, process, self.settings.probe_timeout).await {
                    return gone(case);
                }
                return spare(case, "program_changed");
            }
            Look::Unreadable(error) => {
                tracing::warn!(pid = identity.pid, %error, "an orphan could not be checked again");
                let detail = "process_unreadable".to_owned();
                case.escalation.advance(Input::CheckUnavailable { detail });
                return case;
            }
        };
        if observation.record.identity != identity {
            case.escalation.advance(Input::Gone);
            return case;
        }
        if observation.coordinator != case.sighting.observation.coordinator {
            return spare(case, "program_changed");
        }
        let verdict = judge(
            &observation.coordinator.workspace,
            &observation.evidence,
            &case.sighting.memory,
            &self.settings.ephemeral,
        );
        case.sighting.memory.learn(&observation.evidence);
        case.sighting.observation = observation;
        case.sighting.verdict = verdict;
        if case.sighting.verdict.orphan_reason().is_none() {
            let why = case.sighting.verdict.reason();
            return spare(case, &why);
        }
        match self.on_whose_behalf(&case) {
            Ok(actor) => case.actor = actor,
            Err(why) => return spare(case, &why),
        }
        if case.victims.is_empty() {
            let Some(handle) = handle else {
                return spare(case, "process_unreadable");
            };
            case.victims.push(Victim::new(handle, identity.pid, None));
        }
        case
    }

    /// Finds out who dies with each orphan, pins them and checks each again: the last part of the
    /// check. Before the second signal it takes in what pinned members have started meanwhile.
    async fn gather_victims(&self, newcomers: Newcomers, mut cases: Vec<Case>) -> Vec<Case> {
        if cases.is_empty() {
            return cases;
        }
        let settings = self.with_forms_of_now();
        let (own_pid, orders) = (self.own_pid, self.orders());
        // The handles go to the blocking pool and come back; if they do not, nobody is signalled.
        let sent: Vec<GatheringCase> = cases.iter_mut().map(GatheringCase::take).collect();
        let mut slow = lock(&self.slow).clone();
        let gathered = on_blocking_pool(SNAPSHOT_LIMIT, move || {
            let own = facts::lineage(own_pid);
            let peers = orders.demands.iter().map(|demand| &demand.peer.lineage);
            let lineage = peers.fold(own, |all, peer| all.with(peer));
            let keeps = &orders.steering.keeps;
            let gathered = gather_all(sent, &mut slow, lineage, keeps, newcomers, &settings);
            (gathered, slow)
        })
        .await;
        let Some((gathered, slow)) = gathered else {
            return cases
                .into_iter()
                .map(|mut case| {
                    let detail = "process_table_unreadable".to_owned();
                    case.escalation.advance(Input::CheckUnavailable { detail });
                    case
                })
                .collect();
        };
        lock(&self.slow).extend(slow);
        for (case, found) in cases.iter_mut().zip(gathered) {
            found.give_back(case);
        }
        cases
    }

    /// Writes down every signal that is about to be sent, with one flush for the wave.
    async fn record(&self, signal: Signal, cases: &mut [Case]) {
        let events: Vec<Event> = cases
            .iter()
            .flat_map(|case| {
                case.victims
                    .iter()
                    .filter(|victim| victim.is_open())
                    .map(move |victim| Event::Signal {
                        subject: case.subject(),
                        target: victim.pid,
                        signal,
                        grounds: case.sighting.grounds(),
                        actor: case.actor,
                    })
            })
            .collect();
        if events.is_empty() {
            return;
        }
        let written = self.journal.record_and_flush(events).await;
        for case in cases {
            let Err(error) = &written else {
                case.recorded = Some(case.actor);
                case.escalation.advance(Input::Recorded);
                continue;
            };
            case.recorded = None;
            case.unrecorded = Some(error.to_string());
            // Whoever asks for it gets it all the same; who has asked and does not any more is heeded below.
            case.escalation
                .set_audit(match (self.asked_for_by(case), case.actor) {
                    (None, Actor::Auto) => Audit::Required,
                    _ => Audit::Wanted,
                });
            case.escalation.advance(Input::NotRecorded);
        }
    }

    /// Waits until each case's victims are gone, or its time is over, whichever comes first.
    async fn await_exits(&self, signal: Signal, cases: Vec<Case>) -> Vec<Case> {
        let limit = match signal {
            Signal::Term => self.settings.sigterm_wait,
            Signal::Kill => self.settings.sigkill_wait,
        };
        let deadline = Instant::now() + limit;
        let mut waiting: FuturesUnordered<_> = cases
            .into_iter()
            .map(|case| await_exits_of(case, deadline))
            .collect();
        let mut survivors = Vec::new();
        while let Some(case) = waiting.next().await {
            survivors.extend(self.report_ended(vec![case]));
        }
        survivors
    }

    /// Reports the cases that have their outcome, and keeps the others.
    fn report_ended(&self, cases: Vec<Case>) -> Vec<Case> {
        let (ended, open): (Vec<Case>, Vec<Case>) = cases
            .into_iter()
            .partition(|case| case.escalation.outcome().is_some());
        for case in ended {
            // The supervisor outlives its waves; if it is gone, nobody is left to tell.
            let _ = self.ended.send(self.termination(case));
        }
        open
    }

    fn termination(&self, case: Case) -> Termination {
        let mut outcome = match case.escalation.step() {
            Step::Finish(outcome) => outcome,
            _ => Outcome::Spared {
                why: "unfinished".to_owned(),
            },
        };
        if let Outcome::Failed { error, detail, .. } = &mut outcome {
            match error {
                Failure::AliveAfterSigkill => *detail = who_stays(&case),
                Failure::AuditUnavailable => detail.clone_from(&case.unrecorded),
                Failure::PermissionDenied | Failure::CheckUnavailable => {}
            }
        }
        let is_spared = matches!(outcome, Outcome::Spared { .. });
        let is_untouched = case.victims.iter().all(|one| one.signalled.is_none());
        let members = case.victims.get(1..).unwrap_or_default();
        let relation = |wanted| {
            members.iter().any(|victim| {
                victim.signalled.is_some()
                    && victim
                        .member
                        .is_some_and(|member| member.relation == wanted)
            })
        };
        Termination {
            reach: if is_spared && is_untouched {
                None
            } else if relation(Relation::Descendant) {
                Some(Reach::Tree)
            } else if relation(Relation::Group) {
                Some(Reach::Group)
            } else {
                Some(Reach::Process)
            },
            members: members.iter().map(Victim::end).collect(),
            outcome,
            left_behind: case.left_behind,
            elapsed: self.started.elapsed(),
            unrecorded: case.unrecorded.is_some(),
            actor: case.actor,
            starter: case.starter,
            sighting: case.sighting,
        }
    }
}
