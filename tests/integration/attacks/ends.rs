//! An orphan that ends by itself in the middle of a check: it is gone, and not another program; and
//! whoever ends with it ends all the same.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use team_agentd::orphan::escalation::Outcome;

use super::ground::{Dice, Ground, Watched, argv, coordinator_that, wait_until};

/// So long before the second check begins and after it the orphan ends at some time.
const AROUND: Duration = Duration::from_millis(4);

/// The orphan ends about when it is checked before SIGKILL. A descendant outside its group, with
/// scope tree, is what the wave goes on for.
pub(crate) fn about_the_second_check(ground: &mut Ground, dice: &mut Dice) {
    let orphan = coordinator_that("setsid sleep infinity & read line", &ground.path("gone"));
    let orphan = Watched::start(orphan);
    wait_until("its child leads a session", || {
        let child = orphan.children().first().copied();
        child.is_some_and(|child| argv(child).starts_with(b"sleep\0"))
    });
    let child = orphan.children()[0];
    let sighting = ground.sighting_of(orphan.pid);
    let span = 2 * u64::try_from(AROUND.as_micros()).expect("a short one");
    let delay = ground.settings.sigterm_wait - AROUND + Duration::from_micros(dice.throw(span));
    let (ends, ()) = ground.wave(vec![sighting], move || {
        wait_until("the orphan has SIGTERM", || {
            orphan.has_received(Number::SIGTERM)
        });
        let end = Instant::now() + delay;
        thread::sleep(end.saturating_duration_since(Instant::now()));
        orphan.kill_and_reap();
    });
    let killed = matches!(ends[0].outcome, Outcome::Killed { .. });
    assert!(killed, "{delay:?}: {:?}", ends[0]);
    let child_is_gone = argv(child).is_empty();
    assert!(child_is_gone, "{delay:?}: its child is left: {:?}", ends[0]);
    ground.forget_records();
}
