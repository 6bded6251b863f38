//! The commands with systemd.

use std::fs;
use std::time::SystemTime;

use super::super::super::ExitStatus;
use super::super::super::args::{ForceArgs, PrintArgs, ServiceCommand};
use super::super::MARK;
use super::machine::{Kind, Machine};
use super::steps;
use crate::orphan::steering::{Steering, Suspension};
use crate::os::files::Lock;
use crate::wire;

const INSTALL: ServiceCommand = ServiceCommand::Install(ForceArgs { force: false });
const UNINSTALL: ServiceCommand = ServiceCommand::Uninstall(ForceArgs { force: false });
const SERVICE: &str = "home/.config/systemd/user/team-agentd.service";

fn machine() -> Machine {
    Machine::new(Kind::Systemd)
}

#[test]
fn a_first_install_writes_enables_starts_and_waits_for_an_answer() {
    let machine = machine();
    let result = machine.done(&INSTALL);
    assert_eq!(steps(&result), ["wrote", "wrote", "enabled", "started"]);
    assert_eq!(machine.told(), ["daemon-reload", "enable", "start"]);
    assert_eq!(result["changed"], true);
    assert_eq!(result["daemon"]["version"], env!("CARGO_PKG_VERSION"));
    let socket = machine.path("run/team-agentd/control.sock");
    assert_eq!(result["daemon"]["socket"], *socket.to_str().unwrap());
    let unit = fs::read_to_string(machine.path(SERVICE)).unwrap();
    let program = machine.path("bin/team-agentd");
    assert!(
        unit.contains(&format!("ExecStart={}\n", program.display())),
        "{unit}"
    );
    let hints = result["hints"].to_string();
    assert!(hints.contains("enable-linger"), "{hints}");
}

#[test]
fn a_second_install_does_nothing() {
    let machine = machine();
    machine.done(&INSTALL);
    machine.told();
    let result = machine.done(&INSTALL);
    assert_eq!(steps(&result), ["unchanged", "unchanged", "running"]);
    assert_eq!(result["changed"], false);
    assert!(machine.told().is_empty());
}

#[test]
fn what_is_out_of_date_is_brought_up_to_date() {
    let machine = machine();
    machine.done(&INSTALL);
    fs::write(machine.path(SERVICE), format!("# {MARK}\n[Service]\n")).unwrap();
    machine.told();
    let result = machine.done(&INSTALL);
    assert_eq!(
        steps(&result),
        ["replaced", "unchanged", "stopped", "restarted"]
    );
    assert_eq!(machine.told(), ["daemon-reload", "enable", "stop", "start"]);

    // Another program, by its version or by its file.
    machine.memory.borrow_mut().version = Some("0.0.1");
    assert_eq!(
        steps(&machine.done(&INSTALL)),
        ["unchanged", "unchanged", "stopped", "restarted"]
    );
    if cfg!(target_os = "linux") {
        machine.memory.borrow_mut().pid = Some(std::process::id());
        machine.told();
        assert_eq!(
            steps(&machine.done(&INSTALL)),
            ["unchanged", "unchanged", "stopped", "restarted"]
        );
        assert_eq!(machine.told(), ["stop", "start"]);
    }

    // One that was only stopped.
    machine.memory.borrow_mut().pid = None;
    assert_eq!(
        steps(&machine.done(&INSTALL)),
        ["unchanged", "unchanged", "started"]
    );
}

#[test]
fn a_broken_configuration_is_refused_before_anything_is_written() {
    let machine = machine();
    let config = machine.path("home/.config/team-agentd/team-agentd.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "[scan]\nintervall = \"5s\"\n").unwrap();
    let before = machine.home();
    let failure = machine.refused(&INSTALL);
    assert_eq!((failure.status.code(), &*failure.kind), (2, "config"));
    assert!(failure.message.contains("intervall"), "{failure:?}");
    assert_eq!(machine.home(), before);
    assert!(machine.told().is_empty());

    // It is the daemon's environment that says which file that is.
    fs::remove_file(&config).unwrap();
    let other = machine.path("other.toml");
    fs::write(&other, "bad").unwrap();
    let named = ("TEAM_AGENTD_CONFIG".to_owned(), other.display().to_string());
    machine.memory.borrow_mut().variables.push(named);
    assert_eq!(machine.refused(&INSTALL).status, ExitStatus::Usage);
}

#[test]
fn a_variable_that_only_the_shell_has_is_mentioned() {
    let mut machine = machine();
    machine.shell = vec![("TEAM_AGENTD_CONFIG", "/elsewhere.toml".to_owned())];
    let result = machine.done(&INSTALL);
    assert_eq!(result["config"], serde_json::Value::Null);
    let hints = result["hints"].to_string();
    assert!(hints.contains("TEAM_AGENTD_CONFIG is set here"), "{hints}");
}

#[test]
fn without_a_service_manager_nothing_is_written() {
    let machine = machine();
    machine.memory.borrow_mut().is_unreachable = true;
    for command in [INSTALL, ServiceCommand::Status] {
        let failure = machine.refused(&command);
        assert_eq!(
            (failure.status.code(), &*failure.kind),
            (1, "no_user_manager")
        );
        assert!(
            failure.message.contains("No medium found"),
            "its own words: {failure:?}"
        );
        assert!(failure.remedy.unwrap().contains("enable-linger"));
    }
    // Where nothing is installed, nothing has to be asked.
    assert_eq!(machine.done(&UNINSTALL)["changed"], false);
    assert!(machine.home().is_empty(), "{:?}", machine.home());
}

#[test]
fn what_somebody_else_wrote_is_left_alone_unless_forced() {
    let machine = machine();
    fs::create_dir_all(machine.path(SERVICE).parent().unwrap()).unwrap();
    fs::write(machine.path(SERVICE), "[Service]\nExecStart=/mine\n").unwrap();
    for command in [INSTALL, UNINSTALL] {
        let failure = machine.refused(&command);
        assert_eq!(failure.kind, "foreign_file");
        assert!(
            failure
                .message
                .contains("team-agentd.service: not written by"),
            "{failure:?}"
        );
    }
    assert!(machine.told().is_empty());
    assert!(
        fs::read_to_string(machine.path(SERVICE))
            .unwrap()
            .contains("/mine")
    );
    let forced = ServiceCommand::Install(ForceArgs { force: true });
    assert_eq!(
        steps(&machine.done(&forced)),
        ["replaced", "wrote", "enabled", "started"]
    );
}

#[test]
fn beside_another_daemon_nothing_is_installed() {
    for lock in [
        "home/.local/state/team-agentd/lock",
        "run/team-agentd/control.sock.lock",
    ] {
        let machine = machine();
        fs::create_dir_all(machine.path(lock).parent().unwrap()).unwrap();
        let held = Lock::take(&machine.path(lock)).unwrap();
        let failure = machine.refused(&INSTALL);
        assert_eq!(failure.kind, "already_running");
        // Its holder is this test, and no team-agentd: nobody is told to end it.
        let remedy = failure.remedy.unwrap();
        assert!(
            remedy.contains("fuser") && !remedy.contains("kill"),
            "{remedy}"
        );
        let path = machine.path(lock).display().to_string();
        assert!(failure.message.contains(&path), "{path}");
        assert!(!machine.path(SERVICE).exists());
        drop(held);
        machine.done(&INSTALL);
    }
}

#[test]
fn what_is_kept_elsewhere_is_not_silently_forgotten() {
    let mut machine = machine();
    let elsewhere = machine.path("elsewhere");
    machine.shell = vec![("XDG_STATE_HOME", elsewhere.display().to_string())];
    let state = elsewhere.join("team-agentd");
    fs::create_dir_all(&state).unwrap();
    let kept = Steering {
        suspension: Some(Suspension {
            since: SystemTime::UNIX_EPOCH,
            why: "too many".to_owned(),
        }),
        ..Steering::default()
    };
    let text = wire::steering::to_json(&kept, "").to_string();
    fs::write(state.join("steering.json"), text).unwrap();
    let failure = machine.refused(&INSTALL);
    assert_eq!(failure.kind, "other_state");
    let there = machine.path("home/.local/state/team-agentd");
    for directory in [&state, &there] {
        let directory = directory.display().to_string();
        assert!(failure.message.contains(&directory), "{failure:?}");
    }
    assert!(failure.remedy.unwrap().contains("--force"));
    assert!(machine.home().is_empty() && machine.told().is_empty());
    machine.done(&ServiceCommand::Install(ForceArgs { force: true }));
    // What runs already has its own memory.
    machine.done(&INSTALL);

    // One who said nothing has nothing to lose.
    machine.done(&UNINSTALL);
    let text = wire::steering::to_json(&Steering::default(), "").to_string();
    fs::write(state.join("steering.json"), text).unwrap();
    machine.done(&INSTALL);
}

#[test]
fn a_daemon_that_is_well_is_not_ended_for_a_program_that_does_not_run() {
    let machine = machine();
    machine.done(&INSTALL);
    fs::write(machine.path(SERVICE), format!("# {MARK}\n[Service]\n")).unwrap();
    machine.told();
    machine.memory.borrow_mut().broken_program = true;
    let failure = machine.refused(&INSTALL);
    assert_eq!(failure.kind, "no_daemon_program");
    assert!(failure.message.contains("bin/team-agentd"), "{failure:?}");
    assert!(machine.told().is_empty());
    assert!(machine.memory.borrow().pid.is_some());

    machine.memory.borrow_mut().broken_program = false;
    machine.memory.borrow_mut().broken_start = Some("no");
    let failure = machine.refused(&INSTALL);
    assert!(
        failure
            .message
            .contains("before that: stopped team-agentd, process"),
        "{failure:?}"
    );
}

#[test]
fn a_service_without_a_process_is_not_called_ready() {
    let machine = machine();
    machine.memory.borrow_mut().hides_pid = true;
    assert_eq!(machine.refused(&INSTALL).kind, "not_ready");
}

#[test]
fn a_change_of_the_users_that_names_a_bad_configuration_is_refused_and_all_is_as_before() {
    let machine = machine();
    machine.memory.borrow_mut().drop_in =
        "TEAM_AGENTD_CONFIG=%h/my.toml \"XDG_STATE_HOME=%h/my state\"";
    let config = machine.path("home/my.toml");
    fs::write(&config, "bad").unwrap();
    let before = machine.home();
    let failure = machine.refused(&INSTALL);
    assert_eq!(
        (failure.status, &*failure.kind),
        (ExitStatus::Usage, "config")
    );
    assert!(failure.message.contains("my.toml"), "{failure:?}");
    assert_eq!(machine.home(), before);
    assert_eq!(machine.told(), ["daemon-reload", "daemon-reload"]);

    // One that is there already is refused before anything is told to anybody, and stays as it is.
    fs::write(&config, "").unwrap();
    machine.done(&INSTALL);
    fs::write(machine.path(SERVICE), format!("# {MARK}\n[Service]\n")).unwrap();
    fs::write(&config, "bad").unwrap();
    machine.told();
    assert_eq!(machine.refused(&INSTALL).kind, "config");
    assert!(machine.told().is_empty());
    let unit = fs::read_to_string(machine.path(SERVICE)).unwrap();
    assert_eq!(unit, format!("# {MARK}\n[Service]\n"));

    // What stays is where the user's change says.
    let state = machine.path("home/my state/team-agentd");
    fs::create_dir_all(&state).unwrap();
    let stays = machine.done(&UNINSTALL)["stays"].clone();
    for path in [state, config] {
        assert!(
            stays
                .as_array()
                .unwrap()
                .contains(&path.display().to_string().into()),
            "{stays}"
        );
    }
}

#[test]
fn a_configuration_is_named_by_its_whole_path() {
    let machine = machine();
    let named = ("TEAM_AGENTD_CONFIG".to_owned(), "my.toml".to_owned());
    machine.memory.borrow_mut().variables.push(named);
    let failure = machine.refused(&INSTALL);
    assert_eq!(failure.kind, "relative_config");
    assert!(failure.message.contains("my.toml"), "{failure:?}");
    assert!(machine.home().is_empty());
}

#[test]
fn a_unit_that_a_package_brought_is_stopped_and_stays() {
    let machine = machine();
    machine.memory.borrow_mut().packaged = Some("/");
    machine.memory.borrow_mut().pid = Some(u32::MAX / 2);
    machine.memory.borrow_mut().is_enabled = true;
    let Ok((status, _)) = machine.run(&ServiceCommand::Status) else {
        panic!("no status")
    };
    let hints = status["hints"].to_string();
    assert!(
        !hints.contains("to install it") && hints.contains("its unit is /"),
        "{hints}"
    );
    let result = machine.done(&UNINSTALL);
    assert_eq!(steps(&result), ["stopped", "disabled"]);
    assert_eq!(result["stays"], serde_json::json!(["/"]));
    assert_eq!(machine.told(), ["stop", "disable", "daemon-reload"]);
    assert_eq!(machine.done(&UNINSTALL)["changed"], false);
}

#[test]
fn what_failed_is_started_again_by_an_install() {
    let machine = machine();
    machine.done(&INSTALL);
    machine.memory.borrow_mut().pid = None;
    machine.memory.borrow_mut().has_failed = true;
    let Ok((status, _)) = machine.run(&ServiceCommand::Status) else {
        panic!("no status")
    };
    let hints = status["hints"].to_string();
    assert!(
        hints.contains("it failed; mend what is wrong, then: team-agentctl service install"),
        "{hints}"
    );
    machine.memory.borrow_mut().has_failed = false;
    assert_eq!(
        steps(&machine.done(&INSTALL)),
        ["unchanged", "unchanged", "started"]
    );
}

#[test]
fn what_is_no_file_is_never_shown_to_the_manager() {
    let machine = machine();
    fs::create_dir_all(machine.path(SERVICE)).unwrap();
    let forced = || ServiceCommand::Install(ForceArgs { force: true });
    for command in [
        forced(),
        ServiceCommand::Uninstall(ForceArgs { force: true }),
    ] {
        let failure = machine.refused(&command);
        assert_eq!(failure.kind, "foreign_file");
        assert!(failure.message.contains("a directory"), "{failure:?}");
    }
    fs::remove_dir(machine.path(SERVICE)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(machine.path(SERVICE)).unwrap();
    for command in [INSTALL, UNINSTALL, ServiceCommand::Status] {
        assert_eq!(machine.refused(&command).kind, "foreign_file");
    }
    machine.done(&forced());
}

#[test]
fn a_start_that_fails_says_why_and_what_was_done() {
    let machine = machine();
    machine.memory.borrow_mut().status_text = "scan.interval: bad";
    machine.memory.borrow_mut().broken_start = Some("Job for team-agentd.service failed");
    let failure = machine.refused(&INSTALL);
    assert_eq!(failure.kind, "start_failed");
    for said in [
        "Job for team-agentd.service failed",
        "| the journal's words",
        "it said: scan.interval: bad",
        "before that: wrote",
    ] {
        assert!(failure.message.contains(said), "{said}: {failure:?}");
    }
    assert!(failure.remedy.unwrap().contains("service uninstall"));
}

#[test]
fn an_uninstall_leaves_nothing_but_what_is_not_its_own() {
    let machine = machine();
    machine.done(&INSTALL);
    let state = machine.path("home/.local/state/team-agentd");
    fs::create_dir_all(&state).unwrap();
    fs::create_dir_all(machine.path("run/team-agentd")).unwrap();
    fs::write(machine.path("run/team-agentd/control.sock"), "").unwrap();
    machine.told();
    let result = machine.done(&UNINSTALL);
    assert_eq!(machine.told(), ["stop", "disable", "daemon-reload"]);
    assert_eq!(
        steps(&result)[..4],
        ["stopped", "disabled", "removed", "removed"]
    );
    assert_eq!(result["stays"][0], *state.to_str().unwrap());
    assert_eq!(
        machine.home(),
        [".local", ".local/state", ".local/state/team-agentd"]
    );
    assert!(!machine.path("run/team-agentd").exists());
    let again = machine.done(&UNINSTALL);
    assert_eq!((&again["changed"], steps(&again)), (&false.into(), vec![]));
    assert!(machine.told().is_empty());
}

#[test]
fn a_status_says_whether_it_runs_without_waking_it() {
    let machine = machine();
    let Ok((status, exit)) = machine.run(&ServiceCommand::Status) else {
        panic!("no status")
    };
    assert_eq!(
        (exit, &status["installed"]),
        (ExitStatus::NoDaemon, &false.into())
    );
    assert!(status["hints"].to_string().contains("service install"));

    machine.done(&INSTALL);
    let status = machine.done(&ServiceCommand::Status);
    assert_eq!(
        (&status["ok"], &status["installed"]),
        (&true.into(), &true.into())
    );
    assert_eq!(status["files"][0]["state"], "current");
    assert_eq!(
        status["program"],
        *machine.path("bin/team-agentd").to_str().unwrap()
    );
    assert_eq!(status["program_version"], env!("CARGO_PKG_VERSION"));
    assert!(
        !status["hints"].to_string().contains("service install"),
        "{status:#}"
    );

    machine.memory.borrow_mut().version = Some("0.0.1");
    fs::write(
        machine.path(SERVICE),
        format!("# {MARK}\nExecStart=/old/team-agentd\n"),
    )
    .unwrap();
    let status = machine.done(&ServiceCommand::Status);
    assert_eq!(status["files"][0]["state"], "outdated");
    let hints = status["hints"].to_string();
    for said in ["not those of this client", "the program was replaced"] {
        assert!(hints.contains(said), "{said}: {hints}");
    }

    machine.memory.borrow_mut().pid = None;
    let Ok((status, exit)) = machine.run(&ServiceCommand::Status) else {
        panic!("no status")
    };
    assert_eq!((exit, &status["ok"]), (ExitStatus::NoDaemon, &false.into()));
}

#[test]
fn the_files_are_printed_without_asking_anybody() {
    let machine = machine();
    machine.memory.borrow_mut().is_unreachable = true;
    let of_user = machine.done(&ServiceCommand::Print(PrintArgs { system: false }));
    assert_eq!(
        of_user["files"][0]["path"],
        *machine.path(SERVICE).to_str().unwrap()
    );
    let of_system = machine.done(&ServiceCommand::Print(PrintArgs { system: true }));
    assert_eq!(
        of_system["files"][1]["path"],
        "/etc/systemd/system/team-agentd.socket"
    );
    assert!(machine.home().is_empty());

    machine.memory.borrow_mut().is_unreachable = false;
    machine.done(&INSTALL);
    let written = fs::read_to_string(machine.path(SERVICE)).unwrap();
    assert_eq!(of_user["files"][0]["text"], *written);
}
