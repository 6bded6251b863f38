//! The world, the daemon's core in it, and what must never happen. What is true is said here in the
//! simplest words there are, and never asked of the code under test.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::*;
use crate::orphan::escalation::{Audit, Escalation, Input as Step, Step as Wanted};
use crate::orphan::event::Signal;
use crate::orphan::evidence::PidFile;
use crate::orphan::fixtures::{ORIGINAL, RECREATED, exists, log_in, record};
use crate::orphan::judge::judge;

/// The grain of time: a grace.
const WHILE: Duration = Duration::from_secs(30);
/// The grace of those that were orphans at the start.
const TWO_WHILES: Duration = Duration::from_secs(60);

/// What became of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Gone,
    MadeAgain,
    Moved,
}

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Coordinator,
    Another,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    /// Tells it from everybody else who has had its pid.
    unique: u64,
    program: Program,
}

/// One pid, whoever has it, and one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Corner {
    process: Option<Process>,
    place: Place,
    /// Whether the coordinator holds its cwd and log, as the products do.
    has_witnesses: bool,
}

impl Corner {
    /// Whether whoever has the pid is an orphan: the promise is about nobody else.
    fn is_orphan(&self) -> bool {
        let by_place = match self.place {
            Place::Gone => true,
            // Without a witness nobody can tell.
            Place::MadeAgain => self.has_witnesses,
            Place::Here | Place::Moved => false,
        };
        let runs = self.process.map(|process| process.program);
        by_place && runs == Some(Program::Coordinator)
    }
}

/// Something that happens: `usize` is the corner, or the escalation, that it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Happening {
    Exits(usize),
    Execs(usize),
    PidGoesToAStranger(usize),
    PidGoesToACoordinator(usize),
    WorkspaceIsDeleted(usize),
    WorkspaceIsMadeAgain(usize),
    WorkspaceIsMoved(usize),
    WorkspaceComesBack(usize),
    ScanBegins,
    ScanEnds,
    SomebodyAsksForAFix,
    EscalationGoesOn(usize),
    RecordFails(usize),
    LogCanBeWrittenAgain,
    TimePasses,
    MachineSleeps,
    ClockIsSet,
    DaemonCrashes,
    OwnerPauses,
    OwnerResumes,
}

/// What can be wrong with a daemon, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    NoCheckBeforeSigkill,
    NoCheckAtAll,
    VerdictOfTheScan,
    ProgramOfTheScan,
    SignalsWithoutARecord,
    NoPatience,
    PidIsIdentity,
    ForgetsPausesInACrash,
    SleepIsPatience,
    TwoWaves,
}

/// One orphan on its way to its end, as a wave leads it.
#[derive(Clone, Debug)]
struct Run {
    corner: usize,
    unique: u64,
    sighting: Sighting,
    escalation: Escalation,
    actor: Actor,
    /// Whether the last check was of an orphan, in truth; nothing was checked since the last signal.
    was_orphan_when_checked: Option<bool>,
    is_recorded: bool,
    was_held_when_checked: bool,
    is_patience_over: bool,
    sent: Vec<Signal>,
}

/// What a scan saw in one corner, and what was true then.
#[derive(Clone, Debug)]
struct Shown {
    corner: usize,
    unique: u64,
    is_orphan: bool,
    observation: Observation,
}

/// How often and since when a process was shown to be an orphan, by what scans brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Streak {
    unique: u64,
    since: Moment,
    until: Moment,
    shown: u32,
    since_start: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    corners: Vec<Corner>,
    next_unique: u64,
    rules: Rules,
    now: Now,
    registry: Registry,
    policy: Policy,
    runs: Vec<Run>,
    scan: Option<(Moment, Vec<Shown>)>,
    ended_meanwhile: BTreeSet<ProcessIdentity>,
    streaks: Vec<Option<Streak>>,
    last_look: Option<Now>,
    is_paused: bool,
    bug: Option<Bug>,
    pub(super) auto_signals: usize,
    pub(super) asked_signals: usize,
}

impl Model {
    pub(super) fn of_one(has_witnesses: bool) -> Self {
        Self::of(&[has_witnesses])
    }

    pub(super) fn of_two() -> Self {
        Self::of(&[true, false])
    }

    fn of(witnesses: &[bool]) -> Self {
        Self {
            corners: witnesses
                .iter()
                .zip(1..)
                .map(|(has_witnesses, unique)| Corner {
                    process: Some(Process {
                        unique,
                        program: Program::Coordinator,
                    }),
                    place: Place::Here,
                    has_witnesses: *has_witnesses,
                })
                .collect(),
            next_unique: 10,
            rules: Rules {
                grace: WHILE,
                min_sightings: 2,
                start_grace: TWO_WHILES,
                stall: TWO_WHILES,
                ..rules()
            },
            now: fixtures::clock(),
            registry: Registry::default(),
            policy: Policy::default(),
            runs: Vec::new(),
            scan: None,
            ended_meanwhile: BTreeSet::new(),
            streaks: vec![None; witnesses.len()],
            last_look: None,
            is_paused: false,
            bug: None,
            auto_signals: 0,
            asked_signals: 0,
        }
    }

    pub(super) fn with(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        match bug {
            Bug::NoPatience => self.rules.grace = Duration::ZERO,
            Bug::SleepIsPatience => self.rules.stall = Duration::MAX,
            _ => {}
        }
        self
    }

    /// Lets all of this happen.
    pub(super) fn after(mut self, path: &[Happening]) -> Self {
        for happening in path {
            self.happens(*happening).expect("nothing is broken yet");
        }
        self
    }

    /// Everything that can happen now.
    pub(super) fn possible(&self) -> Vec<Happening> {
        use Happening as H;
        let mut possible = Vec::new();
        for (index, corner) in self.corners.iter().enumerate() {
            if let Some(process) = corner.process {
                possible.push(H::Exits(index));
                if process.program == Program::Coordinator {
                    possible.push(H::Execs(index));
                }
            } else {
                possible.push(H::PidGoesToAStranger(index));
                // Whoever starts one where nothing is makes the directory.
                if corner.place == Place::Here || !corner.has_witnesses {
                    possible.push(H::PidGoesToACoordinator(index));
                }
            }
            match (corner.place, corner.has_witnesses) {
                (Place::Here, true) => {
                    possible.extend([H::WorkspaceIsDeleted(index), H::WorkspaceIsMoved(index)]);
                }
                (Place::Here, false) => possible.push(H::WorkspaceIsDeleted(index)),
                (Place::Gone, true) => possible.push(H::WorkspaceIsMadeAgain(index)),
                // What nobody holds may be back without anybody knowing that it never went.
                (Place::Gone, false) => {
                    possible.extend([H::WorkspaceIsMadeAgain(index), H::WorkspaceComesBack(index)])
                }
                (Place::Moved, _) => possible.push(H::WorkspaceComesBack(index)),
                (Place::MadeAgain, _) => {}
            }
        }
        possible.push(if self.scan.is_none() {
            H::ScanBegins
        } else {
            H::ScanEnds
        });
        if self.registry.orphans().next().is_some() {
            possible.push(H::SomebodyAsksForAFix);
        }
        for (index, run) in self.runs.iter().enumerate() {
            possible.push(H::EscalationGoesOn(index));
            if matches!(run.escalation.step(), Wanted::Record(_)) {
                possible.push(H::RecordFails(index));
            }
        }
        if self.policy.is_audit_lost() {
            possible.push(H::LogCanBeWrittenAgain);
        }
        possible.extend([H::TimePasses, H::MachineSleeps, H::DaemonCrashes]);
        if self
            .now
            .wall
            .duration_since(fixtures::now())
            .unwrap_or_default()
            < Duration::from_secs(86_400)
        {
            possible.push(H::ClockIsSet);
        }
        possible.push(if self.policy.steering().holds_reaping(self.now) {
            H::OwnerResumes
        } else {
            H::OwnerPauses
        });
        possible
    }

    /// Lets it happen, or says which promise that broke.
    pub(super) fn happens(&mut self, happening: Happening) -> Result<(), String> {
        use Happening as H;
        match happening {
            H::Exits(index) => self.corners[index].process = None,
            H::Execs(index) => {
                if let Some(process) = &mut self.corners[index].process {
                    process.program = Program::Another;
                }
            }
            H::PidGoesToAStranger(index) => self.start(index, Program::Another),
            H::PidGoesToACoordinator(index) => self.start(index, Program::Coordinator),
            H::WorkspaceIsDeleted(index) => self.corners[index].place = Place::Gone,
            H::WorkspaceIsMadeAgain(index) => self.corners[index].place = Place::MadeAgain,
            H::WorkspaceIsMoved(index) => self.corners[index].place = Place::Moved,
            H::WorkspaceComesBack(index) => self.corners[index].place = Place::Here,
            H::ScanBegins => self.scan = Some((self.now.moment, self.look())),
            H::ScanEnds => self.scanned(),
            H::SomebodyAsksForAFix => {
                let orphans: Vec<Sighting> = self.registry.orphans().cloned().collect();
                let peer = Actor::Peer { uid: 0, pid: None };
                self.begin(orphans, peer);
            }
            H::EscalationGoesOn(index) => self.go_on(index, true)?,
            H::RecordFails(index) => self.go_on(index, false)?,
            H::LogCanBeWrittenAgain => self.policy.audit_is_back(),
            H::TimePasses => {
                self.now.moment = self.now.moment.after(WHILE);
                self.now.wall += WHILE;
            }
            H::MachineSleeps => {
                self.now.asleep += 100 * WHILE;
                self.now.wall += 100 * WHILE;
                if self.bug == Some(Bug::SleepIsPatience) {
                    self.now.moment = self.now.moment.after(100 * WHILE);
                    self.now.asleep = Duration::ZERO;
                }
            }
            H::ClockIsSet => self.now.wall += Duration::from_secs(86_400),
            H::DaemonCrashes => self.crash(),
            H::OwnerPauses => {
                self.is_paused = true;
                self.policy.pause(None, self.now);
            }
            H::OwnerResumes => {
                self.is_paused = false;
                self.policy.resume(self.now);
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize, program: Program) {
        let unique = self.next_unique;
        self.next_unique += 1;
        self.corners[index].process = Some(Process { unique, program });
    }

    fn identity(&self, index: usize, unique: u64) -> ProcessIdentity {
        let pid = 10 + Pid::try_from(index).unwrap();
        ProcessIdentity {
            unique: if self.bug == Some(Bug::PidIsIdentity) {
                0
            } else {
                unique
            },
            ..record(pid).identity
        }
    }

    /// What the edge says of this corner: nothing, unless a coordinator is there.
    fn observe(&self, index: usize) -> Option<Observation> {
        let corner = self.corners[index];
        let process = corner.process?;
        if process.program != Program::Coordinator {
            return None;
        }
        let path = format!("/home/me/ws{index}");
        let case = match (corner.has_witnesses, corner.place) {
            (true, Place::Here) => healthy(),
            (true, Place::Gone) => healthy()
                .cwd(Seen::Deleted)
                .log(Seen::Deleted)
                .path(missing()),
            (true, Place::MadeAgain) => healthy()
                .cwd(Seen::Deleted)
                .log(Seen::Deleted)
                .path(exists(Some(RECREATED))),
            (true, Place::Moved) => healthy().cwd(Seen::Moved).log(Seen::Moved).path(missing()),
            (false, Place::Here | Place::Moved) => without_witness().path(exists(Some(ORIGINAL))),
            (false, Place::Gone) => without_witness().path(missing()),
            (false, Place::MadeAgain) => without_witness().path(exists(Some(RECREATED))),
        };
        let is_here = corner.place == Place::Here;
        let case = case.at(&path).with(|evidence| {
            for (holding, at) in [
                (&mut evidence.cwd, path.clone().into()),
                (&mut evidence.log, log_in(&path).path),
            ] {
                if let Some(holding) = holding.as_mut().filter(|_| corner.place != Place::Moved) {
                    holding.path = at;
                }
            }
            evidence.pid_file = if is_here && corner.has_witnesses {
                PidFile::NamesIt
            } else {
                PidFile::Absent
            };
        });
        let mut observation = case.observed(10 + Pid::try_from(index).unwrap());
        observation.record.identity = self.identity(index, process.unique);
        Some(observation)
    }

    fn look(&self) -> Vec<Shown> {
        let seen = (0..self.corners.len()).filter_map(|index| {
            let observation = self.observe(index)?;
            let corner = self.corners[index];
            Some(Shown {
                corner: index,
                unique: corner.process?.unique,
                is_orphan: corner.is_orphan(),
                observation,
            })
        });
        seen.collect()
    }

    fn scanned(&mut self) {
        let Some((looked_at, seen)) = self.scan.take() else {
            return;
        };
        let ended = std::mem::take(&mut self.ended_meanwhile);
        let seen: Vec<Shown> = seen
            .into_iter()
            .filter(|shown| !ended.contains(&shown.observation.record.identity))
            .collect();
        self.count_streaks(&seen, looked_at);
        let observations = seen.into_iter().map(|shown| shown.observation);
        self.registry
            .observe(observations.collect(), &healthy().rules, self.now.wall);
        self.policy
            .looked(&self.registry, &self.rules, looked_at, self.now);
        let due = self.policy.due(&self.registry, &self.rules, self.now);
        let targets = due
            .iter()
            .filter_map(|identity| self.registry.get(identity).cloned());
        let targets = targets.collect();
        self.begin(targets, Actor::Auto);
    }

    /// Patience, told anew: what was shown at each scan, without a break.
    fn count_streaks(&mut self, seen: &[Shown], looked_at: Moment) {
        let is_first = self.last_look.is_none();
        let was_unwatched = self.last_look.is_some_and(|last| {
            self.now.asleep != last.asleep || self.now.moment.since(last.moment) > TWO_WHILES
        });
        self.last_look = Some(self.now);
        for index in 0..self.corners.len() {
            let shown = seen
                .iter()
                .find(|shown| shown.corner == index && shown.is_orphan)
                .map(|shown| shown.unique);
            let before = self.streaks[index].filter(|streak| Some(streak.unique) == shown);
            self.streaks[index] = shown.map(|unique| match before {
                Some(streak) if was_unwatched => Streak {
                    since: self.now.moment,
                    until: looked_at,
                    shown: 1,
                    ..streak
                },
                Some(streak) => Streak {
                    shown: streak.shown + 1,
                    until: looked_at,
                    ..streak
                },
                None => Streak {
                    unique,
                    since: self.now.moment,
                    until: looked_at,
                    shown: 1,
                    since_start: is_first,
                },
            });
        }
    }

    fn is_patience_over(&self, index: usize, unique: u64) -> bool {
        self.streaks[index].is_some_and(|streak| {
            let grace = if streak.since_start {
                TWO_WHILES
            } else {
                WHILE
            };
            streak.unique == unique
                && streak.shown >= 2
                && streak.until.since(streak.since) >= grace
        })
    }

    fn begin(&mut self, targets: Vec<Sighting>, actor: Actor) {
        for sighting in targets {
            let identity = sighting.identity();
            let runs_already = self
                .runs
                .iter()
                .any(|run| run.sighting.identity() == identity);
            if runs_already && self.bug != Some(Bug::TwoWaves) {
                continue;
            }
            let index = usize::try_from(identity.pid - 10).unwrap();
            let unique = if self.bug == Some(Bug::PidIsIdentity) {
                let process = self.corners[index].process;
                process.map_or(0, |process| process.unique)
            } else {
                identity.unique
            };
            self.policy.began(&identity, actor, &self.rules, self.now);
            self.runs.push(Run {
                corner: index,
                unique,
                is_patience_over: self.is_patience_over(index, unique),
                escalation: Escalation::new(match actor {
                    Actor::Auto => Audit::Required,
                    Actor::Peer { .. } => Audit::Wanted,
                }),
                sighting,
                actor,
                was_orphan_when_checked: None,
                is_recorded: false,
                was_held_when_checked: false,
                sent: Vec::new(),
            });
        }
    }

    fn go_on(&mut self, index: usize, is_written: bool) -> Result<(), String> {
        let mut run = self.runs.remove(index);
        let process = self.corners[run.corner].process;
        let is_there = process.is_some_and(|process| {
            process.unique == run.unique || self.bug == Some(Bug::PidIsIdentity)
        });
        match run.escalation.step() {
            Wanted::Check => self.check(&mut run, is_there),
            Wanted::Record(_) => {
                run.is_recorded = is_written;
                let goes_on = is_written || self.bug == Some(Bug::SignalsWithoutARecord);
                run.escalation.advance(if goes_on {
                    Step::Recorded
                } else {
                    Step::NotRecorded
                });
            }
            Wanted::Send(signal) if is_there => {
                self.promised(&run, signal)?;
                run.sent.push(signal);
                run.was_orphan_when_checked = None;
                run.is_recorded = false;
                match run.actor {
                    Actor::Auto => self.auto_signals += 1,
                    Actor::Peer { .. } => self.asked_signals += 1,
                }
                run.escalation.advance(Step::Sent);
            }
            Wanted::Await(_) if is_there => run.escalation.advance(Step::WaitOver),
            Wanted::Send(_) | Wanted::Await(_) => run.escalation.advance(Step::Gone),
            Wanted::Finish(_) => {}
        }
        match run.escalation.step() {
            Wanted::Finish(outcome) => self.finish(run, outcome),
            _ => self.runs.insert(index, run),
        }
        Ok(())
    }

    fn check(&self, run: &mut Run, is_there: bool) {
        let is_second = run.sent.contains(&Signal::Term);
        let skipped = match self.bug {
            Some(Bug::NoCheckAtAll) => true,
            Some(Bug::NoCheckBeforeSigkill) => is_second,
            _ => false,
        };
        if skipped {
            run.escalation.advance(Step::CheckPassed);
            return;
        }
        if !is_there {
            run.escalation.advance(Step::Gone);
            return;
        }
        run.was_orphan_when_checked = Some(self.corners[run.corner].is_orphan());
        run.was_held_when_checked = self.is_paused;
        let is_held = self.policy.steering().holds_reaping(self.now);
        let why = match self.observe(run.corner) {
            None if self.bug == Some(Bug::ProgramOfTheScan) => None,
            None => Some("program_changed"),
            Some(observation) => {
                let verdict = judge(
                    &observation.coordinator.workspace,
                    &observation.evidence,
                    &run.sighting.memory,
                    &healthy().rules,
                );
                run.sighting.memory.learn(&observation.evidence);
                let is_orphan = verdict.orphan_reason().is_some();
                let is_held = run.actor == Actor::Auto && is_held;
                if !is_orphan && self.bug != Some(Bug::VerdictOfTheScan) {
                    Some("verdict")
                } else if is_held {
                    Some("reaping_held")
                } else {
                    None
                }
            }
        };
        run.escalation.advance(match why {
            None => Step::CheckPassed,
            Some(why) => Step::CheckFailed {
                why: why.to_owned(),
            },
        });
    }

    /// What must hold whenever a signal goes out.
    fn promised(&self, run: &Run, signal: Signal) -> Result<(), String> {
        let is_auto = run.actor == Actor::Auto;
        let process = self.corners[run.corner].process;
        let is_another = process.map(|process| process.unique) != Some(run.unique);
        let twice = |signal| {
            let others = self.runs.iter().filter(|other| other.unique == run.unique);
            run.sent.contains(&signal)
                || others.into_iter().any(|other| other.sent.contains(&signal))
        };
        let broken = if is_another {
            "is sent to another process"
        } else if run.was_orphan_when_checked.is_none() {
            "is sent, and the process was not checked"
        } else if run.was_orphan_when_checked == Some(false) {
            "is sent to one that was no orphan when it was checked"
        } else if is_auto && !run.is_recorded {
            "is sent without a record"
        } else if is_auto && !run.is_patience_over {
            "is sent before its patience was over"
        } else if is_auto && run.was_held_when_checked {
            "is sent while it was held"
        } else if signal == Signal::Kill && run.sent != [Signal::Term] {
            "is sent without SIGTERM"
        } else if twice(signal) {
            return Err(format!("{} twice", signal.name()));
        } else {
            return Ok(());
        };
        Err(format!("{} {broken}", signal.name()))
    }

    fn finish(&mut self, run: Run, outcome: Outcome) {
        let identity = run.sighting.identity();
        if matches!(outcome, Outcome::Killed { .. } | Outcome::Missing) {
            self.registry.forget(&identity);
            if self.scan.is_some() {
                self.ended_meanwhile.insert(identity);
            }
        } else if !matches!(
            outcome,
            Outcome::Failed {
                error: Failure::AuditUnavailable,
                ..
            }
        ) {
            // It has to be patient all over again.
            let streak = self.streaks[run.corner].filter(|streak| streak.unique == run.unique);
            if let Some(streak) = streak {
                self.streaks[run.corner] = Some(Streak {
                    since: self.now.moment,
                    shown: 0,
                    ..streak
                });
            }
        }
        let termination = Termination {
            sighting: run.sighting,
            outcome,
            reach: Some(Reach::Process),
            members: Vec::new(),
            left_behind: Vec::new(),
            elapsed: Duration::ZERO,
            unrecorded: false,
            actor: run.actor,
            starter: None,
        };
        self.policy.ended(&termination, &self.rules, self.now);
    }

    /// What is in memory is gone; what the owner said is not.
    fn crash(&mut self) {
        let steering = match self.bug {
            Some(Bug::ForgetsPausesInACrash) => Steering::default(),
            _ => self.policy.steering().clone(),
        };
        self.policy = Policy::new(steering);
        self.registry = Registry::default();
        self.runs.clear();
        self.scan = None;
        self.ended_meanwhile.clear();
        self.last_look = None;
        self.streaks = vec![None; self.corners.len()];
    }

    /// Everything that what happens next depends on, with times as they are from now.
    pub(super) fn essence(&self) -> String {
        let ago = |moment: Moment| self.now.moment.since(moment).as_secs().min(100);
        let mut text = format!("{:?} {:?}", self.corners, self.ended_meanwhile);
        let _ = write!(text, "{:?}", self.policy.steering());
        let _ = write!(
            text,
            "{} {:?} {:?}",
            self.policy.is_audit_lost(),
            self.policy.respawns,
            self.last_look
                .map(|last| (ago(last.moment), self.now.asleep == last.asleep)),
        );
        for (identity, tracked) in &self.policy.tracked {
            let _ = write!(text, "{identity:?} {}", tracked.state.word());
            if let Some(patience) = tracked.state.patience() {
                let (look, shown) = (patience.look, patience.sightings.min(3));
                let since_start = patience.since_start;
                let _ = write!(
                    text,
                    "{} {shown} {since_start} {look:?}",
                    ago(patience.since)
                );
            }
            if let State::Failed { error, since, .. } = tracked.state {
                let _ = write!(text, "{error:?} {since:?}");
            }
        }
        for sighting in self.registry.coordinators() {
            let identity = sighting.identity();
            let (verdict, memory) = (&sighting.verdict, &sighting.memory);
            let is_first = sighting.sightings == 1;
            let _ = write!(text, "{identity:?} {verdict:?} {memory:?} {is_first}");
        }
        for streak in self.streaks.iter().flatten() {
            let shown = streak.shown.min(3);
            let (unique, since_start) = (streak.unique, streak.since_start);
            let (since, until) = (ago(streak.since), ago(streak.until));
            let _ = write!(text, "{unique} {since} {until} {shown} {since_start}");
        }
        for run in &self.runs {
            let Run {
                corner,
                unique,
                escalation,
                actor,
                was_orphan_when_checked,
                is_recorded,
                was_held_when_checked,
                is_patience_over,
                sent,
                sighting,
            } = run;
            let _ = write!(
                text,
                "{corner} {unique} {escalation:?} {actor:?} {was_orphan_when_checked:?} \
                 {is_recorded} {was_held_when_checked} {is_patience_over} {sent:?} {:?}",
                sighting.memory
            );
        }
        if let Some((began, seen)) = &self.scan {
            let _ = write!(text, "{}", ago(*began));
            for shown in seen {
                let Shown {
                    corner,
                    unique,
                    is_orphan,
                    observation,
                } = shown;
                let path = &observation.evidence.path;
                let _ = write!(text, "{corner} {unique} {is_orphan} {path:?}");
            }
        }
        let clock_is_set = self.now.wall.duration_since(fixtures::now());
        let _ = write!(
            text,
            "{} {}",
            self.is_paused,
            clock_is_set.unwrap_or_default().as_secs() >= 86_400
        );
        text
    }
}
