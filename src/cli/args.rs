//! The arguments of the client: what can be typed, and what is refused before anything is done.
//!
//! Must not know how a command is carried out, nor whether a daemon runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, value_parser};
use clap_complete::Shell;
use jiff::{SignedDuration, Timestamp};

use crate::config::parse_duration;
use crate::orphan::process::Pid;
use crate::orphan::verdict::{ORPHAN_REASON_KINDS, names_orphans};

/// The greatest process id there can be: `pid_t` is signed.
const GREATEST_PID: i64 = (u32::MAX / 2) as i64;

/// What stands before the hint of an ephemeral workspace in a reason.
const EPHEMERAL_WITH_HINT: &str = "ephemeral_tempdir_pattern:";

/// Where the help of every command lists the options that it shares with all others.
const EVERYWHERE: &str = "Options of every command";

/// Finds orphaned team-agent coordinators, and ends them when told to.
#[derive(Debug, Parser)]
#[command(name = "team-agentctl", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// Talk to the daemon on this socket
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// Do the work in this process, whether or not a daemon runs
    #[arg(long, global = true, help_heading = EVERYWHERE, conflicts_with = "require_daemon")]
    pub embedded: bool,
    /// Fail if no daemon runs, rather than do the work in this process
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub require_daemon: bool,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for orphans; nothing is signalled
    #[command(after_help = "\
Examples:
  team-agentctl scan
  team-agentctl scan --workspace ~/projects/shop
  team-agentctl --json scan | jq '.orphans[].pid'")]
    Scan(ScanArgs),
    /// End orphans; nothing happens without --confirm
    #[command(after_help = FIX_AFTER_HELP)]
    Fix(FixArgs),
    /// Look at the daemon's own health; with options, the spellings of the original tool
    #[command(after_help = "\
Without options: what the daemon stands on (what it sees, the kernel, limits, its files, its configuration,
its version, its scans), each thing with a remedy where it needs one. Exit status 1 if there is a problem;
warnings are none. Where no daemon answers, what one of yours would find.

Examples:
  team-agentctl doctor
  team-agentctl --json doctor | jq '.checks[] | select(.result != \"ok\")'
  team-agentctl doctor --gate orphans                    exit status 1 if there are orphans
  team-agentctl doctor --gate orphans --fix --confirm    ends them; 1 if one cannot be ended
  team-agentctl doctor --cleanup-orphans                 as scan
  team-agentctl doctor --cleanup-orphans --confirm       as fix --confirm")]
    Doctor(DoctorArgs),
    /// Show the daemon: its policy, its last scan, the orphans it has in view
    #[command(after_help = "\
Example:
  team-agentctl status")]
    Status,
    /// Explain one process: every rule that was tried on it, and what was found
    #[command(after_help = "\
Any process can be asked about; most are no coordinators, and are told so.

Example:
  team-agentctl explain 4242")]
    Explain(ExplainArgs),
    /// Show the event log, newest last
    #[command(after_help = "\
Examples:
  team-agentctl events --limit 100
  team-agentctl events --pid 4242 --all
  team-agentctl events --since 10m
  team-agentctl events --follow
  team-agentctl events --since 2026-05-26T14:00:00+02:00")]
    Events(EventsArgs),
    /// Watch coordinators and kills in progress, live
    #[command(after_help = "\
Needs a terminal. Keys are listed at its foot, and in full with '?'.

Example:
  team-agentctl watch")]
    Watch,
    /// Never touch a process, or whatever works below a path
    #[command(after_help = "\
A process is kept until it ends, a path until it is unkept: neither the daemon nor a fix touches it.

Examples:
  team-agentctl keep 4242
  team-agentctl keep ~/projects/shop")]
    Keep(KeepArgs),
    /// Treat what was kept like anything else again
    #[command(after_help = "\
Example:
  team-agentctl unkeep 4242")]
    Unkeep(KeepArgs),
    /// Hold automatic reaping; what somebody asks for is done all the same
    #[command(after_help = "\
Examples:
  team-agentctl pause                   until it is resumed
  team-agentctl pause --for 1h30m")]
    Pause(PauseArgs),
    /// Go on with automatic reaping, after a pause or when it suspended itself
    #[command(after_help = "\
Example:
  team-agentctl resume")]
    Resume,
    /// Make the daemon read its configuration again
    #[command(after_help = "\
A file with a mistake in it is refused as a whole, and the daemon keeps what it has.

Examples:
  team-agentctl config check && team-agentctl reload")]
    Reload,
    /// Check or show the configuration; no daemon is needed
    Config(ConfigArgs),
    /// Have the daemon run as a service of yours, by systemd or launchd
    Service(ServiceArgs),
    /// Print completions for a shell
    #[command(after_help = "\
Examples:
  team-agentctl completions bash > ~/.local/share/bash-completion/completions/team-agentctl
  team-agentctl completions zsh > ~/.zfunc/_team-agentctl        with ~/.zfunc in fpath
  team-agentctl completions fish > ~/.config/fish/completions/team-agentctl.fish")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print a manual page, or write all of them into a directory
    #[command(after_help = "\
Examples:
  team-agentctl man | man -l -
  team-agentctl man team-agentd.toml | man -l -
  team-agentctl man --to ~/.local/share/man")]
    Man(ManArgs),
}

/// Which coordinators are looked at.
#[derive(Debug, Default, Args)]
pub struct ScanArgs {
    /// Only coordinators of this workspace
    #[arg(long, value_name = "PATH")]
    pub workspace: Option<PathBuf>,
    /// With each orphan the processes that would end with it, and those that would be left behind
    #[arg(long)]
    pub members: bool,
}

/// Which orphans are ended: those that match each kind of option that is given.
#[derive(Debug, Default, Args)]
pub struct FixArgs {
    /// Do it; without this nothing is signalled
    #[arg(long)]
    pub confirm: bool,
    /// Only orphans of this workspace; can be given several times
    #[arg(long = "workspace", value_name = "PATH")]
    pub workspaces: Vec<PathBuf>,
    /// Only this process; can be given several times
    #[arg(long = "pid", value_name = "PID", value_parser = pid())]
    pub pids: Vec<Pid>,
    /// Only orphans for this reason; can be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = reason)]
    pub reasons: Vec<String>,
}

/// What the original tool spells as options of `doctor`.
#[derive(Debug, Default, Args)]
pub struct DoctorArgs {
    /// Fail if there are orphans
    #[arg(
        long,
        value_enum,
        value_name = "GATE",
        conflicts_with = "cleanup_orphans"
    )]
    pub gate: Option<Gate>,
    /// With --gate: end the orphans, and fail if one cannot be ended
    #[arg(long, requires = "gate", conflicts_with = "cleanup_orphans")]
    pub fix: bool,
    /// Look for orphans; with --confirm end them
    #[arg(long)]
    pub cleanup_orphans: bool,
    /// Do it; without this nothing is signalled
    #[arg(long)]
    pub confirm: bool,
}

/// What a gate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gate {
    /// There are no orphaned coordinators.
    #[value(help = None)]
    Orphans,
}

/// Which process is explained.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The process
    #[arg(value_name = "PID", value_parser = pid())]
    pub pid: Pid,
}

/// What is kept.
#[derive(Debug, Args)]
pub struct KeepArgs {
    /// A process, or a path (a path of digits alone needs a slash: ./4242)
    #[arg(value_name = "PID or PATH")]
    pub what: PathBuf,
}

/// For how long automatic reaping is held.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// For this long (10m, 1h30m); until it is resumed without
    #[arg(long = "for", value_name = "DURATION", value_parser = pause_length)]
    pub length: Option<Duration>,
}

/// Which events are shown.
#[derive(Debug, Default, Args)]
pub struct EventsArgs {
    /// No more than this many [default: 20]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// And then what happens, as it happens, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// The earlier, rotated logs too
    #[arg(long)]
    pub all: bool,
    /// Only events of this process
    #[arg(long, value_name = "PID", value_parser = pid())]
    pub pid: Option<Pid>,
    /// Only from this time on: a timestamp (the time of the place, unless it has an offset), or how long ago (10m, 1h30m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
}

/// What is done with the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with a configuration file
    #[command(after_help = "\
Examples:
  team-agentctl config check
  team-agentctl config check ./team-agentd.toml")]
    Check {
        /// The file; the one that would be used if none is named
        file: Option<PathBuf>,
    },
    /// Show the values in force, and where each came from
    #[command(after_help = "\
Examples:
  team-agentctl config show
  TEAM_AGENTD_CONFIG=./team-agentd.toml team-agentctl config show")]
    Show,
}

/// What is done with the service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// The commands about the service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Install and start it, or bring it up to date; done when the daemon answers
    #[command(after_help = "\
Refused, before anything is written, while the configuration is wrong, another team-agentd is at work,
or somebody else's files are in the place of its own.

Example:
  team-agentctl config check && team-agentctl service install")]
    Install(ForceArgs),
    /// Stop and remove it; the state directory and your configuration stay
    #[command(after_help = "\
Example:
  team-agentctl service uninstall")]
    Uninstall(ForceArgs),
    /// Show whether it is installed and runs (exit status 4 if not), and whether it is up to date
    #[command(after_help = "\
Example:
  team-agentctl service status")]
    Status,
    /// Print the files that install would write
    #[command(after_help = "\
Examples:
  team-agentctl service print
  team-agentctl service print --system")]
    Print(PrintArgs),
}

/// What is in the way.
#[derive(Debug, Default, Args)]
pub struct ForceArgs {
    /// Replace or remove what somebody else put in the place of its files; install without what was kept elsewhere
    #[arg(long)]
    pub force: bool,
}

/// Which files are printed.
#[derive(Debug, Default, Args)]
pub struct PrintArgs {
    /// Those of a service for the whole machine, as root, with systemd
    #[arg(long)]
    pub system: bool,
}

/// Which manual pages.
#[derive(Debug, Default, Args)]
pub struct ManArgs {
    /// The page
    #[arg(value_enum, value_name = "PAGE", default_value_t = Page::Client, conflicts_with = "to")]
    pub page: Page,
    /// Write all pages below this directory, into man1, man5 and man8
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// The manual pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// team-agentctl(1).
    #[default]
    #[value(name = "team-agentctl", help = None)]
    Client,
    /// team-agentd(8).
    #[value(name = "team-agentd", help = None)]
    Daemon,
    /// team-agentd.toml(5).
    #[value(name = "team-agentd.toml", help = None)]
    Configuration,
}

/// From when on events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From this moment.
    At(Timestamp),
    /// From this long ago.
    Ago(Duration),
}

impl Since {
    /// The moment that is meant, `now` being the present one.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(duration) => SignedDuration::try_from(duration)
                .ok()
                .and_then(|duration| now.checked_sub(duration).ok())
                .unwrap_or(Timestamp::MIN),
        }
    }
}

impl Cli {
    /// Reads the arguments, the program's name first.
    ///
    /// # Errors
    ///
    /// What is wrong with them; also `--help` and `--version`, which are answered by printing.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        cli.check()?;
        Ok(cli)
    }

    /// What clap cannot see: it checks each level of commands for itself, and global options can
    /// stand on any.
    fn check(&self) -> Result<(), clap::Error> {
        if self.embedded && self.require_daemon {
            return Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                "the argument '--embedded' cannot be used with '--require-daemon'",
            ));
        }
        if let Some(name) = self.command.of_daemon_only().filter(|_| self.embedded) {
            let what = format!("'{name}' asks the daemon: it cannot be used with '--embedded'");
            return Err(Self::command().error(ErrorKind::ArgumentConflict, what));
        }
        let runs_elsewhere = self.embedded || self.require_daemon || self.socket.is_some();
        if matches!(self.command, Command::Service(_)) && runs_elsewhere {
            let what = "the service has a socket and a daemon of its own: '--socket', '--embedded' \
                        and '--require-daemon' cannot be used with 'service'";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, what));
        }
        match &self.command {
            Command::Doctor(DoctorArgs {
                gate: None,
                cleanup_orphans: false,
                confirm: true,
                ..
            }) => {
                Err(Self::command().error(ErrorKind::MissingRequiredArgument, NOTHING_TO_CONFIRM))
            }
            _ => Ok(()),
        }
    }
}

impl Command {
    /// The command's name, if only a daemon can answer it.
    fn of_daemon_only(&self) -> Option<&'static str> {
        match self {
            Self::Status => Some("status"),
            Self::Events(_) => Some("events"),
            Self::Watch => Some("watch"),
            Self::Keep(_) => Some("keep"),
            Self::Unkeep(_) => Some("unkeep"),
            Self::Pause(_) => Some("pause"),
            Self::Resume => Some("resume"),
            Self::Reload => Some("reload"),
            _ => None,
        }
    }
}

fn pid() -> clap::builder::RangedI64ValueParser<Pid> {
    value_parser!(u32).range(1..=GREATEST_PID)
}

fn reason(text: &str) -> Result<String, String> {
    if names_orphans(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "no reason to be an orphan: there are {}, and {EPHEMERAL_WITH_HINT}HINT",
        ORPHAN_REASON_KINDS.join(", ")
    ))
}

fn pause_length(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(length) if length.is_zero() => Err("a pause is longer than that".to_owned()),
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse() {
        return Ok(Since::At(moment));
    }
    // As `events` shows it: the time of the place. One that names a place may mean another.
    let bare = Some(text).filter(|text| !text.contains('['));
    let local = bare.and_then(|text| text.parse().ok());
    let local = local.and_then(|local: jiff::civil::DateTime| {
        let local = local.to_zoned(jiff::tz::TimeZone::system());
        Some(local.ok()?.timestamp())
    });
    if let Some(moment) = local {
        return Ok(Since::At(moment));
    }
    parse_duration(text).map(Since::Ago).map_err(|_| {
        "neither a timestamp (2026-05-26T14:00:00Z) nor a duration (10m, 1h30m)".to_owned()
    })
}

const NOTHING_TO_CONFIRM: &str = "\
'doctor' by itself changes nothing: there is nothing to confirm; type one of:

  team-agentctl doctor
  team-agentctl doctor --gate orphans --fix --confirm
  team-agentctl doctor --cleanup-orphans --confirm";

const AFTER_HELP: &str = "\
Without a daemon, scan, fix, doctor and explain do the same work in this process.

Exit status:
  0  done
  1  the gate failed, an orphan could not be ended, a --pid was spared, or doctor found a problem
  2  the command line is wrong; with config and service, the configuration
  3  refused: --confirm is needed
  4  no daemon
  5  no result: the daemon, or the engine in this process, answered with an error

Examples:
  team-agentctl scan                    what is there
  team-agentctl explain 4242            why a process is judged as it is
  team-agentctl fix --confirm           end all orphans
  team-agentctl events --since 1h       what happened
  team-agentctl watch                   what happens
  team-agentctl doctor                  whether all is well with the daemon itself";

const FIX_AFTER_HELP: &str = "\
An orphan is ended if it matches each kind of option that is given. Orphans that are so only by the
name of their directory (ephemeral_tempdir_pattern) are spared while they are young, unless --pid or
--reason names them.

Reasons: workspace_path_missing, workspace_replaced, workspace_trashed, ephemeral_tempdir_pattern,
ephemeral_tempdir_pattern:HINT

Examples:
  team-agentctl fix                     what would be ended, and what to type
  team-agentctl fix --confirm
  team-agentctl fix --confirm --pid 4242 --pid 4243
  team-agentctl fix --confirm --workspace /tmp/shop --reason workspace_path_missing";

#[cfg(test)]
mod tests;
