//! Text that other processes chose, made safe to show. What is escaped, and why, is in `text.rs`; here are
//! the forms that the client prints.
//!
//! Must not know what the text is, nor where it is shown.

use std::fmt::Write as _;

use serde_json::Value;

pub use crate::text::escape;
pub(super) use crate::text::is_unsafe;
use crate::text::replaced;

/// As [`escape`], for text of our own that may have several lines: line feeds stay.
#[must_use]
pub fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(escape).collect();
    lines.join("\n")
}

/// A value as one line of JSON in which nothing is raw: the same value to whoever parses it, and as
/// harmless on a terminal as [`escape`] is.
#[must_use]
pub fn json_line(value: &Value) -> String {
    // Outside of strings JSON has no character that is replaced here.
    replaced(&value.to_string(), |out, unsafe_char| {
        for unit in unsafe_char.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
    .into_owned()
}

/// As [`json_line`], in the spelling that TOML has for characters beyond U+FFFF.
#[must_use]
pub fn toml_string(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    replaced(&quoted, |out, unsafe_char| {
        let _ = write!(out, "\\U{:08x}", u32::from(unsafe_char));
    })
    .into_owned()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_escaped() {
        for (raw, shown) in [
            ("esc-\u{1b}[2J", "esc-\\x1b[2J"),
            ("bell\u{7}", "bell\\x07"),
            ("line\nPID 1", "line\\nPID 1"),
            ("return\rover", "return\\rover"),
            ("tab\tstop", "tab\\tstop"),
            ("delete\u{7f}", "delete\\x7f"),
            ("c1-\u{9b}31m", "c1-\\u{9b}31m"),
            ("nul\0", "nul\\x00"),
        ] {
            assert_eq!(escape(raw), shown);
        }
    }

    #[test]
    fn what_turns_or_hides_text_is_shown_escaped() {
        for char in
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\
                     \u{2068}\u{2069}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{2028}\
                     \u{2029}\u{3164}\u{fe0f}\u{e0041}\u{e007f}\u{e0100}\u{fff9}\u{180e}"
                .chars()
        {
            let shown = format!("a\\u{{{:x}}}b", u32::from(char));
            assert_eq!(escape(&format!("a{char}b")), shown);
        }
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for text in [
            "/home/me/My Project",
            "C:\\not\\a\\tab",
            "/srv/проект/проверка",
            "/データ/作業場",
            "/مشروع/עבודה",
            "naïve — “quoted” … ½",
            "🦀 👩 e\u{301}",
            "\u{a0}\u{3000}\u{fffd}\u{e0b0}",
            "",
        ] {
            assert!(
                matches!(escape(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_of_our_own_stay_lines() {
        assert_eq!(escape_lines("one\ntwo\u{1b}\n"), "one\ntwo\\x1b");
    }

    #[test]
    fn toml_reads_what_was_written() {
        let text = "a\"b\\c\n\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}🦀";
        let line = format!("key = {}", toml_string(text));
        assert_eq!(line.find(is_unsafe), None, "{line}");
        let table: toml::Table = line.parse().unwrap();
        assert_eq!(table["key"].as_str(), Some(text));
    }

    /// Any text, with the characters that matter here far more often than by chance.
    fn hostile() -> impl Strategy<Value = String> {
        let char = prop_oneof![
            any::<char>(),
            (0u32..0x100).prop_map(|code| char::from_u32(code).unwrap_or(' ')),
            (0x2000u32..0x2070).prop_map(|code| char::from_u32(code).unwrap_or(' ')),
            (0xe0000u32..0xe01f0).prop_map(|code| char::from_u32(code).unwrap_or(' ')),
            proptest::char::range('\u{fe00}', '\u{feff}'),
        ];
        proptest::collection::vec(char, 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    /// Takes the escapes of [`escape`] back.
    fn read_back(shown: &str) -> String {
        let mut out = String::new();
        let mut rest = shown;
        while let Some((before, after)) = rest.split_once('\\') {
            out.push_str(before);
            let (char, left) = match after.split_at(1) {
                ("n", left) => ('\n', left),
                ("r", left) => ('\r', left),
                ("t", left) => ('\t', left),
                ("x", left) => {
                    let (digits, left) = left.split_at(2);
                    (
                        char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap(),
                        left,
                    )
                }
                ("u", left) => {
                    let (digits, left) = left.strip_prefix('{').unwrap().split_once('}').unwrap();
                    (
                        char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap(),
                        left,
                    )
                }
                other => panic!("no such escape: {other:?}"),
            };
            out.push(char);
            rest = left;
        }
        out + rest
    }

    proptest! {
        #[test]
        fn nothing_unsafe_comes_through(text in hostile()) {
            prop_assert_eq!(escape(&text).find(is_unsafe), None);
            prop_assert_eq!(escape_lines(&text).replace('\n', "").find(is_unsafe), None);
        }

        #[test]
        fn escaping_twice_is_escaping_once(text in hostile()) {
            let once = escape(&text).into_owned();
            prop_assert!(matches!(escape(&once), Cow::Borrowed(same) if same == once));
        }

        #[test]
        fn different_texts_look_different(text in hostile().prop_map(|text| text.replace('\\', "/"))) {
            prop_assert_eq!(read_back(&escape(&text)), text);
        }

        #[test]
        fn json_is_harmless_and_says_the_same(text in hostile(), key in hostile()) {
            let mut object = serde_json::Map::new();
            object.insert(key, text.into());
            let value = Value::Object(object);
            let line = json_line(&value);
            prop_assert_eq!(line.find(is_unsafe), None);
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        }
    }
}
