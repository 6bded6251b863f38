//! Text for people, in lines that fit: what is too long goes on below where it began.

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, wrap};

use super::View;

/// What a line may have in front of what it says: an indentation, and a label with a gap behind it.
const LABEL_AT_MOST: usize = 24;

impl View {
    /// As it is shown: on a terminal no line is longer than that is wide, unless a single word is, or a
    /// command to be typed. A pipe gets the lines as they are.
    #[must_use]
    pub fn folded(&self, text: &str) -> String {
        if !self.terminal.is_terminal {
            return text.to_owned();
        }
        let lines: Vec<String> = text
            .lines()
            .map(|line| fold(line, self.terminal.width))
            .collect();
        lines.join("\n")
    }
}

fn fold(line: &str, width: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let start = start_of_what_it_says(&plain);
    let says = plain.get(start..).unwrap_or_default();
    if says.starts_with("team-agentctl ") {
        return line.to_owned();
    }
    let indent = match start {
        0 => 2,
        _ => display_width(plain.get(..start).unwrap_or_default()),
    };
    let indent = " ".repeat(indent.min(width / 2));
    let options = Options::new(width)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    wrap(line, options).join("\n")
}

/// Behind the indentation, and behind a label if there is one.
fn start_of_what_it_says(line: &str) -> usize {
    let indentation = line.len() - line.trim_start_matches(' ').len();
    let says = line.get(indentation..).unwrap_or_default();
    match says.find("  ") {
        Some(label) if label <= LABEL_AT_MOST => {
            let gap = says.get(label..).unwrap_or_default();
            indentation + label + (gap.len() - gap.trim_start_matches(' ').len())
        }
        _ => indentation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_goes_on_below_where_it_began() {
        for (line, width, folded) in [
            ("fits", 4, "fits"),
            ("does not fit", 8, "does not\n  fit"),
            ("  an indented one", 12, "  an\n  indented\n  one"),
            (
                "  policy:  ends orphans by itself",
                24,
                "  policy:  ends orphans\n           by itself",
            ),
            // Half of the room is left for what it says.
            (
                "  a long label:  says this",
                20,
                "  a long label:\n          says this",
            ),
            // What somebody copies stays in one piece.
            (
                "see /a/path/that/is-long",
                10,
                "see\n  /a/path/that/is-long",
            ),
            (
                "  to end them:  team-agentctl fix --confirm",
                20,
                "  to end them:  team-agentctl fix --confirm",
            ),
            ("世界 世界", 5, "世界\n  世界"),
            // A colour takes no room.
            (
                "\u{1b}[1mtwo\u{1b}[0m words",
                9,
                "\u{1b}[1mtwo\u{1b}[0m words",
            ),
            ("", 9, ""),
        ] {
            assert_eq!(fold(line, width), folded, "{line:?} in {width}");
        }
    }
}
