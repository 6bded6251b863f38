//! `service uninstall`: stopped, and nothing left but what is the user's own and the state.

use std::path::Path;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::files::{
    Found, UnitFile, refuse_directories, refuse_foreign, remove, remove_empty, remove_odd,
};
use super::journey::{Changed, Journey};
use super::{Ground, Manager, State, Surroundings};
use crate::config;
use crate::control::places::{self, socket_lock};
use crate::os::files::Lock;

/// Removes the service; where there is none, there is nothing to do.
pub(super) async fn uninstall(
    force: bool,
    manager: &mut impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<Value, Failure> {
    let ground = manager.ground().await;
    let directory = match &ground {
        Ok(ground) => ground.directory.clone(),
        Err(_) => manager.usual_directory()?,
    };
    let looked: Vec<_> = manager
        .file_names()
        .iter()
        .map(|name| {
            let unit = UnitFile::of_any_text(directory.join(name));
            let found = unit.look();
            (unit, found)
        })
        .collect();
    let mut journey = Journey::default();
    let mut stays = Vec::new();
    let has_files = looked.iter().any(|(_, found)| *found != Found::Nothing);
    refuse_directories(&looked)?;
    if has_files && !force {
        refuse_foreign(&looked)?;
    }
    // Without a manager nothing runs, and without files nothing is to be removed.
    if has_files || ground.is_ok() {
        // What cannot be stopped is not taken away.
        let mut ground = ground?;
        for path in remove_odd(&looked)? {
            journey.took("removed", path.display(), Changed::Yes);
        }
        let state = manager.state().await?;
        if has_files || state.is_in_use {
            ground.variables.extend(manager.own_variables().await?);
            take_down(&looked, &ground, &state, manager, &mut journey)
                .await
                .map_err(|failure| journey.failed(failure))?;
            if let Ok(home) = surroundings.home() {
                remove_empty(&ground.directory, &manager.top(&home, &ground.directory));
            }
            stays = what_stays(&ground, &state, surroundings);
        }
    }
    Ok(json!({
        "ok": true,
        "platform": manager.name(),
        "changed": journey.changed_something(),
        "steps": journey.to_json(),
        "stays": stays,
    }))
}

async fn take_down(
    looked: &[(UnitFile, Found)],
    ground: &Ground,
    state: &State,
    manager: &mut impl Manager,
    journey: &mut Journey,
) -> Result<(), Failure> {
    manager.stop().await?;
    if let Some(pid) = state.pid {
        journey.took(
            "stopped",
            format!("team-agentd, process {pid}"),
            Changed::Yes,
        );
    }
    manager.disable().await?;
    // A package's unit that is enabled for everybody stays so; one of ours goes with its file.
    let has_files = looked.iter().any(|(_, found)| *found != Found::Nothing);
    if state.is_enabled && (has_files || !manager.state().await?.is_enabled) {
        journey.took(
            "disabled",
            "team-agentd: it does not start by itself any more",
            Changed::Yes,
        );
    }
    for (unit, _) in looked {
        if remove(&unit.path)? {
            journey.took("removed", unit.path.display(), Changed::Yes);
        }
    }
    manager.reload().await?;
    // A daemon that was started by hand may have taken the place of the service.
    if !Lock::is_held(&socket_lock(&ground.socket)) {
        for path in manager.leftovers(ground) {
            // What is not ours in there stays, and so does the directory then.
            if remove(&path).unwrap_or(false) {
                journey.took("removed", path.display(), Changed::Yes);
            }
        }
    }
    Ok(())
}

/// What is the user's own, or the daemon's memory.
fn what_stays(ground: &Ground, state: &State, surroundings: &Surroundings<'_>) -> Vec<String> {
    let env = |name: &str| ground.variable(name);
    let places = places::Surroundings {
        env: &env,
        uid: surroundings.uid,
    };
    let state_dir = places.state_dir(None);
    let config = config::locate(None, &env, surroundings.uid == 0);
    let drop_ins = state.drop_ins.iter().cloned();
    state_dir
        .into_iter()
        .chain(config)
        .chain(drop_ins)
        // A unit that a package brought.
        .chain(state.unit_file.clone())
        .filter(|path: &std::path::PathBuf| Path::exists(path))
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}
