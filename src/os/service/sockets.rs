//! The socket that a service manager opened for us.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};

/// Why what was handed over cannot be used. There is no second choice then: whoever has the socket
/// of that name would wait for us on it in vain.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The environment contradicts itself, or names descriptors that are not there.
    #[error("what LISTEN_PID and LISTEN_FDS say cannot be used: {0}")]
    Unusable(#[source] io::Error),
    /// There is more than one.
    #[error(
        "{0} sockets were handed over, and one is needed: leave one ListenStream= in the socket unit"
    )]
    TooMany(usize),
    /// It is something else than a listening Unix stream socket.
    #[error(
        "what was handed over is {0}: ListenStream= in the socket unit has to be the path of a Unix socket"
    )]
    Unfit(&'static str),
}

/// The socket that a service manager handed over, if one did. It stays its own: whoever gets it here
/// neither changes nor removes its file.
///
/// To be called first of all in a program, once: the environment that says so is taken away, and so
/// nothing this process starts believes that it was meant.
///
/// # Errors
/// If something was handed over that is no listening Unix stream socket, or more than one thing.
pub fn inherited_socket() -> Result<Option<UnixListener>, InheritError> {
    // SAFETY: nothing else runs in this process yet that could read the environment meanwhile; the
    // caller has been told.
    #[expect(unsafe_code, reason = "it is changed before there is any thread")]
    unsafe {
        std::env::remove_var("LISTEN_FDNAMES");
    }
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "it is changed before there is any thread")]
    let descriptors = unsafe { sd_notify::listen_fds_and_unset_env() };
    let mut descriptors = descriptors.map_err(InheritError::Unusable)?;
    match (descriptors.len(), descriptors.next()) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(descriptor)) => adopt(descriptor).map(Some),
        (many, _) => Err(InheritError::TooMany(many)),
    }
}

fn adopt(descriptor: RawFd) -> Result<UnixListener, InheritError> {
    // SAFETY: it was found open, it was handed to this process, and nobody else in here knows of it.
    #[expect(unsafe_code, reason = "this is how descriptors are handed over")]
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    if let Some(other) = unfit(&descriptor) {
        return Err(InheritError::Unfit(other));
    }
    Ok(UnixListener::from(descriptor))
}

/// What it is instead of a listening Unix stream socket.
fn unfit(descriptor: &impl std::os::fd::AsFd) -> Option<&'static str> {
    let descriptor: BorrowedFd<'_> = descriptor.as_fd();
    let Ok(address) = getsockname(descriptor) else {
        return Some("no socket");
    };
    if address.address_family() != AddressFamily::UNIX {
        return Some("a socket of another family");
    }
    match (sockopt::socket_type(descriptor), listens(descriptor)) {
        (Ok(SocketType::STREAM), true) => None,
        (Ok(SocketType::STREAM), _) => Some("a Unix socket that does not listen"),
        _ => Some("a Unix socket of another type"),
    }
}

#[cfg(not(target_os = "macos"))]
fn listens(socket: BorrowedFd<'_>) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// Apple's kernel does not say. Waiting on one that does not will fail.
#[cfg(target_os = "macos")]
fn listens(_: BorrowedFd<'_>) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn only_a_unix_stream_socket_that_listens_is_fit() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        assert_eq!(unfit(&listener), None);
        let (stream, _other) = UnixStream::pair().unwrap();
        if cfg!(not(target_os = "macos")) {
            assert_eq!(unfit(&stream), Some("a Unix socket that does not listen"));
        }
        let datagram = UnixDatagram::unbound().unwrap();
        assert_eq!(unfit(&datagram), Some("a Unix socket of another type"));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(unfit(&tcp), Some("a socket of another family"));
        let file = tempfile::tempfile().unwrap();
        assert_eq!(unfit(&file), Some("no socket"));
    }
}
