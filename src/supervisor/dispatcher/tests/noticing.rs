//! Looks between two scans.

use std::path::PathBuf;

use super::*;
use crate::orphan::evidence::FileId;
use crate::orphan::registry::Unread;

/// One with a healthy coordinator 10, and 11 and 12.
fn watching() -> Daemon {
    Daemon::ready(vec![alive(10), alive(11), alive(12)])
}

fn touched(daemon: &mut Daemon, pids: &[Pid]) -> Vec<String> {
    let identities = pids.iter().map(|pid| alive(*pid).record.identity);
    daemon.take(Event::Touched(identities.collect()))
}

fn looked(daemon: &mut Daemon, seen: Vec<Observation>) -> Vec<String> {
    daemon.take(Event::Looked(seen))
}

#[test]
fn a_workspace_that_may_have_gone_is_looked_at_at_once_and_it_alone() {
    let mut daemon = watching();
    assert_eq!(touched(&mut daemon, &[11]), ["look at [11]"]);
    let effects = looked(&mut daemon, vec![orphan(11)]);
    assert_eq!(effects, ["record orphan.detected 11"]);
    // The next scan finds nothing new.
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
    assert_eq!(
        daemon.scanned(vec![alive(10), orphan(11), alive(12)]),
        [""; 0]
    );
    assert_eq!(touched(&mut daemon, &[11]), ["look at [11]"]);
    let effects = looked(&mut daemon, vec![alive(11)]);
    assert_eq!(effects, ["record orphan.cleared 11"]);
}

#[test]
fn the_workspace_of_who_cannot_be_read_is_watched_on() {
    let mut daemon = watching();
    let watched = |daemon: &Daemon| -> Vec<(Pid, PathBuf, FileId)> {
        let workspaces = daemon.dispatcher.workspaces();
        workspaces
            .map(|(identity, path, directory)| (identity.pid, path.to_path_buf(), directory))
            .collect()
    };
    let before = watched(&daemon);
    assert_eq!(before.len(), 3);
    for _ in 0..2 {
        daemon.take(Event::Tick);
        let unread = Unread {
            pid: 11,
            identity: Some(alive(11).record.identity),
            errno: "ETIMEDOUT",
        };
        daemon.take(Event::Scanned {
            observations: Ok(vec![alive(10), alive(12)]),
            around: Around {
                unread: vec![unread],
                ..clear()
            },
            took: TOOK,
        });
        assert_eq!(watched(&daemon), before);
    }
    // It was deleted meanwhile; there is nothing more to be seen of it.
    daemon.take(Event::Deleted(ORIGINAL));
    daemon.take(Event::Tick);
    assert_eq!(watched(&daemon).len(), before.len() - 1);
}

/// One without a witness, whose workspace is another directory by now.
fn elsewhere(pid: Pid) -> Observation {
    without_witness()
        .path(exists(Some(RECREATED)))
        .observed(pid)
}

#[test]
fn a_deletion_that_was_seen_as_it_happened_is_a_proof() {
    let without = || without_witness().observed(11);
    let mut daemon = Daemon::ready(vec![alive(10), without()]);
    touched(&mut daemon, &[11]);
    assert_eq!(looked(&mut daemon, vec![elsewhere(11)]), [""; 0]);
    // Another directory's says nothing.
    for (deleted, effects) in [
        (RECREATED, vec![]),
        (ORIGINAL, vec!["record orphan.detected 11"]),
    ] {
        daemon.take(Event::Deleted(deleted));
        touched(&mut daemon, &[11]);
        assert_eq!(looked(&mut daemon, vec![elsewhere(11)]), effects);
    }
    // Who is named by the pid file, or has the original back, takes it back.
    touched(&mut daemon, &[10, 11]);
    let effects = looked(&mut daemon, vec![alive(10), without()]);
    assert_eq!(effects, ["record orphan.cleared 11"]);
}

#[test]
fn a_look_that_began_before_a_deletion_does_not_take_its_proof_back() {
    let without = || without_witness().observed(11);
    let mut daemon = Daemon::ready(vec![without()]);
    daemon.take(Event::Tick);
    daemon.take(Event::Deleted(ORIGINAL));
    touched(&mut daemon, &[11]);
    assert_eq!(daemon.scanned(vec![without()]), ["look at [11]"]);
    let effects = looked(&mut daemon, vec![elsewhere(11)]);
    assert_eq!(effects, ["record orphan.detected 11"]);
    // Nor if a scan comes next.
    let mut daemon = Daemon::ready(vec![without()]);
    touched(&mut daemon, &[11]);
    daemon.take(Event::Deleted(ORIGINAL));
    daemon.take(Event::Tick);
    assert_eq!(looked(&mut daemon, vec![without()]), ["scan"]);
    assert_eq!(
        daemon.scanned(vec![elsewhere(11)]),
        ["record orphan.detected 11"]
    );
}

#[test]
fn who_is_not_known_or_could_not_be_looked_at_is_left_to_the_next_scan() {
    let mut daemon = watching();
    assert_eq!(touched(&mut daemon, &[99]), [""; 0]);
    assert_eq!(touched(&mut daemon, &[10, 11]), ["look at [10, 11]"]);
    assert_eq!(looked(&mut daemon, vec![]), [""; 0]);
    // Another program, and somebody new: for a scan.
    touched(&mut daemon, &[10]);
    let another = without_witness()
        .path(missing())
        .at("/elsewhere")
        .observed(10);
    assert_eq!(looked(&mut daemon, vec![another, orphan(50)]), [""; 0]);
    daemon.ask(1, Request::Status);
    assert_eq!(daemon.result(1)["last_scan"]["orphans"], 0);
}

#[test]
fn nobody_looks_while_somebody_looks() {
    let mut daemon = watching();
    assert_eq!(daemon.take(Event::Tick), ["scan"]);
    // What the scan says may be older than that.
    assert_eq!(touched(&mut daemon, &[11]), [""; 0]);
    assert_eq!(touched(&mut daemon, &[12]), [""; 0]);
    let effects = daemon.scanned(vec![alive(10), alive(11), alive(12)]);
    assert_eq!(effects, ["look at [11, 12]"]);
    // A tick and a request wait for the look, and get a scan.
    assert_eq!(touched(&mut daemon, &[10]), [""; 0]);
    assert_eq!(daemon.take(Event::Tick), [""; 0]);
    let effects = looked(&mut daemon, vec![orphan(11), alive(12)]);
    assert_eq!(effects, ["record orphan.detected 11", "scan"]);
    let effects = daemon.scanned(vec![alive(10), orphan(11), alive(12)]);
    assert_eq!(effects, ["look at [10]"]);
    let request = Request::Scan {
        workspaces: Vec::new(),
        survey: None,
    };
    assert_eq!(daemon.ask(1, request), [""; 0]);
    assert_eq!(looked(&mut daemon, vec![alive(10)]), ["scan"]);
    daemon.ask(2, Request::Status);
    assert_eq!(daemon.result(2)["counters"]["skipped_ticks"], 0);
}

#[test]
fn who_exits_is_known_to_have_at_once_and_stays_so_whatever_an_older_look_says() {
    let mut daemon = Daemon::ready(vec![orphan(10), alive(11)]);
    let exited = |pid: Pid| Event::Exited(alive(pid).record.identity);
    assert_eq!(daemon.take(exited(10)), ["record orphan.cleared 10"]);
    assert_eq!(daemon.take(exited(10)), [""; 0]);
    assert_eq!(daemon.take(exited(99)), [""; 0]);
    daemon.take(Event::Tick);
    assert_eq!(daemon.take(exited(11)), [""; 0]);
    assert_eq!(
        daemon.scanned(vec![orphan(10), orphan(11), alive(12)]),
        ["record orphan.detected 10"]
    );
    touched(&mut daemon, &[12]);
    assert_eq!(daemon.take(exited(12)), [""; 0]);
    assert_eq!(looked(&mut daemon, vec![orphan(12)]), [""; 0]);
    // What a fix ends, it tells of.
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    assert_eq!(daemon.take(exited(10)), [""; 0]);
}

#[test]
fn too_many_that_turn_between_two_scans_suspend_reaping_at_once() {
    let at = |pid: Pid| format!("/home/me/{pid}");
    let seen: Vec<_> = (10..20)
        .map(|pid| healthy().at(&at(pid)).observed(pid))
        .collect();
    let mut daemon = Daemon::ready(seen.clone());
    Arc::make_mut(&mut daemon.dispatcher.settings).reap.confirm = true;
    let gone: Vec<_> = (10..19)
        .map(|pid| without_witness().path(missing()).at(&at(pid)).observed(pid))
        .collect();
    let identities = gone.iter().map(|one| one.record.identity).collect();
    daemon.take(Event::Touched(identities));
    let effects = looked(&mut daemon, gone);
    assert_eq!(effects.len(), 3, "{effects:?}");
    assert!(
        effects[0].starts_with("record orphan.detected 10"),
        "{effects:?}"
    );
    assert_eq!(effects[1..], ["record reap.suspended", "keep"]);
    let status = daemon.status();
    assert!(!status["policy"]["suspended"].is_null(), "{status:#}");
}

#[test]
fn who_is_being_ended_is_left_to_who_ends_it() {
    let mut daemon = Daemon::fixing(vec![orphan(10), alive(11)]);
    assert_eq!(touched(&mut daemon, &[10]), [""; 0]);
    touched(&mut daemon, &[11]);
    assert_eq!(looked(&mut daemon, vec![alive(10), alive(11)]), [""; 0]);
}

#[test]
fn a_look_ends_nobody_and_counts_for_no_scan() {
    let mut daemon = Daemon::ready(vec![alive(10)]);
    let rules = &mut Arc::make_mut(&mut daemon.dispatcher.settings).reap;
    rules.confirm = true;
    rules.grace = Duration::ZERO;
    rules.min_sightings = 2;
    touched(&mut daemon, &[10]);
    assert_eq!(
        looked(&mut daemon, vec![orphan(10)]),
        ["record orphan.detected 10"]
    );
    for _ in 0..5 {
        assert_eq!(touched(&mut daemon, &[10]), ["look at [10]"]);
        assert_eq!(looked(&mut daemon, vec![orphan(10)]), [""; 0]);
    }
    // The look was the first, and this scan is the second.
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![orphan(10)]), ["end [10]"]);
}
