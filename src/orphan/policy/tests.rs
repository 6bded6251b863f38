//! What the policy does with whole scans: patience, brakes, and what its owner says.

mod brakes;
mod steering;
mod walk;

use super::hold::Hold;
use super::*;
use crate::orphan::ephemeral::{EphemeralRoots, EphemeralRules};
use crate::orphan::fixtures::{self, Case, Seen, healthy, missing, rules, without_witness};
use crate::orphan::registry::Observation;
use crate::orphan::termination::{Reach, Starter};

const NOBODY: [Pid; 0] = [];

fn orphan(pid: Pid) -> Observation {
    orphan_at(&format!("/home/me/ws{pid}"), pid)
}

fn orphan_at(path: &str, pid: Pid) -> Observation {
    gone().at(path).observed(pid)
}

fn gone() -> Case {
    without_witness().log(Seen::Deleted).path(missing())
}

fn alive(pid: Pid) -> Observation {
    let path = format!("/home/me/ws{pid}");
    without_witness().at(&path).observed(pid)
}

fn ephemeral(pid: Pid) -> Observation {
    without_witness().at("/tmp/team-agent-test-1").observed(pid)
}

/// A policy with its registry, and the time.
struct World {
    rules: Rules,
    registry: Registry,
    policy: Policy,
    now: Now,
}

impl World {
    /// After a first scan of nothing.
    fn new() -> Self {
        let mut world = Self::at_start();
        world.scan(vec![]);
        world
    }

    fn at_start() -> Self {
        Self {
            rules: rules(),
            registry: Registry::default(),
            policy: Policy::default(),
            now: fixtures::clock(),
        }
    }

    fn pass(&mut self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.now.wall += time;
        self.now.moment = self.now.moment.after(time);
    }

    fn scan(&mut self, seen: Vec<Observation>) -> Option<Trip> {
        let ephemeral = EphemeralRules {
            hints: vec!["team-agent-test-".into()],
            roots: EphemeralRoots::Below(vec!["/tmp".into()]),
        };
        self.registry.observe(seen, &ephemeral, self.now.wall);
        self.policy
            .looked(&self.registry, &self.rules, self.now.moment, self.now)
    }

    /// The same scan every ten seconds, for this long; who is due after each is not asked.
    fn scans(&mut self, seen: &[Observation], seconds: u64) {
        for _ in 0..seconds / 10 {
            self.pass(10);
            self.scan(seen.to_vec());
        }
    }

    fn due(&self) -> Vec<Pid> {
        self.policy
            .due(&self.registry, &self.rules, self.now)
            .into_iter()
            .map(|identity| identity.pid)
            .collect()
    }

    fn standing(&self, pid: Pid) -> Standing {
        let sighting = self.registry.by_pid(pid).expect("it is listed");
        self.policy.standing(sighting, &self.rules, self.now)
    }

    fn holds(&self, pid: Pid) -> Vec<&'static str> {
        let standing = self.standing(pid);
        standing.holds.iter().map(Hold::word).collect()
    }

    fn ended(&mut self, pid: Pid, outcome: Outcome) -> Option<(PathBuf, Respawn)> {
        let sighting = self.registry.by_pid(pid).expect("it is listed").clone();
        let identity = sighting.identity();
        self.policy
            .began(&identity, Actor::Auto, &self.rules, self.now);
        if matches!(outcome, Outcome::Killed { .. } | Outcome::Missing) {
            self.registry.forget(&identity);
        }
        let termination = Termination {
            sighting,
            outcome,
            reach: Some(Reach::Process),
            members: Vec::new(),
            left_behind: Vec::new(),
            elapsed: Duration::ZERO,
            unrecorded: false,
            actor: Actor::Auto,
            starter: Some(Starter {
                pid: 1,
                cmdline: "systemd --user".to_owned(),
                unit: Some("shop.service".to_owned()),
            }),
        };
        self.policy.ended(&termination, &self.rules, self.now)
    }

    fn kill(&mut self, pid: Pid) -> Option<(PathBuf, Respawn)> {
        self.ended(
            pid,
            Outcome::Killed {
                sigkill_required: false,
            },
        )
    }
}

#[test]
fn an_orphan_is_due_after_its_grace_and_not_a_scan_before() {
    let mut world = World::new();
    world.scan(vec![orphan(7), alive(8)]);
    world.scans(&[orphan(7), alive(8)], 50);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(7), ["grace"]);
    let standing = world.standing(7);
    assert_eq!(standing.state.word(), "suspected");
    let next = standing.next_action.unwrap();
    assert_eq!(next, world.now.moment.after(Duration::from_secs(10)));
    world.scans(&[orphan(7), alive(8)], 10);
    assert_eq!(world.due(), [7]);
    assert_eq!(world.standing(7).state.word(), "confirmed");
    assert_eq!(world.standing(7).next_action, Some(world.now.moment));
    assert_eq!(world.standing(8).state, State::Seen);
    assert_eq!(world.standing(8).next_action, None);
}

#[test]
fn nothing_is_due_unless_it_was_asked_for() {
    let mut world = World::new();
    world.rules.confirm = false;
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 100);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(7), ["reap_not_confirmed"]);
    assert_eq!(world.standing(7).next_action, None);
    // What it has served is served, when its owner changes their mind.
    world.rules.confirm = true;
    assert_eq!(world.due(), [7]);
}

#[test]
fn a_reason_counts_only_if_it_is_listed() {
    let mut world = World::new();
    let trashed = || healthy().cwd(Seen::Trashed).log(Seen::Trashed);
    let all = || vec![ephemeral(7), trashed().observed(8), orphan(9)];
    world.scan(all());
    world.scans(&all(), 100);
    assert_eq!(world.due(), [9]);
    assert_eq!(world.holds(7), ["reason_not_listed"]);
    assert_eq!(world.holds(8), ["reason_not_listed"]);
    world.rules.reasons.push("ephemeral_tempdir_pattern".into());
    assert_eq!(world.due(), [7, 9]);
}

#[test]
fn a_listed_ephemeral_one_waits_until_its_process_is_old_enough() {
    let mut world = World::new();
    world.rules.reasons = vec!["ephemeral_tempdir_pattern".into()];
    let mut young = ephemeral(7);
    young.record.started_at = world.now.wall - Duration::from_secs(400);
    world.scan(vec![young.clone()]);
    world.scans(std::slice::from_ref(&young), 190);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.holds(7), ["younger_than_ephemeral_min_age"]);
    world.scans(&[young], 10);
    assert_eq!(world.due(), [7]);
}

#[test]
fn the_patience_of_a_pid_is_not_inherited_by_who_gets_it_next() {
    let mut world = World::new();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 100);
    assert_eq!(world.due(), [7]);
    let mut heir = orphan(7);
    heir.record.identity.unique = 99;
    world.scan(vec![heir]);
    assert_eq!(world.due(), NOBODY);
    // Nor by another program in the same process.
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 100);
    assert_eq!(world.due(), [7]);
    world.scan(vec![orphan_at("/home/me/other", 7)]);
    assert_eq!(world.due(), NOBODY);
    assert_eq!(world.standing(7).state.word(), "suspected");
}

#[test]
fn orphans_that_were_there_at_the_start_wait_longer() {
    let mut world = World::at_start();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7), orphan(8)], 70);
    assert_eq!(world.due(), [8]);
    world.scans(&[orphan(7)], 520);
    assert_eq!(world.due(), NOBODY);
    world.scans(&[orphan(7)], 10);
    assert_eq!(world.due(), [7]);
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    for step in [86_400_i64, -86_400] {
        let mut world = World::new();
        world.scan(vec![orphan(7)]);
        world.scans(&[orphan(7)], 30);
        let by = Duration::from_secs(step.unsigned_abs());
        world.now.wall = if step > 0 {
            world.now.wall + by
        } else {
            world.now.wall - by
        };
        world.scans(&[orphan(7)], 20);
        assert_eq!(world.due(), NOBODY, "{step}");
        world.scans(&[orphan(7)], 10);
        assert_eq!(world.due(), [7], "{step}");
    }
}

#[test]
fn after_a_suspend_or_a_stall_all_patience_begins_again() {
    for slept in [true, false] {
        let mut world = World::new();
        world.scan(vec![orphan(7)]);
        world.scans(&[orphan(7)], 50);
        if slept {
            world.now.asleep += Duration::from_secs(3_600);
            world.now.wall += Duration::from_secs(3_600);
        } else {
            world.pass(61);
        }
        world.scan(vec![orphan(7)]);
        world.scans(&[orphan(7)], 50);
        assert_eq!(world.due(), NOBODY, "{slept}");
        assert_eq!(world.holds(7), ["grace"]);
        world.scans(&[orphan(7)], 10);
        assert_eq!(world.due(), [7], "{slept}");
    }
}

#[test]
fn the_longest_waiting_are_due_first_and_never_more_than_so_many() {
    let mut world = World::new();
    world.rules.max_per_scan = 2;
    world.rules.breaker_share = 1.0;
    world.scan(vec![orphan(9)]);
    world.scans(&[orphan(8), orphan(9)], 10);
    let all: Vec<Observation> = (5..10).map(orphan).collect();
    world.scans(&all, 100);
    assert_eq!(world.due(), [9, 8]);
    world.kill(9);
    world.kill(8);
    // However often somebody asks for a scan meanwhile.
    world.scan((5..8).map(orphan).collect());
    assert_eq!(world.due(), NOBODY);
    world.pass(10);
    world.scan((5..8).map(orphan).collect());
    assert_eq!(world.due(), [5, 6]);
}

#[test]
fn what_has_ended_is_remembered_and_not_for_ever() {
    let mut world = World::new();
    world.rules.breaker_share = 1.0;
    for pid in 10..110 {
        world.scan(vec![orphan(pid)]);
        world.kill(pid);
    }
    let history: Vec<&Past> = world.policy.history().collect();
    assert_eq!(history.len(), HISTORY);
    assert_eq!(history[HISTORY - 1].pid, 109);
    assert_eq!(history[HISTORY - 1].state, "gone");
    assert_eq!(history[0].pid, 110 - Pid::try_from(HISTORY).unwrap());
}

#[test]
fn a_process_that_survived_sigkill_is_not_due_again() {
    let mut world = World::new();
    world.scan(vec![orphan(7)]);
    world.scans(&[orphan(7)], 60);
    world.ended(
        7,
        Outcome::Failed {
            error: Failure::AliveAfterSigkill,
            detail: None,
            sigkill_attempted: true,
        },
    );
    world.scans(&[orphan(7)], 7_200);
    assert_eq!(world.due(), NOBODY);
    assert!(world.holds(7).contains(&"alive_after_sigkill"));
    assert_eq!(world.standing(7).state.word(), "failed");
    assert_eq!(world.standing(7).next_action, None);
}
