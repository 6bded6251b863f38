//! What has to be well before `service install` touches anything.

use crate::text::in_line;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::config_command::rejected;
use super::super::failure::Failure;
use super::{Ground, Manager, Surroundings, Trouble};
use crate::config::{self, Config};
use crate::control::places::{self, socket_lock, state_lock};
use crate::orphan::steering::Steering;
use crate::os::files::Lock;
use crate::os::programs::name_of;
use crate::supervisor::steering_file;

/// The name of a daemon's process.
const DAEMON: &str = "team-agentd";

/// Makes sure that the program can be run at all: a daemon that is well is not ended for one that is not.
pub(super) async fn program_that_runs(
    program: &Path,
    manager: &mut impl Manager,
) -> Result<(), Failure> {
    if manager.version_of(program).await.is_some() {
        return Ok(());
    }
    let what = format!("{} does not say its version", in_line(program));
    Err(Failure::service("no_daemon_program", what)
        .with_remedy("see: team-agentd --version; it has to be a program for this machine"))
}

/// The configuration that the daemon will find, if any; it has to be good.
pub(super) fn configuration(
    ground: &Ground,
    surroundings: &Surroundings<'_>,
) -> Result<Option<PathBuf>, Trouble> {
    let env = |name: &str| ground.variable(name);
    // The daemon has another directory to start from than this shell.
    const NAMED: &str = "TEAM_AGENTD_CONFIG";
    if let Some(named) = env(NAMED).map(PathBuf::from)
        && !named.as_os_str().is_empty()
        && named.is_relative()
    {
        let what = format!(
            "{NAMED} is {} for the service: not an absolute path",
            in_line(&named)
        );
        return Err(Failure::service("relative_config", what)
            .with_remedy(format!(
                "see: systemctl --user show-environment; unset-environment {NAMED}"
            ))
            .into());
    }
    let file = config::locate(None, &env, surroundings.uid == 0);
    if let Some(file) = &file {
        Config::load(file).map_err(|error| Trouble::Config(Box::new(rejected(&error))))?;
    }
    Ok(file)
}

/// Refuses beside a daemon that is not the service's: two would not both get the socket and the state.
pub(super) fn refuse_rival(
    ground: &Ground,
    surroundings: &Surroundings<'_>,
) -> Result<(), Failure> {
    let env = |name: &str| ground.variable(name);
    let places = places::Surroundings {
        env: &env,
        uid: surroundings.uid,
    };
    let state = places
        .state_dir(None)
        .map(|directory| state_lock(&directory));
    for lock in state.into_iter().chain([socket_lock(&ground.socket)]) {
        if Lock::is_held(&lock) {
            return Err(rival(&lock));
        }
    }
    Ok(())
}

/// That somebody else holds a lock of the service's.
fn rival(lock: &Path) -> Failure {
    // Its own word, written down once: by now that may be anybody's pid.
    let holder = Lock::last_holder(lock).filter(|pid| name_of(*pid).as_deref() == Some(DAEMON));
    let (who, how) = match holder {
        Some(pid) => (
            format!("process {pid}"),
            format!("a {DAEMON} that was started by hand is ended with: kill {pid}"),
        ),
        None => (
            "somebody".to_owned(),
            format!("see who that is: fuser -v {}", in_line(lock)),
        ),
    };
    let what = format!(
        "{who} is at work already, and is not the service: it holds {}",
        in_line(lock)
    );
    Failure::service("already_running", what).with_remedy(how)
}

/// Refuses where what was kept or paused so far would silently be forgotten, because it is in the state
/// directory that this shell names, and the service has another one.
pub(super) fn refuse_other_state(
    ground: &Ground,
    surroundings: &Surroundings<'_>,
) -> Result<(), Failure> {
    let of_service = |name: &str| ground.variable(name);
    let state_dir = |env| {
        let uid = surroundings.uid;
        places::Surroundings { env, uid }.state_dir(None)
    };
    let (Some(here), Some(there)) = (state_dir(surroundings.env), state_dir(&of_service)) else {
        return Ok(());
    };
    let is_one = here == there
        || matches!((fs::canonicalize(&here), fs::canonicalize(&there)), (Ok(a), Ok(b)) if a == b);
    if is_one || steering_file::load(&here) == Steering::default() {
        return Ok(());
    }
    let what = format!(
        "what is paused, suspended or kept stands in {}, and the service will have its state in {}: \
         it would not know of it",
        in_line(&here),
        in_line(&there)
    );
    Err(Failure::service("other_state", what).with_remedy(format!(
        "copy {} there, or give the service the same environment (systemctl --user edit --force \
         team-agentd.service); to start without it: --force",
        here.join("steering.json").display()
    )))
}
