//! The arrows between the rooms of the house, read from the imports: none runs back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may know whom. A room that is not named on the right is unknown to the one on the left.
const MAY_KNOW: [(&str, &[&str]); 10] = [
    ("text", &[]),
    ("orphan", &[]),
    ("os", &["orphan", "text"]),
    ("config", &["orphan", "os", "text"]),
    ("event_log", &["os", "text"]),
    ("wire", &["orphan"]),
    ("logging", &[]),
    (
        "supervisor",
        &["orphan", "os", "config", "event_log", "wire", "text"],
    ),
    (
        "control",
        &[
            "orphan",
            "os",
            "config",
            "event_log",
            "wire",
            "text",
            "supervisor",
        ],
    ),
    (
        "cli",
        &[
            "orphan",
            "os",
            "config",
            "event_log",
            "wire",
            "text",
            "supervisor",
            "control",
            "logging",
        ],
    ),
];

/// Crates that only some rooms may use.
const ONLY_IN: [(&str, &[&str]); 6] = [
    ("nix", &["os"]),
    ("rustix", &["os"]),
    ("sysinfo", &["os"]),
    ("libc", &["os"]),
    ("tokio", &["os", "supervisor", "control", "cli"]),
    (
        "serde_json",
        &[
            "config",
            "event_log",
            "wire",
            "supervisor",
            "control",
            "cli",
        ],
    ),
];

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" && name != "bin" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs")
            && name != "tests.rs"
            && name != "lib.rs"
            && name != "fixtures.rs"
            && name != "fuzzed.rs"
            && name != "fuzzing.rs"
        {
            found.push(path);
        }
    }
}

/// What a file says outside its comments and its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether `code` names `path` as a path of its own, as in `crate::os`.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        let part_of_a_name =
            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        !part_of_a_name(before) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn no_arrow_between_the_rooms_runs_back() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = BTreeSet::new();
    let mut arrows = 0;
    for file in &files {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let (_, known) = MAY_KNOW
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is no room of the house: say here whom it may know"));
        let code = code(file);
        for (other, _) in MAY_KNOW.iter().filter(|(other, _)| *other != room) {
            if names(&code, &format!("crate::{other}")) {
                arrows += 1;
                if !known.contains(other) {
                    wrong.insert(format!("{} knows {other}", inside.display()));
                }
            }
        }
        for (library, rooms) in ONLY_IN {
            let used =
                names(&code, &format!("use {library}")) || code.contains(&format!("{library}::"));
            if used && !rooms.contains(&room.as_str()) && names(&code, library) {
                wrong.insert(format!("{} uses {library}", inside.display()));
            }
        }
    }
    assert!(files.len() > 30 && arrows > 30, "the imports were not read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
