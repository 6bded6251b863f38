//! The daemon: arguments → configuration → edges → supervisor → exit status. Wiring only.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use team_agentd::cli::daemon_args::DaemonArgs;
use team_agentd::config::{self, Config, ConfigError};
use team_agentd::control::peers::affordable;
use team_agentd::control::places::{Surroundings, state_lock};
use team_agentd::control::server::{ListenError, Listener};
use team_agentd::event_log::{self, Rotation};
use team_agentd::logging;
use team_agentd::orphan::event::{Event, Subject};
use team_agentd::os::allocator;
use team_agentd::os::checkup::{OwnProgram, identity};
use team_agentd::os::files::{FileError, Lock, create_private_directory};
use team_agentd::os::host::{self, environment, own_uid};
use team_agentd::os::panics;
use team_agentd::os::service::{InheritError, ServiceManager, inherited_socket};
use team_agentd::os::signals::{Asked, SignalStream};
use team_agentd::supervisor::checkup::Premises;
use team_agentd::supervisor::event::Loaded;
use team_agentd::supervisor::feed::Feed;
use team_agentd::supervisor::journal::Journal;
use team_agentd::supervisor::run::{Command, LoadConfig, Supervisor};
use team_agentd::supervisor::scan::BLOCKING_THREADS;
use team_agentd::supervisor::settings::Settings;
use team_agentd::supervisor::steering_file;
use team_agentd::supervisor::vital::Vital;
use team_agentd::text::in_line;
use team_agentd::wire::results::Source;
use team_agentd::wire::status::Identity;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// After how many turns of tasks that are ready here one that another thread has made ready has its turn: a
/// look at a process is done, a record is on disk. Few: however much is asked, scans and kills go on.
const TURNS_FOR_OTHER_THREADS: u32 = 2;
/// How many requests may wait for the supervisor before peers have to wait with sending. Few: each peer
/// waits with one at a time, and has its turn.
const REQUEST_QUEUE: usize = 16;

/// How long the event log may take for the last records.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);

/// Why the daemon does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Inherit(#[from] InheritError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("no place for a state directory: set HOME, or use --state-dir")]
    NoStateDirectory,
    #[error(
        "the state directory cannot be used: {0}: another team-agentd, or a client's fix, may be at work; use another --state-dir"
    )]
    State(#[from] FileError),
    #[error(transparent)]
    Host(#[from] host::UnfitHost),
    #[error("failed to start: {0}")]
    System(#[from] std::io::Error),
    #[error("stopped, because {0} ended: an error in team-agentd, see above")]
    Lost(&'static str),
}

impl DaemonError {
    /// sysexits(3): trying again does not help against a configuration that is refused, and the service unit
    /// does not.
    fn exit_code(&self) -> ExitCode {
        const EX_CONFIG: u8 = 78;
        match self {
            Self::Config(_) => ExitCode::from(EX_CONFIG),
            _ => ExitCode::FAILURE,
        }
    }
}

/// What a service manager handed over.
type Inherited = Result<Option<UnixListener>, InheritError>;

fn main() -> ExitCode {
    // Both before there is any thread. This one takes environment variables away.
    let inherited = inherited_socket();
    let args = DaemonArgs::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    allocator::keep_little();
    let _logging = logging::start();
    panics::watch();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .global_queue_interval(TURNS_FOR_OTHER_THREADS)
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(args, inherited));
            // A probe of a dead file server may never return: nobody waits for it.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            // Whoever asks the service manager why it does not run cannot always read the log.
            ServiceManager::from_environment().status(&error.to_string());
            error.exit_code()
        }
    }
}

async fn run(args: DaemonArgs, inherited: Inherited) -> Result<(), DaemonError> {
    let program = OwnProgram::at_start();
    host::keep_files_private();
    host::check()?;
    if let Err(error) = host::raise_open_file_limit() {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    let mut signals = SignalStream::listen()?;
    let loaded = load(args.config.as_deref())?;
    let config = Arc::clone(&loaded.config);

    let surroundings = Surroundings {
        env: &environment,
        uid: own_uid(),
    };
    let state_dir = surroundings
        .state_dir(args.state_dir.as_deref())
        .ok_or(DaemonError::NoStateDirectory)?;
    create_private_directory(&state_dir)?;
    let _state_lock = Lock::take(&state_lock(&state_dir))?;
    let listener = match inherited? {
        Some(inherited) => Listener::inherit(inherited)?,
        None => Listener::bind_first(&surroundings.sockets(args.socket.as_deref()))?,
    };
    let rotation = Rotation {
        rotate_bytes: config.events.rotate_bytes,
        keep: config.events.keep,
    };
    let (journal, writer) = Journal::start(&state_dir, rotation);
    record_interrupted(&state_dir, &journal);
    let (steering, suspended) = steering_file::take_over(&state_dir);
    journal.record(suspended.into_iter().collect());

    let alive = journal.clone();
    let socket = listener.socket().map(std::path::Path::to_path_buf);
    tracing::info!(?socket, state_dir = %in_line(&state_dir), config = ?loaded.file, "starting");
    let explicit = args.config;
    let manager = ServiceManager::from_environment();
    let premises = Premises {
        state_dir: identity(&state_dir),
        state_lock: state_lock(&state_dir),
        socket: listener.bound(),
        is_inherited: listener.is_inherited(),
        program,
        watchdog: manager.watchdog(),
        config: Arc::clone(&loaded.config),
    };
    let (changes, changed) = watch::channel(0);
    let feed = Feed::new(&journal, changed, state_dir.clone(), config.events.keep);
    let supervisor = Supervisor {
        identity: Identity {
            source: Source::Daemon,
            pid: std::process::id(),
            socket,
            config: loaded.file,
            started: SystemTime::now(),
        },
        settings: loaded.settings,
        journal,
        steering,
        state_dir,
        keep_segments: config.events.keep,
        interval: Some(loaded.interval),
        load_config: Some(LoadConfig(Arc::new(move || {
            load(explicit.as_deref()).map_err(|error| error.to_string())
        }))),
        manager: Some(manager),
        changes,
        premises,
    };

    let (requests, incoming) = mpsc::channel(REQUEST_QUEUE);
    let (commands, commanded) = mpsc::channel(4);
    let mut vital = Vital::new(commands.clone());
    vital.guard("the event log's writer", async move { alive.lost().await });
    let stop_serving = CancellationToken::new();
    let wanted = config.control.max_connections;
    let max_connections = affordable(wanted, host::open_file_limit()?);
    if max_connections < wanted {
        tracing::warn!(
            wanted,
            max_connections,
            "the limit on open files allows for fewer connections"
        );
    }
    let stop = stop_serving.clone();
    let (serves, served) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let _serves = serves;
        listener.run(requests, feed, max_connections, stop).await;
    });
    vital.guard("the socket's task", async move {
        let _ = served.await;
    });
    let obeying = tokio::spawn(async move {
        while let Some(asked) = signals.next().await {
            let command = match asked {
                Asked::Stop(name) => Command::Stop(name.to_owned()),
                Asked::Reload => Command::Reload,
            };
            if commands.send(command).await.is_err() {
                return;
            }
        }
    });
    vital.guard("the task that heeds signals", async move {
        let _ = obeying.await;
    });
    supervisor.run(incoming, commanded).await;
    let lost = vital.release();
    stop_serving.cancel();
    // A panic there is logged by its task; leaving is all there is left to do.
    let _ = serving.await;
    let written = tokio::task::spawn_blocking(move || writer.join());
    if tokio::time::timeout(LAST_WORDS_LIMIT, written)
        .await
        .is_err()
    {
        tracing::error!("the event log did not take the last records in time");
    }
    tracing::info!("stopped");
    lost.map_or(Ok(()), |what| Err(DaemonError::Lost(what)))
}

fn load(explicit: Option<&std::path::Path>) -> Result<Loaded, ConfigError> {
    let file: Option<PathBuf> = config::locate(explicit, &environment, own_uid() == 0);
    let config = file
        .as_deref()
        .map(Config::load)
        .transpose()?
        .unwrap_or_default();
    Ok(Loaded {
        settings: Arc::new(Settings::new(&config, &environment, own_uid())),
        interval: config.scan.interval,
        file,
        config: Arc::new(config),
    })
}

/// Says of each signal without an outcome, from before a crash, that its escalation was cut off.
fn record_interrupted(state_dir: &std::path::Path, journal: &Journal) {
    let cut_off = match event_log::unfinished(state_dir) {
        Ok(records) => records,
        Err(error) => {
            tracing::warn!(%error, "the event log cannot be read for what was cut off");
            return;
        }
    };
    let text = |record: &serde_json::Value, name: &str| {
        record[name].as_str().map(str::to_owned).unwrap_or_default()
    };
    let events: Vec<Event> = cut_off
        .iter()
        .filter_map(|record| {
            let pid = record["orphan_pid"]
                .as_u64()
                .or_else(|| record["pid"].as_u64())?;
            Some(Event::Interrupted {
                subject: Subject {
                    pid: u32::try_from(pid).ok()?,
                    workspace: record["workspace"].as_str().map(PathBuf::from),
                    reason: text(record, "reason"),
                },
                signal: text(record, "signal"),
                signalled_at: text(record, "ts"),
            })
        })
        .collect();
    for event in &events {
        tracing::warn!(?event, "an escalation was cut off");
    }
    if !events.is_empty() {
        journal.record(events);
    }
}
