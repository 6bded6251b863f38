//! The client, run to its end.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use super::wait::wait_for;
use super::world::World;

/// What one run of the client gave.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its exit status; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) pid: u32,
}

impl Answer {
    /// What it printed with `--json`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON value ({error}): {self:#?}"))
    }

    /// The same, from a run that has to end with `code`.
    pub(crate) fn json_with(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.json()
    }

    /// The text of a run that has to end with `code`.
    pub(crate) fn text_with(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        &self.stdout
    }
}

/// The client with these arguments, on the world's own socket.
pub(crate) fn command<A: AsRef<OsStr>>(
    world: &World,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
    world.confine(&mut command);
    command.arg("--socket").arg(world.socket()).args(arguments);
    command
}

/// Runs it, or another program, to its end, or panics if there is none.
pub(crate) fn run(mut command: Command) -> Answer {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = in_background(child.stdout.take().unwrap());
    let stderr = in_background(child.stderr.take().unwrap());
    let status = wait_for("the client ends", || child.try_wait().unwrap());
    Answer {
        code: status.code(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        pid: Child::id(&child),
    }
}

fn in_background(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("the client's output");
        String::from_utf8(bytes).expect("the client prints UTF-8")
    })
}
