//! What mentions a coordinator without being one. All of them name a workspace that does not exist:
//! whoever takes one for a coordinator takes it for an orphan.

use serde_json::json;

use crate::support::{Settings, World, in_private_pid_namespace, lookalike, sorted_pids};

#[rustfmt::skip] // One command line a line, as `ps` would show them.
const LOOK_ALIKES: &[&[&str]] = &[
    &["vim", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["vim", "GONE/team_agent/coordinator/__main__.py"],
    &["grep", "-r", "team_agent.coordinator --workspace GONE", "."],
    &["tail", "-F", "GONE/.team/runtime/coordinator.log", "team_agent.coordinator",
      "--workspace", "GONE"],
    &["bash", "-c", "python3 -m team_agent.coordinator --workspace GONE"],
    &["bash", "-c", "exec \"$@\"", "python3", "-m", "team_agent.coordinator", "--workspace",
      "GONE"],
    &["ssh", "host", "python3", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["tmux", "new-session", "-d", "python3 -m team_agent.coordinator --workspace GONE"],
    &["tmux", "new-session", "python3", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["claude", "-p", "why does python3 -m team_agent.coordinator --workspace GONE hang?"],
    &["claude", "-p", "restart", "team-agent", "coordinator", "--workspace", "GONE"],
    &["sudo", "team-agent", "coordinator", "--workspace", "GONE"],
    &["python3", "-c", "import team_agent.coordinator", "--workspace", "GONE"],
    &["python3", "-c", "pass", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3", "script.py", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3", "-", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3", "-X", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3", "-m", "team_agent.coordinatorx", "--workspace", "GONE"],
    &["python3", "-m", "xteam_agent.coordinator", "--workspace", "GONE"],
    &["python3", "-m", "team_agent.worker", "--workspace", "GONE"],
    &["python3", "-m", "pytest", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3-config", "-m", "team_agent.coordinator", "--workspace", "GONE"],
    &["python3 -m team_agent.coordinator --workspace GONE"],
    &["team-agent coordinator --workspace GONE"],
    &["team-agent", "--workspace", "GONE", "coordinator"],
    &["team-agent", "status", "coordinator", "--workspace", "GONE"],
    &["team-agentctl", "coordinator", "--workspace", "GONE"],
    &["team-agent-coordinator.log", "--workspace", "GONE"],
    &["less", "team-agent-coordinator", "--workspace", "GONE"],
    &["", "-m", "team_agent.coordinator", "--workspace", "GONE"],
];

#[test]
fn a_look_alike_is_listed_nowhere_and_survives_every_fix() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // Without roots even a coordinator without a workspace would be listed.
        let daemon = world.daemon_with(&Settings {
            workspace_roots: Some(Vec::new()),
            ..Settings::default()
        });
        let survivors = world.survivors();
        let gone = world.path("gone");
        let look_alikes: Vec<_> = LOOK_ALIKES
            .iter()
            .map(|argv| {
                let argv: Vec<_> = argv
                    .iter()
                    .map(|word| word.replace("GONE", gone.to_str().unwrap()))
                    .collect();
                let argv: Vec<_> = argv.iter().map(String::as_str).collect();
                lookalike(&world, &argv)
            })
            .collect();
        let orphan = world.orphan("gone").start();

        let scan = daemon.scan();
        let mut expected = [survivors.coordinator(), orphan.pid];
        expected.sort_unstable();
        assert_eq!(sorted_pids(&scan["coordinators"]), expected, "{scan:#}");

        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(sorted_pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert_eq!(fix["spared"], json!([]), "{fix:#}");
        assert!(orphan.has_exited());
        for (process, argv) in look_alikes.iter().zip(LOOK_ALIKES) {
            assert!(process.is_alive(), "killed: {argv:?}");
        }
        drop(daemon);

        // The client judges by itself in the same way.
        let again = world.orphan("gone").start();
        let fix = world
            .ctl(["--json", "--embedded", "fix", "--confirm"])
            .json_with(0);
        assert_eq!(sorted_pids(&fix["killed"]), [again.pid], "{fix:#}");
        for (process, argv) in look_alikes.iter().zip(LOOK_ALIKES) {
            assert!(process.is_alive(), "killed: {argv:?}");
        }
        survivors.assert_alive();
    });
}

#[test]
fn a_process_named_by_its_pid_is_not_killed_for_that() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let gone = world.path("gone");
        let vim = lookalike(
            &world,
            &[
                "vim",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                gone.to_str().unwrap(),
            ],
        );
        let answer = world.ctl(["fix", "--confirm", "--pid", &vim.pid.to_string()]);
        // Spared, or an error: either says that the request was not met.
        assert!(matches!(answer.code, Some(1 | 5)), "{answer:#?}");
        assert!(vim.is_alive());
        world.event_log().assert_never_signalled(vim.pid);
        survivors.assert_alive();
    });
}
