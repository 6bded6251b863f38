//! The daemon's engine inside the client, for when no daemon runs: the same requests, the same
//! results, no clock and no socket.

use crate::text::in_line;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::places::{Surroundings, state_lock};
use super::protocol::{Action, RpcError, action};
use super::telling::{self, Tell, Word};
use crate::config::{self, Config, ConfigError};
use crate::event_log::Rotation;
use crate::os::facts::lineage;
use crate::os::files::{FileError, Lock, create_private_directory};
use crate::os::host::{check as check_host, environment, own_uid, raise_open_file_limit};
use crate::os::signals::{Asked as Signalled, SignalStream};
use crate::supervisor::checkup::{self, Premises, Prospect};
use crate::supervisor::feed::Feed;
use crate::supervisor::journal::Journal;
use crate::supervisor::request::{Answer, Peer, Refusal, Reply, Request};
use crate::supervisor::run::{Asked, Command, Supervisor};
use crate::supervisor::settings::Settings;
use crate::supervisor::steering_file;
use crate::wire::results::Source;
use crate::wire::status::{self, Ending, Identity};

/// What is said to who wants this to stop.
const STOPPING: &str = "stopping: what is under way is finished first; once more ends this at once";

/// Why the embedded engine gave no result.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A daemon, or another client, kills or rotates in this state directory.
    #[error(
        "{} is in use{}: ask that daemon (--socket), or wait for it to end",
        in_line(state_dir),
        holder.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    Locked {
        /// Who holds it, by its own word.
        holder: Option<u32>,
        /// Which.
        state_dir: PathBuf,
    },
    /// The request is wrong, or its answer is an error.
    #[error("{message}")]
    Request {
        /// The code of docs/protocol.md.
        code: i64,
        /// A stable word.
        kind: String,
        /// For people.
        message: String,
    },
    /// It was told to stop twice.
    #[error(
        "stopped at once: what had SIGTERM may still run, and nobody sends it SIGKILL; the event log has \
         what was sent"
    )]
    Interrupted,
    /// The engine itself failed.
    #[error("{0}")]
    Failed(String),
}

impl From<RpcError> for EmbeddedError {
    fn from(error: RpcError) -> Self {
        Self::Request {
            code: error.code,
            kind: error.kind.to_owned(),
            message: error.message,
        }
    }
}

/// Answers one request in this process. Whoever looks on is told what a fix does meanwhile.
///
/// # Errors
/// See [`EmbeddedError`].
pub async fn call(
    method: &str,
    params: Value,
    tell: Option<&Tell>,
) -> Result<Value, EmbeddedError> {
    let request = match action(method, params)? {
        Action::Reply(reply) => return Ok(reply),
        Action::Ask(request) => request,
        Action::Subscribe(_) => {
            let message = "there is nothing to follow without a daemon".to_owned();
            return Err(EmbeddedError::Failed(message));
        }
    };
    if request == Request::Doctor {
        // What would keep the engine from working is what is asked for.
        return Ok(doctor().await);
    }
    check_host().map_err(|error| EmbeddedError::Failed(error.to_string()))?;
    if let Err(error) = raise_open_file_limit() {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let file = config::locate(None, &environment, own_uid() == 0);
    let config = file
        .as_deref()
        .map(Config::load)
        .transpose()?
        .unwrap_or_default();
    let surroundings = Surroundings {
        env: &environment,
        uid: own_uid(),
    };
    let state_dir = surroundings.state_dir(None);

    let kills = matches!(request, Request::Fix { .. } | Request::Gate { fix: true });
    let (journal, writer, _lock) = if kills {
        let Some(state_dir) = &state_dir else {
            return Err(EmbeddedError::Failed(
                "no place for a state directory: set HOME or XDG_STATE_HOME".to_owned(),
            ));
        };
        let lock = take_lock(state_dir)?;
        let rotation = Rotation {
            rotate_bytes: config.events.rotate_bytes,
            keep: config.events.keep,
        };
        let (journal, writer) = Journal::start(state_dir, rotation);
        (journal, Some(writer), lock)
    } else {
        // Looking leaves no trace.
        (Journal::nowhere(), None, None)
    };
    let settings = Settings::new(&config, &environment, own_uid());
    let changes = watch::Sender::new(0);
    if let (Some(tell), Some(state_dir)) = (tell, state_dir.as_ref().filter(|_| kills)) {
        let (state_dir, keep) = (state_dir.clone(), config.events.keep);
        let feed = Feed::new(&journal, changes.subscribe(), state_dir, keep);
        let terminate = status::ending(&Ending {
            scope: settings.scope,
            sigterm_wait: settings.sigterm_wait,
            sigkill_wait: settings.sigkill_wait,
        });
        telling::from_here(feed, terminate, tell).await;
    }
    let supervisor = Supervisor {
        identity: Identity {
            source: Source::Embedded,
            pid: std::process::id(),
            socket: None,
            config: file,
            started: SystemTime::now(),
        },
        settings: Arc::new(watching(settings)),
        journal,
        // Kept is kept, whoever asks.
        steering: state_dir
            .as_deref()
            .map(steering_file::load)
            .unwrap_or_default(),
        state_dir: state_dir.unwrap_or_default(),
        keep_segments: config.events.keep,
        interval: None,
        load_config: None,
        manager: None,
        changes,
        premises: Premises::default(),
    };
    let answer = ask(supervisor, request, tell.cloned()).await;
    if let Some(writer) = writer {
        // The last records are still on their way; the journal's handles are gone by now.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    }
    match answer {
        // It was, by a signal.
        Err(Refusal::ShuttingDown) if kills => Err(EmbeddedError::Interrupted),
        answer => Ok(answer.map_err(RpcError::from)?),
    }
}

/// What a daemon of this user would find here.
async fn doctor() -> Value {
    if let Err(error) = raise_open_file_limit() {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let surroundings = Surroundings {
        env: &environment,
        uid: own_uid(),
    };
    let state_dir = surroundings.state_dir(None);
    checkup::of_a_prospect(Prospect {
        state: state_dir.map(|path| {
            let lock = state_lock(&path);
            (path, lock)
        }),
    })
    .await
}

/// The client ends what it is asked to, and nothing by itself.
fn watching(mut settings: Settings) -> Settings {
    settings.reap.confirm = false;
    settings
}

async fn ask(supervisor: Supervisor, request: Request, tell: Option<Tell>) -> Answer {
    let (requests, incoming) = mpsc::channel(1);
    let (answer, answered) = oneshot::channel();
    let peer = Peer {
        uid: own_uid(),
        pid: Some(std::process::id()),
        lineage: Arc::new(lineage(std::process::id())),
    };
    let asked = Asked {
        peer,
        request,
        answer,
    };
    let (commands, commanded) = mpsc::channel(1);
    let kills = matches!(
        asked.request,
        Request::Fix { .. } | Request::Gate { fix: true }
    );
    // Once signals went out, Ctrl-C ends nothing halfway: what is under way is finished first.
    let signals = kills.then(SignalStream::listen).and_then(Result::ok);
    let _listening = signals.map(|mut signals| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut is_told = false;
            while let Some(signalled) = signals.next().await {
                let Signalled::Stop(name) = signalled else {
                    continue;
                };
                if let Some(tell) = tell.as_ref().filter(|_| !is_told) {
                    tell.say(Word::Notice(STOPPING.to_owned()));
                    is_told = true;
                }
                let _ = commands.send(Command::Stop(name.to_owned())).await;
            }
        }))
    });
    // The channel has room for this one, and the supervisor has not begun.
    let _ = requests.try_send(asked);
    let run = supervisor.run(incoming, commanded);
    let wait = async {
        let answer = answered.await;
        drop(requests);
        answer
    };
    let ((), answer) = tokio::join!(run, wait);
    match answer.unwrap_or(Err(Refusal::ShuttingDown))? {
        Reply::Value(result) => Ok(result),
        // Only the event log is given so, and nobody asks for that here.
        Reply::Json(text) => {
            serde_json::from_str(&text).map_err(|error| Refusal::Internal(error.to_string()))
        }
    }
}

/// The lock on the state directory. None if there can be no such directory: then the event log
/// cannot be written either, and the result says so.
fn take_lock(state_dir: &std::path::Path) -> Result<Option<Lock>, EmbeddedError> {
    if let Err(error) = create_private_directory(state_dir) {
        tracing::warn!(%error, "no state directory");
        return Ok(None);
    }
    match Lock::take(&state_lock(state_dir)) {
        Ok(lock) => Ok(Some(lock)),
        Err(FileError::Held { holder, .. }) => Err(EmbeddedError::Locked {
            holder,
            state_dir: state_dir.to_path_buf(),
        }),
        Err(error) => {
            tracing::warn!(%error, "no lock on the state directory");
            Ok(None)
        }
    }
}
