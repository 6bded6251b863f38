//! Verdicts on one process over several looks: what is learnt from each counts for the next.

use crate::orphan::evidence::{FileId, PathState, PidFile};
use crate::orphan::fixtures::*;

const ALIVE: &str = "alive workspace_alive";
const GONE: &str = "orphan workspace_path_missing";
const NEW: &str = "orphan workspace_replaced";

/// The process holds nothing any more: it changed its directory and closed its log.
fn witness_gone() -> Case {
    without_witness().path(exists(Some(RECREATED)))
}

fn deleted() -> Case {
    without_witness()
        .cwd(Seen::Deleted)
        .log(Seen::Deleted)
        .path(exists(Some(RECREATED)))
}

#[test]
fn a_deletion_once_proved_stays_proved_when_the_witness_is_gone() {
    let after = || healthy().then(deleted());
    assert_eq!(after().verdict(), NEW);
    let later = after().then(witness_gone());
    assert_eq!(later.verdict(), NEW);
    let missing_again = later.then(witness_gone().path(missing()));
    assert_eq!(missing_again.verdict(), GONE);
    let dangling_now = missing_again.then(witness_gone().path(dangling()));
    assert_eq!(dangling_now.verdict(), GONE);
}

#[test]
fn a_deletion_proved_while_the_path_gave_no_answer_counts_later() {
    let life = healthy()
        .then(deleted().path(PathState::TimedOut))
        .then(witness_gone());
    assert_eq!(life.verdict(), NEW);
}

#[test]
fn a_deletion_proved_by_the_log_alone_stays_one_by_the_log() {
    let life = healthy().then(deleted().cwd(Seen::Absent));
    assert_eq!(life.clone().then(witness_gone()).verdict(), NEW);
    let older = FileId {
        born_ns: Some(500),
        ..RECREATED
    };
    let life = life.then(witness_gone().path(exists(Some(older))));
    assert_eq!(life.verdict(), ALIVE);
}

#[test]
fn what_both_witnesses_proved_at_different_times_adds_up() {
    let life = deleted()
        .cwd(Seen::Absent)
        .path(missing())
        .then(deleted().log(Seen::Absent).path(missing()));
    let memory = life.then(witness_gone()).memory;
    assert_eq!(memory.deletion, Some(PROVED));
}

/// The last look at one that holds nothing, whose workspace was seen being deleted.
fn seen_deleted(next: Case) -> Case {
    without_witness()
        .then(without_witness())
        .remembering(|memory| memory.prove_deleted(&ORIGINAL))
        .then_without_learning(next)
}

#[test]
fn a_deletion_that_was_seen_as_it_happened_is_a_proof() {
    assert_eq!(seen_deleted(witness_gone()).verdict(), NEW);
    assert_eq!(seen_deleted(witness_gone().path(missing())).verdict(), GONE);
    let again = seen_deleted(witness_gone()).then(witness_gone());
    assert_eq!(again.verdict(), NEW);
    let unclear = seen_deleted(witness_gone().pid_file(PidFile::Unclear));
    assert_eq!(unclear.verdict(), ALIVE);
    assert_eq!(seen_deleted(without_witness()).verdict(), ALIVE);
}

#[test]
fn a_directory_that_named_the_process_once_takes_back_no_proof_that_it_holds() {
    // A backup was put back, with the pid file in it, and another coordinator took it over.
    let adopted = healthy()
        .then(deleted())
        .then(deleted().pid_file(PidFile::NamesIt));
    assert_eq!(adopted.verdict(), ALIVE);
    let given_up = adopted.then(deleted().pid_file(PidFile::NamesAnother(7)));
    assert_eq!(given_up.verdict(), NEW);
    assert_eq!(given_up.then(deleted()).verdict(), NEW);
}

#[test]
fn what_a_link_led_to_before_may_go() {
    // `ln -sfn rel/2 current; rm -rf rel/1`
    let elsewhere = || witness_gone().with(|evidence| evidence.resolved = Some(ELSEWHERE.into()));
    let moved_on = seen_deleted(elsewhere());
    assert_eq!(moved_on.verdict(), "unknown workspace_maybe_replaced");
    let later = moved_on.then(elsewhere());
    assert_eq!(later.verdict(), "unknown workspace_maybe_replaced");
    // And if it leads there again, nothing is there that it was started on.
    assert_eq!(later.then(witness_gone()).verdict(), NEW);
}

#[test]
fn the_proof_is_withdrawn_when_the_original_directory_is_back() {
    let back = healthy()
        .then(deleted())
        .then(witness_gone().path(exists(Some(ORIGINAL))));
    assert_eq!(back.verdict(), ALIVE);
    // And it stays withdrawn: what comes after is a doubt.
    let later = back.then(witness_gone());
    assert_eq!(later.verdict(), "unknown workspace_maybe_replaced");
}

#[test]
fn a_directory_of_the_same_number_and_another_birth_is_not_the_original() {
    for born_ns in [Some(9_999), None] {
        let other = FileId {
            born_ns,
            ..ORIGINAL
        };
        let life = healthy()
            .then(deleted())
            .then(witness_gone().path(exists(Some(other))));
        assert_eq!(life.verdict(), NEW, "{born_ns:?}");
    }
}

#[test]
fn without_birth_times_no_directory_is_known_to_be_the_original() {
    // Every btrfs subvolume root is inode 256.
    let nameless = FileId {
        born_ns: None,
        ..ORIGINAL
    };
    let life = healthy()
        .path(exists(Some(nameless)))
        .with(|evidence| evidence.cwd = Some(holding(WORKSPACE, nameless)))
        .then(deleted())
        .then(witness_gone().path(exists(Some(nameless))));
    assert_eq!(life.verdict(), NEW);
}

#[test]
fn the_proof_is_withdrawn_when_the_pid_file_names_the_process() {
    let adopted = healthy()
        .then(deleted())
        .then(witness_gone().pid_file(PidFile::NamesIt));
    assert_eq!(adopted.verdict(), ALIVE);
    let later = adopted.then(witness_gone());
    assert_eq!(later.verdict(), "unknown workspace_maybe_replaced");
}

#[test]
fn an_unclear_pid_file_suspends_the_proof_and_does_not_withdraw_it() {
    let unclear = healthy()
        .then(deleted())
        .then(witness_gone().pid_file(PidFile::Unclear));
    assert_eq!(unclear.verdict(), ALIVE);
    assert_eq!(unclear.then(witness_gone()).verdict(), NEW);
}

#[test]
fn a_cwd_that_was_seen_at_the_workspace_is_a_witness_wherever_it_is_now() {
    let moved = without_witness()
        .path(exists(Some(RECREATED)))
        .with(|evidence| evidence.cwd = Some(holding(ELSEWHERE, ORIGINAL)));
    // `mv ws ws2`: the coordinator has made the old path again, without a pid file.
    assert_eq!(
        healthy().then(moved.clone()).verdict(),
        "unknown workspace_moved"
    );
    // A daemon that never saw it there cannot tell.
    assert_eq!(moved.verdict(), ALIVE);
    let trashed =
        without_witness().with(|evidence| evidence.cwd = Some(holding(IN_TRASH, ORIGINAL)));
    assert_eq!(
        healthy().then(trashed).verdict(),
        "orphan workspace_trashed"
    );
}

#[test]
fn a_process_that_changes_its_directory_takes_no_witness_along() {
    let elsewhere = healthy().log(Seen::Absent).with(|evidence| {
        evidence.cwd = Some(holding(
            "/srv",
            FileId {
                inode: 5,
                ..ORIGINAL
            },
        ));
    });
    let life = healthy().then(elsewhere.clone());
    assert_eq!(life.verdict(), ALIVE);
    assert_eq!(life.then(elsewhere.path(missing())).verdict(), GONE);
}

#[test]
fn another_directory_than_the_remembered_one_is_a_doubt_without_a_witness() {
    let first = without_witness().path(exists(Some(ORIGINAL)));
    let life = first.clone().then(witness_gone());
    assert_eq!(life.verdict(), "unknown workspace_maybe_replaced");
    // The doubt lasts, and ends when the first directory is back.
    let life = life.then(witness_gone());
    assert_eq!(life.verdict(), "unknown workspace_maybe_replaced");
    assert_eq!(life.then(first).verdict(), ALIVE);
}

#[test]
fn a_directory_that_the_coordinator_made_itself_is_never_remembered_as_the_original() {
    // The daemon comes too late: at its first look the deletion has happened.
    let life = deleted().then(witness_gone());
    assert_eq!(life.memory.original, None);
    assert_eq!(life.verdict(), NEW);
}

#[test]
fn a_deletion_within_seconds_of_the_start_is_seen() {
    // The new directory is 5 s younger than the process; the log's birth needs no slack.
    let second = 1_000_000_000;
    let directory = FileId {
        born_ns: Some(8 * second),
        ..RECREATED
    };
    let case = without_witness()
        .log(Seen::Deleted)
        .path(exists(Some(directory)))
        .with(|evidence| {
            if let Some(log) = &mut evidence.log {
                log.id.born_ns = Some(3 * second);
            }
        });
    assert_eq!(case.verdict(), NEW);
}

#[test]
fn a_lazy_unmount_is_no_deletion_whatever_is_made_at_the_path() {
    let unmounted = without_witness()
        .cwd(Seen::Detached)
        .log(Seen::Detached)
        .path(exists(Some(FileId {
            device: 8,
            ..RECREATED
        })));
    let life = healthy().then(unmounted);
    assert_eq!(life.verdict(), "unknown workspace_unmounted");
    // Not even when a link count of zero is read on the detached mount.
    let emptied = life.clone().with(|evidence| {
        for held in [&mut evidence.cwd, &mut evidence.log].into_iter().flatten() {
            held.links = 0;
        }
    });
    assert_eq!(emptied.verdict(), "unknown workspace_unmounted");
    assert_eq!(life.then(healthy()).verdict(), ALIVE);
}

#[test]
fn a_process_that_enters_the_recreated_directory_does_not_make_it_the_original() {
    let entered = healthy()
        .then(deleted())
        .then(witness_gone().with(|evidence| evidence.cwd = Some(holding(WORKSPACE, RECREATED))));
    assert_eq!(entered.verdict(), ALIVE);
    assert_eq!(entered.then(witness_gone()).verdict(), NEW);
}
