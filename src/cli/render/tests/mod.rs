//! The renderings: to the letter for usual results, and whatever comes for unusual ones.

mod checkups;
mod letters;
mod pictures;
mod samples;
mod scans_and_fixes;
mod steering;
mod unusual;

use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};

use super::View;
use crate::cli::terminal::Terminal;

/// Some minutes after the results of [`samples`], two hours east of Greenwich.
fn view(is_terminal: bool, width: usize) -> View {
    View {
        terminal: Terminal { is_terminal, width },
        now: "2026-05-26T12:05:00Z".parse::<Timestamp>().unwrap(),
        zone: TimeZone::fixed(offset(2)),
        program: crate::cli::render::PROGRAM.to_owned(),
    }
}

fn piped() -> View {
    view(false, 80)
}

/// A text without its colours.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// The lines of a text on a terminal of this width, without their colours.
fn lines_on_terminal(width: usize, render: impl Fn(&View) -> String) -> Vec<String> {
    plain(&render(&view(true, width)))
        .lines()
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn assert_lines(found: &[String], expected: &[&str]) {
    assert_eq!(found, expected, "\n{}\n", found.join("\n"));
}
