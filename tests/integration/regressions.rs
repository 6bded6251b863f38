//! What the tool before this one did wrong, each on real processes and the whole way through the
//! daemon and the client: the wrong processes it killed, and what it said that was not so.

mod reports;
mod workspaces;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Recipe, Settings, World, entry_of, has_exited, in_private_pid_namespace, is_alive, lookalike,
    pids, pids_can_be_chosen, signal, skip, sorted_pids, wait_until, with_pid,
};

fn sorted(pids: &[u32]) -> Vec<u32> {
    let mut sorted = pids.to_vec();
    sorted.sort_unstable();
    sorted
}

#[test]
fn the_original_killed_the_launcher_and_the_siblings_in_a_group_that_the_orphan_does_not_lead() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let gone = world.path("gone");
        let orphans = format!(
            "python3\n-m\nteam_agent.coordinator\n--workspace\n{}",
            gone.display()
        );
        // In one group: the launcher that leads it, two orphans, and under each of them a worker.
        let launcher = Recipe::new(&world, ["make", "check"])
            .with("SETSID", 1)
            .with("CHILDREN", 2)
            .with("GRANDCHILDREN", 1)
            .with("CHILD_ARGV", orphans)
            .start();
        let fix = daemon.fix();
        let killed = sorted_pids(&fix["killed"]);
        assert_eq!(killed.len(), 2, "{fix:#}");
        assert!(
            killed
                .iter()
                .all(|pid| launcher.children.contains(pid) && has_exited(*pid))
        );
        let workers = launcher.children.iter().filter(|pid| !killed.contains(pid));
        assert_eq!(workers.filter(|pid| is_alive(**pid)).count(), 2);
        assert!(launcher.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn the_original_left_the_children_of_a_group_leader_alive_and_they_die_now() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world
            .orphan("gone")
            .with("CHILDREN", 2)
            .with("GRANDCHILDREN", 1)
            .start();
        assert_eq!(orphan.children.len(), 4);
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["signaled"], "pgid", "{killed:#}");
        assert_eq!(killed["pgid"], orphan.pid, "{killed:#}");
        assert_eq!(killed["sigkill_required"], false, "{killed:#}");
        let members: Vec<_> = pids(&killed["members"])
            .into_iter()
            .filter(|pid| *pid != orphan.pid)
            .collect();
        assert_eq!(sorted(&members), sorted(&orphan.children), "{killed:#}");
        for member in killed["members"].as_array().unwrap() {
            assert!(member["outcome"].is_string(), "{killed:#}");
            assert_eq!(member["signal"], "SIGTERM", "{killed:#}");
        }
        assert!(orphan.has_exited_with_children());
        survivors.assert_alive();
    });
}

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
fn the_original_killed_whatever_mentions_a_coordinator_in_its_command_line() {
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

/// An orphan that is gone after its SIGTERM, and a program that has its pid from then on. The wave
/// goes on, because a stubborn descendant of the orphan is left.
#[test]
fn the_original_killed_whoever_had_the_pid_of_an_orphan_that_ended_during_the_wait() {
    in_private_pid_namespace(|| {
        if !pids_can_be_chosen() {
            return skip("a kernel that lets pids be chosen");
        }
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            scope: "tree",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let mut orphan = world
            .orphan("gone")
            .stubborn()
            .with("CHILDREN", 1)
            .with("CHILD_SETSID", 1)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let mut connection = daemon.connect();
        connection.request("fix", &json!({"confirm": true}));
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        world
            .event_log()
            .wait_for_signal(orphan.children[0], "SIGTERM");
        orphan.kill_and_reap();
        let innocent = || lookalike(&world, &["sleep", "infinity"]);
        let innocent = with_pid(orphan.pid, innocent, |process| process.pid);
        let fix = connection.read().expect("a reply")["result"].take();

        assert!(has_exited(orphan.children[0]), "the wave went on: {fix:#}");
        assert!(innocent.is_alive(), "it has the pid of an orphan: {fix:#}");
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(pids(&killed["members"]), orphan.children, "{killed:#}");
        let log = world.event_log();
        assert!(log.signals(orphan.pid, "SIGKILL").is_empty());
        signal(innocent.pid, Signal::TERM);
        wait_until("it does not ignore signals", || innocent.has_exited());
        survivors.assert_alive();
    });
}
