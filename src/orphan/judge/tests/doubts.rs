//! What looks like a deletion and is none.

use crate::orphan::evidence::{FileId, MountState, PathState};
use crate::orphan::fixtures::*;

const NEW: &str = "orphan workspace_replaced";
const GONE: &str = "orphan workspace_path_missing";
const UNMOUNTED: &str = "unknown workspace_unmounted";

const SECOND_NS: i128 = 1_000_000_000;

/// A deleted cwd of the workspace's name, and a directory there that was born at one minute; the
/// process was started so much later.
fn started_after(later_ns: i128) -> Case {
    let born = FileId {
        born_ns: Some(60 * SECOND_NS),
        ..RECREATED
    };
    without_witness()
        .cwd(Seen::Deleted)
        .path(exists(Some(born)))
        .with(|evidence| evidence.process_started_ns = Some(60 * SECOND_NS + later_ns))
}

#[test]
fn a_directory_that_stood_before_the_process_replaced_nothing() {
    for later in [SECOND_NS + 1, 3_600 * SECOND_NS] {
        assert_ne!(started_after(later).verdict(), NEW, "{later}");
    }
    // The clock is coarse, and a start within the same second proves nothing.
    for later in [SECOND_NS, 1, 0, -1, -3_600 * SECOND_NS] {
        assert_eq!(started_after(later).verdict(), NEW, "{later}");
    }
}

#[test]
fn without_a_birth_or_a_start_nothing_stood_before_anything() {
    let unborn = FileId {
        born_ns: None,
        ..RECREATED
    };
    let without_birth = started_after(3_600 * SECOND_NS).path(exists(Some(unborn)));
    assert_eq!(without_birth.verdict(), NEW);
    let without_start = started_after(0).with(|evidence| evidence.process_started_ns = None);
    assert_eq!(without_start.verdict(), NEW);
}

#[test]
fn a_cwd_on_a_detached_mount_may_be_the_workspace_that_is_missing() {
    let cut_short = |mount| {
        without_witness().path(missing()).with(|evidence| {
            let mut cwd = holding("/workspace", ORIGINAL);
            cwd.mount = mount;
            evidence.cwd = Some(cwd);
        })
    };
    assert_eq!(cut_short(MountState::Detached).verdict(), UNMOUNTED);
    assert_eq!(cut_short(MountState::Attached).verdict(), GONE);
    // A deletion that was proved stays proved.
    let proved =
        cut_short(MountState::Detached).remembering(|memory| memory.deletion = Some(PROVED));
    assert_eq!(proved.verdict(), GONE);
}

#[test]
fn a_log_removed_by_hand_and_a_move_are_no_deletion() {
    let by_hand = without_witness().log(Seen::Deleted);
    let moved = by_hand.clone().path(missing());
    assert_ne!(by_hand.clone().then(moved.clone()).verdict(), GONE);
    assert_eq!(moved.verdict(), GONE, "seen for the first time");
    let made_again = by_hand.clone().path(exists(Some(RECREATED)));
    assert_ne!(by_hand.then(made_again.clone()).verdict(), NEW);
    assert_eq!(made_again.verdict(), NEW, "seen for the first time");
}

#[test]
fn a_log_that_has_another_link_is_elsewhere_whatever_its_name_was() {
    // The kernel marks the name that is gone, though the file is not.
    let linked = |path: PathState| {
        without_witness()
            .cwd(Seen::Deleted)
            .path(path)
            .with(|evidence| {
                let mut log = log_in(WORKSPACE);
                log.path = format!("{WORKSPACE}/.team/runtime/coordinator.log (deleted)").into();
                evidence.log = Some(log);
            })
    };
    for path in [missing(), exists(Some(RECREATED))] {
        assert_eq!(linked(path).verdict(), "unknown workspace_moved");
    }
}
