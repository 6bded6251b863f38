//! The manual page of the configuration file, from the comments in the one that ships.
//!
//! What it relies on is how that file is written, which a test keeps so: a rule of dashes opens a part,
//! a comment stands above the key that it is about, and lines that are set in stay as they are.

use roff::{Roff, bold, roman};

/// The file as it ships.
pub(super) const SHIPPED: &str = include_str!("../../../config/team-agentd.toml");

/// One thing in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A table: its name.
    Table(String),
    /// A key with its default: `interval = "5s"`; a long list is cut short.
    Key(String),
    /// A line of a comment, without its mark.
    Said(String),
    /// A rule: what is said next is the title of the table below it.
    Rule,
    /// The end of a block of comments.
    Gap,
}

/// The parts in their order, a comment before what it is about.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("# ---") {
            parts.push(Part::Rule);
        } else if let Some(comment) = line.strip_prefix('#') {
            parts.push(Part::Said(
                comment.strip_prefix(' ').unwrap_or(comment).to_owned(),
            ));
        } else if let Some(table) = line.strip_prefix('[') {
            parts.push(Part::Table(table.trim_end_matches(']').to_owned()));
        } else if line.is_empty() {
            parts.push(Part::Gap);
        } else if line.ends_with('[') {
            let first = lines
                .next()
                .unwrap_or_default()
                .trim()
                .trim_end_matches(',');
            let others = lines.by_ref().take_while(|line| *line != "]").count();
            let more = if others > 0 { ", …" } else { "" };
            parts.push(Part::Key(format!("{line}{first}{more}]")));
        } else {
            parts.push(Part::Key(line.to_owned()));
        }
    }
    parts
}

/// What a block of comments stands above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    File,
    Table,
    Key,
}

/// Says everything that the file says.
pub(super) fn describe(roff: &mut Roff) {
    roff.control("SH", ["NAME"]);
    roff.text([roman("team-agentd.toml - configuration of team-agentd(8)")]);
    roff.control("SH", ["SYNOPSIS"]);
    for place in [
        "$XDG_CONFIG_HOME/team-agentd/team-agentd.toml",
        "~/.config/team-agentd/team-agentd.toml",
        "/etc/team-agentd/team-agentd.toml",
    ] {
        roff.text([roman(place)]);
        roff.control("br", []);
    }
    roff.control("SH", ["DESCRIPTION"]);
    let mut block = Vec::new();
    let mut opens = Opens::File;
    for part in parts(SHIPPED) {
        match part {
            Part::Said(line) => block.push(line),
            Part::Rule => opens = Opens::Table,
            // Kept until its table is named.
            Part::Gap if opens == Opens::Table => {}
            Part::Gap => {
                // The file's title is one of the page already.
                let title = usize::from(opens == Opens::File);
                opens = Opens::Key;
                say(roff, block.get(title..).unwrap_or_default());
                block.clear();
            }
            Part::Table(name) => {
                opens = Opens::Key;
                roff.control("SH", [&*format!("[{name}]")]);
                say(roff, &block);
                block.clear();
            }
            Part::Key(key) => {
                roff.control("TP", []);
                roff.text([bold(key)]);
                say_within(roff, &block);
                block.clear();
            }
        }
    }
    say(roff, &block);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("team-agentd(8), team-agentctl(1)")]);
}

fn say(roff: &mut Roff, block: &[String]) {
    if !block.is_empty() {
        roff.control("PP", []);
        say_within(roff, block);
    }
}

/// Sentences run on; an empty line opens a paragraph. Lines that are set in stand for themselves, and so does
/// all from a table on that is only a comment.
fn say_within(roff: &mut Roff, block: &[String]) {
    let (mut was_set_in, mut is_example) = (false, false);
    for line in block {
        is_example |= line.starts_with("[[");
        let is_set_in = is_example || line.starts_with("  ");
        if is_set_in != was_set_in {
            roff.control(if is_set_in { "nf" } else { "fi" }, []);
        }
        was_set_in = is_set_in;
        if line.is_empty() {
            // Not PP, which would end what belongs to a key.
            roff.control("sp", []);
        } else {
            roff.text([roman(line.as_str())]);
        }
    }
    if was_set_in {
        roff.control("fi", []);
    }
}
