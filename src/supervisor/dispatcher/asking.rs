//! Requests: what is answered at once, what waits for a scan, and the answers after one.

use std::path::PathBuf;
use std::sync::Arc;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::registry::Sighting;
use crate::supervisor::event::{Effect, Ticket};
use crate::supervisor::request::{Peer, Refusal, Request, Selection, Survey};
use crate::supervisor::selection::{Choice, choose, of_workspaces};
use crate::wire::results;

/// What a request waits for a scan with.
#[derive(Debug)]
pub(super) enum Waiting {
    Scan {
        workspaces: Vec<PathBuf>,
        /// Who wants to know who would end with whom, and what it wants to know that of, if somebody
        /// does.
        survey_for: Option<(Peer, Survey)>,
    },
    Gate,
    Fix {
        peer: Peer,
        selection: Selection,
        is_gate: bool,
    },
}

impl Dispatcher {
    pub(super) fn asked(
        &mut self,
        ticket: Ticket,
        peer: Peer,
        request: Request,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let waiting = match request {
            Request::Status => {
                let answer = Ok(self.status(now));
                effects.push(Effect::Answer { ticket, answer });
                return;
            }
            Request::Reload => {
                effects.push(Effect::LoadConfig {
                    ticket: Some(ticket),
                });
                return;
            }
            Request::Doctor => {
                effects.push(Effect::CheckUp {
                    ticket,
                    running: Box::new(self.running(now)),
                });
                return;
            }
            Request::Events(query) => {
                effects.push(Effect::ReadEvents { ticket, query });
                return;
            }
            Request::Explain { pid } => {
                let known = self.registry.by_pid(pid).cloned().map(Box::new);
                let standing = known
                    .as_ref()
                    .map(|known| self.policy.standing(known, &self.settings.reap, now));
                effects.push(Effect::Explain {
                    ticket,
                    pid,
                    known,
                    standing,
                    steering: Arc::clone(&self.orders.borrow().steering),
                });
                return;
            }
            Request::Pause { length } => return self.pause(ticket, &peer, length, now, effects),
            Request::Resume => return self.resume(ticket, &peer, now, effects),
            Request::Keep { what } => {
                effects.push(Effect::Identify {
                    ticket,
                    what,
                    is_kept: true,
                });
                return;
            }
            // By that very name it is known at once, also where the disk below gives no answer.
            Request::Unkeep { what } if self.policy.steering().keeps.names(&what) => {
                self.unkept(ticket, &what, effects);
                return;
            }
            Request::Unkeep { what } => {
                effects.push(Effect::Identify {
                    ticket,
                    what,
                    is_kept: false,
                });
                return;
            }
            Request::Scan { workspaces, survey } => Waiting::Scan {
                workspaces,
                survey_for: survey.map(|survey| (peer, survey)),
            },
            Request::Gate { fix: false } => Waiting::Gate,
            Request::Gate { fix: true } => Waiting::Fix {
                peer,
                selection: Selection::default(),
                is_gate: true,
            },
            Request::Fix { selection } => Waiting::Fix {
                peer,
                selection,
                is_gate: false,
            },
        };
        if self.stopping.is_some() {
            let answer = Err(Refusal::ShuttingDown);
            effects.push(Effect::Answer { ticket, answer });
            return;
        }
        self.queued.push((ticket, waiting));
        self.scan_if_idle(now, effects);
    }

    pub(super) fn serve(
        &mut self,
        ticket: Ticket,
        waiting: Waiting,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match waiting {
            Waiting::Scan {
                workspaces,
                survey_for,
            } => {
                let seen = of_workspaces(self.registry.coordinators(), workspaces);
                let seen: Vec<&Sighting> = seen.collect();
                let scan = results::scan(seen.iter().copied(), self.scan_facts(now));
                let Some((peer, survey)) = survey_for else {
                    let answer = Ok(scan);
                    effects.push(Effect::Answer { ticket, answer });
                    return;
                };
                let is_orphan = |one: &&Sighting| one.verdict.orphan_reason().is_some();
                let orphans = seen.into_iter().filter(is_orphan);
                let Choice {
                    targets, spared, ..
                } = match survey {
                    Survey::OfAll => Choice {
                        targets: orphans.cloned().collect(),
                        ..Choice::default()
                    },
                    Survey::OfFix(selection) => {
                        let min_age = self.settings.reap.ephemeral_min_age;
                        choose(orphans, &selection, min_age, now.wall)
                    }
                };
                let spared = spared.into_iter();
                let spared = spared.map(|one| (one.sighting.identity().pid, one.why));
                effects.push(Effect::Survey {
                    ticket,
                    scan,
                    orphans: targets,
                    spared: spared.collect(),
                    lineage: peer.lineage,
                    own_pid: self.identity.pid,
                    steering: Arc::clone(&self.orders.borrow().steering),
                });
            }
            Waiting::Gate => {
                let scan = results::scan(self.registry.coordinators(), self.scan_facts(now));
                effects.push(Effect::Answer {
                    ticket,
                    answer: Ok(results::gate(scan, false)),
                });
            }
            Waiting::Fix { .. } if self.stopping.is_some() => {
                effects.push(Effect::Answer {
                    ticket,
                    answer: Err(Refusal::ShuttingDown),
                });
            }
            Waiting::Fix {
                peer,
                selection,
                is_gate,
            } => {
                self.begin_fix(ticket, peer, selection, is_gate, now, effects);
            }
        }
    }
}
