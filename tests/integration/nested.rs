//! Orphans within an orphan's group, of which one is spared: then so is what is below it.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Recipe, Settings, StandIn, World, entry_of, in_private_pid_namespace, is_alive, pids, signal,
    sorted_pids,
};

/// So many orphans make a portion of a wave.
const PORTION: usize = 200;

/// An orphan, in its group another one, and below that a worker: the pids of the last two are
/// `children`, in this order.
fn one_in_another(world: &World) -> Recipe {
    let inner = world.path("inner");
    let inner = format!(
        "python3\n-m\nteam_agent.coordinator\n--workspace\n{}",
        inner.display()
    );
    world
        .orphan("outer")
        .with("CHILDREN", 1)
        .with("CHILD_ARGV", inner)
        .with("GRANDCHILDREN", 1)
}

#[test]
fn below_a_nested_orphan_that_comes_back_to_life_between_the_signals_nobody_is_killed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let outer = one_in_another(&world)
            .stubborn()
            .with("CHILD_IGNORE_TERM", 1)
            .with("GRANDCHILD_IGNORE_TERM", 1)
            .start();
        let [inner, worker] = outer.children[..] else {
            panic!("one in another, with a worker: {:?}", outer.children);
        };
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        for pid in [outer.pid, inner] {
            world.event_log().wait_for_signal(pid, "SIGTERM");
        }
        world.directory("inner");
        let fix = connection.read().expect("a reply")["result"].take();
        assert_eq!(pids(&fix["killed"]), [outer.pid], "{fix:#}");
        entry_of(&fix["spared"], inner);
        assert!(outer.has_exited());
        assert!(is_alive(inner), "alive again: {fix:#}");
        assert!(is_alive(worker), "the worker of a live one: {fix:#}");
        assert!(world.event_log().signals(inner, "SIGKILL").is_empty());
        survivors.assert_alive();
    });
}

#[test]
fn below_a_nested_orphan_that_is_spared_as_an_ancestor_of_the_client_nobody_is_signalled() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        // Left to init, so that the outer one is no ancestor of the client's.
        let outer = one_in_another(&world)
            .with("CHILD_FORK", 1)
            .with("ASK", world.socket().display())
            .start();
        let [inner, worker] = outer.children[..] else {
            panic!("one in another, with a worker: {:?}", outer.children);
        };
        signal(inner, Signal::USR1);
        let log = world.event_log();
        let spared = log.wait_for(inner, "orphan.spared");
        assert!(
            spared.to_string().contains("protected_ancestor"),
            "{spared:#}"
        );
        log.wait_for(outer.pid, "orphan.killed");
        assert!(outer.has_exited());
        log.assert_never_signalled(inner);
        assert!(is_alive(inner));
        assert!(is_alive(worker), "below somebody who was spared");
        survivors.assert_alive();
    });
}

#[test]
fn with_scope_tree_a_nested_orphan_takes_what_is_below_it_along() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            scope: "tree",
            ..Settings::default()
        });
        let survivors = world.survivors();
        // The worker is in the group of the inner one, and a descendant of both.
        let outer = one_in_another(&world).with("CHILD_SETSID", 1).start();
        let [inner, worker] = outer.children[..] else {
            panic!("one in another, with a worker: {:?}", outer.children);
        };
        let fix = daemon.fix();
        assert!(outer.has_exited_with_children(), "{fix:#}");
        let mut both = [outer.pid, inner];
        both.sort_unstable();
        assert_eq!(sorted_pids(&fix["killed"]), both, "{fix:#}");
        let killed = entry_of(&fix["killed"], inner);
        assert_eq!(pids(&killed["members"]), [worker], "{fix:#}");
        for pid in both {
            let killed = entry_of(&fix["killed"], pid);
            assert_eq!(killed["left_behind"], json!([]), "{fix:#}");
        }
        survivors.assert_alive();
    });
}

#[test]
fn in_a_wave_of_several_portions_a_nested_orphan_ends_with_the_one_around_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let plain = |numbers: std::ops::Range<usize>| -> Vec<StandIn> {
            let orphans = numbers.map(|number| world.orphan(format!("gone-{number}")).start());
            orphans.collect()
        };
        // In the order of their pids, the inner one is the first of the second portion.
        let mut plain_ones = plain(0..PORTION - 1);
        let outer = one_in_another(&world).start();
        plain_ones.extend(plain(PORTION..PORTION + 20));
        let fix = daemon.fix();
        let [inner, worker] = outer.children[..] else {
            panic!("one in another, with a worker: {:?}", outer.children);
        };
        let mut all: Vec<u32> = plain_ones.iter().map(|orphan| orphan.pid).collect();
        all.extend([outer.pid, inner]);
        all.sort_unstable();
        assert_eq!(all.iter().position(|pid| *pid == inner), Some(PORTION));
        assert_eq!(sorted_pids(&fix["killed"]), all, "{fix:#}");
        let killed = entry_of(&fix["killed"], outer.pid);
        assert_eq!(pids(&killed["members"]), [worker], "{killed:#}");
        for pid in [outer.pid, inner] {
            let killed = entry_of(&fix["killed"], pid);
            assert_eq!(killed["left_behind"], json!([]), "{killed:#}");
        }
        assert!(outer.has_exited_with_children());
        let log = world.event_log();
        for pid in all {
            assert_eq!(log.signals(pid, "SIGTERM").len(), 1, "{pid}");
        }
        survivors.assert_alive();
    });
}
