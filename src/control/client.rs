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
        // Where no socket can be nobody listens. Who names such a place is told so.
        let places = match is_named {
            true => places,
            false => places
                .into_iter()
                .filter(|place| can_be_a_socket(place))
                .collect(),
        };
        Self::connect_to(places, trust).await
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

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
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

/// Whether a path has room in a `sockaddr_un`, unix(7).
fn can_be_a_socket(path: &Path) -> bool {
    std::os::unix::net::SocketAddr::from_pathname(path).is_ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn nobody_listens_on_a_path_that_no_socket_can_have() {
        assert!(can_be_a_socket(Path::new("/run/team-agentd/control.sock")));
        let long = Path::new("/").join("x".repeat(120));
        assert!(!can_be_a_socket(&long.join("control.sock")));
    }

    /// A daemon that answers so many requests, each on a connection of its own, the first one last: it is
    /// answered `late` after it was asked.
    async fn ask(answers: usize, late: Duration) -> (Result<Value, CallError>, Duration) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let served = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            let answer = async {
                tokio::time::sleep(late).await;
                first
                    .write_all(b"{\"id\": 1, \"result\": {\"late\": 1}}\n")
                    .await
            };
            let others = async {
                let mut open = Vec::new();
                for number in 0.. {
                    let (mut other, _) = listener.accept().await.unwrap();
                    if number < answers {
                        other
                            .write_all(b"{\"id\": 1, \"result\": {}}\n")
                            .await
                            .unwrap();
                    }
                    open.push(other);
                }
            };
            tokio::join!(answer, others)
        });
        let mut client = Client::connect(Some(&socket)).await.unwrap();
        let started = Instant::now();
        let answer = client.call("fix", json!({})).await;
        served.abort();
        (answer, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_as_long_as_the_daemon_says_how_it_is() {
        let late = Duration::from_secs(1_000);
        let (answer, after) = ask(usize::MAX, late).await;
        assert_eq!(answer.unwrap(), json!({"late": 1}));
        assert_eq!(after.as_secs(), late.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_says_nothing_is_given_up() {
        let late = Duration::from_secs(1_000);
        for (answers, seconds) in [(0, 60), (3, 150)] {
            let (answer, after) = ask(answers, late).await;
            assert!(
                matches!(answer, Err(CallError::Silent { .. })),
                "{answer:?}"
            );
            assert_eq!(after.as_secs(), seconds, "{answers}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_taken_for_none() {
        for (line, is_one) in [
            ("42", false),
            ("[1]", false),
            ("\"x\"", false),
            ("{}", false),
            ("{\"id\": 1, \"result\": null}", false),
            ("{\"id\": 7, \"result\": {}}", false),
            ("{\"id\": 1}", false),
            ("{\"id\": 1, \"result\": {}}", true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("control.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let answering = async {
                let (mut peer, _) = listener.accept().await.unwrap();
                peer.write_all(format!("{line}\n").as_bytes())
                    .await
                    .unwrap();
                peer
            };
            let asking = async {
                let mut client = Client::connect(Some(&socket)).await.unwrap();
                client.call("pause", json!({})).await
            };
            let (_peer, answer) = tokio::join!(answering, asking);
            assert_eq!(answer.is_ok(), is_one, "{line}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_or_has_no_end_is_none() {
        let whole = b"{\"id\": 1, \"result\": {}}".as_slice();
        let endless = vec![b' '; 1 << 20];
        for (piece, times, problem) in [
            (whole, 1, "lost the daemon: unexpected end of file"),
            (&endless, 65, "lost the daemon: it answered without an end"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("control.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let answering = async {
                let (peer, _) = listener.accept().await.unwrap();
                let mut peer = BufReader::new(peer);
                peer.read_line(&mut String::new()).await.unwrap();
                for _ in 0..times {
                    // It may have hung up by then.
                    let _ = peer.write_all(piece).await;
                }
            };
            let asking = async {
                let mut client = Client::connect(Some(&socket)).await.unwrap();
                client.call("pause", json!({})).await
            };
            let ((), answer) = tokio::join!(answering, asking);
            assert_eq!(answer.unwrap_err().to_string(), problem);
        }
    }
}
