//! Pid reuse: whoever has the pid of an orphan that is gone was not judged, so nothing may reach it.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use team_agentd::orphan::escalation::Outcome;
use team_agentd::orphan::registry::Sighting;

use super::ground::{
    Dice, Ground, Watched, argv, bystander, bystander_in, coordinator, coordinator_that,
    leading_bystander, wait_until,
};

/// Who gets the pid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heir {
    /// A program like any other, in the test's group.
    Bystander,
    /// A coordinator whose workspace exists.
    Healthy,
    /// The same with the very argv of the orphan: its workspace was made in the meantime.
    Restarted,
    /// A program that leads a group with a child in it.
    Leader,
    /// An orphan with an argv of its own.
    OtherOrphan,
    /// An orphan with the very argv of the first.
    SameOrphan,
}

pub(crate) const HEIRS: [Heir; 6] = [
    Heir::Bystander,
    Heir::Healthy,
    Heir::Restarted,
    Heir::Leader,
    Heir::OtherOrphan,
    Heir::SameOrphan,
];

impl Heir {
    fn is_orphan(self) -> bool {
        matches!(self, Self::OtherOrphan | Self::SameOrphan)
    }

    /// What it is started as, and makes the disk as it has to be for that.
    fn command(self, ground: &Ground) -> Command {
        match self {
            Self::Bystander => bystander(),
            Self::Leader => leading_bystander(),
            Self::Healthy => coordinator(&ground.directory("alive")),
            Self::Restarted => coordinator(&ground.directory("gone")),
            Self::OtherOrphan => coordinator(&ground.path("gone-too")),
            Self::SameOrphan => coordinator(&ground.path("gone")),
        }
    }
}

/// The heir, and the child of one that leads a group.
struct Strangers(Vec<Watched>);

impl Strangers {
    fn take_over(pid: u32, heir: Heir, command: impl FnMut() -> Command) -> Option<Self> {
        let mut strangers = vec![Watched::start_as(pid, command)?];
        if matches!(heir, Heir::Leader) {
            strangers.push(Watched::start(bystander_in(pid)));
        }
        Some(Self(strangers))
    }

    #[track_caller]
    fn assert_untouched(&mut self, heir: Heir) {
        for stranger in &mut self.0 {
            stranger.assert_untouched(&format!("{heir:?}"));
        }
    }
}

/// An orphan that a scan saw.
fn orphan(ground: &Ground) -> (Watched, Sighting) {
    let _ = fs::remove_dir(ground.path("gone"));
    let orphan = Watched::start(coordinator(&ground.path("gone")));
    let sighting = ground.sighting_of(orphan.pid);
    (orphan, sighting)
}

/// The orphan of a scan is gone and `heir` has its pid when the wave comes. Whether that could be
/// brought about.
pub(crate) fn between_scan_and_signal(ground: &mut Ground, heir: Heir) -> bool {
    let (orphan, sighting) = orphan(ground);
    let pid = orphan.kill_and_reap();
    let Some(mut strangers) = Strangers::take_over(pid, heir, || heir.command(ground)) else {
        return false;
    };
    let outcome = ground.end(sighting);
    let let_go = matches!(outcome, Outcome::Missing | Outcome::Spared { .. });
    assert!(let_go, "{heir:?}: {outcome:?}");
    strangers.assert_untouched(heir);
    assert_eq!(ground.recorded(), [], "{heir:?}");
    if heir.is_orphan() {
        assert_ended_by_its_own_name(ground, &mut strangers.0[0]);
    }
    true
}

/// An orphan that has the pid of another one may be ended, but by a scan and a verdict of its own.
pub(crate) fn assert_ended_by_its_own_name(ground: &Ground, orphan: &mut Watched) {
    let sighting = ground.sighting_of(orphan.pid);
    let workspace = sighting.observation.evidence.workspace.clone();
    let outcome = ground.end(sighting);
    let sigkill_required = true;
    assert_eq!(outcome, Outcome::Killed { sigkill_required });
    assert!(!orphan.is_alive());
    let recorded = ground.recorded();
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    for record in &recorded {
        assert_eq!(record.target, u64::from(orphan.pid));
        assert_eq!(record.orphan, u64::from(orphan.pid));
        assert_eq!(
            Some(record.workspace.as_ref()),
            workspace
                .as_deref()
                .map(|path| path.to_str().expect("UTF-8"))
        );
    }
    ground.forget_records();
}

/// The orphan goes and `heir` gets its pid at some moment of the wave. Whether that came about.
pub(crate) fn at_any_moment(ground: &mut Ground, heir: Heir, dice: &mut Dice) -> bool {
    let (orphan, sighting) = orphan(ground);
    let wait = ground.settings.sigterm_wait + Duration::from_millis(10);
    let delay =
        Duration::from_micros(dice.throw(wait.as_micros().try_into().expect("a short one")));
    let command = heir.command(ground);
    let mut command = Some(command);
    let shared = &*ground;
    let (_, strangers) = shared.wave(vec![sighting], move || {
        thread::sleep(delay);
        let pid = orphan.kill_and_reap();
        Strangers::take_over(pid, heir, || {
            command.take().unwrap_or_else(|| heir.command(shared))
        })
    });
    ground.forget_records();
    let Some(mut strangers) = strangers else {
        return false;
    };
    strangers.assert_untouched(heir);
    true
}

/// The orphan and everybody in its group go after SIGTERM, and `heir` gets its pid before the
/// second pass, which comes because a stubborn descendant outside the group is still there.
pub(crate) fn between_sigterm_and_sigkill(ground: &mut Ground, heir: Heir) -> bool {
    const WITH_A_CHILD: &str = "setsid sleep infinity & read line";
    let _ = fs::remove_dir(ground.path("gone"));
    let orphan = Watched::start(coordinator_that(WITH_A_CHILD, &ground.path("gone")));
    wait_until("its child leads a session", || {
        let child = orphan.children().first().copied();
        child.is_some_and(|child| argv(child).starts_with(b"sleep\0"))
    });
    let child = orphan.children()[0];
    let sighting = ground.sighting_of(orphan.pid);
    let pid = orphan.pid;
    let second_pass = Instant::now() + ground.settings.sigterm_wait;
    let shared = &*ground;
    let (ends, strangers) = shared.wave(vec![sighting], move || {
        wait_until("the orphan has SIGTERM", || {
            orphan.has_received(Number::SIGTERM)
        });
        let pid = orphan.kill_and_reap();
        Strangers::take_over(pid, heir, || heir.command(shared))
            .map(|strangers| (strangers, Instant::now() < second_pass))
    });
    assert_eq!(ends[0].members.len(), 1, "{:?}", ends[0]);
    assert_eq!(ends[0].members[0].pid, child);
    assert!(
        matches!(ends[0].outcome, Outcome::Killed { .. }),
        "{heir:?}: {:?}",
        ends[0]
    );
    let Some((mut strangers, in_time)) = strangers else {
        ground.forget_records();
        return false;
    };
    strangers.assert_untouched(heir);
    let kills: Vec<u64> = ground
        .recorded()
        .iter()
        .filter(|record| record.signal == "SIGKILL")
        .map(|record| record.target)
        .collect();
    // Later than that, the record may be the orphan's own, from just before it went.
    assert!(
        !in_time || !kills.contains(&u64::from(pid)),
        "{heir:?}: {kills:?}"
    );
    ground.forget_records();
    if heir.is_orphan() {
        let again = &mut strangers.0[0];
        assert_ended_by_its_own_name(ground, again);
    }
    true
}

/// Where a stranger with a member's pid stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In the orphan's group, where it is nobody's child of it.
    Inside,
    /// Anywhere else.
    Outside,
}

/// A member of the orphan's group goes after SIGTERM, and a stranger gets its pid.
pub(crate) fn of_a_member(ground: &mut Ground, place: Place) -> bool {
    let _ = fs::remove_dir(ground.path("gone"));
    let orphan = Watched::start(coordinator(&ground.path("gone")));
    let member = Watched::start(bystander_in(orphan.pid));
    let sighting = ground.sighting_of(orphan.pid);
    let group = orphan.pid;
    let second_pass = Instant::now() + ground.settings.sigterm_wait;
    let shared = &*ground;
    let (ends, stranger) = shared.wave(vec![sighting], move || {
        wait_until("the member has SIGTERM", || {
            member.has_received(Number::SIGTERM)
        });
        let pid = member.kill_and_reap();
        let stranger = Watched::start_as(pid, || match place {
            Place::Inside => bystander_in(group),
            Place::Outside => bystander(),
        });
        stranger.map(|stranger| (stranger, orphan, Instant::now() < second_pass))
    });
    assert!(
        matches!(ends[0].outcome, Outcome::Killed { .. }),
        "{place:?}: {:?}",
        ends[0]
    );
    let Some((mut stranger, _orphan, in_time)) = stranger else {
        ground.forget_records();
        return false;
    };
    let killed = ground
        .recorded()
        .iter()
        .any(|record| record.target == u64::from(stranger.pid) && record.signal == "SIGKILL");
    ground.forget_records();
    match place {
        // Later than that, the record may be the member's own, from just before it went.
        Place::Outside => assert!(!in_time || !killed, "a stranger's pid is on record"),
        // Who joins the group of an orphan ends with it, if it is written down.
        Place::Inside if killed => return true,
        Place::Inside => {}
    }
    stranger.assert_untouched(&format!("{place:?}"));
    true
}
