//! The asking end of the socket.

use crate::text::in_line;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::places::{Surroundings, socket_lock};
use crate::os::files::Lock;
use crate::os::host::{environment, own_uid};

/// How often a daemon that is still starting is looked for …
const START_CHECKS: u32 = 20;
/// … and how long between two looks.
const START_PAUSE: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens.
    #[error("no daemon on {}", tried.iter().map(in_line).collect::<Vec<_>>().join(" or "))]
    NoDaemon {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// Somebody may listen, but cannot be reached.
    #[error("failed to connect to {}: {source}", in_line(socket))]
    Failed {
        /// Where.
        socket: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Who listens is neither this user nor root, so what it says is not believed.
    #[error(
        "{} belongs to uid {uid}, not to you: choose another --socket",
        in_line(socket)
    )]
    ForeignDaemon {
        /// Where.
        socket: PathBuf,
        /// Whose it is.
        uid: u32,
    },
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon answered with an error.
    #[error("{message}")]
    Answer {
        /// The code of docs/protocol.md.
        code: i64,
        /// A stable word.
        kind: String,
        /// For people.
        message: String,
    },
    /// The connection broke.
    #[error("lost the daemon: {0}")]
    Lost(#[source] io::Error),
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    next_id: u64,
}

impl Client {
    /// Connects to the daemon on `explicit`, or to the first of the usual places that answers. A
    /// daemon that is still starting (its lock is held) is waited for.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(explicit: Option<&Path>) -> Result<Self, ConnectError> {
        let surroundings = Surroundings {
            env: &environment,
            uid: own_uid(),
        };
        let places = surroundings.sockets(explicit);
        for _ in 0..START_CHECKS {
            let mut unreachable = None;
            for socket in &places {
                match Self::try_connect(socket).await {
                    Ok(Some(client)) => return Ok(client),
                    Ok(None) => {}
                    // The next place may answer; only then this one does not matter.
                    Err(error) => unreachable = unreachable.or(Some(error)),
                }
            }
            if let Some(error) = unreachable {
                return Err(error);
            }
            if !places
                .iter()
                .any(|socket| Lock::is_held(&socket_lock(socket)))
            {
                break;
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        Err(ConnectError::NoDaemon { tried: places })
    }

    async fn try_connect(socket: &Path) -> Result<Option<Self>, ConnectError> {
        let failed = |source| ConnectError::Failed {
            socket: socket.to_path_buf(),
            source,
        };
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::NotADirectory => Ok(None),
                    _ => Err(failed(error)),
                };
            }
        };
        let uid = stream.peer_cred().map_err(failed)?.uid();
        if uid != own_uid() && uid != 0 {
            return Err(ConnectError::ForeignDaemon {
                socket: socket.to_path_buf(),
                uid,
            });
        }
        Ok(Some(Self {
            stream: BufReader::new(stream),
            socket: socket.to_path_buf(),
            next_id: 1,
        }))
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The connection, for what comes without being asked for.
    pub(super) fn into_stream(self) -> BufReader<UnixStream> {
        self.stream
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut line =
            serde_json::to_vec(&request).map_err(|error| CallError::Lost(error.into()))?;
        line.push(b'\n');
        // A daemon that turns us away may do so before it reads: its answer says why.
        let sent = self.stream.get_mut().write_all(&line).await;
        let mut answer = Vec::new();
        let read = self.stream.read_until(b'\n', &mut answer).await;
        match (sent, read) {
            (_, Ok(length)) if length > 0 => {}
            (Err(error), _) | (_, Err(error)) => return Err(CallError::Lost(error)),
            (Ok(()), Ok(_)) => return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())),
        }
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| CallError::Lost(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if let Some(error) = answer.get("error") {
            return Err(CallError::Answer {
                code: error["code"].as_i64().unwrap_or(-32603),
                kind: error["data"]["kind"]
                    .as_str()
                    .unwrap_or("internal")
                    .to_owned(),
                message: error["message"].as_str().unwrap_or("no message").to_owned(),
            });
        }
        Ok(answer["result"].take())
    }
}
