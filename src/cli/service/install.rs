//! `service install`: the files, enabled, started, and an answer from the daemon before it is called done.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::super::engines::Engines;
use super::super::failure::Failure;
use super::super::request::Request;
use super::binaries::Binaries;
use super::files::{Found, UnitFile, refuse_directories, refuse_foreign, remove_empty, remove_odd};
use super::journey::{Changed, Journey};
use super::preconditions::{configuration, program_that_runs, refuse_other_state, refuse_rival};
use super::{Ground, Manager, State, Surroundings, Trouble};
use crate::os::programs::runs_file;

/// How long a daemon that was started may take until it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long one answer may take.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known before anything is touched.
struct Plan {
    binaries: Binaries,
    ground: Ground,
    looked: Vec<(UnitFile, Found)>,
    state: State,
}

/// Installs the service, or brings an installed one up to date; does nothing where nothing is to do.
pub(super) async fn install(
    force: bool,
    engines: &mut impl Engines,
    manager: &mut impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<Value, Trouble> {
    // Nothing is written before all of this is well.
    let binaries = surroundings.binaries()?;
    program_that_runs(&binaries.daemon, manager).await?;
    let mut ground = manager.ground().await?;
    configuration(&ground, surroundings)?;
    let units = manager.units(&binaries, &ground.directory)?;
    let looked: Vec<_> = units
        .into_iter()
        .map(|unit| {
            let found = unit.look();
            (unit, found)
        })
        .collect();
    refuse_directories(&looked)?;
    if !force {
        refuse_foreign(&looked)?;
    }
    remove_odd(&looked)?;
    // What is known of the user's changes to the unit, if it is there already.
    ground.variables.extend(manager.own_variables().await?);
    configuration(&ground, surroundings)?;
    let state = manager.state().await?;
    if state.pid.is_none() {
        refuse_rival(&ground, surroundings)?;
        if !force {
            refuse_other_state(&ground, surroundings)?;
        }
    }

    let mut hints = strayed_variables(&ground, surroundings);
    let plan = Plan {
        binaries,
        ground,
        looked,
        state,
    };
    let mut journey = Journey::default();
    put_files(&plan, manager, &mut journey)
        .await
        .map_err(|failure| journey.failed(failure))?;
    check_again(&plan, manager, surroundings).await?;
    let daemon = set_up(&plan, engines, manager, &mut journey)
        .await
        .map_err(|failure| journey.failed(failure))?;
    hints.extend(manager.hints().await);
    Ok(json!({
        "ok": true,
        "platform": manager.name(),
        "changed": journey.changed_something(),
        "steps": journey.to_json(),
        "config": daemon["config"],
        "daemon": daemon,
        "hints": hints,
    }))
}

/// Variables that name a place here and another one, or none, where the daemon will be.
fn strayed_variables(ground: &Ground, surroundings: &Surroundings<'_>) -> Vec<String> {
    [
        "TEAM_AGENTD_CONFIG",
        "TEAM_AGENTD_SOCKET",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
    ]
    .into_iter()
    .filter(|name| {
        let here = (surroundings.env)(name).filter(|value| !value.is_empty());
        let means_the_socket =
            *name == "TEAM_AGENTD_SOCKET" && here.as_deref() == Some(ground.socket.as_os_str());
        here.is_some() && !means_the_socket && here != ground.variable(name)
    })
    .map(|name| format!("{name} is set here, and not like that for the service"))
    .collect()
}

/// Writes the files, and has the manager read them.
async fn put_files(
    plan: &Plan,
    manager: &mut impl Manager,
    journey: &mut Journey,
) -> Result<(), Failure> {
    manager.prepare()?;
    for (unit, found) in &plan.looked {
        let did = match found {
            Found::Same => {
                journey.took("unchanged", unit.path.display(), Changed::No);
                continue;
            }
            Found::Nothing => "wrote",
            Found::Other(_) | Found::Foreign(_) => "replaced",
        };
        unit.write()?;
        journey.took(did, unit.path.display(), Changed::Yes);
    }
    if journey.changed_something() {
        manager.reload().await?;
    }
    Ok(())
}

/// systemd reads the user's changes to a unit only once that is there. If they name a configuration that is
/// wrong, everything is put back as it was.
async fn check_again(
    plan: &Plan,
    manager: &mut impl Manager,
    surroundings: &Surroundings<'_>,
) -> Result<(), Trouble> {
    let mut ground = plan.ground.clone();
    ground.variables.extend(manager.own_variables().await?);
    let Err(trouble) = configuration(&ground, surroundings) else {
        return Ok(());
    };
    for (unit, found) in &plan.looked {
        unit.put_back(found)?;
    }
    if let Ok(home) = surroundings.home() {
        remove_empty(&ground.directory, &manager.top(&home, &ground.directory));
    }
    manager.reload().await?;
    Err(trouble)
}

async fn set_up(
    plan: &Plan,
    engines: &mut impl Engines,
    manager: &mut impl Manager,
    journey: &mut Journey,
) -> Result<Value, Failure> {
    let files_changed = journey.changed_something();
    if !plan.state.is_enabled || files_changed {
        manager.enable().await?;
    }
    if !plan.state.is_enabled {
        journey.took(
            "enabled",
            "team-agentd: it starts by itself from now on",
            Changed::Yes,
        );
    }

    let program = &plan.binaries.daemon;
    match plan.state.pid {
        None => {
            manager.start().await?;
            let daemon = answer(plan, engines, manager).await?;
            journey.took("started", described(&daemon), Changed::Yes);
            Ok(daemon)
        }
        Some(pid)
            if !files_changed && plan.state.is_whole && runs_file(pid, program) != Some(false) =>
        {
            let daemon = answer(plan, engines, manager).await?;
            if daemon["version"] == env!("CARGO_PKG_VERSION") {
                journey.took("running", described(&daemon), Changed::No);
                return Ok(daemon);
            }
            restart(plan, engines, manager, journey).await
        }
        Some(_) => restart(plan, engines, manager, journey).await,
    }
}

async fn restart(
    plan: &Plan,
    engines: &mut impl Engines,
    manager: &mut impl Manager,
    journey: &mut Journey,
) -> Result<Value, Failure> {
    manager.stop().await?;
    // Said if the new one does not come up: nobody looks after orphans then.
    if let Some(pid) = plan.state.pid {
        let what = format!("team-agentd, process {pid}");
        journey.took("stopped", what, Changed::Yes);
    }
    manager.start().await?;
    let daemon = answer(plan, engines, manager).await?;
    journey.took("restarted", described(&daemon), Changed::Yes);
    Ok(daemon)
}

/// Waits until the daemon answers and has looked once: what it says of itself.
async fn answer(
    plan: &Plan,
    engines: &mut impl Engines,
    manager: &mut impl Manager,
) -> Result<Value, Failure> {
    let socket = &plan.ground.socket;
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        let asked = timeout(CALL_LIMIT, engines.daemon(Some(socket), &Request::status())).await;
        let problem = match asked {
            Ok(Ok(Ok(status))) if status["last_scan"].is_object() => {
                return the_services_own(&status["daemon"], manager).await;
            }
            Ok(Ok(Ok(_))) => "it has not looked yet".to_owned(),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it gave no answer within {} s", CALL_LIMIT.as_secs()),
        };
        if Instant::now() >= deadline {
            let what = format!("the service was started, and cannot be used: {problem}");
            return Err(Failure::service("not_ready", what)
                .with_remedy("see: team-agentctl service status"));
        }
        sleep(PAUSE).await;
    }
}

/// Makes sure that who answered is who was started.
async fn the_services_own(daemon: &Value, manager: &mut impl Manager) -> Result<Value, Failure> {
    let Some(pid) = manager.state().await?.pid else {
        let what = format!(
            "process {} answered, and the service manager knows no process of the service",
            daemon["pid"]
        );
        return Err(
            Failure::service("not_ready", what).with_remedy("see: team-agentctl service status")
        );
    };
    if daemon["pid"] != pid {
        let what = format!(
            "process {} answers in the place of the service, which is process {pid}",
            daemon["pid"],
        );
        return Err(Failure::service("already_running", what));
    }
    Ok(json!({
        "pid": daemon["pid"],
        "version": daemon["version"],
        "socket": daemon["socket"],
        "config": daemon["config"],
    }))
}

fn described(daemon: &Value) -> String {
    let text = |name: &str| match &daemon[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "team-agentd {}, process {}, which answers on {}",
        text("version"),
        text("pid"),
        text("socket")
    )
}
