//! A wave: ends all its orphans at the same time, each with whoever dies with it.
//!
//! For all of them: check under the handle → record, one flush → SIGTERM and SIGCONT → await exits
//! → check again → take in new children → record → SIGKILL → await exits. Exits are awaited through
//! the handles, with no thread and no poll per victim. Each orphan's end is reported when it comes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::journal::Journal;
use super::scan::{Look, Scanner, on_blocking_pool};
use super::settings::Settings;
use crate::orphan::escalation::{Audit, Escalation, Failure, Input, Outcome, Step};
use crate::orphan::event::{Actor, Event, Signal, Subject};
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::Sighting;
use crate::orphan::termination::{MemberEnd, Reach, Termination, subject};
use crate::orphan::verdict::judge;
use crate::orphan::victims::{
    LeftBehind, Member, Protected, Relation, Row, Victims, Why, select, still_belongs,
};
use crate::os::facts;
use crate::os::handle::{Delivery, ProcessHandle, SignalNumber};

/// How long looking at the processes around the orphans may take.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(10);

/// What a wave is to do.
#[derive(Debug)]
pub struct Wave {
    /// The orphans, as the scan saw them.
    pub targets: Vec<Sighting>,
    /// Who wants it.
    pub actor: Actor,
    /// What an event log that cannot be written means.
    pub audit: Audit,
    /// Processes whose lineage is protected: the daemon, the peer.
    pub protected: Vec<Pid>,
    /// The configuration it runs under to its end.
    pub settings: Arc<Settings>,
}

/// One pinned process of an escalation: the orphan or a member.
struct Victim {
    handle: Arc<ProcessHandle>,
    pid: Pid,
    member: Option<Member>,
    signalled: Option<Signal>,
    refused: Option<String>,
    spared: bool,
    exited: bool,
}

impl Victim {
    fn new(handle: ProcessHandle, pid: Pid, member: Option<Member>) -> Self {
        Self {
            handle: Arc::new(handle),
            pid,
            member,
            signalled: None,
            refused: None,
            spared: false,
            exited: false,
        }
    }

    /// Whether it has still to be signalled and waited for.
    fn is_open(&self) -> bool {
        !self.exited && self.refused.is_none() && !self.spared
    }

    fn end(&self) -> MemberEnd {
        MemberEnd {
            pid: self.pid,
            outcome: match self {
                Self {
                    exited: true,
                    signalled: None,
                    ..
                } => "missing",
                Self { exited: true, .. } => "exited",
                Self {
                    refused: Some(_), ..
                } => "permission_denied",
                Self {
                    signalled: Some(Signal::Kill),
                    ..
                } => "alive_after_sigkill",
                _ => "spared",
            },
            signal: self.signalled,
        }
    }
}

/// One orphan on its way to its end.
struct Case {
    sighting: Sighting,
    escalation: Escalation,
    /// The orphan first, then its members; empty until it is pinned.
    victims: Vec<Victim>,
    left_behind: Vec<LeftBehind>,
    leader_row: Option<Row>,
    unrecorded: Option<String>,
}

impl Case {
    fn identity(&self) -> ProcessIdentity {
        self.sighting.identity()
    }

    fn subject(&self) -> Subject {
        subject(&self.sighting)
    }

    fn orphan(&self) -> Option<&Victim> {
        self.victims.first()
    }

    fn is_gone(&self) -> bool {
        !self.victims.iter().any(Victim::is_open)
    }

    fn pinned(&self) -> BTreeSet<Pid> {
        self.victims.iter().map(|victim| victim.pid).collect()
    }
}

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
        protected_seeds: wave.protected,
        settings: wave.settings,
        scanner,
        journal,
        ended,
    };
    let cases = wave
        .targets
        .into_iter()
        .map(|sighting| Case {
            sighting,
            escalation: Escalation::new(wave.audit),
            victims: Vec::new(),
            left_behind: Vec::new(),
            leader_row: None,
            unrecorded: None,
        })
        .collect();
    let survivors = runner.pass(Signal::Term, cases).await;
    let rest = runner.pass(Signal::Kill, survivors).await;
    debug_assert!(
        rest.is_empty(),
        "every escalation ends with its second signal"
    );
}

/// The end of an orphan whose wave broke off: nothing more is known of it than before.
#[must_use]
pub fn lost(sighting: Sighting, actor: Actor) -> Termination {
    Termination {
        sighting,
        outcome: Outcome::Spared {
            why: "interrupted".to_owned(),
        },
        reach: Reach::Process,
        members: Vec::new(),
        left_behind: Vec::new(),
        elapsed: Duration::ZERO,
        unrecorded: false,
        actor,
    }
}

struct Runner {
    started: Instant,
    wave_actor: Actor,
    protected_seeds: Vec<Pid>,
    settings: Arc<Settings>,
    scanner: Scanner,
    journal: Journal,
    ended: mpsc::UnboundedSender<Termination>,
}

impl Runner {
    /// One round: check, record, signal, await. Returns the cases that have to go on.
    async fn pass(&self, signal: Signal, cases: Vec<Case>) -> Vec<Case> {
        if cases.is_empty() {
            return cases;
        }
        let cases = join_all(cases.into_iter().map(|case| self.check(case))).await;
        let cases = self.report_ended(cases);
        let cases = self.gather_victims(cases).await;
        let mut cases = self.report_ended(cases);
        self.record(signal, &mut cases).await;
        let mut cases = self.report_ended(cases);
        for case in &mut cases {
            send(signal, case);
        }
        let cases = self.report_ended(cases);
        self.await_exits(signal, cases).await
    }

    /// Reads the orphan again under its handle: the same process, the same program, still an
    /// orphan, still nobody we must not touch. Leaves the escalation as it is if all of that holds.
    async fn check(&self, mut case: Case) -> Case {
        if case
            .orphan()
            .is_some_and(|orphan| !orphan.handle.is_alive())
        {
            // The orphan is gone; what it leaves is checked member by member.
            case.victims[0].exited = true;
            if case.is_gone() {
                case.escalation.advance(Input::Gone);
            }
            return case;
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
            case.escalation.advance(Input::Gone);
            return case;
        }
        let observation = match look {
            Look::Coordinator(observation) => *observation,
            // Another process has the pid by now, so ours is gone.
            Look::NotOne(record) if record.identity != identity => {
                case.escalation.advance(Input::Gone);
                return case;
            }
            Look::NotOne(_) | Look::Gone => return spare(case, "program_changed"),
            Look::Unreadable(error) => {
                tracing::warn!(pid = identity.pid, %error, "an orphan could not be checked again");
                return spare(case, "process_unreadable");
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
        let workspace = case.sighting.observation.evidence.workspace.as_deref();
        if workspace.is_some_and(|workspace| self.settings.protects(workspace)) {
            return spare(case, "protected");
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
    async fn gather_victims(&self, mut cases: Vec<Case>) -> Vec<Case> {
        if cases.is_empty() {
            return cases;
        }
        let settings = Arc::clone(&self.settings);
        let seeds = self.protected_seeds.clone();
        // The handles go to the blocking pool and come back; if they do not, nobody is signalled.
        let sent: Vec<GatheringCase> = cases.iter_mut().map(GatheringCase::take).collect();
        let gathered =
            on_blocking_pool(SNAPSHOT_LIMIT, move || gather_all(sent, &seeds, &settings)).await;
        let Some(gathered) = gathered else {
            return cases
                .into_iter()
                .map(|case| spare(case, "process_table_unreadable"))
                .collect();
        };
        for (case, found) in cases.iter_mut().zip(gathered) {
            found.give_back(case);
        }
        cases
    }

    /// Writes down every signal that is about to be sent, with one flush for the wave.
    async fn record(&self, signal: Signal, cases: &mut [Case]) {
        let actor = self.wave_actor;
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
                        evidence: Box::new(case.sighting.observation.evidence.clone()),
                        actor,
                    })
            })
            .collect();
        if events.is_empty() {
            return;
        }
        let written = self.journal.record_and_flush(events).await;
        for case in cases {
            case.escalation.advance(match &written {
                Ok(()) => Input::Recorded,
                Err(error) => {
                    case.unrecorded = Some(error.to_string());
                    Input::NotRecorded
                }
            });
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
            .map(|case| await_case(case, deadline))
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
                Failure::PermissionDenied => {}
            }
        }
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
            reach: if relation(Relation::Descendant) {
                Reach::Tree
            } else if relation(Relation::Group) {
                Reach::Group
            } else {
                Reach::Process
            },
            members: members.iter().map(Victim::end).collect(),
            outcome,
            left_behind: case.left_behind,
            elapsed: self.started.elapsed(),
            unrecorded: case.unrecorded.is_some(),
            actor: self.wave_actor,
            sighting: case.sighting,
        }
    }
}

fn spare(mut case: Case, why: &str) -> Case {
    case.escalation.advance(Input::CheckFailed {
        why: why.to_owned(),
    });
    case
}

fn who_stays(case: &Case) -> Option<String> {
    let words: Vec<String> = case
        .victims
        .iter()
        .filter(|victim| victim.is_open())
        .map(|victim| {
            let state =
                facts::why_it_stays(victim.pid).unwrap_or_else(|| "state unknown".to_owned());
            format!("pid {} is {state}", victim.pid)
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Signals every open victim of a case, the orphan first so that it starts nothing anew.
fn send(signal: Signal, case: &mut Case) {
    let mut refused = None;
    let mut sent = false;
    for (index, victim) in case.victims.iter_mut().enumerate() {
        if !victim.is_open() {
            continue;
        }
        let number = match signal {
            Signal::Term => SignalNumber::Term,
            Signal::Kill => SignalNumber::Kill,
        };
        match victim.handle.signal(number) {
            Delivery::Sent => {
                victim.signalled = Some(signal);
                sent = true;
            }
            Delivery::Gone => victim.exited = true,
            Delivery::Refused(error) => {
                victim.refused = Some(error.to_string());
                if index == 0 {
                    refused = Some(error.to_string());
                    break;
                }
            }
        }
        if signal == Signal::Term {
            // A stopped process sees SIGTERM only when it goes on. A refusal changes nothing.
            let _ = victim.handle.signal(SignalNumber::Continue);
        }
    }
    case.escalation.advance(match refused {
        Some(detail) => Input::Refused { detail },
        None if sent => Input::Sent,
        None => Input::Gone,
    });
}

async fn await_case(mut case: Case, deadline: Instant) -> Case {
    let handles: Vec<(usize, Arc<ProcessHandle>)> = case
        .victims
        .iter()
        .enumerate()
        .filter(|(_, victim)| victim.is_open())
        .map(|(index, victim)| (index, Arc::clone(&victim.handle)))
        .collect();
    let mut exits: FuturesUnordered<_> = handles
        .iter()
        .map(|(index, handle)| async move { (*index, handle.exited().await) })
        .collect();
    let all_gone = async {
        while let Some((index, result)) = exits.next().await {
            match result {
                Ok(()) => case.victims[index].exited = true,
                Err(error) => {
                    // Without a watch the end of the wait decides.
                    tracing::warn!(pid = case.victims[index].pid, %error, "an exit cannot be awaited");
                    std::future::pending::<()>().await;
                }
            }
        }
    };
    let in_time = tokio::time::timeout_at(deadline, all_gone).await.is_ok();
    drop(exits);
    for victim in &mut case.victims {
        victim.exited |= !victim.handle.is_alive();
    }
    let gone = in_time || case.is_gone();
    case.escalation
        .advance(if gone { Input::Gone } else { Input::WaitOver });
    case
}

/// The part of a case that goes to the blocking pool.
struct GatheringCase {
    sighting_pid: Pid,
    victims: Vec<Victim>,
    leader_row: Option<Row>,
    pinned: BTreeSet<Pid>,
    left_behind: Vec<LeftBehind>,
    spare: Option<&'static str>,
}

impl GatheringCase {
    fn take(case: &mut Case) -> Self {
        Self {
            sighting_pid: case.identity().pid,
            pinned: case.pinned(),
            victims: std::mem::take(&mut case.victims),
            leader_row: case.leader_row.take(),
            left_behind: Vec::new(),
            spare: None,
        }
    }

    fn give_back(self, case: &mut Case) {
        case.victims = self.victims;
        case.leader_row = self.leader_row;
        if !self.left_behind.is_empty() || case.left_behind.is_empty() {
            case.left_behind = self.left_behind;
        }
        case.escalation.advance(match self.spare {
            Some(why) => Input::CheckFailed {
                why: why.to_owned(),
            },
            None if case.is_gone() => Input::Gone,
            None => Input::CheckPassed,
        });
    }
}

fn gather_all(
    mut cases: Vec<GatheringCase>,
    seeds: &[Pid],
    settings: &Settings,
) -> Vec<GatheringCase> {
    let Ok(family) = facts::family_table() else {
        for case in &mut cases {
            case.spare = Some("process_table_unreadable");
        }
        return cases;
    };
    let protected = Protected {
        lineage: seeds
            .iter()
            .flat_map(|pid| facts::lineage(*pid, &family))
            .collect(),
        kept: BTreeSet::new(),
        targets: cases.iter().map(|case| case.sighting_pid).collect(),
    };
    // Who belongs to two orphans ends with the first.
    let mut claimed: HashSet<ProcessIdentity> = cases
        .iter()
        .flat_map(|case| &case.victims)
        .filter_map(|victim| victim.member.map(|member| member.identity))
        .collect();
    for case in &mut cases {
        if protected.lineage.contains(&case.sighting_pid) {
            case.spare = Some(Why::ProtectedAncestor.word());
            continue;
        }
        recheck_members(case, &family, settings);
        take_in(case, &family, &protected, settings, &mut claimed);
    }
    cases
}

/// Members that were pinned before: still the same owner, still nothing to be protected.
fn recheck_members(
    case: &mut GatheringCase,
    family: &BTreeMap<Pid, (Pid, Pid)>,
    settings: &Settings,
) {
    let orphan = case.sighting_pid;
    let Some(uid) = case
        .leader_row
        .as_ref()
        .and_then(|row| row.uids.first().copied())
    else {
        return;
    };
    let pinned = case.pinned.clone();
    for victim in &mut case.victims {
        let Some(member) = victim.member else {
            continue;
        };
        match facts::pinned_row(&victim.handle, victim.pid, &settings.forms) {
            Ok(row) => {
                // Its parent may have exited since, of the same signal: adoption is no change.
                let adopted = !family.contains_key(&member.ppid);
                victim.spared = !still_belongs(&member, orphan, uid, &row, &pinned) && !adopted;
            }
            Err(facts::PinError::Gone) => victim.exited = true,
            Err(_) => victim.spared = true,
        }
    }
}

/// Pins whoever belongs to the orphan now and is not pinned yet.
fn take_in(
    case: &mut GatheringCase,
    family: &BTreeMap<Pid, (Pid, Pid)>,
    protected: &Protected,
    settings: &Settings,
    claimed: &mut HashSet<ProcessIdentity>,
) {
    let orphan = case.sighting_pid;
    let mut family = std::borrow::Cow::Borrowed(family);
    let leader_is_alive = case
        .victims
        .first()
        .is_some_and(|victim| victim.handle.is_alive());
    if !leader_is_alive {
        match &case.leader_row {
            // While a group has members, its leader's pid is given to nobody else.
            Some(row) if row.pgid == orphan && !family.contains_key(&orphan) => {
                family.to_mut().insert(orphan, (row.ppid, row.pgid));
            }
            _ => return,
        }
    }
    let mut snapshot = facts::snapshot_around(orphan, &family, &settings.forms);
    match (&case.leader_row, leader_is_alive) {
        (Some(row), false) => {
            snapshot.insert(orphan, row.clone());
        }
        _ => case.leader_row = snapshot.get(&orphan).cloned(),
    }
    let Victims {
        members,
        left_behind,
    } = select(&snapshot, orphan, settings.scope, protected);
    case.left_behind = left_behind;
    let uid = case
        .leader_row
        .as_ref()
        .and_then(|row| row.uids.first().copied());
    let mut pinned = case.pinned.clone();
    for member in members {
        let pid = member.identity.pid;
        if pinned.contains(&pid) || !claimed.insert(member.identity) {
            continue;
        }
        match (
            pin_member(&member, orphan, uid, &pinned, settings),
            snapshot.get(&pid),
        ) {
            (Ok(Some(handle)), _) => {
                pinned.insert(pid);
                case.victims.push(Victim::new(handle, pid, Some(member)));
            }
            (Err(why), Some(row)) => case.left_behind.push(LeftBehind {
                pid,
                cmdline: row.cmdline.clone(),
                why,
            }),
            (Ok(None), _) | (Err(_), None) => {}
        }
    }
    case.pinned = pinned;
}

/// A handle on a member that is certainly still the one of the snapshot; none if it is gone.
fn pin_member(
    member: &Member,
    orphan: Pid,
    uid: Option<u32>,
    pinned: &BTreeSet<Pid>,
    settings: &Settings,
) -> Result<Option<ProcessHandle>, Why> {
    let pid = member.identity.pid;
    let Ok(handle) = ProcessHandle::open(pid) else {
        return Ok(None);
    };
    match facts::pinned_row(&handle, pid, &settings.forms) {
        Ok(row) if uid.is_some_and(|uid| still_belongs(member, orphan, uid, &row, pinned)) => {
            Ok(Some(handle))
        }
        Ok(_) => Err(Why::Changed),
        Err(facts::PinError::Gone) => Ok(None),
        Err(_) => Err(Why::Unreadable),
    }
}
