//! Performs the dispatcher's effects: everything that takes time runs beside it and comes back as an
//! event.

mod answering;
mod saying;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use self::saying::{say_fact, say_respawn, say_view};
use super::checkup::Doctor;
use super::event::{Around, Effect, Event, Ticket};
use super::journal::Journal;
use super::request::{Answer, Replied, Reply};
use super::run::LoadConfig;
use super::scan::{Look, Scan, Scanner, on_blocking_pool};
use super::settings::Settings;
use super::turns::Turns;
use super::watching::Watch;
use super::{steering_file, termination};
use crate::orphan::memory::Memory;
use crate::orphan::process::ProcessIdentity;
use crate::orphan::registry::Sighting;
use crate::os::processes::Sweep;

/// How long reading the configuration may take.
const CONFIG_LIMIT: Duration = Duration::from_secs(10);

/// What the effects need.
pub(super) struct Engine {
    pub(super) settings: Arc<Settings>,
    pub(super) scanner: Scanner,
    pub(super) journal: Journal,
    /// None in the client, which leaves what the owner said to the daemon as it is.
    pub(super) steering_file: Option<steering_file::Writer>,
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
    pub(super) waiting: HashMap<Ticket, oneshot::Sender<Replied>>,
    pub(super) next_ticket: Ticket,
    /// Those under way.
    pub(super) waves: JoinSet<()>,
}

impl Engine {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scan {
                sweep,
                memories,
                kept,
                untouchable,
            } => self.scan(sweep, memories, kept, untouchable),
            Effect::Protect(settings) => self.settings = settings,
            Effect::Look(targets) => self.look(targets),
            Effect::GoOn => {
                let _ = self.events.send(Event::GoOn);
            }
            Effect::Terminate(wave) => self.terminate(wave),
            Effect::Record(facts) => {
                facts.iter().for_each(say_fact);
                self.journal.record(facts);
            }
            Effect::Answer { ticket, answer } => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    // A peer that hung up misses its answer, nothing else.
                    let _ = waiting.send(answer.map(Reply::Value));
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
            Effect::LookUp { ticket, pids } => self.look_up(ticket, pids),
            Effect::Identify {
                ticket,
                what,
                is_kept,
            } => self.identify(ticket, what, is_kept),
            Effect::Keep { steering, answer } => {
                if let Some(file) = &self.steering_file {
                    file.write(steering, answer);
                }
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
        untouchable: Vec<PathBuf>,
    ) {
        let (scanner, settings, events) = (
            self.scanner.clone(),
            Arc::clone(&self.settings),
            self.events.clone(),
        );
        tokio::spawn(async move {
            let began = Instant::now();
            let scan = tokio::spawn(async move {
                let followed = scanner.follow(untouchable, settings.probe_timeout);
                let look = async {
                    let scan = scanner.scan(sweep, &settings, &memories).await;
                    let seen = scan.as_ref().map_or(&[][..], |scan| &scan.observations);
                    let targets = seen.iter().map(|seen| seen.record.identity.pid);
                    let around = scanner.look_around(targets.collect(), kept).await;
                    match scan {
                        Ok(Scan {
                            observations,
                            unread,
                        }) => (Ok(observations), Around { unread, ..around }),
                        Err(error) => (Err(error), around),
                    }
                };
                let ((seen, around), followed) = tokio::join!(look, followed);
                (seen, Around { followed, ..around })
            });
            let (observations, around) = match scan.await {
                Ok((scan, around)) => (scan.map_err(|error| error.to_string()), around),
                Err(panicked) => (
                    Err(format!("the scan panicked: {panicked}")),
                    Around::default(),
                ),
            };
            let took = began.elapsed();
            match &observations {
                Ok(seen) => tracing::debug!(
                    coordinators = seen.len(),
                    elapsed_ms = took.as_secs_f64() * 1e3,
                    "a scan is done"
                ),
                Err(error) => tracing::error!(%error, "a scan failed"),
            }
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
                let limit = Instant::now() + 2 * settings.probe_timeout;
                let looks = targets.iter().map(|(identity, memory)| async {
                    let look = scanner.look(identity.pid, memory, &settings);
                    // None of them is on a disk that hangs; if one is now, the scan says so.
                    match timeout_at(limit.into(), look).await {
                        Ok((Look::Coordinator(seen), _)) if seen.record.identity == *identity => {
                            Some(*seen)
                        }
                        // The next scan says what became of it.
                        Ok(_) | Err(_) => None,
                    }
                });
                join_all(looks).await
            });
            let looked = look.await.unwrap_or_default();
            let _ = events.send(Event::Looked(looked.into_iter().flatten().collect()));
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
            let _ = waiting.send(answer.map(Reply::Value));
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
}
