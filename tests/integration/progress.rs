//! What a fix shows while it goes on: before anybody is ended, on a terminal, and through a pipe.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Daemon, Pty, Settings, StandIn, World, ctl_command, in_private_pid_namespace, run_ctl, signal,
    state, through, wait_until,
};

/// A daemon that gives those who do not obey so long.
fn daemon(world: &World, sigterm_wait: &'static str) -> Daemon {
    let settings = Settings {
        sigterm_wait,
        ..Settings::default()
    };
    world.daemon_with(&settings)
}

/// An orphan with a child that ends with it.
fn family(world: &World, name: &str) -> (StandIn, u32) {
    let orphan = world.orphan(name).stubborn().with("CHILDREN", 1).start();
    let child = orphan.children[0];
    (orphan, child)
}

#[test]
fn on_a_terminal_a_fix_without_confirm_shows_who_would_die_with_their_children() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "30s");
        let (orphan, child) = family(&world, "gone");
        let pid = orphan.pid.to_string();
        for words in [
            &["fix"][..],
            &["fix", "--pid", &pid],
            &["--embedded", "fix"],
            &["--embedded", "fix", "--pid", &pid],
        ] {
            let mut pty = Pty::start(&ctl_command(&world, words), 140, 40);
            pty.wait_for(&pid);
            pty.wait_for(&format!("{child}"));
            pty.wait_for("1 other process would end with them");
            pty.wait_for("team-agentctl");
            pty.wait_for("--confirm");
            assert_eq!(pty.wait().code(), Some(3));
        }
        assert!(orphan.is_alive());
    });
}

#[test]
fn on_a_terminal_each_step_of_an_end_is_seen_as_it_happens() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        for is_embedded in [false, true] {
            let settings = Settings {
                sigterm_wait: "1500ms",
                ..Settings::default()
            };
            world.configure(&settings);
            let daemon = (!is_embedded).then(|| Daemon::start(&world));
            let (orphan, _) = family(&world, "gone");
            let obedient = world.orphan("gone-too").start();
            let words: &[&str] = match is_embedded {
                true => &["--embedded", "fix", "--confirm"],
                false => &["fix", "--confirm"],
            };
            let mut pty = Pty::start(&ctl_command(&world, words), 120, 40);
            pty.wait_for("1 under way, 1 gone");
            pty.wait_for("SIGTERM sent and to 1 more");
            pty.wait_for("SIGKILL in");
            pty.wait_for(&format!("{}  gone after", obedient.pid));
            assert_eq!(pty.wait().code(), Some(0));
            // The picture is gone, the report is there.
            pty.wait_until("the report", |screen| {
                screen.contains(&format!("{}", orphan.pid))
                    && !screen.contains("under way")
                    && !screen.contains("Ending orphans")
            });
            pty.wait_until_given_back();
            assert!(orphan.has_exited() && obedient.has_exited());
            if let Some(daemon) = daemon {
                daemon.stop();
            }
        }
        survivors.assert_alive();
    });
}

#[test]
fn who_does_not_wait_for_the_end_is_told_that_the_daemon_goes_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = daemon(&world, "2s");
        for ending in [Signal::INT, Signal::TERM, Signal::HUP] {
            let (orphan, _) = family(&world, "gone");
            let mut pty = Pty::start(&ctl_command(&world, ["fix", "--confirm"]), 120, 40);
            pty.wait_for("SIGKILL in");
            if ending == Signal::INT {
                pty.press("\u{3}");
            } else {
                signal(pty.pid(), ending);
            }
            assert_eq!(pty.wait().signal(), Some(ending.as_raw()));
            pty.wait_for("the daemon goes on");
            pty.wait_until("the picture is gone", |screen| {
                !screen.contains("Ending orphans") && !screen.contains("SIGKILL in")
            });
            pty.wait_until_given_back();
            wait_until("the daemon has ended it", || orphan.has_exited());
        }
        assert_eq!(daemon.call("status", &json!({}))["counters"]["failed"], 0);
    });
}

#[test]
fn who_does_not_wait_where_no_daemon_goes_on_is_told_that_it_ends_first_what_is_under_way() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "1500ms",
            ..Settings::default()
        };
        world.configure(&settings);
        let survivors = world.survivors();
        let words = ["--embedded", "fix", "--confirm"];
        let (orphan, _) = family(&world, "gone");
        let mut pty = Pty::start(&ctl_command(&world, words), 120, 40);
        pty.wait_for("SIGKILL in");
        pty.press("\u{3}");
        pty.wait_for("stopping: what is under way is finished first");
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_until("only the report is left", |screen| {
            screen.contains("by SIGKILL") && !screen.contains("Ending orphans")
        });
        assert!(orphan.has_exited());

        // Through a pipe it is a line of the log; a SIGHUP is nothing to stop for.
        let (orphan, _) = family(&world, "gone-too");
        let mut command = ctl_command(&world, words);
        let client = command.stdin(Stdio::null());
        let client = client.stdout(Stdio::piped()).stderr(Stdio::piped());
        let client = client.spawn().unwrap();
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        signal(client.id(), Signal::HUP);
        signal(client.id(), Signal::INT);
        let done = client.wait_with_output().unwrap();
        let log = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(0), "{log}");
        let said = log.lines().filter(|line| line.starts_with("stopping: "));
        assert_eq!(said.count(), 1, "{log}");
        assert!(orphan.has_exited());

        // Once more is the end at once, and says what that means.
        world.configure(&Settings {
            sigterm_wait: "60s",
            ..Settings::default()
        });
        let (orphan, _) = family(&world, "gone-at-last");
        let mut pty = Pty::start(&ctl_command(&world, words), 120, 40);
        pty.wait_for("SIGKILL in");
        pty.press("\u{3}");
        pty.wait_for("stopping: what is under way is finished first");
        pty.press("\u{3}");
        assert_eq!(pty.wait().code(), Some(5));
        pty.wait_until("only words are left", |screen| {
            screen.contains("may still run") && !screen.contains("SIGKILL in")
        });
        pty.wait_until_given_back();
        assert!(orphan.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn a_daemon_that_vanishes_leaves_the_terminal_as_it_was() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = daemon(&world, "30s");
        let (_orphan, _) = family(&world, "gone");
        let mut pty = Pty::start(&ctl_command(&world, ["fix", "--confirm"]), 120, 40);
        pty.wait_for("SIGKILL in");
        daemon.crash();
        assert_eq!(pty.wait().code(), Some(5));
        pty.wait_until("the picture is gone", |screen| {
            !screen.contains("SIGKILL in") && screen.contains("error")
        });
        pty.wait_until_given_back();
    });
}

#[test]
fn it_can_be_suspended_while_it_goes_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "2s");
        let (orphan, _) = family(&world, "gone");
        let command = ctl_command(&world, ["fix", "--confirm"]);
        let mut pty = Pty::start_as_job(&command, 120, 40);
        pty.wait_for("SIGKILL in");
        pty.press("\u{1a}");
        wait_until("it is stopped", || state(pty.pid()) == Some('T'));
        wait_until("the daemon has ended it", || orphan.has_exited());
        pty.bring_back();
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_for("by SIGKILL");
        pty.wait_until_given_back();
    });
}

#[test]
fn what_others_wrote_while_it_was_stopped_stays() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "3s");
        let survivors = world.survivors();
        let (_orphan, _) = family(&world, "gone");
        let command = ctl_command(&world, ["fix", "--confirm"]);
        let mut pty = Pty::start_as_job(&command, 120, 40);
        pty.wait_for("SIGKILL in");
        signal(pty.pid(), Signal::STOP);
        wait_until("it is stopped", || state(pty.pid()) == Some('T'));
        // The shell says so.
        pty.wait_for("Stopped");
        pty.bring_back();
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_until("both are there", |screen| {
            screen.contains("by SIGKILL") && screen.contains("Stopped")
        });
        survivors.assert_alive();
    });
}

#[test]
fn where_nobody_could_bring_it_back_it_is_not_suspended() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "2s");
        let (orphan, _) = family(&world, "gone");
        // It leads its session, as below ssh or a container.
        let mut pty = Pty::start(&ctl_command(&world, ["fix", "--confirm"]), 120, 40);
        pty.wait_for("SIGKILL in");
        pty.press("\u{1a}");
        assert_eq!(pty.wait().code(), Some(0));
        pty.wait_for("by SIGKILL");
        assert!(orphan.has_exited());
    });
}

#[test]
fn through_a_pipe_the_steps_are_a_log_and_the_report_is_the_originals() {
    in_private_pid_namespace(|| {
        let world = World::new();
        for is_embedded in [false, true] {
            let settings = Settings {
                sigterm_wait: "300ms",
                ..Settings::default()
            };
            world.configure(&settings);
            let daemon = (!is_embedded).then(|| Daemon::start(&world));
            let (orphan, child) = family(&world, "gone");
            let healthy = world.healthy("shop").start();
            let words: &[&str] = match is_embedded {
                true => &["--embedded", "fix", "--confirm"],
                false => &["fix", "--confirm"],
            };
            let done = world.ctl(words);
            assert_eq!(done.code, Some(0), "{done:#?}");
            let pid = orphan.pid;
            let mut told = done.stderr.lines().map(|line| {
                let (time, what) = line.split_once(' ').unwrap();
                assert_eq!(time.len(), "12:00:00".len(), "{line}");
                what.to_owned()
            });
            let mut next = || told.next().unwrap_or_else(|| panic!("{done:#?}"));
            let signals = [next(), next(), next()];
            let has = |what: &str| signals.iter().any(|line| line.starts_with(what));
            assert!(has(&format!("pid {pid} SIGTERM sent  ")), "{done:#?}");
            let member = format!("pid {child} SIGTERM sent, as a member of {pid}  ");
            assert!(has(&member), "{done:#?}");
            assert!(has(&format!("pid {pid} SIGKILL sent  ")), "{done:#?}");
            let end = next();
            assert!(end.starts_with(&format!("pid {pid} gone after ")), "{end}");
            assert_eq!(told.next(), None);
            // Standard output is what the original prints, and nothing of this.
            assert!(!done.stdout.contains("SIGTERM sent"), "{done:#?}");
            assert!(done.stdout.contains(&pid.to_string()), "{done:#?}");
            assert!(healthy.is_alive());

            // A script that wants JSON gets that, and silence.
            let (other, _) = family(&world, "gone-too");
            let json = world.ctl(["--json"].iter().chain(words));
            assert_eq!(json.stderr, "", "{json:#?}");
            assert_eq!(json.json_with(0)["killed"][0]["pid"], other.pid);
            if let Some(daemon) = daemon {
                daemon.stop();
            }
        }
    });
}

#[test]
fn a_terminal_without_a_cursor_gets_the_log() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "300ms");
        let (orphan, _) = family(&world, "gone");
        let mut command = ctl_command(&world, ["fix", "--confirm"]);
        command.env("TERM", "dumb");
        let mut pty = Pty::start(&command, 120, 40);
        pty.wait_for(&format!("pid {} SIGTERM sent", orphan.pid));
        assert_eq!(pty.wait().code(), Some(0));
        let raw = String::from_utf8(pty.raw()).unwrap();
        assert!(!raw.contains("under way"), "{raw}");
    });
}

#[test]
fn a_fix_by_a_daemon_that_tells_nothing_is_done_all_the_same() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "300ms",
            ..Settings::default()
        }
        .with("[control]\nmax_connections = 1");
        let _daemon = world.daemon_with(&settings);
        let (orphan, _) = family(&world, "gone");
        let done = run_ctl(ctl_command(&world, ["fix", "--confirm"]));
        assert_eq!(done.code, Some(0), "{done:#?}");
        assert!(orphan.has_exited());
    });
}

#[test]
fn a_name_that_a_terminal_would_obey_is_drawn_escaped() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "1s");
        let (_orphan, _) = family(&world, "gone-\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}");
        let mut pty = Pty::start(&ctl_command(&world, ["fix", "--confirm"]), 140, 30);
        pty.wait_for("SIGKILL in");
        pty.wait_for("\\x1b[2J\\x1b]0;title\\x07\\u{202e}");
        assert_eq!(pty.wait().code(), Some(0));
        let raw = String::from_utf8(pty.raw()).unwrap();
        for order in ["\u{1b}[2J", "\u{1b}]0", "\u{202e}"] {
            assert!(!raw.contains(order), "{raw:?}");
        }
    });
}

#[test]
fn whoever_does_not_read_what_is_shown_holds_no_kill_up() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "1s",
            ..Settings::default()
        };
        world.configure(&settings);
        let (orphan, _) = family(&world, "gone");
        // A pipe that is full already.
        let (reader, mut writer) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        writer.write_all(&[b'.'; 4096]).unwrap();
        let mut command = ctl_command(&world, ["--embedded", "fix", "--confirm"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(writer);
        let mut client = command.spawn().unwrap();
        drop(command);
        wait_until("the orphan is ended", || orphan.has_exited());
        // Now it can say so.
        drop(reader);
        wait_until("the client ends", || client.try_wait().unwrap().is_some());
        assert_eq!(client.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn in_the_background_it_leaves_the_terminal_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = daemon(&world, "1s");
        let (orphan, _) = family(&world, "gone");
        let command = ctl_command(&world, ["fix", "--confirm"]);
        let shell = through(&["bash", "-mc", r#""$@" & wait"#, "bash"], &command);
        let mut pty = Pty::start(&shell, 120, 40);
        assert_eq!(pty.wait().code(), Some(0));
        assert!(orphan.has_exited());
        pty.wait_for("by SIGKILL");
        let raw = String::from_utf8(pty.raw()).unwrap();
        assert!(
            !raw.contains("under way") && !raw.contains("\u{1b}[J"),
            "{raw:?}"
        );
    });
}
