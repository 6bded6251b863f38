//! What somebody asks for and nobody knows at once: it is found out beside the loop, so many at a time.

use std::collections::BTreeSet;
use std::path::Component;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Engine;
use crate::event_log::{self, EventsJson};
use crate::orphan::evidence::normalised;
use crate::orphan::memory::Memory;
use crate::orphan::policy::Standing;
use crate::orphan::process::Pid;
use crate::orphan::registry::{Observation, Registry, Sighting};
use crate::orphan::steering::{Kept, Steering};
use crate::orphan::victims::{Company, Lineage};
use crate::os::handle::{OpenError, ProcessHandle};
use crate::os::{clock, facts};
use crate::supervisor::checkup::{Running, Subject};
use crate::supervisor::event::{Event, Found, Ticket};
use crate::supervisor::journal::words;
use crate::supervisor::request::{Refusal, Reply};
use crate::supervisor::run::Asked;
use crate::supervisor::scan::{Look, on_blocking_pool};
use crate::supervisor::selection::{NOT_SEEN, OUTSIDE_WORKSPACE_ROOTS, Spared, Stranger};
use crate::supervisor::settings::{Settings, with_real_paths};
use crate::supervisor::{termination, ways};
use crate::wire::{company, explain, results};

/// How long reading the event log may take.
const EVENTS_LIMIT: Duration = Duration::from_secs(10);

/// So much of it is given at once, in bytes; a single record always is.
const EVENTS_MOST_BYTES: usize = 4 << 20;

/// How long looking up all those may take whom one fix names and no scan shows.
const STRANGERS_LIMIT: Duration = Duration::from_secs(10);

impl Engine {
    /// What somebody asks for: known at once, or as soon as it is known where its paths lead.
    pub(in crate::supervisor) fn take(&mut self, asked: Asked) -> Option<Event> {
        let Asked {
            peer,
            mut request,
            answer,
        } = asked;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, answer);
        let told = move |request| Event::Asked {
            ticket,
            peer,
            request,
        };
        if request.workspaces_mut().is_empty() {
            return Some(told(request));
        }
        let events = self.events.clone();
        let (limit, turns) = (self.settings.probe_timeout, self.ways.clone());
        let (inner, answered) = oneshot::channel();
        let answer = self.waiting.insert(ticket, inner);
        tokio::spawn(async move {
            let unfollowed = ways::follow(&mut request, &turns, limit).await;
            let _ = events.send(told(request));
            if let (Ok(mut answered), Some(answer)) = (answered.await, answer) {
                if let Ok(Reply::Value(result)) = &mut answered {
                    results::add_unfollowed(result, &unfollowed);
                }
                let _ = answer.send(answered);
            }
        });
        None
    }

    pub(super) fn explain(
        &mut self,
        ticket: Ticket,
        pid: Pid,
        known: Option<Box<Sighting>>,
        standing: Option<Standing>,
        steering: Arc<Steering>,
    ) {
        let Some(answer) = self.waiting.remove(&ticket) else {
            return;
        };
        let (scanner, settings) = (self.scanner.clone(), Arc::clone(&self.settings));
        let turn = self.explanations.clone().next();
        tokio::spawn(async move {
            let _turn = match turn.await {
                Ok(turn) => turn,
                Err(refusal) => {
                    let _ = answer.send(Err(refusal));
                    return;
                }
            };
            let memory = known
                .as_ref()
                .map(|known| known.memory.clone())
                .unwrap_or_default();
            let (look, _handle) = scanner.look(pid, &memory, &settings).await;
            let known = known.as_deref();
            let in_words = |seen| explained(seen, known, standing.as_ref(), &steering, &settings);
            let result = match look {
                Look::Gone => Err(Refusal::NoSuchProcess(pid)),
                Look::NotOne(record) => Ok(explain::stranger(&record)),
                Look::Coordinator(observation) => Ok(in_words(*observation)),
                Look::Unreadable(error) => match unread(pid, known, &error, &settings).await {
                    Some(observation) => Ok(in_words(observation)),
                    None => Ok(explain::unreadable(pid, &error.to_string())),
                },
            };
            let _ = answer.send(result.map(Reply::Value));
        });
    }

    pub(super) fn look_up(&self, ticket: Ticket, pids: BTreeSet<Pid>) {
        let (scanner, settings) = (self.scanner.clone(), Arc::clone(&self.settings));
        let (events, turn) = (self.events.clone(), self.explanations.clone().next());
        tokio::spawn(async move {
            let all = pids.clone();
            let look = tokio::spawn(async move {
                let _turn = turn.await.ok()?;
                let (mut others, there): (Vec<Stranger>, Vec<Pid>) = who_is_there(pids).await?;
                let give_up = Instant::now() + STRANGERS_LIMIT;
                for pid in there {
                    // Who holds this up for long leaves the others unread.
                    let look = match Instant::now() < give_up {
                        true => Some(scanner.look(pid, &Memory::default(), &settings).await.0),
                        false => None,
                    };
                    others.push(stranger(pid, look, &settings));
                }
                Some(others)
            });
            // Whatever came of it, the fix is answered.
            let strangers = look.await.ok().flatten();
            let unknown = || all.into_iter().map(Stranger::Unknown).collect();
            let strangers = strangers.unwrap_or_else(unknown);
            let _ = events.send(Event::LookedUp { ticket, strangers });
        });
    }

    pub(super) fn identify(&self, ticket: Ticket, what: Kept, is_kept: bool) {
        let events = self.events.clone();
        let limit = self.settings.probe_timeout;
        let turn = self.identifications.clone().next();
        tokio::spawn(async move {
            let asked = what.clone();
            let look = async {
                let turn = turn.await?;
                let found = on_blocking_pool(limit, move || {
                    // Held until it has an answer: one that hangs keeps its thread, and its turn.
                    let _turn = turn;
                    find(&asked)
                });
                let late = "it could not be looked up in time";
                found
                    .await
                    .unwrap_or_else(|| Err(Refusal::Internal(late.to_owned())))
            };
            let found = look.await;
            let _ = events.send(Event::Identified {
                ticket,
                what,
                is_kept,
                found,
            });
        });
    }

    pub(super) fn check_up(&mut self, ticket: Ticket, mut running: Running) {
        let Some(answer) = self.waiting.remove(&ticket) else {
            return;
        };
        running.scans.hanging = self.scanner.hanging();
        let subject = Subject {
            running,
            state_dir: self.state_dir.clone(),
            journal: self.journal.clone(),
            load_config: self.load_config.clone(),
        };
        let doctor = self.doctor.clone();
        tokio::spawn(async move {
            let _ = answer.send(Ok(doctor.of_the_daemon(subject).await.into()));
        });
    }

    pub(super) fn survey(
        &mut self,
        ticket: Ticket,
        mut scan: serde_json::Value,
        orphans: Vec<Sighting>,
        spared: Vec<(Pid, String)>,
        (own_pid, peer, steering): (Pid, Arc<Lineage>, Arc<Steering>),
    ) {
        let Some(answer) = self.waiting.remove(&ticket) else {
            return;
        };
        let settings = Arc::clone(&self.settings);
        let turn = self.surveys.clone().next();
        tokio::spawn(async move {
            let pids: Vec<Pid> = orphans.iter().map(|one| one.identity().pid).collect();
            let found = async {
                let turn = turn.await.ok()?;
                let survey = move || {
                    let _turn = turn;
                    let lineage = facts::lineage(own_pid).with(&peer);
                    termination::survey(&orphans, lineage, &steering, &settings)
                };
                on_blocking_pool(termination::SNAPSHOT_LIMIT, survey).await
            };
            let found = timeout(termination::SNAPSHOT_LIMIT, found).await;
            let found = found.ok().flatten().unwrap_or_default();
            // What was not found out in time is not known of any of them.
            let found = found.iter().map(Option::as_ref);
            let found = found.chain(std::iter::repeat(None));
            let spared = spared
                .into_iter()
                .map(|(pid, why)| (pid, Company::of_spared(why)));
            let spared: Vec<_> = spared.collect();
            let spared = spared.iter().map(|(pid, company)| (*pid, Some(company)));
            company::add(&mut scan, pids.into_iter().zip(found).chain(spared));
            let _ = answer.send(Ok(scan.into()));
        });
    }

    pub(super) fn read_events(&mut self, ticket: Ticket, query: event_log::Query) {
        let Some(answer) = self.waiting.remove(&ticket) else {
            return;
        };
        let turn = self.event_reads.clone().next();
        let (state_dir, keep) = (self.state_dir.clone(), self.keep_segments);
        tokio::spawn(async move {
            let turn = match turn.await {
                Ok(turn) => turn,
                Err(refusal) => {
                    let _ = answer.send(Err(refusal));
                    return;
                }
            };
            let read = on_blocking_pool(EVENTS_LIMIT, move || {
                let _turn = turn;
                event_log::read_json(&state_dir, keep, &query, EVENTS_MOST_BYTES).map(as_result)
            });
            let result = match read.await {
                Some(Ok(result)) => Ok(Reply::Json(result)),
                Some(Err(error)) => Err(Refusal::Internal(words(&error).0)),
                None => Err(Refusal::Internal(
                    "the event log gave no answer in time".to_owned(),
                )),
            };
            let _ = answer.send(result);
        });
    }
}

/// As `events` answers it.
fn as_result(EventsJson { array, is_cut }: EventsJson) -> String {
    let cut = if is_cut { r#","truncated":true"# } else { "" };
    format!(r#"{{"events":{array}{cut}}}"#)
}

/// Sorts out the pids that nobody has, which takes no turn of anybody who has to be looked at.
async fn who_is_there(pids: BTreeSet<Pid>) -> Option<(Vec<Stranger>, Vec<Pid>)> {
    let sort_out = move || {
        let is_there = |pid: &Pid| !matches!(ProcessHandle::open(*pid), Err(OpenError::Gone));
        let (there, gone): (Vec<Pid>, Vec<Pid>) = pids.into_iter().partition(is_there);
        (gone.into_iter().map(Stranger::Nobody).collect(), there)
    };
    on_blocking_pool(STRANGERS_LIMIT, sort_out).await
}

/// Who has this pid; that nobody could be looked at says nothing of it.
fn stranger(pid: Pid, look: Option<Look>, settings: &Settings) -> Stranger {
    match look {
        None => Stranger::Unknown(pid),
        Some(Look::Unreadable(_)) => Stranger::Unreadable(pid),
        Some(Look::Gone) => Stranger::Nobody(pid),
        Some(Look::NotOne(record)) => Stranger::Other(record),
        Some(Look::Coordinator(observation)) => {
            let is_covered = settings.covers_evidence(&observation.evidence);
            let now = clock::now().wall;
            let sighting = Registry::glance(None, *observation, &settings.ephemeral, now);
            let why = match sighting.verdict.orphan_reason() {
                _ if !is_covered => OUTSIDE_WORKSPACE_ROOTS.to_owned(),
                None => sighting.verdict.reason(),
                Some(_) => NOT_SEEN.to_owned(),
            };
            Stranger::Coordinator(Spared {
                sighting: Box::new(sighting),
                why,
            })
        }
    }
}

/// What is to be observed of a known coordinator that cannot be read, if it still has this pid.
async fn unread(
    pid: Pid,
    known: Option<&Sighting>,
    error: &facts::PinError,
    settings: &Settings,
) -> Option<Observation> {
    // Whatever is short is ours, and says nothing of it.
    if !error.hangs() {
        return None;
    }
    let identify = move || facts::identify(pid);
    let (_, identity) = on_blocking_pool(settings.probe_timeout, identify)
        .await?
        .ok()?;
    let known = known.filter(|known| known.identity() == identity)?;
    Some(known.unread(error.errno_name()))
}

/// What is kept, as it is compared later. A path of which links were followed before `..` is taken
/// back, as the kernel does it.
fn find(what: &Kept) -> Result<Found, Refusal> {
    match what {
        Kept::Process(pid) => match facts::identify(*pid) {
            Ok((_, identity)) => Ok(Found::Process(identity)),
            Err(facts::PinError::Gone) => Err(Refusal::NoSuchProcess(*pid)),
            Err(error) => Err(Refusal::Internal(error.to_string())),
        },
        Kept::Path(path) => {
            let mut paths = with_real_paths(std::slice::from_ref(path));
            let climbs = path.components().any(|part| part == Component::ParentDir);
            if climbs && paths.len() > 1 {
                paths.remove(0);
            }
            let mut paths = paths.iter().map(|path| normalised(path));
            let name = paths.next().unwrap_or_else(|| path.clone());
            let leads_to = paths.filter(|path| *path != name).collect();
            Ok(Found::Path { name, leads_to })
        }
    }
}

fn explained(
    observation: Observation,
    known: Option<&Sighting>,
    standing: Option<&Standing>,
    steering: &Steering,
    settings: &Settings,
) -> serde_json::Value {
    let now = clock::now();
    // The same process only: another one may have the pid by now.
    let known = known.filter(|known| known.identity() == observation.record.identity);
    let memory = known.map(|known| known.memory.clone()).unwrap_or_default();
    let evidence = observation.evidence.clone();
    let identity = observation.record.identity;
    let sighting = Registry::glance(known, observation, &settings.ephemeral, now.wall);
    let held_back = match () {
        () if settings.protects(&evidence) => Some("its workspace is below a protected path"),
        () if steering.is_unknown => Some("what was kept is not known any more (`resume` goes on)"),
        () if steering.keeps.hold(&identity, &evidence) => Some("it is kept (`unkeep` lets it go)"),
        () if !settings.covers(evidence.workspace.as_deref()) => {
            Some("its workspace is not below workspace_roots")
        }
        () if sighting.is_young_ephemeral(settings.reap.ephemeral_min_age, now.wall) => {
            Some("it is younger than ephemeral_min_age; `--pid` or `--reason` overrides that")
        }
        () => None,
    };
    let context = explain::Context {
        memory: &memory,
        ephemeral: &settings.ephemeral,
        held_back,
        standing: standing
            .filter(|_| known.is_some())
            .map(|standing| (standing, &settings.reap)),
        now,
    };
    explain::coordinator(&sighting, &context)
}
