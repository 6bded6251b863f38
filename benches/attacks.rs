//! The attacks of `tests/integration/attacks.rs`, for as long as one likes:
//!
//! ```text
//! $ cargo bench --bench attacks                            # all of them, at full length
//! $ cargo bench --bench attacks -- reuse 100000            # pid reuse, so many times
//! $ cargo bench --bench attacks -- world 10000 --seed 7    # random worlds, drawn from this seed
//! $ cargo bench --bench attacks -- --workers 4             # by so many at the same time
//! ```
//!
//! Most of an attack is waiting for a wave, so several workers attack at the same time, each in a
//! process table of its own. Progress goes to stderr, the table at the end to stdout. Ends at once,
//! and with a failure, if anybody was signalled who must not be.
#![allow(
    missing_docs,
    reason = "a program: nobody reads its items from outside"
)]
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        reason = "a failed attack panics, and the result is to be read"
    )
)]

#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/ground.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod ground;
#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/plan.rs"]
mod plan;
#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/reuse.rs"]
mod reuse;
#[cfg(target_os = "linux")]
#[path = "attacks/workers.rs"]
mod workers;
#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/world.rs"]
mod world;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(share) = workers::share_of_a_worker(&arguments) {
        attack(&share);
        return std::process::ExitCode::SUCCESS;
    }
    match workers::Campaign::from_arguments(&arguments) {
        Ok(campaign) => campaign.run(),
        Err(error) => {
            eprintln!("{error}\nusage: [reuse [TIMES]] [world [ROUNDS]] [--workers N] [--seed N]");
            std::process::ExitCode::from(2)
        }
    }
}

/// What one worker does, inside.
#[cfg(target_os = "linux")]
fn attack(share: &workers::Share) {
    use self::workers::Attack;

    let init = std::fs::read("/proc/1/cmdline").expect("pid 1");
    assert!(
        init.starts_with(b"bash\0-c\0"),
        "not in a private namespace"
    );
    match share.attack {
        Attack::Reuse => reuse_pids(share),
        Attack::World => draw_worlds(share),
    }
}

#[cfg(target_os = "linux")]
fn reuse_pids(share: &workers::Share) {
    use team_agentd::orphan::victims::Scope;

    use self::ground::{Dice, Ground};
    use self::reuse::{HEIRS, Place};

    if !Ground::pids_can_be_chosen() {
        eprintln!("SKIPPED: this kernel does not let pids be chosen");
        return;
    }
    let mut ground = Ground::new().scope(Scope::Tree);
    let mut dice = Dice(share.seed);
    let mut came_about = 0;
    for number in 0.. {
        if came_about == share.times {
            break;
        }
        assert!(
            number < 2 * share.times + 100,
            "{came_about} of {number} came about"
        );
        let heir = HEIRS[number / 4 % HEIRS.len()];
        let place = [Place::Inside, Place::Outside][number / 4 % 2];
        came_about += usize::from(match number % 4 {
            0 => reuse::between_scan_and_signal(&mut ground, heir),
            1 => reuse::at_any_moment(&mut ground, heir, &mut dice),
            2 => reuse::between_sigterm_and_sigkill(&mut ground, heir),
            _ => reuse::of_a_member(&mut ground, place),
        });
        workers::report(came_about, number + 1);
    }
    ground.assert_survivors_untouched();
}

#[cfg(target_os = "linux")]
fn draw_worlds(share: &workers::Share) {
    use self::ground::{Dice, Ground};

    let map = std::fs::read_to_string("/proc/self/uid_map").expect("the uids");
    let every_uid = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let mut ground = Ground::new();
    let mut dice = Dice(share.seed);
    for number in 1..=share.times {
        world::round(&mut ground, &mut dice, every_uid);
        workers::report(number, number);
    }
    ground.assert_survivors_untouched();
}
