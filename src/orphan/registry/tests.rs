//! Coordinators over several scans, and what is said to have changed.

use std::time::Duration;

use super::*;
use crate::orphan::coordinator::WorkspaceArgument;
use crate::orphan::evidence::PidFile;
use crate::orphan::fixtures::*;

const GONE: &str = "workspace_path_missing";
const NEW: &str = "workspace_replaced";

fn at(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

/// A registry that is shown one scan after the other, a second apart.
#[derive(Default)]
struct World {
    registry: Registry,
    scans: u64,
}

impl World {
    /// What one scan changes, in words.
    fn scan(&mut self, seen: Vec<Observation>) -> Vec<String> {
        let rules = healthy().rules;
        let changes = self.registry.observe(seen, &rules, at(self.scans));
        self.scans += 1;
        changes.into_iter().map(described).collect()
    }

    fn only(&self) -> &Sighting {
        let all: Vec<&Sighting> = self.registry.coordinators().collect();
        assert_eq!(all.len(), 1);
        all[0]
    }
}

fn described(change: Transition) -> String {
    match change {
        Transition::Detected(sighting) => {
            format!("{} detected {}", pid(&sighting), sighting.verdict.reason())
        }
        Transition::Cleared {
            sighting,
            was,
            cause,
        } => {
            let now = sighting.verdict.reason();
            format!("{} cleared {was} {cause:?} {now}", pid(&sighting))
        }
    }
}

fn pid(sighting: &Sighting) -> Pid {
    sighting.identity().pid
}

fn alive(pid: Pid) -> Observation {
    healthy().observed(pid)
}

fn orphan(pid: Pid) -> Observation {
    without_witness()
        .log(Seen::Deleted)
        .path(missing())
        .observed(pid)
}

fn replaced(pid: Pid) -> Observation {
    without_witness()
        .log(Seen::Deleted)
        .path(exists(Some(RECREATED)))
        .observed(pid)
}

/// The same process runs another coordinator's argv.
fn after_exec(mut seen: Observation) -> Observation {
    seen.coordinator.workspace = WorkspaceArgument::Given("/home/me/other".into());
    seen
}

/// Another process with the same pid.
fn recycled(mut seen: Observation) -> Observation {
    seen.record.identity.start += 1;
    seen
}

#[test]
fn first_seen_and_sightings_last_as_long_as_the_process() {
    let mut world = World::default();
    for scan in 0..4 {
        assert_eq!(world.scan(vec![alive(10)]), [""; 0]);
        let sighting = world.only();
        assert_eq!(sighting.first_seen, at(0));
        assert_eq!(sighting.sightings, scan + 1);
        assert_eq!(sighting.orphan_since, None);
    }
    world.scan(vec![]);
    assert_eq!(world.registry.coordinators().count(), 0);
    world.scan(vec![alive(10)]);
    let sighting = world.only();
    assert_eq!((sighting.first_seen, sighting.sightings), (at(5), 1));
}

#[test]
fn whoever_cannot_be_read_is_there_and_nothing_is_known_of_it() {
    let mut world = World::default();
    world.scan(vec![orphan(10), alive(11)]);
    let unread = |identity: ProcessIdentity| Unread {
        pid: identity.pid,
        identity: Some(identity),
        errno: "ETIMEDOUT",
    };
    let [its, others] = [orphan(10), recycled(orphan(10))].map(|seen| seen.record.identity);
    assert_eq!(world.registry.unread(&[unread(others)]).len(), 0);
    let mut seen = world.registry.unread(&[unread(its)]);
    assert_eq!(seen[0].record, orphan(10).record);
    // Of whom nobody can say who it is it may be that one.
    let somebody = Unread {
        identity: None,
        ..unread(its)
    };
    assert_eq!(world.registry.unread(&[somebody])[0].record, seen[0].record);
    assert_eq!(seen[0].evidence.workspace, orphan(10).evidence.workspace);
    seen.push(alive(11));
    let words = "10 cleared workspace_path_missing VerdictChanged process_unreadable:ETIMEDOUT";
    assert_eq!(world.scan(seen), [words]);
    let sighting = world.registry.get(&its).unwrap();
    assert_eq!((sighting.first_seen, sighting.sightings), (at(0), 2));
    // It can be read again.
    let again = world.scan(vec![orphan(10), alive(11)]);
    assert_eq!(again, [format!("10 detected {GONE}")]);
    // What is not judged for another reason stays so.
    let foreign = healthy().access(Access::ForeignUid).observed(12);
    let its = foreign.record.identity;
    world.scan(vec![foreign]);
    let seen = world.registry.unread(&[unread(its)]);
    assert_eq!(seen[0].evidence.access, Access::ForeignUid);
}

#[test]
fn orphan_since_runs_without_a_break_and_starts_anew_after_one() {
    let mut world = World::default();
    world.scan(vec![alive(10)]);
    assert_eq!(
        world.scan(vec![orphan(10)]),
        [format!("10 detected {GONE}")]
    );
    assert_eq!(world.only().orphan_since, Some(at(1)));
    world.scan(vec![orphan(10)]);
    assert_eq!(world.only().orphan_since, Some(at(1)));
    assert_eq!(world.only().first_seen, at(0));

    let named = without_witness().pid_file(PidFile::NamesIt).observed(10);
    let back = format!("10 cleared {GONE} VerdictChanged workspace_alive");
    assert_eq!(world.scan(vec![named]), [back]);
    assert_eq!(world.only().orphan_since, None);

    world.scan(vec![orphan(10)]);
    assert_eq!(world.only().orphan_since, Some(at(4)));
    assert_eq!(world.only().sightings, 5);
}

#[test]
fn missing_and_replaced_by_turns_is_no_transition() {
    let mut world = World::default();
    assert_eq!(
        world.scan(vec![orphan(10)]),
        [format!("10 detected {GONE}")]
    );
    for seen in [replaced(10), orphan(10), replaced(10)] {
        assert_eq!(world.scan(vec![seen]), [""; 0]);
        assert_eq!(world.only().orphan_since, Some(at(0)));
    }
    assert_eq!(world.only().verdict.reason(), NEW);
    // It is cleared for the reason it had last.
    assert_eq!(
        world.scan(vec![]),
        [format!("10 cleared {NEW} Exited {NEW}")]
    );
}

#[test]
fn unknown_is_a_break_like_alive() {
    let mut world = World::default();
    world.scan(vec![orphan(10)]);
    let hidden = without_witness()
        .path(crate::orphan::evidence::PathState::Failed("EACCES"))
        .observed(10);
    assert_eq!(
        world.scan(vec![hidden]),
        [format!(
            "10 cleared {GONE} VerdictChanged workspace_unreadable:EACCES"
        )]
    );
    assert_eq!(world.only().orphan_since, None);
    assert_eq!(world.scan(vec![orphan(10)]).len(), 1);
    assert_eq!(world.only().orphan_since, Some(at(2)));
}

#[test]
fn an_orphan_that_exits_is_cleared_and_anybody_else_just_goes() {
    let mut world = World::default();
    world.scan(vec![orphan(10), alive(11)]);
    assert_eq!(
        world.scan(vec![]),
        [format!("10 cleared {GONE} Exited {GONE}")]
    );
    assert_eq!(world.scan(vec![]), [""; 0], "once");
}

#[test]
fn the_same_pid_with_another_identity_starts_over() {
    let mut world = World::default();
    world.scan(vec![orphan(10)]);
    world.scan(vec![orphan(10)]);
    let mut changes = world.scan(vec![recycled(orphan(10))]);
    changes.sort();
    let expected = [
        format!("10 cleared {GONE} Exited {GONE}"),
        format!("10 detected {GONE}"),
    ];
    assert_eq!(changes, expected);
    let sighting = world.only();
    assert_eq!((sighting.first_seen, sighting.sightings), (at(2), 1));
    assert_eq!(sighting.orphan_since, Some(at(2)));
}

#[test]
fn a_recycled_pid_inherits_no_memory() {
    let mut world = World::default();
    world.scan(vec![replaced(10)]);
    let stranger = without_witness().path(exists(Some(RECREATED))).observed(10);
    // The same evidence is an orphan's for the one whose log was deleted, and nothing to a stranger.
    world.scan(vec![stranger.clone()]);
    assert_eq!(world.only().verdict.reason(), NEW);
    world.scan(vec![recycled(stranger)]);
    assert_eq!(world.only().verdict.reason(), "workspace_alive");
}

#[test]
fn another_coordinators_argv_in_the_same_process_starts_over() {
    let mut world = World::default();
    world.scan(vec![orphan(10)]);
    assert_eq!(
        world.scan(vec![after_exec(alive(10))]),
        [format!("10 cleared {GONE} ProgramChanged {GONE}")]
    );
    let sighting = world.only();
    assert_eq!((sighting.first_seen, sighting.sightings), (at(1), 1));
    assert_eq!(sighting.memory.deletion, None);

    // From one orphan to another: the first is cleared, the second detected, in that order.
    world.scan(vec![orphan(10)]);
    assert_eq!(
        world.scan(vec![after_exec(orphan(10))]),
        [
            format!("10 cleared {GONE} ProgramChanged {GONE}"),
            format!("10 detected {GONE}"),
        ]
    );
    assert_eq!(world.only().orphan_since, Some(at(3)));
}

#[test]
fn a_program_that_is_no_coordinator_any_more_is_gone() {
    let mut world = World::default();
    world.scan(vec![orphan(10)]);
    assert_eq!(
        world.scan(vec![alive(11)]),
        [format!("10 cleared {GONE} Exited {GONE}")]
    );
    assert!(world.registry.by_pid(10).is_none());
}

#[test]
fn memory_goes_from_scan_to_scan() {
    let mut world = World::default();
    world.scan(vec![alive(10), orphan(11)]);
    let memories = world.registry.memories();
    assert_eq!(memories.len(), 2);
    let of = |pid| {
        let identity = world.registry.by_pid(pid).unwrap().identity();
        &memories[&identity]
    };
    assert_eq!(of(10).original, Some(ORIGINAL));
    assert_eq!(of(10).deletion, None);
    assert!(of(11).deletion.is_some());
}

#[test]
fn the_first_directory_seen_has_replaced_nothing_and_the_next_one_may_have() {
    let mut world = World::default();
    world.scan(vec![without_witness().observed(10)]);
    assert_eq!(world.only().verdict.reason(), "workspace_alive");
    let other = without_witness().path(exists(Some(RECREATED)));
    world.scan(vec![other.observed(10)]);
    assert_eq!(world.only().verdict.reason(), "workspace_maybe_replaced");
}

#[test]
fn orphans_are_those_with_that_verdict_and_all_are_listed_by_pid() {
    let mut world = World::default();
    world.scan(vec![orphan(12), alive(11), replaced(10)]);
    let pids = |sightings: Vec<&Sighting>| sightings.into_iter().map(pid).collect::<Vec<_>>();
    let all = pids(world.registry.coordinators().collect());
    assert_eq!(all, [10, 11, 12]);
    let orphans = pids(world.registry.orphans().collect());
    assert_eq!(orphans, [10, 12]);
    assert!(world.registry.by_pid(13).is_none());
}

#[test]
fn one_that_is_forgotten_is_not_cleared_later() {
    let mut world = World::default();
    world.scan(vec![orphan(10), orphan(11)]);
    let identity = world.registry.by_pid(10).unwrap().identity();
    assert_eq!(world.registry.forget(&identity).as_ref().map(pid), Some(10));
    assert!(world.registry.forget(&identity).is_none());
    let changes = world.scan(vec![orphan(11)]);
    assert_eq!(changes, [""; 0]);
}

#[test]
fn a_glance_shows_what_a_scan_would_and_takes_nothing_in() {
    let mut world = World::default();
    world.scan(vec![replaced(10)]);
    let rules = healthy().rules;
    let stranger = || without_witness().path(exists(Some(RECREATED))).observed(10);
    let known = world.registry.by_pid(10);
    let glanced = Registry::glance(known, stranger(), &rules, at(9));
    assert_eq!(glanced.verdict.reason(), NEW);
    assert_eq!((glanced.first_seen, glanced.sightings), (at(0), 2));
    assert_eq!(world.only().sightings, 1);
    let fresh = Registry::glance(None, stranger(), &rules, at(9));
    assert_eq!(fresh.verdict.reason(), "workspace_alive");
    assert_eq!((fresh.first_seen, fresh.sightings), (at(9), 1));
}
