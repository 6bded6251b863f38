//! The client's manners: exit statuses, where it looks for a daemon, and what it does without one.

use serde_json::json;

use crate::support::{World, ctl_command, entry_of, in_private_pid_namespace, pids, run_ctl};

#[test]
fn a_scan_is_done_whatever_it_finds() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let scan = world.ctl(["--json", "scan"]).json_with(0);
        assert_eq!(scan["ok"], true, "{scan:#}");
        assert_eq!(scan["scanned"], 0, "{scan:#}");

        let orphan = world.orphan("gone").start();
        let healthy = world.healthy("workspace").start();
        let scan = world.ctl(["--json", "scan"]).json_with(0);
        assert_eq!(scan["ok"], true, "{scan:#}");
        assert_eq!(scan["scanned"], 2, "{scan:#}");
        assert_eq!(scan["dry_run"], true, "{scan:#}");
        assert_eq!(scan["source"], "daemon", "{scan:#}");
        assert_eq!(
            scan["action_required"], "re-run with --confirm to send SIGTERM",
            "{scan:#}"
        );
        assert!(scan["took_ms"].is_number(), "{scan:#}");
        let at = scan["scanned_at"].as_str().unwrap();
        assert!(at.ends_with("+00:00"), "{at}");
        assert_eq!(pids(&scan["orphans"]), [orphan.pid], "{scan:#}");
        entry_of(&scan["coordinators"], healthy.pid);
        assert!(orphan.is_alive());
        drop(daemon);
    });
}

#[test]
fn an_entry_tells_all_there_is_to_know_about_a_process() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world.healthy("workspace").real().start();
        let scan = daemon.scan();
        let entry = entry_of(&scan["coordinators"], process.pid);
        let workspace = world.path("workspace");
        let argv = json!([
            "python3",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            workspace
        ]);
        let cmdline = format!(
            "python3 -m team_agent.coordinator --workspace {}",
            workspace.display()
        );
        for (key, value) in [
            ("argv", argv),
            ("cmdline", json!(cmdline)),
            ("workspace", json!(workspace)),
            ("cwd", json!(workspace)),
            ("form", json!("python-module")),
            ("ppid", json!(std::process::id())),
            ("pgid", json!(process.pid)),
            ("sid", json!(process.pid)),
            ("uid", json!(nix::unistd::getuid().as_raw())),
        ] {
            assert_eq!(entry[key], value, "{key} in {entry:#}");
        }
        // mm:ss: nobody waits an hour for this.
        let etime: Vec<_> = entry["etime"].as_str().expect("etime").split(':').collect();
        let two_digits = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        assert!(
            etime.len() == 2 && etime.iter().all(two_digits),
            "{entry:#}"
        );
        assert!(
            entry["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0),
            "{entry:#}"
        );
        for key in ["started_at", "first_seen"] {
            assert!(entry[key].is_string(), "{key} in {entry:#}");
        }
        assert!(
            entry["sightings"].as_u64().is_some_and(|times| times > 0),
            "{entry:#}"
        );
        assert!(entry.get("evidence").is_some(), "{entry:#}");
    });
}

#[test]
fn a_scan_of_one_workspace_lists_that_one_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let one = world.orphan("one").start();
        let _two = world.orphan("two").start();
        let path = world.path("one");
        let scan = world.ctl(["--json", "scan", "--workspace", path.to_str().unwrap()]);
        assert_eq!(pids(&scan.json_with(0)["coordinators"]), [one.pid]);
    });
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        for arguments in [
            &[][..],
            &["nonsense"],
            &["scan", "--nonsense"],
            &["fix", "--confirm", "--pid", "one"],
            &["fix", "--confirm", "--pid", "-1"],
            &["explain"],
            &["--embedded", "--require-daemon", "scan"],
            &["doctor", "--gate", "nonsense"],
        ] {
            let answer = world.ctl(arguments);
            assert_eq!(answer.code, Some(2), "{arguments:?}: {answer:#?}");
            assert_ne!(answer.stderr, "", "{arguments:?}");
        }
    });
}

#[test]
fn without_a_daemon_the_client_judges_by_itself_and_says_so_once() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let orphan = world.orphan("gone").start();
        let answer = world.ctl(["--json", "scan"]);
        let scan = answer.json_with(0);
        assert_eq!(scan["source"], "embedded", "{scan:#}");
        assert_eq!(pids(&scan["orphans"]), [orphan.pid], "{scan:#}");
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:#?}");
        assert!(answer.stderr.contains("embedded"), "{answer:#?}");

        let gate = world
            .ctl(["--json", "doctor", "--gate", "orphans"])
            .json_with(1);
        assert_eq!(gate["source"], "embedded", "{gate:#}");
        let pid = orphan.pid.to_string();
        let explained = world.ctl(["--json", "explain", &pid]).json_with(0);
        assert_eq!(
            explained["entry"]["reason"], "workspace_path_missing",
            "{explained:#}"
        );
        assert!(orphan.is_alive());
    });
}

#[test]
fn embedded_on_request_means_without_the_daemon_that_is_there() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let scan = world.ctl(["--json", "--embedded", "scan"]).json_with(0);
        assert_eq!(scan["source"], "embedded", "{scan:#}");
        let scan = world.ctl(["--json", "scan"]).json_with(0);
        assert_eq!(scan["source"], "daemon", "{scan:#}");
    });
}

#[test]
fn with_require_daemon_there_is_no_other_way() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let orphan = world.orphan("gone").start();
        for arguments in [
            &["--require-daemon", "scan"][..],
            &["--require-daemon", "fix", "--confirm"],
            &["--require-daemon", "doctor", "--gate", "orphans"],
        ] {
            let answer = world.ctl(arguments);
            assert_eq!(answer.code, Some(4), "{arguments:?}: {answer:#?}");
            assert!(answer.stderr.contains("team-agentd"), "{answer:#?}");
        }
        assert!(orphan.is_alive());
        let _daemon = world.daemon();
        let scan = world
            .ctl(["--json", "--require-daemon", "scan"])
            .json_with(0);
        assert_eq!(scan["source"], "daemon", "{scan:#}");
    });
}

#[test]
fn what_only_a_daemon_can_do_fails_without_one_and_tells_how_to_start_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        for arguments in [
            &["status"][..],
            &["events"],
            &["keep", "1"],
            &["unkeep", "1"],
            &["pause"],
            &["resume"],
            &["reload"],
        ] {
            let answer = world.ctl(arguments);
            assert_eq!(answer.code, Some(4), "{arguments:?}: {answer:#?}");
            assert!(answer.stderr.contains("team-agentd"), "{answer:#?}");
            assert_eq!(answer.stdout, "", "{arguments:?}: {answer:#?}");
        }
    });
}

#[test]
fn an_error_of_the_daemon_has_a_status_of_its_own() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let answer = world.ctl(["explain", "4000000"]);
        assert_eq!(answer.code, Some(5), "{answer:#?}");
        assert!(answer.stderr.contains("4000000"), "{answer:#?}");
    });
}

#[test]
fn the_socket_of_the_environment_is_as_good_as_the_flag() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
        world.confine(&mut command);
        command.args(["--json", "--require-daemon", "scan"]);
        command.env("TEAM_AGENTD_SOCKET", world.socket());
        run_ctl(command).json_with(0);

        // The flag wins.
        let mut command = ctl_command(&world, ["--json", "--require-daemon", "scan"]);
        command.env("TEAM_AGENTD_SOCKET", world.path("nowhere.sock"));
        run_ctl(command).json_with(0);
    });
}

#[test]
fn help_and_version_need_nothing() {
    in_private_pid_namespace(|| {
        let world = World::new();
        assert!(world.ctl(["--help"]).text_with(0).contains("scan"));
        assert!(
            world
                .ctl(["--version"])
                .text_with(0)
                .contains(env!("CARGO_PKG_VERSION"))
        );
    });
}
