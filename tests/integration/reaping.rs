//! Automatic reaping: only on request, only after a while, and not when too much goes at once.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, StandIn, World, in_private_pid_namespace, try_entry_of, wait_until,
};

/// Scans all the time and reaps at once, except for what `more` says.
fn eager(more: &str) -> Settings {
    Settings::watchful().with(&format!(
        "[orphan]\nephemeral_min_age = \"0s\"\n\
         [reap]\nconfirm = true\nbreaker_share = 1.0\n{more}"
    ))
}

const AT_ONCE: &str = "grace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"";

/// Waits until the daemon has seen `orphan` so often that it would have reaped it by now, if it
/// were to.
#[track_caller]
fn assert_left_alone(world: &World, daemon: &Daemon, orphan: &StandIn) {
    let sightings = || {
        let status = daemon.call("status", &json!({}));
        let entry = try_entry_of(&status["orphans"], orphan.pid)?;
        entry["sightings"].as_u64()
    };
    wait_until("the orphan is tracked", || sightings().is_some());
    let before = sightings().unwrap();
    wait_until("it has been seen often enough", || {
        sightings().unwrap() >= before + 6
    });
    assert!(orphan.is_alive());
    world.event_log().assert_never_signalled(orphan.pid);
}

#[test]
fn an_orphan_is_reaped_once_automatic_reaping_was_asked_for() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&eager(AT_ONCE));
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        wait_until("the orphan is reaped", || orphan.has_exited());
        let killed = world.event_log().wait_for(orphan.pid, "orphan.killed");
        assert_eq!(killed["reason"], "workspace_path_missing", "{killed:#}");
        let signal = world.event_log().signals(orphan.pid, "SIGTERM").remove(0);
        assert_eq!(signal["actor"], "auto", "{signal:#}");
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_that_makes_its_workspace_again_at_every_tick_is_reaped_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&eager("grace = \"1s\"\nmin_sightings = 3"));
        let survivors = world.survivors();
        let orphan = world.healthy("workspace").real().start();
        crate::support::delete_workspace(&world.path("workspace"));
        wait_until("the orphan is reaped", || orphan.has_exited());
        world.event_log().wait_for(orphan.pid, "orphan.killed");
        survivors.assert_alive();
    });
}

#[test]
fn only_the_reasons_of_the_configuration_are_reaped() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&eager(AT_ONCE));
        let survivors = world.survivors();
        let ephemeral = world.healthy("team-agent-gap").start();
        let missing = world.orphan("gone").start();
        wait_until("the orphan is reaped", || missing.has_exited());
        assert_left_alone(&world, &daemon, &ephemeral);
        survivors.assert_alive();
    });
}

#[test]
fn an_orphan_is_not_reaped_before_its_grace_is_over_or_it_was_seen_often_enough() {
    in_private_pid_namespace(|| {
        for more in [
            "grace = \"1h\"\nmin_sightings = 1\nstart_grace = \"0s\"",
            "grace = \"0s\"\nmin_sightings = 1000000\nstart_grace = \"0s\"",
        ] {
            let world = World::new();
            let daemon = world.daemon_with(&eager(more));
            let orphan = world.orphan("gone").start();
            assert_left_alone(&world, &daemon, &orphan);
        }
    });
}

#[test]
fn orphans_that_were_there_before_the_daemon_have_a_grace_of_their_own() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        let before = world.orphan("gone-before").start();
        let settings = eager("grace = \"0s\"\nmin_sightings = 1\nstart_grace = \"1h\"");
        let daemon = world.daemon_with(&settings);
        let after = world.orphan("gone-after").start();
        wait_until("the later one is reaped", || after.has_exited());
        assert_left_alone(&world, &daemon, &before);
        survivors.assert_alive();
    });
}

#[test]
fn a_pause_holds_automatic_reaping_even_over_a_restart_and_resume_ends_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = eager(AT_ONCE);
        let daemon = world.daemon_with(&settings);
        let survivors = world.survivors();
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        let orphan = world.orphan("gone").start();
        assert_left_alone(&world, &daemon, &orphan);

        assert!(daemon.stop().success());
        let daemon = world.daemon_with(&settings);
        assert_left_alone(&world, &daemon, &orphan);

        assert_eq!(world.ctl(["resume"]).code, Some(0));
        wait_until("the orphan is reaped", || orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_pause_for_a_while_says_until_when() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let paused_until = || daemon.call("status", &json!({}))["policy"]["paused_until"].clone();
        assert_eq!(paused_until(), Value::Null);
        assert_eq!(world.ctl(["pause", "--for", "1h30m"]).code, Some(0));
        assert!(paused_until().is_string(), "{}", paused_until());
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        assert_eq!(paused_until(), Value::Null);
        assert_ne!(world.ctl(["pause", "--for", "a while"]).code, Some(0));
        assert_eq!(paused_until(), Value::Null);
    });
}

#[test]
fn a_pause_does_not_hold_what_somebody_asks_for() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        assert_eq!(world.ctl(["fix", "--confirm"]).code, Some(0));
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn too_many_new_orphans_at_once_suspend_automatic_reaping_until_it_is_resumed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let more = "grace = \"0s\"\nmin_sightings = 8\nstart_grace = \"0s\"";
        let settings = eager(more);
        let settings = Settings {
            more: settings
                .more
                .replace("breaker_share = 1.0", "breaker_share = 0.5"),
            ..settings
        };
        let coordinators: Vec<_> = (0..6)
            .map(|number| {
                world
                    .healthy(format!("volume/{number}"))
                    .real_without_ticks()
                    .start()
            })
            .collect();
        let daemon = world.daemon_with(&settings);
        let survivors = world.survivors();
        fs::remove_dir_all(world.path("volume")).unwrap();
        wait_until("reaping is suspended", || {
            !world.event_log().named("reap.suspended").is_empty()
        });
        let status = daemon.call("status", &json!({}));
        assert!(
            !matches!(
                status["policy"]["suspended"],
                Value::Null | Value::Bool(false)
            ),
            "{status:#}"
        );
        for coordinator in &coordinators {
            assert_left_alone(&world, &daemon, coordinator);
        }

        assert_eq!(world.ctl(["resume"]).code, Some(0));
        wait_until("all of them are reaped", || {
            coordinators.iter().all(StandIn::has_exited)
        });
        assert_eq!(world.event_log().named("reap.suspended").len(), 1);
        assert_eq!(world.event_log().named("reap.resumed").len(), 1);
        survivors.assert_alive();
    });
}
