//! `doctor` by itself: each thing that can be wrong with the daemon is found, and its remedy works.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, mount};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Daemon, Pty, Settings, Silence, World, ctl_command, in_private_pid_namespace, run_ctl, signal,
    skip, wait_until,
};

/// The check of this name.
#[track_caller]
fn check<'a>(result: &'a Value, name: &str) -> &'a Value {
    let checks = result["checks"].as_array().expect("a list of checks");
    let mut named = checks.iter().filter(|check| check["check"] == name);
    let found = named.next();
    assert!(named.next().is_none(), "{name} comes twice in {result:#}");
    found.unwrap_or_else(|| panic!("no {name} in {result:#}"))
}

/// The same, which has to be as bad as `found`, and to say these words.
#[track_caller]
fn assert_found<'a>(result: &'a Value, name: &str, found: &str, words: &[&str]) -> &'a Value {
    let check = check(result, name);
    assert_eq!(check["result"], found, "{check:#}");
    assert_eq!(check["remedy"].is_string(), found != "ok", "{check:#}");
    let text = check.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {check:#}");
    }
    check
}

/// Whatever is not well, but for these.
#[track_caller]
fn assert_well_but_for(result: &Value, names: &[&str]) {
    for check in result["checks"].as_array().unwrap() {
        if !names.iter().any(|name| check["check"] == *name) {
            assert_eq!(check["result"], "ok", "{check:#}");
        }
    }
}

fn doctor(world: &World, code: i32) -> Value {
    world.ctl(["--json", "doctor"]).json_with(code)
}

#[test]
fn a_healthy_daemon_is_well_in_everything() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let result = doctor(&world, 0);
        assert_eq!(result["ok"], true, "{result:#}");
        assert_eq!(result["source"], "daemon", "{result:#}");
        assert_eq!(result["daemon"]["pid"], daemon.pid(), "{result:#}");
        assert_eq!(result["daemon"]["state_dir"], json!(world.state_dir()));
        assert_well_but_for(&result, &[]);
        let names: Vec<&str> = result["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["check"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "daemon",
                "daemons",
                "socket_directory",
                "view",
                "kernel",
                "descriptors",
                "state_directory",
                "event_log",
                "socket",
                "configuration",
                "version",
                "service",
                "scans",
                "reaping"
            ]
        );
        let text = world.ctl(["doctor"]);
        let text = text.text_with(0);
        assert!(text.starts_with("✓ daemon "), "{text}");
        let conclusion = format!(
            "\n\nall is well (14 checks of team-agentd {})\n",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.ends_with(&conclusion), "{text}");
        // The daemon says the same of itself to anybody who asks.
        let own = daemon.call("doctor", &json!({}));
        assert_eq!(
            (&own["ok"], own["checks"].as_array().unwrap().len()),
            (&json!(true), 11)
        );
        assert_eq!(daemon.connect().refusal("doctor", &json!({"x": 1})), -32602);
    });
}

#[test]
fn a_state_directory_that_others_may_write_into_is_a_problem_and_the_remedy_helps() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let mode = |mode| fs::set_permissions(world.state_dir(), fs::Permissions::from_mode(mode));
        mode(0o777).unwrap();
        let result = doctor(&world, 1);
        assert_eq!(result["ok"], false, "{result:#}");
        let found = assert_found(&result, "state_directory", "problem", &["mode 0777"]);
        assert_well_but_for(&result, &["state_directory"]);
        let text = world.ctl(["doctor"]);
        let text = text.text_with(1);
        assert!(text.starts_with("✗ state directory "), "{text}");
        assert!(text.contains("\n1 problem (14 checks"), "{text}");

        mode(0o755).unwrap();
        assert_found(
            &doctor(&world, 0),
            "state_directory",
            "warning",
            &["look into"],
        );
        let remedy = found["remedy"].as_str().unwrap();
        assert!(
            Command::new("sh")
                .args(["-c", remedy])
                .status()
                .unwrap()
                .success()
        );
        assert_well_but_for(&doctor(&world, 0), &[]);
    });
}

#[test]
fn a_state_directory_that_was_removed_underneath_is_a_problem() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        fs::rename(world.state_dir(), world.path("state/elsewhere")).unwrap();
        let result = doctor(&world, 1);
        assert_found(
            &result,
            "state_directory",
            "problem",
            &["was removed", "restart"],
        );
        // Another one in its place is not the one that is locked.
        fs::create_dir(world.state_dir()).unwrap();
        let result = doctor(&world, 1);
        assert_found(
            &result,
            "state_directory",
            "problem",
            &["another directory"],
        );
        fs::remove_dir_all(world.state_dir()).unwrap();
        fs::rename(world.path("state/elsewhere"), world.state_dir()).unwrap();
        assert_well_but_for(&doctor(&world, 0), &[]);
        fs::remove_file(world.state_dir().join("lock")).unwrap();
        assert_found(&doctor(&world, 1), "state_directory", "problem", &["lock"]);
    });
}

#[test]
fn a_full_disk_below_the_event_log_is_a_problem_until_there_is_room() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let state = world.path("state");
        let size = Some(c"size=16m");
        mount("tad", &state, "tmpfs", MountFlags::empty(), size).unwrap();
        let _daemon = world.daemon();
        assert_well_but_for(&doctor(&world, 0), &[]);
        let ballast = world.state_dir().join("ballast");
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let result = doctor(&world, 1);
        assert_found(
            &result,
            "event_log",
            "problem",
            &["is full", "events.jsonl", "make room"],
        );
        // Less than a segment may come to have.
        file.set_len(14 << 20).unwrap();
        assert_found(
            &doctor(&world, 0),
            "event_log",
            "warning",
            &["events.rotate_bytes"],
        );
        fs::remove_file(&ballast).unwrap();
        drop(file);
        assert_well_but_for(&doctor(&world, 0), &[]);
    });
}

#[test]
fn an_event_log_that_failed_is_a_problem_until_it_is_written_again() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::default().with("[reap]\nconfirm = true"));
        // A directory in its place: even root cannot write that.
        let (log, aside) = (world.event_log().path, world.path("aside"));
        fs::rename(&log, &aside).unwrap();
        fs::create_dir(&log).unwrap();
        daemon.call("pause", &json!({"for": "1h"}));
        wait_until("the writer has failed", || {
            daemon.log().contains("were not recorded")
        });
        assert_found(
            &doctor(&world, 1),
            "event_log",
            "problem",
            &["cannot be written"],
        );
        fs::remove_dir(&log).unwrap();
        fs::rename(&aside, &log).unwrap();
        let result = doctor(&world, 0);
        assert_found(&result, "event_log", "ok", &["can be written"]);
        assert_found(&result, "reaping", "ok", &["paused for another 59 min"]);
        daemon.call("pause", &json!({}));
        assert_found(
            &doctor(&world, 0),
            "reaping",
            "warning",
            &["team-agentctl resume"],
        );
    });
}

#[test]
fn few_descriptors_are_a_warning() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = Daemon::start_through(&world, &["prlimit", "--nofile=200:200"]);
        let result = doctor(&world, 0);
        let words = ["200 files may be open", "LimitNOFILE=", "the limit is 200"];
        assert_found(&result, "descriptors", "warning", &words);
        assert_well_but_for(&result, &["descriptors"]);
    });
}

#[test]
fn a_configuration_that_was_edited_is_a_warning_until_it_is_in_force() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let file = world.config().display().to_string();
        world.configure(&Settings::default().with("[reap]\ngraec = \"1s\""));
        let result = doctor(&world, 0);
        let line = format!("{file}:11: reap.graec: unknown key");
        let words = [&line, "a restart would fail", "team-agentctl config check"];
        assert_found(&result, "configuration", "warning", &words);
        assert_well_but_for(&result, &["configuration"]);

        world.configure(&Settings::default().with("[reap]\ngrace = \"1s\"\n[events]\nkeep = 2"));
        let words = ["has changed since it was read", "team-agentctl reload"];
        assert_found(&doctor(&world, 0), "configuration", "warning", &words);
        world.ctl(["reload"]).text_with(0);
        let words = ["[events]", "restart the daemon"];
        assert_found(&doctor(&world, 0), "configuration", "warning", &words);
        daemon.stop();
        let _daemon = Daemon::start(&world);
        assert_well_but_for(&doctor(&world, 0), &[]);
    });
}

#[test]
fn a_program_that_was_replaced_since_the_start_is_a_warning() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let program = world.path("team-agentd");
        let install = || {
            let new = world.path("team-agentd.new");
            fs::copy(env!("CARGO_BIN_EXE_team-agentd"), &new).unwrap();
            fs::rename(new, &program).unwrap();
        };
        install();
        let plain = Daemon::command(&world);
        let mut command = Command::new(&program);
        command.args(plain.get_args());
        world.confine(&mut command);
        let _daemon = Daemon::start_by(&world, command);
        assert_well_but_for(&doctor(&world, 0), &[]);
        install();
        let result = doctor(&world, 0);
        assert_found(
            &result,
            "version",
            "warning",
            &["was replaced on disk", "restart"],
        );
        assert_well_but_for(&result, &["version"]);
        fs::remove_file(&program).unwrap();
        assert_found(&doctor(&world, 0), "version", "warning", &["was removed"]);
    });
}

#[test]
fn without_a_daemon_the_client_looks_and_says_how_to_start_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let answer = world.ctl(["--json", "doctor"]);
        let result = answer.json_with(0);
        assert_eq!(
            (&result["ok"], &result["source"]),
            (&json!(true), &json!("embedded"))
        );
        assert_eq!(result["daemon"], json!(null));
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:#?}");
        let words = ["none listens on", "service install", "control.sock"];
        assert_found(&result, "daemon", "warning", &words);
        assert_found(&result, "state_directory", "ok", &["not there yet"]);
        let socket = world.socket();
        assert_found(&result, "socket", "ok", &[socket.to_str().unwrap()]);
        assert_well_but_for(&result, &["daemon"]);
        assert!(!world.state_dir().exists(), "looking leaves no trace");
        assert_eq!(world.ctl(["--require-daemon", "doctor"]).code, Some(4));
        let result = world.ctl(["--json", "--embedded", "doctor"]).json_with(0);
        assert_well_but_for(&result, &[]);

        // What keeps a daemon from starting is what is asked for here.
        world.configure(&Settings::default().with("[reap]\ngraec = \"1s\""));
        let result = doctor(&world, 1);
        let words = ["no daemon starts", "team-agentd.toml:11: reap.graec"];
        assert_found(&result, "configuration", "problem", &words);
    });
}

#[test]
fn a_daemon_that_listens_elsewhere_is_found_by_its_lock() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let elsewhere = world.path("nobody.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
        world.confine(&mut command);
        command
            .arg("--socket")
            .arg(&elsewhere)
            .args(["--json", "doctor"]);
        let result = run_ctl(command).json_with(0);
        assert_found(&result, "daemon", "warning", &["nobody.sock"]);
        let holder = format!("process {} is at work", daemon.pid());
        assert_found(
            &result,
            "state_directory",
            "warning",
            &[&holder, "--socket"],
        );
    });
}

#[test]
fn a_second_daemon_is_noticed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let usual = world.path("home/.local/state/team-agentd/control.sock");
        let second = Daemon::command_on(&world, &usual, &world.path("second-state"));
        let second = Daemon::launch(&world, second);
        wait_until("the second one listens", || usual.exists());
        let result = doctor(&world, 0);
        let words = [
            &*format!("process {} is at work at", second.pid()),
            ".local/state/team-agentd/control.sock",
        ];
        assert_found(&result, "daemons", "warning", &words);
        second.stop();
        assert_found(&doctor(&world, 0), "daemons", "ok", &[]);
    });
}

#[test]
fn a_daemon_that_gives_no_answer_is_a_problem_and_nobody_waits_for_ever() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        signal(daemon.pid(), Signal::STOP);
        let result = doctor(&world, 1);
        signal(daemon.pid(), Signal::CONT);
        assert_eq!(result["source"], "embedded", "{result:#}");
        assert_found(
            &result,
            "daemon",
            "problem",
            &["gives no answer", "restart"],
        );
        let holder = format!("process {} is at work", daemon.pid());
        assert_found(&result, "state_directory", "warning", &[&holder]);
        assert_well_but_for(&doctor(&world, 0), &[]);
    });
}

#[test]
fn a_hostile_name_of_a_directory_is_never_shown_raw() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let name = "state-\u{1b}[31m\u{202e}\n'$(touch pwned)'\u{7}";
        let state = world.path(name);
        let command = Daemon::command_on(&world, &world.socket(), &state);
        world.configure(&Settings::default());
        let daemon = Daemon::launch(&world, command);
        wait_until("it listens", || world.socket().exists());
        wait_until("it has looked", || {
            daemon.call("status", &json!({}))["last_scan"].is_object()
        });
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        let is_safe = |text: &str| {
            text.chars()
                .all(|letter| letter == '\n' || !(letter.is_control() || letter == '\u{202e}'))
        };
        let answer = world.ctl(["doctor"]);
        assert_eq!(answer.code, Some(1), "{answer:#?}");
        for text in [&answer.stdout, &answer.stderr] {
            assert!(is_safe(text), "{text:?}");
        }
        assert!(
            answer.stdout.contains(r"state-\x1b[31m\u{202e}\n"),
            "{answer:#?}"
        );
        let mut pty = Pty::start(&ctl_command(&world, ["doctor"]), 140, 60);
        assert_eq!(pty.wait().code(), Some(1));
        wait_until("all of it is shown", || {
            pty.text().contains("(14 checks of")
        });
        assert!(
            pty.text().contains(r"state-\x1b[31m\u{202e}\n"),
            "{}",
            pty.text()
        );
        // As JSON it is exact, and its remedy is nothing but a mode for that directory.
        let result = doctor(&world, 1);
        assert_eq!(result["daemon"]["state_dir"], json!(state));
        let found = check(&result, "state_directory");
        let remedy = found["remedy"].as_str().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", remedy]).current_dir(world.path("home"));
        assert!(shell.status().unwrap().success(), "{remedy}");
        assert!(!Path::new(&world.path("home/pwned")).exists(), "{remedy}");
        assert_found(&doctor(&world, 0), "state_directory", "ok", &[]);
    });
}

#[test]
fn a_disk_that_hangs_is_said_and_nobody_waits_for_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let Some(silence) = Silence::over(&world.state_dir()) else {
            return skip("FUSE mounts");
        };
        let result = doctor(&world, 0);
        assert_eq!(result["daemon"]["pid"], daemon.pid(), "{result:#}");
        for name in ["state_directory", "event_log", "daemons"] {
            assert_found(&result, name, "warning", &["no answer within 3 s"]);
        }
        assert_well_but_for(&result, &["state_directory", "event_log", "daemons"]);
        drop(silence);
        assert_well_but_for(&doctor(&world, 0), &[]);

        // Where the socket is, the client does not even try.
        let Some(silence) = Silence::over(&world.path("run")) else {
            return skip("FUSE mounts");
        };
        let result = doctor(&world, 1);
        assert_found(&result, "daemon", "problem", &["nothing answers in time"]);
        let holder = format!("process {} is at work", daemon.pid());
        assert_found(&result, "state_directory", "warning", &[&holder]);
        drop(silence);
    });
}

#[test]
fn what_cannot_be_written_down_is_a_problem_until_it_is() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&Settings {
            scan_interval: "100ms",
            ..Settings::default()
        });
        let in_the_way = world.state_dir().join("steering.json");
        let _ = fs::remove_file(&in_the_way);
        fs::create_dir(&in_the_way).unwrap();
        assert_eq!(world.ctl(["pause"]).code, Some(5));
        let words = ["a restart forgets it", "tried again"];
        assert_found(&doctor(&world, 1), "reaping", "problem", &words);
        fs::remove_dir(&in_the_way).unwrap();
        wait_until("it is written down", || in_the_way.is_file());
        wait_until("all is well", || world.ctl(["doctor"]).code == Some(0));
    });
}
