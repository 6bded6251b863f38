//! What a shell completes by asking: pids, workspaces and reasons of the coordinators that are there now.
//!
//! | file | what lives there |
//! |---|---|
//! | `place.rs` | which argument the cursor is on, from clap's own knowledge of the arguments |
//! | `typed.rs` | a word as bash has it, with its quotes, and what it says |
//! | `candidates.rs` | what fits there, from one `status` of the daemon |
//! | `script.rs`, `live.bash`, `live.zsh` | the scripts of the shells: clap_complete's, and their question |
//!
//! A script asks `team-agentctl __complete SHELL PIECE WORD…`: the words up to the cursor, and what the shell
//! takes for the part that it replaces. The answer is a line `only` or `also` (files fit, too) and a line a
//! candidate, with what it is about after a tab; for bash in the quotes that it needs there. Any other end than a success, and the script goes on
//! without: so nothing is ever said here but that, and nobody is waited for.
//!
//! Why not clap_complete's engine for this: it is marked unstable, and its scripts ask for every word.

mod candidates;
mod place;
mod script;
#[cfg(test)]
mod tests;
mod typed;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::Shell;

use self::candidates::{Candidate, candidates};
use self::place::Cursor;
pub(super) use self::script::script;
use self::typed::Meaning;
use super::ExitStatus;
use super::engines::Engines;
use super::output::Output;
use super::request::Request;

/// How a script begins its question. No command that people type: it is in no help and no manual.
pub(super) const QUESTION: &str = "__complete";

/// For how long somebody who pressed a key waits for a daemon.
const PATIENCE: Duration = Duration::from_millis(700);

/// What a script asks.
pub(super) struct Question {
    shell: Shell,
    /// What the shell replaces of the last word.
    piece: String,
    /// As they were typed, the program's name first.
    words: Vec<OsString>,
}

/// The question, if the arguments are one and not a command.
pub(super) fn question(arguments: &[OsString]) -> Option<Question> {
    let [_, question, shell, piece, words @ ..] = arguments else {
        return None;
    };
    if question != QUESTION {
        return None;
    }
    Some(Question {
        shell: Shell::from_str(shell.to_str()?, false).ok()?,
        piece: piece.to_string_lossy().into_owned(),
        words: words.to_vec(),
    })
}

/// Answers it. Whatever goes wrong, there is nothing to offer, and nobody who wants to read why.
pub(super) async fn answer<O: Write, E: Write>(
    question: Question,
    engines: &mut impl Engines,
    output: &mut Output<O, E>,
) -> ExitStatus {
    let Question {
        shell,
        piece,
        words,
    } = question;
    let is_raw = shell == Shell::Bash;
    let words: Vec<OsString> = words
        .into_iter()
        .map(|word| {
            if is_raw {
                typed::meaning(&word).text
            } else {
                word
            }
        })
        .collect();
    let Some(Cursor {
        place,
        value,
        socket,
    }) = place::cursor(&words)
    else {
        return ExitStatus::Failed;
    };
    let socket = socket.map(at_home);
    let asked = Request::status();
    let asking = engines.daemon(socket.as_deref(), &asked);
    let status = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(Ok(status))) => Some(status),
        _ => None,
    };
    let mut found = candidates(place, status.as_ref());
    if is_raw {
        // zsh and fish choose by themselves, and some people have told them to be clever about it.
        found = for_bash(found, &value, OsStr::new(&piece));
    }
    if found.is_empty() {
        return ExitStatus::Failed;
    }
    let is_path = !is_raw || value.contains('/');
    let mode = if place.takes_files() && is_path {
        "also"
    } else {
        "only"
    };
    let lines: Vec<String> = std::iter::once(mode.to_owned())
        .chain(found.iter().map(|candidate| candidate.line(shell)))
        .collect();
    match output.text(&lines.join("\n")) {
        Ok(()) => ExitStatus::Done,
        Err(_) => ExitStatus::EngineError,
    }
}

/// Those that go on as `value` begins, written as what replaces `piece`, its end.
fn for_bash(found: Vec<Candidate>, value: &str, piece: &OsStr) -> Vec<Candidate> {
    let Meaning { text, open } = typed::meaning(piece);
    let replaced = match text.to_str() {
        // What parts words is not replaced, but what comes after it.
        None | Some("=" | ":") => "",
        // Nor is what stands before a quote that is open.
        Some(text) => &text[open.map_or(0, |(_, before)| before)..],
    };
    let kept = value.strip_suffix(replaced).unwrap_or_default();
    let mut found: Vec<Candidate> = found
        .into_iter()
        .filter(|candidate| candidate.value.starts_with(value))
        .filter_map(|candidate| {
            let value = candidate.value.strip_prefix(kept)?.to_owned();
            Some(Candidate { value, ..candidate })
        })
        .collect();
    let open = open.map(|(quote, _)| quote);
    // All in the same way, or they would have nothing in common.
    if open.is_some() || !found.iter().all(|one| typed::is_plain(&one.value)) {
        for candidate in &mut found {
            candidate.value = typed::quoted(&candidate.value, open);
        }
    }
    found
}

/// `~/x` as the shell would read it.
fn at_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), crate::os::host::environment("HOME")) {
        (Ok(below), Some(home)) => PathBuf::from(home).join(below),
        _ => path,
    }
}
