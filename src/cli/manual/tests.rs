//! Pages and completions say everything there is, in a form that their readers take.

use std::io::Write;
use std::process::{Command, Stdio};

use super::configuration::{Part, SHIPPED, parts};
use clap_complete::Shell;

use super::super::completion::script as completions;
use super::*;
use crate::config::Config;

/// What `program` says about `input`: its exit status, standard output and standard error. None if it is not here.
fn through(program: &str, arguments: &[&str], input: &str) -> Option<(bool, String, String)> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C.UTF-8")
        .spawn();
    let Ok(mut child) = child else {
        // Not `eprintln!`, of which nothing is shown when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED (needs {program}): manual pages and completions"
        );
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some((
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    ))
}

/// Every command that can be carried out, as it is typed, with its long options.
fn commands() -> Vec<(String, Vec<String>)> {
    fn collect(command: &clap::Command, typed: &str, into: &mut Vec<(String, Vec<String>)>) {
        let mut options: Vec<String> = command
            .get_arguments()
            .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
            .collect();
        options.sort();
        into.push((typed.to_owned(), options));
        for subcommand in command.get_subcommands() {
            collect(
                subcommand,
                &format!("{typed} {}", subcommand.get_name()),
                into,
            );
        }
    }
    let mut found = Vec::new();
    collect(&Cli::command(), "team-agentctl", &mut found);
    assert!(found.len() > 20, "{found:#?}");
    found
}

/// A page as people read it, in one line.
fn as_read(name: Page) -> Option<String> {
    let (is_well, text, complaints) = through(
        "groff",
        &["-man", "-Tutf8", "-ww", "-P-cbou", "-Kutf8"],
        &page(name),
    )?;
    assert!(is_well, "{complaints}");
    assert_eq!(complaints, "", "{name:?}");
    // Words that were parted at a line's end are joined again, as are the hyphens that groff sets.
    let text = text.replace("‐\n", "-\n").replace(['‐', '−'], "-");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_command_and_option_is_on_the_page() {
    let source = page(Page::Client).replace("\\-", "-");
    for (typed, options) in commands() {
        let is_way = [
            "team-agentctl",
            "team-agentctl config",
            "team-agentctl service",
        ];
        if !is_way.contains(&&*typed) {
            assert!(
                source.contains(&format!(".SS \"{typed}")),
                "{typed} in {source}"
            );
        }
        for option in options {
            assert!(
                source.contains(&format!("\\fB{option}\\fR"))
                    || source.contains(&format!(", {option}\\fR")),
                "{typed} {option}"
            );
        }
    }
    for status in 0..=5 {
        assert!(
            source.contains(&format!("\n{status}  ")),
            "exit status {status}"
        );
    }
}

#[test]
fn the_daemons_page_has_its_options_and_variables() {
    let source = page(Page::Daemon).replace("\\-", "-");
    for said in [
        "--config",
        "--socket",
        "--state-dir",
        "TEAM_AGENTD_CONFIG",
        "TEAM_AGENTD_SOCKET",
        "TEAM_AGENTD_LOG",
        ".SH ENVIRONMENT",
        ".SH EXAMPLES",
    ] {
        assert!(source.contains(said), "{said} in {source}");
    }
}

#[test]
fn every_key_of_the_configuration_is_on_its_page_with_its_comment() {
    let source = page(Page::Configuration).replace("\\-", "-");
    let values = Config::default().to_json();
    let mut keys = 0;
    for (section, inner) in values.as_object().unwrap() {
        assert!(
            source.contains(&format!("\n.SH [{section}]\n")),
            "{section}"
        );
        for key in inner
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "form")
        {
            keys += 1;
            let entry = format!("\n.TP\n\\fB{key} = ");
            let (_, after) = source.split_once(&entry).unwrap_or_else(|| panic!("{key}"));
            let comment = after.lines().nth(1).unwrap();
            // breaker_window and breaker_share share what is said above the two of them.
            let is_said =
                !comment.starts_with('.') || key == "breaker_window" || key == "breaker_share";
            assert!(is_said, "nothing is said of {key}: {comment}");
        }
    }
    assert!(keys > 20, "{keys}");
}

#[test]
fn every_line_of_the_shipped_configuration_is_taken_in() {
    let parts = parts(SHIPPED);
    let said = parts
        .iter()
        .filter(|part| matches!(part, Part::Said(_)))
        .count();
    let comments = SHIPPED
        .lines()
        .filter(|line| line.starts_with('#') && !line.starts_with("# ---"))
        .count();
    assert_eq!(said, comments);
    let long = Part::Key("ephemeral_hints = [\"team-agent-watcher-dedupe-\", …]".to_owned());
    assert!(parts.contains(&long), "{parts:#?}");
}

#[test]
fn man_sets_every_page_without_a_complaint() {
    for (name, said) in [
        (Page::Client, "team-agentctl events [OPTIONS]"),
        (Page::Daemon, "SIGHUP reads the configuration again"),
        (
            Page::Configuration,
            "[scan] Looking for coordinators. interval = \"5s\" How often",
        ),
    ] {
        let Some(text) = as_read(name) else { return };
        assert!(text.contains(said), "{said} in {text}");
        assert!(text.contains("SEE ALSO"), "{text}");
    }
}

#[test]
fn shells_take_their_completions() {
    for (shell, program, arguments) in [
        (Shell::Bash, "bash", &["-n", "/dev/stdin"][..]),
        (Shell::Zsh, "zsh", &["-n", "/dev/stdin"]),
        (Shell::Fish, "fish", &["--no-execute", "/dev/stdin"]),
    ] {
        let script = completions(shell);
        for (typed, options) in commands() {
            let name = typed.rsplit(' ').next().unwrap();
            assert!(
                script.contains(name),
                "{name} in the completions of {shell}"
            );
            for option in options {
                // fish writes the long options without their dashes.
                let option = option.trim_start_matches("--");
                assert!(
                    script.contains(option),
                    "{option} in the completions of {shell}"
                );
            }
        }
        if let Some((is_well, _, complaints)) = through(program, arguments, &script) {
            assert!(is_well && complaints.is_empty(), "{shell}: {complaints}");
        }
    }
}

#[test]
fn bash_completes_what_is_begun() {
    let script = format!(
        "{}\nhow=$(complete -p team-agentctl); how=${{how#*-F }}; how=${{how%% *}}\n\
         COMP_WORDS=(team-agentctl service un); COMP_CWORD=2\n$how team-agentctl un service\necho \"${{COMPREPLY[@]}}\"",
        completions(Shell::Bash)
    );
    let Some((is_well, said, complaints)) = through("bash", &["-s"], &script) else {
        return;
    };
    assert!(is_well, "{complaints}");
    assert_eq!(said.trim(), "uninstall", "{complaints}");
}

#[test]
fn all_pages_are_written_where_man_looks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let written = write_all(folder.path()).unwrap();
    let names = [
        "man1/team-agentctl.1",
        "man8/team-agentd.8",
        "man5/team-agentd.toml.5",
    ];
    assert_eq!(written, names.map(|name| folder.path().join(name)));
    for (path, name) in written.iter().zip(PAGES) {
        assert_eq!(fs::read_to_string(path).unwrap(), page(name));
    }
    let blocked = write_all(&folder.path().join("man1/team-agentctl.1")).unwrap_err();
    assert_eq!(blocked.kind, "unwritable");
}
