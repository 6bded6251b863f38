//! A log that was removed while its workspace stood tells nothing, then and later.

use super::*;

/// The log is deleted, and at the path is the directory that it was made in.
fn removed_by_hand() -> Case {
    healthy().log(Seen::Deleted)
}

/// Nothing but a deleted log, and another directory than before.
fn deleted_with_its_workspace() -> Case {
    without_witness()
        .log(Seen::Deleted)
        .path(exists(Some(RECREATED)))
}

#[test]
fn a_log_deleted_with_its_workspace_is_deleted() {
    for case in [
        deleted_with_its_workspace(),
        deleted_with_its_workspace().path(missing()),
    ] {
        let memory = learnt(healthy());
        assert_eq!(memory.log_fate(&case.evidence), Some(Fate::Deleted));
        let mut after = memory.clone();
        after.learn(&case.evidence);
        assert_eq!(after.discredited_log, None);
        assert_eq!(
            after.deletion.and_then(|proof| proof.log),
            Some(LOG),
            "a proof"
        );
    }
}

#[test]
fn a_log_deleted_from_the_directory_that_was_seen_before_proves_nothing() {
    // Younger than the log, so that only the memory tells that it is the original.
    let seen = without_witness().path(exists(Some(RECREATED)));
    let memory = learnt(seen);
    let case = deleted_with_its_workspace();
    assert_eq!(memory.log_fate(&case.evidence), Some(Fate::Unprovable));
    assert_eq!(
        Memory::default().log_fate(&case.evidence),
        Some(Fate::Deleted)
    );
}

#[test]
fn a_log_deleted_from_a_directory_older_than_it_proves_nothing() {
    let case = removed_by_hand();
    let memory = Memory::default();
    assert_eq!(memory.log_fate(&case.evidence), Some(Fate::Unprovable));
    // Unless that is on another disk: then it is another directory.
    let elsewhere = FileId {
        device: 8,
        ..ORIGINAL
    };
    let case = case.path(exists(Some(elsewhere)));
    assert_eq!(memory.log_fate(&case.evidence), Some(Fate::Deleted));
}

#[test]
fn a_log_known_to_be_removed_by_hand_proves_nothing_ever_after() {
    let mut memory = learnt(removed_by_hand());
    assert_eq!(memory.discredited_log, Some(LOG));
    for later in [
        deleted_with_its_workspace(),
        deleted_with_its_workspace().path(missing()),
        deleted_with_its_workspace().path(PathState::TimedOut),
    ] {
        assert_eq!(memory.log_fate(&later.evidence), Some(Fate::Unprovable));
        memory.learn(&later.evidence);
        assert_eq!(memory.discredited_log, Some(LOG));
        assert_eq!(memory.deletion, None);
    }
}

#[test]
fn another_log_of_the_same_process_is_judged_by_itself() {
    let memory = learnt(removed_by_hand());
    let next = FileId { inode: 102, ..LOG };
    let case = deleted_with_its_workspace().with(|evidence| {
        if let Some(log) = &mut evidence.log {
            log.id = next;
        }
    });
    assert_eq!(memory.log_fate(&case.evidence), Some(Fate::Deleted));
}

#[test]
fn a_discredited_log_is_still_seen_where_it_is_linked() {
    let memory = learnt(removed_by_hand());
    for (seen, fate) in [
        (Seen::InPlace, Some(Fate::InPlace)),
        (Seen::Moved, Some(Fate::Moved)),
        (Seen::Detached, Some(Fate::Detached)),
        (Seen::Absent, None),
    ] {
        let case = without_witness().log(seen);
        assert_eq!(memory.log_fate(&case.evidence), fate, "{seen:?}");
    }
}

#[test]
fn the_mount_of_another_directory_is_not_the_one_to_remember() {
    let mut memory = learnt(without_witness());
    let debris = without_witness().path(PathState::Exists {
        directory: Some(RECREATED),
        mount: MountKey { id: 31, device: 8 },
    });
    memory.learn(&debris.evidence);
    assert_eq!(memory.mount, Some(MOUNT));
}
