//! The listening end: one daemon a socket, peers by the kernel's credentials.

use crate::text::in_line;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::bulletin::bulletin;
use super::connection::{Desk, refuse, serve};
use super::peers::{Peers, Turned};
use super::places::socket_lock;
use super::protocol::RpcError;
use super::state::State;
use crate::orphan::victims::Lineage;
use crate::os::facts::lineage;
use crate::os::files::{
    FileError, Lock, check_socket_directory, create_private_directory, remove_stale_socket,
};
use crate::os::host::own_uid;
use crate::supervisor::feed::Feed;
use crate::supervisor::request::Peer;
use crate::supervisor::run::Requests;

/// How long to wait when no further connection can be taken (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many answers with records of the event log may wait to be read, of all peers together. Each may have megabytes.
const LONG_ANSWERS: usize = 16;
/// How long answers may take to go out when the daemon stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another one does.
    #[error(
        "another team-agentd listens on {}{}: stop it first, or choose another --socket",
        in_line(socket),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    AlreadyRunning {
        /// Where.
        socket: PathBuf,
        /// Its pid, by its own word.
        holder: Option<u32>,
    },
    /// A file or directory is in the way.
    #[error(transparent)]
    File(#[from] FileError),
    /// The socket cannot be bound.
    #[error("failed to bind {}: {source}", in_line(socket))]
    Bind {
        /// Where.
        socket: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The socket that was handed over cannot be waited on.
    #[error("failed to listen on the inherited socket: {0}")]
    Inherit(#[source] std::io::Error),
    /// There is no place for a socket.
    #[error("no place for a socket: set HOME or XDG_RUNTIME_DIR, or use --socket")]
    NoPlace,
}

/// A socket that peers find us on.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    /// Where, if it is a file.
    socket: Option<PathBuf>,
    /// Without: the socket's file and its directory are a service manager's.
    own: Option<Own>,
}

/// What makes a socket that was bound here ours.
#[derive(Debug)]
struct Own {
    socket: PathBuf,
    /// The file as it was made.
    bound: Option<(u64, u64)>,
    _lock: Lock,
}

impl ListenError {
    fn is_about_the_path(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput)
    }
}

impl Listener {
    /// Binds the first of `places` whose directory can be made, and whose path a socket can have.
    ///
    /// # Errors
    /// If none can be had, or another daemon has it: then the next is not tried.
    pub fn bind_first(places: &[PathBuf]) -> Result<Self, ListenError> {
        let mut first_error = None;
        for place in places {
            match Self::bind(place) {
                Err(error @ ListenError::File(FileError::System { .. })) => {
                    first_error.get_or_insert(error);
                }
                // A path that is too long for a socket: see unix(7).
                Err(error @ ListenError::Bind { .. }) if error.is_about_the_path() => {
                    first_error.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(first_error.unwrap_or(ListenError::NoPlace))
    }

    fn bind(socket: &Path) -> Result<Self, ListenError> {
        let directory = match socket.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        create_private_directory(directory)?;
        check_socket_directory(directory)?;
        let already = |holder| ListenError::AlreadyRunning {
            socket: socket.to_path_buf(),
            holder,
        };
        let lock = Lock::take(&socket_lock(socket)).map_err(|error| match error {
            FileError::Held { holder, .. } => already(holder),
            other => other.into(),
        })?;
        // One that listens without our lock: a socket handed over by a service manager.
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(already(None));
        }
        remove_stale_socket(socket)?;
        let bind = |source| ListenError::Bind {
            socket: socket.to_path_buf(),
            source,
        };
        let listener = UnixListener::bind(socket).map_err(bind)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(bind)?;
        let own = Own {
            socket: socket.to_path_buf(),
            bound: identity_of(socket),
            _lock: lock,
        };
        Ok(Self {
            listener,
            socket: Some(own.socket.clone()),
            own: Some(own),
        })
    }

    /// Takes a socket on which a service manager listens already, as it is: nothing is checked or
    /// changed about its file and directory, and nothing removed in the end.
    ///
    /// # Errors
    /// If it cannot be waited on.
    pub fn inherit(inherited: std::os::unix::net::UnixListener) -> Result<Self, ListenError> {
        let address = inherited.local_addr();
        let socket = address
            .ok()
            .and_then(|address| address.as_pathname().map(Path::to_path_buf));
        inherited
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(inherited))
            .map(|listener| Self {
                listener,
                socket,
                own: None,
            })
            .map_err(ListenError::Inherit)
    }

    /// Where it listens, if that is a file.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The socket's file as it was made here: device and inode. None if somebody else made it.
    #[must_use]
    pub fn bound(&self) -> Option<(u64, u64)> {
        self.own.as_ref()?.bound
    }

    /// Whether a service manager made the socket.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.own.is_none()
    }

    /// Serves peers until `stop` is cancelled; then sends the answers that are due, and leaves.
    pub async fn run(
        self,
        requests: Requests,
        feed: Feed,
        max_connections: usize,
        stop: CancellationToken,
    ) {
        let connections = TaskTracker::new();
        let peers = Peers::new(max_connections);
        let (bulletin, press) = bulletin();
        // The daemon stops although somebody subscribes.
        let state = State::default();
        let (asking, at) = (requests.downgrade(), Arc::clone(&peers));
        let press = press.run(asking, state.clone(), at, feed.changes());
        let mut press = AbortOnDropHandle::new(tokio::spawn(press));
        let desk = Desk {
            requests,
            feed,
            bulletin,
            state,
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS)),
            peers,
            stop: stop.clone(),
        };
        // Whoever lost its place may have an answer to wait for.
        let most_at_once = max_connections.saturating_mul(2);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
                // Who subscribes to the state would wait in vain.
                _ = &mut press => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    if connections.len() >= most_at_once {
                        desk.peers.make_room();
                        tokio::task::yield_now().await;
                    }
                    admit(stream, &connections, &desk, most_at_once);
                    // Whoever has just lost its place leaves before the next one comes.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Nobody new finds it, and the next daemon does not have to clean up.
        // Another daemon's, where the directory was made anew, is left.
        if let Some(own) = &self.own
            && identity_of(&own.socket) == own.bound
            && let Err(error) = std::fs::remove_file(&own.socket)
        {
            tracing::debug!(%error, "the socket was gone already");
        }
        drop(desk);
        connections.close();
        if tokio::time::timeout(DRAIN_LIMIT, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                peers = connections.len(),
                "some peers did not read their answers in time"
            );
        }
    }
}

/// Device and inode of a file.
fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn admit(stream: UnixStream, connections: &TaskTracker, desk: &Desk, most_at_once: usize) {
    let peer = match stream.peer_cred() {
        Ok(credentials) => {
            let pid = credentials
                .pid()
                .and_then(|pid| u32::try_from(pid).ok())
                .filter(|pid| *pid != 0);
            Peer {
                uid: credentials.uid(),
                pid,
                lineage: Arc::new(pid.map_or_else(Lineage::unknown, lineage)),
            }
        }
        // Without credentials nobody is served.
        Err(error) => {
            tracing::warn!(%error, "a peer without credentials was turned away");
            return;
        }
    };
    if peer.uid != own_uid() && peer.uid != 0 {
        tracing::warn!(
            peer_uid = peer.uid,
            "a peer of another user was turned away"
        );
        desk.peers.count(Turned::Forbidden);
        connections.spawn(refuse(stream, RpcError::forbidden(peer.uid)));
        return;
    }
    let place = match connections.len() < most_at_once {
        true => desk.peers.admit(),
        false => {
            desk.peers.count(Turned::NoPlace);
            None
        }
    };
    match place {
        Some(place) => connections.spawn(serve(stream, peer, desk.clone(), place)),
        None => {
            tracing::warn!("a peer was turned away: too many connections");
            connections.spawn(refuse(stream, RpcError::too_busy("connections")))
        }
    };
}

#[cfg(test)]
mod tests;
