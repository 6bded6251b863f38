//! Who dies with an orphan: its own group if it leads one, and never somebody else's.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{
    Settings, World, entry_of, has_exited, in_private_pid_namespace, is_alive, pids, sorted_pids,
    wait_until,
};

fn with_scope(scope: &'static str) -> Settings {
    Settings {
        scope,
        ..Settings::default()
    }
}

/// Whoever was seen and not signalled is named, with a reason.
#[track_caller]
fn assert_left_behind(killed: &Value, expected: &[u32]) {
    for pid in expected {
        let one = entry_of(&killed["left_behind"], *pid);
        assert!(
            !one["why"].as_str().unwrap_or_default().is_empty(),
            "{killed:#}"
        );
        assert!(!one["cmdline"].is_null(), "{killed:#}");
    }
}

#[test]
fn a_member_that_ignores_sigterm_is_killed_even_after_its_leader_obeyed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .with("CHILDREN", 2)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        for child in &orphan.children {
            assert_eq!(
                entry_of(&killed["members"], *child)["signal"],
                "SIGKILL",
                "{killed:#}"
            );
        }
        assert!(orphan.has_exited_with_children());
        survivors.assert_alive();
    });
}

#[test]
fn a_child_that_was_started_after_sigterm_dies_with_the_others() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .stubborn()
            .with("CHILD_ON_TERM", 1)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        wait_until("the late child is up", || orphan.late_child().is_some());
        let late = orphan.late_child().unwrap();
        let fix = connection.read().expect("a reply")["result"].take();
        entry_of(&fix["killed"], orphan.pid);
        assert!(orphan.has_exited());
        assert!(has_exited(late));
        survivors.assert_alive();
    });
}

#[test]
fn descendants_outside_its_group_are_left_behind_and_named() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .with("CHILDREN", 2)
            .with("CHILD_SETSID", 1)
            .start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["signaled"], "pid", "{killed:#}");
        assert_left_behind(killed, &orphan.children);
        assert!(orphan.has_exited());
        assert!(orphan.children.iter().all(|pid| is_alive(*pid)));
        survivors.assert_alive();
    });
}

#[test]
fn in_a_group_that_it_does_not_lead_an_orphan_dies_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        // One of the survivors is in this group: the test's own.
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .with("SETSID", 0)
            .with("CHILDREN", 2)
            .start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["signaled"], "pid", "{killed:#}");
        assert_ne!(killed["pgid"], orphan.pid, "{killed:#}");
        assert_left_behind(killed, &orphan.children);
        assert!(orphan.has_exited());
        assert!(orphan.children.iter().all(|pid| is_alive(*pid)));
        survivors.assert_alive();
    });
}

#[test]
fn with_scope_process_it_dies_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&with_scope("process"));
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 2).start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["signaled"], "pid", "{killed:#}");
        assert_left_behind(killed, &orphan.children);
        assert!(orphan.has_exited());
        assert!(orphan.children.iter().all(|pid| is_alive(*pid)));
        survivors.assert_alive();
    });
}

#[test]
fn with_scope_tree_descendants_outside_its_group_die_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&with_scope("tree"));
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .with("CHILDREN", 2)
            .with("CHILD_SETSID", 1)
            .with("GRANDCHILDREN", 1)
            .start();
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["signaled"], "tree", "{killed:#}");
        assert_eq!(killed["left_behind"], json!([]), "{killed:#}");
        assert!(orphan.has_exited_with_children());
        survivors.assert_alive();
    });
}

/// An orphan with one child, as `child`, in its own group, and one grandchild: neither may die.
#[track_caller]
fn assert_outlives_its_orphan(child: impl Fn(&World) -> String, scope: &'static str) {
    let world = World::new();
    let daemon = world.daemon_with(&with_scope(scope));
    let survivors = world.survivors();
    let orphan = world
        .orphan("gone")
        .with("CHILDREN", 1)
        .with("GRANDCHILDREN", 1)
        .with("CHILD_ARGV", child(&world))
        .start();
    let fix = daemon.fix();
    let killed = entry_of(&fix["killed"], orphan.pid);
    assert_left_behind(killed, &orphan.children);
    assert!(orphan.has_exited());
    assert!(orphan.children.iter().all(|pid| is_alive(*pid)));
    survivors.assert_alive();
}

#[test]
fn a_healthy_coordinator_and_what_is_below_it_outlive_the_orphan_whose_group_they_are_in() {
    in_private_pid_namespace(|| {
        for scope in ["group", "tree"] {
            assert_outlives_its_orphan(
                |world| {
                    let workspace = world.directory("workspace");
                    format!(
                        "team-agent\ncoordinator\n--workspace\n{}",
                        workspace.display()
                    )
                },
                scope,
            );
        }
    });
}

#[test]
fn a_terminal_multiplexer_and_what_is_below_it_outlive_the_orphan_whose_group_they_are_in() {
    in_private_pid_namespace(|| {
        for scope in ["group", "tree"] {
            assert_outlives_its_orphan(|_| "tmux: server".to_owned(), scope);
        }
    });
}

#[test]
fn an_orphan_above_the_client_that_asks_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let other = world.orphan("gone").start();
        // A shell that is a coordinator by its argv, and runs the client.
        let mut shell = Command::new("bash");
        world.confine(&mut shell);
        let shell = std::os::unix::process::CommandExt::arg0(&mut shell, "team-agent-coordinator")
            .args([
                "-c",
                r#""$CTL" --socket "$SOCKET" --json fix --confirm; exit $?"#,
            ])
            .arg("--workspace")
            .arg(world.path("gone"))
            .env("CTL", env!("CARGO_BIN_EXE_team-agentctl"))
            .env("SOCKET", world.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = shell.id();
        let output = shell.wait_with_output().unwrap();
        assert!(
            output.status.code().is_some(),
            "the shell was killed: {}",
            output.status
        );
        let fix: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(pids(&fix["killed"]), [other.pid], "{fix:#}");
        let spared = entry_of(&fix["spared"], pid);
        assert!(
            spared.to_string().contains("protected_ancestor"),
            "{spared:#}"
        );
        world.event_log().assert_never_signalled(pid);
        survivors.assert_alive();
    });
}

/// Pid and, of those left behind, why.
fn company(entry: &Value) -> (Vec<u32>, Vec<(u32, Value)>) {
    let left = entry["left_behind"].as_array().expect("it is known");
    let left = left.iter().map(|one| {
        let pid = one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        (pid.expect("a pid"), one["why"].clone())
    });
    (sorted_pids(&entry["members"]), left.collect())
}

#[test]
fn a_scan_with_members_says_beforehand_whom_a_fix_ends_and_whom_it_leaves() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 2).start();
        let leaver = world
            .orphan("gone-too")
            .with("CHILDREN", 1)
            .with("CHILD_SETSID", 1)
            .start();
        let kept = world.orphan("kept").with("CHILDREN", 1).start();
        daemon.call("keep", &json!({"pid": kept.pid}));

        let plain = daemon.scan();
        for entry in plain["orphans"].as_array().unwrap() {
            assert!(entry.get("members").is_none(), "{entry:#}");
        }
        let scan = daemon.call("scan", &json!({"members": true}));
        let embedded = world.ctl(["--json", "--embedded", "scan", "--members"]);
        let embedded = embedded.json_with(0);
        for scan in [&scan, &embedded] {
            for list in ["orphans", "coordinators"] {
                let one = entry_of(&scan[list], orphan.pid);
                assert_eq!(one["would_spare"], json!(null), "{one:#}");
                let cmdline = &entry_of(&one["members"], orphan.children[0])["cmdline"];
                let cmdline = cmdline.as_str().unwrap_or_default();
                assert!(cmdline.contains("team_agent.worker"), "{one:#}");
            }
            let spared = entry_of(&scan["orphans"], kept.pid);
            assert_eq!(spared["would_spare"], "kept", "{spared:#}");
            assert_eq!(spared["members"], json!([]), "{spared:#}");
            // A coordinator that is no orphan takes nobody along.
            let alive = scan["coordinators"].as_array().unwrap();
            for one in alive.iter().filter(|one| one["is_orphan"] == false) {
                assert!(one.get("members").is_none(), "{one:#}");
            }
        }
        let piped = world.ctl(["scan", "--members"]);
        let child = format!("      member PID {} cmdline=", orphan.children[0]);
        let left = format!("      left PID {} why=out_of_scope", leaver.children[0]);
        for line in [child, left, "      spared why=kept".to_owned()] {
            assert!(piped.text_with(0).contains(&line), "{line}: {piped:#?}");
        }
        for one in [orphan.pid, leaver.pid, kept.pid] {
            world.event_log().assert_never_signalled(one);
        }

        let fix = daemon.fix();
        for one in [&orphan, &leaver] {
            let before = company(entry_of(&scan["orphans"], one.pid));
            let killed = entry_of(&fix["killed"], one.pid);
            assert_eq!(before, company(killed), "{killed:#}");
        }
        assert!(orphan.has_exited_with_children());
        assert!(is_alive(leaver.children[0]));
        assert!(kept.is_alive());
        survivors.assert_alive();
    });
}
