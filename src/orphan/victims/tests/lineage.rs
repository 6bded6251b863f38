//! The daemon's and the peers' ancestors, known and possible.

use std::collections::BTreeSet;

use super::*;

fn process(pid: Pid, start: u64) -> ProcessIdentity {
    ProcessIdentity {
        pid,
        start,
        unique: 0,
    }
}

fn lineage(pids: &[Pid], open_above: Option<u64>) -> Lineage {
    Lineage {
        pids: pids.iter().copied().collect(),
        open_above,
    }
}

#[test]
fn a_whole_lineage_holds_its_members_and_nobody_else() {
    let whole = lineage(&[1, 50], None);
    assert!(whole.may_hold(&process(50, 700)));
    assert!(!whole.may_hold(&process(51, 0)));
}

#[test]
fn a_broken_one_may_hold_whoever_started_no_later_than_the_last_that_was_seen() {
    let broken = lineage(&[50], Some(700));
    assert!(broken.may_hold(&process(50, 900)));
    assert!(broken.may_hold(&process(51, 699)));
    assert!(broken.may_hold(&process(51, 700)));
    assert!(!broken.may_hold(&process(51, 701)));
}

#[test]
fn an_unknown_one_may_hold_anybody() {
    assert!(Lineage::unknown().may_hold(&process(51, u64::MAX)));
}

#[test]
fn two_lineages_hold_whom_either_of_them_may() {
    let all = [
        lineage(&[1, 50], None),
        lineage(&[1, 60], Some(700)),
        lineage(&[70], Some(300)),
        Lineage::unknown(),
        Lineage::default(),
    ];
    let processes = [process(50, 900), process(60, 900), process(80, 500)];
    for one in &all {
        for other in &all {
            let both = one.clone().with(other);
            assert_eq!(both, other.clone().with(one), "in either order");
            for process in &processes {
                assert_eq!(
                    both.may_hold(process),
                    one.may_hold(process) || other.may_hold(process),
                    "{one:?} with {other:?}: {process:?}"
                );
            }
        }
    }
    let both = lineage(&[1, 50], None).with(&lineage(&[60], Some(3)));
    assert_eq!(both.pids, BTreeSet::from([1, 50, 60]));
}

#[test]
fn a_member_that_may_be_above_the_peer_is_left_behind_with_all_below_it() {
    // 101 started before the peer's chain broke off, 103 after that.
    let rows = [
        orphan(),
        row(101, 1, ORPHAN),
        row(102, 101, ORPHAN),
        row(103, ORPHAN, ORPHAN),
    ];
    let protected = Protected {
        lineage: lineage(&[500], Some(101)),
        ..nothing_special()
    };
    let victims = select(&snapshot(rows), ORPHAN, Scope::Group, &protected);
    assert_eq!(members(&victims), [103]);
    let behind: Vec<Pid> = left(&victims).iter().map(|(pid, _)| *pid).collect();
    assert_eq!(behind, [101, 102]);
}
