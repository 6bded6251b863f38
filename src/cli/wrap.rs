//! Text broken into lines that fit, so that it is known how many there are.

use unicode_width::UnicodeWidthChar;

/// The lines of `text`, each in at most so many columns (and at least one character).
pub(in crate::cli) fn wrapped(text: &str, columns: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    for mut line in text.lines() {
        loop {
            let (fitting, rest) = line.split_at(end_of_first(line, columns));
            lines.push(fitting);
            if rest.is_empty() {
                break;
            }
            line = rest;
        }
    }
    lines
}

/// Where the first line ends: between words if that leaves it half full, as paths have none.
fn end_of_first(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    let mut word = 0;
    for (at, char) in text.char_indices() {
        taken += char.width().unwrap_or(0);
        if taken > columns && at > 0 {
            return if word > 0 { word } else { at };
        }
        if char == ' ' && taken > columns / 2 {
            word = at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_or_wherever_they_have_to_be() {
        for (text, columns, lines) in [
            ("", 5, &[][..]),
            ("a\n\nb", 5, &["a", "", "b"]),
            ("twelve words", 12, &["twelve words"]),
            ("twelve words", 11, &["twelve ", "words"]),
            // A label in front of a path does not stand alone.
            ("ws /home/me/work", 10, &["ws /home/m", "e/work"]),
            ("世界世界", 5, &["世界", "世界"]),
            // No room at all: it ends all the same.
            ("世界", 1, &["世", "界"]),
            ("ab", 0, &["a", "b"]),
        ] {
            assert_eq!(wrapped(text, columns), lines, "{text:?} in {columns}");
        }
    }
}
