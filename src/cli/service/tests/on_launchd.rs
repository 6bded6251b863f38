//! The commands with launchd.

use std::fs;

use super::super::super::ExitStatus;
use super::super::super::args::{ForceArgs, ServiceCommand};
use super::super::MARK;
use super::machine::{Kind, Machine};
use super::steps;

const INSTALL: ServiceCommand = ServiceCommand::Install(ForceArgs { force: false });
const UNINSTALL: ServiceCommand = ServiceCommand::Uninstall(ForceArgs { force: false });
const AGENT: &str = "home/Library/LaunchAgents/team-agentd.plist";

fn machine() -> Machine {
    Machine::new(Kind::Launchd)
}

#[test]
fn a_first_install_writes_loads_and_waits_for_an_answer() {
    let machine = machine();
    let result = machine.done(&INSTALL);
    assert_eq!(steps(&result), ["wrote", "enabled", "started"]);
    assert_eq!(machine.told(), ["enable", "bootstrap", "kickstart"]);
    let socket = machine.path("home/Library/Caches/team-agentd/control.sock");
    assert_eq!(result["daemon"]["socket"], *socket.to_str().unwrap());
    assert!(machine.path("home/Library/Logs/team-agentd").is_dir());
    let agent = plist::Value::from_file(machine.path(AGENT)).unwrap();
    let agent = agent.as_dictionary().unwrap();
    let program = agent["ProgramArguments"].as_array().unwrap()[0].as_string();
    assert_eq!(program, machine.path("bin/team-agentd").to_str());

    let again = machine.done(&INSTALL);
    assert_eq!(steps(&again), ["unchanged", "running"]);
    assert!(machine.told().is_empty());
}

#[test]
fn a_changed_agent_is_taken_out_and_in_again() {
    let machine = machine();
    machine.done(&INSTALL);
    fs::write(machine.path(AGENT), format!("<!-- {MARK} -->")).unwrap();
    machine.told();
    // launchd says no for a moment after an agent was taken out.
    machine.memory.borrow_mut().refusals = 2;
    assert_eq!(
        steps(&machine.done(&INSTALL)),
        ["replaced", "stopped", "restarted"]
    );
    assert_eq!(
        machine.told(),
        ["enable", "bootout", "bootstrap", "kickstart"]
    );
}

#[test]
fn without_a_graphical_session_nothing_is_written() {
    let machine = machine();
    machine.memory.borrow_mut().is_unreachable = true;
    let failure = machine.refused(&INSTALL);
    assert_eq!(failure.kind, "no_user_manager");
    assert!(
        failure.message.contains("Could not find domain"),
        "{failure:?}"
    );
    assert!(machine.home().is_empty());
}

#[test]
fn an_uninstall_leaves_the_directories_of_the_system() {
    let machine = machine();
    machine.done(&INSTALL);
    fs::write(
        machine.path("home/Library/Logs/team-agentd/team-agentd.log"),
        "x",
    )
    .unwrap();
    machine.told();
    let result = machine.done(&UNINSTALL);
    assert_eq!(machine.told(), ["bootout"]);
    assert_eq!(steps(&result)[..3], ["stopped", "disabled", "removed"]);
    assert_eq!(
        machine.home(),
        ["Library", "Library/LaunchAgents", "Library/Logs"]
    );
    assert_eq!(machine.done(&UNINSTALL)["changed"], false);
}

#[test]
fn a_status_says_what_launchd_says() {
    let machine = machine();
    machine.done(&INSTALL);
    let status = machine.done(&ServiceCommand::Status);
    assert_eq!(
        (&status["platform"], &status["active"]),
        (&"launchd".into(), &"running".into())
    );
    assert_eq!(
        (&status["enabled"], &status["installed"]),
        (&true.into(), &true.into())
    );
    machine.done(&UNINSTALL);
    let Ok((status, exit)) = machine.run(&ServiceCommand::Status) else {
        panic!("no status")
    };
    assert_eq!(
        (exit, &status["active"]),
        (ExitStatus::NoDaemon, &"inactive".into())
    );
}
