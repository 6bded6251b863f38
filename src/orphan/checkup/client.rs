//! What only who asks can see: whether a daemon is there, whether it is the only one, and whether both
//! speak the same version.

use std::path::{Path, PathBuf};

use super::places::{Found, unsafe_directory};
use super::{Check, quoted};
use crate::orphan::process::Pid;

/// How the daemon answered who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It did.
    Answered {
        /// Its pid, if it said so.
        pid: Option<Pid>,
        /// Where it listens, as far as that is known.
        socket: Option<PathBuf>,
    },
    /// Somebody may be there, but gave no answer that could be used.
    Silent(String),
    /// Nobody listens at any of these places.
    Nobody(Vec<PathBuf>),
    /// It was not asked.
    NotAsked,
}

/// Whether a daemon is there.
#[must_use]
pub fn daemon(presence: &Presence) -> Check {
    const DAEMON: &str = "daemon";
    match presence {
        Presence::Answered { pid, socket } => {
            let pid = pid.map(|pid| format!("process {pid}"));
            let place = socket.as_ref().map(|path| format!("on {}", path.display()));
            let words: Vec<String> = [Some("it answers".to_owned()), pid, place]
                .into_iter()
                .flatten()
                .collect();
            Check::ok(DAEMON, words.join(", "))
        }
        Presence::Silent(why) => Check::problem(
            DAEMON,
            format!("it cannot be asked: {why}"),
            "see its log, and restart it if it does not recover; team-agentctl service status says how its service is",
        ),
        Presence::Nobody(tried) => {
            let places: Vec<String> = tried
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Check::warning(
                DAEMON,
                format!("none listens on {}", places.join(" or ")),
                "start one: team-agentctl service install, or in the foreground: team-agentd",
            )
        }
        Presence::NotAsked => Check::ok(DAEMON, "it was not asked (--embedded)"),
    }
}

/// Somebody who holds a lock that daemons take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Who, by its own word.
    pub pid: Option<Pid>,
    /// The socket or the state directory whose lock it is.
    pub place: PathBuf,
}

/// Whether the daemon that was asked, `asked`, is the only one that works for this user. `of_root` says
/// that the machine has one beside those.
#[must_use]
pub fn daemons(asked: Option<Pid>, at_work: &[AtWork], of_root: bool) -> Check {
    const DAEMONS: &str = "daemons";
    let others: Vec<String> = at_work
        .iter()
        .filter(|one| one.pid.is_none() || one.pid != asked)
        .map(|one| {
            let who = one.pid.map_or_else(
                || "another process".to_owned(),
                |pid| format!("process {pid}"),
            );
            format!("{who} is at work at {}", one.place.display())
        })
        .collect();
    if !others.is_empty() {
        return Check::warning(
            DAEMONS,
            format!("beside the one that was asked, {}", others.join(", and ")),
            "one daemon is enough: stop the others, or name the one that is meant with --socket",
        );
    }
    let of_root = match of_root {
        true => "; the machine has one of its own, run by root",
        false => "",
    };
    Check::ok(
        DAEMONS,
        format!("no other one of yours is at work{of_root}"),
    )
}

/// Whether nobody could put a socket of theirs in the place of the one at `socket`, as who asks sees it.
#[must_use]
pub fn socket_directory(socket: &Path, directory: &Found, own_uid: u32) -> Check {
    const SOCKET_DIRECTORY: &str = "socket_directory";
    let above = socket.parent().unwrap_or(Path::new("."));
    let problem = match directory {
        Found::There(facts) => unsafe_directory(facts, own_uid),
        Found::Missing => Some("not there".to_owned()),
        Found::Unreadable(error) => Some(format!("not to be looked at: {error}")),
    };
    let shown = above.display();
    match problem {
        None => Check::ok(
            SOCKET_DIRECTORY,
            format!("{shown}: nobody else can put a socket there"),
        ),
        Some(problem) => Check::problem(
            SOCKET_DIRECTORY,
            format!("{shown} is {problem}: somebody else could answer in the daemon's place"),
            format!(
                "let the daemon listen in a directory of your own; or: chmod 700 {}",
                quoted(above)
            ),
        ),
    }
}

/// Whether who asks and who answers are of one version. None if they are: then what the daemon says of
/// its own is enough.
#[must_use]
pub fn skew(client: &str, daemon: Option<&str>) -> Option<Check> {
    const VERSION: &str = "version";
    const REMEDY: &str = "restart the daemon if it is the older one (team-agentctl service install); else install the \
                          newer client";
    match daemon {
        Some(daemon) if daemon == client => None,
        Some(daemon) => Some(Check::warning(
            VERSION,
            format!("this client is {client}, the daemon is {daemon}"),
            REMEDY,
        )),
        None => Some(Check::warning(
            VERSION,
            format!("this client is {client}, and the daemon does not say what it is"),
            REMEDY,
        )),
    }
}

/// The daemon, of version `daemon` if it said so, does not know how to look at itself.
#[must_use]
pub fn too_old(client: &str, daemon: Option<&str>) -> Check {
    let daemon = daemon.map(|one| format!(" {one}")).unwrap_or_default();
    Check::warning(
        "version",
        format!("the daemon{daemon} cannot look at itself: it is older than this client, {client}"),
        "restart the daemon with the installed program (team-agentctl service install), and ask again",
    )
}
