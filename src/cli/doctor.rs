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
    AtWork, Check, Found, Presence, SocketFacts, Standpoint, daemon, daemons, skew, socket,
    socket_directory, too_old,
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
    /// The first of the places that were asked for where there is something; else the first.
    socket: Option<PathBuf>,
    /// None if there was no answer in time.
    at_work: Option<Vec<AtWork>>,
    of_root: bool,
}

/// Looks around. None if there is no answer in time from where the daemon may listen.
pub(super) async fn look_around(explicit: Option<PathBuf>) -> Option<Around> {
    let mut around = in_time(move || sockets(explicit.as_deref())).await?;
    // Who works in the state directory without being heard; that may hang by itself.
    let in_state = in_time(in_state).await;
    around.at_work = around.at_work.zip(in_state).map(|(mut at_work, more)| {
        at_work.extend(more);
        at_work
    });
    Some(around)
}

/// Where the daemon listens, by its own word or as far as that is known, and what is in the place of that
/// one's directory. None if it is not known, or there is no answer in time.
pub(super) async fn look_above(
    result: &Value,
    around: Option<&Around>,
) -> Option<(PathBuf, Found)> {
    let said = path_in(&result["daemon"], "socket");
    let socket = said.or_else(|| around?.socket.clone())?;
    in_time(move || {
        let above = match socket.parent() {
            Some(above) if above != Path::new("") => above,
            _ => Path::new("."),
        };
        let found = look(above);
        (socket, found)
    })
    .await
}

async fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let looked = tokio::task::spawn_blocking(work);
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

fn surroundings() -> Surroundings<'static> {
    Surroundings {
        env: &environment,
        uid: own_uid(),
    }
}

/// Where a daemon may listen: what is there, and who holds a lock.
fn sockets(explicit: Option<&Path>) -> Around {
    let named = surroundings().sockets(explicit);
    let mut all = surroundings().sockets(None);
    all.extend(named.iter().cloned());
    all.sort();
    all.dedup();
    let at_work = all.into_iter().filter_map(|socket| {
        let lock = socket_lock(&socket);
        at_work(socket, &lock)
    });
    Around {
        at_work: Some(at_work.collect()),
        socket: named
            .iter()
            .find(|socket| socket.exists())
            .or(named.first())
            .cloned(),
        // Its directory is root's alone: more than that it is there cannot be seen.
        of_root: own_uid() != 0 && Path::new(places::OF_THE_MACHINE).exists(),
    }
}

/// Who works in the state directory of this user.
fn in_state() -> Option<AtWork> {
    let state_dir = surroundings().state_dir(None)?;
    let lock = state_lock(&state_dir);
    at_work(state_dir, &lock)
}

/// Who holds the lock of that place, if somebody does.
fn at_work(place: PathBuf, lock: &Path) -> Option<AtWork> {
    Lock::is_held(lock).then(|| AtWork {
        pid: Lock::last_holder(lock),
        place,
    })
}

/// The daemon's result, or the one that stands in for it, with what only the client can see.
pub(super) fn compose(
    mut result: Value,
    heard: &Heard,
    around: Option<&Around>,
    directory: Option<(PathBuf, Found)>,
) -> Value {
    const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
    let said = result["daemon"].clone();
    let pid = said["pid"].as_u64().and_then(|pid| Pid::try_from(pid).ok());
    let answered = || Presence::Answered {
        pid,
        socket: directory.as_ref().map(|(socket, _)| socket.clone()),
    };
    let presence = match heard {
        Heard::Daemon | Heard::TooOld(_) => answered(),
        Heard::Silent(why) => Presence::Silent(why.clone()),
        Heard::Nobody(tried) => Presence::Nobody(tried.clone()),
        Heard::NotAsked => Presence::NotAsked,
    };
    let mut seen = vec![daemon(&presence)];
    // Where no daemon answered, `state_directory` says who holds the lock.
    if *heard == Heard::Daemon {
        let others = around.and_then(|around| Some((around.at_work.as_ref()?, around.of_root)));
        seen.push(match others {
            Some((at_work, of_root)) => daemons(pid, at_work, of_root),
            None => Check::unanswered("daemons", LOOK_LIMIT),
        });
    }
    seen.extend(place_of(heard, around, directory));
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

/// How it is around the socket: where one is, whether it can be trusted; else whether there can be one.
fn place_of(
    heard: &Heard,
    around: Option<&Around>,
    directory: Option<(PathBuf, Found)>,
) -> Option<Check> {
    let is_there = !matches!(heard, Heard::Nobody(_) | Heard::NotAsked);
    let has_no_place = around.is_some_and(|around| around.socket.is_none());
    let (path, directory) = match directory {
        // Who answers does so somewhere else then, and does not say where.
        Some((_, Found::Missing)) if is_there => return None,
        Some((path, found)) if is_there => return Some(socket_directory(&path, &found, own_uid())),
        Some((path, found)) => (Some(path), found),
        None if is_there => return Some(Check::unanswered("socket_directory", LOOK_LIMIT)),
        None if has_no_place => (None, Found::Missing),
        None => return Some(Check::unanswered("socket", LOOK_LIMIT)),
    };
    let facts = SocketFacts {
        path,
        found: Found::Missing,
        directory,
        bound: None,
        is_inherited: false,
        own_uid: own_uid(),
    };
    Some(socket(&facts, Standpoint::Client))
}

#[cfg(test)]
mod tests;
