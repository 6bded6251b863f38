//! What was found about one process, a line a fact. Facts that are not known here are shown as they
//! are.

use serde_json::{Map, Value};

use super::field::shown;
use crate::cli::safe_text::escape;

/// A label and what was found.
pub(super) type Fact = (String, String);

/// The facts in an evidence object, those that people look for first.
pub(super) fn facts(evidence: &Value) -> Vec<Fact> {
    let Some(object) = evidence.as_object() else {
        return Vec::new();
    };
    let known = KNOWN.into_iter().filter_map(|(name, label, said)| {
        let value = object.get(name)?;
        Some((label.to_owned(), said(value)))
    });
    known.chain(unknown(object)).collect()
}

type Said = fn(&Value) -> String;

const KNOWN: [(&str, &str, Said); 11] = [
    ("access", "access", access),
    ("path", "workspace", path),
    ("may_be_unmounted", "but", |value| {
        format!("it may be unmounted: {}", shown(value))
    }),
    ("resolved", "resolved", |value| {
        format!("{} as the process itself sees it", shown(value))
    }),
    ("root", "root", |value| format!("its / is {}", shown(value))),
    ("directory", "there now", |value| {
        format!("a directory, {}", file_id(value))
    }),
    ("cwd", "cwd", holding),
    ("log", "log", holding),
    ("pid_file", "pid file", pid_file),
    ("cwd_pid_file", "elsewhere", |value| match value {
        Value::String(word) if word == "unclear" => {
            "the pid file below its cwd says nothing, so it may be its own".to_owned()
        }
        _ => "the pid file below its cwd names it".to_owned(),
    }),
    ("deletion_proved", "proof", |value| match value {
        Value::Bool(true) => "the deletion of the original was proved".to_owned(),
        other => shown(other),
    }),
];

fn unknown(object: &Map<String, Value>) -> impl Iterator<Item = Fact> {
    object
        .iter()
        // The exact bytes of what stands there lossily.
        .filter(|(name, _)| {
            !name.ends_with("_b64") && KNOWN.iter().all(|(known, ..)| known != name)
        })
        .map(|(name, value)| {
            let said = match value {
                Value::Array(words) if words.iter().all(Value::is_string) => {
                    words.iter().map(shown).collect::<Vec<_>>().join(" ")
                }
                other => shown(other),
            };
            (escape(name).replace('_', " "), said)
        })
}

fn access(value: &Value) -> String {
    match value.as_str() {
        Some("judged") => "may be looked into".to_owned(),
        Some("foreign_uid") => "belongs to a user whose coordinators are not judged".to_owned(),
        Some("foreign_namespace") => "lives in another pid namespace".to_owned(),
        _ => shown(value),
    }
}

fn path(value: &Value) -> String {
    match value.as_str() {
        Some("exists") => "something is at its path".to_owned(),
        Some("missing") => "nothing is at its path".to_owned(),
        Some("dangling_symlink") => "its path is a symbolic link that leads nowhere".to_owned(),
        Some("not_probed") => "its path was not looked at".to_owned(),
        Some("timeout") => "its path did not answer in time".to_owned(),
        _ => shown(value),
    }
}

fn pid_file(value: &Value) -> String {
    match value.as_str() {
        Some("names_it") => "coordinator.pid there names it".to_owned(),
        Some("absent") => "there is no coordinator.pid".to_owned(),
        Some("unclear") => "coordinator.pid there gives no clear answer".to_owned(),
        Some(other) => match other.strip_prefix("names:") {
            Some(pid) => format!("coordinator.pid there names {}", escape(pid)),
            None => shown(value),
        },
        None => shown(value),
    }
}

/// The cwd or the log: where it is, and what it bears witness of.
fn holding(value: &Value) -> String {
    if value.is_null() {
        return "none that could be a witness".to_owned();
    }
    if !value.is_object() {
        return shown(value);
    }
    let fate = match value["fate"].as_str() {
        _ if value["is_witness"] != true => "no witness".to_owned(),
        Some("in_place") => "a witness: it is where it was".to_owned(),
        Some("deleted") => "a witness: it was deleted".to_owned(),
        Some("trashed") => "a witness: it lies in the trash".to_owned(),
        Some("moved") => "a witness: it was moved".to_owned(),
        Some("detached") => "a witness: its mount is gone".to_owned(),
        Some("unprovable") => "a witness, on a file system that proves no deletion".to_owned(),
        _ => format!("a witness: {}", shown(&value["fate"])),
    };
    let links = shown(&value["links"]);
    format!(
        "{}, {fate} (links: {links}; {})",
        shown(&value["path"]),
        file_id(&value["id"])
    )
}

fn file_id(value: &Value) -> String {
    if !value.is_object() {
        return shown(value);
    }
    format!(
        "inode {} on device {}",
        shown(&value["inode"]),
        shown(&value["device"])
    )
}
