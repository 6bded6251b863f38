//! The configuration, the program, the scans, and automatic reaping.

use super::*;
use crate::orphan::checkup::Standpoint::{Client, Daemon};

fn read(reread: Reread) -> Configuration {
    Configuration {
        in_force: Some("/c.toml".into()),
        now: Some("/c.toml".into()),
        reread,
    }
}

#[test]
fn a_configuration_that_is_not_what_is_in_force_is_said_with_what_to_do() {
    for (reread, words) in [
        (
            Reread::Changed,
            &["has changed", "team-agentctl reload"][..],
        ),
        (
            Reread::NeedsRestart(vec!["[events]", "[control]"]),
            &["[events] and [control]", "restart"],
        ),
        (
            Reread::Broken("/c.toml:3: reap.grace: bad\n/c.toml:9: x: worse".to_owned()),
            &[
                "/c.toml:3: reap.grace: bad; /c.toml:9: x: worse",
                "config check /c.toml",
                "reload",
            ],
        ),
    ] {
        let check = configuration(&read(reread), Daemon);
        assert_finds(&check, Finding::Warning, words);
        assert!(!check.says.contains('\n'));
    }
    let same = configuration(&read(Reread::Same), Daemon);
    assert_finds(&same, Finding::Ok, &["as it was read"]);
}

#[test]
fn another_file_than_the_one_in_force_is_noticed_even_if_it_says_the_same() {
    for (in_force, now, words) in [
        (Some("/c.toml"), None, "built-in defaults"),
        (None, Some("/c.toml"), "now it would be /c.toml"),
        (Some("/c.toml"), Some("/d.toml"), "/d.toml"),
    ] {
        let found = Configuration {
            in_force: in_force.map(Into::into),
            now: now.map(Into::into),
            reread: Reread::Same,
        };
        assert_finds(
            &configuration(&found, Daemon),
            Finding::Warning,
            &[words, "reload"],
        );
    }
    let defaults = Configuration {
        in_force: None,
        now: None,
        reread: Reread::Same,
    };
    assert_finds(
        &configuration(&defaults, Daemon),
        Finding::Ok,
        &["built-in defaults"],
    );
}

#[test]
fn no_daemon_starts_with_a_broken_configuration() {
    let broken = read(Reread::Broken("/c.toml:1: x".to_owned()));
    let words = ["no daemon starts", "/c.toml:1: x", "config check /c.toml"];
    assert_finds(&configuration(&broken, Client), Finding::Problem, &words);
    assert_finds(
        &configuration(&read(Reread::Same), Client),
        Finding::Ok,
        &["/c.toml"],
    );
}

#[test]
fn a_program_that_was_replaced_or_removed_is_noticed() {
    for (program, finding, words) in [
        (Program::Same, Finding::Ok, "1.2.3, as it is on disk"),
        (Program::Unknown, Finding::Ok, "cannot be told"),
        (Program::Replaced, Finding::Warning, "replaced on disk"),
        (
            Program::Removed,
            Finding::Warning,
            "cannot be started again",
        ),
    ] {
        assert_finds(&version("1.2.3", program), finding, &["1.2.3", words]);
    }
}

#[test]
fn who_runs_the_daemon_is_said_and_by_hand_is_well_too() {
    let minute = Some(Duration::from_mins(1));
    for (manager, watchdog, words) in [
        (Some("systemd"), minute, "restarts it after 1 min 0 s"),
        (Some("launchd"), None, "run by launchd"),
        (None, None, "service install"),
    ] {
        assert_finds(&service(manager, watchdog), Finding::Ok, &[words]);
    }
}

fn regular() -> Scans {
    Scans {
        last: Some(Duration::from_secs(2)),
        interval: Duration::from_secs(5),
        took: Duration::from_millis(30),
        lag: Duration::from_millis(2),
        done: 10,
        ..Scans::default()
    }
}

#[test]
fn scans_that_do_not_come_as_planned_are_said() {
    assert_finds(
        &scans(&regular()),
        Finding::Ok,
        &["one every 5 s", "2 s ago", "30 ms"],
    );
    let once_failed = Scans {
        failed: 1,
        ..regular()
    };
    assert_finds(
        &scans(&once_failed),
        Finding::Ok,
        &["1 of 11 gave no result"],
    );
    let blind = Scans {
        problem: Some("out of descriptors".to_owned()),
        ..regular()
    };
    assert_finds(&scans(&blind), Finding::Problem, &["out of descriptors"]);
    let stalled = Scans {
        is_stalled: true,
        last: Some(Duration::from_mins(2)),
        ..regular()
    };
    assert_finds(
        &scans(&stalled),
        Finding::Problem,
        &["2 min 0 s ago", "every 5 s"],
    );
    for slow in [
        Scans {
            took: Duration::from_secs(6),
            ..regular()
        },
        Scans {
            lag: Duration::from_secs(6),
            ..regular()
        },
    ] {
        assert_finds(&scans(&slow), Finding::Warning, &["6 s", "scan.interval"]);
    }
    let hanging = |workspaces, processes: &[u32]| Scans {
        hanging: Hanging {
            workspaces,
            processes: processes.iter().copied().collect(),
        },
        ..regular()
    };
    let held_up = hanging(3, &[]);
    assert_finds(
        &scans(&held_up),
        Finding::Warning,
        &["3 looks", "hang", "workspace_timeout"],
    );
    for (processes, words) in [
        (&[811][..], "process 811, which"),
        (&[812, 811, 813], "process 811 (and of 2 more), which"),
    ] {
        let words = [words, "memory map locked"];
        assert_finds(&scans(&hanging(3, processes)), Finding::Warning, &words);
    }
    // A short interval is late by less than anybody would notice.
    let hasty = Scans {
        interval: Duration::from_millis(100),
        lag: Duration::from_millis(900),
        ..regular()
    };
    assert_finds(&scans(&hasty), Finding::Ok, &[]);
    let none_yet = Scans {
        last: None,
        ..regular()
    };
    assert_finds(
        &scans(&none_yet),
        Finding::Ok,
        &["none has given a result yet"],
    );
}

#[test]
fn what_keeps_the_daemon_from_reaping_is_said_with_the_way_out() {
    let on = || Reaping {
        confirm: true,
        ..Reaping::default()
    };
    let suspended = Some("4 of 5 turned".to_owned());
    for (found, finding, words) in [
        (on(), Finding::Ok, "on: orphans are ended"),
        (Reaping::default(), Finding::Ok, "off"),
        (
            Reaping {
                paused: Pausing::For(Duration::from_secs(90)),
                ..on()
            },
            Finding::Ok,
            "another 1 min 30 s",
        ),
        (
            Reaping {
                paused: Pausing::Endless,
                ..on()
            },
            Finding::Warning,
            "team-agentctl resume",
        ),
        (
            Reaping {
                suspended: suspended.clone(),
                ..on()
            },
            Finding::Warning,
            "4 of 5 turned",
        ),
        // Also where it is off by now: it would be when it is turned on again.
        (
            Reaping {
                suspended,
                ..Reaping::default()
            },
            Finding::Warning,
            "team-agentctl resume",
        ),
        (
            Reaping {
                are_keeps_unknown: true,
                ..Reaping::default()
            },
            Finding::Problem,
            "not even on request",
        ),
        (
            Reaping {
                is_steering_owed: true,
                ..Reaping::default()
            },
            Finding::Problem,
            "a restart forgets it",
        ),
        (
            Reaping {
                is_view_obstructed: true,
                ..on()
            },
            Finding::Warning,
            "not everything is seen",
        ),
        (
            Reaping {
                is_audit_lost: true,
                ..on()
            },
            Finding::Warning,
            "the event log cannot be written",
        ),
        (
            Reaping {
                respawning: 2,
                ..on()
            },
            Finding::Warning,
            "on 2 workspaces",
        ),
        // Nothing is held that would not be done anyway.
        (
            Reaping {
                is_view_obstructed: true,
                ..Reaping::default()
            },
            Finding::Ok,
            "off",
        ),
    ] {
        assert_finds(&reaping(&found), finding, &[words]);
    }
}
