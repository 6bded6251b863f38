//! Words as bash hands them to a completion and takes them back: with the quotes and backslashes of the line.
//!
//! Nothing is expanded: what somebody wrote as `$HOME` or `$(…)` is compared as such, and fits nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a word says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Without the quotes.
    pub(super) text: OsString,
    /// The quote that is still open at its end, and how much of the text stands before that.
    pub(super) open: Option<(u8, usize)>,
}

/// What the word says.
pub(super) fn meaning(word: &OsStr) -> Meaning {
    let mut bytes = word.as_bytes().iter().copied();
    let mut text = Vec::new();
    let mut open = None;
    while let Some(byte) = bytes.next() {
        let quote = open.map(|(quote, _)| quote);
        match (quote, byte) {
            (None, b'\'' | b'"') => open = Some((byte, text.len())),
            (Some(quote), _) if quote == byte => open = None,
            (None, b'\\') => text.extend(bytes.next()),
            (Some(b'"'), b'\\') => match bytes.next() {
                Some(next @ (b'$' | b'`' | b'"' | b'\\')) => text.push(next),
                other => text.extend(std::iter::once(b'\\').chain(other)),
            },
            _ => text.push(byte),
        }
    }
    Meaning {
        text: OsString::from_vec(text),
        open,
    }
}

/// Whether bash takes the text for nothing but itself, also without quotes.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|char| {
        char.is_alphanumeric() || matches!(char, '/' | '.' | '_' | '-' | ',' | '+' | '%' | '@')
    })
}

/// The text so that it stands for itself. In single quotes what several texts have in common is sound, too,
/// wherever it ends.
///
/// A quote that is open already is closed by bash, unless the text ends with one: bash takes that for the end.
pub(super) fn quoted(text: &str, open: Option<u8>) -> String {
    let mut quoted = match open {
        Some(b'"') => in_double_quotes(text),
        Some(_) => text.replace('\'', r"'\''"),
        None => return format!("'{}'", text.replace('\'', r"'\''")),
    };
    let open = open.map(char::from);
    if quoted.chars().next_back() == open {
        quoted.extend(open);
    }
    quoted
}

fn in_double_quotes(text: &str) -> String {
    let mut quoted = String::new();
    for char in text.chars() {
        match char {
            '$' | '`' | '"' | '\\' => quoted.extend(['\\', char]),
            // Nothing in double quotes keeps bash from looking for an earlier line.
            '!' => quoted.push_str("\"'!'\""),
            char => quoted.push(char),
        }
    }
    quoted
}
