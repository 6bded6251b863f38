//! The socket to which a service manager listens. Putting something in never waits: one that does not
//! read its mail must not hold up a kill, which is what sd-notify's own way of sending would let it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Opened once: a daemon that is out of descriptors can still say that it is alive.
#[derive(Debug)]
pub(super) struct Mailbox {
    place: OsString,
    socket: Option<UnixDatagram>,
}

impl Mailbox {
    /// The one with this path, or abstract name after an `@`.
    pub(super) fn at(place: OsString) -> Self {
        let socket = connected(&place)
            .inspect_err(|error| tracing::debug!(%error, "the service manager does not listen"))
            .ok();
        Self { place, socket }
    }

    /// Puts a message in.
    ///
    /// # Errors
    /// `WouldBlock` if the mailbox is full, and the system's if nobody has it any more.
    pub(super) fn put(&mut self, message: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(message) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Whoever had it has closed it; perhaps somebody has opened it anew.
                Err(_) => {}
            }
        }
        let socket = connected(&self.place)?;
        let sent = socket.send(message).map(drop);
        self.socket = Some(socket);
        sent
    }
}

fn connected(place: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address(place)?)?;
    Ok(socket)
}

fn address(place: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = place.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(OsStr::from_bytes(place.as_bytes()))
}
