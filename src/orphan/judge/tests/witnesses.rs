//! Cwd and log: every fate of one against every fate of the other.

use crate::orphan::evidence::{FileId, Filesystem, Holding, PathState};
use crate::orphan::fixtures::*;
use crate::orphan::memory::ProvedDeletion;

use Seen::{Absent, Deleted, Detached, InPlace, Moved, Trashed, Unprovable};

const FATES: [Seen; 7] = [
    Absent, InPlace, Deleted, Trashed, Moved, Detached, Unprovable,
];

/// A row a fate of the cwd, a column a fate of the log, both in the order of `FATES`.
type Matrix = [[&'static str; 7]; 7];

const ALIVE: &str = "alive workspace_alive";
const GONE: &str = "orphan workspace_path_missing";
const NEW: &str = "orphan workspace_replaced";
const TRASH: &str = "orphan workspace_trashed";
const MOVED: &str = "unknown workspace_moved";
const MOUNT: &str = "unknown workspace_unmounted";
const ENOENT: &str = "unknown workspace_unreadable:ENOENT";

fn check(path: &PathState, expected: &Matrix) {
    for (cwd, row) in FATES.into_iter().zip(expected) {
        for (log, verdict) in FATES.into_iter().zip(row) {
            let case = without_witness().cwd(cwd).log(log).path(path.clone());
            assert_eq!(case.verdict(), *verdict, "cwd {cwd:?}, log {log:?}");
        }
    }
}

#[test]
fn witnesses_decide_what_a_missing_path_means() {
    // A link count that proves nothing does not contradict one that does.
    check(
        &missing(),
        &[
            // log: absent, in place, deleted, trashed, moved, detached, unprovable
            [GONE, ENOENT, GONE, TRASH, MOVED, MOUNT, ENOENT],
            [ENOENT, ENOENT, ENOENT, MOVED, MOVED, MOUNT, ENOENT],
            [GONE, ENOENT, GONE, TRASH, MOVED, MOUNT, GONE],
            [TRASH, MOVED, TRASH, TRASH, MOVED, MOUNT, TRASH],
            [MOVED, MOVED, MOVED, MOVED, MOVED, MOUNT, MOVED],
            [MOUNT, MOUNT, MOUNT, MOUNT, MOUNT, MOUNT, MOUNT],
            [ENOENT, ENOENT, GONE, TRASH, MOVED, MOUNT, ENOENT],
        ],
    );
}

#[test]
fn witnesses_decide_what_a_younger_directory_at_the_path_means() {
    check(
        &exists(Some(RECREATED)),
        &[
            // log: absent, in place, deleted, trashed, moved, detached, unprovable
            [ALIVE, ALIVE, NEW, TRASH, MOVED, MOUNT, ALIVE],
            [ALIVE, ALIVE, ALIVE, MOVED, MOVED, MOUNT, ALIVE],
            [NEW, ALIVE, NEW, TRASH, MOVED, MOUNT, NEW],
            [TRASH, MOVED, TRASH, TRASH, MOVED, MOUNT, TRASH],
            [MOVED, MOVED, MOVED, MOVED, MOVED, MOUNT, MOVED],
            [MOUNT, MOUNT, MOUNT, MOUNT, MOUNT, MOUNT, MOUNT],
            [ALIVE, ALIVE, NEW, TRASH, MOVED, MOUNT, ALIVE],
        ],
    );
}

#[test]
fn a_cwd_that_never_was_the_workspace_is_no_witness() {
    // Inherited from the caller, like the current product's: whatever became of it means nothing.
    let elsewhere = |links, filesystem| Holding {
        links,
        filesystem,
        ..holding(
            "/srv/launcher",
            FileId {
                inode: 5,
                ..ORIGINAL
            },
        )
    };
    for cwd in [
        elsewhere(2, Filesystem::Local),
        elsewhere(0, Filesystem::Local),
        elsewhere(0, Filesystem::Network),
    ] {
        let case = || without_witness().with(|evidence| evidence.cwd = Some(cwd.clone()));
        assert_eq!(case().verdict(), ALIVE);
        assert_eq!(case().path(exists(Some(RECREATED))).verdict(), ALIVE);
        assert_eq!(case().path(missing()).verdict(), GONE);
    }
}

#[test]
fn network_and_fuse_file_systems_prove_no_deletion() {
    for filesystem in [
        Filesystem::Network,
        Filesystem::Fuse,
        Filesystem::Autofs,
        Filesystem::Other,
    ] {
        let case = without_witness()
            .cwd(Deleted)
            .log(Deleted)
            .with(|evidence| {
                for held in [&mut evidence.cwd, &mut evidence.log].into_iter().flatten() {
                    held.filesystem = filesystem;
                }
            });
        let recreated = case.clone().path(exists(Some(RECREATED)));
        assert_eq!(recreated.verdict(), ALIVE, "{filesystem:?}");
        assert_eq!(case.path(missing()).verdict(), ENOENT, "{filesystem:?}");
    }
}

#[test]
fn overlayfs_proves_a_deletion_by_the_cwd_but_not_by_a_birth_time() {
    let unsteady = |case: Case| {
        case.with(|evidence| {
            for held in [&mut evidence.cwd, &mut evidence.log].into_iter().flatten() {
                held.filesystem = Filesystem::Unsteady;
            }
        })
    };
    let gone = unsteady(without_witness().log(Deleted).path(missing()));
    assert_eq!(gone.verdict(), GONE);
    let by_cwd = unsteady(without_witness().cwd(Deleted).path(exists(None)));
    assert_eq!(by_cwd.verdict(), NEW);
    // Copy-up sets a birth time to now: a younger directory says nothing there.
    let by_birth = unsteady(without_witness().log(Deleted).path(exists(Some(RECREATED))));
    assert_eq!(by_birth.verdict(), ALIVE);
}

#[test]
fn a_log_alone_proves_a_replacement_only_by_a_directory_born_after_it() {
    let born = |born_ns| FileId {
        born_ns,
        ..RECREATED
    };
    for (what, directory, verdict) in [
        ("after", Some(born(Some(2_001))), NEW),
        ("equal", Some(born(Some(2_000))), ALIVE),
        ("before", Some(born(Some(1_999))), ALIVE),
        ("unknown", Some(born(None)), ALIVE),
        ("not a directory that can be told", None, ALIVE),
        (
            "another device",
            Some(FileId {
                device: 8,
                ..RECREATED
            }),
            ALIVE,
        ),
    ] {
        let case = without_witness().log(Deleted).path(exists(directory));
        assert_eq!(case.verdict(), verdict, "{what}");
        // A cwd that was the workspace needs no comparison.
        assert_eq!(case.cwd(Deleted).verdict(), NEW, "{what}");
    }
    let log_without_birth = without_witness()
        .log(Deleted)
        .path(exists(Some(RECREATED)))
        .with(|evidence| {
            if let Some(log) = &mut evidence.log {
                log.id.born_ns = None;
            }
        });
    assert_eq!(log_without_birth.verdict(), ALIVE);
}

#[test]
fn in_a_chroot_the_kernel_names_the_workspace_below_the_root() {
    let in_jail = |path: &str| {
        without_witness().path(missing()).with(|evidence| {
            evidence.root = "/srv/jail".into();
            evidence.cwd = Some(Holding {
                links: 0,
                ..holding(path, ORIGINAL)
            });
        })
    };
    assert_eq!(in_jail("/srv/jail/home/me/ws").verdict(), GONE);
    let recreated = exists(Some(RECREATED));
    let replaced = in_jail("/srv/jail/home/me/ws").path(recreated.clone());
    assert_eq!(replaced.verdict(), NEW);
    // The same name outside the jail is another directory: no witness.
    assert_eq!(in_jail("/home/me/ws").path(recreated).verdict(), ALIVE);
}

#[test]
fn a_workspace_behind_a_symlink_has_its_witnesses_where_the_link_leads() {
    let case = |cwd: &str| {
        without_witness()
            .path(exists(Some(RECREATED)))
            .with(|evidence| {
                evidence.resolved = Some("/data/ws".into());
                evidence.cwd = Some(Holding {
                    links: 0,
                    ..holding(cwd, ORIGINAL)
                });
            })
    };
    assert_eq!(case("/data/ws").verdict(), NEW);
    assert_eq!(case("/home/me/ws").verdict(), NEW);
    assert_eq!(case("/data/other").verdict(), ALIVE);
}

#[test]
fn a_directory_beside_the_trash_is_not_in_it() {
    let case = |path: &str| without_witness().with(|evidence| evidence.log = Some(log_in(path)));
    assert_eq!(
        case("/home/me/.local/share/Trash/files/ws").verdict(),
        TRASH
    );
    assert_eq!(case("/home/me/.local/share/Trashed/ws").verdict(), MOVED);
}

#[test]
fn a_log_that_was_deleted_earlier_proves_a_replacement_only_by_a_directory_born_after_it() {
    // Nothing is held any more, and at the path is what somebody put there.
    let with = |proved: ProvedDeletion, born_ns| {
        without_witness()
            .path(exists(Some(FileId {
                born_ns,
                ..RECREATED
            })))
            .remembering(|memory| memory.deletion = Some(proved))
            .verdict()
    };
    let by_log = ProvedDeletion {
        of_workspace: false,
        log: Some(LOG),
    };
    for (born_ns, verdict) in [
        (Some(2_001), NEW),
        (Some(2_000), ALIVE),
        (Some(1_999), ALIVE),
        (None, ALIVE),
    ] {
        assert_eq!(with(by_log, born_ns), verdict, "{born_ns:?}");
        assert_eq!(with(PROVED, born_ns), NEW, "{born_ns:?}");
    }
}
