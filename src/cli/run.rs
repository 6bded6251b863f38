//! A command from its arguments to its exit status: who is asked, what is printed where.
//!
//! Must not know how an answer comes about, nor what it looks like.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ExitStatus;
use super::args::{Cli, Command, ConfigArgs, ManArgs, ServiceArgs, ServiceCommand};
use super::completion;
use super::config_command::Rejected;
use super::engines::{Engines, RealEngines};
use super::failure::Failure;
use super::follow;
use super::list;
use super::manual;
use super::output::Output;
use super::pages::{CUT, Pages};
use super::render::{self, PROGRAM, ScanAsked, View};
use super::request::Request;
use super::safe_text::escape;
use super::selection::{absolute, fix_after_scan, shell_word};
use super::service::{self, RealPrograms, Surroundings, Trouble};
use super::terminal::Terminal;
use super::usage;
use super::watch;
use crate::control::client::ConnectError;
use crate::control::places;
use crate::os::host::{environment, own_uid};

/// Does what the arguments say, the program's name first, and says how it went.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, terminal: Terminal) -> ExitCode {
    let view = View {
        terminal,
        now: Timestamp::now(),
        zone: TimeZone::system(),
        program: PROGRAM.to_owned(),
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    status_of(arguments, RealEngines, view, &mut Output::standard())
        .await
        .into()
}

async fn status_of<O: Write, E: Write>(
    arguments: Vec<OsString>,
    mut engines: impl Engines,
    view: View,
    output: &mut Output<O, E>,
) -> ExitStatus {
    if let Some(question) = completion::question(&arguments) {
        return completion::answer(question, &mut engines, output).await;
    }
    // Before they are understood, this is all there is to know how a mistake is to be told.
    let wants_json = arguments
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    let cli = match Cli::read(arguments.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) => {
            let error = usage::safe_to_show(error, &arguments);
            return not_understood(&error, wants_json, output);
        }
    };
    let Cli {
        socket,
        json,
        embedded,
        require_daemon,
        command,
    } = cli;
    let use_daemon = match (embedded, require_daemon) {
        (true, _) => UseDaemon::Never,
        (false, true) => UseDaemon::Always,
        (false, false) => UseDaemon::IfThere,
    };
    let view = View {
        program: program(socket.as_deref(), use_daemon),
        ..view
    };
    let mut session = Session {
        engines,
        output,
        view,
        socket,
        json,
        use_daemon,
    };
    match session.perform(command).await {
        Ok(status) => status,
        Err(failure) => session.failed(&failure, &failure.to_json()),
    }
}

/// How this program is called again, to ask whom it is told to ask.
fn program(socket: Option<&Path>, use_daemon: UseDaemon) -> String {
    let mut program = PROGRAM.to_owned();
    if let Some(socket) = socket {
        let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_path_buf());
        program += &format!(" --socket {}", shell_word(socket.as_os_str()));
    }
    match use_daemon {
        UseDaemon::IfThere => {}
        UseDaemon::Always => program += " --require-daemon",
        UseDaemon::Never => program += " --embedded",
    }
    program
}

/// Answers what is no command: a question for help, or a mistake.
fn not_understood<O: Write, E: Write>(
    error: &clap::Error,
    wants_json: bool,
    output: &mut Output<O, E>,
) -> ExitStatus {
    let text = error.render().ansi().to_string();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match output.text(&text) {
            Ok(()) => ExitStatus::Done,
            Err(_) => ExitStatus::EngineError,
        };
    }
    output.note(&text);
    if wants_json {
        let message = error.render().to_string();
        let message = message.split("\n\nUsage:").next().unwrap_or_default();
        let message = message.split("\n\nFor more").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        // Who does not hear that sees the exit status.
        let _ = output.json(&Failure::usage(message).to_json());
    }
    ExitStatus::Usage
}

/// Whether a daemon is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UseDaemon {
    /// If one is there; else the work is done here.
    IfThere,
    /// Or nobody.
    Always,
    /// Whether or not one is there.
    Never,
}

/// What to do where there is no daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    /// The same in this process; what that is called.
    WorkHere(&'static str),
    /// Only a daemon can answer.
    Fail,
}

struct Session<'a, N, O, E> {
    engines: N,
    output: &'a mut Output<O, E>,
    view: View,
    socket: Option<PathBuf>,
    json: bool,
    use_daemon: UseDaemon,
}

impl<N: Engines, O: Write, E: Write> Session<'_, N, O, E> {
    async fn perform(&mut self, command: Command) -> Result<ExitStatus, Failure> {
        match command {
            Command::Scan(args) => {
                let workspace = args.workspace.as_deref().map(absolute).transpose()?;
                let mut request = Request::scan(workspace.as_deref());
                if args.members {
                    request = request.with_members();
                }
                let next = fix_after_scan(workspace.as_deref());
                let asked = ScanAsked {
                    workspace: workspace.as_deref(),
                    next: &next,
                };
                self.scan(&request, &asked).await
            }
            Command::Fix(args) => self.fix(args).await,
            Command::Doctor(args) => self.doctor(&args).await,
            Command::Status => {
                self.show(&Request::status(), Without::Fail, render::status)
                    .await
            }
            Command::Explain(args) => {
                let without = Without::WorkHere("looking from");
                self.show(&Request::explain(args.pid), without, render::explain)
                    .await
            }
            Command::Events(args) if args.follow => {
                follow::follow(
                    &args,
                    self.socket.as_deref(),
                    self.output,
                    &self.view,
                    self.json,
                )
                .await?;
                Ok(ExitStatus::Done)
            }
            Command::Events(args) => {
                let mut pages = Pages::of(Request::events(&args, self.view.now));
                while let Some(request) = pages.next() {
                    pages.take(&self.ask(&request, Without::Fail).await?);
                }
                let result = pages.into_result();
                if result["truncated"] == true {
                    self.output.note(CUT);
                }
                self.print(&result, |view| render::events(&result, view))?;
                Ok(ExitStatus::Done)
            }
            Command::Watch => {
                if self.json {
                    return Err(Failure::usage(
                        "watch is for people: team-agentctl --json events --follow tells scripts what happens",
                    ));
                }
                watch::watch(self.socket.as_deref(), &self.view).await?;
                Ok(ExitStatus::Done)
            }
            Command::Keep(args) => {
                let request = Request::keep("keep", &args.what)?;
                let status = self.show(&request, Without::Fail, render::kept).await?;
                self.tell_of_the_machines_own();
                Ok(status)
            }
            Command::Unkeep(args) => {
                let request = Request::keep("unkeep", &args.what)?;
                self.show(&request, Without::Fail, render::kept).await
            }
            Command::Pause(args) => {
                let request = Request::pause(args.length);
                let status = self.show(&request, Without::Fail, render::paused).await?;
                self.tell_of_the_machines_own();
                Ok(status)
            }
            Command::Resume => {
                self.show(&Request::resume(), Without::Fail, render::resumed)
                    .await
            }
            Command::Reload => {
                self.show(&Request::reload(), Without::Fail, |result, _| {
                    render::reloaded(result)
                })
                .await
            }
            Command::Config(ConfigArgs { command }) => self.config(command).await,
            Command::Service(ServiceArgs { command }) => self.service(&command).await,
            Command::Completions { shell } => {
                self.print_raw("completions", &completion::script(shell))
            }
            Command::Man(args) => self.man(&args),
        }
    }

    async fn scan(
        &mut self,
        request: &Request,
        asked: &ScanAsked<'_>,
    ) -> Result<ExitStatus, Failure> {
        let result = self.ask(request, SCANNING).await?;
        let text = |view: &View| render::scan(&result, view, asked);
        self.print(&result, text)?;
        self.tell_of_the_unknown(&result);
        Ok(ExitStatus::of_scan(&result))
    }

    async fn show(
        &mut self,
        request: &Request,
        without: Without,
        text: impl FnOnce(&Value, &View) -> String,
    ) -> Result<ExitStatus, Failure> {
        let result = self.ask(request, without).await?;
        self.print(&result, |view| text(&result, view))?;
        Ok(ExitStatus::Done)
    }

    /// Says of which paths it could not be found out where they lead, and of how many processes what they are. In JSON
    /// it is there.
    fn tell_of_the_unknown(&mut self, result: &Value) {
        if self.json {
            return;
        }
        if let Some(unread) = result["unread"].as_u64() {
            self.output.note(&format!(
                "processes of which nobody can read the arguments, coordinators or not: {unread} (`team-agentctl doctor` says more)"
            ));
        }
        for path in list(result, "unfollowed") {
            self.output.note(&format!(
                "{} gave no answer in time: only a coordinator that was given exactly this path is meant",
                render::shown(path)
            ));
        }
    }

    /// Says to a user who holds their own daemon back that there is another one, which does not hear of it.
    fn tell_of_the_machines_own(&mut self) {
        // Its directory is root's alone: more than that it is there cannot be seen.
        if own_uid() != 0 && Path::new(places::OF_THE_MACHINE).exists() {
            self.output.note(
                "this machine has a team-agentd of its own, run by root, which does not know of this",
            );
        }
    }

    async fn service(&mut self, command: &ServiceCommand) -> Result<ExitStatus, Failure> {
        let surroundings = Surroundings {
            env: &environment,
            uid: own_uid(),
            own_program: std::env::current_exe()
                .map_err(|error| Failure::service("no_own_program", error))?,
        };
        let performed =
            service::perform(command, &mut self.engines, &mut RealPrograms, &surroundings).await;
        match performed {
            Ok((result, status)) => {
                let text = |view: &View| render::service(command, &result, view);
                match command {
                    ServiceCommand::Print(_) => self.print_as_it_is(&result, text)?,
                    _ => self.print(&result, text)?,
                }
                Ok(status)
            }
            Err(Trouble::Failed(failure)) => Err(failure),
            Err(Trouble::Config(rejected)) => {
                let Rejected { failure, json } = *rejected;
                Ok(self.failed(&failure, &json))
            }
        }
    }

    fn man(&mut self, args: &ManArgs) -> Result<ExitStatus, Failure> {
        let Some(directory) = &args.to else {
            return self.print_raw("page", &manual::page(args.page));
        };
        let written = manual::write_all(directory)?;
        let written: Vec<_> = written.iter().map(|path| path.to_string_lossy()).collect();
        self.print(&json!({"ok": true, "written": written}), |_| {
            let lines: Vec<_> = written.iter().map(|path| escape(path)).collect();
            lines.join("\n")
        })?;
        Ok(ExitStatus::Done)
    }

    /// Prints what is meant for a program, and made here; with `--json` under `name`.
    fn print_raw(&mut self, name: &str, text: &str) -> Result<ExitStatus, Failure> {
        self.print(&json!({"ok": true, name: text}), |_| text.to_owned())?;
        Ok(ExitStatus::Done)
    }

    /// The answer of whoever is to be asked.
    async fn ask(&mut self, request: &Request, without: Without) -> Result<Value, Failure> {
        if self.use_daemon == UseDaemon::Never {
            return Ok(self.engines.embedded(request).await?);
        }
        match (
            self.engines.daemon(self.socket.as_deref(), request).await,
            without,
        ) {
            (Ok(answer), _) => Ok(answer?),
            // Nobody listens. One that listens and cannot be reached is another matter.
            (Err(ConnectError::NoDaemon { tried }), Without::WorkHere(working))
                if self.use_daemon == UseDaemon::IfThere =>
            {
                self.output.note(&notice(&tried, working));
                Ok(self.engines.embedded(request).await?)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    fn print(&mut self, result: &Value, text: impl FnOnce(&View) -> String) -> Result<(), Failure> {
        self.print_as_it_is(result, |view| view.folded(&text(view)))
    }

    /// The same for what may be meant for a file: its lines are nobody's to break.
    fn print_as_it_is(
        &mut self,
        result: &Value,
        text: impl FnOnce(&View) -> String,
    ) -> Result<(), Failure> {
        let printed = if self.json {
            self.output.json(result)
        } else {
            self.output.text(&text(&self.view))
        };
        printed.map_err(|error: io::Error| Failure::output(&error))
    }

    /// Says why there is no result.
    fn failed(&mut self, failure: &Failure, json: &Value) -> ExitStatus {
        let text = self.view.folded(&render::failure(failure));
        self.output.note(&text);
        if self.json {
            // Who does not hear that sees the exit status.
            let _ = self.output.json(json);
        }
        failure.status
    }
}

/// That there is no daemon, in one line: those that are used to working without one read it often.
fn notice(tried: &[PathBuf], working: &str) -> String {
    let place = match tried {
        [] => String::new(),
        [only] => format!(" on {}", only.display()),
        [first, _] => format!(" on {} or another socket", first.display()),
        [first, others @ ..] => {
            format!(" on {} or {} other sockets", first.display(), others.len())
        }
    };
    escape(&format!(
        "no daemon{place}: {working} this process (embedded)"
    ))
    .into_owned()
}

const SCANNING: Without = Without::WorkHere("scanning in");
const FIXING: Without = Without::WorkHere("fixing in");

mod configuration;
mod doctor;
mod fixing;
#[cfg(test)]
mod tests;
