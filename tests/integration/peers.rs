//! Whoever asks for a fix lives on, with everybody above it: also when it has hung up, and when it
//! joins what others asked for. And who was passed over before SIGTERM is no victim of SIGKILL.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Recipe, Settings, StandIn, World, entry_of, in_private_pid_namespace, is_alive, signal,
    wait_until,
};

/// Long enough for a second request to arrive, on a slow machine too.
fn with_time_between_the_signals() -> Settings {
    Settings {
        sigterm_wait: "8s",
        ..Settings::default()
    }
}

/// An orphan that leads a group, and in that group a shell that is not below it any more.
fn orphan_with_a_neighbour(world: &World) -> Recipe {
    world
        .orphan("gone")
        .stubborn()
        .with("ASK", world.socket().display())
        .with("CHILDREN", 1)
        .with("CHILD_FORK", 1)
}

/// Lets a child of that process ask the daemon for a fix of everything and hang up.
fn ask_below(pid: u32) {
    signal(pid, Signal::USR1);
}

#[track_caller]
fn assert_spared_for(event: &Value, why: &str) {
    assert!(event.to_string().contains(why), "{event:#}");
}

#[test]
fn an_orphan_above_a_client_that_has_hung_up_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let other = world.orphan("gone-too").start();
        let orphan = world
            .orphan("gone")
            .with("ASK", world.socket().display())
            .with("CHILDREN", 1)
            .start();
        ask_below(orphan.children[0]);
        let log = world.event_log();
        assert_spared_for(
            &log.wait_for(orphan.pid, "orphan.spared"),
            "protected_ancestor",
        );
        log.wait_for(other.pid, "orphan.killed");
        log.assert_never_signalled(orphan.pid);
        assert!(other.has_exited());
        assert!(orphan.is_alive() && is_alive(orphan.children[0]));
        survivors.assert_alive();
    });
}

#[test]
fn a_member_above_a_client_that_has_hung_up_gets_neither_signal() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = orphan_with_a_neighbour(&world).start();
        let shell = orphan.children[0];
        ask_below(shell);
        let log = world.event_log();
        log.wait_for(orphan.pid, "orphan.killed");
        assert_eq!(log.signals(orphan.pid, "SIGKILL").len(), 1);
        assert!(orphan.has_exited());
        log.assert_never_signalled(shell);
        assert!(is_alive(shell), "the shell from which the fix was asked");
        survivors.assert_alive();
    });
}

#[test]
fn a_client_that_joins_a_fix_under_way_is_not_killed_by_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&with_time_between_the_signals());
        let survivors = world.survivors();
        // The shell is a member like any other, and ignores SIGTERM as shells do.
        let orphan = orphan_with_a_neighbour(&world)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let shell = orphan.children[0];
        let mut first = daemon.connect();
        first.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        ask_below(shell);
        let fix = first.read().expect("a reply")["result"].take();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["sigkill_required"], true, "{killed:#}");
        assert_eq!(
            entry_of(&killed["members"], shell)["signal"],
            "SIGTERM",
            "it was a member before it asked: {killed:#}"
        );
        assert!(orphan.has_exited());
        assert!(is_alive(shell), "{killed:#}");
        survivors.assert_alive();
    });
}

fn command_line(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// An orphan with a child that is a healthy coordinator, until it becomes a shell between the
/// signals.
#[track_caller]
fn assert_its_child_is_left_alone(orphan: impl FnOnce(Recipe) -> Recipe) {
    let world = World::new();
    let daemon = world.daemon_with(&with_time_between_the_signals());
    let survivors = world.survivors();
    let workspace = world.directory("workspace");
    let orphan: StandIn = orphan(
        world
            .orphan("gone")
            .stubborn()
            .with("CHILDREN", 1)
            .with(
                "CHILD_ARGV",
                format!(
                    "team-agent\ncoordinator\n--workspace\n{}",
                    workspace.display()
                ),
            )
            .with("CHILD_EXEC", "bash\n-i"),
    )
    .start();
    let child = orphan.children[0];
    let mut connection = daemon.connect();
    connection.request("fix", &json!({"confirm": true}));
    world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
    signal(child, Signal::USR1);
    wait_until("it has become a shell", || {
        command_line(child) == b"bash\0-i\0"
    });
    let fix = connection.read().expect("a reply")["result"].take();
    let killed = entry_of(&fix["killed"], orphan.pid);
    assert_eq!(killed["sigkill_required"], true, "{killed:#}");
    entry_of(&killed["left_behind"], child);
    assert!(orphan.has_exited());
    assert!(is_alive(child), "{killed:#}");
    world.event_log().assert_never_signalled(child);
    survivors.assert_alive();
}

#[test]
fn a_child_that_was_left_behind_before_sigterm_never_gets_sigkill() {
    in_private_pid_namespace(|| assert_its_child_is_left_alone(|orphan| orphan));
}

#[test]
fn a_neighbour_that_was_left_behind_before_sigterm_never_gets_sigkill() {
    in_private_pid_namespace(|| {
        assert_its_child_is_left_alone(|orphan| orphan.with("CHILD_FORK", 1));
    });
}

#[test]
fn an_empty_list_selects_nobody_and_is_refused() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        for list in ["pids", "workspaces", "workspaces_b64", "reasons"] {
            let mut connection = daemon.connect();
            let code = connection.refusal("fix", &json!({"confirm": true, list: []}));
            assert_eq!(code, -32602, "{list}");
        }
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
        survivors.assert_alive();
    });
}
