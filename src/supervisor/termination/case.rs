//! One orphan on its way to its end: the pinned processes, signalling them, awaiting their exits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::orphan::escalation::{Escalation, Input};
use crate::orphan::event::{Actor, Signal, Subject};
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::Sighting;
use crate::orphan::termination::{MemberEnd, Starter, subject};
use crate::orphan::verdict::OrphanReason;
use crate::orphan::victims::{LeftBehind, Member, Row};
use crate::os::facts;
use crate::os::handle::{Delivery, ProcessHandle, SignalNumber};
use crate::supervisor::scan::on_blocking_pool;

/// One pinned process of an escalation: the orphan or a member.
pub(super) struct Victim {
    pub(super) handle: Arc<ProcessHandle>,
    pub(super) pid: Pid,
    pub(super) member: Option<Member>,
    pub(super) signalled: Option<Signal>,
    pub(super) refused: Option<String>,
    pub(super) spared: bool,
    pub(super) exited: bool,
}

impl Victim {
    pub(super) fn new(handle: ProcessHandle, pid: Pid, member: Option<Member>) -> Self {
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
    pub(super) fn is_open(&self) -> bool {
        !self.exited && self.refused.is_none() && !self.spared
    }

    pub(super) fn end(&self) -> MemberEnd {
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
pub(super) struct Case {
    pub(super) sighting: Sighting,
    /// What it was an orphan for when the wave began.
    pub(super) reason: OrphanReason,
    pub(super) escalation: Escalation,
    /// On whose behalf it is ended, as of the last check.
    pub(super) actor: Actor,
    /// The orphan first, then its members; empty until it is pinned.
    pub(super) victims: Vec<Victim>,
    pub(super) left_behind: Vec<LeftBehind>,
    pub(super) leader_row: Option<Row>,
    pub(super) starter: Option<Starter>,
    pub(super) unrecorded: Option<String>,
    /// On whose behalf its next signal is on record, if it is.
    pub(super) recorded: Option<Actor>,
    /// When the orphan itself was checked last.
    pub(super) look: Looked,
}

/// When a check was made.
#[derive(Clone, Copy)]
pub(super) struct Looked {
    pub(super) began: Instant,
    pub(super) over: Instant,
}

impl Looked {
    pub(super) fn at(moment: Instant) -> Self {
        Self {
            began: moment,
            over: moment,
        }
    }
}

impl Case {
    pub(super) fn identity(&self) -> ProcessIdentity {
        self.sighting.identity()
    }

    pub(super) fn subject(&self) -> Subject {
        subject(&self.sighting)
    }

    pub(super) fn orphan(&self) -> Option<&Victim> {
        self.victims.first()
    }

    pub(super) fn is_gone(&self) -> bool {
        !self.victims.iter().any(Victim::is_open)
    }

    pub(super) fn pinned(&self) -> BTreeSet<Pid> {
        self.victims.iter().map(|victim| victim.pid).collect()
    }
}

pub(super) fn spare(mut case: Case, why: &str) -> Case {
    case.escalation.advance(Input::CheckFailed {
        why: why.to_owned(),
    });
    case
}

/// The orphan is gone; what it leaves is checked member by member.
pub(super) fn gone(mut case: Case) -> Case {
    if let Some(orphan) = case.victims.first_mut() {
        orphan.exited = true;
    }
    if case.is_gone() {
        case.escalation.advance(Input::Gone);
    }
    case
}

/// Whether a process that shows no coordinator any more shows no program at all, because it is on
/// its way out: the kernel takes the argv away a moment before the process counts as exited, and on
/// a machine under load that moment can be long.
pub(super) async fn is_exiting(pid: Pid, handle: Option<&ProcessHandle>, limit: Duration) -> bool {
    let Some(handle) = handle else {
        return false;
    };
    match on_blocking_pool(limit, move || facts::argv(pid)).await {
        None => return false,
        // Asked afterwards: if it is gone by now, that argv may be another process's.
        Some(Ok(argv)) if !argv.is_empty() && handle.is_alive() => return false,
        Some(_) => {}
    }
    let exit = tokio::time::timeout(limit, handle.exited()).await;
    matches!(exit, Ok(Ok(())))
}

pub(super) fn who_stays(case: &Case) -> Option<String> {
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
pub(super) fn send(signal: Signal, case: &mut Case) {
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

pub(super) async fn await_exits_of(mut case: Case, deadline: Instant) -> Case {
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
