//! Orphans that cease to be any at a chosen moment, and what may still reach them then.
//!
//! Every signal rests on a check, and what was so before a check began was seen by it. The first
//! check of a wave begins after the wave; the second after the wait for SIGTERM. So whoever has
//! changed before the first gets nothing, and whoever has before the second gets no SIGKILL. Later
//! than that the signal may be on its way already.

use std::thread;
use std::time::{Duration, Instant};

use team_agentd::orphan::escalation::Outcome;

use super::ground::{Dice, Ground, Watched, coordinator, wait_until};
use crate::support::Silence;
use nix::sys::signal::Signal as Number;

/// When an orphan ceases to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// After the scan and before the wave.
    BeforeTheWave,
    /// After its first check, while that of another orphan of the wave hangs.
    WhileItsCheckGrowsOld,
    /// Between its two signals.
    AfterSigterm,
    /// Some time from the beginning of the wave until a little after the second signal.
    Any,
}

/// For how long the wave is held up, if it is.
const HOLD_UP: Duration = Duration::from_millis(400);

/// An orphan, and what ends that: done when it returns, and if it could be, true.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) orphan: Watched,
    pub(crate) change: Box<dyn FnOnce(&mut Watched) -> bool + Send>,
    /// What it is spared for.
    pub(crate) why: &'static str,
}

/// A wave on all of them and on one orphan that stays one, while they change at that moment. Those
/// that changed in time, or nothing if waves cannot be held up here.
pub(crate) fn befall(
    ground: &mut Ground,
    dice: &mut Dice,
    moment: Moment,
    mut subjects: Vec<Subject>,
) -> Option<Vec<Subject>> {
    let mut control = Watched::start(coordinator(&ground.path("gone")));
    let slow = Watched::start(coordinator(&ground.directory("slow").join("gone")));
    let registry = ground.scan();
    let sighting_of = |pid: u32| {
        let sighting = registry.by_pid(pid).expect("it is listed").clone();
        let verdict = &sighting.verdict;
        assert!(verdict.orphan_reason().is_some(), "pid {pid}: {verdict:?}");
        sighting
    };
    let mut targets = vec![sighting_of(control.pid)];
    targets.extend(subjects.iter().map(|subject| {
        let sighting = registry.by_pid(subject.orphan.pid);
        let verdict = &sighting.expect(&subject.name).verdict;
        let is_orphan = verdict.orphan_reason().is_some();
        assert!(is_orphan, "{}: {verdict:?}", subject.name);
        sighting_of(subject.orphan.pid)
    }));

    let changes: Vec<_> = subjects
        .iter_mut()
        .map(|subject| std::mem::replace(&mut subject.change, Box::new(|_| false)))
        .collect();
    let mut due: Vec<_> = subjects
        .iter_mut()
        .map(|one| &mut one.orphan)
        .zip(changes)
        .collect();
    let mut changed = Vec::new();
    if moment == Moment::BeforeTheWave {
        for (orphan, change) in due.drain(..) {
            assert!(change(orphan), "nothing ends it before the wave");
            changed.push(Some(Instant::now()));
        }
    }
    let (mut silence, mut hold_up) = (None, Duration::ZERO);
    if moment == Moment::WhileItsCheckGrowsOld {
        targets.push(sighting_of(slow.pid));
        silence = Some(Silence::over(&ground.path("slow"))?);
        hold_up = HOLD_UP;
        ground.settings.probe_timeout = HOLD_UP;
    }
    let span = match moment {
        Moment::Any => ground.settings.sigterm_wait + Duration::from_millis(15),
        _ => hold_up,
    };
    let span = u64::try_from(span.as_micros()).expect("a short one") + 1;
    let mut delays: Vec<_> = due
        .iter()
        .map(|_| Duration::from_micros(dice.throw(span)))
        .collect();
    delays.sort_unstable();

    let wave = Instant::now();
    let (ends, later) = ground.wave(targets, move || {
        let one_by_one = due
            .into_iter()
            .zip(delays)
            .map(|((orphan, change), delay)| {
                if moment == Moment::AfterSigterm {
                    wait_until("it has SIGTERM", || orphan.has_received(Number::SIGTERM));
                }
                thread::sleep((wave + delay).saturating_duration_since(Instant::now()));
                change(orphan).then(Instant::now)
            });
        one_by_one.collect::<Vec<Option<Instant>>>()
    });
    drop(silence);
    changed.extend(later);

    let outcome_of = |pid: u32| {
        let end = ends.iter().find(|end| end.sighting.identity().pid == pid);
        &end.expect("an end").outcome
    };
    assert!(
        matches!(outcome_of(control.pid), Outcome::Killed { .. }) && !control.is_alive(),
        "one that stays an orphan ends: {:?}",
        outcome_of(control.pid)
    );
    let recorded = ground.recorded();
    let first_check = wave + hold_up;
    let second_check = first_check + ground.settings.sigterm_wait;
    let mut in_time = Vec::new();
    for (mut subject, changed) in subjects.into_iter().zip(changed) {
        let Some(changed) = changed.filter(|changed| *changed < second_check) else {
            continue;
        };
        let (name, pid) = (&subject.name, subject.orphan.pid);
        let after = changed.saturating_duration_since(wave);
        let signals: Vec<&str> = recorded
            .iter()
            .filter(|record| record.target == u64::from(pid))
            .map(|record| record.signal.as_str())
            .collect();
        let told = format!("{name}, changed {after:?} after the wave began, {moment:?}");
        assert!(subject.orphan.is_alive(), "{told}: it was ended");
        assert!(!signals.contains(&"SIGKILL"), "{told}: {signals:?}");
        let outcome = outcome_of(pid);
        match outcome {
            // In the middle of a change there may be other doubts.
            Outcome::Spared { why } => {
                assert!(moment == Moment::Any || why == subject.why, "{told}: {why}")
            }
            other => panic!("{told}: {other:?}"),
        }
        if changed < first_check {
            // Records are written after the first check, and before the one made again.
            assert!(
                hold_up > Duration::ZERO || signals.is_empty(),
                "{told}: {signals:?}"
            );
            subject.orphan.assert_untouched(&told);
        }
        in_time.push(subject);
    }
    ground.forget_records();
    Some(in_time)
}
