//! The second look at a member, under its handle.

use super::*;

const PARENT: Pid = 101;
const MEMBER: Pid = 102;

fn member(relation: Relation) -> (Member, Row) {
    let pgid = match relation {
        Relation::Group => ORPHAN,
        Relation::Descendant => MEMBER,
    };
    let row = row(MEMBER, PARENT, pgid);
    let member = Member {
        identity: row.identity,
        ppid: PARENT,
        relation,
    };
    (member, row)
}

/// Whether a member of this relation, bent since the snapshot, still belongs.
fn belongs(relation: Relation, pinned: &[Pid], bend: impl FnOnce(&mut Row)) -> bool {
    let (member, mut now) = member(relation);
    bend(&mut now);
    let pinned = pinned.iter().copied().collect();
    still_belongs(&member, ORPHAN, UID, &now, &pinned)
}

const BOTH: [Relation; 2] = [Relation::Group, Relation::Descendant];

#[test]
fn an_unchanged_member_belongs() {
    for relation in BOTH {
        assert!(belongs(relation, &[ORPHAN, PARENT], |_| {}), "{relation:?}");
    }
}

#[test]
fn another_process_under_the_same_pid_does_not() {
    for relation in BOTH {
        let pinned = [ORPHAN, PARENT];
        assert!(!belongs(relation, &pinned, |now| now.identity.start += 1));
        assert!(!belongs(relation, &pinned, |now| now.identity.unique = 9));
    }
}

#[test]
fn one_that_changed_its_uid_does_not() {
    for relation in BOTH {
        for uids in [vec![0], vec![UID, 0], vec![0, UID]] {
            assert!(!belongs(relation, &[ORPHAN, PARENT], |now| now.uids = uids));
        }
    }
}

#[test]
fn one_that_became_something_protected_does_not() {
    for relation in BOTH {
        for kind in [
            Kind::Coordinator,
            Kind::Multiplexer,
            Kind::Sshd,
            Kind::ServiceManager,
        ] {
            assert!(!belongs(relation, &[ORPHAN, PARENT], |now| now.kind = kind));
        }
    }
}

#[test]
fn one_that_left_the_group_does_not_belong_to_it() {
    let left = |now: &mut Row| now.pgid = MEMBER;
    assert!(!belongs(Relation::Group, &[ORPHAN, PARENT], left));
    // A descendant may change its group as it likes.
    assert!(belongs(Relation::Descendant, &[ORPHAN, PARENT], |now| {
        now.pgid = 7
    }));
}

#[test]
fn one_whose_pinned_parent_exited_is_adopted_and_belongs() {
    for relation in BOTH {
        assert!(belongs(relation, &[ORPHAN, PARENT], |now| now.ppid = 1));
    }
    // A member of the group needs no parent among the pinned.
    assert!(belongs(Relation::Group, &[ORPHAN], |now| now.ppid = 1));
}

#[test]
fn a_descendant_of_nobody_pinned_does_not() {
    assert!(!belongs(Relation::Descendant, &[ORPHAN], |now| now.ppid = 1));
    assert!(!belongs(Relation::Descendant, &[ORPHAN], |now| now.ppid = 50));
    // The parent is there, but was not pinned: it turned out to be something else.
    assert!(!belongs(Relation::Descendant, &[ORPHAN], |_| {}));
}
