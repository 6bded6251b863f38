//! `watch`, on a terminal of its own.

use std::env;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use team_agentd::cli::watch::screen::Screen;

use crate::support::{
    Daemon, Pty, Settings, World, ctl_command, in_private_pid_namespace, signal, state, wait_until,
};

/// A daemon that looks often; it ends nothing by itself for as long as any test takes.
fn watchful() -> Settings {
    Settings {
        scan_interval: "100ms",
        ..Settings::default()
    }
    .with("[reap]\nconfirm = true\ngrace = \"1h\"\nreasons = [\"workspace_path_missing\"]")
}

fn watch(world: &World, columns: u16, rows: u16) -> Pty {
    let pty = Pty::start(&ctl_command(world, ["watch"]), columns, rows);
    pty.wait_for("q quit");
    pty
}

/// How the row of a process begins.
fn row(state: &str, pid: u32) -> String {
    format!("{state:<11} {pid:>7}")
}

#[test]
fn an_orphan_is_seen_kept_unkept_and_ended_and_the_terminal_is_as_before() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&watchful());
        let survivors = world.survivors();
        let healthy = world.healthy("shop").start();
        let mut pty = watch(&world, 140, 40);
        assert!(pty.is_taken());
        pty.wait_for(&row("alive", healthy.pid));

        let orphan = world.orphan("gone").start();
        let pid = orphan.pid;
        // First in the list, but what was selected stays selected.
        pty.wait_for(&row("suspected", pid));
        pty.wait_for("59m");
        pty.press("g");
        pty.wait_for(&format!("{pid} workspace_path_missing"));

        pty.press("\r");
        pty.wait_for(&format!("Process {pid} is a coordinator"));
        pty.press("q");
        pty.wait_until("the letter is closed", |screen| {
            !screen.contains("is a coordinator")
        });

        pty.press("K");
        pty.wait_for(&format!("kept: process {pid}"));
        pty.wait_for("it is kept (team-agentctl keep)");
        pty.press("u");
        pty.wait_for("not kept any more");
        pty.wait_until("it is not kept", |screen| {
            !screen.contains("it is kept (team-agentctl keep)")
        });

        pty.press("p");
        pty.wait_for("for 15 minutes");
        pty.press("2");
        pty.wait_for("; paused until");
        pty.press("r");
        pty.wait_for("the pause is over");
        pty.wait_until("it goes on", |screen| !screen.contains("; paused until"));

        // A question that is not answered with yes changes nothing.
        pty.press("f");
        pty.wait_for("End this process?");
        pty.press("n");
        pty.wait_for("is left alone");
        assert!(orphan.is_alive());
        pty.press("f");
        pty.wait_for("End this process?");
        pty.press("y");
        pty.wait_for(&format!("{pid}: gone after"));
        pty.wait_for("orphan.killed");
        pty.wait_until("it is off the list", |screen| {
            !screen.contains(&row("suspected", pid))
        });
        assert!(orphan.has_exited());
        assert!(healthy.is_alive());
        assert_eq!(daemon.call("status", &json!({}))["orphans"], json!([]));

        pty.press("q");
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_until_given_back();
        survivors.assert_alive();
    });
}

#[test]
fn what_is_pasted_or_comes_right_after_escape_ends_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&watchful());
        let orphan = world.orphan("gone").start();
        let mut pty = watch(&world, 100, 30);
        pty.wait_for(&format!("{} workspace_path_missing", orphan.pid));
        // As a terminal sends it that was asked to say what is pasted.
        pty.press("\u{1b}[200~fy\u{1b}[201~?");
        pty.wait_for("this help");
        pty.press("x");
        pty.wait_until("the help is closed", |screen| !screen.contains("this help"));
        pty.press("f");
        pty.wait_for("End this process?");
        pty.press("\u{1b}y");
        pty.wait_for("is left alone");
        pty.press("q");
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_until_given_back();
        assert!(orphan.is_alive());
        assert_eq!(daemon.call("status", &json!({}))["counters"]["killed"], 0);
    });
}

#[test]
fn a_kill_in_progress_is_seen_with_its_signals() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "30s",
            ..watchful()
        };
        let daemon = world.daemon_with(&settings);
        let survivors = world.survivors();
        let stubborn = world.orphan("gone").stubborn().start();
        let pty = watch(&world, 100, 30);
        daemon.scan();
        let mut asking = daemon.connect();
        asking.request("fix", &json!({"confirm": true}));
        pty.wait_for("KILLS IN PROGRESS: 1");
        pty.wait_for("SIGKILL in");
        pty.wait_for("SIGTERM sent");
        // The end of it is not the test's business: it is ended from outside.
        signal(stubborn.pid, Signal::KILL);
        pty.wait_until("it is over", |screen| !screen.contains("KILLS IN PROGRESS"));
        survivors.assert_alive();
    });
}

#[test]
fn a_restart_of_the_daemon_is_survived() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&watchful());
        let healthy = world.healthy("shop").start();
        let mut pty = watch(&world, 100, 30);
        pty.wait_for(&row("alive", healthy.pid));
        daemon.crash();
        pty.wait_for("gone; waiting for the next one");
        // What was is still there, and nobody can be asked.
        pty.wait_for(&row("alive", healthy.pid));
        pty.press("e");
        pty.wait_for("there is no daemon to ask");
        let daemon = Daemon::start(&world);
        pty.wait_for(&format!(
            "team-agentd {}, pid {}",
            env!("CARGO_PKG_VERSION"),
            daemon.pid()
        ));
        pty.wait_until("it is live", |screen| {
            !screen.contains("waiting for the next")
        });
        let orphan = world.orphan("gone").start();
        pty.wait_for(&row("suspected", orphan.pid));
        pty.press("\u{3}");
        assert_eq!(pty.wait().code(), Some(0), "Ctrl-C is a way to leave");
        pty.wait_until_given_back();
    });
}

#[test]
fn whatever_signal_ends_it_the_terminal_is_as_before() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&watchful());
        for ending in [Signal::TERM, Signal::HUP, Signal::INT] {
            let mut pty = watch(&world, 80, 24);
            signal(pty.pid(), ending);
            assert_eq!(pty.wait().signal(), Some(ending.as_raw()));
            pty.wait_until_given_back();
        }
    });
}

#[test]
fn it_can_be_suspended_and_goes_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&watchful());
        let mut pty = Pty::start_as_job(&ctl_command(&world, ["watch"]), 80, 24);
        pty.wait_for("q quit");
        // As often as it takes, and by whatever means.
        let by_key = None;
        for stopping in [by_key, Some(Signal::TSTP), Some(Signal::STOP), by_key] {
            match stopping {
                None => pty.press("\u{1a}"),
                Some(stopping) => signal(pty.pid(), stopping),
            }
            wait_until("it is stopped", || state(pty.pid()) == Some('T'));
            if stopping == Some(Signal::STOP) {
                // It could not give it back.
                pty.take_back();
            } else {
                pty.wait_until_given_back();
            }
            pty.bring_back();
            wait_until("it has the screen again", || pty.is_taken() && pty.is_raw());
            pty.wait_for("q quit");
            pty.press("?");
            pty.wait_for("this help");
            pty.press("x");
            pty.wait_until("the help is gone", |screen| !screen.contains("this help"));
        }
        pty.press("q");
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_until_given_back();
    });
}

#[test]
fn a_window_may_become_any_size() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&watchful());
        let healthy = world.healthy("shop").start();
        let mut pty = watch(&world, 80, 24);
        pty.wait_for(&healthy.pid.to_string());
        pty.resize(20, 5);
        pty.wait_for("q quit  ? help");
        pty.resize(1, 1);
        pty.resize(140, 40);
        pty.wait_for("REASON");
        pty.wait_for("workspace_alive");
        pty.press("q");
        assert_eq!(pty.wait().code(), Some(0));
    });
}

#[test]
fn a_name_that_a_terminal_would_obey_is_shown_escaped() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&watchful());
        let name = "gone-\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}";
        let orphan = world.orphan(name).start();
        let pty = watch(&world, 140, 30);
        pty.wait_for(&format!("{} workspace_path_missing", orphan.pid));
        pty.wait_for("\\x1b[2J\\x1b]0;title\\x07\\u{202e}");
    });
}

#[test]
fn it_needs_a_terminal_and_a_daemon() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::default());
        let piped = world.ctl(["watch"]);
        assert_eq!(piped.code, Some(2), "{piped:#?}");
        for instead in ["events --follow", "status"] {
            assert!(piped.stderr.contains(instead), "{piped:#?}");
        }
        assert_eq!(world.ctl(["--embedded", "watch"]).code, Some(2));
        assert_eq!(world.ctl(["--json", "watch"]).code, Some(2));
        let mut pty = Pty::start(&ctl_command(&world, ["watch"]), 80, 24);
        assert_eq!(pty.wait().code(), Some(4));
        pty.wait_for("no daemon");
        pty.wait_until_given_back();
    });
}

/// Set for the copy of this test that panics.
const PANICS: &str = "TEAM_AGENTD_TEST_PANICS_ON_SCREEN";

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    if env::var_os(PANICS).is_some() {
        let _screen = Screen::take().unwrap();
        panic!("on purpose");
    }
    in_private_pid_namespace(|| {
        let mut copy = Command::new(env::current_exe().unwrap());
        let name = "watching::a_panic_gives_the_terminal_back_before_it_speaks";
        copy.args(["--exact", name, "--nocapture"]).env(PANICS, "1");
        let mut pty = Pty::start(&copy, 120, 40);
        assert!(!pty.wait().success());
        pty.wait_until_given_back();
        // What is written on the other screen is gone with it.
        pty.wait_for("on purpose");
    });
}
