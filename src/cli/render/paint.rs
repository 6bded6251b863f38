//! Colours, for terminals only. Whether they come through is decided where the text is printed:
//! `NO_COLOR` and `CLICOLOR` are known there.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use super::View;

/// What catches the eye: an orphan, a failure.
pub(in crate::cli) const ALARM: Style = AnsiColor::Red.on_default().bold();
/// What is in doubt, or was left alone.
pub(in crate::cli) const DOUBT: Style = AnsiColor::Yellow.on_default();
/// What is well.
pub(in crate::cli) const WELL: Style = AnsiColor::Green.on_default();
/// What structures the text.
pub(in crate::cli) const HEADING: Style = Style::new().bold();
/// What is there for completeness.
pub(in crate::cli) const ASIDE: Style = Style::new().dimmed();

impl View {
    /// `text` in this style, on a terminal.
    pub(in crate::cli) fn paint(&self, style: Style, text: impl Display) -> String {
        if self.terminal.is_terminal {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }
}

/// The style of a word that says how something is or how it ended.
pub(super) fn of_word(word: &str) -> Style {
    match word {
        "orphan" | "failed" => ALARM,
        "unknown" | "spared" | "refused" | "suspected" | "terminating" => DOUBT,
        "alive" | "killed" | "missing" | "passed" => WELL,
        _ => Style::new(),
    }
}
