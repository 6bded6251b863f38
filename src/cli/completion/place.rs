//! Which argument the cursor is on: read from the words before it and clap's own knowledge of the arguments.
//!
//! Must not know what there is to offer.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};

use super::super::args::Cli;

/// What can stand at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The pid of an orphan.
    OrphanPid,
    /// The workspace of an orphan.
    OrphanWorkspace,
    /// The pid of any coordinator.
    Pid,
    /// The same, or that of one that has ended.
    PastPid,
    /// The workspace of any coordinator.
    Workspace,
    /// The pid or the workspace of one that is not kept.
    Keepable,
    /// A pid or a path that is kept.
    Kept,
    /// A reason to be an orphan; some have a part that only the daemon knows.
    Reason,
}

impl Place {
    /// Whether any file fits as well.
    pub(super) fn takes_files(self) -> bool {
        self == Self::Keepable
    }
}

/// The commands and arguments, by clap's ids, at which something live fits.
pub(super) const PLACES: [(&str, &str, Place); 8] = [
    ("scan", "workspace", Place::Workspace),
    ("fix", "workspaces", Place::OrphanWorkspace),
    ("fix", "pids", Place::OrphanPid),
    ("fix", "reasons", Place::Reason),
    ("explain", "pid", Place::Pid),
    ("events", "pid", Place::PastPid),
    ("keep", "what", Place::Keepable),
    ("unkeep", "what", Place::Kept),
];

/// Where the cursor is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// What fits there.
    pub(super) place: Place,
    /// What is there already.
    pub(super) value: String,
    /// The socket that was named before.
    pub(super) socket: Option<PathBuf>,
}

/// Where the cursor is, at the end of the last word; none where nothing live fits.
pub(super) fn cursor(words: &[OsString]) -> Option<Cursor> {
    let (last, before) = words.split_last()?;
    let mut root = Cli::command();
    // The options that hold everywhere are known only then.
    root.build();
    let mut walk = Walk {
        command: &root,
        waiting: None,
        positions: 0,
        only_values: false,
        socket: None,
    };
    for word in before.iter().skip(1) {
        walk.step(word);
    }
    let last = last.to_str()?;
    let (argument, value) = walk.at(last)?;
    let name = walk.command.get_name();
    let (_, _, place) = PLACES
        .iter()
        .find(|(command, id, _)| *command == name && argument.get_id() == *id)?;
    Some(Cursor {
        place: *place,
        value: value.to_owned(),
        socket: walk.socket,
    })
}

struct Walk<'a> {
    command: &'a Command,
    /// The option whose value comes next.
    waiting: Option<&'a Arg>,
    /// How many values without an option there were.
    positions: usize,
    /// After `--` there are no options any more.
    only_values: bool,
    socket: Option<PathBuf>,
}

impl<'a> Walk<'a> {
    /// Goes over a word that is complete.
    fn step(&mut self, word: &OsString) {
        if let Some(option) = self.waiting.take() {
            if option.get_id() == "socket" {
                self.socket = Some(word.into());
            }
            return;
        }
        let text = word.to_string_lossy();
        if self.only_values {
            self.positions += 1;
        } else if text == "--" {
            self.only_values = true;
        } else if let Some(option) = text.strip_prefix("--") {
            match option.split_once('=') {
                Some(("socket", path)) => self.socket = Some(path.into()),
                Some(_) => {}
                None => self.waiting = self.option(option),
            }
        } else if text.starts_with('-') && text.len() > 1 {
            // None of the short options takes a value.
        } else if let Some(command) = self.command.find_subcommand(&*text) {
            self.command = command;
            self.positions = 0;
        } else {
            self.positions += 1;
        }
    }

    /// What the last word belongs to, and how much of its value is there.
    fn at<'w>(&self, last: &'w str) -> Option<(&'a Arg, &'w str)> {
        if let Some(option) = self.waiting {
            return Some((option, last));
        }
        if !self.only_values && last.starts_with('-') {
            let (option, value) = last.strip_prefix("--")?.split_once('=')?;
            return Some((self.option(option)?, value));
        }
        let argument = self.command.get_positionals().nth(self.positions)?;
        Some((argument, last))
    }

    fn option(&self, long: &str) -> Option<&'a Arg> {
        self.command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(long))
            .filter(|argument| argument.get_action().takes_values())
    }
}
