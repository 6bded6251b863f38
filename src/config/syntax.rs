//! Files that are not TOML, or not even text: which line and key the fault belongs to.
//!
//! Must not know which keys there are.

use std::str::Utf8Error;

use super::document::is_bare;
use super::error::Problem;

/// The line, from 1, of the byte at `offset`.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The problem of a file that is not text.
pub(super) fn not_utf8(bytes: &[u8], error: &Utf8Error) -> Problem {
    let valid = &bytes[..error.valid_up_to()];
    Problem {
        line: line_of(bytes, error.valid_up_to()),
        key: key_before(&String::from_utf8_lossy(valid)),
        what: "not UTF-8".to_owned(),
    }
}

/// What the parser objects to, at its line and key.
pub(super) fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or_default();
    let is_duplicate = error.message() == "duplicate key";
    // A duplicate is pointed at as a whole, so that it ends with the key.
    let upto = if is_duplicate { span.end } else { span.start };
    Problem {
        line: line_of(text.as_bytes(), span.start),
        key: key_before(text.get(..upto).unwrap_or(text)),
        what: if is_duplicate {
            "given twice (keep one of them)".to_owned()
        } else {
            format!("not TOML: {}", error.message())
        },
    }
}

/// The dotted key that the end of `text` belongs to, from the lines alone: where the syntax is
/// broken there is no tree to ask. Empty if there is none.
fn key_before(text: &str) -> String {
    let bare = |key: &str| !key.is_empty() && key.split('.').all(|part| is_bare(part.trim()));
    let mut table = "";
    let mut key = "";
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        if line.starts_with('[') {
            let header = line.split(']').next().unwrap_or(line);
            let header = header.trim_start_matches('[').trim();
            if bare(header) {
                (table, key) = (header, "");
            }
        } else if let Some((before, _)) = line.split_once('=') {
            key = Some(before.trim()).filter(|key| bare(key)).unwrap_or(key);
        } else if is_last && bare(line) {
            key = line;
        }
    }
    match (table, key) {
        ("", key) => key.to_owned(),
        (table, "") => table.to_owned(),
        (table, key) => format!("{table}.{key}"),
    }
}
