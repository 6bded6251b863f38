//! The process table is no snapshot: it is read pid by pid, and while that lasts a group can be
//! emptied and its number given to strangers. A crowd makes it last long enough to be hit.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal as Number;

use super::ground::{
    Dice, Ground, Watched, argv, bystander, bystander_in, coordinator_that, leading_bystander,
    pending, wait_until,
};

/// So many processes lie between an orphan and the last of its relatives.
const CROWD: usize = 1000;

/// A stranger that leads a group by the orphan's number, and one in that group.
struct Squatters(Vec<Watched>);

impl Squatters {
    fn move_in(group: u32, follower: u32) -> Option<Self> {
        let leader = Watched::start_as(group, leading_bystander)?;
        let follower = Watched::start_as(follower, || bystander_in(group))?;
        Some(Self(vec![leader, follower]))
    }

    #[track_caller]
    fn assert_untouched(&mut self) {
        for one in &mut self.0 {
            one.assert_untouched("a squatter in the number of the group");
        }
    }
}

fn crowd() -> Vec<Watched> {
    (0..CROWD).map(|_| Watched::start(bystander())).collect()
}

/// The orphan and its group are gone when the second pass reads the process table (a stubborn
/// descendant outside the group makes that one necessary), and strangers move into the number of
/// the group after the table was read there.
pub(crate) fn a_number_that_is_taken_while_the_table_is_read(
    ground: &mut Ground,
    dice: &mut Dice,
    times: usize,
) {
    let _ = fs::remove_dir(ground.path("gone"));
    let mut behind: Option<(u32, Vec<Watched>)> = None;
    for _ in 0..times {
        // The numbers of the first round, again and again: the crowd stays.
        let start = || coordinator_that("setsid sleep infinity & read line", &ground.path("gone"));
        let orphan = match &behind {
            Some((pid, _)) => Watched::start_as(*pid, start).expect("a free pid"),
            None => Watched::start(start()),
        };
        wait_until("its child leads a session", || {
            let child = orphan.children().first().copied();
            child.is_some_and(|child| argv(child).starts_with(b"sleep\0"))
        });
        let (pid, crowd) = behind.take().unwrap_or_else(|| (orphan.pid, crowd()));
        let last = crowd.iter().map(|one| one.pid).max().expect("a crowd") + 50;
        let sighting = ground.sighting_of(orphan.pid);
        let delay = ground.settings.sigterm_wait + Duration::from_micros(dice.throw(40_000));
        let (_, squatters) = ground.wave(vec![sighting], move || {
            wait_until("the orphan has SIGTERM", || {
                orphan.has_received(Number::SIGTERM)
            });
            let pid = orphan.kill_and_reap();
            thread::sleep(delay);
            Squatters::move_in(pid, last)
        });
        if let Some(mut squatters) = squatters {
            squatters.assert_untouched();
        }
        ground.forget_records();
        behind = Some((pid, crowd));
    }
}

/// The orphan and the one member of its group go while its relatives are read, and strangers take
/// both pids: a leader and its follower, as they were.
pub(crate) fn a_group_that_changes_hands_while_its_members_are_read(
    ground: &mut Ground,
    dice: &mut Dice,
    times: usize,
) {
    let _ = fs::remove_dir(ground.path("gone"));
    for _ in 0..times {
        let script = format!("for n in {{1..{CROWD}}}; do setsid sleep infinity & done; read line");
        let orphan = Watched::start(coordinator_that(&script, &ground.path("gone")));
        wait_until("the crowd is there", || orphan.children().len() == CROWD);
        let last = *orphan.children().iter().max().expect("a crowd") + 50;
        let member = Watched::start_as(last, || bystander_in(orphan.pid)).expect("a free pid");
        let sighting = ground.sighting_of(orphan.pid);
        let children = orphan.children();
        let delay = Duration::from_micros(dice.throw(150_000));
        let (_, squatters) = ground.wave(vec![sighting], move || {
            thread::sleep(delay);
            let last = member.kill_and_reap();
            let pid = orphan.kill_and_reap();
            Squatters::move_in(pid, last)
        });
        if let Some(mut squatters) = squatters {
            squatters.assert_untouched();
        }
        ground.forget_records();
        for child in children {
            let child = nix::unistd::Pid::from_raw(i32::try_from(child).expect("a pid"));
            let _ = nix::sys::signal::kill(child, Number::SIGKILL);
        }
    }
}

/// A descendant outside the group goes while the process table is read for the second pass, and a
/// stranger with a child takes its pid: that child did not become a descendant by it.
pub(crate) fn a_parent_that_changes_hands_while_the_table_is_read(
    ground: &mut Ground,
    dice: &mut Dice,
    times: usize,
) {
    let _ = fs::remove_dir(ground.path("gone"));
    let start = || coordinator_that("setsid sleep infinity & read line", &ground.path("gone"));
    let mut orphan = Watched::start(start());
    let crowd = crowd();
    let last = crowd.iter().map(|one| one.pid).max().expect("a crowd") + 50;
    for _ in 0..times {
        wait_until("its child leads a session", || {
            let child = orphan.children().first().copied();
            child.is_some_and(|child| argv(child).starts_with(b"sleep\0"))
        });
        let child = orphan.children()[0];
        let sighting = ground.sighting_of(orphan.pid);
        let delay = ground.settings.sigterm_wait + Duration::from_micros(dice.throw(40_000));
        let parent = || {
            let mut command = Command::new("bash");
            let script = "echo $1 > /proc/sys/kernel/ns_last_pid; sleep infinity & read line";
            command.args(["-c", script, "bash", &(last - 1).to_string()]);
            command
        };
        let asked = &orphan;
        let (_, family) = ground.wave(vec![sighting], move || {
            wait_until("the orphan has SIGTERM", || {
                asked.has_received(Number::SIGTERM)
            });
            thread::sleep(delay);
            let raw = nix::unistd::Pid::from_raw(i32::try_from(child).expect("a pid"));
            // Its parent, a shell, waits for it at once.
            let _ = nix::sys::signal::kill(raw, Number::SIGKILL);
            wait_until("the child is reaped", || {
                !fs::exists(format!("/proc/{child}")).expect("an answer")
            });
            let parent = Watched::start_as(child, parent)?;
            wait_until("it has its child", || {
                let child = parent.children().first().copied();
                child.is_some_and(|child| argv(child).starts_with(b"sleep\0"))
            });
            Some((parent.children()[0], parent))
        });
        if let Some((pid, mut parent)) = family {
            parent.assert_untouched("the new parent");
            assert!(
                exists(pid) && pending(pid).is_empty(),
                "its child was signalled"
            );
            let raw = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
            let _ = nix::sys::signal::kill(raw, Number::SIGKILL);
        }
        ground.forget_records();
        orphan = Watched::start(start());
    }
}

/// Whether it runs: a zombie does not.
fn exists(pid: u32) -> bool {
    !argv(pid).is_empty()
}
