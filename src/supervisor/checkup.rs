//! The daemon looks at itself: gathers the facts for each check, off the runtime and within a limit,
//! and has them judged. The client does the same for a daemon that is not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::journal::Journal;
use super::run::LoadConfig;
use crate::config::{self, Config};
use crate::event_log::{self, Rotation};
use crate::orphan::checkup::{
    self, Check, Configuration, EventLogFacts, Found, Reaping, Reread, Scans, SocketFacts,
    Standpoint,
};
use crate::orphan::process::Pid;
use crate::os::checkup::{self as facts, OwnProgram};
use crate::os::host::{environment, own_uid};
use crate::os::view;
use crate::wire::checkup as wire;
use crate::wire::status::Identity;

/// How long one check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// What the daemon stands on, as it was when it started.
#[derive(Clone, Debug, Default)]
pub struct Premises {
    /// The state directory: device and inode.
    pub state_dir: Option<(u64, u64)>,
    /// The lock in it.
    pub state_lock: PathBuf,
    /// The socket's file, if it was made here: device and inode.
    pub socket: Option<(u64, u64)>,
    /// Whether the socket was handed over.
    pub is_inherited: bool,
    /// The program.
    pub program: OwnProgram,
    /// Who restarts it if it gives no sign of life for so long.
    pub watchdog: Option<Duration>,
    /// The configuration.
    pub config: Arc<Config>,
}

/// What the dispatcher knows of the daemon's running.
#[derive(Debug)]
pub struct Running {
    /// What the daemon says of itself.
    pub identity: Identity,
    /// The coordinators it knows.
    pub targets: Vec<Pid>,
    /// How its scans go.
    pub scans: Scans,
    /// What it ends by itself.
    pub reaping: Reaping,
}

/// What is looked at.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) running: Running,
    pub(super) state_dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) load_config: Option<LoadConfig>,
}

/// One look that hangs keeps its thread: the same thing is not looked at beside it.
#[derive(Clone, Debug, Default)]
struct Turns {
    view: Turn,
    machine: Turn,
    state: Turn,
    log: Turn,
    socket: Turn,
    config: Turn,
    program: Turn,
}

type Turn = Arc<Mutex<()>>;

/// Looks at the daemon.
#[derive(Clone, Debug)]
pub(super) struct Doctor {
    premises: Arc<Premises>,
    /// What was read last.
    config: Arc<Config>,
    turns: Turns,
}

impl Doctor {
    pub(super) fn new(premises: Premises) -> Self {
        Self {
            config: Arc::clone(&premises.config),
            premises: Arc::new(premises),
            turns: Turns::default(),
        }
    }

    /// This is in force from now on, as far as it can be without a restart.
    pub(super) fn has_read(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// All that is looked at, as the result of `doctor`.
    pub(super) async fn of_the_daemon(self, subject: Subject) -> Value {
        const STANDPOINT: Standpoint = Standpoint::Daemon;
        let Subject {
            running,
            state_dir,
            journal,
            load_config,
        } = subject;
        let Self {
            premises,
            config,
            turns,
        } = &self;
        let (view, machine, state, log, socket, configuration, program) = tokio::join!(
            view(&turns.view, running.targets),
            machine(&turns.machine, STANDPOINT),
            state(&turns.state, &state_dir, premises, STANDPOINT),
            log(&turns.log, &state_dir, premises.rotation(), Some(journal)),
            socket(&turns.socket, running.identity.socket.clone(), premises),
            reread(
                &turns.config,
                load_config,
                Arc::clone(config),
                Arc::clone(&premises.config),
                running.identity.config.clone()
            ),
            program(&turns.program, premises.program.clone()),
        );
        let mut checks = vec![view];
        checks.extend(machine);
        checks.extend([state, log, socket, configuration, program]);
        checks.push(checkup::service(
            facts::service_manager(),
            premises.watchdog,
        ));
        checks.push(checkup::scans(&running.scans));
        checks.push(checkup::reaping(&running.reaping));
        wire::of_the_daemon(&checks, &running.identity, &state_dir)
    }
}

impl Premises {
    fn rotation(&self) -> Rotation {
        Rotation {
            rotate_bytes: self.config.events.rotate_bytes,
            keep: self.config.events.keep,
        }
    }
}

/// What the client can look at where no daemon answers: what one of this user would find.
#[derive(Debug)]
pub struct Prospect {
    /// Where its state directory would be, and the lock in it; none if there is no place.
    pub state: Option<(PathBuf, PathBuf)>,
}

/// What a daemon would find here, as the result of `doctor`.
pub async fn of_a_prospect(prospect: Prospect) -> Value {
    const STANDPOINT: Standpoint = Standpoint::Client;
    let turns = Turns::default();
    let (config, configuration) = load(&turns.config).await;
    let premises = Premises {
        config: Arc::new(config),
        ..Premises::default()
    };
    let (view, machine) = tokio::join!(
        view(&turns.view, Vec::new()),
        machine(&turns.machine, STANDPOINT),
    );
    let mut checks = vec![view];
    checks.extend(machine);
    match prospect.state {
        Some((state_dir, state_lock)) => {
            let rotation = premises.rotation();
            let premises = Premises {
                state_lock,
                ..premises
            };
            let (state, log) = tokio::join!(
                state(&turns.state, &state_dir, &premises, STANDPOINT),
                log(&turns.log, &state_dir, rotation, None),
            );
            checks.extend([state, log]);
        }
        None => checks.push(Check::problem(
            "state_directory",
            "there is no place for a state directory",
            "set HOME or XDG_STATE_HOME",
        )),
    }
    checks.push(configuration);
    wire::of_the_client(&checks)
}

/// `work` on the blocking pool, within the limit; none if it took longer, or an earlier one still hangs.
async fn look<T: Send + 'static>(
    turn: &Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    look_for(CHECK_LIMIT, turn, work).await
}

async fn look_for<T: Send + 'static>(
    limit: Duration,
    turn: &Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let turn = Arc::clone(turn);
    let looked = async move {
        let turn = turn.lock_owned().await;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
    };
    match tokio::time::timeout(limit, looked).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(panicked)) => {
            tracing::error!(error = %panicked, "a check panicked");
            None
        }
        Err(_) => None,
    }
}

/// What was found, or that there was no answer.
async fn checked(
    turn: &Turn,
    check: &'static str,
    work: impl FnOnce() -> Check + Send + 'static,
) -> Check {
    look(turn, work)
        .await
        .unwrap_or_else(|| Check::unanswered(check, CHECK_LIMIT))
}

async fn view(turn: &Turn, targets: Vec<Pid>) -> Check {
    if !cfg!(target_os = "linux") {
        return Check::not_here("view", "this system has no such namespaces");
    }
    let obstacles = look(turn, move || view::obstacles(&targets)).await;
    checkup::view(obstacles.as_deref())
}

async fn machine(turn: &Turn, standpoint: Standpoint) -> Vec<Check> {
    let found = look(turn, move || {
        let kernel = checkup::kernel(&facts::kernel());
        let descriptors = match facts::descriptors() {
            Ok(found) => checkup::descriptors(&found, standpoint),
            Err(error) => Check::not_here("descriptors", &error.to_string()),
        };
        vec![kernel, descriptors]
    });
    let late = || {
        ["kernel", "descriptors"]
            .map(|check| Check::unanswered(check, CHECK_LIMIT))
            .into()
    };
    found.await.unwrap_or_else(late)
}

async fn state(
    turn: &Turn,
    state_dir: &Path,
    premises: &Premises,
    standpoint: Standpoint,
) -> Check {
    let (path, lock) = (state_dir.to_path_buf(), premises.state_lock.clone());
    let at_start = premises.state_dir;
    checked(turn, "state_directory", move || {
        let found = facts::state_directory(&path, &lock, at_start);
        checkup::state_directory(&found, standpoint)
    })
    .await
}

async fn log(turn: &Turn, state_dir: &Path, rotation: Rotation, journal: Option<Journal>) -> Check {
    // Nothing is written for it; but a writer that failed before finds out whether it still does.
    let written = match journal {
        Some(journal) => journal.record_and_flush(Vec::new()).await,
        None => Ok(()),
    };
    let path = state_dir.to_path_buf();
    checked(turn, "event_log", move || {
        let found = event_log::measure(&path);
        let writable = written
            .map_err(|error| error.0)
            .and(found.writable.map_err(|error| error.to_string()))
            .and(
                facts::may_write_into(&path)
                    .map_err(|error| format!("no file can be made beside it: {error}")),
            );
        checkup::event_log(&EventLogFacts {
            path: found.path,
            bytes: found.bytes,
            archives: found.archives,
            archived_bytes: found.archived_bytes,
            writable,
            free: facts::free_space(&path),
            rotate_bytes: rotation.rotate_bytes,
            keep: rotation.keep,
        })
    })
    .await
}

async fn socket(turn: &Turn, path: Option<PathBuf>, premises: &Premises) -> Check {
    let (bound, is_inherited) = (premises.socket, premises.is_inherited);
    checked(turn, "socket", move || {
        let directory = path.as_deref().and_then(Path::parent);
        let found = |path: Option<&Path>| path.map_or(Found::Missing, facts::look);
        checkup::socket(
            &SocketFacts {
                found: found(path.as_deref()),
                directory: found(directory),
                path,
                bound,
                is_inherited,
                own_uid: own_uid(),
            },
            Standpoint::Daemon,
        )
    })
    .await
}

async fn program(turn: &Turn, program: OwnProgram) -> Check {
    checked(turn, "version", move || {
        checkup::version(env!("CARGO_PKG_VERSION"), program.now())
    })
    .await
}

/// The configuration as it would be read now, beside what was read last and at the start.
async fn reread(
    turn: &Turn,
    load: Option<LoadConfig>,
    last: Arc<Config>,
    at_start: Arc<Config>,
    in_force: Option<PathBuf>,
) -> Check {
    checked(turn, "configuration", move || {
        let Some(LoadConfig(load)) = load else {
            return Check::not_here("configuration", "there is nothing to read again");
        };
        let (now, reread) = match load() {
            Ok(loaded) => (loaded.file, compare(&loaded.config, &last, &at_start)),
            // Which file that is stands in the problem.
            Err(problem) => (in_force.clone(), Reread::Broken(problem)),
        };
        let found = Configuration {
            in_force,
            now,
            reread,
        };
        checkup::configuration(&found, Standpoint::Daemon)
    })
    .await
}

/// What reading it again changed.
fn compare(now: &Config, last: &Config, at_start: &Config) -> Reread {
    if now != last {
        return Reread::Changed;
    }
    let sections = [
        (last.events != at_start.events).then_some("[events]"),
        (last.control != at_start.control).then_some("[control]"),
    ];
    match sections.into_iter().flatten().collect::<Vec<_>>() {
        same if same.is_empty() => Reread::Same,
        changed => Reread::NeedsRestart(changed),
    }
}

/// The configuration that a daemon would begin with; the defaults if it could not.
async fn load(turn: &Turn) -> (Config, Check) {
    let loaded = look(turn, || {
        let file = config::locate(None, &environment, own_uid() == 0);
        let config = file.as_deref().map(Config::load).transpose();
        (file, config)
    });
    let Some((file, config)) = loaded.await else {
        let unanswered = Check::unanswered("configuration", CHECK_LIMIT);
        return (Config::default(), unanswered);
    };
    let (config, reread) = match config {
        Ok(config) => (config.unwrap_or_default(), Reread::Same),
        Err(error) => (Config::default(), Reread::Broken(error.to_string())),
    };
    let found = Configuration {
        in_force: file.clone(),
        now: file,
        reread,
    };
    (config, checkup::configuration(&found, Standpoint::Client))
}

#[cfg(test)]
mod tests;
