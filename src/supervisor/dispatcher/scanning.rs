//! When there is a scan, and what it changes.

use std::time::Duration;

use super::Dispatcher;
use crate::orphan::clock::Now;
use crate::orphan::event::Event as Fact;
use crate::orphan::registry::Observation;
use crate::os::processes::Sweep;
use crate::supervisor::event::{Around, Effect};
use crate::supervisor::request::Refusal;
use crate::wire::results::Source;
use crate::wire::status::LastScan;

/// How many of those that waited for a scan are served before others have their turn.
const SERVED_AT_ONCE: usize = 8;

impl Dispatcher {
    pub(super) fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        // Never two at once: a tick that comes during a scan is skipped.
        if self.is_looking {
            self.is_tick_due = true;
        } else if self.is_scanning {
            self.counters.skipped_ticks += 1;
        }
        self.scan_if_idle(now, effects);
    }

    pub(super) fn scan_if_idle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_scanning || self.stopping.is_some() {
            return;
        }
        self.is_scanning = true;
        self.take_in_deletions();
        let since_last = self.scan_began.map(|began| now.moment.since(began));
        self.scan_lag = since_last
            .map(|since| since.saturating_sub(self.settings.reap.interval))
            .unwrap_or_default();
        self.scan_began = Some(now.moment);
        self.scanned_for.append(&mut self.queued);
        let keeps = &self.policy.steering().keeps;
        let untouchable = self
            .settings
            .protected_names()
            .iter()
            .chain(keeps.paths.keys());
        effects.push(Effect::Scan {
            // Who asks is told of everything there is now.
            sweep: match self.scanned_for.is_empty() {
                true => Sweep::WhatChanged,
                false => Sweep::Full,
            },
            memories: self.registry.memories(),
            kept: keeps.processes.values().copied().collect(),
            untouchable: untouchable.cloned().collect(),
        });
    }

    pub(super) fn scanned(
        &mut self,
        observations: Result<Vec<Observation>, String>,
        mut around: Around,
        took: Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.is_scanning = false;
        let unread = std::mem::take(&mut around.unread);
        self.look_around(around, effects);
        let ended = std::mem::take(&mut self.ended_meanwhile);
        match observations {
            Ok(mut observations) => {
                let known = self.registry.unread(&unread);
                let unknown = unread.len().saturating_sub(known.len());
                observations.extend(known);
                observations.retain(|seen| !ended.contains(&seen.record.identity));
                // The scan may have begun under another configuration.
                observations.retain(|seen| self.settings.covers_evidence(&seen.evidence));
                let transitions =
                    self.registry
                        .observe(observations, &self.settings.ephemeral, now.wall);
                self.counters.scans += 1;
                self.last_look = Some(now.moment);
                self.scan_problem = None;
                self.note(transitions, now, effects);
                self.last_scan = Some(LastScan {
                    at: now.wall,
                    took,
                    lag: self.scan_lag,
                    scanned: self.registry.coordinators().count(),
                    orphans: self.registry.orphans().count(),
                    unread: unknown,
                });
                self.be_patient(now, effects);
                self.due.extend(self.scanned_for.drain(..));
                self.serve_some(now, effects);
                self.reap(now, effects);
            }
            Err(error) => {
                self.counters.failed_scans += 1;
                self.scan_problem = Some(error.clone());
                for (ticket, _) in std::mem::take(&mut self.scanned_for) {
                    let answer = Err(Refusal::Internal(error.clone()));
                    effects.push(Effect::Answer { ticket, answer });
                }
            }
        }
        // One that has seen nothing yet would answer, and watch, without knowing of anybody.
        if !self.is_ready && self.last_look.is_some() {
            self.is_ready = true;
            effects.push(Effect::Ready);
        }
        if !self.has_begun {
            self.has_begun = true;
            if self.identity.source == Source::Daemon {
                let started = Fact::DaemonStarted {
                    pid: self.identity.pid,
                    version: env!("CARGO_PKG_VERSION"),
                    socket: self.identity.socket.clone(),
                };
                // Before whatever the first scan found.
                effects.insert(0, Effect::Record(vec![started]));
            }
        }
        if !self.queued.is_empty() {
            self.scan_if_idle(now, effects);
        } else {
            self.look_if_idle(effects);
        }
    }

    /// Serves the next of those for whom a scan has ended. Each answer tells of every coordinator: were all
    /// of them made at once, nobody else would have a turn meanwhile.
    pub(super) fn serve_some(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for _ in 0..SERVED_AT_ONCE {
            let Some((ticket, waiting)) = self.due.pop_front() else {
                return;
            };
            self.serve(ticket, waiting, now, effects);
        }
        if !self.due.is_empty() {
            effects.push(Effect::GoOn);
        }
    }
}
