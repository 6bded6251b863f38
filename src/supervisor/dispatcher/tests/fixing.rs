//! Fixes: who is ended, who joins, and who is answered when.

use serde_json::json;

use super::*;

#[test]
fn a_fix_is_answered_when_all_of_its_orphans_have_ended() {
    let seen = vec![orphan(10), alive(11), orphan(12)];
    let mut daemon = Daemon::ready(seen.clone());
    daemon.fix(1, Selection::default());
    assert_eq!(daemon.scanned(seen), ["end [10, 12]"]);
    assert_eq!(daemon.ended(12, KILLED), ["record orphan.killed 12"]);
    assert_eq!(
        daemon.ended(10, failed()),
        ["record orphan.failed 10", "answer 1: ok"]
    );
    let result = daemon.result(1);
    assert_eq!(pids_in(result, "killed"), [12]);
    assert_eq!(pids_in(result, "failed"), [10]);
    assert_eq!(pids_in(result, "orphans"), [10, 12]);
    assert_eq!(result["ok"], false);
    assert_eq!(result["dry_run"], false);
}

#[test]
fn a_wave_runs_for_the_peer_and_protects_it_and_the_daemon() {
    let daemon = Daemon::fixing(vec![orphan(10)]);
    let wave = &daemon.waves[0];
    assert_eq!(
        wave.actor,
        Actor::Peer {
            uid: 1000,
            pid: Some(600)
        }
    );
    assert_eq!(wave.own_pid, DAEMON_PID);
    assert_eq!(guarded(wave), [peer().lineage]);
}

#[test]
fn a_second_peer_joins_the_wave_and_is_protected_from_then_on() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    let second = Peer {
        lineage: Arc::new(lineage_of(&[700])),
        ..peer()
    };
    daemon.take(Event::Asked {
        ticket: 9,
        peer: second.clone(),
        request: Request::Fix {
            selection: Selection::default(),
        },
    });
    daemon.scanned(vec![orphan(10)]);
    assert_eq!(daemon.waves.len(), 1, "joined, not begun anew");
    assert_eq!(guarded(&daemon.waves[0]), [peer().lineage, second.lineage]);
}

#[test]
fn a_peer_without_a_pid_still_leaves_the_daemon_protected() {
    let mut daemon = Daemon::ready(vec![]);
    daemon.take(Event::Asked {
        ticket: 1,
        peer: Peer {
            uid: 0,
            pid: None,
            lineage: Arc::new(Lineage::unknown()),
        },
        request: Request::Fix {
            selection: Selection::default(),
        },
    });
    daemon.scanned(vec![orphan(10)]);
    assert_eq!(daemon.waves[0].own_pid, DAEMON_PID);
    assert_eq!(daemon.waves[0].actor, Actor::Peer { uid: 0, pid: None });
}

#[test]
fn a_fix_without_orphans_is_answered_at_once() {
    let mut daemon = Daemon::ready(vec![alive(10)]);
    daemon.fix(1, Selection::default());
    assert_eq!(daemon.scanned(vec![alive(10)]), ["answer 1: ok"]);
    let result = daemon.result(1);
    assert_eq!(result["ok"], true);
    for list in ["killed", "failed", "spared"] {
        assert_eq!(result[list], json!([]), "{list}");
    }
}

#[test]
fn two_fixes_for_one_orphan_start_one_termination_and_both_are_answered() {
    // One before, one from the same scan, one while it is under way.
    let mut daemon = Daemon::scanning(vec![orphan(10)]);
    daemon.fix(1, Selection::default());
    daemon.fix(2, named(10));
    daemon.scanned(vec![orphan(10)]);
    assert_eq!(daemon.scanned(vec![orphan(10)]), ["end [10]"]);
    assert_eq!(daemon.ask(3, Request::Gate { fix: true }), ["scan"]);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
    assert_eq!(
        daemon.ended(10, KILLED),
        [
            "record orphan.killed 10",
            "answer 1: ok",
            "answer 2: ok",
            "answer 3: ok"
        ]
    );
    for ticket in [1, 2, 3] {
        assert_eq!(pids_in(daemon.result(ticket), "killed"), [10]);
    }
    assert_eq!(daemon.result(3)["status"], "passed");
    assert_eq!(daemon.status()["counters"]["killed"], 1);
}

#[test]
fn a_fix_that_joins_one_and_starts_another_waits_for_both() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.fix(2, Selection::default());
    let both = vec![orphan(10), orphan(11)];
    assert_eq!(
        daemon.scanned(both),
        ["record orphan.detected 11", "end [11]"]
    );
    assert_eq!(
        daemon.ended(10, KILLED),
        ["record orphan.killed 10", "answer 1: ok"]
    );
    assert_eq!(
        daemon.ended(11, KILLED),
        ["record orphan.killed 11", "answer 2: ok"]
    );
    assert_eq!(pids_in(daemon.result(2), "killed"), [10, 11]);
}

#[test]
fn after_a_failed_termination_another_fix_tries_again() {
    for outcome in [failed(), spared("process_unreadable")] {
        let mut daemon = Daemon::fixing(vec![orphan(10)]);
        daemon.ended(10, outcome);
        daemon.fix(2, Selection::default());
        assert_eq!(daemon.scanned(vec![orphan(10)]), ["end [10]"]);
    }
}

#[test]
fn a_recycled_pid_is_a_termination_of_its_own() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    let mut recycled = orphan(10);
    recycled.record.identity.start += 1;
    daemon.fix(2, Selection::default());
    assert_eq!(
        daemon.scanned(vec![recycled]),
        ["record orphan.detected 10", "end [10]"]
    );
}

#[test]
fn a_fix_that_names_a_healthy_pid_or_a_stranger_gets_them_back_as_spared() {
    let seen = vec![alive(10), orphan(11)];
    let mut daemon = Daemon::ready(seen.clone());
    let selection = Selection {
        pids: vec![10, 99],
        ..Selection::default()
    };
    daemon.fix(1, selection);
    assert_eq!(daemon.scanned(seen), ["look up {99} for 1"]);
    assert!(daemon.waves.is_empty(), "11 was not named");
    assert_eq!(daemon.looked_up(1, [99]), ["answer 1: ok"]);
    let result = daemon.result(1);
    assert_eq!(result["ok"], true);
    let spared = &result["spared"];
    assert_eq!(pids_in(result, "spared"), [10, 99]);
    assert_eq!(spared[0]["status"], "spared");
    assert_eq!(spared[0]["verdict"], "alive");
    assert_eq!(spared[0]["reason"], "workspace_alive");
    assert_eq!(spared[1]["reason"], "not_a_coordinator");
    assert_eq!(spared[1]["is_orphan"], false);
}

#[test]
fn a_fix_is_answered_when_its_orphans_have_ended_and_its_strangers_are_known() {
    let seen = vec![orphan(10)];
    let both = Selection {
        pids: vec![10, 99],
        ..Selection::default()
    };
    let begin = || {
        let mut daemon = Daemon::ready(seen.clone());
        daemon.fix(1, both.clone());
        let begun = daemon.scanned(seen.clone());
        assert_eq!(begun, ["look up {99} for 1", "end [10]"]);
        daemon
    };
    let mut daemon = begin();
    let ended = ["record orphan.killed 10".to_owned()];
    assert_eq!(daemon.ended(10, KILLED), ended);
    assert_eq!(daemon.looked_up(1, [99]), ["answer 1: ok"]);
    let mut other_order = begin();
    assert_eq!(other_order.looked_up(1, [99]), [""; 0]);
    other_order.ended(10, KILLED);
    for daemon in [&daemon, &other_order] {
        assert_eq!(pids_in(daemon.result(1), "killed"), [10]);
        assert_eq!(pids_in(daemon.result(1), "spared"), [99]);
    }
    // Nobody waits for it any more.
    assert_eq!(daemon.looked_up(1, [99]), [""; 0]);
}

#[test]
fn the_gate_spares_a_young_ephemeral_one_and_a_fix_that_names_it_does_not() {
    let young = || young_ephemeral(10);
    let mut daemon = Daemon::ready(vec![young()]);
    daemon.ask(1, Request::Gate { fix: true });
    assert_eq!(daemon.scanned(vec![young()]), ["answer 1: ok"]);
    assert_eq!(pids_in(daemon.result(1), "spared"), [10]);
    assert_eq!(daemon.result(1)["status"], "passed");
    daemon.fix(2, named(10));
    assert_eq!(daemon.scanned(vec![young()]), ["end [10]"]);
}

#[test]
fn status_tells_which_orphans_are_being_ended() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.take(Event::Tick);
    daemon.scanned(vec![orphan(10), orphan(11)]);
    let status = daemon.status();
    assert_eq!(pids_in(&status, "orphans"), [10, 11]);
    assert_eq!(status["orphans"][0]["state"], "terminating");
    assert_ne!(status["orphans"][1]["state"], "terminating");
    daemon.ended(10, KILLED);
    assert_eq!(pids_in(&daemon.status(), "orphans"), [11]);
}
