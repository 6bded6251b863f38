//! The spellings of the original tool: `doctor --gate orphans` and `doctor --cleanup-orphans`.

use serde_json::json;

use crate::support::{World, in_private_pid_namespace, pids};

const GATE: [&str; 4] = ["--json", "doctor", "--gate", "orphans"];

#[test]
fn the_gate_passes_where_there_are_no_orphans() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let _healthy = world.healthy("workspace").start();
        let gate = world.ctl(GATE).json_with(0);
        assert_eq!(gate["ok"], true, "{gate:#}");
        assert_eq!(gate["gate"], "orphans", "{gate:#}");
        assert_eq!(gate["status"], "passed", "{gate:#}");
        assert_eq!(gate["fix"], false, "{gate:#}");
        assert_eq!(gate["dry_run"], true, "{gate:#}");
        assert_eq!(gate["scanned"], 1, "{gate:#}");
        assert_eq!(gate["orphans"], json!([]), "{gate:#}");
    });
}

#[test]
fn the_gate_fails_on_an_orphan_and_does_nothing_about_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let gate = world.ctl(GATE).json_with(1);
        assert_eq!(gate["ok"], false, "{gate:#}");
        assert_eq!(gate["status"], "failed", "{gate:#}");
        assert_eq!(gate["fix"], false, "{gate:#}");
        assert_eq!(pids(&gate["orphans"]), [orphan.pid], "{gate:#}");
        let action = "re-run with --gate orphans --fix --confirm";
        assert_eq!(gate["action_required"], action, "{gate:#}");
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
    });
}

#[test]
fn the_gate_with_fix_is_refused_without_confirm() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let refusal = world.ctl(GATE.into_iter().chain(["--fix"])).json_with(3);
        assert_eq!(refusal["ok"], false, "{refusal:#}");
        assert_eq!(refusal["gate"], "orphans", "{refusal:#}");
        assert_eq!(refusal["status"], "refused", "{refusal:#}");
        assert_eq!(refusal["reason"], "fix_requires_confirm", "{refusal:#}");
        let action = "re-run with --gate orphans --fix --confirm";
        assert_eq!(refusal["action"], action, "{refusal:#}");
        assert!(orphan.is_alive());
    });
}

#[test]
fn the_gate_with_fix_and_confirm_passes_once_all_orphans_are_gone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let gate = world
            .ctl(GATE.into_iter().chain(["--fix", "--confirm"]))
            .json_with(0);
        assert_eq!(gate["ok"], true, "{gate:#}");
        assert_eq!(gate["gate"], "orphans", "{gate:#}");
        assert_eq!(gate["status"], "passed", "{gate:#}");
        assert_eq!(gate["fix"], true, "{gate:#}");
        assert_eq!(gate["dry_run"], false, "{gate:#}");
        assert_eq!(pids(&gate["killed"]), [orphan.pid], "{gate:#}");
        assert_eq!(gate["failed"], json!([]), "{gate:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn the_gate_says_the_same_over_the_socket() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let gate = daemon.call("gate", &json!({}));
        assert_eq!(
            (&gate["status"], &gate["ok"]),
            (&json!("failed"), &json!(false))
        );
        let gate = daemon.call("gate", &json!({"fix": true}));
        assert_eq!(gate["status"], "refused", "{gate:#}");
        assert!(orphan.is_alive());
        let gate = daemon.call("gate", &json!({"fix": true, "confirm": true}));
        assert_eq!(
            (&gate["status"], &gate["ok"]),
            (&json!("passed"), &json!(true))
        );
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn cleanup_orphans_alone_is_a_dry_run() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let dry = world
            .ctl(["--json", "doctor", "--cleanup-orphans"])
            .json_with(0);
        assert_eq!(dry["ok"], true, "{dry:#}");
        assert_eq!(dry["dry_run"], true, "{dry:#}");
        assert_eq!(pids(&dry["orphans"]), [orphan.pid], "{dry:#}");
        assert_eq!(
            dry["action_required"], "re-run with --confirm to send SIGTERM",
            "{dry:#}"
        );
        assert!(dry.get("gate").is_none(), "{dry:#}");
        assert!(orphan.is_alive());
    });
}

#[test]
fn cleanup_orphans_with_confirm_ends_them() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let done = world
            .ctl(["--json", "doctor", "--cleanup-orphans", "--confirm"])
            .json_with(0);
        assert_eq!(done["ok"], true, "{done:#}");
        assert_eq!(done["dry_run"], false, "{done:#}");
        assert_eq!(pids(&done["killed"]), [orphan.pid], "{done:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}
