//! What is written down, and in which order.

use super::*;

/// The facts among the effects of one event.
fn facts_of(daemon: &mut Daemon, event: Event) -> Vec<Fact> {
    daemon
        .dispatcher
        .handle_event(event, clock())
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Record(facts) => Some(facts),
            _ => None,
        })
        .flatten()
        .collect()
}

fn scan_of(seen: Vec<Observation>) -> Event {
    Event::Scanned {
        observations: Ok(seen),
        around: clear(),
        took: TOOK,
    }
}

#[test]
fn the_start_is_recorded_before_whatever_the_first_scan_found() {
    let mut daemon = Daemon::new(Source::Daemon);
    daemon.take(Event::Tick);
    assert_eq!(
        daemon.scanned(vec![orphan(10)]),
        [
            "record daemon.started",
            "record orphan.detected 10",
            "ready"
        ]
    );
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0], "once");
}

#[test]
fn the_client_is_no_daemon_and_records_no_start_nor_stop() {
    let mut embedded = Daemon::new(Source::Embedded);
    assert_eq!(embedded.fix(1, Selection::default()), ["scan"]);
    let effects = embedded.scanned(vec![orphan(10)]);
    assert_eq!(effects, ["record orphan.detected 10", "end [10]", "ready"]);
    let effects = embedded.ended(10, KILLED);
    assert_eq!(effects, ["record orphan.killed 10", "answer 1: ok"]);
    assert_eq!(embedded.result(1)["source"], "embedded");
    assert_eq!(embedded.stop(), ["exit"]);
}

#[test]
fn what_is_detected_comes_with_its_subject_and_its_grounds() {
    let mut daemon = Daemon::ready(vec![]);
    let facts = facts_of(&mut daemon, scan_of(vec![orphan(10), alive(11)]));
    let [Fact::Detected { subject, grounds }] = facts.as_slice() else {
        panic!("{facts:?}");
    };
    assert_eq!(subject.pid, 10);
    assert_eq!(subject.workspace, orphan(10).evidence.workspace);
    assert_eq!(subject.reason, "workspace_path_missing");
    assert_eq!(grounds.evidence, orphan(10).evidence);
    assert!(grounds.memory.deletion.is_some());
}

#[test]
fn what_is_cleared_comes_with_the_reason_it_was_an_orphan_for() {
    for (seen, cause, now) in [
        (vec![], Cleared::Exited, None),
        (
            vec![alive(10)],
            Cleared::VerdictChanged,
            Some("workspace_alive".to_owned()),
        ),
    ] {
        let mut daemon = Daemon::ready(vec![orphan(10)]);
        let facts = facts_of(&mut daemon, scan_of(seen));
        let [
            Fact::Cleared {
                subject,
                cause: found,
                now: then,
            },
        ] = facts.as_slice()
        else {
            panic!("{facts:?}");
        };
        assert_eq!((subject.pid, *found, then), (10, cause, &now));
        assert_eq!(subject.reason, "workspace_path_missing");
    }
}

#[test]
fn only_transitions_are_recorded() {
    let mut daemon = Daemon::ready(vec![orphan(10), alive(11)]);
    for _ in 0..3 {
        daemon.take(Event::Tick);
        let effects = daemon.scanned(vec![orphan(10), alive(11)]);
        assert_eq!(effects, [""; 0]);
    }
    let counters = daemon.status()["counters"].clone();
    assert_eq!(counters["scans"], 4);
    assert_eq!(counters["detected"], 1);
    assert_eq!(counters["cleared"], 0);
}

#[test]
fn each_end_is_recorded_with_what_it_was() {
    for (outcome, counter) in [
        (KILLED, "killed"),
        (Outcome::Missing, "killed"),
        (failed(), "failed"),
        (spared("workspace_alive"), "spared"),
    ] {
        let mut daemon = Daemon::fixing(vec![orphan(10)]);
        let target = daemon.waves[0].targets[0].clone();
        let end = termination(target, outcome.clone());
        let facts = facts_of(&mut daemon, Event::Ended(Box::new(end)));
        let subject = match facts.as_slice() {
            [
                Fact::Killed {
                    subject,
                    missing,
                    elapsed_ms: 70,
                    ..
                },
            ] => {
                assert_eq!(*missing, outcome == Outcome::Missing);
                subject
            }
            [Fact::Failed { subject, error, .. }] => {
                assert_eq!(*error, "alive_after_sigkill");
                subject
            }
            [Fact::Spared { subject, why, .. }] => {
                assert_eq!(why, "workspace_alive");
                subject
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(subject.pid, 10);
        let counters = daemon.status()["counters"].clone();
        assert_eq!(counters[counter], 1, "{counter}");
    }
}

#[test]
fn what_the_daemon_ends_itself_is_killed_and_not_cleared() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.take(Event::Tick);
    // A scan sees it gone before its end is reported.
    assert_eq!(daemon.scanned(vec![]), [""; 0]);
    assert_eq!(
        daemon.ended(10, KILLED),
        ["record orphan.killed 10", "answer 1: ok"]
    );
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![]), [""; 0]);
    let counters = daemon.status()["counters"].clone();
    assert_eq!(counters["cleared"], 0);
    assert_eq!(counters["killed"], 1);
}

#[test]
fn one_that_is_spared_because_its_workspace_is_back_is_cleared_too() {
    // What the log calls detected it calls cleared, killed or failed in the end.
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.take(Event::Tick);
    let mut effects = daemon.scanned(vec![alive(10)]);
    effects.extend(daemon.ended(10, spared("workspace_alive")));
    daemon.take(Event::Tick);
    effects.extend(daemon.scanned(vec![alive(10)]));
    let cleared = effects
        .iter()
        .filter(|effect| effect.contains("orphan.cleared 10"))
        .count();
    assert_eq!(cleared, 1, "{effects:?}");
}

#[test]
fn an_orphan_that_could_not_be_ended_stays_one_and_is_not_detected_anew() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.ended(10, failed());
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![]), ["record orphan.cleared 10"]);
}
