//! How the daemon is doing, as its service manager hears it.

use super::*;
use crate::supervisor::scan::probing_limit;

fn later(by: Duration) -> Now {
    let mut now = clock();
    now.moment = now.moment.after(by);
    now
}

fn headline(daemon: &Daemon) -> String {
    daemon.dispatcher.headline(clock())
}

fn allow_reaping(daemon: &mut Daemon) {
    Arc::make_mut(&mut daemon.dispatcher.settings).reap.confirm = true;
}

#[test]
fn it_is_ready_when_a_scan_has_given_a_result_and_not_before() {
    let mut daemon = Daemon::new(Source::Daemon);
    daemon.take(Event::Tick);
    assert_eq!(daemon.scan_failed(), ["record daemon.started"]);
    daemon.take(Event::Tick);
    assert_eq!(daemon.scan_failed(), [""; 0]);
    daemon.take(Event::Tick);
    assert_eq!(
        daemon.scanned(vec![orphan(10)]),
        ["record orphan.detected 10", "ready"]
    );
    daemon.take(Event::Tick);
    assert_eq!(daemon.scan_failed(), [""; 0], "once is enough");
    daemon.take(Event::Tick);
    assert_eq!(daemon.scanned(vec![orphan(10)]), [""; 0]);
}

#[test]
fn it_stalls_when_no_scan_gives_a_result_for_a_minute_or_three_intervals() {
    let minute = Duration::from_mins(1);
    let moment = Duration::from_millis(1);
    let mut daemon = Daemon::new(Source::Daemon);
    assert!(!daemon.dispatcher.is_stalled(later(minute * 60)));
    daemon.take(Event::Tick);
    daemon.scanned(vec![]);
    assert!(!daemon.dispatcher.is_stalled(later(minute)));
    assert!(daemon.dispatcher.is_stalled(later(minute + moment)));

    // A scan that fails shows nothing; one that does not, does.
    let scanned = |observations| Event::Scanned {
        observations,
        around: clear(),
        took: TOOK,
    };
    let failed = Err("no process table".to_owned());
    let dispatcher = &mut daemon.dispatcher;
    dispatcher.handle_event(Event::Tick, later(minute));
    dispatcher.handle_event(scanned(failed), later(minute));
    assert!(dispatcher.is_stalled(later(minute + moment)));
    dispatcher.handle_event(Event::Tick, later(minute));
    dispatcher.handle_event(scanned(Ok(vec![])), later(minute));
    assert!(!dispatcher.is_stalled(later(minute + moment)));

    // One that runs may be waiting for workspaces, a few at a time.
    let mut daemon = Daemon::ready((10..19).map(alive).collect());
    let of_probes = probing_limit(9, daemon.dispatcher.settings.probe_timeout);
    assert!(of_probes >= 2 * daemon.dispatcher.settings.probe_timeout);
    daemon.take(Event::Tick);
    assert!(!daemon.dispatcher.is_stalled(later(minute + of_probes)));
    assert!(
        daemon
            .dispatcher
            .is_stalled(later(minute + of_probes + moment))
    );

    let mut daemon = Daemon::ready(vec![]);
    Arc::make_mut(&mut daemon.dispatcher.settings).reap.interval = minute;
    assert!(!daemon.dispatcher.is_stalled(later(3 * minute)));
    assert!(daemon.dispatcher.is_stalled(later(3 * minute + moment)));
}

#[test]
fn one_that_stops_looks_no_more_and_does_not_stall() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    assert!(!daemon.dispatcher.is_stopping());
    daemon.stop();
    assert!(daemon.dispatcher.is_stopping());
    assert!(!daemon.dispatcher.is_stalled(later(Duration::from_hours(1))));
}

#[test]
fn the_headline_says_what_is_seen_and_what_is_done_about_it() {
    let mut daemon = Daemon::new(Source::Daemon);
    assert_eq!(headline(&daemon), "doing the first scan");
    daemon.take(Event::Tick);
    daemon.scan_failed();
    assert_eq!(
        headline(&daemon),
        "the first scan failed and is tried again: no process table"
    );
    daemon.take(Event::Tick);
    daemon.scanned(vec![alive(11)]);
    let off = "automatic reaping off";
    assert_eq!(
        headline(&daemon),
        format!("1 coordinator, 0 orphans; {off}")
    );
    daemon.take(Event::Tick);
    daemon.scanned(vec![orphan(10), alive(11)]);
    assert_eq!(
        headline(&daemon),
        format!("2 coordinators, 1 orphan; {off}")
    );
    daemon.take(Event::Tick);
    daemon.scan_failed();
    assert_eq!(
        headline(&daemon),
        format!("2 coordinators, 1 orphan; {off}; the last scan failed: no process table")
    );
    daemon.fix(1, Selection::default());
    daemon.scanned(vec![orphan(10), alive(11)]);
    assert_eq!(
        headline(&daemon),
        format!("2 coordinators, 1 orphan (1 being ended); {off}")
    );
    daemon.stop();
    assert_eq!(headline(&daemon), "stopping once 1 orphan is ended");
    daemon.ended(10, KILLED);
    assert_eq!(headline(&daemon), "stopping");
}

#[test]
fn the_headline_says_what_holds_automatic_reaping() {
    let mut daemon = Daemon::ready(vec![]);
    let reaping = |daemon: &Daemon| headline(daemon).split_once("; ").unwrap().1.to_owned();
    allow_reaping(&mut daemon);
    assert_eq!(reaping(&daemon), "automatic reaping on");
    daemon.ask(1, Request::Pause { length: None });
    assert_eq!(reaping(&daemon), "automatic reaping paused");
    daemon.ask(2, Request::Resume);
    assert_eq!(reaping(&daemon), "automatic reaping on");

    daemon.take(Event::Tick);
    daemon.dispatcher.handle_event(
        Event::Scanned {
            observations: Ok(vec![]),
            around: Around {
                obstacles: Some(vec![Obstacle::UserNamespace]),
                ..clear()
            },
            took: TOOK,
        },
        clock(),
    );
    assert_eq!(
        reaping(&daemon),
        "automatic reaping held: the daemon does not see everything"
    );
    Arc::make_mut(&mut daemon.dispatcher.settings).reap.confirm = false;
    assert_eq!(
        reaping(&daemon),
        "automatic reaping off, and the daemon does not see everything"
    );
}

#[test]
fn the_headline_says_why_reaping_suspended_itself() {
    let mut daemon = Daemon::ready(vec![]);
    allow_reaping(&mut daemon);
    let settings = Arc::make_mut(&mut daemon.dispatcher.settings);
    settings.reap.grace = Duration::from_hours(1);
    daemon.take(Event::Tick);
    daemon.scanned((10..20).map(orphan_of_its_own).collect());
    assert_eq!(
        headline(&daemon),
        "10 coordinators, 10 orphans; automatic reaping suspended: 10 of 10 coordinators turned \
         orphan within 60 s"
    );
}

/// An orphan with a workspace that no other has.
fn orphan_of_its_own(pid: Pid) -> Observation {
    without_witness()
        .at(&format!("/w/{pid}"))
        .log(Seen::Deleted)
        .path(missing())
        .observed(pid)
}
