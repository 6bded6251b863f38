//! The configuration: what stops a start, and what a reload takes over.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Daemon, Settings, World, ctl_command, failed_start, in_private_pid_namespace, run_ctl, signal,
    wait_until,
};

/// The start fails, and says in which file, on which line, and about which key.
#[track_caller]
fn assert_rejected(config: &str, line: usize, key: &str) {
    let world = World::new();
    fs::write(world.config(), config).unwrap();
    let (status, errors) = failed_start(Daemon::command(&world), &world.path(""));
    assert!(!status.success(), "{config}");
    assert!(
        errors.contains(world.config().to_str().unwrap()),
        "{config}\n{errors}"
    );
    assert!(errors.contains(key), "{key} in {errors}");
    let line_is_named = [
        format!("line {line}"),
        format!(":{line}:"),
        format!(":{line} "),
    ]
    .iter()
    .any(|spelling| errors.contains(spelling));
    assert!(line_is_named, "line {line} in {errors}");
    assert!(!world.socket().exists(), "{config}");

    // The client says the same without starting anything.
    let check = world.ctl(["config", "check", world.config().to_str().unwrap()]);
    assert!(check.code.is_some_and(|code| code != 0), "{check:#?}");
    assert!(check.stderr.contains(key), "{check:#?}");
}

#[test]
fn a_key_that_does_not_exist_stops_the_start() {
    in_private_pid_namespace(|| {
        assert_rejected("[scan]\nintervall = \"5s\"\n", 2, "intervall");
        assert_rejected("[reap]\nconfirm = false\n\nconfrim = true\n", 4, "confrim");
        assert_rejected("# a comment\n[reaper]\nconfirm = true\n", 2, "reaper");
        assert_rejected("interval = \"5s\"\n", 1, "interval");
        let form = "[[coordinator.form]]\nname = \"n\"\nprogram = \"p\"\nworkspaceflag = \"--w\"\n";
        assert_rejected(form, 4, "workspaceflag");
    });
}

#[test]
fn a_value_that_makes_no_sense_stops_the_start() {
    in_private_pid_namespace(|| {
        for (section, key, value) in [
            ("scan", "interval", "\"5 parsecs\""),
            ("scan", "interval", "5"),
            ("scan", "interval", "\"\""),
            ("scan", "interval", "\"-5s\""),
            ("scan", "probe_timeout", "true"),
            ("coordinator", "uids", "\"everybody\""),
            ("coordinator", "uids", "[-1]"),
            ("coordinator", "workspace_roots", "\"/home\""),
            ("orphan", "ephemeral_hints", "[1]"),
            ("orphan", "ephemeral_min_age", "\"soon\""),
            ("reap", "confirm", "\"yes\""),
            ("reap", "reasons", "[\"because\"]"),
            ("reap", "min_sightings", "-1"),
            ("reap", "breaker_share", "\"half\""),
            ("terminate", "scope", "\"family\""),
            ("events", "rotate_bytes", "4095"),
            ("control", "max_connections", "\"many\""),
        ] {
            assert_rejected(&format!("\n[{section}]\n{key} = {value}\n"), 3, key);
        }
    });
}

#[test]
fn what_is_not_toml_stops_the_start() {
    in_private_pid_namespace(|| {
        assert_rejected("[scan]\ninterval = \n", 2, "");
        assert_rejected(
            "[scan]\ninterval = \"5s\"\ninterval = \"6s\"\n",
            3,
            "interval",
        );
    });
}

#[test]
fn a_configuration_that_was_asked_for_has_to_be_there() {
    in_private_pid_namespace(|| {
        let world = World::new();
        fs::remove_file(world.config()).unwrap();
        let (status, errors) = failed_start(Daemon::command(&world), &world.path(""));
        assert!(!status.success(), "{status}");
        assert!(
            errors.contains(world.config().to_str().unwrap()),
            "{errors}"
        );
    });
}

fn shipped() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config/team-agentd.toml"
    ))
}

#[test]
fn the_configuration_that_is_shipped_starts_the_daemon() {
    in_private_pid_namespace(|| {
        let world = World::new();
        fs::copy(shipped(), world.config()).unwrap();
        let daemon = Daemon::start(&world);
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["policy"]["confirm"], false, "{status:#}");
        let check = world.ctl(["config", "check", shipped().to_str().unwrap()]);
        assert_eq!(check.code, Some(0), "{check:#?}");
    });
}

#[test]
fn the_configuration_that_is_shipped_changes_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let policy = |config: &str| {
            fs::write(world.config(), config).unwrap();
            let daemon = Daemon::start(&world);
            let mut status = daemon.call("status", &json!({}));
            assert!(daemon.stop().success());
            status["policy"].take()
        };
        let built_in = policy("");
        assert_eq!(policy(&fs::read_to_string(shipped()).unwrap()), built_in);
    });
}

/// What a daemon thinks of workspaces called `scratch-…`, which only some configurations mention.
fn counts_scratch_as_ephemeral(daemon: &Daemon) -> bool {
    let scan = daemon.scan();
    let reason = scan["coordinators"][0]["reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    reason == "ephemeral_tempdir_pattern:scratch-"
}

#[test]
fn a_reload_takes_over_a_good_configuration_and_keeps_the_old_one_from_a_bad_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("scratch-1").start();
        assert!(!counts_scratch_as_ephemeral(&daemon));

        world.configure(&Settings::default().with("[orphan]\nephemeral_hints = [\"scratch-\"]"));
        assert!(
            !counts_scratch_as_ephemeral(&daemon),
            "nobody asked for a reload"
        );
        assert_eq!(world.ctl(["reload"]).code, Some(0));
        assert!(counts_scratch_as_ephemeral(&daemon));
        assert_eq!(world.event_log().named("config.reloaded").len(), 1);

        world.configure(&Settings::default().with("[orphan]\nephemeral_hintz = []"));
        let rejected = world.ctl(["reload"]);
        assert!(rejected.code.is_some_and(|code| code != 0), "{rejected:#?}");
        assert!(rejected.stderr.contains("ephemeral_hintz"), "{rejected:#?}");
        assert!(counts_scratch_as_ephemeral(&daemon));
        assert_eq!(world.event_log().named("config.rejected").len(), 1);
        assert!(process.is_alive());
    });
}

#[test]
fn sighup_is_a_reload() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let _process = world.healthy("scratch-1").start();
        world.configure(&Settings::default().with("[orphan]\nephemeral_hints = [\"scratch-\"]"));
        signal(daemon.pid(), Signal::HUP);
        wait_until("the reload is recorded", || {
            !world.event_log().named("config.reloaded").is_empty()
        });
        assert!(counts_scratch_as_ephemeral(&daemon));

        fs::write(world.config(), "nonsense").unwrap();
        signal(daemon.pid(), Signal::HUP);
        wait_until("the rejection is recorded", || {
            !world.event_log().named("config.rejected").is_empty()
        });
        assert!(counts_scratch_as_ephemeral(&daemon));
    });
}

#[test]
fn who_is_shown_another_configuration_than_the_daemon_has_read_is_told() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let used = format!(
            "process {}, uses {}",
            daemon.pid(),
            world.config().display()
        );
        let elsewhere = |arguments: &[&str]| {
            let mut command = ctl_command(&world, arguments);
            // As from a shell with another environment than the daemon's.
            command.env_remove("TEAM_AGENTD_CONFIG");
            run_ctl(command)
        };
        for asked in [&["config", "show"][..], &["config", "check"]] {
            let here = world.ctl(asked);
            assert_eq!(here.code, Some(0), "{here:#?}");
            assert!(!here.stderr.contains("uses"), "{here:#?}");
            let there = elsewhere(asked);
            assert_eq!(there.code, Some(0), "{there:#?}");
            assert!(there.stderr.contains(&used), "{there:#?}");
        }
        // Who names a file means that file.
        let file = world.config();
        let named = elsewhere(&["config", "check", file.to_str().unwrap()]);
        assert_eq!(named.stderr, "", "{named:#?}");
    });
}
