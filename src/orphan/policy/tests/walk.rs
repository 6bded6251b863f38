//! Every order of events, to a stated depth: registry, policy and escalation as they are, in a small
//! world in which processes exit, exec and are recycled, workspaces are deleted, made again, moved and
//! come back, records fail, the daemon crashes, clocks are set and the machine sleeps.
//!
//! Breadth first, so that the first path found to a broken promise is a shortest one.

mod model;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use self::model::Happening::{
    self, DaemonCrashes, EscalationGoesOn, OwnerPauses, ScanBegins, ScanEnds, TimePasses,
    WorkspaceIsDeleted,
};
use self::model::{Bug, Model};

/// What a walk found.
#[derive(Debug)]
struct Walked {
    states: usize,
    transitions: usize,
    /// How many automatic and requested signals there were, so that nothing is proved of nothing.
    signals: [usize; 2],
    /// A shortest way to a broken promise, and which.
    broken: Option<(Vec<Happening>, String)>,
}

fn key(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    model.essence().hash(&mut hasher);
    hasher.finish()
}

/// Everything that can happen within `depth` steps from the start of a daemon.
fn walk(start: Model, depth: usize) -> Walked {
    let began = Instant::now();
    let mut came_from: HashMap<u64, (u64, Option<Happening>)> = HashMap::new();
    let start_key = key(&start);
    came_from.insert(start_key, (start_key, None));
    let mut frontier = vec![(start_key, start)];
    let mut walked = Walked {
        states: 1,
        transitions: 0,
        signals: [0, 0],
        broken: None,
    };
    for step in 1..=depth {
        let mut next = Vec::new();
        for (from, model) in frontier {
            for happening in model.possible() {
                walked.transitions += 1;
                let mut after = model.clone();
                if let Err(promise) = after.happens(happening) {
                    let mut path = path_to(from, &came_from);
                    path.push(happening);
                    walked.broken = Some((path, promise));
                    return walked;
                }
                walked.signals[0] += after.auto_signals - model.auto_signals;
                walked.signals[1] += after.asked_signals - model.asked_signals;
                let to = key(&after);
                came_from.entry(to).or_insert_with(|| {
                    walked.states += 1;
                    // Of the last step only the promises matter.
                    if step < depth {
                        next.push((to, after));
                    }
                    (from, Some(happening))
                });
            }
        }
        frontier = next;
    }
    println!(
        "depth {depth}: {} states, {} transitions, {} automatic and {} requested signals, {:.1} s",
        walked.states,
        walked.transitions,
        walked.signals[0],
        walked.signals[1],
        began.elapsed().as_secs_f64()
    );
    walked
}

fn path_to(mut at: u64, came_from: &HashMap<u64, (u64, Option<Happening>)>) -> Vec<Happening> {
    let mut path = Vec::new();
    while let Some((from, Some(happening))) = came_from.get(&at) {
        path.push(*happening);
        at = *from;
    }
    path.reverse();
    path
}

#[track_caller]
fn assert_every_promise_is_kept(start: Model, depth: usize) {
    let walked = walk(start, depth);
    if let Some((path, promise)) = walked.broken {
        panic!("{promise}, after {path:#?}");
    }
    assert!(
        walked.signals[0] > 0,
        "too shallow: nothing was ever reaped"
    );
}

/// The daemon has looked once.
const STARTED: [Happening; 2] = [ScanBegins, ScanEnds];

/// The daemon has sent SIGTERM by itself, and it was not obeyed.
const BEFORE_SIGKILL: [Happening; 12] = [
    ScanBegins,
    ScanEnds,
    WorkspaceIsDeleted(0),
    ScanBegins,
    ScanEnds,
    TimePasses,
    ScanBegins,
    ScanEnds,
    EscalationGoesOn(0),
    EscalationGoesOn(0),
    EscalationGoesOn(0),
    EscalationGoesOn(0),
];

/// The owner has paused reaping, the daemon has crashed since, and has looked once.
const PAUSED: [Happening; 7] = [
    ScanBegins,
    ScanEnds,
    WorkspaceIsDeleted(0),
    OwnerPauses,
    DaemonCrashes,
    ScanBegins,
    ScanEnds,
];

#[test]
fn every_promise_is_kept_whatever_happens_to_a_coordinator() {
    assert_every_promise_is_kept(Model::of_one(true).after(&STARTED), 9);
}

#[test]
fn every_promise_is_kept_whatever_happens_to_one_without_a_witness() {
    assert_every_promise_is_kept(Model::of_one(false).after(&STARTED), 9);
}

#[test]
fn every_promise_is_kept_whatever_happens_before_sigkill() {
    assert_every_promise_is_kept(Model::of_one(true).after(&BEFORE_SIGKILL), 8);
    assert_every_promise_is_kept(Model::of_two().after(&BEFORE_SIGKILL), 5);
}

/// Minutes and gigabytes: `cargo test --release --lib walk -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: to be asked for"]
fn every_promise_is_kept_further_on() {
    assert_every_promise_is_kept(Model::of_one(true), 14);
    assert_every_promise_is_kept(Model::of_one(false), 14);
    assert_every_promise_is_kept(Model::of_one(true).after(&BEFORE_SIGKILL), 11);
    assert_every_promise_is_kept(Model::of_two().after(&STARTED), 9);
    assert_every_promise_is_kept(Model::of_two().after(&BEFORE_SIGKILL), 7);
}

/// The walk can fail: each promise is broken on purpose, and the shortest way there is found.
#[test]
fn a_walk_finds_the_shortest_way_to_each_broken_promise() {
    let no_orphan = "no orphan when it was checked";
    let too_early = "before its patience was over";
    for (bug, start, steps, promise) in [
        (Bug::NoCheckAtAll, &STARTED[..], 7, "not checked"),
        (Bug::NoCheckBeforeSigkill, &BEFORE_SIGKILL, 3, "not checked"),
        (Bug::VerdictOfTheScan, &STARTED, 8, no_orphan),
        (Bug::ProgramOfTheScan, &STARTED, 8, no_orphan),
        (Bug::SignalsWithoutARecord, &STARTED, 9, "without a record"),
        (Bug::NoPatience, &STARTED, 8, too_early),
        (Bug::SleepIsPatience, &STARTED, 9, too_early),
        (Bug::PidIsIdentity, &STARTED, 9, "another process"),
        (Bug::ForgetsPausesInACrash, &PAUSED, 7, "while it was held"),
        (Bug::TwoWaves, &BEFORE_SIGKILL, 4, "SIGTERM twice"),
    ] {
        // Only what nobody holds can come back after it was seen to be deleted.
        let has_witnesses = bug != Bug::VerdictOfTheScan;
        let walked = walk(Model::of_one(has_witnesses).with(bug).after(start), 9);
        let Some((path, found)) = walked.broken else {
            panic!("{bug:?} breaks nothing");
        };
        println!("{bug:?}: {found}, after {path:?}");
        assert!(found.contains(promise), "{bug:?}: {found}, after {path:?}");
        assert_eq!(path.len(), steps, "{bug:?}: {path:?}");
    }
}
