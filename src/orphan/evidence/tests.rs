//! What a single fact means by itself.

use super::*;
use crate::orphan::fixtures::*;

fn cwd_fate(case: &Case) -> Option<Fate> {
    case.evidence.cwd_fate(case.memory.cwd_at_workspace)
}

#[test]
fn a_path_of_the_processs_view_is_named_below_its_root() {
    for (root, path, outside) in [
        ("/", "/home/me/ws", "/home/me/ws"),
        ("/srv/jail", "/home/me/ws", "/srv/jail/home/me/ws"),
        ("/srv/jail", "/", "/srv/jail"),
        ("/srv/jail/", "/ws", "/srv/jail/ws"),
        ("/srv/jail", "ws", "/srv/jail/ws"),
    ] {
        let named = seen_from_outside(Path::new(root), Path::new(path));
        assert_eq!(named, Path::new(outside), "{root} {path}");
    }
}

#[test]
fn dots_are_taken_out_by_the_text_alone() {
    for (path, normal) in [
        ("/a/b/../c", "/a/c"),
        ("/a/./b/", "/a/b"),
        ("/../a", "/a"),
        ("/a/../../b", "/b"),
        ("/", "/"),
        ("/..", "/"),
        ("a/./b", "a/b"),
        ("/a//b", "/a/b"),
        ("/a/...", "/a/..."),
    ] {
        assert_eq!(normalised(Path::new(path)), Path::new(normal), "{path}");
    }
}

#[test]
fn each_fate_is_told_from_link_count_place_and_mount() {
    for (seen, fate) in [
        (Seen::Absent, None),
        (Seen::InPlace, Some(Fate::InPlace)),
        (Seen::Deleted, Some(Fate::Deleted)),
        (Seen::Trashed, Some(Fate::Trashed)),
        (Seen::Moved, Some(Fate::Moved)),
        (Seen::Detached, Some(Fate::Detached)),
        (Seen::Unprovable, Some(Fate::Unprovable)),
    ] {
        let case = without_witness().cwd(seen).log(seen);
        assert_eq!(cwd_fate(&case), fate, "cwd {seen:?}");
        assert_eq!(case.evidence.log_fate(), fate, "log {seen:?}");
    }
    let case = without_witness().cwd(Seen::Elsewhere);
    assert_eq!(
        cwd_fate(&case),
        None,
        "a cwd is a witness only by its place"
    );
}

#[test]
fn a_link_count_of_zero_is_believed_on_some_file_systems() {
    for (filesystem, fate) in [
        (Filesystem::Local, Fate::Deleted),
        (Filesystem::Unsteady, Fate::Deleted),
        (Filesystem::Network, Fate::Unprovable),
        (Filesystem::Fuse, Fate::Unprovable),
        (Filesystem::Autofs, Fate::Unprovable),
        (Filesystem::Other, Fate::Unprovable),
    ] {
        let case = without_witness()
            .cwd(Seen::Deleted)
            .log(Seen::Deleted)
            .with(|evidence| {
                for held in [&mut evidence.cwd, &mut evidence.log].into_iter().flatten() {
                    held.filesystem = filesystem;
                }
            });
        assert_eq!(cwd_fate(&case), Some(fate), "{filesystem:?}");
        assert_eq!(case.evidence.log_fate(), Some(fate), "{filesystem:?}");
    }
}

#[test]
fn a_detached_mount_outweighs_a_link_count_and_a_place() {
    for seen in [Seen::InPlace, Seen::Deleted, Seen::Trashed, Seen::Moved] {
        let case = without_witness().cwd(seen).log(seen).with(|evidence| {
            for held in [&mut evidence.cwd, &mut evidence.log].into_iter().flatten() {
                held.mount = MountState::Detached;
            }
        });
        assert_eq!(cwd_fate(&case), Some(Fate::Detached), "{seen:?}");
        assert_eq!(case.evidence.log_fate(), Some(Fate::Detached), "{seen:?}");
    }
}

#[test]
fn a_cwd_that_was_seen_at_the_workspace_is_known_again_by_its_numbers() {
    let elsewhere = |bend: fn(&mut Holding)| {
        let mut cwd = holding(ELSEWHERE, ORIGINAL);
        bend(&mut cwd);
        without_witness().with(|evidence| evidence.cwd = Some(cwd))
    };
    let seen = |case: Case, id| case.evidence.cwd_fate(id);
    assert_eq!(seen(elsewhere(|_| {}), Some(ORIGINAL)), Some(Fate::Moved));
    assert_eq!(seen(elsewhere(|_| {}), None), None);
    assert_eq!(seen(elsewhere(|_| {}), Some(RECREATED)), None);
    let reborn = elsewhere(|cwd| cwd.id.born_ns = Some(5));
    assert_eq!(seen(reborn, Some(ORIGINAL)), None);
    // On overlayfs the number says nothing.
    let on_overlay = elsewhere(|cwd| cwd.filesystem = Filesystem::Unsteady);
    assert_eq!(seen(on_overlay, Some(ORIGINAL)), None);
}

#[test]
fn a_log_with_a_second_link_is_not_thrown_away_with_the_first() {
    let with_links = |links| {
        without_witness().log(Seen::Trashed).with(|evidence| {
            if let Some(log) = &mut evidence.log {
                log.links = links;
            }
        })
    };
    assert_eq!(with_links(1).evidence.log_fate(), Some(Fate::Trashed));
    assert_eq!(with_links(2).evidence.log_fate(), Some(Fate::Moved));
    assert_eq!(with_links(2).verdict(), "unknown workspace_moved");
    // A directory has a link for each directory in it.
    let cwd = without_witness().cwd(Seen::Trashed).with(|evidence| {
        if let Some(cwd) = &mut evidence.cwd {
            cwd.links = 5;
        }
    });
    assert_eq!(cwd_fate(&cwd), Some(Fate::Trashed));
}

#[test]
fn every_trash_counts() {
    for (trash, path) in [
        (
            "/home/me/.local/share/Trash",
            "/home/me/.local/share/Trash/files/ws",
        ),
        (
            "/media/disk/.Trash-1000",
            "/media/disk/.Trash-1000/files/ws",
        ),
        ("/media/disk/.Trash", "/media/disk/.Trash/1000/files/ws"),
        ("/Users/me/.Trash", "/Users/me/.Trash/ws"),
    ] {
        let case = without_witness().with(|evidence| {
            evidence.trashes = vec!["/elsewhere/.Trash".into(), trash.into()];
            evidence.log = Some(log_in(path));
        });
        assert_eq!(case.evidence.log_fate(), Some(Fate::Trashed), "{path}");
        let no_trash = case.with(|evidence| evidence.trashes.clear());
        assert_eq!(no_trash.evidence.log_fate(), Some(Fate::Moved), "{path}");
    }
}

#[test]
fn a_workspace_that_lies_in_a_trash_itself_is_in_place_there() {
    let case = healthy().at(IN_TRASH).with(|evidence| {
        evidence.cwd = Some(holding(IN_TRASH, ORIGINAL));
        evidence.log = Some(log_in(IN_TRASH));
    });
    assert_eq!(cwd_fate(&case), Some(Fate::InPlace));
    assert_eq!(case.evidence.log_fate(), Some(Fate::InPlace));
}

#[test]
fn only_the_log_of_this_workspace_is_in_place() {
    for (path, fate) in [
        ("/home/me/ws/.team/runtime/coordinator.log", Fate::InPlace),
        ("/home/me/ws/sub/.team/runtime/coordinator.log", Fate::Moved),
        ("/home/me/.team/runtime/coordinator.log", Fate::Moved),
        ("/coordinator.log", Fate::Moved),
    ] {
        let case = without_witness().with(|evidence| {
            evidence.log = Some(Holding {
                links: 1,
                ..holding(path, LOG)
            })
        });
        assert_eq!(case.evidence.log_fate(), Some(fate), "{path}");
    }
}

#[test]
fn without_a_known_path_nothing_is_at_the_workspace() {
    let case = healthy().with(|evidence| {
        evidence.workspace = None;
        evidence.resolved = None;
    });
    assert!(!case.evidence.is_workspace(Path::new(WORKSPACE)));
    assert_eq!(cwd_fate(&case), None);
}

#[test]
fn a_process_that_was_not_looked_into_has_its_path_and_nothing_else() {
    let given = |path: &str| WorkspaceArgument::Given(path.into());
    let look = |argument: &WorkspaceArgument| {
        Evidence::not_probed(Access::ForeignUid, argument, PathState::NotProbed)
    };
    let absolute = look(&given(WORKSPACE));
    assert_eq!(absolute.workspace, Some(WORKSPACE.into()));
    assert!(!absolute.relative);
    let relative = look(&given("ws"));
    assert_eq!(relative.workspace, None);
    assert!(relative.relative);
    let none = look(&WorkspaceArgument::Unusable);
    assert_eq!((&none.workspace, none.relative), (&None, false));
    for evidence in [absolute, relative, none] {
        assert_eq!((&evidence.cwd, &evidence.log), (&None, &None));
        assert_eq!(evidence.pid_file, PidFile::Unclear);
        assert!(!evidence.pid_file.names_somebody_else());
        assert_ne!(evidence.cwd_pid_file, PidFile::NamesIt);
    }
}

#[test]
fn only_absence_or_another_number_names_somebody_else() {
    assert!(PidFile::Absent.names_somebody_else());
    assert!(PidFile::NamesAnother(7).names_somebody_else());
    assert!(!PidFile::NamesIt.names_somebody_else());
    assert!(!PidFile::Unclear.names_somebody_else());
}

#[test]
fn what_each_file_system_is_good_for() {
    for (filesystem, proves, identifies, comes_and_goes) in [
        (Filesystem::Local, true, true, false),
        (Filesystem::Unsteady, true, false, false),
        (Filesystem::Network, false, false, true),
        (Filesystem::Fuse, false, false, true),
        (Filesystem::Autofs, false, false, true),
        (Filesystem::Other, false, false, false),
    ] {
        assert_eq!(filesystem.proves_deletion(), proves, "{filesystem:?}");
        assert_eq!(filesystem.identifies_files(), identifies, "{filesystem:?}");
        assert_eq!(
            filesystem.comes_and_goes(),
            comes_and_goes,
            "{filesystem:?}"
        );
    }
}

#[test]
fn why_a_path_may_come_back_is_said_with_what_it_hangs_on() {
    for (why, word) in [
        (Detachable::Ancestor(Filesystem::Network), "Network"),
        (Detachable::Ancestor(Filesystem::Autofs), "Autofs"),
        (Detachable::MountArea("/run/media".into()), "/run/media"),
        (Detachable::Fstab("/srv/disk".into()), "/srv/disk"),
        (Detachable::RememberedMount, "mount"),
    ] {
        assert!(why.describe().contains(word), "{why:?}: {}", why.describe());
    }
}
