//! The state directory and the socket.

use std::path::{Path, PathBuf};

use super::{Check, Standpoint, quoted};
use crate::orphan::process::Pid;

/// What is known of a file or directory, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is a socket.
    pub is_socket: bool,
    /// Whose it is.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Device and inode.
    pub id: (u64, u64),
}

impl FileFacts {
    /// Whether others than its owner may take names out of it or put some in. In a sticky directory they
    /// can only do so with what is theirs.
    fn is_open_to_others(&self) -> bool {
        self.mode & 0o022 != 0 && self.mode & 0o1000 == 0
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    There(FileFacts),
    /// Nothing.
    Missing,
    /// It cannot be looked at; the system's words.
    Unreadable(String),
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Nobody.
    Free,
    /// Somebody, and who by its own word.
    Held(Option<Pid>),
}

/// What is known of the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// What is there.
    pub found: Found,
    /// What was there when the daemon started.
    pub at_start: Option<(u64, u64)>,
    /// The lock in it.
    pub lock: LockState,
    /// This process.
    pub own_pid: Pid,
    /// Whose process it is.
    pub own_uid: u32,
}

const STATE_DIRECTORY: &str = "state_directory";
const RESTART: &str = "restart the daemon: it makes what it needs anew";

/// Whether the state directory is ours alone, and still the one that the daemon began with.
#[must_use]
pub fn state_directory(state: &StateDirectory, standpoint: Standpoint) -> Check {
    let path = state.path.display();
    let facts = match &state.found {
        Found::There(facts) => facts,
        Found::Missing if standpoint == Standpoint::Client => {
            return Check::ok(
                STATE_DIRECTORY,
                format!("{path} is not there yet: whoever kills first makes it"),
            );
        }
        Found::Missing => {
            return Check::problem(
                STATE_DIRECTORY,
                format!("{path} was removed while the daemon runs, and its lock with it"),
                RESTART,
            );
        }
        Found::Unreadable(error) => {
            return Check::problem(
                STATE_DIRECTORY,
                format!("{path} cannot be looked at: {error}"),
                "make it, and all above it, readable for the daemon's user",
            );
        }
    };
    let place = quoted(&state.path);
    if !facts.is_directory {
        return Check::problem(
            STATE_DIRECTORY,
            format!("{path} is no directory (a symbolic link is not followed)"),
            "remove what is there, or use another --state-dir",
        );
    }
    if state.at_start.is_some_and(|id| id != facts.id) {
        return Check::problem(
            STATE_DIRECTORY,
            format!(
                "{path} is another directory than when the daemon started: its lock is not there"
            ),
            RESTART,
        );
    }
    if facts.uid != state.own_uid {
        return Check::problem(
            STATE_DIRECTORY,
            format!(
                "{path} belongs to uid {}, who can change what is recorded and kept there",
                facts.uid
            ),
            format!("chown {} {place}", state.own_uid),
        );
    }
    // Sticky or not: what is not there yet, anybody may put there.
    if facts.mode & 0o022 != 0 {
        return Check::problem(
            STATE_DIRECTORY,
            format!(
                "others may write into {path} (mode {:04o}), and change what is recorded and kept there",
                facts.mode
            ),
            format!("chmod 700 {place}"),
        );
    }
    if let Some(check) = lock(state, standpoint) {
        return check;
    }
    if facts.mode & 0o077 != 0 {
        return Check::warning(
            STATE_DIRECTORY,
            format!(
                "others may look into {path} (mode {:04o}): the event log tells of your processes",
                facts.mode
            ),
            format!("chmod 700 {place}"),
        );
    }
    let whose = match standpoint {
        Standpoint::Daemon => "is the daemon's alone, and locked by it",
        Standpoint::Client => "is yours alone",
    };
    Check::ok(STATE_DIRECTORY, format!("{path} {whose}"))
}

/// What is wrong with the lock, if anything is.
fn lock(state: &StateDirectory, standpoint: Standpoint) -> Option<Check> {
    let path = state.path.display();
    let holder = match state.lock {
        LockState::Held(Some(pid)) => format!("process {pid}"),
        LockState::Held(None) => "another process".to_owned(),
        LockState::Free if standpoint == Standpoint::Client => return None,
        LockState::Free => {
            return Some(Check::problem(
                STATE_DIRECTORY,
                format!(
                    "the lock in {path} is gone: another daemon, or a fix, may work beside this one"
                ),
                RESTART,
            ));
        }
    };
    match standpoint {
        Standpoint::Daemon if state.lock == LockState::Held(Some(state.own_pid)) => None,
        Standpoint::Daemon => Some(Check::problem(
            STATE_DIRECTORY,
            format!("{holder} holds the lock in {path}, which the daemon took when it started"),
            RESTART,
        )),
        Standpoint::Client => Some(Check::warning(
            STATE_DIRECTORY,
            format!(
                "{holder} is at work in {path}: a daemon that does not listen where it was looked for, or a fix"
            ),
            "if it is a daemon, name its socket with --socket; a fix ends by itself",
        )),
    }
}

/// What is known of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// Where; none where it is no file.
    pub path: Option<PathBuf>,
    /// What is there.
    pub found: Found,
    /// What is in the place of its directory.
    pub directory: Found,
    /// The file as it was made.
    pub bound: Option<(u64, u64)>,
    /// Whether a service manager made it, and handed it over.
    pub is_inherited: bool,
    /// Whose process this is.
    pub own_uid: u32,
}

/// Whether peers find the daemon, and nobody else in its place.
#[must_use]
pub fn socket(socket: &SocketFacts, standpoint: Standpoint) -> Check {
    const SOCKET: &str = "socket";
    let Some(path) = &socket.path else {
        return match (standpoint, socket.is_inherited) {
            (Standpoint::Daemon, _) => {
                Check::ok(SOCKET, "handed over by the service manager, no file")
            }
            (Standpoint::Client, _) => Check::problem(
                SOCKET,
                "there is no place for a socket",
                "set HOME or XDG_RUNTIME_DIR, or use --socket",
            ),
        };
    };
    let shown = path.display();
    let above = match path.parent() {
        Some(above) if above != Path::new("") => above,
        _ => Path::new("."),
    };
    if let Found::There(directory) = &socket.directory
        && let Some(problem) = unsafe_directory(directory, socket.own_uid)
    {
        return Check::problem(
            SOCKET,
            format!(
                "the directory of {shown} is {problem}: somebody else could put a socket there"
            ),
            format!("use a directory of your own: chmod 700 {}", quoted(above)),
        );
    }
    if standpoint == Standpoint::Client {
        return Check::ok(SOCKET, format!("a daemon of yours would listen on {shown}"));
    }
    let facts = match &socket.found {
        Found::There(facts) => facts,
        Found::Missing => {
            return Check::problem(
                SOCKET,
                format!("{shown} was removed: nobody finds the daemon there any more"),
                "restart the daemon",
            );
        }
        Found::Unreadable(error) => {
            return Check::warning(
                SOCKET,
                format!("{shown} cannot be looked at: {error}"),
                "make the directories above it readable for the daemon's user",
            );
        }
    };
    let is_another = socket.bound.is_some_and(|bound| bound != facts.id);
    if is_another || !facts.is_socket {
        return Check::problem(
            SOCKET,
            format!("at {shown} is something else than the socket that the daemon made"),
            "find out who put it there, remove it, and restart the daemon",
        );
    }
    if facts.mode & 0o077 != 0 {
        return Check::warning(
            SOCKET,
            format!(
                "{shown} has mode {:04o}: others may connect, and are turned away by their uid",
                facts.mode
            ),
            match socket.is_inherited {
                true => "set SocketMode=0600 in its socket unit".to_owned(),
                false => format!("chmod 600 {}", quoted(path)),
            },
        );
    }
    let how = match socket.is_inherited {
        true => "handed over by the service manager",
        false => "made by the daemon",
    };
    Check::ok(SOCKET, format!("{shown} (mode {:04o}), {how}", facts.mode))
}

/// What makes a directory one in which a name may mean something else than we put there.
pub(super) fn unsafe_directory(directory: &FileFacts, own_uid: u32) -> Option<String> {
    if !directory.is_directory {
        Some("no directory (a symbolic link is not followed)".to_owned())
    } else if directory.uid != own_uid && directory.uid != 0 {
        Some(format!("owned by uid {}", directory.uid))
    } else if directory.is_open_to_others() {
        Some(format!("writable by others (mode {:04o})", directory.mode))
    } else {
        None
    }
}
