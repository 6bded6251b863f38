//! The names that scripts rely on: nothing missing, and nothing added that docs/protocol.md does
//! not name.

mod entries;
mod events;
mod evidences;
mod explanations;
mod fixes;
mod reports;

use std::collections::BTreeSet;

use serde_json::Value;

/// What every entry has.
const ENTRY: [&str; 19] = [
    "pid",
    "etime",
    "cmdline",
    "workspace",
    "is_orphan",
    "verdict",
    "reason",
    "argv",
    "form",
    "ppid",
    "pgid",
    "sid",
    "uid",
    "started_at",
    "rss_bytes",
    "cwd",
    "evidence",
    "first_seen",
    "sightings",
];

fn assert_keys(value: &Value, expected: &[&[&str]]) {
    let found: BTreeSet<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected: BTreeSet<&str> = expected.iter().copied().flatten().copied().collect();
    assert_eq!(found, expected);
}
