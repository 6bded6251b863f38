//! Shared by the tests of the event log: records to write, files to look at, Python to compare
//! with, and a way to run a test again where the system is hostile. Everything happens on real
//! files in directories of its own.

mod line;
mod measure;
mod obstacles;
mod read;
mod rotation;
mod unfinished;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{EventLog, Query, Record, Rotation};

/// Never full.
const ROOMY: Rotation = Rotation {
    rotate_bytes: u64::MAX,
    keep: 5,
};

fn record(fields: Value) -> Record {
    let Value::Object(fields) = fields else {
        panic!("fields are an object")
    };
    Record {
        ts: "2026-05-26T10:20:30.123456Z".parse().unwrap(),
        event: "orphan.detected",
        fields,
    }
}

/// A record whose line has exactly `bytes` bytes, newline included, and which tells its number.
fn record_of(bytes: usize, number: usize) -> Record {
    let mut padded = record(json!({"number": number, "padding": ""}));
    let mut line = Vec::new();
    super::line::append(&mut line, &padded.to_value()).unwrap();
    let padding = "x".repeat(
        bytes
            .checked_sub(line.len())
            .expect("room for the bare record"),
    );
    padded.fields.insert("padding".to_owned(), padding.into());
    padded
}

fn named(event: &'static str, fields: Value) -> Record {
    Record {
        event,
        ..record(fields)
    }
}

/// Everything in the directory, by name.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).into_keys().collect()
}

fn values(records: &[Record]) -> Vec<Value> {
    records.iter().map(Record::to_value).collect()
}

fn read_all(directory: &Path) -> Vec<Value> {
    super::read(
        directory,
        5,
        &Query {
            all: true,
            ..Query::default()
        },
    )
    .unwrap()
}

fn current(directory: &Path) -> String {
    fs::read_to_string(directory.join("events.jsonl")).unwrap()
}

/// How many writes this thread has made, where the kernel counts them.
fn writes_so_far() -> Option<u64> {
    let io = fs::read_to_string("/proc/thread-self/io").ok()?;
    io.lines()
        .find_map(|line| line.strip_prefix("syscw: ")?.parse().ok())
}

/// Says aloud that a test did not run.
fn skip(why: &str) {
    eprintln!("SKIPPED, NOTHING PROVED: {why}");
}

fn python(script: &str, arguments: &[&str]) -> Option<std::process::Child> {
    let started = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    if let Err(error) = &started {
        skip(&format!("python3 is not to be had ({error})"));
    }
    started.ok()
}

/// The texts that writers of JSON disagree about.
fn text() -> impl Strategy<Value = String> {
    let awkward = prop::sample::select(vec![
        '"', '\\', '/', '\u{7f}', '\u{85}', '\u{2028}', '\u{feff}', '😀', 'é',
    ]);
    let character = prop_oneof![any::<char>(), prop::char::range('\0', '\u{7f}'), awkward];
    prop::collection::vec(character, 0..12).prop_map(String::from_iter)
}

fn value(number: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        number,
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            fields(inner).prop_map(Value::Object),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((text(), inner), 0..6).prop_map(Map::from_iter)
}

/// Runs an ignored test of `module` once more, as the last words of `command`; `None` if it could
/// not be started.
fn run_again(command: &mut Command, executable: &Path, module: &str, test: &str) -> Option<Output> {
    let (_crate, module) = module.split_once("::").unwrap();
    let output = command
        .arg(executable)
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("{module}::{test}"))
        .output()
        .map_err(|error| skip(&format!("{test}: {command:?}: {error}")))
        .ok()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.code() == Some(CANNOT_SET_UP) {
        skip(&format!("{test}: {said}"));
        return None;
    }
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}\n{said}",
        output.status
    );
    Some(output)
}

/// The exit status by which a wrapper says that the system will not let it.
const CANNOT_SET_UP: i32 = 77;
