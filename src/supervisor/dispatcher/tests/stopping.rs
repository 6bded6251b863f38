//! Leaving: nothing new begins, what is under way ends, and then it is over, once.

use super::*;

const LEAVE: [&str; 2] = ["record daemon.stopped", "exit"];

#[test]
fn whoever_waits_for_a_scan_is_told_that_it_is_over() {
    let mut daemon = Daemon::ready(vec![orphan(10)]);
    daemon.ask(
        1,
        Request::Scan {
            workspaces: Vec::new(),
            survey: None,
        },
    );
    daemon.fix(2, Selection::default());
    daemon.ask(3, Request::Gate { fix: true });
    assert_eq!(
        daemon.stop(),
        [
            "answer 1: shutting down",
            "answer 2: shutting down",
            "answer 3: shutting down",
            "record daemon.stopped",
            "exit",
        ]
    );
}

#[test]
fn terminations_under_way_finish_and_their_fix_is_answered() {
    let mut daemon = Daemon::fixing(vec![orphan(10), orphan(11)]);
    daemon.fix(2, Selection::default());
    assert_eq!(daemon.stop(), ["answer 2: shutting down"]);
    // The scan that was under way ends too, and starts nothing.
    assert_eq!(daemon.scanned(vec![orphan(10), orphan(11)]), [""; 0]);
    assert_eq!(daemon.ended(10, KILLED), ["record orphan.killed 10"]);
    assert_eq!(
        daemon.ended(11, failed()),
        [
            "record orphan.failed 11",
            "answer 1: ok",
            LEAVE[0],
            LEAVE[1]
        ]
    );
    assert_eq!(pids_in(daemon.result(1), "killed"), [10]);
    assert_eq!(pids_in(daemon.result(1), "failed"), [11]);
    assert_eq!(daemon.waves.len(), 1);
}

#[test]
fn it_does_not_wait_for_whom_a_fix_only_names() {
    let named = || Selection {
        pids: vec![10, 99],
        ..Selection::default()
    };
    let begin = |seen: Vec<Observation>| {
        let mut daemon = Daemon::ready(seen.clone());
        daemon.fix(1, named());
        daemon.scanned(seen);
        daemon
    };
    let mut alone = begin(vec![alive(10)]);
    assert_eq!(alone.stop(), ["answer 1: ok", LEAVE[0], LEAVE[1]]);
    assert_eq!(pids_in(alone.result(1), "spared"), [10, 99]);
    assert_eq!(alone.result(1)["spared"][1]["why"], "not_looked_up_in_time");

    // As long as it waits for somebody else, it may still be found out.
    let mut beside = begin(vec![orphan(10)]);
    assert_eq!(beside.stop(), [""; 0]);
    assert_eq!(beside.looked_up(1, [99]), [""; 0]);
    beside.ended(10, KILLED);
    assert_eq!(beside.result(1)["spared"][0]["why"], "no_such_process");

    let mut never = begin(vec![orphan(10)]);
    never.stop();
    assert_eq!(
        never.ended(10, KILLED),
        [
            "record orphan.killed 10",
            "answer 1: ok",
            LEAVE[0],
            LEAVE[1]
        ]
    );
    assert_eq!(pids_in(never.result(1), "killed"), [10]);
    assert_eq!(pids_in(never.result(1), "spared"), [99]);
}

#[test]
fn nothing_new_begins_once_it_is_stopping() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    daemon.stop();
    assert_eq!(daemon.take(Event::Tick), [""; 0]);
    assert_eq!(
        daemon.fix(2, Selection::default()),
        ["answer 2: shutting down"]
    );
    assert_eq!(daemon.ask(3, Request::Status), ["answer 3: ok"]);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
    assert_eq!(daemon.waves.len(), 1);
}

#[test]
fn told_a_second_time_it_leaves_at_once() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    assert_eq!(daemon.stop(), [""; 0]);
    let cause = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Record(facts) => facts.into_iter().find_map(|fact| match fact {
                Fact::DaemonStopped { pid, cause } => Some((pid, cause)),
                _ => None,
            }),
            _ => None,
        })
    };
    let again = Event::Stop {
        cause: "SIGINT".to_owned(),
    };
    let effects = daemon.dispatcher.handle_event(again, clock());
    let is_refused = effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Answer {
                ticket: 1,
                answer: Err(Refusal::ShuttingDown),
            }
        )
    });
    assert!(is_refused, "{effects:?}");
    assert!(matches!(effects.last(), Some(Effect::Exit)), "{effects:?}");
    assert_eq!(
        cause(effects),
        Some((DAEMON_PID, "SIGTERM, then SIGINT".to_owned()))
    );
    // A third time there is nothing left to leave.
    assert_eq!(daemon.stop(), [""; 0]);
}

#[test]
fn it_leaves_exactly_once() {
    let mut daemon = Daemon::scanning(vec![orphan(10)]);
    assert_eq!(daemon.stop(), LEAVE);
    // Whatever is still in the queue changes nothing.
    assert_eq!(daemon.stop(), [""; 0]);
    assert_eq!(daemon.take(Event::Tick), [""; 0]);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
    assert_eq!(daemon.ask(2, Request::Status), ["answer 2: ok"]);
}

#[test]
fn it_may_be_stopped_before_its_first_scan_is_done() {
    let mut daemon = Daemon::new(Source::Daemon);
    daemon.take(Event::Tick);
    let effects = daemon.stop();
    assert_eq!(effects.last().map(String::as_str), Some("exit"));
    assert!(!effects.contains(&"ready".to_owned()));
}
