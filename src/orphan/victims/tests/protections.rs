//! Each protection: who it keeps, and what below it.

use super::*;

const SCOPES: [Scope; 3] = [Scope::Process, Scope::Group, Scope::Tree];

/// A child of the orphan in its group, bent; its own child; and a child that nothing protects.
fn around(bend: impl FnOnce(&mut Row)) -> Snapshot {
    let mut special = row(101, ORPHAN, ORPHAN);
    bend(&mut special);
    let group = special.pgid;
    snapshot([
        orphan(),
        special,
        row(102, 101, group),
        row(103, ORPHAN, ORPHAN),
    ])
}

fn assert_protected(why: Why, rows: &Snapshot, protected: &Protected) {
    for scope in SCOPES {
        let victims = select(rows, ORPHAN, scope, protected);
        let expected: &[Pid] = if scope == Scope::Process { &[] } else { &[103] };
        assert_eq!(members(&victims), expected, "{why:?} {scope:?}");
        let left = left(&victims);
        assert!(left.contains(&(101, why)), "{why:?} {scope:?}: {left:?}");
        assert!(left.contains(&(102, Why::BelowProtected)), "{why:?}");
    }
}

#[test]
fn what_a_process_is_protects_it_and_all_below_it() {
    for (kind, why) in [
        (Kind::Coordinator, Why::Coordinator),
        (Kind::Multiplexer, Why::Multiplexer),
        (Kind::Sshd, Why::Sshd),
        (Kind::ServiceManager, Why::ServiceManager),
    ] {
        assert_protected(why, &around(|row| row.kind = kind), &nothing_special());
    }
}

#[test]
fn the_daemon_and_the_peer_and_their_ancestors_are_protected() {
    let protected = Protected {
        lineage: Lineage {
            pids: BTreeSet::from([101]),
            open_above: None,
        },
        ..nothing_special()
    };
    assert_protected(Why::ProtectedAncestor, &around(|_| {}), &protected);
}

#[test]
fn a_kept_process_is_protected() {
    let protected = Protected {
        kept: BTreeSet::from([101]),
        ..nothing_special()
    };
    assert_protected(Why::Kept, &around(|_| {}), &protected);
}

#[test]
fn a_process_of_another_uid_is_protected_by_any_of_its_uids() {
    for uids in [vec![0], vec![UID, 0], vec![1001, UID], vec![UID, UID, 0]] {
        let rows = around(|row| row.uids = uids.clone());
        assert_protected(Why::OtherUid, &rows, &nothing_special());
    }
}

#[test]
fn a_process_older_than_its_parent_is_not_what_the_snapshot_says() {
    let rows = around(|row| row.identity.start = u64::from(ORPHAN) - 1);
    assert_protected(Why::OlderThanParent, &rows, &nothing_special());
    // Of the same clock tick, it may well be its child.
    let rows = around(|row| row.identity.start = u64::from(ORPHAN));
    let victims = select(&rows, ORPHAN, Scope::Group, &nothing_special());
    assert_eq!(members(&victims), [101, 103, 102]);
}

#[test]
fn pid_1_is_protected_wherever_it_appears() {
    let mut init = row(1, ORPHAN, ORPHAN);
    init.identity.start = 500;
    let rows = snapshot([orphan(), init]);
    let victims = select(&rows, ORPHAN, Scope::Tree, &nothing_special());
    assert_eq!(victims.members, []);
    assert_eq!(left(&victims), [(1, Why::Init)]);
}

#[test]
fn outside_the_group_a_terminal_or_another_unit_protects() {
    for (why, bend) in [
        (
            Why::ControllingTerminal,
            (|row: &mut Row| row.on_terminal = true) as fn(&mut Row),
        ),
        (Why::AnotherUnit, |row| row.unit = Some("tmux.scope".into())),
        (Why::AnotherUnit, |row| row.unit = None),
    ] {
        let rows = around(|row| {
            row.pgid = 101;
            bend(row);
        });
        let victims = select(&rows, ORPHAN, Scope::Tree, &nothing_special());
        assert_eq!(members(&victims), [103], "{why:?}");
        assert_eq!(left(&victims), [(101, why), (102, Why::BelowProtected)]);

        // Inside the group neither does: they share the orphan's session and its end.
        let victims = select(&around(bend), ORPHAN, Scope::Tree, &nothing_special());
        assert_eq!(members(&victims), [101, 103, 102], "{why:?}");
    }
}

#[test]
fn below_a_process_on_a_terminal_or_in_another_unit_nobody_dies_in_any_scope() {
    // The orphan's group again, below a process outside of it that is protected.
    for bend in [
        (|row: &mut Row| row.on_terminal = true) as fn(&mut Row),
        |row| row.unit = Some("tmux.scope".into()),
    ] {
        let mut outside = row(101, ORPHAN, 101);
        bend(&mut outside);
        let rows = snapshot([orphan(), outside, row(102, 101, ORPHAN)]);
        for scope in SCOPES {
            let victims = select(&rows, ORPHAN, scope, &nothing_special());
            assert_eq!(victims.members, [], "{scope:?}: {victims:?}");
        }
    }
}

#[test]
fn protection_goes_down_through_every_generation_and_scope_does_not() {
    let tmux = Row {
        kind: Kind::Multiplexer,
        ..row(101, ORPHAN, 101)
    };
    let rows = snapshot([
        orphan(),
        tmux,
        row(102, 101, 102),
        row(103, 102, ORPHAN),
        row(104, 103, ORPHAN),
        // Out of the group's scope, but its child is back in it.
        row(105, ORPHAN, 105),
        row(106, 105, ORPHAN),
    ]);
    let victims = select(&rows, ORPHAN, Scope::Group, &nothing_special());
    assert_eq!(members(&victims), [106]);
    let mut left = left(&victims);
    left.sort_unstable();
    assert_eq!(
        left,
        [
            (101, Why::Multiplexer),
            (102, Why::BelowProtected),
            (103, Why::BelowProtected),
            (104, Why::BelowProtected),
            (105, Why::OutOfScope),
        ]
    );
}

#[test]
fn protection_goes_down_through_another_target() {
    // tmux in the orphan's group, below it another orphan with a child of its own.
    let tmux = Row {
        kind: Kind::Multiplexer,
        ..row(101, ORPHAN, ORPHAN)
    };
    let second = Row {
        kind: Kind::Coordinator,
        ..row(102, 101, ORPHAN)
    };
    let rows = snapshot([orphan(), tmux, second, row(103, 102, ORPHAN)]);
    let victims = select(&rows, ORPHAN, Scope::Group, &targets(&[102]));
    assert_eq!(victims.members, []);
    let stay = [(101, Why::Multiplexer), (103, Why::BelowProtected)];
    assert_eq!(left(&victims), stay);
}

#[test]
fn the_reason_given_first_is_the_strongest() {
    let everything = |pid| Row {
        uids: vec![0],
        kind: Kind::Coordinator,
        on_terminal: true,
        unit: None,
        ..row(pid, ORPHAN, pid)
    };
    let protected = Protected {
        lineage: Lineage {
            pids: BTreeSet::from([101]),
            open_above: None,
        },
        kept: BTreeSet::from([101, 102, 103]),
        ..nothing_special()
    };
    let own = |row: Row| Row {
        uids: vec![UID],
        ..row
    };
    let rows = snapshot([
        orphan(),
        everything(101),
        everything(102),
        own(everything(103)),
        own(everything(104)),
    ]);
    let victims = select(&rows, ORPHAN, Scope::Tree, &protected);
    assert_eq!(
        left(&victims),
        [
            (101, Why::ProtectedAncestor),
            (102, Why::OtherUid),
            (103, Why::Kept),
            (104, Why::Coordinator),
        ]
    );
}

#[test]
fn what_is_left_behind_comes_with_its_command_line() {
    let rows = around(|row| row.kind = Kind::Sshd);
    let victims = select(&rows, ORPHAN, Scope::Group, &nothing_special());
    let shown: Vec<&str> = victims
        .left_behind
        .iter()
        .map(|one| one.cmdline.as_str())
        .collect();
    assert_eq!(shown, ["process 101", "process 102"]);
}

#[test]
fn in_a_cycle_of_recycled_pids_nobody_is_signalled() {
    let with_start = |pid, ppid, start| {
        let mut row = row(pid, ppid, ORPHAN);
        row.identity.start = start;
        row
    };
    for starts in [[500, 600], [600, 500], [500, 500]] {
        let rows = snapshot([
            orphan(),
            with_start(101, 102, starts[0]),
            with_start(102, 101, starts[1]),
            // Hangs below the cycle.
            with_start(90, 101, 700),
        ]);
        for scope in SCOPES {
            let victims = select(&rows, ORPHAN, scope, &nothing_special());
            assert_eq!(victims.members, [], "{starts:?} {scope:?}");
            assert_eq!(victims.left_behind.len(), 3);
        }
    }
}

#[test]
fn a_process_that_claims_to_be_its_own_parent_is_not_signalled() {
    let rows = snapshot([orphan(), row(101, 101, ORPHAN)]);
    let victims = select(&rows, ORPHAN, Scope::Tree, &nothing_special());
    assert_eq!(victims.members, []);
}
