//! `service status`: what the service manager says, what the daemon says, and where they differ from what is installed.

use crate::text::in_line;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::ExitStatus;
use super::super::engines::Engines;
use super::super::request::Request;
use super::files::{Found, UnitFile, refuse_odd};
use super::{Ground, Manager, State, Surroundings, Trouble};
use crate::os::programs::runs_file;

/// How long the daemon may take for its answer.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Says how the service is. Its exit status says whether it runs.
pub(super) async fn status(
    engines: &mut impl Engines,
    manager: &mut impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<(Value, ExitStatus), Trouble> {
    let ground = manager.ground().await?;
    let looked = look(manager, &ground, surroundings);
    refuse_odd(&looked)?;
    let state = manager.state().await?;
    let program = looked.iter().find_map(|(unit, found)| {
        let text = match found {
            Found::Same => &unit.text,
            Found::Other(text) => text,
            Found::Nothing | Found::Foreign(_) => return None,
        };
        manager.program_of(text).map(PathBuf::from)
    });
    let program_version = match &program {
        Some(program) => manager.version_of(program).await,
        None => None,
    };
    // Whoever connects to a socket that systemd listens on starts the daemon: a question is no reason to.
    let daemon = match state.pid {
        Some(_) => ask(engines, &ground).await,
        None => Err(None),
    };
    let mut hints = advice(
        &looked,
        &state,
        program.as_deref(),
        program_version.as_deref(),
        &daemon,
    );
    if state.pid.is_some() {
        hints.extend(manager.hints().await);
    }

    let is_running = daemon.is_ok();
    let files: Vec<Value> = looked
        .iter()
        .map(|(unit, found)| json!({"path": unit.path.to_string_lossy(), "state": found.word()}))
        .collect();
    let drop_ins: Vec<_> = state
        .drop_ins
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let result = json!({
        "ok": is_running,
        "platform": manager.name(),
        "installed": looked.iter().all(|(_, found)| *found != Found::Nothing),
        "enabled": state.is_enabled,
        "active": state.active,
        "since": state.since,
        "says": state.says,
        "pid": state.pid,
        "restarts": state.restarts,
        "files": files,
        "drop_ins": drop_ins,
        "program": program.map(|program| program.to_string_lossy().into_owned()),
        "program_version": program_version,
        "client_version": env!("CARGO_PKG_VERSION"),
        "daemon": daemon.unwrap_or(Value::Null),
        "hints": hints,
    });
    let exit = if is_running {
        ExitStatus::Done
    } else {
        ExitStatus::NoDaemon
    };
    Ok((result, exit))
}

fn look(
    manager: &impl Manager,
    ground: &Ground,
    surroundings: &Surroundings<'_>,
) -> Vec<(UnitFile, Found)> {
    let units = surroundings
        .binaries()
        .and_then(|binaries| manager.units(&binaries, &ground.directory));
    // Without programs of its own, this client cannot say what the files ought to be.
    let units = units.unwrap_or_else(|_| {
        let paths = manager
            .file_names()
            .iter()
            .map(|name| ground.directory.join(name));
        paths.map(UnitFile::of_any_text).collect()
    });
    units
        .into_iter()
        .map(|unit| {
            let found = unit.look();
            (unit, found)
        })
        .collect()
}

/// What the daemon says of itself and its last scan; or why it says nothing, if it was asked.
async fn ask(engines: &mut impl Engines, ground: &Ground) -> Result<Value, Option<String>> {
    let request = Request::status();
    let answer = timeout(CALL_LIMIT, engines.daemon(Some(&ground.socket), &request)).await;
    let status = answer
        .map_err(|_| Some("it gives no answer".to_owned()))?
        .map_err(|error| Some(error.to_string()))?
        .map_err(|error| Some(error.to_string()))?;
    let mut daemon = status["daemon"].clone();
    if let Some(object) = daemon.as_object_mut() {
        object.insert("last_scan".to_owned(), status["last_scan"].clone());
    }
    Ok(daemon)
}

/// What somebody may want to do.
fn advice(
    looked: &[(UnitFile, Found)],
    state: &State,
    program: Option<&Path>,
    program_version: Option<&str>,
    daemon: &Result<Value, Option<String>>,
) -> Vec<String> {
    const AGAIN: &str = "team-agentctl service install";
    let mut hints = Vec::new();
    let has = |wanted: fn(&Found) -> bool| looked.iter().any(|(_, found)| wanted(found));
    let is_anothers = state.is_in_use && looked.iter().all(|(_, found)| *found == Found::Nothing);
    if state.active == "failed" {
        hints.push(format!("it failed; mend what is wrong, then: {AGAIN}"));
    }
    if is_anothers {
        let file = state.unit_file.as_deref().unwrap_or(Path::new("elsewhere"));
        hints.push(format!(
            "it is not of this client's installing: its unit is {}",
            in_line(file)
        ));
    } else if has(|found| matches!(found, Found::Nothing)) {
        hints.push(format!("to install it: {AGAIN}"));
    } else if has(|found| matches!(found, Found::Other(_))) {
        hints.push(format!(
            "its files are not those of this client; to renew them: {AGAIN}"
        ));
    }
    if let (Some(program), None) = (program, program_version) {
        hints.push(format!(
            "{} cannot be run; to renew it: {AGAIN}",
            in_line(program)
        ));
    }
    match daemon {
        Ok(daemon) => {
            let replaced = state
                .pid
                .zip(program)
                .and_then(|(pid, program)| runs_file(pid, program));
            let version = daemon["version"].as_str();
            if replaced == Some(false) || (program_version.is_some() && version != program_version)
            {
                hints.push(format!(
                    "the program was replaced since the daemon started; to run the new one: {AGAIN}"
                ));
            } else if version != Some(env!("CARGO_PKG_VERSION")) {
                hints.push(format!(
                    "this client is {}, the daemon is {}",
                    env!("CARGO_PKG_VERSION"),
                    version.unwrap_or("?")
                ));
            }
        }
        Err(Some(problem)) => hints.push(format!("the daemon cannot be asked: {problem}")),
        Err(None) => {}
    }
    hints
}
