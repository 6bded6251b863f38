//! `fix`: what it needs, whom it takes, and what it says afterwards.

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Settings, World, delete_workspace, entry_of, in_private_pid_namespace, lookalike, pids, signal,
    sorted_pids, wait_until_made_again,
};

#[test]
fn without_confirm_a_fix_is_refused_and_nothing_happens() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let refusal = json!({
            "ok": false,
            "status": "refused",
            "reason": "fix_requires_confirm",
            "action": "re-run with --confirm",
        });
        assert_eq!(world.ctl(["--json", "fix"]).json_with(3), refusal);
        let pid = orphan.pid.to_string();
        assert_eq!(
            world.ctl(["--json", "fix", "--pid", &pid]).json_with(3),
            refusal
        );
        assert_eq!(world.ctl(["fix"]).code, Some(3));
        assert_eq!(
            world.ctl(["--json", "--embedded", "fix"]).json_with(3),
            refusal
        );
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
    });
}

#[test]
fn an_obedient_orphan_dies_of_sigterm_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(fix["ok"], true, "{fix:#}");
        assert_eq!(fix["dry_run"], false, "{fix:#}");
        assert_eq!(fix["scanned"], 2, "{fix:#}");
        assert_eq!(fix["source"], "daemon", "{fix:#}");
        assert_eq!(pids(&fix["orphans"]), [orphan.pid], "{fix:#}");
        assert_eq!(fix["failed"], json!([]), "{fix:#}");
        assert_eq!(fix["spared"], json!([]), "{fix:#}");
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");

        let killed = &fix["killed"][0];
        assert_eq!(killed["status"], "killed", "{killed:#}");
        assert_eq!(killed["sigkill_required"], false, "{killed:#}");
        // It leads a group, but there is nobody else in it.
        assert_eq!(killed["signaled"], "pid", "{killed:#}");
        assert_eq!(killed["pgid"], orphan.pid, "{killed:#}");
        assert_eq!(killed["reason"], "workspace_path_missing", "{killed:#}");
        assert_eq!(killed["left_behind"], json!([]), "{killed:#}");
        assert!(killed["elapsed_ms"].is_number(), "{killed:#}");

        assert!(orphan.has_exited());
        assert!(world.event_log().signals(orphan.pid, "SIGKILL").is_empty());
        assert_eq!(daemon.scan()["orphans"], json!([]));
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_that_takes_its_time_is_waited_for() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("EXIT_MS", 700).start();
        let fix = daemon.fix();
        assert_eq!(
            entry_of(&fix["killed"], orphan.pid)["sigkill_required"],
            false,
            "{fix:#}"
        );
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_that_ignores_sigterm_dies_of_sigkill() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["status"], "killed", "{killed:#}");
        assert_eq!(killed["sigkill_required"], true, "{killed:#}");
        assert_eq!(fix["ok"], true, "{fix:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_stopped_orphan_is_woken_to_obey() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        signal(orphan.pid, Signal::STOP);
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["sigkill_required"], false, "{killed:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_stopped_orphan_that_ignores_sigterm_dies_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        signal(orphan.pid, Signal::STOP);
        let fix = daemon.fix();
        assert_eq!(
            entry_of(&fix["killed"], orphan.pid)["sigkill_required"],
            true,
            "{fix:#}"
        );
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn with_nothing_to_do_a_fix_is_done() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(fix["ok"], true, "{fix:#}");
        for list in ["orphans", "killed", "failed", "spared"] {
            assert_eq!(fix[list], json!([]), "{fix:#}");
        }
        survivors.assert_alive();
    });
}

#[test]
fn only_the_named_pids_workspaces_and_reasons_are_ended() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphans: Vec<_> = (0..5)
            .map(|number| world.orphan(format!("gone-{number}")).start())
            .collect();
        let replaced = world.healthy("workspace").real().start();
        delete_workspace(&world.path("workspace"));
        wait_until_made_again(&world.path("workspace"));
        let fix = |params: Value| -> Vec<u32> {
            let mut request = params;
            request["confirm"] = json!(true);
            sorted_pids(&daemon.call("fix", &request)["killed"])
        };

        let workspaces = [world.path("gone-0"), world.path("no-such-workspace")];
        assert_eq!(fix(json!({"workspaces": workspaces})), [orphans[0].pid]);
        let mut named = [orphans[1].pid, orphans[2].pid];
        named.sort_unstable();
        assert_eq!(fix(json!({"pids": named})), named);
        assert_eq!(
            fix(json!({"reasons": ["workspace_replaced"]})),
            [replaced.pid]
        );
        // All that is named has to hold.
        let contradiction = json!({"pids": [orphans[3].pid], "workspaces": [world.path("gone-4")]});
        assert_eq!(fix(contradiction), [0; 0]);
        assert!(orphans[3].is_alive() && orphans[4].is_alive());
        assert!(orphans[..3].iter().all(|orphan| orphan.has_exited()));

        let path = world.path("gone-3");
        let path = path.to_str().unwrap();
        let by_path = world
            .ctl(["--json", "fix", "--confirm", "--workspace", path])
            .json_with(0);
        assert_eq!(pids(&by_path["killed"]), [orphans[3].pid], "{by_path:#}");
        assert!(orphans[4].is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn a_workspace_is_found_by_every_path_that_leads_to_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        let healthy = world.healthy("all/shop").start();
        symlink(world.path("all"), world.path("link")).unwrap();
        // Straight to a workspace that will be deleted.
        symlink("all/gone", world.path("current")).unwrap();
        // By its text `other/sub/..` is `other`.
        world.directory("elsewhere/sub");
        world.directory("all/inner");
        symlink(world.path("elsewhere/sub"), world.path("all/inner/link")).unwrap();
        for is_embedded in [false, true] {
            let daemon = (!is_embedded).then(|| world.daemon());
            let orphan = world.orphan("all/gone").start();
            let mut other = world.orphan("all/other").start();
            let ask = |words: &[&str], name: &str| {
                let workspace = world.path(name);
                let embedded: &[&str] = if is_embedded { &["--embedded"] } else { &[] };
                let words = ["--json"].iter().chain(embedded).chain(words);
                let last = ["--workspace", workspace.to_str().unwrap()];
                world.ctl(words.copied().chain(last))
            };
            for name in ["all/shop", "link/shop", "link/../all/./shop"] {
                let scan = ask(&["scan"], name).json_with(0);
                assert_eq!(
                    pids(&scan["coordinators"]),
                    [healthy.pid],
                    "{name}: {scan:#}"
                );
            }
            for name in ["link/gone", "current"] {
                let scan = ask(&["scan"], name).json();
                assert_eq!(pids(&scan["orphans"]), [orphan.pid], "{name}: {scan:#}");
            }
            for name in [
                "all/inner/link/../gone",
                "nowhere/../all/gone",
                "current/../other",
            ] {
                let scan = ask(&["scan"], name).json();
                assert_eq!(pids(&scan["orphans"]), [0; 0], "{name}: {scan:#}");
            }
            let members = json!({"workspaces": [world.path("link/gone")]});
            if let Some(daemon) = &daemon {
                let scan = daemon.call("scan", &json!({"members": members}));
                let chosen = scan["orphans"].as_array().unwrap().iter();
                let chosen: Vec<_> = chosen.filter(|one| one.get("members").is_some()).collect();
                assert_eq!(chosen.len(), 1, "{scan:#}");
                assert_eq!(chosen[0]["pid"], orphan.pid);
            }
            for name in [
                "link/elsewhere",
                "all/inner/link/../gone",
                "nowhere/../all/gone",
            ] {
                let nobody = ask(&["fix", "--confirm"], name).json();
                assert_eq!(pids(&nobody["killed"]), [0; 0], "{nobody:#}");
            }
            let fix = ask(&["fix", "--confirm"], "link/gone").json_with(0);
            assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
            assert!(orphan.has_exited() && other.is_alive());
            if let Some(daemon) = daemon {
                daemon.stop();
            }
            other.kill_and_reap();
        }
        survivors.assert_alive();
    });
}

#[test]
fn a_healthy_coordinator_named_by_its_pid_is_spared_and_the_fix_says_so() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let (healthy, gone) = (survivors.coordinator().to_string(), orphan.pid.to_string());
        let fix = [
            "--json",
            "fix",
            "--confirm",
            "--pid",
            &healthy,
            "--pid",
            &gone,
        ];
        let fix = world.ctl(fix).json_with(1);
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert_eq!(pids(&fix["spared"]), [survivors.coordinator()], "{fix:#}");
        let spared = &fix["spared"][0];
        assert_eq!(spared["status"], "spared", "{spared:#}");
        assert_eq!(spared["verdict"], "alive", "{spared:#}");
        assert_eq!(spared["reason"], "workspace_alive", "{spared:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_process_named_by_its_pid_is_not_killed_for_that() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let gone = world.path("gone");
        let vim = lookalike(
            &world,
            &[
                "vim",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                gone.to_str().unwrap(),
            ],
        );
        let mut daemon = Some(daemon);
        for engine in ["--require-daemon", "--embedded"] {
            if engine == "--embedded" {
                daemon = None;
            }
            let pid = vim.pid.to_string();
            let words = [engine, "--json", "fix", "--confirm", "--pid", &pid];
            let answer = world.ctl(words).json_with(1);
            assert_eq!(answer["killed"], json!([]));
            let spared = entry_of(&answer["spared"], vim.pid);
            assert_eq!(spared["why"], "not_a_coordinator", "{answer:#}");
            assert_eq!(spared["signaled"], json!(null));
            let argv = spared["argv"].as_array().unwrap();
            assert_eq!(argv[0], "vim", "{answer:#}");
            assert!(vim.is_alive());
        }
        drop(daemon);
        world.event_log().assert_never_signalled(vim.pid);
        survivors.assert_alive();
    });
}

#[test]
fn a_pid_that_nobody_has_is_not_killed_and_not_taken_for_a_success() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let mut exited = world.orphan("gone").start();
        signal(exited.pid, Signal::TERM);
        exited.reap();
        for nobody in ["4000000", &exited.pid.to_string()] {
            let answer = world.ctl(["--json", "fix", "--confirm", "--pid", nobody]);
            let answer = answer.json_with(1);
            assert_eq!(answer["spared"][0]["why"], "no_such_process", "{answer:#}");
            assert!(orphan.is_alive());
        }
        survivors.assert_alive();
    });
}

#[test]
fn a_process_that_becomes_another_program_after_sigterm_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let argv = "nginx\n-g\ndaemon off;";
        let orphan = world.orphan("gone").stubborn().with("EXEC", argv).start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        signal(orphan.pid, Signal::USR1);
        let fix = connection.read().expect("a reply")["result"].take();
        assert_eq!(pids(&fix["spared"]), [orphan.pid], "{fix:#}");
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
        assert!(orphan.is_alive());
        assert!(world.event_log().signals(orphan.pid, "SIGKILL").is_empty());
        world.event_log().wait_for(orphan.pid, "orphan.spared");
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_whose_workspace_comes_back_after_sigterm_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        world.directory("gone");
        let fix = connection.read().expect("a reply")["result"].take();
        assert_eq!(pids(&fix["spared"]), [orphan.pid], "{fix:#}");
        assert!(orphan.is_alive());
        assert!(world.event_log().signals(orphan.pid, "SIGKILL").is_empty());
        survivors.assert_alive();
    });
}
