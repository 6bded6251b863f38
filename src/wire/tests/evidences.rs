//! Evidence: every state in its word.

use super::*;
use crate::orphan::evidence::{Access, Detachable, Filesystem, PathState, PidFile};
use crate::orphan::fixtures::*;
use crate::wire::evidence::evidence;

const ALWAYS: [&str; 6] = ["access", "path", "resolved", "pid_file", "cwd", "log"];
const HELD: [&str; 6] = ["path", "links", "fate", "is_witness", "mounted", "id"];

fn shown(case: &Case) -> Value {
    evidence(&case.evidence, &case.memory)
}

#[test]
fn what_is_said_of_a_healthy_one() {
    let found = shown(&healthy());
    assert_keys(&found, &[&ALWAYS, &["directory"]]);
    for held in ["cwd", "log"] {
        assert_keys(&found[held], &[&HELD]);
        assert_eq!(found[held]["fate"], "in_place");
        assert_eq!(found[held]["is_witness"], true);
        assert_eq!(found[held]["mounted"], true);
        assert_keys(&found[held]["id"], &[&["device", "inode", "born_ns"]]);
    }
    assert_eq!(found["directory"], found["cwd"]["id"]);
}

#[test]
fn each_path_state_has_its_word() {
    for (path, word, more) in [
        (exists(None), "exists", vec![]),
        (exists(Some(ORIGINAL)), "exists", vec!["directory"]),
        (missing(), "missing", vec![]),
        (
            detachable(Detachable::Ancestor(Filesystem::Network)),
            "missing",
            vec!["may_be_unmounted"],
        ),
        (dangling(), "dangling_symlink", vec![]),
        (PathState::Failed("EACCES"), "failed:EACCES", vec![]),
        (PathState::TimedOut, "timeout", vec![]),
        (PathState::NotProbed, "not_probed", vec![]),
    ] {
        let found = shown(&healthy().path(path));
        assert_eq!(found["path"], word);
        assert_keys(&found, &[&ALWAYS, &more]);
    }
}

#[test]
fn each_access_and_each_pid_file_has_its_word() {
    for (access, word) in [
        (Access::Judged, "judged"),
        (Access::ForeignUid, "foreign_uid"),
        (Access::ForeignNamespace, "foreign_namespace"),
        (Access::Unreadable("EPERM"), "unreadable:EPERM"),
    ] {
        assert_eq!(shown(&healthy().access(access))["access"], word);
    }
    for (pid_file, word) in [
        (PidFile::NamesIt, "names_it"),
        (PidFile::NamesAnother(7), "names:7"),
        (PidFile::Absent, "absent"),
        (PidFile::Unclear, "unclear"),
    ] {
        assert_eq!(shown(&healthy().pid_file(pid_file))["pid_file"], word);
    }
}

#[test]
fn each_fate_has_its_word() {
    for (seen, word) in [
        (Seen::InPlace, "in_place"),
        (Seen::Deleted, "deleted"),
        (Seen::Trashed, "trashed"),
        (Seen::Moved, "moved"),
        (Seen::Detached, "detached"),
        (Seen::Unprovable, "unprovable"),
    ] {
        let found = shown(&healthy().cwd(seen).log(seen));
        assert_eq!(found["cwd"]["fate"], word);
        assert_eq!(found["log"]["fate"], word);
        let mounted = seen != Seen::Detached;
        assert_eq!(found["cwd"]["mounted"], mounted, "{seen:?}");
    }
    let absent = shown(&without_witness());
    assert_eq!(
        (&absent["cwd"], &absent["log"]),
        (&Value::Null, &Value::Null)
    );
    let elsewhere = shown(&without_witness().cwd(Seen::Elsewhere));
    assert_keys(&elsewhere["cwd"], &[&HELD]);
    assert_eq!(elsewhere["cwd"]["fate"], Value::Null);
    assert_eq!(elsewhere["cwd"]["is_witness"], false);
}

#[test]
fn what_is_there_only_sometimes() {
    let jailed = shown(&healthy().with(|evidence| evidence.root = "/srv/jail".into()));
    assert_keys(&jailed, &[&ALWAYS, &["directory", "root"]]);
    let proved = healthy().remembering(|memory| memory.deletion = Some(PROVED));
    assert_keys(
        &shown(&proved),
        &[&ALWAYS, &["directory", "deletion_proved"]],
    );
    let moved = healthy().with(|evidence| evidence.cwd_pid_file = PidFile::NamesIt);
    assert_keys(&shown(&moved), &[&ALWAYS, &["directory", "cwd_pid_file"]]);
    let unresolved = shown(&healthy().with(|evidence| evidence.resolved = None));
    assert_eq!(unresolved["resolved"], Value::Null);
}

#[test]
fn a_birth_time_loses_no_digit() {
    let case = healthy().path(exists(Some(crate::orphan::evidence::FileId {
        born_ns: Some(1_769_846_400_123_456_789),
        ..ORIGINAL
    })));
    let directory = &shown(&case)["directory"];
    assert_eq!(directory["born_ns"], "1769846400123456789");
    assert_eq!(directory["inode"], 100);
}
