//! Evidence as JSON, and as sentences for people.

use serde_json::{Value, json};

use super::text::{Object, put_optional_text, put_text};
use crate::orphan::evidence::{
    Access, Dangling, Evidence, Fate, FileId, Holding, MountState, PathState, PidFile,
};
use crate::orphan::memory::Memory;

/// What was found, in the words of docs/protocol.md.
#[must_use]
pub fn evidence(evidence: &Evidence, memory: &Memory) -> Value {
    let mut object = Object::new();
    object.insert("access".into(), access(evidence.access).into());
    object.insert("path".into(), path_state(&evidence.path).into());
    if let PathState::Missing {
        detachable: Some(detachable),
        ..
    } = &evidence.path
    {
        object.insert("may_be_unmounted".into(), detachable.describe().into());
    }
    if let PathState::Exists {
        directory: Some(directory),
        ..
    } = &evidence.path
    {
        object.insert("directory".into(), file_id(directory));
    }
    put_optional_text(&mut object, "resolved", evidence.resolved.as_ref());
    if evidence.root != std::path::Path::new("/") {
        put_text(&mut object, "root", evidence.root.as_os_str());
    }
    object.insert("pid_file".into(), pid_file(evidence.pid_file));
    let may_be_moved = match evidence.cwd_pid_file {
        PidFile::NamesIt => true,
        PidFile::Unclear => matches!(evidence.path, PathState::Missing { .. }),
        PidFile::Absent | PidFile::NamesAnother(_) => false,
    };
    if may_be_moved {
        object.insert("cwd_pid_file".into(), pid_file(evidence.cwd_pid_file));
    }
    let cwd_fate = evidence.cwd_fate(memory.cwd_at_workspace);
    object.insert("cwd".into(), holding(evidence.cwd.as_ref(), cwd_fate));
    object.insert(
        "log".into(),
        holding(evidence.log.as_ref(), evidence.log_fate()),
    );
    if memory.knows_of_a_deletion() {
        object.insert("deletion_proved".into(), true.into());
    }
    Value::Object(object)
}

fn access(access: Access) -> String {
    match access {
        Access::Judged => "judged".to_owned(),
        Access::ForeignUid => "foreign_uid".to_owned(),
        Access::ForeignNamespace => "foreign_namespace".to_owned(),
        Access::Unreadable(errno) => format!("unreadable:{errno}"),
    }
}

fn path_state(state: &PathState) -> String {
    match state {
        PathState::NotProbed => "not_probed".to_owned(),
        PathState::Exists { .. } => "exists".to_owned(),
        PathState::Missing {
            dangling: Dangling::Symlink,
            ..
        } => "dangling_symlink".to_owned(),
        PathState::Missing { .. } => "missing".to_owned(),
        PathState::Failed(errno) => format!("failed:{errno}"),
        PathState::TimedOut => "timeout".to_owned(),
    }
}

fn pid_file(pid_file: PidFile) -> Value {
    match pid_file {
        PidFile::NamesIt => "names_it".into(),
        PidFile::NamesAnother(pid) => format!("names:{pid}").into(),
        PidFile::Absent => "absent".into(),
        PidFile::Unclear => "unclear".into(),
    }
}

fn file_id(id: &FileId) -> Value {
    json!({"device": id.device, "inode": id.inode, "born_ns": id.born_ns.map(|born| born.to_string())})
}

fn holding(holding: Option<&Holding>, fate: Option<Fate>) -> Value {
    let Some(holding) = holding else {
        return Value::Null;
    };
    let mut object = Object::new();
    put_text(&mut object, "path", holding.path.as_os_str());
    object.insert("links".into(), holding.links.into());
    object.insert("is_witness".into(), fate.is_some().into());
    object.insert("fate".into(), fate.map(fate_word).into());
    object.insert("id".into(), file_id(&holding.id));
    object.insert(
        "mounted".into(),
        (holding.mount == MountState::Attached).into(),
    );
    Value::Object(object)
}

fn fate_word(fate: Fate) -> &'static str {
    match fate {
        Fate::InPlace => "in_place",
        Fate::Deleted => "deleted",
        Fate::Trashed => "trashed",
        Fate::Moved => "moved",
        Fate::Detached => "detached",
        Fate::Unprovable => "unprovable",
    }
}
