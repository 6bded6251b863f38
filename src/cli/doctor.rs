//! What the client sees of the daemon, put beside what the daemon says of itself.
//!
//! Must not know how the daemon was asked, nor how a check is shown.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::list;
use crate::control::places::{self, Surroundings, socket_lock, state_lock};
use crate::orphan::checkup::{
    AtWork, Check, Found, Presence, daemon, daemons, skew, socket_directory, too_old,
};
use crate::orphan::process::Pid;
use crate::os::checkup::look;
use crate::os::files::Lock;
use crate::os::host::{environment, own_uid};
use crate::wire::checkup::check;

/// How long looking at sockets and locks may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// Who was heard, and what there was of the daemon if it was not that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The daemon itself.
    Daemon,
    /// A daemon that cannot look at itself; its version, if it said so.
    TooOld(Option<String>),
    /// None that could be understood, and why.
    Silent(String),
    /// Nobody at these places.
    Nobody(Vec<PathBuf>),
    /// It was not to be asked.
    NotAsked,
}

/// What is around the daemon, as the client sees it.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// Where the daemon listens, as far as that is known, and what its directory is.
    socket: Option<(PathBuf, Found)>,
    at_work: Vec<AtWork>,
    of_root: bool,
    own_uid: u32,
}

/// Looks around, with `result` being what the daemon says of itself, if it does. None if there is no
/// answer in time.
pub(super) async fn look_around(explicit: Option<PathBuf>, result: &Value) -> Option<Around> {
    let said = path_in(&result["daemon"], "socket");
    let looked = tokio::task::spawn_blocking(move || gather(explicit.as_deref(), said));
    tokio::time::timeout(LOOK_LIMIT, looked).await.ok()?.ok()
}

/// The path under `name`, by its exact bytes where it is not text.
fn path_in(object: &Value, name: &str) -> Option<PathBuf> {
    let exact = object[format!("{name}_b64")].as_str();
    let bytes = exact.and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
    match bytes {
        Some(bytes) => Some(OsString::from_vec(bytes).into()),
        None => object[name].as_str().map(PathBuf::from),
    }
}

fn gather(explicit: Option<&Path>, said: Option<PathBuf>) -> Around {
    let surroundings = Surroundings {
        env: &environment,
        uid: own_uid(),
    };
    let named = surroundings.sockets(explicit);
    let mut sockets = surroundings.sockets(None);
    sockets.extend(named.iter().cloned());
    sockets.sort();
    sockets.dedup();
    let of_sockets = sockets.into_iter().map(|socket| {
        let lock = socket_lock(&socket);
        (socket, lock)
    });
    let of_state = surroundings.state_dir(None).map(|state_dir| {
        let lock = state_lock(&state_dir);
        (state_dir, lock)
    });
    let at_work = of_sockets
        .chain(of_state)
        .filter(|(_, lock)| Lock::is_held(lock))
        .map(|(place, lock)| AtWork {
            pid: Lock::last_holder(&lock),
            place,
        });
    let socket = said.or_else(|| named.into_iter().find(|socket| socket.exists()));
    Around {
        at_work: at_work.collect(),
        socket: socket.map(|socket| {
            let above = match socket.parent() {
                Some(above) if above != Path::new("") => above,
                _ => Path::new("."),
            };
            let found = look(above);
            (socket, found)
        }),
        // Its directory is root's alone: more than that it is there cannot be seen.
        of_root: own_uid() != 0 && Path::new(places::OF_THE_MACHINE).exists(),
        own_uid: own_uid(),
    }
}

/// The daemon's result, or the one that stands in for it, with what only the client can see.
pub(super) fn compose(mut result: Value, heard: &Heard, around: &Option<Around>) -> Value {
    const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
    let said = result["daemon"].clone();
    let pid = said["pid"].as_u64().and_then(|pid| Pid::try_from(pid).ok());
    let answered = || Presence::Answered {
        pid,
        socket: around
            .as_ref()
            .and_then(|around| around.socket.as_ref())
            .map(|(socket, _)| socket.clone()),
    };
    let presence = match heard {
        Heard::Daemon | Heard::TooOld(_) => answered(),
        Heard::Silent(why) => Presence::Silent(why.clone()),
        Heard::Nobody(tried) => Presence::Nobody(tried.clone()),
        Heard::NotAsked => Presence::NotAsked,
    };
    let mut seen = vec![daemon(&presence)];
    match around {
        None => seen.push(Check::unanswered("daemons", LOOK_LIMIT)),
        // Who holds the locks is what `state_directory` says where no daemon answered.
        Some(_) if *heard != Heard::Daemon => {}
        Some(around) => {
            seen.push(daemons(pid, &around.at_work, around.of_root));
            if let Some((socket, directory)) = &around.socket {
                seen.push(socket_directory(socket, directory, around.own_uid));
            }
        }
    }
    let version = match heard {
        Heard::Daemon => skew(OWN_VERSION, said["version"].as_str()),
        Heard::TooOld(version) => Some(too_old(OWN_VERSION, version.as_deref())),
        _ => None,
    };
    let mut checks: Vec<Value> = seen.iter().map(check).collect();
    checks.extend(list(&result, "checks").iter().cloned());
    if let Some(version) = version {
        let version = check(&version);
        match checks.iter_mut().find(|one| one["check"] == "version") {
            // A program that was replaced is the better reason for the same remedy.
            Some(one) if one["result"] != "ok" => {}
            Some(one) => *one = version,
            None => checks.push(version),
        }
    }
    if let Some(object) = result.as_object_mut() {
        let is_well = checks.iter().all(|one| one["result"] != "problem");
        object.insert("ok".to_owned(), is_well.into());
        object.insert("checks".to_owned(), checks.into());
    }
    result
}

#[cfg(test)]
mod tests;
