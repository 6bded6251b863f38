//! What is said between the two signals of a wave, by whoever may say something: who gets the second.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal as Number;
use team_agentd::orphan::escalation::Outcome;
use team_agentd::orphan::event::Actor;
use team_agentd::orphan::process::ProcessIdentity;
use team_agentd::orphan::steering::Pause;
use team_agentd::orphan::termination::Termination;
use team_agentd::orphan::victims::Lineage;
use team_agentd::supervisor::request::{Peer, Selection};
use team_agentd::supervisor::selection::Demand;
use team_agentd::supervisor::termination::Orders;

use super::ground::{Ground, Watched, coordinator, wait_until};
use crate::support::in_private_pid_namespace;

/// Long enough for something to be said between the signals, on a slow machine too.
const BETWEEN_THE_SIGNALS: Duration = Duration::from_secs(3);
const REAPING_HELD: &str = "reaping_held";

/// The daemon's own wave on one orphan, and what is said when that has SIGTERM.
fn said_between_the_signals(
    say: impl FnOnce(&mut Orders, ProcessIdentity) + Send,
) -> (Termination, bool) {
    let mut ground = Ground::new();
    ground.settings.sigterm_wait = BETWEEN_THE_SIGNALS;
    let mut orphan = Watched::start(coordinator(&ground.path("gone")));
    let sighting = ground.sighting_of(orphan.pid);
    let identity = sighting.identity();
    let (asked, order) = (&orphan, &ground);
    let (mut ends, ()) = ground.wave(vec![sighting], move || {
        wait_until("the orphan has SIGTERM", || {
            asked.has_received(Number::SIGTERM)
        });
        order.order(|orders| say(orders, identity));
    });
    ground.assert_survivors_untouched();
    (ends.pop().expect("an end"), orphan.is_alive())
}

#[track_caller]
fn assert_spared(end: &Termination, is_alive: bool, word: &str) {
    let why = word.to_owned();
    assert_eq!(end.outcome, Outcome::Spared { why });
    assert_eq!(end.actor, Actor::Auto);
    assert!(is_alive);
}

fn peer() -> Peer {
    Peer {
        uid: 1000,
        pid: Some(1),
        lineage: Arc::default(),
    }
}

fn wants(selection: Selection, targets: &[ProcessIdentity]) -> Arc<Demand> {
    Arc::new(Demand {
        peer: peer(),
        selection,
        targets: targets.iter().copied().collect::<HashSet<_>>(),
    })
}

fn by_reason(reason: &str) -> Selection {
    Selection {
        reasons: vec![reason.to_owned()],
        ..Selection::default()
    }
}

const UNTIL_RESUMED: Pause = Pause {
    until: None,
    not_before: None,
};

fn pause(orders: &mut Orders) {
    Arc::make_mut(&mut orders.steering).pause = Some(UNTIL_RESUMED);
}

#[test]
fn a_view_that_turns_out_to_be_obstructed_holds_the_second_signal_back() {
    in_private_pid_namespace(|| {
        let (end, is_alive) =
            said_between_the_signals(|orders, _| orders.is_view_obstructed = true);
        assert_spared(&end, is_alive, REAPING_HELD);
    });
}

#[test]
fn whoever_waits_for_it_gets_it_although_the_daemon_itself_is_held() {
    in_private_pid_namespace(|| {
        let (end, is_alive) = said_between_the_signals(|orders, orphan| {
            pause(orders);
            orders.is_view_obstructed = true;
            // The first does not want it for what it is an orphan for; the second does.
            let trashed = by_reason("workspace_trashed");
            orders.demands.push(wants(trashed, &[orphan]));
            orders.demands.push(wants(Selection::default(), &[orphan]));
        });
        let killed = matches!(end.outcome, Outcome::Killed { .. });
        assert!(killed && !is_alive, "{end:?}");
        assert_eq!(end.actor, peer().actor());
    });
}

#[test]
fn who_waits_for_others_or_for_another_reason_does_not_lift_a_pause() {
    in_private_pid_namespace(|| {
        let (end, is_alive) = said_between_the_signals(|orders, orphan| {
            pause(orders);
            let trashed = by_reason("workspace_trashed");
            orders.demands.push(wants(trashed, &[orphan]));
            orders.demands.push(wants(Selection::default(), &[]));
        });
        assert_spared(&end, is_alive, REAPING_HELD);
    });
}

#[test]
fn whoever_waits_for_anything_is_protected_with_all_that_is_above_it() {
    in_private_pid_namespace(|| {
        let (end, is_alive) = said_between_the_signals(|orders, orphan| {
            let mut below = wants(Selection::default(), &[]);
            let lineage = Lineage {
                pids: [orphan.pid].into(),
                open_above: None,
            };
            Arc::make_mut(&mut below).peer.lineage = Arc::new(lineage);
            orders.demands.push(below);
        });
        assert_spared(&end, is_alive, "protected_ancestor");
    });
}

const ORPHANS: u32 = 2;
const EVERY: Duration = Duration::from_millis(100);

/// What a dispatcher does with each scan, each fix that begins or ends and each orphan's end: the orders
/// are replaced, and nothing of what they say changes.
#[test]
fn orders_that_say_the_same_again_hold_no_wave_up() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::with_blocking_threads(1);
        ground.settings.probe_timeout = Duration::from_secs(60);
        let orphans: Vec<Watched> = (0..ORPHANS)
            .map(|number| Watched::start(coordinator(&ground.path(&format!("gone{number}")))))
            .collect();
        let sightings = orphans
            .iter()
            .map(|one| ground.sighting_of(one.pid))
            .collect();
        let (asked, order) = (&orphans[0], &ground);
        let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        super::moments::busy_with(
            ground.blocking_pool(),
            Arc::clone(&is_over),
            // A disk, or a machine, that takes its time.
            Arc::new(|| std::thread::sleep(Duration::from_millis(60))),
        );
        let is_over = &is_over;
        let (ends, had_it) = ground.wave(sightings, move || {
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while std::time::Instant::now() < deadline {
                if asked.has_received(Number::SIGTERM) {
                    return true;
                }
                order.order(|_| ());
                std::thread::sleep(EVERY);
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            false
        });
        assert!(
            had_it,
            "no signal in 20 s, until the orders stood still: {ends:?}"
        );
    });
}

/// The record is on disk when the owner pauses, and somebody waits for the orphan: whose signal is it?
#[test]
fn a_signal_is_on_record_as_whose_it_is() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::with_blocking_threads(1);
        ground.settings.probe_timeout = Duration::from_secs(60);
        let orphan = Watched::start(coordinator(&ground.path("gone")));
        let sighting = ground.sighting_of(orphan.pid);
        let identity = sighting.identity();
        let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        super::moments::busy_with(
            ground.blocking_pool(),
            Arc::clone(&is_over),
            Arc::new(|| std::thread::sleep(Duration::from_millis(150))),
        );
        let log = ground.path("state/events.jsonl");
        let order = &ground;
        let (ends, ()) = ground.wave(vec![sighting], move || {
            wait_until("the signal is on record", || {
                std::fs::read_to_string(&log).is_ok_and(|log| log.contains("orphan.signal"))
            });
            order.order(|orders| {
                pause(orders);
                orders
                    .demands
                    .push(wants(Selection::default(), &[identity]));
            });
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        // It is begun anew for the one who waits, and recorded as theirs.
        assert!(ends[0].outcome.is_spared_as("reaping_held"), "{ends:?}");
        assert_eq!(ends[0].actor, Actor::Auto, "{ends:?}");
        assert!(!orphan.has_received(Number::SIGTERM));
    });
}

/// A wave that checks again goes by a check that is as old as one that made it check again.
#[test]
fn the_second_check_is_not_stale_either_when_the_signal_goes_out() {
    in_private_pid_namespace(|| {
        for turn in [3, 4, 6, 10] {
            let mut ground = Ground::with_blocking_threads(1);
            ground.settings.probe_timeout = Duration::from_secs(60);
            let workspace = ground.path("gone");
            let orphan = Watched::start(coordinator(&workspace));
            let sighting = ground.sighting_of(orphan.pid);
            let log = ground.path("state/events.jsonl");
            let turns = std::sync::atomic::AtomicU64::new(0);
            let pid = orphan.pid;
            let had_it_before = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let had = Arc::clone(&had_it_before);
            let work = move || {
                if std::fs::read_to_string(&log).is_ok_and(|log| log.contains("orphan.signal"))
                    && turns.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == turn
                {
                    std::fs::create_dir_all(&workspace).expect("a directory");
                    std::thread::sleep(Duration::from_secs(2));
                    // Nothing else was looked at meanwhile. Whoever has its signal by now had it when
                    // the workspace came back.
                    let gone = super::ground::argv(pid).is_empty();
                    had.store(
                        gone || !super::ground::pending(pid).is_empty(),
                        std::sync::atomic::Ordering::Relaxed,
                    );
                } else {
                    std::thread::sleep(Duration::from_millis(150));
                }
            };
            let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
            super::moments::busy_with(ground.blocking_pool(), Arc::clone(&is_over), Arc::new(work));
            let outcome = ground.end(sighting);
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            let signalled = ground.recorded().len();
            let before = had_it_before.load(std::sync::atomic::Ordering::Relaxed);
            eprintln!(
                "turn {turn}: {outcome:?} received {:?} before {before} records {signalled}",
                orphan.received()
            );
            let terminated =
                !orphan.received().is_empty() || matches!(outcome, Outcome::Killed { .. });
            assert!(
                before || !terminated || !ground.path("gone").exists(),
                "turn {turn}: its workspace was back for 2 s when it got SIGTERM: {outcome:?}, {signalled} records"
            );
        }
    });
}
