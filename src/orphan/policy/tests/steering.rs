//! What the owner says, and what the daemon cannot see.

use super::*;

/// One orphan that is due.
fn with_one_due() -> World {
    let mut world = World::new();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 60);
    assert_eq!(world.due(), [7]);
    world
}

#[test]
fn a_pause_holds_for_as_long_as_was_said() {
    let mut world = with_one_due();
    world.policy.pause(Some(Duration::from_secs(45)), world.now);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(7), ["paused"]);
    let until = world.now.moment.after(Duration::from_secs(45));
    assert_eq!(world.standing(7).next_action, Some(until));
    world.scans(&[orphan(7)], 40);
    assert_eq!(world.due(), NOBODY);
    assert!(!world.policy.forget_past_pause(world.now));
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), [7], "patience went on meanwhile");
    assert!(world.policy.forget_past_pause(world.now));
    assert_eq!(world.policy.steering(), &Steering::default());
}

#[test]
fn a_clock_that_is_set_forward_does_not_end_a_pause() {
    let mut world = with_one_due();
    world.policy.pause(Some(Duration::from_secs(45)), world.now);
    world.now.wall += Duration::from_secs(86_400);
    world.scans(&[orphan(7)], 40);
    assert_eq!(world.due(), NOBODY);
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), [7]);
}

#[test]
fn a_pause_without_an_end_lasts_until_it_is_resumed() {
    for length in [None, Some(Duration::MAX)] {
        let mut world = with_one_due();
        world.policy.pause(length, world.now);
        world.scans(&[orphan(7)], 100_000);
        assert_eq!(world.due(), NOBODY, "{length:?}");
        assert_eq!(world.standing(7).next_action, None);
        assert!(world.policy.resume(world.now).is_something());
        assert_eq!(world.due(), [7]);
        assert!(
            !world.policy.resume(world.now).is_something(),
            "nothing is held any more"
        );
    }
}

#[test]
fn a_shorter_pause_does_not_shorten_a_longer_one() {
    let minutes = |minutes| Some(Duration::from_mins(minutes));
    for (first, second, has_changed, held_for) in [
        (None, minutes(1), false, None),
        (minutes(30), minutes(10), false, minutes(30)),
        (minutes(10), minutes(30), true, minutes(30)),
        (minutes(10), None, true, None),
    ] {
        let mut world = with_one_due();
        assert!(world.policy.pause(first, world.now).1);
        let (pause, changed) = world.policy.pause(second, world.now);
        let until = held_for.map(|length| world.now.wall + length);
        assert_eq!(
            (pause.until, changed),
            (until, has_changed),
            "{first:?} {second:?}"
        );
        assert_eq!(world.policy.steering().pause, Some(pause));
    }
    // One that is over is none.
    let mut world = with_one_due();
    world.policy.pause(minutes(1), world.now);
    world.pass(61);
    let (pause, changed) = world.policy.pause(minutes(2), world.now);
    assert_eq!(pause.until, Some(world.now.wall + Duration::from_mins(2)));
    assert!(changed);
}

#[test]
fn a_resume_says_what_it_lifted() {
    let mut world = with_one_due();
    assert_eq!(world.policy.resume(world.now), Lifted::default());
    world.policy.pause(None, world.now);
    let suspension = Suspension {
        since: world.now.wall,
        why: "5 of 6".to_owned(),
    };
    world.policy.steering.suspension = Some(suspension.clone());
    assert_eq!(
        world.policy.resume(world.now),
        Lifted {
            pause: true,
            suspension: Some(suspension),
        }
    );
    world.policy.pause(Some(Duration::from_secs(1)), world.now);
    world.pass(2);
    assert!(
        !world.policy.resume(world.now).is_something(),
        "it was over by itself"
    );
}

#[test]
fn what_was_said_before_a_restart_still_holds() {
    let mut world = with_one_due();
    world
        .policy
        .pause(Some(Duration::from_secs(900)), world.now);
    let mut kept = world.policy.steering().clone();
    // That clock is another one by then.
    kept.pause.as_mut().unwrap().not_before = None;
    world.policy = Policy::new(kept);
    world.registry = Registry::default();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 890);
    assert_eq!(world.holds(7), ["paused"]);
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), [7]);
}

#[test]
fn what_is_kept_or_protected_is_never_due() {
    let mut world = World::new();
    let all = || {
        vec![
            orphan(7),
            orphan(8),
            orphan_at("/home/me/kept/deep/ws", 9),
            orphan_at("/home/me/kept-not", 10),
            orphan_at("/home/me/protected", 11),
            orphan_at("/home/me/led-to/ws", 12),
        ]
    };
    world.rules.breaker_share = 1.0;
    world.scan(all());
    let identity = fixtures::record(7).identity;
    let keeps = world.policy.keeps_mut();
    keeps.processes.insert(7, identity);
    let led_to = ["/home/me/led-to".into()].into();
    keeps.paths.insert("/home/me/kept".into(), led_to);
    world.scans(&all(), 60);
    assert_eq!(world.due(), [8, 10]);
    assert_eq!(world.holds(7), ["kept"]);
    assert_eq!(world.holds(9), ["kept"]);
    assert_eq!(world.holds(12), ["kept"]);
    assert_eq!(world.holds(11), ["protected"]);
    // Whoever has the pid of a kept process is another one.
    let mut heir = orphan(7);
    heir.record.identity.start += 1;
    world.scan(vec![heir.clone()]);
    world.scans(&[heir], 60);
    assert_eq!(world.due(), [7]);
}

#[test]
fn a_daemon_that_does_not_see_everything_reaps_nothing() {
    let mut world = with_one_due();
    world.policy.set_view_obstructed(true);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(7), ["view_obstructed"]);
    world.policy.set_view_obstructed(false);
    assert_eq!(world.due(), [7]);
}

#[test]
fn grace_that_was_served_counts_under_new_rules() {
    let mut world = World::new();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 30);
    world.rules.grace = Duration::from_secs(40);
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), [7]);
    world.rules.grace = Duration::from_secs(120);
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.standing(7).state.word(), "suspected");
    world.scans(&[orphan(7)], 70);
    assert_eq!(world.due(), [7]);
}
