//! One coordinator as JSON.

use std::time::SystemTime;

use serde_json::Value;

use super::evidence::evidence;
use super::text::{Object, base64, etime, put_optional_text, put_text, timestamp};
use crate::orphan::process::{Pid, ProcessRecord};
use crate::orphan::registry::Sighting;

/// The longest argv in a reply, in bytes.
const ARGV_LIMIT_BYTES: usize = 4096;

/// The entry of one coordinator.
#[must_use]
pub fn entry(sighting: &Sighting, now: SystemTime) -> Object {
    let mut object = process(&sighting.observation.record, now);
    put_optional_text(
        &mut object,
        "workspace",
        sighting.observation.evidence.workspace.as_ref(),
    );
    object.insert(
        "is_orphan".into(),
        sighting.verdict.orphan_reason().is_some().into(),
    );
    object.insert("verdict".into(), sighting.verdict.word().into());
    object.insert("reason".into(), sighting.verdict.reason().into());
    object.insert(
        "form".into(),
        sighting.observation.coordinator.form.clone().into(),
    );
    object.insert(
        "evidence".into(),
        evidence(&sighting.observation.evidence, &sighting.memory),
    );
    object.insert("first_seen".into(), timestamp(sighting.first_seen).into());
    object.insert("sightings".into(), sighting.sightings.into());
    object
}

/// What an entry says of the process itself, whatever it is.
#[must_use]
pub fn process(record: &ProcessRecord, now: SystemTime) -> Object {
    let mut object = Object::new();
    object.insert("pid".into(), record.identity.pid.into());
    object.insert("etime".into(), etime(record.started_at, now).into());
    put_argv(&mut object, &record.argv);
    object.insert("ppid".into(), record.ppid.into());
    object.insert("pgid".into(), record.pgid.into());
    object.insert("sid".into(), record.sid.into());
    object.insert("uid".into(), record.uid.into());
    object.insert("started_at".into(), timestamp(record.started_at).into());
    object.insert("rss_bytes".into(), record.rss_bytes.into());
    put_optional_text(&mut object, "cwd", record.cwd.as_ref());
    object
}

/// What an entry says of a process of which nothing is known but its pid.
#[must_use]
pub fn nobody(pid: Pid) -> Object {
    let unknown = [
        "etime",
        "argv",
        "cmdline",
        "ppid",
        "pgid",
        "sid",
        "uid",
        "started_at",
        "rss_bytes",
        "cwd",
    ];
    let mut object: Object = unknown
        .map(|name| (name.to_owned(), Value::Null))
        .into_iter()
        .collect();
    object.insert("pid".into(), pid.into());
    object
}

/// The rest of an entry, for a process that is no coordinator.
pub fn put_no_coordinator(object: &mut Object) {
    for unknown in ["workspace", "form", "evidence", "first_seen"] {
        object.insert(unknown.into(), Value::Null);
    }
    object.insert("is_orphan".into(), false.into());
    object.insert("verdict".into(), "unknown".into());
    object.insert("reason".into(), "not_a_coordinator".into());
    object.insert("sightings".into(), 0.into());
}

fn put_argv(object: &mut Object, argv: &[std::ffi::OsString]) {
    let mut room = ARGV_LIMIT_BYTES;
    let mut shown: Vec<std::ffi::OsString> = Vec::new();
    for argument in argv {
        // An element takes up its final NUL too: there may be millions of empty ones.
        if room == 0 {
            object.insert("argv_truncated".into(), true.into());
            break;
        }
        let (part, cut) = start_of(argument, room);
        room = room.saturating_sub(part.len() + 1);
        shown.push(part);
        if cut {
            object.insert("argv_truncated".into(), true.into());
            break;
        }
    }
    let lossy: Vec<Value> = shown
        .iter()
        .map(|word| word.to_string_lossy().into())
        .collect();
    if shown.iter().any(|word| word.to_str().is_none()) {
        let exact: Vec<Value> = shown.iter().map(|word| base64(word).into()).collect();
        object.insert("argv_b64".into(), exact.into());
    }
    object.insert("argv".into(), lossy.into());
    put_text(object, "cmdline", &shown.join(std::ffi::OsStr::new(" ")));
}

/// As much of `text` as fits, and whether something was cut off.
fn start_of(text: &std::ffi::OsStr, room: usize) -> (std::ffi::OsString, bool) {
    use std::os::unix::ffi::OsStrExt;
    let bytes = text.as_bytes();
    if bytes.len() <= room {
        return (text.to_owned(), false);
    }
    // Not within a character, if it is text.
    let end = text
        .to_str()
        .map_or(room, |text| text.floor_char_boundary(room));
    (std::ffi::OsStr::from_bytes(&bytes[..end]).to_owned(), true)
}
