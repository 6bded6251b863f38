//! Text that is not ours, made safe to show: on a terminal, in a log, in a message.
//!
//! A name can hold anything: escape sequences that repaint a terminal, line breaks that forge a line
//! of a report, marks that turn the reading direction round, characters that nobody sees. What is
//! escaped is what has no glyph of its own:
//!
//! - control characters: C0, DEL and C1;
//! - line and paragraph separators;
//! - every character that Unicode calls `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt):
//!   bidirectional controls, zero-width characters, the byte order mark, tags, fillers and variation
//!   selectors, those too although some emoji use them: two names that look the same must be the
//!   same, and an emoji beside its selector stays readable;
//! - interlinear annotation marks, which hide text in the same way.
//!
//! All else is ordinary text and stays as it is, also the backslash: a path is easier to read, and
//! to copy, than a doubled one, and who needs the exact bytes has them with `--json`.
//!
//! Must not know what the text is, nor where it is shown.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// `text` with everything that cannot be seen, or that a terminal obeys, written as an escape:
/// `\n`, `\x1b`, `\u{202e}`. It has no line break.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    replaced(text, |out, unsafe_char| {
        // Writing to a String does not fail.
        let _ = match unsafe_char {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            ascii if ascii.is_ascii() => write!(out, "\\x{:02x}", u32::from(ascii)),
            other => write!(out, "\\u{{{:x}}}", u32::from(other)),
        };
    })
}

/// A path in a message, as [`escape`] has it: nothing in it is taken for a line of the message either.
#[must_use]
pub fn in_line(path: impl AsRef<Path>) -> String {
    escape(&path.as_ref().to_string_lossy()).into_owned()
}

/// `text` with each of those characters as `escaped` writes it.
pub fn replaced(text: &str, escaped: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unsafe(char) {
            escaped(&mut out, char);
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

/// Whether a character is obeyed or unseen rather than shown.
#[must_use]
pub fn is_unsafe(char: char) -> bool {
    char.is_control() || is_separator(char) || is_ignorable(char)
}

fn is_separator(char: char) -> bool {
    matches!(char, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

/// `Default_Ignorable_Code_Point`, as of Unicode 16.
fn is_ignorable(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::in_line;

    #[test]
    fn a_path_in_a_message_is_one_line_and_harmless() {
        assert_eq!(
            in_line("/a\r\n  error: \u{1b}[2J\u{202e}b/ü"),
            "/a\\r\\n  error: \\x1b[2J\\u{202e}b/ü"
        );
    }
}
