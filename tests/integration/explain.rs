//! `explain`: why a process is judged as it is, whichever process it is.

use serde_json::Value;

use crate::support::{World, in_private_pid_namespace, lookalike};

fn explain(world: &World, pid: u32) -> Value {
    let explained = world
        .ctl(["--json", "explain", &pid.to_string()])
        .json_with(0);
    assert_eq!(explained["pid"], pid, "{explained:#}");
    assert!(
        explained["would"]
            .as_str()
            .is_some_and(|would| !would.is_empty()),
        "{explained:#}"
    );
    explained
}

/// Every rule that was tried is named, with what it said.
#[track_caller]
fn assert_rules(explained: &Value) {
    let rules = explained["rules"].as_array().expect("rules");
    assert!(!rules.is_empty(), "{explained:#}");
    for rule in rules {
        assert!(
            rule["rule"].as_str().is_some_and(|name| !name.is_empty()),
            "{explained:#}"
        );
        assert!(!rule["result"].is_null(), "{explained:#}");
        assert!(rule.get("evidence").is_some(), "{explained:#}");
    }
}

#[test]
fn an_orphan_is_explained_by_the_rule_that_made_it_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let explained = explain(&world, orphan.pid);
        assert_eq!(explained["is_coordinator"], true, "{explained:#}");
        assert_eq!(explained["entry"]["pid"], orphan.pid, "{explained:#}");
        assert_eq!(explained["entry"]["verdict"], "orphan", "{explained:#}");
        assert_eq!(
            explained["entry"]["reason"], "workspace_path_missing",
            "{explained:#}"
        );
        assert_rules(&explained);
        let text = world.ctl(["explain", &orphan.pid.to_string()]);
        assert!(
            text.text_with(0).contains("workspace_path_missing"),
            "{text:#?}"
        );
        assert!(orphan.is_alive());
    });
}

#[test]
fn a_healthy_coordinator_is_explained_by_all_the_rules_that_do_not_apply() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let healthy = world.healthy("workspace").real().start();
        let orphan = world.orphan("gone").start();
        let explained = explain(&world, healthy.pid);
        assert_eq!(explained["is_coordinator"], true, "{explained:#}");
        assert_eq!(explained["entry"]["verdict"], "alive", "{explained:#}");
        assert_rules(&explained);
        let tried = |explained: &Value| explained["rules"].as_array().unwrap().len();
        assert!(
            tried(&explained) >= tried(&explain(&world, orphan.pid)),
            "{explained:#}"
        );
    });
}

#[test]
fn most_processes_are_explained_by_not_being_coordinators() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let stranger = lookalike(&world, &["vim", "team_agent/coordinator/__main__.py"]);
        for pid in [1, daemon.pid(), stranger.pid] {
            let explained = explain(&world, pid);
            assert_eq!(explained["is_coordinator"], false, "{explained:#}");
            assert!(
                explained.get("entry").is_none_or(Value::is_null),
                "{explained:#}"
            );
            let text = world.ctl(["explain", &pid.to_string()]);
            assert!(text.text_with(0).contains("not a coordinator"), "{text:#?}");
        }
        assert!(stranger.is_alive());
    });
}

#[test]
fn a_pid_that_nobody_has_cannot_be_explained() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let without = world.ctl(["--json", "--embedded", "explain", "4000000"]);
        assert_eq!(without.code, Some(5), "{without:#?}");
        let _daemon = world.daemon();
        let with = world.ctl(["--json", "explain", "4000000"]);
        assert_eq!(with.code, Some(5), "{with:#?}");
    });
}
