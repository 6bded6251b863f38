//! Results as an earlier version gave them, in `tests/data/results`: what is in one is in every later one, too.
//!
//! An example is never changed. A new one is recorded by a run of its test with `TEAM_AGENTD_RECORD` set, which
//! writes those that are not there yet.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Set to record what there is no example of.
const RECORD: &str = "TEAM_AGENTD_RECORD";

/// Depend on the machine, not on the version.
const OF_THE_MACHINE: [&str; 3] = ["born_ns", "clear", "automatic"];

/// Panics if `result` lacks anything of the example `name`: a key, or a value of the same type, and where the
/// value is a word or a truth the same one. There may be more. `here` is a path that the example calls `/home/me`.
#[track_caller]
pub(crate) fn assert_as_frozen(name: &str, result: &Value, here: &str) {
    let file = folder().join(format!("{name}.json"));
    if !file.exists() && std::env::var_os(RECORD).is_some() {
        let text = serde_json::to_string_pretty(result).unwrap();
        let here = here.trim_end_matches('/');
        let text = if here.is_empty() {
            text
        } else {
            text.replace(here, "/home/me")
        };
        fs::write(&file, text + "\n").unwrap();
    }
    let example = fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; {RECORD}=1 records it", file.display()));
    let example: Value = serde_json::from_slice(&example).unwrap();
    if let Err(what) = compare(&example, result, name) {
        panic!("{what}\n{result:#}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/results")
}

fn compare(example: &Value, now: &Value, at: &str) -> Result<(), String> {
    match (example, now) {
        (Value::Object(example), Value::Object(now)) => {
            for (key, value) in example {
                let at = format!("{at}.{key}");
                let Some(now) = now.get(key) else {
                    return Err(format!("{at} is gone"));
                };
                if !OF_THE_MACHINE.contains(&&**key) {
                    compare(value, now, &at)?;
                }
            }
            Ok(())
        }
        (Value::Array(example), Value::Array(now)) => {
            for (number, value) in example.iter().enumerate() {
                let at = format!("{at}[{number}]");
                let mut missed = Err(format!("{at} is gone"));
                for now in now {
                    missed = compare(value, now, &at);
                    if missed.is_ok() {
                        break;
                    }
                }
                missed?;
            }
            Ok(())
        }
        (Value::String(word), _) if is_word(word) && example != now => {
            Err(format!("{at} was {word:?} and is {now}"))
        }
        (Value::Bool(_), _) if example != now => Err(format!("{at} was {example} and is {now}")),
        _ if kind(example) != kind(now) => {
            Err(format!("{at} was {example}, and {now} is of another type"))
        }
        _ => Ok(()),
    }
}

/// Whether a text is a word of ours, and not a path, a time or a sentence.
fn is_word(text: &str) -> bool {
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_begun = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    let is_signal = text.starts_with("SIG") && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_asked = text.starts_with("re-run with ");
    is_signal
        || is_asked
        || is_begun
            && text
                .bytes()
                .all(|byte| is_lower(byte) || b"_.:-".contains(&byte))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_change_to_what_is_frozen_is_seen() {
    use serde_json::json;
    let example =
        json!({"ok": true, "reason": "a_word", "path": "/a", "n": 1, "list": [{"a": 1}, "x"]});
    let now = json!({"ok": true, "reason": "a_word", "path": "/b", "n": 2.5, "list": ["x", {"a": 7, "b": 1}], "new": 1});
    assert_eq!(compare(&example, &now, ""), Ok(()));
    for (key, value) in [
        ("ok", json!(false)),
        ("reason", json!("another_word")),
        ("reason", json!(null)),
        ("path", json!(null)),
        ("n", json!("1")),
        ("list", json!(["x"])),
        ("list", json!([{"a": 1}])),
        ("list", json!([{"b": 1}, "x"])),
    ] {
        let mut changed = now.clone();
        changed[key] = value.clone();
        assert!(compare(&example, &changed, "").is_err(), "{key} {value}");
    }
    let mut gone = now;
    gone.as_object_mut().unwrap().remove("n");
    assert!(compare(&example, &gone, "").is_err());
}
