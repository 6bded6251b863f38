//! What a look leaves behind, and what it takes back.

mod logs;

use super::*;
use crate::orphan::evidence::{Access, Filesystem, Holding, MountState};
use crate::orphan::fixtures::*;

/// What one look teaches somebody who knows nothing.
fn learnt(case: Case) -> Memory {
    let mut memory = Memory::default();
    memory.learn(&case.evidence);
    memory
}

/// What this look makes of a memory with a proved deletion.
fn after_proof(case: Case) -> Memory {
    let mut memory = Memory {
        cwd_at_workspace: Some(ORIGINAL),
        original: Some(ORIGINAL),
        mount: Some(MOUNT),
        home: None,
        deletion: Some(PROVED),
        discredited_log: None,
        hung_on: None,
    };
    memory.learn(&case.evidence);
    memory
}

#[test]
fn of_a_path_that_was_never_seen_it_is_known_what_it_hung_on() {
    const HUNG: Option<u64> = Some(77);
    let timed_out = || {
        let case = without_witness().path(PathState::TimedOut);
        case.with(|evidence| evidence.mount_by_name = HUNG)
    };
    let mut memory = learnt(timed_out());
    assert_eq!(memory.hung_on, HUNG);
    for path in [
        missing(),
        PathState::NotProbed,
        PathState::Failed("EIO"),
        PathState::TimedOut,
    ] {
        memory.learn(&without_witness().path(path).evidence);
        assert_eq!(memory.hung_on, HUNG);
    }
    // Where it was it is known then.
    memory.learn(&without_witness().path(exists(Some(ORIGINAL))).evidence);
    assert_eq!((memory.hung_on, memory.mount), (None, Some(MOUNT)));
    memory.learn(&timed_out().evidence);
    assert_eq!(memory.hung_on, None);
    // It was not begun to look.
    assert_eq!(learnt(timed_out().path(PathState::NotProbed)).hung_on, None);
}

/// What is made of the news that a directory was deleted.
fn told_of(mut memory: Memory, deleted: &FileId) -> Memory {
    memory.prove_deleted(deleted);
    memory
}

#[test]
fn a_deletion_that_was_seen_is_the_workspaces_if_it_was_its_home() {
    let unborn = FileId {
        born_ns: None,
        ..ORIGINAL
    };
    for (original, deleted, is_proof) in [
        (ORIGINAL, ORIGINAL, true),
        (ORIGINAL, RECREATED, false),
        (ORIGINAL, unborn, false),
        // Without a time of birth its number may be another one's.
        (unborn, unborn, false),
    ] {
        let memory = learnt(without_witness().path(exists(Some(original))));
        let memory = told_of(memory, &deleted);
        assert_eq!(
            memory.knows_of_a_deletion(),
            is_proof,
            "{original:?} {deleted:?}"
        );
    }
}

#[test]
fn home_is_what_was_there_at_the_start_or_was_seen_to_name_the_process() {
    const TICKS: i128 = 20_000_000;
    for (started, pid_file, is_home) in [
        (Some(STARTED_NS), PidFile::Absent, true),
        // A start is known to a clock tick.
        (Some(STARTED_NS - TICKS), PidFile::Absent, true),
        (Some(STARTED_NS - TICKS - 1), PidFile::Absent, false),
        (None, PidFile::Absent, false),
        (
            Some(STARTED_NS - TICKS - 1),
            PidFile::NamesAnother(7),
            false,
        ),
        (Some(STARTED_NS - TICKS - 1), PidFile::Unclear, false),
        (Some(STARTED_NS - TICKS - 1), PidFile::NamesIt, true),
        (None, PidFile::NamesIt, true),
    ] {
        let case = without_witness()
            .pid_file(pid_file)
            .with(|evidence| evidence.process_started_ns = started);
        let memory = told_of(learnt(case), &ORIGINAL);
        assert_eq!(
            memory.knows_of_a_deletion(),
            is_home,
            "{started:?} {pid_file:?}"
        );
    }
}

#[test]
fn what_came_later_to_its_place_is_no_home_unless_it_names_the_process() {
    let later = || without_witness().path(exists(Some(RECREATED)));
    let mut memory = learnt(without_witness());
    // However old it is: it was elsewhere.
    let old = FileId {
        born_ns: Some(1),
        ..RECREATED
    };
    for case in [later(), later().path(exists(Some(old)))] {
        memory.learn(&case.evidence);
        assert_eq!(memory.home.as_ref().unwrap().directory, ORIGINAL);
    }
    memory.learn(&later().pid_file(PidFile::NamesIt).evidence);
    assert_eq!(memory.home.as_ref().unwrap().directory, RECREATED);
    assert!(!told_of(memory.clone(), &ORIGINAL).knows_of_a_deletion());
    assert!(told_of(memory, &RECREATED).knows_of_a_deletion());
}

#[test]
fn what_shows_below_a_mount_that_went_is_neither_the_original_nor_home() {
    let on = |mount, directory| PathState::Exists { directory, mount };
    let other = MountKey { id: 31, device: 8 };
    // On the first mount nothing can be known again.
    let mut memory = learnt(without_witness().path(on(MOUNT, None)));
    memory.learn(&without_witness().path(on(other, Some(ORIGINAL))).evidence);
    assert_eq!(memory.original, None);
    // Nor if it names the process, which may have made that again, too.
    let named = without_witness().pid_file(PidFile::NamesIt);
    memory.learn(&named.path(on(other, Some(ORIGINAL))).evidence);
    assert_eq!(memory.home, None);
    assert_eq!(memory.mount, Some(MOUNT));
    memory.learn(&without_witness().path(on(other, None)).evidence);
    assert_eq!(
        memory.mount,
        Some(MOUNT),
        "nobody is known again by nothing"
    );
    memory.learn(&without_witness().path(on(MOUNT, Some(ORIGINAL))).evidence);
    assert_eq!(memory.original, Some(ORIGINAL));
}

#[test]
fn a_deletion_that_was_seen_is_taken_back_like_any_other() {
    let gone = told_of(learnt(without_witness()), &ORIGINAL);
    for (case, is_kept) in [
        (without_witness().path(missing()), true),
        (without_witness().path(exists(Some(RECREATED))), true),
        (without_witness().path(PathState::TimedOut), true),
        (without_witness(), false),
        (
            without_witness()
                .path(exists(Some(RECREATED)))
                .pid_file(PidFile::NamesIt),
            false,
        ),
    ] {
        let mut memory = gone.clone();
        memory.learn(&case.evidence);
        assert_eq!(memory.knows_of_a_deletion(), is_kept, "{:?}", case.evidence);
        assert_eq!(memory.original, Some(ORIGINAL));
    }
}

fn with_cwd(bend: impl FnOnce(&mut Holding)) -> Case {
    healthy().with(|evidence| {
        if let Some(cwd) = &mut evidence.cwd {
            bend(cwd);
        }
    })
}

#[test]
fn a_healthy_look_teaches_where_everything_was() {
    assert_eq!(
        learnt(healthy()),
        Memory {
            cwd_at_workspace: Some(ORIGINAL),
            original: Some(ORIGINAL),
            mount: Some(MOUNT),
            home: Some(Home {
                directory: ORIGINAL,
                at: Some(WORKSPACE.into()),
                is_deleted: false,
            }),
            deletion: None,
            discredited_log: None,
            hung_on: None,
        }
    );
}

#[test]
fn a_cwd_is_remembered_only_where_it_can_be_known_again() {
    type Bend = fn(&mut Holding);
    let cases: [(&str, Bend); 5] = [
        ("elsewhere", |cwd| cwd.path = "/srv".into()),
        ("deleted", |cwd| cwd.links = 0),
        ("on overlayfs", |cwd| cwd.filesystem = Filesystem::Unsteady),
        ("on a network", |cwd| cwd.filesystem = Filesystem::Network),
        ("on FUSE", |cwd| cwd.filesystem = Filesystem::Fuse),
    ];
    for (what, bend) in cases {
        assert_eq!(learnt(with_cwd(bend)).cwd_at_workspace, None, "{what}");
    }
}

#[test]
fn a_look_that_shows_nothing_forgets_nothing() {
    let before = after_proof(without_witness().path(missing()));
    assert_eq!(
        before,
        after_proof(without_witness().path(PathState::TimedOut))
    );
    let foreign = without_witness()
        .path(PathState::NotProbed)
        .access(Access::ForeignUid)
        .pid_file(PidFile::Unclear);
    assert_eq!(before, after_proof(foreign));
    assert_eq!(before.deletion, Some(PROVED));
    assert_eq!(before.original, Some(ORIGINAL));
    assert_eq!(before.cwd_at_workspace, Some(ORIGINAL));
    assert_eq!(before.mount, Some(MOUNT));
}

#[test]
fn the_first_directory_seen_is_the_original_and_stays_it() {
    let mut memory = Memory::default();
    memory.learn(&without_witness().path(exists(None)).evidence);
    assert_eq!(memory.original, None, "nothing that could be told again");
    memory.learn(&without_witness().evidence);
    memory.learn(&without_witness().path(exists(Some(RECREATED))).evidence);
    assert_eq!(memory.original, Some(ORIGINAL));
}

#[test]
fn the_mount_remembered_is_the_last_one_seen() {
    let on = |mount| {
        without_witness().path(PathState::Exists {
            directory: Some(ORIGINAL),
            mount,
        })
    };
    let mut memory = learnt(on(MOUNT));
    let other = MountKey { id: 31, device: 8 };
    memory.learn(&on(other).evidence);
    assert_eq!(memory.mount, Some(other));
    memory.learn(&without_witness().path(missing()).evidence);
    assert_eq!(memory.mount, Some(other));
}

#[test]
fn a_deleted_witness_is_a_proof_that_says_what_was_deleted() {
    let recreated = || without_witness().path(exists(Some(RECREATED)));
    for (case, of_workspace, log) in [
        (recreated().cwd(Seen::Deleted), true, None),
        (recreated().log(Seen::Deleted), false, Some(LOG)),
        (
            recreated().cwd(Seen::Deleted).log(Seen::Deleted),
            true,
            Some(LOG),
        ),
    ] {
        let memory = learnt(case);
        assert_eq!(memory.deletion, Some(ProvedDeletion { of_workspace, log }));
        assert_eq!(
            memory.original, None,
            "what is there now is not the original"
        );
    }
}

#[test]
fn no_other_fate_is_a_proof() {
    for seen in [
        Seen::Absent,
        Seen::InPlace,
        Seen::Trashed,
        Seen::Moved,
        Seen::Detached,
        Seen::Unprovable,
    ] {
        assert_eq!(learnt(without_witness().cwd(seen)).deletion, None);
        assert_eq!(learnt(without_witness().log(seen)).deletion, None);
    }
    // Deleted, and on a mount that is gone: the mount counts.
    let both = without_witness().log(Seen::Deleted).with(|evidence| {
        if let Some(log) = &mut evidence.log {
            log.mount = MountState::Detached;
        }
    });
    assert_eq!(learnt(both).deletion, None);
}

#[test]
fn the_birth_of_a_log_is_kept_only_where_birth_times_hold() {
    let on_overlay = without_witness().log(Seen::Deleted).with(|evidence| {
        if let Some(log) = &mut evidence.log {
            log.filesystem = Filesystem::Unsteady;
        }
    });
    let memory = learnt(on_overlay);
    let proved = ProvedDeletion {
        of_workspace: false,
        log: None,
    };
    assert_eq!(memory.deletion, Some(proved));
}

#[test]
fn a_proof_is_kept_whatever_stands_at_the_path_but_the_original() {
    for path in [
        missing(),
        dangling(),
        exists(None),
        exists(Some(RECREATED)),
        exists(Some(FileId {
            born_ns: None,
            ..ORIGINAL
        })),
        exists(Some(FileId {
            born_ns: Some(1),
            ..ORIGINAL
        })),
        exists(Some(FileId {
            device: 8,
            ..ORIGINAL
        })),
        PathState::Failed("EACCES"),
        PathState::TimedOut,
    ] {
        let kept = after_proof(without_witness().path(path.clone())).deletion;
        assert_eq!(kept, Some(PROVED), "{path:?}");
    }
    let back = after_proof(without_witness().path(exists(Some(ORIGINAL))));
    assert_eq!(back.deletion, None);
}

#[test]
fn a_proof_is_kept_whatever_the_pid_file_says_but_its_pid() {
    for (pid_file, kept) in [
        (PidFile::Absent, Some(PROVED)),
        (PidFile::NamesAnother(7), Some(PROVED)),
        (PidFile::Unclear, Some(PROVED)),
        (PidFile::NamesIt, None),
    ] {
        let case = without_witness()
            .path(exists(Some(RECREATED)))
            .pid_file(pid_file);
        assert_eq!(after_proof(case).deletion, kept, "{pid_file:?}");
    }
}

#[test]
fn a_witness_that_is_deleted_proves_nothing_while_the_pid_file_names_the_process() {
    let adopted = without_witness()
        .cwd(Seen::Deleted)
        .log(Seen::Deleted)
        .path(exists(Some(RECREATED)))
        .pid_file(PidFile::NamesIt);
    assert_eq!(learnt(adopted.clone()).deletion, None);
    assert_eq!(after_proof(adopted).deletion, None);
}
