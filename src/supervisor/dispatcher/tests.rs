//! The dispatcher as a table: each event in each state, and the long stories.

mod any_order;
mod facts;
mod fixing;
mod health;
mod noticing;
mod reaping;
mod reloading;
mod scanning;
mod stopping;
mod table;

use std::collections::HashMap;

use super::*;
use crate::config::Config;
use crate::orphan::escalation::{Failure, Outcome};
use crate::orphan::event::Actor;
use crate::orphan::fixtures::{
    ORIGINAL, RECREATED, Seen, clock, exists, healthy, missing, now, without_witness,
};
use crate::orphan::process::Pid;
use crate::orphan::registry::{Observation, Sighting};
use crate::orphan::termination::{Reach, Termination};
use crate::orphan::victims::Lineage;
use crate::supervisor::event::Around;
use crate::supervisor::request::{Peer, Request, Selection};
use crate::supervisor::selection::Stranger;
use crate::supervisor::termination::Wave;
use crate::wire::event::record;

const DAEMON_PID: Pid = 500;
const TOOK: Duration = Duration::from_millis(12);
const KILLED: Outcome = Outcome::Killed {
    sigkill_required: false,
};
fn peer() -> Peer {
    Peer {
        uid: 1000,
        pid: Some(600),
        lineage: Arc::new(lineage_of(&[600, 1])),
    }
}

fn lineage_of(pids: &[Pid]) -> Lineage {
    Lineage {
        pids: pids.iter().copied().collect(),
        open_above: None,
    }
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings::new(&Config::default(), &|_| None, 1000))
}

fn identity(source: Source) -> Identity {
    Identity {
        source,
        pid: DAEMON_PID,
        socket: Some("/run/control.sock".into()),
        config: None,
        started: now() - Duration::from_secs(60),
    }
}

fn alive(pid: Pid) -> Observation {
    healthy().observed(pid)
}

fn orphan(pid: Pid) -> Observation {
    without_witness()
        .log(Seen::Deleted)
        .path(missing())
        .observed(pid)
}

fn young_ephemeral(pid: Pid) -> Observation {
    let mut seen = without_witness()
        .at("/tmp/team-agent-test-1/ws")
        .observed(pid);
    seen.record.started_at = now() - Duration::from_secs(599);
    seen
}

fn named(pid: Pid) -> Selection {
    Selection {
        pids: vec![pid],
        ..Selection::default()
    }
}

/// A dispatcher, and what it wanted done.
struct Daemon {
    dispatcher: Dispatcher,
    answers: HashMap<Ticket, Answer>,
    waves: Vec<Wave>,
}

type Answer = Result<Value, Refusal>;

impl Daemon {
    fn new(source: Source) -> Self {
        Self {
            dispatcher: Dispatcher::new(identity(source), settings(), Steering::default()),
            answers: HashMap::new(),
            waves: Vec::new(),
        }
    }

    /// One whose first scan, of these, is done.
    fn ready(seen: Vec<Observation>) -> Self {
        let mut daemon = Self::new(Source::Daemon);
        daemon.take(Event::Tick);
        daemon.scanned(seen);
        daemon
    }

    /// One that scans.
    fn scanning(seen: Vec<Observation>) -> Self {
        let mut daemon = Self::ready(seen);
        assert_eq!(daemon.take(Event::Tick), ["scan"]);
        daemon
    }

    /// One that ends these orphans for ticket 1.
    fn fixing(seen: Vec<Observation>) -> Self {
        let mut daemon = Self::ready(seen.clone());
        daemon.fix(1, Selection::default());
        daemon.scanned(seen);
        assert_eq!(daemon.waves.len(), 1);
        daemon
    }

    /// What one event brings about, in words.
    fn take(&mut self, event: Event) -> Vec<String> {
        let effects = self.dispatcher.handle_event(event, clock());
        effects
            .into_iter()
            .map(|effect| self.perform(effect))
            .collect()
    }

    fn perform(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Scan { .. } => "scan".to_owned(),
            Effect::Look(targets) => {
                let pids: Vec<Pid> = targets.iter().map(|(identity, _)| identity.pid).collect();
                format!("look at {pids:?}")
            }
            Effect::Terminate(wave) => {
                let pids: Vec<Pid> = wave
                    .targets
                    .iter()
                    .map(|target| target.identity().pid)
                    .collect();
                self.waves.push(wave);
                format!("end {pids:?}")
            }
            Effect::Record(facts) => {
                let facts: Vec<String> = facts.iter().map(in_words).collect();
                format!("record {}", facts.join(", "))
            }
            Effect::Answer { ticket, answer } => {
                let word = match &answer {
                    Ok(_) => "ok".to_owned(),
                    Err(Refusal::ShuttingDown) => "shutting down".to_owned(),
                    Err(refusal) => refusal.to_string(),
                };
                let before = self.answers.insert(ticket, answer);
                assert!(before.is_none(), "{ticket} is answered twice");
                format!("answer {ticket}: {word}")
            }
            Effect::Explain {
                ticket, pid, known, ..
            } => {
                let known = known.map(|known| known.identity().pid);
                format!("explain {pid} to {ticket}, known as {known:?}")
            }
            Effect::CheckUp { ticket, running } => {
                format!("check up for {ticket}, {} known", running.targets.len())
            }
            Effect::ReadEvents { ticket, .. } => format!("read events for {ticket}"),
            Effect::LoadConfig { ticket } => format!("load configuration for {ticket:?}"),
            Effect::Use(_) => "use configuration".to_owned(),
            Effect::Protect(_) => "protect more".to_owned(),
            Effect::Survey {
                ticket,
                orphans,
                spared,
                ..
            } => {
                let pids: Vec<Pid> = orphans.iter().map(|one| one.identity().pid).collect();
                let spared: String = spared
                    .iter()
                    .map(|(pid, why)| format!(", {pid} is {why}"))
                    .collect();
                format!("survey {pids:?} for {ticket}{spared}")
            }
            Effect::LookUp { ticket, pids } => format!("look up {pids:?} for {ticket}"),
            Effect::Identify { ticket, what, .. } => format!("identify {what} for {ticket}"),
            Effect::Keep { answer, .. } => match answer {
                Some((ticket, _)) => format!("keep and answer {ticket}"),
                None => "keep".to_owned(),
            },
            Effect::TryAudit => "try to record".to_owned(),
            Effect::SayView(obstacles) => format!("say {} obstacles", obstacles.len()),
            Effect::SayRespawn { workspace, .. } => format!("say {workspace:?} is respawned"),
            Effect::GoOn => "go on".to_owned(),
            Effect::Ready => "ready".to_owned(),
            Effect::Exit => "exit".to_owned(),
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) -> Vec<String> {
        self.take(Event::Asked {
            ticket,
            peer: peer(),
            request,
        })
    }

    fn fix(&mut self, ticket: Ticket, selection: Selection) -> Vec<String> {
        self.ask(ticket, Request::Fix { selection })
    }

    fn scanned(&mut self, seen: Vec<Observation>) -> Vec<String> {
        self.take(Event::Scanned {
            observations: Ok(seen),
            around: clear(),
            took: TOOK,
        })
    }

    fn scan_failed(&mut self) -> Vec<String> {
        self.take(Event::Scanned {
            observations: Err("no process table".to_owned()),
            around: clear(),
            took: TOOK,
        })
    }

    /// The last wave's end of this orphan.
    fn ended(&mut self, pid: Pid, outcome: Outcome) -> Vec<String> {
        let sighting = self
            .waves
            .iter()
            .flat_map(|wave| &wave.targets)
            .rfind(|target| target.identity().pid == pid)
            .unwrap()
            .clone();
        self.take(Event::Ended(Box::new(termination(sighting, outcome))))
    }

    /// Those are nobody's pids.
    fn looked_up<const N: usize>(&mut self, ticket: Ticket, pids: [Pid; N]) -> Vec<String> {
        let strangers = pids.map(Stranger::Nobody).into();
        self.take(Event::LookedUp { ticket, strangers })
    }

    fn stop(&mut self) -> Vec<String> {
        self.take(Event::Stop {
            cause: "SIGTERM".to_owned(),
        })
    }

    fn result(&self, ticket: Ticket) -> &Value {
        self.answers[&ticket].as_ref().unwrap()
    }

    fn status(&mut self) -> Value {
        let ticket = 9_000 + u64::try_from(self.answers.len()).unwrap();
        self.ask(ticket, Request::Status);
        self.result(ticket).clone()
    }
}

/// Nothing hides anything.
fn clear() -> Around {
    Around {
        obstacles: Some(Vec::new()),
        ..Around::default()
    }
}

/// Whom the fixes of this moment protect, from every wave.
fn guarded(wave: &Wave) -> Vec<Arc<Lineage>> {
    let orders = wave.orders.borrow();
    let demands = orders.demands.iter();
    demands
        .map(|demand| Arc::clone(&demand.peer.lineage))
        .collect()
}

fn termination(sighting: Sighting, outcome: Outcome) -> Termination {
    Termination {
        sighting,
        outcome,
        reach: Some(Reach::Process),
        members: Vec::new(),
        left_behind: Vec::new(),
        elapsed: Duration::from_millis(70),
        unrecorded: false,
        actor: Actor::Peer {
            uid: peer().uid,
            pid: peer().pid,
        },
        starter: None,
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        error: Failure::AliveAfterSigkill,
        detail: None,
        sigkill_attempted: true,
    }
}

fn spared(why: &str) -> Outcome {
    Outcome::Spared {
        why: why.to_owned(),
    }
}

/// A fact by the name of its record, with the pid it is about.
fn in_words(fact: &Fact) -> String {
    let (name, fields) = record(fact);
    match name.starts_with("orphan.") {
        true => format!("{name} {}", fields["pid"]),
        false => name.to_owned(),
    }
}

/// The pids in a list of a result.
fn pids_in(result: &Value, list: &str) -> Vec<u64> {
    result[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["pid"].as_u64().unwrap())
        .collect()
}
