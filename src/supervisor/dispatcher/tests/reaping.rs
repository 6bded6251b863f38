//! Automatic reaping as the dispatcher carries it out, and how its owner steers it.

use super::*;
use crate::orphan::process::ProcessIdentity;
use crate::orphan::steering::{Keeps, Kept};
use crate::orphan::verdict::{OrphanReason, Verdict};
use crate::supervisor::event::Found;

/// A daemon that reaps at the first sight, after a first scan of nothing.
fn reaping() -> Daemon {
    let mut daemon = Daemon::ready(vec![]);
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.confirm = true;
    rules.grace = Duration::ZERO;
    rules.min_sightings = 1;
    daemon
}

fn scan(daemon: &mut Daemon, seen: Vec<Observation>) -> Vec<String> {
    daemon.take(Event::Tick);
    daemon.scanned(seen)
}

fn unrecorded() -> Outcome {
    Outcome::Failed {
        error: Failure::AuditUnavailable,
        detail: None,
        sigkill_attempted: false,
    }
}

/// The last wave's end of this orphan, as the daemon's own doing.
fn ended(daemon: &mut Daemon, pid: Pid, outcome: Outcome) -> Vec<String> {
    let targets = daemon.waves.iter().flat_map(|wave| &wave.targets);
    let sighting = targets
        .rev()
        .find(|target| target.identity().pid == pid)
        .unwrap();
    let mut termination = termination(sighting.clone(), outcome);
    termination.actor = Actor::Auto;
    daemon.take(Event::Ended(Box::new(termination)))
}

#[test]
fn what_is_due_is_ended_as_the_daemons_own_doing() {
    let mut daemon = reaping();
    assert_eq!(
        scan(&mut daemon, vec![orphan(10), alive(11)]),
        ["record orphan.detected 10", "end [10]"]
    );
    assert_eq!(daemon.waves[0].actor, Actor::Auto);
    // It is being ended: not a second time.
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), [""; 0]);
    assert_eq!(ended(&mut daemon, 10, KILLED), ["record orphan.killed 10"]);
}

#[test]
fn who_asked_is_served_first_and_what_the_daemon_ends_already_is_joined() {
    let mut daemon = reaping();
    daemon.fix(1, Selection::default());
    let done = daemon.scanned(vec![orphan(10)]);
    assert_eq!(done, ["record orphan.detected 10", "end [10]"]);
    assert_ne!(daemon.waves[0].actor, Actor::Auto);

    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    daemon.fix(1, Selection::default());
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
    assert_eq!(
        ended(&mut daemon, 10, KILLED),
        ["record orphan.killed 10", "answer 1: ok"]
    );
}

#[test]
fn what_holds_only_the_daemon_back_does_not_hold_who_asked_and_joined() {
    for outcome in [unrecorded(), spared("reaping_held")] {
        let mut daemon = reaping();
        scan(&mut daemon, vec![orphan(10)]);
        daemon.fix(1, Selection::default());
        daemon.scanned(vec![orphan(10)]);
        let after = ended(&mut daemon, 10, outcome.clone());
        assert_eq!(after[1..], ["end [10]"], "{after:?}");
        let wave = &daemon.waves[1];
        assert_eq!(wave.actor, peer().actor());
        assert_eq!(guarded(wave), [peer().lineage]);
        assert_eq!(
            daemon.ended(10, KILLED),
            ["record orphan.killed 10", "answer 1: ok"]
        );
        assert_eq!(pids_in(daemon.result(1), "killed"), [10]);
    }
}

#[test]
fn who_joined_is_answered_where_nothing_is_left_to_go_on_with() {
    // Ended for another reason, nobody asked, the scans do not show it any more, or the daemon stops.
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    daemon.fix(1, Selection::default());
    daemon.scanned(vec![orphan(10)]);
    let after = ended(&mut daemon, 10, spared("kept"));
    assert_eq!(after, ["record orphan.spared 10", "answer 1: ok"]);

    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let after = ended(&mut daemon, 10, spared("reaping_held"));
    assert_eq!(after, ["record orphan.spared 10"]);

    for stops in [false, true] {
        let mut daemon = reaping();
        scan(&mut daemon, vec![orphan(10)]);
        daemon.fix(1, Selection::default());
        daemon.scanned(vec![orphan(10)]);
        if stops {
            daemon.stop();
        } else {
            scan(&mut daemon, vec![]);
        }
        let after = ended(&mut daemon, 10, spared("reaping_held"));
        assert!(after.contains(&"answer 1: ok".to_owned()), "{after:?}");
        assert_eq!(pids_in(daemon.result(1), "spared"), [10]);
        assert_eq!(daemon.waves.len(), 1);
    }
}

#[test]
fn a_pause_for_less_than_it_is_paused_for_is_not_recorded_and_says_so() {
    let mut daemon = reaping();
    daemon.ask(1, Request::Pause { length: None });
    let length = Some(Duration::from_secs(60));
    assert_eq!(
        daemon.ask(2, Request::Pause { length }),
        ["keep and answer 2"]
    );
    assert_eq!(daemon.status()["policy"]["paused_until"], Value::Null);
}

/// A path to be kept, or not any more, that leads to the others.
fn identified(daemon: &mut Daemon, ticket: Ticket, is_kept: bool, paths: &[&str]) -> Vec<String> {
    daemon.take(Event::Identified {
        ticket,
        what: Kept::Path(paths[0].into()),
        is_kept,
        found: Ok(Found::Path {
            name: paths[0].into(),
            leads_to: paths[1..].iter().map(Into::into).collect(),
        }),
    })
}

#[test]
fn what_is_kept_by_two_names_is_kept_until_it_is_unkept_by_both() {
    let mut daemon = reaping();
    identified(&mut daemon, 1, true, &["/home/me"]);
    identified(&mut daemon, 2, true, &["/link", "/home/me"]);
    let unkept = identified(&mut daemon, 3, false, &["/link", "/home/me"]);
    assert_eq!(unkept, ["keep and answer 3"]);
    scan(&mut daemon, vec![orphan(10)]);
    assert!(daemon.waves.is_empty(), "it was kept by itself");
    identified(&mut daemon, 4, false, &["/home/me"]);
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["end [10]"]);
}

#[test]
fn a_link_that_leads_elsewhere_by_now_is_unkept_with_where_it_led() {
    let mut daemon = reaping();
    identified(&mut daemon, 1, true, &["/link", "/home/me"]);
    scan(&mut daemon, vec![orphan(10)]);
    assert!(daemon.waves.is_empty());
    identified(&mut daemon, 2, false, &["/link", "/elsewhere"]);
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["end [10]"]);
    let answer = identified(&mut daemon, 3, false, &["/link"]);
    assert!(answer[0].contains("is not kept"), "{answer:?}");
}

#[test]
fn more_than_can_be_read_back_is_not_kept() {
    let mut daemon = reaping();
    let most = u64::try_from(Keeps::MOST).unwrap();
    for number in 0..most {
        identified(&mut daemon, number, true, &[&format!("/ws/{number}")]);
    }
    let answer = identified(&mut daemon, most, true, &["/ws/more"]);
    assert!(answer[0].contains("too much is kept"), "{answer:?}");
}

#[test]
fn one_that_stops_begins_nothing() {
    let mut daemon = reaping();
    daemon.take(Event::Tick);
    daemon.stop();
    let after = daemon.scanned(vec![orphan(10)]);
    assert_eq!(after, ["record orphan.detected 10"]);
    assert!(daemon.waves.is_empty());
}

#[test]
fn a_pause_is_recorded_kept_and_answered_and_so_is_its_end() {
    let mut daemon = reaping();
    let length = Some(Duration::from_secs(60));
    assert_eq!(
        daemon.ask(1, Request::Pause { length }),
        ["record reap.suspended", "keep and answer 1"]
    );
    assert_eq!(
        scan(&mut daemon, vec![orphan(10)]),
        ["record orphan.detected 10"]
    );
    assert_eq!(daemon.status()["policy"]["automatic"], false);
    assert_eq!(
        daemon.ask(2, Request::Resume),
        ["record reap.resumed", "keep and answer 2"]
    );
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["end [10]"]);
    assert_eq!(daemon.ask(3, Request::Resume), ["keep and answer 3"]);
}

#[test]
fn a_pause_that_cannot_be_kept_over_a_restart_says_so() {
    let mut daemon = reaping();
    daemon.ask(1, Request::Pause { length: None });
    let unwritten = |answer| Event::Kept {
        answer,
        result: Err("read-only".to_owned()),
    };
    let answer = daemon.take(unwritten(Some((1, Value::Null))));
    assert!(
        answer[0].contains("forgotten at a restart: read-only"),
        "{answer:?}"
    );
    assert_eq!(daemon.status()["policy"]["paused"], true);
    // Each scan tries again, until it is written.
    assert_eq!(scan(&mut daemon, vec![]), ["keep"]);
    daemon.take(unwritten(None));
    assert_eq!(scan(&mut daemon, vec![]), ["keep"]);
    daemon.take(Event::Kept {
        answer: None,
        result: Ok(()),
    });
    assert_eq!(scan(&mut daemon, vec![]), [""; 0]);
}

#[test]
fn what_the_owner_says_reaches_a_wave_that_is_under_way() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let orders = daemon.waves[0].orders.clone();
    let steering = || Arc::clone(&orders.borrow().steering);
    assert!(!steering().holds_reaping(clock()));
    daemon.ask(1, Request::Pause { length: None });
    assert!(steering().holds_reaping(clock()));
    let what = Kept::Path("/home/me/ws".into());
    daemon.ask(2, Request::Keep { what: what.clone() });
    let found = Ok(Found::Path {
        name: "/home/me/ws".into(),
        leads_to: vec![],
    });
    daemon.take(Event::Identified {
        ticket: 2,
        what,
        is_kept: true,
        found,
    });
    let sighting = &daemon.waves[0].targets[0];
    let evidence = &sighting.observation.evidence;
    assert!(steering().keeps.hold(&sighting.identity(), evidence));
}

#[test]
fn a_process_is_kept_as_the_one_it_is_and_forgotten_when_it_ends() {
    let mut daemon = reaping();
    let what = Kept::Process(10);
    assert_eq!(
        daemon.ask(1, Request::Keep { what: what.clone() }),
        ["identify process 10 for 1"]
    );
    let identity = orphan(10).record.identity;
    let identified = Event::Identified {
        ticket: 1,
        what: what.clone(),
        is_kept: true,
        found: Ok(Found::Process(identity)),
    };
    assert_eq!(daemon.take(identified), ["keep and answer 1"]);
    assert_eq!(daemon.status()["policy"]["kept"]["pids"][0], 10);
    assert_eq!(
        scan(&mut daemon, vec![orphan(10)]),
        ["record orphan.detected 10"]
    );
    daemon.take(Event::Tick);
    let ended = |ended: Vec<ProcessIdentity>| Event::Scanned {
        observations: Ok(vec![]),
        around: Around {
            ended,
            ..Around::default()
        },
        took: TOOK,
    };
    assert_eq!(
        daemon.take(ended(vec![identity])),
        ["keep", "record orphan.cleared 10"]
    );
    daemon.ask(2, Request::Unkeep { what: what.clone() });
    let answer = daemon.take(Event::Identified {
        ticket: 2,
        what,
        is_kept: false,
        found: Err(Refusal::NoSuchProcess(10)),
    });
    assert_eq!(answer, ["answer 2: process 10 is not kept"]);
}

#[test]
fn a_process_that_is_not_there_cannot_be_kept() {
    let mut daemon = reaping();
    let nobody = Event::Identified {
        ticket: 1,
        what: Kept::Process(10),
        is_kept: true,
        found: Err(Refusal::NoSuchProcess(10)),
    };
    assert_eq!(daemon.take(nobody), ["answer 1: no process has pid 10"]);
}

#[test]
fn what_hides_something_is_said_once_and_holds_reaping() {
    let mut daemon = reaping();
    let look = |daemon: &mut Daemon, obstacles: Option<Vec<Obstacle>>| {
        daemon.take(Event::Tick);
        daemon.take(Event::Scanned {
            observations: Ok(vec![orphan(10)]),
            around: Around {
                obstacles,
                ..clear()
            },
            took: TOOK,
        })
    };
    let hidden = || Some(vec![Obstacle::UserNamespace]);
    assert_eq!(
        look(&mut daemon, hidden()),
        ["say 1 obstacles", "record orphan.detected 10"]
    );
    assert_eq!(look(&mut daemon, hidden()), [""; 0]);
    // That it could not be found out this time does not mean that it is gone.
    assert_eq!(look(&mut daemon, None), [""; 0]);
    assert_eq!(
        look(&mut daemon, Some(vec![])),
        ["say 0 obstacles", "end [10]"]
    );
    // What is under way hears of it too.
    let orders = daemon.waves[0].orders.clone();
    assert!(!orders.borrow().is_view_obstructed);
    look(&mut daemon, hidden());
    assert!(orders.borrow().is_view_obstructed);
}

#[test]
fn as_long_as_nothing_was_compared_nothing_is_reaped() {
    let mut daemon = Daemon::new(Source::Daemon);
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.confirm = true;
    rules.start_grace = Duration::ZERO;
    rules.min_sightings = 1;
    daemon.take(Event::Tick);
    let unanswered = daemon.take(Event::Scanned {
        observations: Ok(vec![orphan(10)]),
        around: Around::default(),
        took: TOOK,
    });
    assert!(unanswered.contains(&"say 1 obstacles".to_owned()));
    assert!(daemon.waves.is_empty());
    assert_eq!(
        scan(&mut daemon, vec![orphan(10)]),
        ["say 0 obstacles", "end [10]"]
    );
}

#[test]
fn after_a_record_that_could_not_be_written_each_scan_tries_again() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    ended(&mut daemon, 10, unrecorded());
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["try to record"]);
    assert_eq!(daemon.status()["policy"]["held_by"][0], "audit_unavailable");
    daemon.take(Event::AuditIsBack);
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["end [10]"]);
}

#[test]
fn the_breaker_is_recorded_and_kept() {
    let mut daemon = reaping();
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.grace = Duration::from_secs(60);
    let at = |pid: Pid, case: crate::orphan::fixtures::Case| {
        case.at(&format!("/home/me/ws{pid}")).observed(pid)
    };
    let gone = |pid| at(pid, without_witness().path(missing()));
    let here = |pid| at(pid, without_witness());
    scan(&mut daemon, (10..16).map(here).collect());
    let after = scan(&mut daemon, (10..16).map(gone).collect());
    assert_eq!(after[1..], ["record reap.suspended", "keep"]);
    assert_eq!(daemon.status()["policy"]["suspended"], true);
    assert_eq!(
        daemon.ask(1, Request::Resume),
        ["record reap.resumed", "keep and answer 1"]
    );
}

#[test]
fn a_scan_that_takes_too_long_is_counted_and_the_next_is_late() {
    let mut daemon = Daemon::ready(vec![]);
    daemon.take(Event::Tick);
    assert_eq!(daemon.take(Event::Tick), [""; 0], "never two at once");
    daemon.scanned(vec![]);
    let mut later = clock();
    later.moment = later.moment.after(Duration::from_secs(12));
    daemon.dispatcher.handle_event(Event::Tick, later);
    daemon.scanned(vec![]);
    let status = daemon.status();
    assert_eq!(status["counters"]["skipped_ticks"], 1);
    assert_eq!(status["last_scan"]["lag_ms"], 7_000.0);
}

#[test]
fn one_that_left_the_scans_while_it_was_being_ended_and_was_spared_is_cleared_after_all() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    // It execs: the scans do not show it, and the wave says so only later.
    assert_eq!(scan(&mut daemon, vec![]), [""; 0]);
    assert_eq!(
        ended(&mut daemon, 10, spared("program_changed")),
        ["record orphan.spared 10", "record orphan.cleared 10"]
    );
    assert_eq!(daemon.status()["counters"]["cleared"], 1);
}

#[test]
fn one_above_the_daemon_is_not_tried_until_it_is_above_no_more() {
    let mut daemon = reaping();
    let look = |daemon: &mut Daemon, own: Option<Lineage>| {
        daemon.take(Event::Tick);
        daemon.take(Event::Scanned {
            observations: Ok(vec![orphan(10)]),
            around: Around { own, ..clear() },
            took: TOOK,
        })
    };
    look(&mut daemon, Some(lineage_of(&[DAEMON_PID, 10, 1])));
    // That it could not be looked up this time changes nothing.
    look(&mut daemon, None);
    let orphans = &daemon.status()["orphans"];
    assert_eq!(orphans[0]["holds"][0]["hold"], "protected_ancestor");
    assert_eq!(orphans[0]["next_action_at"], Value::Null);
    let broken = Lineage {
        open_above: Some(u64::MAX),
        ..lineage_of(&[DAEMON_PID])
    };
    assert_eq!(look(&mut daemon, Some(broken)), [""; 0]);
    let orphans = &daemon.status()["orphans"];
    assert_eq!(orphans[0]["holds"][0]["hold"], "lineage_unknown");
    let reparented = Some(lineage_of(&[DAEMON_PID, 1]));
    assert_eq!(look(&mut daemon, reparented), ["end [10]"]);
}

#[test]
fn one_that_new_roots_leave_out_while_it_is_being_ended_is_cleared_once() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let mut settings = Arc::clone(&daemon.dispatcher.settings);
    Arc::make_mut(&mut settings).workspace_roots = vec!["/elsewhere".into()];
    let mut all = daemon.take(Event::Reloaded {
        ticket: None,
        result: Ok(Box::new(Loaded {
            settings,
            interval: Duration::from_secs(5),
            file: None,
            config: Arc::default(),
        })),
    });
    all.extend(ended(&mut daemon, 10, spared("outside_workspace_roots")));
    assert_eq!(times_cleared(&all), 1, "{all:?}");
}

#[test]
fn one_that_is_no_orphan_any_more_and_then_leaves_the_scans_is_cleared_once() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let mut all = scan(&mut daemon, vec![alive(10)]);
    all.extend(scan(&mut daemon, vec![]));
    all.extend(ended(&mut daemon, 10, spared("program_changed")));
    assert_eq!(times_cleared(&all), 1, "{all:?}");
}

fn times_cleared(said: &[String]) -> usize {
    let cleared = said.iter().filter(|one| one.contains("orphan.cleared 10"));
    cleared.count()
}

#[test]
fn each_scan_ends_as_many_as_it_may_however_long_it_takes() {
    let mut daemon = reaping();
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.max_per_scan = 1;
    rules.breaker_share = 1.0;
    let at = |pid: Pid| {
        let path = format!("/home/me/ws{pid}");
        without_witness().path(missing()).at(&path).observed(pid)
    };
    let mut left: Vec<Pid> = (10..30).collect();
    let all: Vec<Observation> = left.iter().map(|pid| at(*pid)).collect();
    for (scans, took) in [50, 40, 50, 40, 60].into_iter().enumerate() {
        let at_ms = |ms: u64| {
            let mut then = clock();
            then.moment = then.moment.after(Duration::from_millis(ms));
            then.wall += Duration::from_millis(ms);
            then
        };
        let began = 5_000 * u64::try_from(scans + 1).unwrap();
        daemon.dispatcher.handle_event(Event::Tick, at_ms(began));
        let seen = all
            .iter()
            .filter(|one| left.contains(&one.record.identity.pid));
        let scanned = Event::Scanned {
            observations: Ok(seen.cloned().collect()),
            around: clear(),
            took: TOOK,
        };
        for effect in daemon.dispatcher.handle_event(scanned, at_ms(began + took)) {
            daemon.perform(effect);
        }
        assert_eq!(daemon.waves.len(), scans + 1);
        let pid = daemon.waves[scans].targets[0].identity().pid;
        ended(&mut daemon, pid, KILLED);
        left.retain(|one| *one != pid);
    }
}

#[test]
fn another_program_in_a_process_that_is_being_ended_starts_over() {
    let mut daemon = reaping();
    Arc::make_mut(&mut daemon.dispatcher.settings)
        .reap
        .min_sightings = 3;
    for _ in 0..3 {
        scan(&mut daemon, vec![orphan(10)]);
    }
    assert_eq!(daemon.waves.len(), 1);
    // While its record hangs, the process execs another coordinator.
    let other = || {
        let other = without_witness().log(Seen::Deleted).path(missing());
        other.at("/home/me/other").observed(10)
    };
    scan(&mut daemon, vec![other()]);
    ended(&mut daemon, 10, unrecorded());
    daemon.take(Event::AuditIsBack);
    scan(&mut daemon, vec![other()]);
    assert_eq!(daemon.waves.len(), 1, "it was seen twice, not three times");
    scan(&mut daemon, vec![other()]);
    assert_eq!(daemon.waves.len(), 2);
}

#[test]
fn one_above_a_peer_that_joined_is_tried_again() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    daemon.fix(1, Selection::default());
    daemon.scanned(vec![orphan(10)]);
    ended(&mut daemon, 10, spared("protected_ancestor"));
    assert_eq!(pids_in(daemon.result(1), "spared"), [10]);
    assert_eq!(scan(&mut daemon, vec![orphan(10)]), ["end [10]"]);
}

#[test]
fn a_pause_that_was_over_before_it_was_resumed_has_its_end_recorded() {
    let mut daemon = reaping();
    let length = Some(Duration::from_secs(60));
    daemon.ask(1, Request::Pause { length });
    let mut later = clock();
    later.moment = later.moment.after(Duration::from_secs(61));
    later.wall += Duration::from_secs(61);
    let asked = Event::Asked {
        ticket: 2,
        peer: peer(),
        request: Request::Resume,
    };
    let effects = daemon.dispatcher.handle_event(asked, later);
    let said: Vec<String> = effects.into_iter().map(|one| daemon.perform(one)).collect();
    assert_eq!(said[0], "record reap.resumed", "{said:?}");
}

fn by_reason(reason: &str) -> Selection {
    Selection {
        reasons: vec![reason.to_owned()],
        ..Selection::default()
    }
}

#[test]
fn of_those_who_joined_late_each_gets_what_it_asked_for() {
    // The second names the pid, which its wave did not know of.
    let mut daemon = reaping();
    daemon.fix(1, by_reason("workspace_path_missing"));
    daemon.scanned(vec![orphan(10)]);
    daemon.fix(2, named(10));
    daemon.scanned(vec![orphan(10)]);
    let mut turned = daemon.waves[0].targets[0].clone();
    turned.verdict = Verdict::Orphan(OrphanReason::Replaced);
    let turned = termination(turned, spared("not_selected"));
    assert_eq!(
        daemon.take(Event::Ended(Box::new(turned))),
        ["record orphan.spared 10", "end [10]", "answer 1: ok"]
    );
    assert_eq!(daemon.result(1)["spared"][0]["why"], "not_selected");
    assert_eq!(
        daemon.ended(10, KILLED),
        ["record orphan.killed 10", "answer 2: ok"]
    );
    assert_eq!(pids_in(daemon.result(2), "killed"), [10]);
}

#[test]
fn a_wave_hears_of_everybody_who_waits_for_one_of_its_orphans() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let orders = daemon.waves[0].orders.clone();
    let wanting = || -> Vec<usize> {
        let orders = orders.borrow();
        let demands = orders.demands.iter();
        demands.map(|demand| demand.targets.len()).collect()
    };
    daemon.fix(1, by_reason("workspace_replaced"));
    daemon.scanned(vec![orphan(10)]);
    assert_eq!(wanting(), [0; 0], "it is answered");
    daemon.fix(2, by_reason("workspace_path_missing"));
    daemon.scanned(vec![orphan(10)]);
    daemon.fix(3, Selection::default());
    daemon.scanned(vec![orphan(10), orphan(11)]);
    assert_eq!(wanting(), [1, 2]);
    daemon.ended(11, KILLED);
    assert_eq!(wanting(), [1, 1]);
    ended(&mut daemon, 10, KILLED);
    assert_eq!(wanting(), [0; 0]);
}

#[test]
fn one_that_left_the_scans_while_it_was_being_ended_and_came_back_as_another_is_cleared() {
    let mut daemon = reaping();
    let mut all = scan(&mut daemon, vec![orphan(10)]);
    all.extend(scan(&mut daemon, vec![]));
    let other = without_witness().log(Seen::Deleted).path(missing());
    let other = other.at("/home/me/other").observed(10);
    let back = scan(&mut daemon, vec![other]);
    assert_eq!(back, ["record orphan.cleared 10, orphan.detected 10"]);
    all.extend(back);
    all.extend(ended(&mut daemon, 10, spared("program_changed")));
    assert_eq!(times_cleared(&all), 1, "{all:?}");
    assert_eq!(daemon.status()["counters"]["cleared"], 1);
}

#[test]
fn one_that_left_the_scans_and_came_back_as_no_orphan_is_cleared_when_it_is_let_go() {
    let mut daemon = reaping();
    let mut all = scan(&mut daemon, vec![orphan(10)]);
    all.extend(scan(&mut daemon, vec![]));
    all.extend(scan(&mut daemon, vec![alive(10)]));
    all.extend(ended(&mut daemon, 10, spared("workspace_alive")));
    assert_eq!(times_cleared(&all), 1, "{all:?}");
}

#[test]
fn what_is_kept_already_can_be_kept_again_when_there_is_no_room() {
    let mut daemon = reaping();
    let most = u64::try_from(Keeps::MOST).unwrap();
    for number in 0..most {
        identified(&mut daemon, number, true, &[&format!("/ws/{number}")]);
    }
    let again = identified(&mut daemon, most, true, &["/ws/1"]);
    assert_eq!(again, [format!("keep and answer {most}")]);
    let led_to = identified(&mut daemon, most + 1, true, &["/ws/1", "/elsewhere"]);
    assert!(led_to[0].contains("too much is kept"), "{led_to:?}");
    let process = Event::Identified {
        ticket: most + 2,
        what: Kept::Process(10),
        is_kept: true,
        found: Ok(Found::Process(orphan(10).record.identity)),
    };
    let answer = daemon.take(process);
    assert_eq!(answer, [format!("keep and answer {}", most + 2)]);
}

#[test]
fn where_one_link_has_led_counts_as_what_is_kept() {
    let mut daemon = reaping();
    let most = u64::try_from(Keeps::MOST).unwrap();
    let at = |number: u64| format!("/releases/{number}");
    for number in 0..most - 1 {
        let kept = identified(&mut daemon, number, true, &["/current", &at(number)]);
        assert!(kept[0].starts_with("keep"), "{number}: {kept:?}");
    }
    let more = identified(&mut daemon, most, true, &["/current", &at(most)]);
    assert!(more[0].contains("too much is kept"), "{more:?}");
}

#[test]
fn one_that_somebody_ends_already_takes_nobodys_turn() {
    let mut daemon = reaping();
    Arc::make_mut(&mut daemon.dispatcher.settings)
        .reap
        .max_per_scan = 1;
    let other = || {
        let other = without_witness().path(missing());
        other.at("/home/me/ws11").observed(11)
    };
    daemon.fix(1, named(10));
    let first = daemon.scanned(vec![orphan(10), other()]);
    assert_eq!(first[1..], ["end [10]", "end [11]"], "{first:?}");
}

#[test]
fn a_scan_that_changes_nothing_does_not_disturb_a_wave() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    let orders = daemon.waves[0].orders.clone();
    let before = Arc::clone(&orders.borrow());
    scan(&mut daemon, vec![orphan(10)]);
    assert!(
        Arc::ptr_eq(&before, &orders.borrow()),
        "a wave that checks again whenever this changes is held up by each scan"
    );
}

#[test]
fn an_end_nobody_waits_for_does_not_disturb_other_waves() {
    let mut daemon = reaping();
    let other = || {
        without_witness()
            .path(missing())
            .at("/home/me/b")
            .observed(11)
    };
    scan(&mut daemon, vec![orphan(10), other()]);
    let orders = daemon.waves[0].orders.clone();
    let before = Arc::clone(&orders.borrow());
    ended(&mut daemon, 11, KILLED);
    assert!(Arc::ptr_eq(&before, &orders.borrow()));
}

#[test]
fn one_that_came_back_as_no_orphan_is_not_said_to_have_exited() {
    let mut daemon = reaping();
    scan(&mut daemon, vec![orphan(10)]);
    scan(&mut daemon, vec![]);
    scan(&mut daemon, vec![alive(10)]);
    let sighting = daemon.waves[0].targets[0].clone();
    let mut termination = termination(sighting, spared("workspace_alive"));
    termination.actor = Actor::Auto;
    let effects = daemon
        .dispatcher
        .handle_event(Event::Ended(Box::new(termination)), clock());
    let causes: Vec<Cleared> = effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Record(facts) => Some(facts),
            _ => None,
        })
        .flatten()
        .filter_map(|fact| match fact {
            Fact::Cleared { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [Cleared::VerdictChanged]);
}

/// A fix that was spared only for its peer's sake, asked again and again, and automatic reaping.
#[test]
fn what_spares_one_for_a_peers_sake_does_not_begin_the_daemons_patience_anew() {
    let mut daemon = Daemon::ready(vec![]);
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.confirm = true;
    rules.grace = Duration::from_secs(60);
    rules.min_sightings = 1;
    rules.stall = Duration::from_secs(3_600);
    let step = |daemon: &mut Daemon, event: Event, after: u64| -> Vec<String> {
        let mut now = clock();
        let time = Duration::from_secs(after);
        now.moment = now.moment.after(time);
        now.wall += time;
        let effects = daemon.dispatcher.handle_event(event, now);
        effects.into_iter().map(|one| daemon.perform(one)).collect()
    };
    let seen = || Event::Scanned {
        observations: Ok(vec![orphan(10)]),
        around: clear(),
        took: TOOK,
    };
    step(&mut daemon, Event::Tick, 0);
    step(&mut daemon, seen(), 0);
    let mut reaped = false;
    for round in 1..=20 {
        let at = round * 50;
        let asked = Event::Asked {
            ticket: round,
            peer: peer(),
            request: Request::Fix {
                selection: Selection::default(),
            },
        };
        step(&mut daemon, asked, at);
        step(&mut daemon, seen(), at);
        // The peer hung up before its ancestors could be read: for its sake nobody is ended.
        daemon_ends(&mut daemon, at, &step);
        step(&mut daemon, Event::Tick, at + 20);
        let said = step(&mut daemon, seen(), at + 20);
        reaped |= said.contains(&"end [10]".to_owned());
        if reaped {
            break;
        }
    }
    assert!(
        reaped,
        "an orphan for 1000 s, held by nothing, with a grace of 60 s"
    );
}

fn daemon_ends(
    daemon: &mut Daemon,
    at: u64,
    step: &impl Fn(&mut Daemon, Event, u64) -> Vec<String>,
) {
    let sighting = daemon.waves.last().unwrap().targets[0].clone();
    let end = termination(sighting, spared("lineage_unknown"));
    step(daemon, Event::Ended(Box::new(end)), at);
}
