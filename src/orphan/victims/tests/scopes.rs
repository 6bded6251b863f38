//! How far each scope reaches, and whose group it is.

use super::*;

/// The orphan; 101 and its child 102 in its group; 103 with a group of its own, its child 104; 105
/// in the orphan's group, adopted by init; 106, a child of 105 outside.
fn household() -> Snapshot {
    snapshot([
        orphan(),
        row(101, ORPHAN, ORPHAN),
        row(102, 101, ORPHAN),
        row(103, ORPHAN, 103),
        row(104, 103, 103),
        row(105, 1, ORPHAN),
        row(106, 105, 106),
    ])
}

#[test]
fn each_scope_reaches_as_far_as_it_says() {
    for (scope, inside) in [
        (Scope::Process, vec![]),
        (Scope::Group, vec![101, 102, 105]),
        (Scope::Tree, vec![101, 102, 103, 104, 105, 106]),
    ] {
        let victims = select(&household(), ORPHAN, scope, &nothing_special());
        let mut found = members(&victims);
        found.sort_unstable();
        assert_eq!(found, inside, "{scope:?}");
        let outside: Vec<(Pid, Why)> = (101..=106)
            .filter(|pid| !inside.contains(pid))
            .map(|pid| (pid, Why::OutOfScope))
            .collect();
        let mut left = left(&victims);
        left.sort_unstable();
        assert_eq!(left, outside, "{scope:?}");
    }
}

#[test]
fn the_group_is_the_default() {
    assert_eq!(Scope::default(), Scope::Group);
}

#[test]
fn members_come_parents_first_with_how_they_belong() {
    // 90 is the oldest number and the youngest process: pids wrap around.
    let mut wrapped = row(90, 102, 90);
    wrapped.identity.start = 500;
    let mut rows = household();
    rows.insert(90, wrapped);
    let victims = select(&rows, ORPHAN, Scope::Tree, &nothing_special());
    let order = members(&victims);
    let place = |pid| order.iter().position(|one| *one == pid).unwrap();
    for (parent, child) in [(101, 102), (102, 90), (103, 104), (105, 106)] {
        assert!(place(parent) < place(child), "{parent} before {child}");
    }
    for member in &victims.members {
        let relation = match member.identity.pid {
            101 | 102 | 105 => Relation::Group,
            _ => Relation::Descendant,
        };
        assert_eq!(member.relation, relation, "{}", member.identity.pid);
        assert_eq!(member.ppid, rows[&member.identity.pid].ppid);
        assert_eq!(member.identity, rows[&member.identity.pid].identity);
    }
}

fn kin(row: &Row) -> Kin {
    Kin {
        ppid: row.ppid,
        pgid: row.pgid,
    }
}

fn relatives(family: &Family, pid: Pid) -> BTreeSet<Pid> {
    family.relatives(pid, family.leads(pid))
}

#[test]
fn a_group_that_the_orphan_does_not_lead_is_never_touched() {
    // A launcher script leads the group: it, a sibling of the orphan and the orphan's child.
    let launcher = 50;
    let in_launchers_group = snapshot([
        Row {
            pgid: launcher,
            ..orphan()
        },
        row(launcher, 1, launcher),
        row(60, launcher, launcher),
        row(101, ORPHAN, launcher),
    ]);
    let family = in_launchers_group
        .iter()
        .map(|(pid, row)| (*pid, kin(row)))
        .collect::<Family>();
    assert_eq!(relatives(&family, ORPHAN), BTreeSet::from([101]));
    let around = snapshot(
        in_launchers_group
            .into_values()
            .filter(|row| [ORPHAN, 101].contains(&row.identity.pid)),
    );
    for (scope, expected) in [
        (Scope::Process, vec![]),
        (Scope::Group, vec![]),
        (Scope::Tree, vec![101]),
    ] {
        let victims = select(&around, ORPHAN, scope, &nothing_special());
        assert_eq!(members(&victims), expected, "{scope:?}");
        let all = victims
            .members
            .iter()
            .all(|member| member.relation == Relation::Descendant);
        assert!(all, "the launcher's group is not the orphan's");
    }
}

#[test]
fn relatives_are_descendants_and_the_group_that_it_leads() {
    let family: Family = household()
        .into_values()
        .chain([row(1, 0, 1), row(50, 1, 50), row(51, 50, 50)])
        .map(|row| (row.identity.pid, kin(&row)))
        .collect();
    assert_eq!(relatives(&family, ORPHAN), (101..=106).collect());
    assert_eq!(relatives(&family, 103), BTreeSet::from([104]));
    assert_eq!(relatives(&family, 51), BTreeSet::new());
    assert_eq!(relatives(&family, 999), BTreeSet::new(), "nobody's");
}

#[test]
fn relatives_of_processes_in_a_cycle_are_found_once() {
    let family: Family = [
        (ORPHAN, 102, ORPHAN),
        (101, ORPHAN, 101),
        (102, 101, 102),
        (103, 103, 103),
    ]
    .map(|(pid, ppid, pgid)| (pid, Kin { ppid, pgid }))
    .into_iter()
    .collect();
    assert_eq!(relatives(&family, ORPHAN), BTreeSet::from([101, 102]));
    assert_eq!(relatives(&family, 103), BTreeSet::new());
}

#[test]
fn an_orphan_that_is_not_in_the_snapshot_has_no_victims() {
    let victims = select(&household(), 999, Scope::Tree, &nothing_special());
    assert_eq!(victims, Victims::default());
}

#[test]
fn another_target_in_the_group_ends_by_itself_and_its_own_are_shared() {
    let second = Row {
        kind: Kind::Coordinator,
        ..row(103, ORPHAN, ORPHAN)
    };
    let rows = snapshot([
        orphan(),
        row(101, ORPHAN, ORPHAN),
        second,
        row(104, 103, ORPHAN),
    ]);
    let victims = select(&rows, ORPHAN, Scope::Group, &targets(&[103]));
    assert_eq!(members(&victims), [101, 104]);
    assert_eq!(left(&victims), []);
    // The same coordinator, not to be ended: it stays, and so does all below it.
    let victims = select(&rows, ORPHAN, Scope::Group, &nothing_special());
    assert_eq!(members(&victims), [101]);
    let stay = [(103, Why::Coordinator), (104, Why::BelowProtected)];
    assert_eq!(left(&victims), stay);
}

#[test]
fn only_a_coordinator_is_a_target() {
    // A stranger with the pid of a target is a process like any other.
    let rows = snapshot([orphan(), row(101, ORPHAN, ORPHAN)]);
    let victims = select(&rows, ORPHAN, Scope::Group, &targets(&[101]));
    assert_eq!(members(&victims), [101]);
}
