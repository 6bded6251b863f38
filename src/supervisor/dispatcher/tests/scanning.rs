//! Scans: one at a time, and each request gets one that began after it came.

use serde_json::{Value, json};

use super::*;
use crate::orphan::registry::Unread;
use crate::os::processes::Sweep;
use crate::supervisor::request::Survey;

fn scan_for(daemon: &mut Daemon, ticket: Ticket) -> Vec<String> {
    daemon.ask(
        ticket,
        Request::Scan {
            workspaces: Vec::new(),
            survey: None,
        },
    )
}

#[test]
fn there_are_never_two_scans_at_once() {
    let mut daemon = Daemon::new(Source::Daemon);
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
    for _ in 0..3 {
        assert_eq!(daemon.take(Event::Tick), [""; 0]);
    }
    // The ticks meanwhile are not made up for.
    let effects = daemon.scanned(vec![]);
    assert!(!effects.contains(&"scan".to_owned()), "{effects:?}");
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
}

#[test]
fn requests_that_come_while_idle_are_served_by_the_scan_they_start() {
    let mut daemon = Daemon::ready(vec![]);
    assert_eq!(scan_for(&mut daemon, 1), ["scan"]);
    assert_eq!(daemon.scanned(vec![alive(10)]), ["answer 1: ok"]);
    assert_eq!(daemon.result(1)["scanned"], 1);
    assert_eq!(daemon.result(1)["took_ms"], 12.0);
}

#[test]
fn a_scan_with_members_is_answered_when_they_are_looked_up_and_only_of_its_orphans() {
    let mut daemon = Daemon::ready(vec![]);
    let request = Request::Scan {
        workspaces: Vec::new(),
        survey: Some(Survey::OfAll),
    };
    assert_eq!(daemon.ask(1, request), ["scan"]);
    assert_eq!(scan_for(&mut daemon, 2), [""; 0]);
    daemon.scanned(vec![alive(10), orphan(11)]);
    let effects = daemon.scanned(vec![alive(10), orphan(11), orphan(12)]);
    assert_eq!(effects, ["record orphan.detected 12", "answer 2: ok"]);
    assert!(!daemon.answers.contains_key(&1));
    let members = Request::Scan {
        workspaces: Vec::new(),
        survey: Some(Survey::OfAll),
    };
    daemon.ask(3, members);
    assert_eq!(
        daemon.scanned(vec![alive(10), orphan(11), orphan(12)]),
        ["survey [11, 12] for 3"]
    );
}

#[test]
fn who_would_end_by_a_fix_is_looked_up_for_those_that_it_would_end() {
    let mut daemon = Daemon::ready(vec![]);
    let mut survey_of = |ticket, selection| {
        let survey = Some(Survey::OfFix(selection));
        let workspaces = Vec::new();
        daemon.ask(ticket, Request::Scan { workspaces, survey });
        let effects = daemon.scanned(vec![alive(10), orphan(11), orphan(12), young_ephemeral(13)]);
        effects.into_iter().next_back().unwrap()
    };
    assert_eq!(
        survey_of(1, Selection::default()),
        "survey [11, 12] for 1, 13 is younger_than_ephemeral_min_age"
    );
    let of_pids = |pids: &[Pid]| Selection {
        pids: pids.to_vec(),
        ..Selection::default()
    };
    assert_eq!(survey_of(2, of_pids(&[10, 12, 99])), "survey [12] for 2");
    assert_eq!(survey_of(3, of_pids(&[13])), "survey [13] for 3");
    assert_eq!(survey_of(4, of_pids(&[99])), "survey [] for 4");
    let of_others = Selection {
        pids: vec![12],
        reasons: vec!["ephemeral_tempdir_pattern".to_owned()],
        ..Selection::default()
    };
    assert_eq!(
        survey_of(5, of_others),
        "survey [] for 5, 12 is not_selected"
    );
}

#[test]
fn however_many_wait_for_a_scan_others_have_their_turn_between_their_answers() {
    let mut daemon = Daemon::ready(vec![]);
    scan_for(&mut daemon, 0);
    let later = 1..=20;
    for ticket in later.clone() {
        scan_for(&mut daemon, ticket);
    }
    daemon.scanned(vec![]);
    let mut effects = daemon.scanned(vec![alive(10)]);
    let mut rounds = Vec::new();
    while effects.last().is_some_and(|last| last == "go on") {
        rounds.push(effects.len() - 1);
        let ticket = 90 + rounds.len() as Ticket;
        let answered = format!("answer {ticket}: ok");
        assert_eq!(daemon.ask(ticket, Request::Status), [answered]);
        effects = daemon.take(Event::GoOn);
    }
    rounds.push(effects.len());
    assert_eq!(rounds, [8, 8, 4]);
    assert!(
        later
            .into_iter()
            .all(|ticket| daemon.answers.contains_key(&ticket))
    );
    // Who waits when it stops hears of that.
    for ticket in 31..=50 {
        scan_for(&mut daemon, ticket);
    }
    daemon.scanned(vec![]);
    daemon.scanned(vec![]);
    let stop = Event::Stop {
        cause: "SIGTERM".to_owned(),
    };
    let effects = daemon.take(stop);
    let told = effects.iter().filter(|one| one.ends_with("shutting down"));
    assert!(told.count() > 10, "{effects:?}");
    assert_eq!(daemon.take(Event::GoOn), [""; 0]);
}

#[test]
fn a_request_that_comes_during_a_scan_waits_for_the_next() {
    let mut daemon = Daemon::scanning(vec![]);
    assert_eq!(scan_for(&mut daemon, 1), [""; 0]);
    assert_eq!(scan_for(&mut daemon, 2), [""; 0]);
    // This one may have looked before they asked.
    assert_eq!(daemon.scanned(vec![alive(10)]), ["scan"]);
    assert_eq!(scan_for(&mut daemon, 3), [""; 0]);
    assert_eq!(
        daemon.scanned(vec![alive(10), alive(11)]),
        ["answer 1: ok", "answer 2: ok", "scan"]
    );
    assert_eq!(daemon.result(1)["scanned"], 2);
    assert_eq!(daemon.scanned(vec![]), ["answer 3: ok"]);
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
}

#[test]
fn a_fix_that_comes_during_a_scan_acts_on_the_next() {
    let mut daemon = Daemon::scanning(vec![orphan(10)]);
    assert_eq!(daemon.fix(1, Selection::default()), [""; 0]);
    assert_eq!(daemon.scanned(vec![orphan(10)]), ["scan"]);
    // Meanwhile its workspace is back.
    let effects = daemon.scanned(vec![alive(10)]);
    assert_eq!(effects, ["record orphan.cleared 10", "answer 1: ok"]);
    assert!(daemon.waves.is_empty());
}

#[test]
fn a_scan_that_fails_answers_everybody_who_waited_for_it_and_nobody_else() {
    let mut daemon = Daemon::ready(vec![orphan(10)]);
    scan_for(&mut daemon, 1);
    daemon.fix(2, Selection::default());
    daemon.ask(3, Request::Gate { fix: true });
    assert_eq!(
        daemon.scan_failed(),
        ["answer 1: no process table", "scan"],
        "2 and 3 came while it ran"
    );
    assert_eq!(
        daemon.scan_failed(),
        ["answer 2: no process table", "answer 3: no process table"]
    );
    assert_eq!(
        daemon.answers[&3],
        Err(Refusal::Internal("no process table".to_owned()))
    );
    assert!(daemon.waves.is_empty(), "what was not seen is not ended");
    let status = daemon.status();
    assert_eq!(status["counters"]["failed_scans"], 2);
    assert_eq!(status["counters"]["scans"], 1);
    // What was known before is known still.
    assert_eq!(pids_in(&status, "orphans"), [10]);
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
}

#[test]
fn each_scan_is_given_what_the_earlier_ones_left_behind() {
    let mut dispatcher = Dispatcher::new(identity(Source::Daemon), settings(), Steering::default());
    let mut memories = |event| {
        dispatcher
            .handle_event(event, clock())
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Scan { memories, .. } => Some(memories),
                _ => None,
            })
    };
    let seen = Event::Scanned {
        observations: Ok(vec![orphan(10)]),
        around: clear(),
        took: TOOK,
    };
    assert!(memories(Event::Tick).unwrap().is_empty());
    memories(seen);
    let given = memories(Event::Tick).unwrap();
    let memory = &given[&orphan(10).record.identity];
    assert!(memory.deletion.is_some());
}

#[test]
fn a_coordinator_that_cannot_be_read_any_more_is_none_that_has_exited() {
    let mut daemon = Daemon::ready(vec![alive(10), alive(11)]);
    let unread = |pid| Around {
        unread: vec![Unread {
            pid,
            identity: Some(alive(pid).record.identity),
            errno: "ETIMEDOUT",
        }],
        ..clear()
    };
    scan_for(&mut daemon, 1);
    // Nobody knows of the third one that it is a coordinator.
    for pid in [10, 12] {
        daemon.take(Event::Scanned {
            observations: Ok(vec![alive(11)]),
            around: unread(pid),
            took: TOOK,
        });
        scan_for(&mut daemon, u64::from(pid));
    }
    let entries = |ticket| -> Vec<(u64, String)> {
        let entries = daemon.result(ticket)["coordinators"].as_array().unwrap();
        let entry = |entry: &Value| {
            let reason = entry["reason"].as_str().unwrap();
            (entry["pid"].as_u64().unwrap(), reason.to_owned())
        };
        entries.iter().map(entry).collect()
    };
    let alive = |pid| (pid, "workspace_alive".to_owned());
    let unread = (10, "process_unreadable:ETIMEDOUT".to_owned());
    assert_eq!(entries(1), [unread, alive(11)]);
    assert_eq!(entries(10), [alive(11)]);
}

#[test]
fn who_asks_has_everybody_looked_at_and_the_clock_only_who_may_have_changed() {
    let mut daemon = Daemon::ready(vec![]);
    let mut sweep_at = |event| {
        let effects = daemon.dispatcher.handle_event(event, clock());
        effects.into_iter().find_map(|effect| match effect {
            Effect::Scan { sweep, .. } => Some(sweep),
            _ => None,
        })
    };
    let seen = || Event::Scanned {
        observations: Ok(vec![]),
        around: clear(),
        took: TOOK,
    };
    assert_eq!(sweep_at(Event::Tick), Some(Sweep::WhatChanged));
    let asked = |ticket, request| Event::Asked {
        ticket,
        peer: peer(),
        request,
    };
    // It waits for a scan of its own, which is a full one.
    assert_eq!(sweep_at(asked(1, Request::Gate { fix: false })), None);
    assert_eq!(sweep_at(seen()), Some(Sweep::Full));
    sweep_at(seen());
    assert_eq!(sweep_at(Event::Tick), Some(Sweep::WhatChanged));
    sweep_at(seen());
    let selection = Selection::default();
    assert_eq!(
        sweep_at(asked(2, Request::Fix { selection })),
        Some(Sweep::Full)
    );
}

#[test]
fn a_scan_of_one_workspace_answers_with_that_one() {
    let mut daemon = Daemon::ready(vec![]);
    let workspaces = vec!["/home/me/other".into()];
    daemon.ask(
        1,
        Request::Scan {
            workspaces,
            survey: None,
        },
    );
    let other = healthy().at("/home/me/other").observed(11);
    daemon.scanned(vec![alive(10), other]);
    assert_eq!(pids_in(daemon.result(1), "coordinators"), [11]);
    assert_eq!(daemon.result(1)["scanned"], 1);
}

#[test]
fn a_gate_without_fix_ends_nobody() {
    let mut daemon = Daemon::ready(vec![]);
    daemon.ask(1, Request::Gate { fix: false });
    let effects = daemon.scanned(vec![orphan(10)]);
    assert_eq!(effects, ["record orphan.detected 10", "answer 1: ok"]);
    let result = daemon.result(1);
    assert_eq!(result["gate"], "orphans");
    assert_eq!(
        (&result["ok"], &result["status"]),
        (&json!(false), &json!("failed"))
    );
}

#[test]
fn an_orphan_that_was_ended_while_a_scan_ran_does_not_come_back_with_it() {
    let mut daemon = Daemon::fixing(vec![orphan(10), alive(11)]);
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
    daemon.fix(2, Selection::default());
    daemon.ended(10, KILLED);
    // This scan saw it alive, and ended later.
    assert_eq!(daemon.scanned(vec![orphan(10), alive(11)]), ["scan"]);
    assert_eq!(daemon.status()["orphans"], json!([]));
    assert_eq!(daemon.scanned(vec![alive(11)]), ["answer 2: ok"]);
    assert_eq!(daemon.waves.len(), 1);
}

#[test]
fn one_that_could_not_be_ended_while_a_scan_ran_is_still_an_orphan() {
    for outcome in [failed(), spared("workspace_unmounted")] {
        let mut daemon = Daemon::fixing(vec![orphan(10)]);
        daemon.take(Event::Tick);
        daemon.ended(10, outcome);
        assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
        assert_eq!(pids_in(&daemon.status(), "orphans"), [10]);
    }
}
