//! `service`: the daemon as a service of the user's own service manager, systemd or launchd.
//!
//! | file | what lives there |
//! |---|---|
//! | `install.rs`, `uninstall.rs`, `status.rs` | the commands, the same for every manager |
//! | `preconditions.rs` | what has to be well before an installation touches anything |
//! | `systemd.rs`, `launchd.rs` | what differs: which programs are asked, and how |
//! | `unit.rs`, `plist.rs` | the files that ship, with the places of an installation in them: pure |
//! | `files.rs` | those files on disk, and whose they are |
//! | `binaries.rs` | which programs the service runs |
//! | `journey.rs` | what a command has done so far |
//!
//! Everything is compiled and tested everywhere: a manager is asked through [`Programs`], for which tests
//! have a stand-in. Must not know how a result is shown.

mod binaries;
mod files;
mod install;
mod journey;
mod launchd;
mod plist;
mod preconditions;
mod status;
mod systemd;
#[cfg(test)]
mod tests;
mod uninstall;
mod unit;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use self::binaries::Binaries;
use self::files::UnitFile;
use self::launchd::Launchd;
use self::systemd::Systemd;
use super::ExitStatus;
use super::args::{PrintArgs, ServiceCommand};
use super::config_command::Rejected;
use super::engines::Engines;
use super::failure::Failure;
use crate::os::programs::{self, RunError, Said};

/// What stands in every file that is written here, so that it is known again.
const MARK: &str = "Written by team-agentctl service install";

/// A unit's file as it is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UnitText {
    name: &'static str,
    text: String,
}

/// Runs programs of the system, or what stands in for that.
pub(super) trait Programs {
    /// Runs it to its end.
    async fn run(
        &mut self,
        program: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
        limit: Duration,
    ) -> Result<Said, RunError>;
}

/// The real ones.
pub(super) struct RealPrograms;

impl Programs for RealPrograms {
    async fn run(
        &mut self,
        program: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
        limit: Duration,
    ) -> Result<Said, RunError> {
        programs::run(program, arguments, variables, limit).await
    }
}

/// The machine and the user, as this process sees them.
pub(super) struct Surroundings<'a> {
    /// Environment variables.
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whose service it is.
    pub(super) uid: u32,
    /// The program that this process runs.
    pub(super) own_program: PathBuf,
}

impl Surroundings<'_> {
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        (self.env)(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }

    fn home(&self) -> Result<PathBuf, Failure> {
        self.absolute("HOME").ok_or_else(|| {
            Failure::service(
                "no_home",
                "HOME is not set: there is no place for a service",
            )
        })
    }

    fn binaries(&self) -> Result<Binaries, Failure> {
        let path = (self.env)("PATH").unwrap_or_default();
        Binaries::of(&self.own_program, &path)
    }
}

/// What the service manager says of the place that it gives the daemon.
#[derive(Clone, Debug, Default)]
struct Ground {
    /// The environment that the daemon will have, as far as it is known.
    variables: BTreeMap<String, String>,
    /// Where the user's own units are.
    directory: PathBuf,
    /// Where the service will listen.
    socket: PathBuf,
}

impl Ground {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }
}

/// How the service is, by its manager's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// Whether it starts by itself.
    is_enabled: bool,
    /// The manager's word for how it is.
    active: String,
    /// Its process, if it runs.
    pid: Option<u32>,
    /// Whether everything that belongs to it is as its units say: the socket too.
    is_whole: bool,
    /// Since when it is so, RFC 3339, or in the manager's words.
    since: Option<String>,
    /// What else the manager says, for people.
    says: Option<String>,
    /// How often the manager started it again.
    restarts: Option<u64>,
    /// Whether any of it runs, starts by itself or has failed: there is something to take down.
    is_in_use: bool,
    /// The file that the manager has it from, wherever that is.
    unit_file: Option<PathBuf>,
    /// Changes that the user made to it in files of their own.
    drop_ins: Vec<PathBuf>,
}

/// A service manager.
trait Manager {
    /// Its name, for results.
    fn name(&self) -> &'static str;
    /// The names of the service's files.
    fn file_names(&self) -> &'static [&'static str];
    /// The files of the service, for the directory that they belong in.
    fn units(&self, binaries: &Binaries, directory: &Path) -> Result<Vec<UnitFile>, Failure>;
    /// Where they belong, as far as that can be said without asking the manager.
    fn usual_directory(&self) -> Result<PathBuf, Failure>;
    /// Above which no directory goes that the service leaves empty, given the user's home.
    fn top(&self, home: &Path, directory: &Path) -> PathBuf;
    /// What must be there before the service starts, beside its files.
    fn prepare(&self) -> Result<(), Failure>;
    /// What is left of the service when it is gone, and nobody's any more.
    fn leftovers(&self, ground: &Ground) -> Vec<PathBuf>;
    /// The program that the service runs, from the texts of its files.
    fn program_of(&self, text: &str) -> Option<String>;
    /// The version of a daemon's program, by its own word.
    async fn version_of(&mut self, program: &Path) -> Option<String>;
    /// Asks it where the daemon will be. Fails if it cannot be reached.
    async fn ground(&mut self) -> Result<Ground, Failure>;
    /// What the service's own files and the user's changes to them add to the daemon's environment, as far as
    /// the manager has read them.
    async fn own_variables(&mut self) -> Result<BTreeMap<String, String>, Failure>;
    /// Asks it how the service is.
    async fn state(&mut self) -> Result<State, Failure>;
    /// Makes it read the files again.
    async fn reload(&mut self) -> Result<(), Failure>;
    /// Makes the service start by itself.
    async fn enable(&mut self) -> Result<(), Failure>;
    /// Undoes that.
    async fn disable(&mut self) -> Result<(), Failure>;
    /// Starts it, and waits until it is ready as far as the manager knows.
    async fn start(&mut self) -> Result<(), Failure>;
    /// Stops it, and waits until it has ended; one that does not run is no failure.
    async fn stop(&mut self) -> Result<(), Failure>;
    /// What else somebody may want to know.
    async fn hints(&mut self) -> Vec<String>;
}

/// A command that gave no result.
pub(super) enum Trouble {
    /// It failed.
    Failed(Failure),
    /// The configuration is wrong, so that nothing was done.
    Config(Box<Rejected>),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Does what the command says: its result and its exit status.
pub(super) async fn perform(
    command: &ServiceCommand,
    engines: &mut impl Engines,
    programs: &mut impl Programs,
    surroundings: &Surroundings<'_>,
) -> Result<(Value, ExitStatus), Trouble> {
    if cfg!(target_os = "macos") {
        let mut manager = Launchd::new(programs, surroundings);
        carry_out(command, engines, &mut manager, surroundings).await
    } else {
        let mut manager = Systemd::new(programs, surroundings);
        carry_out(command, engines, &mut manager, surroundings).await
    }
}

async fn carry_out(
    command: &ServiceCommand,
    engines: &mut impl Engines,
    manager: &mut impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<(Value, ExitStatus), Trouble> {
    Ok(match command {
        ServiceCommand::Install(args) => (
            install::install(args.force, engines, manager, surroundings).await?,
            ExitStatus::Done,
        ),
        ServiceCommand::Uninstall(args) => (
            uninstall::uninstall(args.force, manager, surroundings).await?,
            ExitStatus::Done,
        ),
        ServiceCommand::Status => status::status(engines, manager, surroundings).await?,
        ServiceCommand::Print(args) => (print(args, manager, surroundings)?, ExitStatus::Done),
    })
}

/// That a program of the service manager gave no answer.
fn not_run(error: &RunError) -> Failure {
    match error {
        RunError::NotStarted { .. } => Failure::service("no_service_manager", error),
        RunError::TooSlow { .. } => Failure::service("timed_out", error)
            .with_remedy("it may still be at it; see: team-agentctl service status"),
    }
}

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// What `team-agentd --version` says, if that is what `program` is.
async fn version_of(programs: &mut impl Programs, program: &Path) -> Option<String> {
    let said = programs
        .run(program, &["--version"], &[], VERSION_LIMIT)
        .await;
    let said = said.ok().filter(Said::is_success)?;
    let version = said.stdout.trim().strip_prefix("team-agentd ")?;
    Some(version.to_owned())
}

/// What would be written where.
fn print(
    args: &PrintArgs,
    manager: &impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<Value, Failure> {
    let binaries = surroundings.binaries()?;
    let units = if args.system {
        systemd::system_units(&binaries)?
    } else {
        manager.units(&binaries, &manager.usual_directory()?)?
    };
    let files: Vec<Value> = units
        .iter()
        .map(|unit| json!({"path": unit.path.to_string_lossy(), "text": unit.text}))
        .collect();
    Ok(json!({"ok": true, "files": files}))
}
