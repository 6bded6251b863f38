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
