//! Every row of the table, and which of two rows that both apply comes first.

use crate::orphan::coordinator::WorkspaceArgument;
use crate::orphan::evidence::{Access, Detachable, Filesystem, PathState, PidFile};
use crate::orphan::fixtures::*;
use crate::orphan::judge::explain;

fn unusable(mut case: Case) -> Case {
    case.argument = WorkspaceArgument::Unusable;
    case
}

fn remembering_another(case: Case) -> Case {
    case.remembering(|memory| memory.original = Some(RECREATED))
}

/// A situation for each row, which no row above it applies to.
fn situations() -> Vec<(&'static str, Case)> {
    let area = || Detachable::MountArea("/mnt".into());
    vec![
        ("unknown cmdline_unparsed", unusable(healthy())),
        ("unknown foreign_uid", healthy().access(Access::ForeignUid)),
        (
            "unknown foreign_namespace",
            healthy().access(Access::ForeignNamespace),
        ),
        (
            "unknown process_unreadable:EACCES",
            healthy().access(Access::Unreadable("EACCES")),
        ),
        ("unknown workspace_unmounted", healthy().cwd(Seen::Detached)),
        (
            "orphan workspace_trashed",
            healthy().cwd(Seen::Trashed).log(Seen::Trashed),
        ),
        (
            "unknown workspace_moved",
            healthy().cwd(Seen::Moved).log(Seen::Moved),
        ),
        (
            "unknown workspace_moved",
            without_witness().with(|evidence| evidence.cwd_pid_file = PidFile::NamesIt),
        ),
        (
            "unknown workspace_unmounted",
            without_witness().path(detachable(area())),
        ),
        (
            "unknown workspace_unresolved",
            without_witness().relative().path(missing()),
        ),
        (
            "orphan workspace_path_missing",
            without_witness().path(missing()),
        ),
        (
            "orphan workspace_path_missing",
            without_witness().log(Seen::Deleted).path(missing()),
        ),
        (
            "unknown workspace_dangling_symlink",
            without_witness().path(dangling()),
        ),
        (
            "unknown workspace_unreadable:ELOOP",
            healthy().path(PathState::Failed("ELOOP")),
        ),
        (
            "unknown workspace_timeout",
            healthy().path(PathState::TimedOut),
        ),
        (
            "orphan workspace_replaced",
            without_witness()
                .cwd(Seen::Deleted)
                .path(exists(Some(RECREATED))),
        ),
        (
            "unknown workspace_maybe_replaced",
            remembering_another(without_witness()),
        ),
        (
            "orphan ephemeral_tempdir_pattern:team-agent-test-",
            without_witness().at("/tmp/team-agent-test-7/ws"),
        ),
        ("alive workspace_alive", healthy()),
    ]
}

#[test]
fn every_row_of_the_table_applies_to_its_situation() {
    for (verdict, case) in situations() {
        assert_eq!(case.verdict(), verdict, "{case:#?}");
    }
}

#[test]
fn explain_shows_each_rule_up_to_the_first_that_applies() {
    for (verdict, case) in situations() {
        let tried = explain(&case.argument, &case.evidence, &case.memory, &case.rules);
        let (last, before) = tried.split_last().unwrap();
        assert!(before.iter().all(|(_, said)| said.is_none()), "{verdict}");
        let said = last.1.as_ref().unwrap();
        assert_eq!(format!("{} {}", said.word(), said.reason()), verdict);
    }
}

#[test]
fn of_two_rows_that_apply_the_upper_one_counts() {
    let everything_deleted = || {
        without_witness()
            .cwd(Seen::Deleted)
            .log(Seen::Deleted)
            .path(exists(Some(RECREATED)))
    };
    let named_in_cwd = |case: Case| case.with(|evidence| evidence.cwd_pid_file = PidFile::NamesIt);
    let area = || detachable(Detachable::MountArea("/mnt".into()));
    let cases = [
        (
            "unparsed before foreign",
            unusable(healthy().access(Access::ForeignUid)),
            "unknown cmdline_unparsed",
        ),
        (
            "foreign before a detached witness",
            healthy().access(Access::ForeignUid).cwd(Seen::Detached),
            "unknown foreign_uid",
        ),
        (
            "unreadable before a deletion",
            everything_deleted().access(Access::Unreadable("EPERM")),
            "unknown process_unreadable:EPERM",
        ),
        (
            "detached before trashed",
            healthy().cwd(Seen::Trashed).log(Seen::Detached),
            "unknown workspace_unmounted",
        ),
        (
            "detached before deleted",
            everything_deleted().log(Seen::Detached),
            "unknown workspace_unmounted",
        ),
        (
            "trashed before the pid file in the cwd",
            named_in_cwd(healthy().cwd(Seen::Trashed).log(Seen::Trashed)),
            "orphan workspace_trashed",
        ),
        (
            "trashed before an unmounted path",
            healthy().cwd(Seen::Trashed).log(Seen::Trashed).path(area()),
            "orphan workspace_trashed",
        ),
        (
            "trashed before a path that does not answer",
            healthy()
                .cwd(Seen::Trashed)
                .log(Seen::Trashed)
                .path(PathState::TimedOut),
            "orphan workspace_trashed",
        ),
        (
            "moved before deleted and replaced",
            everything_deleted().log(Seen::Moved),
            "unknown workspace_moved",
        ),
        (
            "the pid file in the cwd before deleted and replaced",
            named_in_cwd(everything_deleted()),
            "unknown workspace_moved",
        ),
        (
            "moved before missing and unmounted",
            without_witness().log(Seen::Moved).path(area()),
            "unknown workspace_moved",
        ),
        (
            "unmounted before unresolved",
            without_witness().relative().path(area()),
            "unknown workspace_unmounted",
        ),
        (
            "unmounted before missing",
            without_witness().path(area()),
            "unknown workspace_unmounted",
        ),
        (
            "missing before its ephemeral name",
            without_witness()
                .at("/tmp/team-agent-test-7/ws")
                .path(missing()),
            "orphan workspace_path_missing",
        ),
        (
            "no answer before its ephemeral name",
            without_witness()
                .at("/tmp/team-agent-test-7/ws")
                .path(PathState::Failed("EACCES")),
            "unknown workspace_unreadable:EACCES",
        ),
        (
            "no answer before a deletion that was proved",
            everything_deleted().path(PathState::Failed("EIO")),
            "unknown workspace_unreadable:EIO",
        ),
        (
            "maybe replaced before its ephemeral name",
            remembering_another(without_witness().at("/tmp/team-agent-test-7/ws")),
            "unknown workspace_maybe_replaced",
        ),
    ];
    for (what, case, verdict) in cases {
        assert_eq!(case.verdict(), verdict, "{what}");
    }
}

#[test]
fn only_a_process_that_may_be_judged_can_be_an_orphan() {
    let every_reason = [
        healthy().cwd(Seen::Trashed).log(Seen::Trashed),
        without_witness().path(missing()),
        without_witness().cwd(Seen::Deleted),
        without_witness().at("/tmp/team-agent-test-7/ws"),
    ];
    for case in every_reason {
        for (access, reason) in [
            (Access::ForeignUid, "unknown foreign_uid"),
            (Access::ForeignNamespace, "unknown foreign_namespace"),
            (
                Access::Unreadable("EACCES"),
                "unknown process_unreadable:EACCES",
            ),
        ] {
            assert_eq!(case.clone().access(access).verdict(), reason);
        }
    }
}

#[test]
fn a_path_that_gives_no_clear_answer_is_never_missing() {
    for errno in ["EACCES", "ELOOP", "ENAMETOOLONG", "EIO", "ESTALE", "EPERM"] {
        for case in [
            healthy(),
            without_witness(),
            without_witness().cwd(Seen::Deleted).log(Seen::Deleted),
        ] {
            assert_eq!(
                case.path(PathState::Failed(errno)).verdict(),
                format!("unknown workspace_unreadable:{errno}")
            );
        }
    }
    for case in [healthy(), without_witness().cwd(Seen::Deleted)] {
        let verdict = case.path(PathState::TimedOut).verdict();
        assert_eq!(verdict, "unknown workspace_timeout");
    }
}

#[test]
fn a_volume_that_may_come_back_is_not_a_deletion() {
    let reasons = [
        Detachable::Ancestor(Filesystem::Network),
        Detachable::Ancestor(Filesystem::Fuse),
        Detachable::Ancestor(Filesystem::Autofs),
        Detachable::MountArea("/run/media".into()),
        Detachable::Fstab("/home".into()),
        Detachable::RememberedMount,
        Detachable::HungMount,
    ];
    for why in reasons {
        let path = || detachable(why.clone());
        for seen in [Seen::Absent, Seen::InPlace, Seen::Unprovable] {
            let case = without_witness().log(seen).path(path());
            assert_eq!(case.verdict(), "unknown workspace_unmounted", "{why:?}");
        }
        // A deleted witness is stronger than where the path lies.
        let case = without_witness().log(Seen::Deleted).path(path());
        assert_eq!(case.verdict(), "orphan workspace_path_missing", "{why:?}");
    }
}

#[test]
fn a_relative_path_without_witness_is_not_resolved() {
    let case = || without_witness().relative();
    for (case, verdict) in [
        (case().path(missing()), "unknown workspace_unresolved"),
        (case().path(dangling()), "unknown workspace_unresolved"),
        (case(), "alive workspace_alive"),
        (
            case().log(Seen::Deleted).path(missing()),
            "orphan workspace_path_missing",
        ),
        (
            case().cwd(Seen::Elsewhere).path(missing()),
            "unknown workspace_unresolved",
        ),
        (
            case()
                .path(missing())
                .remembering(|memory| memory.deletion = Some(PROVED)),
            "orphan workspace_path_missing",
        ),
    ] {
        assert_eq!(case.verdict(), verdict, "{case:#?}");
    }
}

#[test]
fn a_symlink_that_leads_nowhere_needs_a_deleted_witness() {
    for (seen, verdict) in [
        (Seen::Absent, "unknown workspace_dangling_symlink"),
        (Seen::InPlace, "unknown workspace_dangling_symlink"),
        (Seen::Unprovable, "unknown workspace_dangling_symlink"),
        (Seen::Deleted, "orphan workspace_path_missing"),
    ] {
        let case = without_witness().log(seen).path(dangling());
        assert_eq!(case.verdict(), verdict, "{seen:?}");
    }
}
