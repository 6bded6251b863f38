//! Workspaces that by their name are a test's own: orphans from the start, but only below temporary
//! roots, and not while the test that made them may still be running.

use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, World, entry_of, in_private_pid_namespace, pids, sorted_pids,
};

const REASON: &str = "ephemeral_tempdir_pattern:team-agent-gap";

/// Only what is below `temporary` in the world is below a temporary root.
fn with_a_root_of_its_own(world: &World, more: &str) -> Settings {
    let root = world.path("temporary");
    Settings::default().with(&format!("[orphan]\nephemeral_roots = [{root:?}]\n{more}"))
}

fn reason(daemon: &Daemon, pid: u32) -> Value {
    entry_of(&daemon.scan()["coordinators"], pid)["reason"].clone()
}

#[test]
fn a_hint_below_a_temporary_root_makes_an_orphan_of_a_coordinator_whose_workspace_exists() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // The world lies in /tmp, which is a temporary root by default.
        let daemon = world.daemon();
        let process = world.healthy("team-agent-gap12").start();
        let scan = daemon.scan();
        let entry = entry_of(&scan["orphans"], process.pid);
        assert_eq!(entry["reason"], REASON, "{entry:#}");
        assert_eq!(entry["verdict"], "orphan", "{entry:#}");
    });
}

#[test]
fn a_hint_counts_anywhere_in_any_component_below_the_root_and_nowhere_else() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&with_a_root_of_its_own(&world, ""));
        for name in [
            "temporary/team-agent-gap",
            "temporary/pytest-team-agent-gap-7/workspace",
            "temporary/a/b/team-agent-gap/c",
        ] {
            let process = world.healthy(name).start();
            assert_eq!(reason(&daemon, process.pid), REASON, "{name}");
        }
        for name in [
            "home/team-agent-gap",
            "home/temporary/team-agent-gap",
            "temporary-not/team-agent-gap",
            "temporary/team-agent/gap",
            "temporary/team-agent",
            "temporary/Team-Agent-Gap",
        ] {
            let process = world.healthy(name).start();
            assert_eq!(reason(&daemon, process.pid), "workspace_alive", "{name}");
        }
    });
}

#[test]
fn a_hint_in_the_name_of_the_root_itself_does_not_count() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let root = world.path("team-agent-gap");
        let roots = format!("[orphan]\nephemeral_roots = [{root:?}]");
        let daemon = world.daemon_with(&Settings::default().with(&roots));
        let process = world.healthy("team-agent-gap/workspace").start();
        assert_eq!(reason(&daemon, process.pid), "workspace_alive");
    });
}

#[test]
fn a_star_among_the_roots_means_anywhere() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let anywhere = Settings::default().with("[orphan]\nephemeral_roots = [\"*\"]");
        let daemon = world.daemon_with(&anywhere);
        let process = world.healthy("home/team-agent-gap").start();
        assert_eq!(reason(&daemon, process.pid), REASON);
    });
}

#[test]
fn the_hints_of_the_configuration_replace_the_built_in_ones() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let hints = with_a_root_of_its_own(&world, "ephemeral_hints = [\"scratch-\"]");
        let daemon = world.daemon_with(&hints);
        let scratch = world.healthy("temporary/scratch-1").start();
        let gap = world.healthy("temporary/team-agent-gap").start();
        assert_eq!(
            reason(&daemon, scratch.pid),
            "ephemeral_tempdir_pattern:scratch-"
        );
        assert_eq!(reason(&daemon, gap.pid), "workspace_alive");
    });
}

#[test]
fn a_young_ephemeral_orphan_is_spared_by_fix_and_by_the_gate() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let young = world.healthy("team-agent-gap").start();
        let missing = world.orphan("gone").start();
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(pids(&fix["killed"]), [missing.pid], "{fix:#}");
        assert_eq!(pids(&fix["spared"]), [young.pid], "{fix:#}");
        assert_eq!(fix["spared"][0]["status"], "spared", "{fix:#}");

        let gate = [
            "--json",
            "doctor",
            "--gate",
            "orphans",
            "--fix",
            "--confirm",
        ];
        let gate = world.ctl(gate).json_with(0);
        assert_eq!(gate["killed"], json!([]), "{gate:#}");
        assert!(young.is_alive());
        world.event_log().assert_never_signalled(young.pid);
        survivors.assert_alive();
    });
}

#[test]
fn a_young_ephemeral_orphan_dies_if_its_pid_or_its_reason_is_named() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let one = world.healthy("team-agent-gap-1").start();
        let two = world.healthy("team-agent-gap-2").start();
        let pid = one.pid.to_string();
        let fix = world
            .ctl(["--json", "fix", "--confirm", "--pid", &pid])
            .json_with(0);
        assert_eq!(pids(&fix["killed"]), [one.pid], "{fix:#}");
        assert!(one.has_exited());
        assert!(two.is_alive());

        let named = [
            "--json",
            "fix",
            "--confirm",
            "--reason",
            "ephemeral_tempdir_pattern",
        ];
        let fix = world.ctl(named).json_with(0);
        assert_eq!(pids(&fix["killed"]), [two.pid], "{fix:#}");
        assert!(two.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn naming_its_workspace_alone_does_not_end_a_young_ephemeral_orphan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let young = world.healthy("team-agent-gap").start();
        let workspace = world.path("team-agent-gap");
        let workspace = workspace.to_str().unwrap();
        let fix = world.ctl(["--json", "fix", "--confirm", "--workspace", workspace]);
        assert_eq!(fix.json()["killed"], json!([]), "{fix:#?}");
        assert!(young.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn an_ephemeral_orphan_older_than_the_minimum_age_dies_like_any_other() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let any_age = Settings::default().with("[orphan]\nephemeral_min_age = \"0s\"");
        let _daemon = world.daemon_with(&any_age);
        let survivors = world.survivors();
        let ephemeral = world.healthy("team-agent-gap").start();
        let missing = world.orphan("gone").start();
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        let mut both = [ephemeral.pid, missing.pid];
        both.sort_unstable();
        assert_eq!(sorted_pids(&fix["killed"]), both, "{fix:#}");
        assert!(ephemeral.has_exited() && missing.has_exited());
        survivors.assert_alive();
    });
}
