//! Attacks on the promise that nobody but an orphan, and who belongs to it, is ever signalled: what
//! the daemon saw is made untrue at the worst moment, again and again.
//!
//! They go through the library rather than the binaries, because what matters lies between two
//! steps of one wave. `benches/attacks.rs` does the same for much longer.

mod changes;
mod ends;
mod exec;
mod ground;
mod moments;
mod orders;
mod plan;
mod races;
mod returns;
mod reuse;
mod world;

use team_agentd::orphan::victims::Scope;

use self::changes::{Moment, Subject, befall};
use self::exec::Becomes;
use self::ground::{Dice, Ground};
use self::reuse::{HEIRS, Place};
use crate::support::{in_private_pid_namespace, skip, we_are_really_root};

/// Each as often as it takes to have come about this often altogether.
fn again_and_again(
    times: usize,
    mut ground: Ground,
    mut attack: impl FnMut(&mut Ground, usize) -> bool,
) {
    if !Ground::pids_can_be_chosen() {
        return skip("a kernel that lets pids be chosen");
    }
    let mut succeeded = 0;
    for number in 0.. {
        succeeded += usize::from(attack(&mut ground, number));
        if succeeded == times {
            break;
        }
        assert!(
            number < 2 * times + 10,
            "{succeeded} of {number} came about"
        );
    }
    ground.assert_survivors_untouched();
}

#[test]
fn whoever_has_the_pid_of_an_orphan_that_is_gone_before_the_wave_is_never_signalled() {
    in_private_pid_namespace(|| {
        again_and_again(600, Ground::new(), |ground, number| {
            reuse::between_scan_and_signal(ground, HEIRS[number % HEIRS.len()])
        });
    });
}

#[test]
fn whoever_gets_the_pid_of_an_orphan_in_the_middle_of_a_wave_is_never_signalled() {
    in_private_pid_namespace(|| {
        let mut dice = Dice(1);
        again_and_again(900, Ground::new(), |ground, number| {
            reuse::at_any_moment(ground, HEIRS[number % HEIRS.len()], &mut dice)
        });
    });
}

#[test]
fn whoever_gets_the_pid_of_an_orphan_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| {
        let ground = Ground::new().scope(Scope::Tree);
        again_and_again(250, ground, |ground, number| {
            reuse::between_sigterm_and_sigkill(ground, HEIRS[number % HEIRS.len()])
        });
    });
}

#[test]
fn whoever_gets_the_pid_of_a_member_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| {
        again_and_again(250, Ground::new(), |ground, number| {
            let place = [Place::Inside, Place::Outside][number % 2];
            reuse::of_a_member(ground, place)
        });
    });
}

#[test]
fn a_number_that_strangers_take_while_the_process_table_is_read_does_not_make_members_of_them() {
    in_private_pid_namespace(|| {
        if !Ground::pids_can_be_chosen() {
            return skip("a kernel that lets pids be chosen");
        }
        let mut ground = Ground::new().scope(Scope::Tree);
        races::a_number_that_is_taken_while_the_table_is_read(&mut ground, &mut Dice(2), 20);
        ground.assert_survivors_untouched();
    });
}

#[test]
fn a_group_that_changes_hands_while_its_members_are_read_is_left_alone() {
    in_private_pid_namespace(|| {
        if !Ground::pids_can_be_chosen() {
            return skip("a kernel that lets pids be chosen");
        }
        let mut ground = Ground::new();
        races::a_group_that_changes_hands_while_its_members_are_read(&mut ground, &mut Dice(3), 10);
        ground.assert_survivors_untouched();
    });
}

#[test]
fn a_parent_that_changes_hands_while_the_process_table_is_read_passes_nothing_on_to_its_child() {
    in_private_pid_namespace(|| {
        if !Ground::pids_can_be_chosen() {
            return skip("a kernel that lets pids be chosen");
        }
        let mut ground = Ground::new().scope(Scope::Tree);
        races::a_parent_that_changes_hands_while_the_table_is_read(&mut ground, &mut Dice(4), 20);
        ground.assert_survivors_untouched();
    });
}

/// Waves on orphans that change at that moment, until so many have changed in time. What becomes
/// of those afterwards is for `afterwards` to say.
fn change_until(
    times: usize,
    moment: Moment,
    subjects: impl Fn(&mut Ground, usize) -> Vec<Subject>,
    afterwards: impl Fn(&Ground, Vec<Subject>, usize),
) {
    let mut ground = Ground::new();
    let mut dice = Dice(5);
    let mut in_time = 0;
    for wave in 0.. {
        if in_time >= times {
            break;
        }
        assert!(wave < times, "{in_time} changed in time in {wave} waves");
        let subjects = subjects(&mut ground, wave);
        let Some(changed) = befall(&mut ground, &mut dice, moment, subjects) else {
            return skip("FUSE mounts");
        };
        in_time += changed.len();
        afterwards(&ground, changed, wave);
    }
    ground.assert_survivors_untouched();
}

/// As many at a time as can change between two signals, or while a wave is held up.
fn exec_until(times: usize, moment: Moment) {
    let at_a_time = match moment {
        Moment::WhileItsCheckGrowsOld => 24,
        _ => 6,
    };
    let subjects = |ground: &mut Ground, _| {
        let all = exec::ALL.into_iter().cycle().take(at_a_time);
        all.map(|becomes| becomes.subject(ground)).collect()
    };
    change_until(times, moment, subjects, |ground, changed, _| {
        let other_orphan = format!("{:?}", Becomes::OtherOrphan);
        for mut subject in changed {
            if subject.name == other_orphan {
                reuse::assert_ended_by_its_own_name(ground, &mut subject.orphan);
                break;
            }
        }
    });
}

#[test]
fn whoever_became_another_program_before_the_wave_gets_no_signal() {
    in_private_pid_namespace(|| exec_until(300, Moment::BeforeTheWave));
}

#[test]
fn whoever_becomes_another_program_while_its_check_grows_old_gets_no_signal() {
    in_private_pid_namespace(|| exec_until(200, Moment::WhileItsCheckGrowsOld));
}

#[test]
fn whoever_becomes_another_program_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| exec_until(300, Moment::AfterSigterm));
}

#[test]
fn whoever_becomes_another_program_at_any_moment_gets_no_signal_by_a_later_check() {
    in_private_pid_namespace(|| exec_until(300, Moment::Any));
}

/// Each way of coming back, once a wave.
fn return_until(times: usize, moment: Moment) {
    let place = |wave: usize, number: usize| format!("place-{wave}-{number}");
    let subjects = |ground: &mut Ground, wave: usize| {
        let all = returns::ALL.into_iter().enumerate();
        all.map(|(number, how)| how.subject(ground, &place(wave, number)))
            .collect()
    };
    change_until(times, moment, subjects, |ground, _, wave| {
        for number in 0..returns::ALL.len() {
            returns::clear(ground, &place(wave, number));
        }
    });
}

#[test]
fn whoever_has_its_workspace_back_before_the_wave_gets_no_signal() {
    in_private_pid_namespace(|| return_until(100, Moment::BeforeTheWave));
}

#[test]
fn whoever_gets_its_workspace_back_while_its_check_grows_old_gets_no_signal() {
    in_private_pid_namespace(|| return_until(50, Moment::WhileItsCheckGrowsOld));
}

#[test]
fn whoever_gets_its_workspace_back_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| return_until(300, Moment::AfterSigterm));
}

#[test]
fn whoever_gets_its_workspace_back_at_any_moment_gets_no_signal_by_a_later_check() {
    in_private_pid_namespace(|| return_until(300, Moment::Any));
}

#[test]
fn in_a_random_world_exactly_those_are_signalled_that_the_contract_names() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        let mut dice = Dice(6);
        for _ in 0..150 {
            world::round(&mut ground, &mut dice, we_are_really_root());
        }
        ground.assert_survivors_untouched();
    });
}

#[test]
fn an_orphan_that_ends_while_it_is_checked_is_gone_and_its_members_end_with_it() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new().scope(Scope::Tree);
        let mut dice = Dice(7);
        for _ in 0..200 {
            ends::about_the_second_check(&mut ground, &mut dice);
        }
        ground.assert_survivors_untouched();
    });
}
