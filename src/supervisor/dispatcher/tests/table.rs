//! Every event in every state. An empty list is an event that changes nothing now.

use super::*;
use crate::event_log::Query;

/// One orphan, pid 10.
fn idle() -> Daemon {
    Daemon::ready(vec![orphan(10)])
}

fn scanning() -> Daemon {
    Daemon::scanning(vec![orphan(10)])
}

fn fixing() -> Daemon {
    Daemon::fixing(vec![orphan(10)])
}

/// It was fixing, and is to leave.
fn stopping() -> Daemon {
    let mut daemon = fixing();
    assert_eq!(daemon.stop(), [""; 0]);
    daemon
}

type State = (&'static str, fn() -> Daemon);

const STATES: [State; 4] = [
    ("idle", idle),
    ("scanning", scanning),
    ("fixing", fixing),
    ("stopping", stopping),
];

/// In each state, in the order of `STATES`.
fn check(event: impl Fn(&mut Daemon) -> Vec<String>, expected: [&[&str]; 4]) {
    for ((name, state), expected) in STATES.into_iter().zip(expected) {
        assert_eq!(event(&mut state()), expected, "{name}");
    }
}

const NOTHING: &[&str] = &[];
const SCAN: &[&str] = &["scan"];
const REFUSED: &[&str] = &["answer 2: shutting down"];

#[test]
fn a_tick() {
    check(
        |daemon| daemon.take(Event::Tick),
        [SCAN, NOTHING, SCAN, NOTHING],
    );
}

#[test]
fn a_request_that_needs_a_scan() {
    let requests = || {
        [
            Request::Scan {
                workspaces: Vec::new(),
                survey: None,
            },
            Request::Gate { fix: false },
            Request::Gate { fix: true },
            Request::Fix {
                selection: Selection::default(),
            },
        ]
    };
    for request in requests() {
        check(
            |daemon| daemon.ask(2, request.clone()),
            [SCAN, NOTHING, SCAN, REFUSED],
        );
    }
}

#[test]
fn a_question_that_needs_no_scan() {
    let questions: [(Request, &[&str]); 6] = [
        (Request::Status, &["answer 2: ok"]),
        (
            Request::Explain { pid: 10 },
            &["explain 10 to 2, known as Some(10)"],
        ),
        (
            Request::Explain { pid: 99 },
            &["explain 99 to 2, known as None"],
        ),
        (Request::Events(Query::default()), &["read events for 2"]),
        (Request::Doctor, &["check up for 2, 1 known"]),
        (Request::Reload, &["load configuration for Some(2)"]),
    ];
    for (request, effects) in questions {
        check(|daemon| daemon.ask(2, request.clone()), [effects; 4]);
    }
}

#[test]
fn the_owners_reload() {
    let load: &[&str] = &["load configuration for None"];
    check(|daemon| daemon.take(Event::ReloadAsked), [load; 4]);
}

#[test]
fn the_end_of_a_scan_that_nobody_waits_for() {
    check(|daemon| daemon.scanned(vec![orphan(10)]), [NOTHING; 4]);
    check(Daemon::scan_failed, [NOTHING; 4]);
}

#[test]
fn the_end_of_a_scan_with_news() {
    let news: &[&str] = &["record orphan.detected 11"];
    check(
        |daemon| daemon.scanned(vec![orphan(10), orphan(11)]),
        [news; 4],
    );
}

#[test]
fn the_end_of_a_termination() {
    for (outcome, name) in [
        (KILLED, "orphan.killed"),
        (Outcome::Missing, "orphan.killed"),
        (failed(), "orphan.failed"),
        (spared("workspace_alive"), "orphan.spared"),
    ] {
        let record = format!("record {name} 10");
        let mut daemon = fixing();
        assert_eq!(
            daemon.ended(10, outcome.clone()),
            [record.as_str(), "answer 1: ok"]
        );
        let mut daemon = stopping();
        assert_eq!(
            daemon.ended(10, outcome),
            [
                record.as_str(),
                "answer 1: ok",
                "record daemon.stopped",
                "exit"
            ]
        );
    }
}

#[test]
fn the_order_to_stop() {
    let leave: &[&str] = &["record daemon.stopped", "exit"];
    let give_up: &[&str] = &["answer 1: shutting down", leave[0], leave[1]];
    check(Daemon::stop, [leave, leave, NOTHING, give_up]);
}
