//! The scripts that shells complete by: clap_complete's for all that is written down, with a question to the
//! program for what is there now.

use std::fmt::Write as _;

use clap::CommandFactory;
use clap_complete::Shell;

use super::super::args::Cli;
use super::place::PLACES;

/// The functions that ask, in bash.
const ASKING_BASH: &str = include_str!("live.bash");
/// The function that asks, in zsh.
const ASKING_ZSH: &str = include_str!("live.zsh");
/// The function that asks, in fish.
const ASKING_FISH: &str = "
# What the daemon knows is asked for.
function __fish_team_agentctl_live
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l answer (command team-agentctl __complete fish '' $words \"$last\" 2>/dev/null)
    or return
    printf '%s\\n' $answer[2..-1]
end
";

/// The completions of the client for a shell, to be put where that shell looks for them.
pub(in super::super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "team-agentctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => {
            // clap_complete 4.6.11 spells a hyphen in the program's name in two ways that never meet, and
            // completes nothing after a command (clap-rs/clap#6421). Once that is mended, nothing is found here.
            let script = script.replace("team__subcmd__agentctl", "team__agentctl");
            let (functions, registration) = script
                .rsplit_once("\nif [[ \"${BASH_VERSINFO")
                .unwrap_or((&script, ""));
            let registration = registration.replace(
                "complete -F _team__agentctl ",
                "complete -F _team_agentctl_asking ",
            );
            format!("{functions}{ASKING_BASH}if [[ \"${{BASH_VERSINFO{registration}")
        }
        Shell::Zsh => {
            const OPENS: &str = "_team-agentctl() {\n";
            let asks_first = format!("{ASKING_ZSH}{OPENS}    _team_agentctl_live && return 0\n");
            script.replacen(OPENS, &asks_first, 1)
        }
        Shell::Fish => format!("{script}{ASKING_FISH}{}", asking_of_fish()),
        _ => script.into_owned(),
    }
}

/// fish is told of each place.
fn asking_of_fish() -> String {
    let root = Cli::command();
    let mut lines = String::new();
    for (command, id, place) in PLACES {
        let option = root
            .find_subcommand(command)
            .and_then(|command| command.get_arguments().find(|one| one.get_id() == id))
            .and_then(|argument| argument.get_long())
            .map(|long| format!(" -l {long} -r"))
            .unwrap_or_default();
        let no_files = if place.takes_files() { "" } else { " -f" };
        // Writing to a String does not fail.
        let _ = writeln!(
            lines,
            "complete -c team-agentctl -n \"__fish_team_agentctl_using_subcommand {command}\"{option}{no_files} -a '(__fish_team_agentctl_live)'"
        );
    }
    lines
}
