//! Exec: the pid stays, and so does everything that holds on to the process; the program is another.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::changes::Subject;
use super::ground::{
    COORDINATOR, Ground, Watched, argv, bystander, coordinator, coordinator_that, wait_until,
};

/// What an orphan becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// A program like any other.
    Bystander,
    /// A coordinator whose workspace exists.
    Healthy,
    /// An orphan, but another one.
    OtherOrphan,
}

pub(crate) const ALL: [Becomes; 3] = [Becomes::Bystander, Becomes::Healthy, Becomes::OtherOrphan];

impl Becomes {
    fn command(self, ground: &Ground) -> Command {
        match self {
            Self::Bystander => bystander(),
            Self::Healthy => coordinator(&ground.directory("alive")),
            Self::OtherOrphan => coordinator(&ground.path("gone-too")),
        }
    }

    /// The same as an argument vector.
    fn argv(self, ground: &Ground) -> Vec<OsString> {
        let command = self.command(ground);
        let name = match self {
            Self::Bystander => command.get_program(),
            Self::Healthy | Self::OtherOrphan => OsStr::new(COORDINATOR),
        };
        let words = [name].into_iter().chain(command.get_args());
        words.map(OsStr::to_owned).collect()
    }

    /// An orphan that becomes this when it is told to go on.
    fn orphan(self, ground: &Ground) -> Command {
        // What comes next is in the environment, as a line for the shell: nothing of it is to be
        // seen in the argv of what is there now.
        let mut command = coordinator_that(r#"read line; eval "$NEXT""#, &ground.path("gone"));
        let words: Vec<String> = self
            .argv(ground)
            .iter()
            .map(|word| format!("'{}'", word.to_str().expect("UTF-8")))
            .collect();
        let program = self.command(ground).get_program().to_owned();
        let program = program.to_str().expect("UTF-8");
        let next = format!("exec -a {} {program} {}", words[0], words[1..].join(" "));
        command.env("NEXT", next);
        command
    }

    pub(crate) fn subject(self, ground: &Ground) -> Subject {
        // All of it: in the middle of an exec the kernel shows none, and a reader that asks twice
        // gets the beginning of one and the end of the other.
        let mut after = self.argv(ground).join(OsStr::new("\0"));
        after.push("\0");
        Subject {
            name: format!("{self:?}"),
            orphan: Watched::start(self.orphan(ground)),
            change: Box::new(move |orphan| {
                let stdin = orphan.child.stdin.as_mut().expect("a pipe");
                // The line it waits for. One that has been ended meanwhile reads no more.
                let _ = stdin.write_all(b"\n");
                let mut has_become = false;
                wait_until("it is another program, or gone", || {
                    has_become = argv(orphan.pid) == after.as_bytes();
                    has_become || !orphan.is_alive()
                });
                has_become
            }),
            why: "program_changed",
        }
    }
}
