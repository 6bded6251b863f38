//! Performs the dispatcher's effects: everything that takes time runs beside it and comes back as an
//! event.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::checkup::{Doctor, Running, Subject};
use super::event::{Around, Effect, Event, Found, Ticket};
use super::journal::{Journal, words};
use super::request::{Answer, Refusal};
use super::run::{Asked, LoadConfig};
use super::scan::{Look, Scanner, on_blocking_pool};
use super::settings::{Settings, with_real_paths};
use super::turns::Turns;
use super::watching::Watch;
use super::{steering_file, termination, ways};
use crate::event_log;
use crate::orphan::evidence::normalised;
use crate::orphan::memory::Memory;
use crate::orphan::policy::Standing;
use crate::orphan::policy::respawn::Respawn;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::registry::{Observation, Registry, Sighting};
use crate::orphan::steering::{Kept, Steering};
use crate::orphan::victims::{Company, Lineage};
use crate::orphan::view::Obstacle;
use crate::os::processes::Sweep;
use crate::os::{clock, facts};
use crate::wire::{company, explain, results};

/// How long reading the event log may take.
const EVENTS_LIMIT: Duration = Duration::from_secs(10);

/// How long reading the configuration may take.
const CONFIG_LIMIT: Duration = Duration::from_secs(10);

/// What the effects need.
pub(super) struct Engine {
    pub(super) settings: Arc<Settings>,
    pub(super) scanner: Scanner,
    pub(super) journal: Journal,
    pub(super) steering_file: steering_file::Writer,
    pub(super) load_config: Option<LoadConfig>,
    pub(super) state_dir: PathBuf,
    pub(super) keep_segments: u32,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) config_turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) event_reads: Turns,
    pub(super) explanations: Turns,
    pub(super) doctor: Doctor,
    pub(super) surveys: Turns,
    pub(super) identifications: Turns,
    pub(super) ways: Turns,
    pub(super) watch: Option<Watch>,
    pub(super) waiting: HashMap<Ticket, oneshot::Sender<Answer>>,
    pub(super) next_ticket: Ticket,
    /// Those under way.
    pub(super) waves: JoinSet<()>,
}

impl Engine {
    /// What somebody asks for: known at once, or as soon as it is known where its paths lead.
    pub(super) fn take(&mut self, asked: Asked) -> Option<Event> {
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
                if let Ok(result) = &mut answered {
                    results::add_unfollowed(result, &unfollowed);
                }
                let _ = answer.send(answered);
            }
        });
        None
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scan {
                sweep,
                memories,
                kept,
            } => self.scan(sweep, memories, kept),
            Effect::Look(targets) => self.look(targets),
            Effect::GoOn => {
                let _ = self.events.send(Event::GoOn);
            }
            Effect::Terminate(wave) => self.terminate(wave),
            Effect::Record(facts) => self.journal.record(facts),
            Effect::Answer { ticket, answer } => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    // A peer that hung up misses its answer, nothing else.
                    let _ = waiting.send(answer);
                }
            }
            Effect::Explain {
                ticket,
                pid,
                known,
                standing,
                steering,
            } => self.explain(ticket, pid, known, standing, steering),
            Effect::Survey {
                ticket,
                scan,
                orphans,
                lineage,
                own_pid,
                steering,
                spared,
            } => {
                let around = (own_pid, lineage, steering);
                self.survey(ticket, scan, orphans, spared, around);
            }
            Effect::Identify {
                ticket,
                what,
                is_kept,
            } => self.identify(ticket, what, is_kept),
            Effect::Keep { steering, answer } => {
                self.steering_file.write(steering, answer);
            }
            Effect::TryAudit => self.try_audit(),
            Effect::SayView(obstacles) => say_view(&obstacles),
            Effect::SayRespawn { workspace, respawn } => say_respawn(&workspace, &respawn),
            Effect::CheckUp { ticket, running } => self.check_up(ticket, *running),
            Effect::ReadEvents { ticket, query } => self.read_events(ticket, query),
            Effect::LoadConfig { ticket } => self.load_config(ticket),
            // The loop's own.
            Effect::Use(_) | Effect::Ready | Effect::Exit => {}
        }
    }

    fn scan(
        &self,
        sweep: Sweep,
        memories: HashMap<ProcessIdentity, Memory>,
        kept: Vec<ProcessIdentity>,
    ) {
        let (scanner, settings, events) = (
            self.scanner.clone(),
            Arc::clone(&self.settings),
            self.events.clone(),
        );
        tokio::spawn(async move {
            let began = Instant::now();
            let scan = tokio::spawn(async move {
                let scan = scanner.scan(sweep, &settings, &memories).await;
                let seen = scan.as_deref().unwrap_or_default().iter();
                let targets = seen.map(|seen| seen.record.identity.pid).collect();
                (scan, scanner.look_around(targets, kept).await)
            });
            let (observations, around) = match scan.await {
                Ok((scan, around)) => (scan.map_err(|error| error.to_string()), around),
                Err(panicked) => (
                    Err(format!("the scan panicked: {panicked}")),
                    Around::default(),
                ),
            };
            if let Err(error) = &observations {
                tracing::error!(%error, "a scan failed");
            }
            let took = began.elapsed();
            // The supervisor outlives its scans.
            let _ = events.send(Event::Scanned {
                observations,
                around,
                took,
            });
        });
    }

    fn look(&self, targets: Vec<(ProcessIdentity, Memory)>) {
        let (scanner, settings) = (self.scanner.clone(), Arc::clone(&self.settings));
        let events = self.events.clone();
        tokio::spawn(async move {
            let look = tokio::spawn(async move {
                let looks = targets.iter().map(|(identity, memory)| async {
                    let (look, _) = scanner.look(identity.pid, memory, &settings).await;
                    match look {
                        Look::Coordinator(seen) if seen.record.identity == *identity => Some(*seen),
                        // The next scan says what became of it.
                        _ => None,
                    }
                });
                // None of them is on a disk that hangs; if one is now, the scan says so.
                let looked = timeout(2 * settings.probe_timeout, join_all(looks)).await;
                looked.unwrap_or_default()
            });
            let looked = look.await.unwrap_or_default();
            let _ = events.send(Event::Looked(looked.into_iter().flatten().collect()));
        });
    }

    fn identify(&self, ticket: Ticket, what: Kept, is_kept: bool) {
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

    /// Whatever the event log is owed goes first: if that can be written, so can the next record.
    fn try_audit(&self) {
        let (journal, events) = (self.journal.clone(), self.events.clone());
        tokio::spawn(async move {
            if journal.record_and_flush(Vec::new()).await.is_ok() {
                tracing::info!("the event log can be written again");
                let _ = events.send(Event::AuditIsBack);
            }
        });
    }

    /// Who is told how something ended finds it in the event log.
    pub(super) fn answer_after_records(&mut self, ticket: Ticket, answer: Answer) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return;
        };
        let journal = self.journal.clone();
        tokio::spawn(async move {
            journal.settled().await;
            let _ = waiting.send(answer);
        });
    }

    fn load_config(&self, ticket: Option<Ticket>) {
        let (load, events) = (self.load_config.clone(), self.events.clone());
        let turn = Arc::clone(&self.config_turn);
        tokio::spawn(async move {
            // One after the other: the last word is the last that was asked for. One that hangs keeps its
            // thread, and the turn, and those that wait for that give up.
            let turn = timeout(CONFIG_LIMIT, turn.lock_owned()).await;
            let loaded = match (load, turn) {
                (Some(LoadConfig(load)), Ok(turn)) => {
                    let load = move || {
                        let _turn = turn;
                        load()
                    };
                    on_blocking_pool(CONFIG_LIMIT, load).await
                }
                (Some(_), Err(_)) => None,
                (None, _) => Some(Err("there is nothing to reload here".to_owned())),
            };
            let result = loaded
                .unwrap_or_else(|| Err("the file gave no answer in time".to_owned()))
                .map(Box::new);
            if let Err(problem) = &result {
                tracing::error!(%problem, "the configuration is kept as it was");
            }
            let _ = events.send(Event::Reloaded { ticket, result });
        });
    }

    fn terminate(&mut self, wave: termination::Wave) {
        while self.waves.try_join_next().is_some() {}
        for target in &wave.targets {
            tracing::info!(
                pid = target.identity().pid,
                workspace = ?target.observation.evidence.workspace,
                reason = target.verdict.reason(),
                "ending an orphan"
            );
        }
        let (ended, mut endings) = mpsc::unbounded_channel();
        let expected: Vec<Sighting> = wave.targets.clone();
        let actor = wave.actor;
        // Whoever leaves without waiting for it signals nobody any more.
        let run = AbortOnDropHandle::new(tokio::spawn(termination::run(
            wave,
            self.scanner.clone(),
            self.journal.clone(),
            ended,
        )));
        let events = self.events.clone();
        self.waves.spawn(async move {
            let mut open: HashMap<_, Sighting> = expected
                .into_iter()
                .map(|target| (target.identity(), target))
                .collect();
            while let Some(termination) = endings.recv().await {
                open.remove(&termination.sighting.identity());
                let _ = events.send(Event::Ended(Box::new(termination)));
            }
            if let Err(panicked) = run.await {
                tracing::error!(error = %panicked, "a termination panicked");
            }
            // Whatever happened to the wave, every orphan of it gets an end.
            for target in open.into_values() {
                let lost = termination::lost(target, actor);
                let _ = events.send(Event::Ended(Box::new(lost)));
            }
        });
    }

    fn explain(
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
            let result = match look {
                Look::Gone => Err(Refusal::NoSuchProcess(pid)),
                Look::NotOne(record) => Ok(explain::stranger(&record)),
                Look::Unreadable(error) => Ok(explain::unreadable(pid, &error.to_string())),
                Look::Coordinator(observation) => {
                    let standing = standing.as_ref();
                    Ok(explained(
                        *observation,
                        known,
                        standing,
                        &steering,
                        &settings,
                    ))
                }
            };
            let _ = answer.send(result);
        });
    }

    fn check_up(&mut self, ticket: Ticket, running: Running) {
        let Some(answer) = self.waiting.remove(&ticket) else {
            return;
        };
        let subject = Subject {
            running,
            state_dir: self.state_dir.clone(),
            journal: self.journal.clone(),
            load_config: self.load_config.clone(),
        };
        let doctor = self.doctor.clone();
        tokio::spawn(async move {
            let _ = answer.send(Ok(doctor.of_the_daemon(subject).await));
        });
    }

    fn survey(
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
            let _ = answer.send(Ok(scan));
        });
    }

    fn read_events(&mut self, ticket: Ticket, query: event_log::Query) {
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
                event_log::read(&state_dir, keep, &query)
            });
            let result = match read.await {
                Some(Ok(events)) => Ok(json!({ "events": events })),
                Some(Err(error)) => Err(Refusal::Internal(words(&error).0)),
                None => Err(Refusal::Internal(
                    "the event log gave no answer in time".to_owned(),
                )),
            };
            let _ = answer.send(result);
        });
    }
}

/// What is kept, as it is compared later. A path of which links were followed before `..` is taken
/// back, as the kernel does it.
fn find(what: &Kept) -> Result<Found, Refusal> {
    match what {
        Kept::Process(pid) => match facts::pin(*pid) {
            Ok(pinned) => Ok(Found::Process(pinned.record.identity)),
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

fn say_view(obstacles: &[Obstacle]) {
    for obstacle in obstacles {
        tracing::error!(
            "the daemon does not see everything there is, and reaps nothing by itself: {obstacle}"
        );
    }
    if obstacles.is_empty() {
        tracing::info!("the daemon sees everything there is");
    }
}

fn say_respawn(workspace: &Path, respawn: &Respawn) {
    let starter = respawn.starter.as_ref();
    tracing::error!(
        ?workspace,
        kills = respawn.kills,
        parent = starter.map(|one| one.pid),
        parent_cmdline = starter.map(|one| one.cmdline.as_str()),
        unit = starter.and_then(|one| one.unit.as_deref()),
        "something starts a coordinator again and again: stop it there"
    );
}

fn explained(
    observation: Observation,
    known: Option<Box<Sighting>>,
    standing: Option<&Standing>,
    steering: &Steering,
    settings: &Settings,
) -> serde_json::Value {
    let now = clock::now();
    // The same process only: another one may have the pid by now.
    let known = known.filter(|known| known.identity() == observation.record.identity);
    let memory = known
        .as_ref()
        .map(|known| known.memory.clone())
        .unwrap_or_default();
    let evidence = observation.evidence.clone();
    let identity = observation.record.identity;
    let sighting = Registry::glance(known.as_deref(), observation, &settings.ephemeral, now.wall);
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
