//! A program's manual page from its arguments.

use clap::builder::StyledStr;
use clap::{Arg, Command};
use roff::{Roff, bold, italic, roman};

/// Says everything that the arguments of a program say of themselves.
pub(super) fn describe(roff: &mut Roff, mut command: Command, see_also: &str) {
    // Names, usages and the options that hold everywhere are known only then.
    command.build();
    let name = command.get_name().to_owned();
    let about = text(command.get_about());
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {}", uncapitalised(&about)))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(usage(&mut command))]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(format!("{about}."))]);
    let (said, headed): (Vec<_>, Vec<_>) = paragraphs(&text(command.get_after_help()))
        .into_iter()
        .partition(|paragraph| paragraph.heading.is_none());
    for paragraph in &said {
        paragraph.describe(roff);
    }
    roff.control("SH", ["OPTIONS"]);
    for argument in command.get_arguments() {
        describe_argument(roff, argument);
    }
    if command.has_subcommands() {
        roff.control("SH", ["COMMANDS"]);
        for subcommand in command.get_subcommands_mut() {
            describe_subcommand(roff, subcommand);
        }
    }
    for paragraph in &headed {
        let heading = paragraph.heading.as_deref().unwrap_or_default();
        roff.control("SH", [&*heading.to_uppercase()]);
        paragraph.describe_lines(roff);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(see_also)]);
}

/// One that can be carried out; one that only has commands of its own gives the way to them.
fn describe_subcommand(roff: &mut Roff, command: &mut Command) {
    if command.get_name() == "help" {
        return;
    }
    if command.has_subcommands() {
        for subcommand in command.get_subcommands_mut() {
            describe_subcommand(roff, subcommand);
        }
        return;
    }
    roff.control("SS", [&*usage(command)]);
    roff.text([roman(format!("{}.", text(command.get_about())))]);
    let own = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && argument.get_id() != "help");
    for argument in own {
        describe_argument(roff, argument);
    }
    for paragraph in paragraphs(&text(command.get_after_help())) {
        if let Some(heading) = &paragraph.heading {
            roff.control("PP", []);
            roff.text([roman(format!("{heading}:"))]);
            paragraph.describe_lines(roff);
        } else {
            paragraph.describe(roff);
        }
    }
}

fn describe_argument(roff: &mut Roff, argument: &Arg) {
    roff.control("TP", []);
    let mut names = Vec::new();
    if let Some(short) = argument.get_short() {
        names.push(format!("-{short}"));
    }
    if let Some(long) = argument.get_long() {
        names.push(format!("--{long}"));
    }
    let takes_value = argument.get_action().takes_values();
    let value = argument
        .get_value_names()
        .filter(|_| takes_value)
        .map(|names| {
            names
                .iter()
                .map(AsRef::as_ref)
                .collect::<Vec<_>>()
                .join(" ")
        });
    let mut line = Vec::new();
    if !names.is_empty() {
        line.push(bold(names.join(", ")));
    }
    if let Some(value) = value {
        if !line.is_empty() {
            line.push(roman(" "));
        }
        line.push(italic(value));
    }
    roff.text(line);
    let mut help = text(argument.get_help());
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    if takes_value && !values.is_empty() {
        help += &format!(": {}", values.join(", "));
    }
    roff.text([roman(format!("{help}."))]);
    let defaults = argument.get_default_values();
    if takes_value && !defaults.is_empty() {
        let defaults: Vec<_> = defaults
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        roff.text([roman(format!("By default {}.", defaults.join(", ")))]);
    }
}

/// A part of what stands below a command's help.
#[derive(Debug, PartialEq, Eq)]
struct Paragraph {
    /// The line that ends with a colon, above lines that are set in.
    heading: Option<String>,
    lines: Vec<String>,
}

impl Paragraph {
    /// As running text.
    fn describe(&self, roff: &mut Roff) {
        roff.control("PP", []);
        roff.text([roman(self.lines.join(" "))]);
    }

    /// Line by line, as they are.
    fn describe_lines(&self, roff: &mut Roff) {
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for line in &self.lines {
            roff.text([roman(line.trim_start_matches("  "))]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

fn paragraphs(help: &str) -> Vec<Paragraph> {
    help.split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
        .map(|paragraph| {
            let mut lines: Vec<String> = paragraph.lines().map(str::to_owned).collect();
            let is_headed = lines.first().is_some_and(|line| line.ends_with(':'))
                && lines.iter().skip(1).all(|line| line.starts_with("  "));
            let heading = (is_headed && lines.len() > 1).then(|| lines.remove(0));
            Paragraph {
                heading: heading.map(|line| line.trim_end_matches(':').to_owned()),
                lines,
            }
        })
        .collect()
}

/// `team-agentctl fix [OPTIONS]`.
fn usage(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:");
    usage.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(styled: Option<&StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

/// A sentence as it goes on after something else.
fn uncapitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_lowercase());
    first.into_iter().flatten().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_taken_apart_by_its_headings() {
        let parts =
            paragraphs("One and\nmore.\n\nExit status:\n  0  done\n  1  not\n\nReasons: a,\nb");
        let headings: Vec<_> = parts.iter().map(|part| part.heading.as_deref()).collect();
        assert_eq!(headings, [None, Some("Exit status"), None]);
        assert_eq!(parts[1].lines, ["  0  done", "  1  not"]);
        assert!(paragraphs("").is_empty());
    }
}
