//! The asking end of the socket.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::notifications::LINE_LIMIT_BYTES;
use super::places::{Surroundings, socket_lock};
use crate::os::files::Lock;
use crate::os::host::{environment, own_uid};
use crate::text::in_line;

/// How often a daemon that is still starting is looked for …
const START_CHECKS: u32 = 20;
/// … and how long between two looks.
const START_PAUSE: Duration = Duration::from_millis(500);
/// How long an answer is waited for before the daemon is asked how it is, and how long for that.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

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
    /// Who listens is neither this user nor root, nor did root name it, so what it says is not believed.
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
    /// It says nothing, not even how it is.
    #[error("the daemon on {} has said nothing for {} s", in_line(socket), 2 * SILENCE_LIMIT.as_secs())]
    Silent {
        /// Where it listens.
        socket: PathBuf,
    },
}

/// Whoever listens there has answered like this, and is no daemon of ours.
pub(super) fn no_answer(what: &str) -> CallError {
    let what = format!("it answered {what}");
    CallError::Lost(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    trust: Trust,
    next_id: u64,
}

/// Whose daemon is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// This user's, or root's.
    OwnOrRoot,
    /// Anybody's: root may ask whom it names.
    Anybody,
}

/// How a daemon was reached.
#[derive(Clone, Debug)]
pub struct Way {
    socket: PathBuf,
    trust: Trust,
}

impl Way {
    /// Connects to the daemon on the same socket, who is believed no more than the first one was.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        Client::connect_to(vec![self.socket.clone()], self.trust).await
    }
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
        let is_named = surroundings.named_socket(explicit).is_some();
        let trust = match is_named && surroundings.uid == 0 {
            true => Trust::Anybody,
            false => Trust::OwnOrRoot,
        };
        Self::connect_to_first(places, is_named, trust).await
    }

    async fn connect_to_first(
        places: Vec<PathBuf>,
        is_named: bool,
        trust: Trust,
    ) -> Result<Self, ConnectError> {
        let worth = worth_trying(places.clone(), is_named);
        if worth.is_empty() {
            // They are all that can be named.
            return Err(ConnectError::NoDaemon { tried: places });
        }
        Self::connect_to(worth, trust).await
    }

    /// How to get another connection to the daemon that has this one.
    #[must_use]
    pub fn way(&self) -> Way {
        Way {
            socket: self.socket.clone(),
            trust: self.trust,
        }
    }

    async fn connect_to(places: Vec<PathBuf>, trust: Trust) -> Result<Self, ConnectError> {
        for _ in 0..START_CHECKS {
            let mut unreachable = None;
            for socket in &places {
                match Self::try_connect(socket, trust).await {
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

    async fn try_connect(socket: &Path, trust: Trust) -> Result<Option<Self>, ConnectError> {
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
        if trust == Trust::OwnOrRoot && uid != own_uid() && uid != 0 {
            return Err(ConnectError::ForeignDaemon {
                socket: socket.to_path_buf(),
                uid,
            });
        }
        Ok(Some(Self {
            stream: BufReader::new(stream),
            socket: socket.to_path_buf(),
            trust,
            next_id: 1,
        }))
    }

    /// The connection, for what comes without being asked for.
    pub(super) fn into_stream(self) -> BufReader<UnixStream> {
        self.stream
    }

    /// Asks, and waits for the answer for as long as the daemon shows that it is at work: what is ended
    /// may take its time, but a daemon always says how it is.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        let (socket, trust) = (self.socket.clone(), self.trust);
        let mut exchange = pin!(self.exchange(method, params));
        loop {
            if let Ok(answer) = timeout(SILENCE_LIMIT, &mut exchange).await {
                return answer;
            }
            if !Self::is_at_work(&socket, trust).await {
                return Err(CallError::Silent { socket });
            }
        }
    }

    /// Whether the daemon there says how it is, or at least that it will not.
    async fn is_at_work(socket: &Path, trust: Trust) -> bool {
        let asked = async {
            match Self::try_connect(socket, trust).await {
                Ok(Some(mut client)) => {
                    let answer = client.exchange("status", json!({})).await;
                    matches!(answer, Ok(_) | Err(CallError::Answer { .. }))
                }
                _ => false,
            }
        };
        timeout(SILENCE_LIMIT, asked).await.unwrap_or(false)
    }

    async fn exchange(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut line =
            serde_json::to_vec(&request).map_err(|error| CallError::Lost(error.into()))?;
        line.push(b'\n');
        // A daemon that turns us away may do so before it reads: its answer says why.
        let sent = self.stream.get_mut().write_all(&line).await;
        let mut answer = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_LIMIT_BYTES);
        let read = limited.read_until(b'\n', &mut answer).await;
        match (sent, read) {
            (_, Ok(_)) if answer.ends_with(b"\n") => {}
            (_, Ok(_)) if limited.limit() == 0 => return Err(no_answer("without an end")),
            (Err(error), _) | (_, Err(error)) => return Err(CallError::Lost(error)),
            (Ok(()), Ok(_)) => return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())),
        }
        let Ok(Value::Object(mut answer)) = serde_json::from_slice(&answer) else {
            return Err(no_answer("what is no object"));
        };
        if let Some(error) = answer.get("error").filter(|error| error.is_object()) {
            return Err(CallError::Answer {
                code: error["code"].as_i64().unwrap_or(-32603),
                kind: error["data"]["kind"]
                    .as_str()
                    .unwrap_or("internal")
                    .to_owned(),
                message: error["message"].as_str().unwrap_or("no message").to_owned(),
            });
        }
        if answer.get("id") != Some(&Value::from(id)) {
            return Err(no_answer("what was not asked for"));
        }
        match answer.remove("result") {
            Some(result @ Value::Object(_)) => Ok(result),
            _ => Err(no_answer("without a result")),
        }
    }
}

/// Without the usual places that have no room in a `sockaddr_un`, unix(7): nobody listens there. Who names such a place
/// is told so.
fn worth_trying(mut places: Vec<PathBuf>, is_named: bool) -> Vec<PathBuf> {
    use std::os::unix::net::SocketAddr;
    places.retain(|place| is_named || SocketAddr::from_pathname(place).is_ok());
    places
}

#[cfg(test)]
mod tests;
