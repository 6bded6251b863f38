//! The breaker, the back-off, and the event log that cannot be written.

use super::*;

fn named(pids: std::ops::Range<Pid>, of: impl Fn(Pid) -> Observation) -> Vec<Observation> {
    pids.map(of).collect()
}

fn both(mut one: Vec<Observation>, other: Vec<Observation>) -> Vec<Observation> {
    one.extend(other);
    one
}

#[test]
fn too_many_at_once_suspend_automatic_reaping_until_it_is_resumed() {
    let mut world = World::new();
    world.scan(named(10..16, alive));
    world.pass(10);
    let turned = both(named(10..14, orphan), named(14..16, alive));
    let trip = world.scan(turned.clone());
    assert_eq!(trip, Some(Trip { turned: 4, of: 6 }));
    world.scans(&turned, 600);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(10), ["suspended"]);
    assert_eq!(world.standing(10).next_action, None);
    assert!(world.policy.resume(world.now).is_something());
    assert_eq!(
        world.due(),
        [10, 11, 12, 13],
        "patience was served meanwhile"
    );
    world.scans(&turned, 10);
    assert_eq!(
        world.policy.steering().suspension,
        None,
        "the window is empty"
    );
}

#[test]
fn three_at_once_are_never_too_many_nor_is_half() {
    let mut world = World::new();
    world.scan(named(10..13, alive));
    assert_eq!(world.scan(named(10..13, orphan)), None, "three of three");
    let mut world = World::new();
    world.scan(named(10..18, alive));
    let half = both(named(10..14, orphan), named(14..18, alive));
    assert_eq!(world.scan(half), None, "four of eight");
}

#[test]
fn only_what_turned_within_the_window_counts() {
    let mut world = World::new();
    world.scan(named(10..16, alive));
    for turned in 1..=5 {
        world.pass(21);
        let last = 10 + turned;
        let seen = both(named(10..last, orphan), named(last..16, alive));
        assert_eq!(world.scan(seen), None, "{turned}");
    }
}

/// The same one, of which not even the arguments could be read.
fn unread(seen: Observation) -> Observation {
    let mut registry = Registry::default();
    let identity = seen.record.identity;
    registry.observe(vec![seen], &healthy().rules, fixtures::clock().wall);
    registry.get(&identity).unwrap().unread("ETIMEDOUT")
}

#[test]
fn orphans_that_could_not_be_read_for_a_while_have_not_turned_again_and_get_all_patience() {
    let mut world = World::new();
    world.rules.breaker_share = 0.1;
    for pid in 10..16 {
        // One after the other: the breaker does not mind.
        world.pass(61);
        world.scan(both(named(10..pid + 1, orphan), named(pid + 1..16, alive)));
    }
    world.scans(&named(10..16, orphan), 60);
    assert_eq!(world.due().len(), 6);
    world.pass(10);
    let trip = world.scan(named(10..16, |pid| unread(orphan(pid))));
    assert_eq!((trip, world.due()), (None, vec![]));
    // What was until the next look that shows them nobody knows.
    world.pass(50);
    assert_eq!(world.scan(named(10..16, orphan)), None);
    world.scans(&named(10..16, orphan), 50);
    assert_eq!(world.due(), NOBODY);
    world.scans(&named(10..16, orphan), 10);
    assert_eq!(world.due().len(), 6);
}

#[test]
fn those_that_were_there_at_the_start_have_not_turned() {
    let mut world = World::at_start();
    assert_eq!(world.scan(named(10..20, orphan)), None);
}

#[test]
fn those_that_were_ended_meanwhile_count_too() {
    let mut world = World::new();
    world.scan(named(10..16, alive));
    for turned in 10..13 {
        world.scan(both(
            named(turned..turned + 1, orphan),
            named(turned + 1..16, alive),
        ));
        world.kill(turned);
        world.pass(1);
    }
    let seen = both(named(13..14, orphan), named(14..16, alive));
    assert_eq!(world.scan(seen), Some(Trip { turned: 4, of: 6 }));
}

#[test]
fn one_that_is_started_again_and_again_turns_once() {
    let mut world = World::new();
    world.scan(named(50..53, alive));
    for pid in 10..20 {
        let again = orphan_at("/home/me/shop", pid);
        assert_eq!(world.scan(both(vec![again], named(50..53, alive))), None);
        world.kill(pid);
        world.pass(2);
    }
}

#[test]
fn orphans_for_reasons_that_are_not_reaped_do_not_count() {
    let mut world = World::new();
    let suite = named(10..20, |pid| {
        without_witness()
            .at(&format!("/tmp/team-agent-test-{pid}"))
            .observed(pid)
    });
    assert_eq!(world.scan(suite), None);
}

#[test]
fn without_automatic_reaping_there_is_nothing_to_suspend() {
    let mut world = World::new();
    world.rules.confirm = false;
    world.scan(named(10..16, alive));
    assert_eq!(world.scan(named(10..16, orphan)), None);
    assert_eq!(world.policy.steering().suspension, None);
}

/// One that was started just now where others were before it.
fn respawned(world: &World, pid: Pid) -> Observation {
    let mut observation = orphan_at("/home/me/shop", pid);
    observation.record.started_at = world.now.wall;
    observation
}

/// Rules that reap at once.
fn eager() -> Rules {
    Rules {
        grace: Duration::ZERO,
        min_sightings: 1,
        ..rules()
    }
}

#[test]
fn what_is_started_again_and_again_is_ended_more_and_more_seldom() {
    let mut world = World::new();
    world.rules = eager();
    let mut waits = Vec::new();
    for pid in 10..24 {
        let again = [respawned(&world, pid)];
        world.scan(again.to_vec());
        let mut waited = 0;
        while world.due().is_empty() {
            assert_eq!(world.holds(pid), ["respawned"]);
            world.pass(10);
            world.scan(again.to_vec());
            waited += 10;
        }
        waits.push(waited);
        let respawn = world.kill(pid);
        assert_eq!(respawn.is_some(), pid >= 12, "{pid}");
        if let Some((workspace, respawn)) = respawn {
            assert_eq!(workspace, PathBuf::from("/home/me/shop"));
            let unit = respawn.starter.and_then(|starter| starter.unit);
            assert_eq!(unit.as_deref(), Some("shop.service"));
        }
        world.pass(1);
    }
    // The kills are a second before: 29 s are left of 30, which three looks show to be over.
    let expected = [
        0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600,
    ];
    assert_eq!(waits, expected);
}

#[test]
fn only_the_workspace_where_it_happens_waits() {
    let mut world = World::new();
    world.rules = eager();
    for pid in 10..13 {
        world.scan(vec![respawned(&world, pid)]);
        world.kill(pid);
    }
    world.scan(vec![respawned(&world, 13), orphan(14)]);
    assert_eq!(world.due(), [14]);
    let (workspace, respawn) = world.policy.respawns().waiting().next().unwrap();
    assert_eq!(workspace, &PathBuf::from("/home/me/shop"));
    assert_eq!(respawn.kills, 3);
}

#[test]
fn three_in_more_than_a_minute_are_no_respawn_and_a_quiet_hour_is_the_end_of_one() {
    let mut world = World::new();
    world.rules = eager();
    for pid in 10..20 {
        world.scan(vec![respawned(&world, pid)]);
        assert_eq!(world.due(), [pid]);
        assert_eq!(world.kill(pid), None);
        world.pass(31);
    }
    for pid in 20..23 {
        world.scan(vec![respawned(&world, pid)]);
        world.kill(pid);
    }
    assert_eq!(world.policy.respawns().waiting().count(), 1);
    world.pass(60 + 3_601);
    world.scan(vec![respawned(&world, 30)]);
    assert_eq!(world.policy.respawns().waiting().count(), 0);
    assert_eq!(world.kill(30), None);
}

#[test]
fn several_on_one_workspace_are_no_respawn() {
    let mut world = World::new();
    world.rules = eager();
    let all: Vec<Observation> = (10..20)
        .map(|pid| orphan_at("/home/me/shop", pid))
        .collect();
    world.scan(all);
    for pid in 10..20 {
        assert_eq!(world.kill(pid), None);
        world.pass(1);
    }
    assert_eq!(world.policy.respawns().waiting().count(), 0);
}

#[test]
fn what_cannot_be_recorded_is_not_done_until_it_can_be_again() {
    let mut world = World::new();
    world.scan(vec![orphan(7), orphan(8)]);
    world.scans(&[orphan(7), orphan(8)], 60);
    world.ended(
        7,
        Outcome::Failed {
            error: Failure::AuditUnavailable,
            detail: None,
            sigkill_attempted: false,
        },
    );
    assert!(world.policy.is_audit_lost());
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(8), ["audit_unavailable"]);
    world.scans(&[orphan(7), orphan(8)], 10);
    assert_eq!(world.due(), NOBODY);
    world.policy.audit_is_back();
    assert_eq!(world.due(), [7, 8], "they have waited long enough");
}
