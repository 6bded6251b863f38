//! The configuration: what it holds, where it is found, and its built-in defaults.
//!
//! [`Config`] is plain values that have passed every check; who has one need not check again.
//! This room must not know what the values are used for: it starts nothing, looks at no process,
//! and touches no file but the configuration itself.
//!
//! - `mod.rs`: the values and their defaults, finding and loading the file
//! - `read.rs`: which keys there are, and which values each may have
//! - `document.rs`: TOML with the line and the dotted key of everything in it
//! - `syntax.rs`: files that are not TOML
//! - `duration.rs`: `300ms`, `5s`, `10m`, `1h30m`
//! - `show.rs`: a configuration as JSON, in the file's own shape
//! - `error.rs`: what can be wrong

mod document;
mod duration;
mod error;
mod read;
mod show;
mod syntax;
/// The longest configuration that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// A configuration is a regular file of a sensible size: a FIFO would never end, nor would `/dev/zero`.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_following(path)?
        .take(FILE_LIMIT_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(io::Error::other("longer than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::orphan::coordinator::CustomForm;
use crate::orphan::victims::Scope;
use crate::os::files::open_following;

pub use document::Origins;
pub use duration::{DurationError, parse_duration, render_duration};
pub use error::{ConfigError, Problem};

/// Everything that can be configured. [`Config::default`] is what holds without a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[scan]`
    pub scan: ScanConfig,
    /// `[coordinator]`
    pub coordinator: CoordinatorConfig,
    /// `[orphan]`
    pub orphan: OrphanConfig,
    /// `[reap]`
    pub reap: ReapConfig,
    /// `[terminate]`
    pub terminate: TerminateConfig,
    /// `[events]`
    pub events: EventsConfig,
    /// `[control]`
    pub control: ControlConfig,
}

/// `[scan]`: how often and how patiently to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanConfig {
    /// From the start of one scan to the start of the next; at least 100 ms.
    pub interval: Duration,
    /// How long the look at one workspace may take; above zero, at most 60 s.
    pub probe_timeout: Duration,
}

/// `[coordinator]`: which processes are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Whose coordinators are judged.
    pub uids: Uids,
    /// Absolute. Only workspaces below one of these are looked at; empty means everywhere.
    pub workspace_roots: Vec<PathBuf>,
    /// `[[coordinator.form]]`: forms beside the built-in ones, with names that differ from theirs.
    pub forms: Vec<CustomForm>,
}

/// Whose coordinators are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Uids {
    /// Those of the daemon's own uid.
    #[default]
    Own,
    /// Those of every uid but 0.
    All,
    /// Those of these uids; never empty.
    Listed(Vec<u32>),
}

/// `[orphan]`: what makes an orphan, and what is exempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanConfig {
    /// A path component that contains one of these is an ephemeral workspace's. Not empty, no `/`.
    pub ephemeral_hints: Vec<String>,
    /// Below which the hints count, as written; [`OrphanConfig::temporary_roots`] has the paths.
    pub ephemeral_roots: Vec<EphemeralRoot>,
    /// Ephemeral orphans with a younger process are spared.
    pub ephemeral_min_age: Duration,
    /// Absolute. Workspaces at or below these are never touched.
    pub protect: Vec<PathBuf>,
}

/// One element of `orphan.ephemeral_roots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EphemeralRoot {
    /// Below this absolute path.
    Below(PathBuf),
    /// `"$TMPDIR"`: below the path that the environment variable holds.
    TemporaryDirectory,
    /// `"*"`: anywhere.
    Anywhere,
}

/// `[reap]`: when orphans are ended without being asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ReapConfig {
    /// Whether orphans are ended automatically at all.
    pub confirm: bool,
    /// For which reasons, without the `:<hint>` of an ephemeral one; all among
    /// [`ORPHAN_REASON_KINDS`](crate::orphan::verdict::ORPHAN_REASON_KINDS).
    pub reasons: Vec<String>,
    /// How long one must have been an orphan without a break. May be zero.
    pub grace: Duration,
    /// How often it must have been seen so; at least 1.
    pub min_sightings: u32,
    /// How long to wait for those that were orphans when the daemon started. May be zero.
    pub start_grace: Duration,
    /// How many are ended after one scan; at least 1.
    pub max_per_scan: usize,
    /// The window of the breaker; above zero.
    pub breaker_window: Duration,
    /// Which share of the coordinators may turn orphan within the window; above 0, at most 1.
    pub breaker_share: f64,
}

/// `[terminate]`: how an orphan is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminateConfig {
    /// How long to wait after SIGTERM before SIGKILL; above zero, at most 10 min.
    pub sigterm_wait: Duration,
    /// How long to wait after SIGKILL before it counts as failed; above zero, at most 10 min.
    pub sigkill_wait: Duration,
    /// Who is ended with it.
    pub scope: Scope,
}

/// `[events]`: the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// A segment of this many bytes is rotated before the next write; at least 4096.
    pub rotate_bytes: u64,
    /// How many rotated segments are kept; 1 to 100.
    pub keep: u32,
}

/// `[control]`: the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// How many clients may be connected at once; 1 to 65536.
    pub max_connections: usize,
}

const DEFAULT_EPHEMERAL_HINTS: [&str; 12] = [
    "team-agent-watcher-dedupe-",
    "team-agent-gap",
    "team-agent-stage",
    "team-agent-orchestrator-",
    "team-agent-rm-",
    "team-agent-claim-",
    "team-agent-hotfix",
    "team-agent-multi",
    "team-agent-progress-",
    "team-agent-fanout-",
    "team-agent-in-flight-",
    "team-agent-test-",
];

const DEFAULT_EPHEMERAL_ROOTS: [&str; 7] = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/private/tmp",
    "/private/var/tmp",
    "/var/folders",
    "/private/var/folders",
];

impl Default for ScanConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(2),
        }
    }
}

impl Default for OrphanConfig {
    fn default() -> Self {
        let below = |path| EphemeralRoot::Below(PathBuf::from(path));
        Self {
            ephemeral_hints: DEFAULT_EPHEMERAL_HINTS.map(str::to_owned).into(),
            ephemeral_roots: DEFAULT_EPHEMERAL_ROOTS
                .into_iter()
                .map(below)
                .chain([EphemeralRoot::TemporaryDirectory])
                .collect(),
            ephemeral_min_age: Duration::from_mins(10),
            protect: Vec::new(),
        }
    }
}

impl Default for ReapConfig {
    fn default() -> Self {
        Self {
            confirm: false,
            reasons: ["workspace_path_missing", "workspace_replaced"]
                .map(str::to_owned)
                .into(),
            grace: Duration::from_mins(1),
            min_sightings: 3,
            start_grace: Duration::from_mins(10),
            max_per_scan: 10,
            breaker_window: Duration::from_mins(1),
            breaker_share: 0.5,
        }
    }
}

impl Default for TerminateConfig {
    fn default() -> Self {
        Self {
            sigterm_wait: Duration::from_secs(3),
            sigkill_wait: Duration::from_secs(2),
            scope: Scope::Group,
        }
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            rotate_bytes: 5 * 1024 * 1024,
            keep: 5,
        }
    }
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            max_connections: 128,
        }
    }
}

impl OrphanConfig {
    /// The directories below which the hints count, with `$TMPDIR` looked up through `env`.
    ///
    /// A `$TMPDIR` that is unset or empty is dropped; so is a relative one, and one that is `/`,
    /// because only `"*"` may say "anywhere". `"*"` itself is given as `/`, which all paths are below.
    #[must_use]
    pub fn temporary_roots(&self, env: &impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
        self.ephemeral_roots
            .iter()
            .filter_map(|root| match root {
                EphemeralRoot::Below(path) => Some(path.clone()),
                EphemeralRoot::Anywhere => Some(PathBuf::from("/")),
                EphemeralRoot::TemporaryDirectory => env("TMPDIR")
                    .map(PathBuf::from)
                    .filter(|path| path.is_absolute() && path.parent().is_some()),
            })
            .collect()
    }
}

impl Config {
    /// Reads the configuration in `text`; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong with it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_with_origins(text, path).map(|(config, _)| config)
    }

    /// As [`Config::parse`], and on which line each key that is given stands.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    pub fn parse_with_origins(text: &str, path: &Path) -> Result<(Self, Origins), ConfigError> {
        read::read(text).map_err(|problems| ConfigError::invalid(path, problems))
    }

    /// Loads the configuration file at `path`.
    ///
    /// # Errors
    ///
    /// When the file does not exist, cannot be read, or does not pass [`Config::parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with_origins(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], and on which line each key that is given stands.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_with_origins(path: &Path) -> Result<(Self, Origins), ConfigError> {
        let bytes = read_whole(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing {
                path: path.to_owned(),
            },
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })?;
        match str::from_utf8(&bytes) {
            Ok(text) => Self::parse_with_origins(text, path),
            Err(error) => {
                let problem = syntax::not_utf8(&bytes, &error);
                Err(ConfigError::invalid(path, vec![problem]))
            }
        }
    }
}

/// Finds the configuration file; `None` means the built-in defaults.
///
/// The first of: `explicit` (`--config`), `$TEAM_AGENTD_CONFIG`, then, only where they exist,
/// `$XDG_CONFIG_HOME/team-agentd/team-agentd.toml` (`~/.config` when that is unset) and, for root,
/// `/etc/team-agentd/team-agentd.toml`.
///
/// What is found may still fail to load, and must then not be replaced by defaults: a file that
/// somebody asked for by name, a symlink that leads nowhere, one that may not be read.
#[must_use]
pub fn locate(
    explicit: Option<&Path>,
    env: &impl Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Option<PathBuf> {
    locate_with(explicit, env, is_root.then_some(Path::new("/etc")))
}

fn locate_with(
    explicit: Option<&Path>,
    env: &impl Fn(&str) -> Option<OsString>,
    system: Option<&Path>,
) -> Option<PathBuf> {
    let set = |name| env(name).filter(|value| !value.is_empty());
    let named = explicit
        .map(Path::to_owned)
        .or_else(|| set("TEAM_AGENTD_CONFIG").map(PathBuf::from));
    if named.is_some() {
        return named;
    }
    // The XDG base directory specification: a relative path is invalid and to be ignored.
    let absolute = |name| {
        set(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let personal =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    [personal.as_deref(), system]
        .into_iter()
        .flatten()
        .map(|directory| directory.join("team-agentd/team-agentd.toml"))
        .find(|path| is_there(path))
}

/// Whether loading `path` would find something, if only something unreadable. The link itself is
/// asked, not its target: a link that leads nowhere is a mistake to report, not an absent file.
fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    }
}
