//! Whole commands, with engines that give what they are told to.

mod answers;
mod asking;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use serde_json::json;

use super::*;
use crate::control::client::CallError;
use crate::control::embedded::EmbeddedError;

/// What stands behind the client.
#[derive(Default)]
struct Engine {
    /// What connecting to a daemon gives, if not a connection.
    no_connection: Option<fn() -> ConnectError>,
    /// What the daemon answers.
    daemon: Option<fn() -> Result<Value, CallError>>,
    /// What the engine in this process answers.
    embedded: Option<fn() -> Result<Value, EmbeddedError>>,
    asked: Rc<RefCell<Vec<(&'static str, Request)>>>,
}

impl Engines for Engine {
    async fn daemon(
        &mut self,
        _: Option<&Path>,
        request: &Request,
    ) -> Result<Result<Value, CallError>, ConnectError> {
        if let Some(error) = self.no_connection {
            return Err(error());
        }
        self.asked.borrow_mut().push(("daemon", request.clone()));
        Ok(self.daemon.expect("the daemon is not to be asked")())
    }

    async fn embedded(&mut self, request: &Request) -> Result<Value, EmbeddedError> {
        self.asked.borrow_mut().push(("embedded", request.clone()));
        self.embedded
            .expect("the engine in this process is not to be asked")()
    }
}

#[derive(Debug)]
struct Outcome {
    code: u8,
    stdout: String,
    stderr: String,
    asked: Vec<(&'static str, Request)>,
}

impl Outcome {
    /// The one line of JSON that was printed.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Who was asked for what.
    fn methods(&self) -> Vec<(&'static str, &'static str)> {
        self.asked
            .iter()
            .map(|(who, request)| (*who, request.method))
            .collect()
    }
}

/// Runs one command; what it prints goes to these, and its status comes back.
fn perform(
    line: &str,
    is_terminal: bool,
    engine: Engine,
    stdout: impl Write,
    stderr: impl Write,
) -> u8 {
    let view = View {
        terminal: Terminal {
            is_terminal,
            width: 80,
        },
        now: "2026-05-26T12:00:00Z".parse().unwrap(),
        zone: TimeZone::UTC,
        program: crate::cli::render::PROGRAM.to_owned(),
    };
    let words = std::iter::once("team-agentctl").chain(line.split_whitespace());
    let mut output = Output::new(stdout, stderr);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let status = status_of(
        words.map(OsString::from).collect(),
        engine,
        view,
        &mut output,
    );
    runtime.block_on(status).code()
}

fn run_with(line: &str, is_terminal: bool, engine: Engine) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let asked = Rc::clone(&engine.asked);
    let code = perform(line, is_terminal, engine, &mut stdout, &mut stderr);
    let text =
        |bytes: Vec<u8>| anstream::adapter::strip_str(str::from_utf8(&bytes).unwrap()).to_string();
    Outcome {
        code,
        stdout: text(stdout),
        stderr: text(stderr),
        asked: asked.take(),
    }
}

/// Through a pipe, with a daemon.
fn ask_daemon(line: &str, answer: fn() -> Result<Value, CallError>) -> Outcome {
    run_with(
        line,
        false,
        Engine {
            daemon: Some(answer),
            ..Engine::default()
        },
    )
}

/// Through a pipe, without a daemon.
fn ask_embedded(line: &str, answer: fn() -> Result<Value, EmbeddedError>) -> Outcome {
    run_with(
        line,
        false,
        Engine {
            embedded: Some(answer),
            ..without_daemon()
        },
    )
}

/// Nobody listens, and nothing may be done here.
fn without_daemon() -> Engine {
    let nobody = || ConnectError::NoDaemon {
        tried: vec!["/run/s".into()],
    };
    Engine {
        no_connection: Some(nobody),
        ..Engine::default()
    }
}

fn scan() -> Value {
    json!({
        "ok": true,
        "scanned": 1,
        "orphans": [{
            "pid": 7,
            "etime": "01:02",
            "workspace": "/w",
            "reason": "workspace_path_missing",
            "is_orphan": true,
            "verdict": "orphan",
        }],
        "dry_run": true,
        "scanned_at": "2026-05-26T12:00:00.000000+00:00",
    })
}

const REPORT: &str = "\
Coordinator orphan scan @ 2026-05-26T12:00:00.000000+00:00
  scanned: 1 coordinator processes
  orphans: 1
  mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)
    PID 7 etime=01:02 workspace=/w reason=workspace_path_missing
";

fn fixed() -> Value {
    json!({"ok": true, "dry_run": false, "killed": [{"pid": 7}], "failed": [], "spared": []})
}
