//! Every form of a coordinator's argv, through processes that really have it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{Recipe, Settings, World, entry_of, in_private_pid_namespace, sorted_pids};

/// Starts every argv with `WS` standing for an existing workspace, and expects each to be listed as
/// `form`, alive, with exactly that workspace.
fn assert_listed_as(form: &str, argvs: &[&[&str]]) {
    let world = World::new();
    let daemon = world.daemon();
    let workspace = world.directory("workspace");
    let workspace = workspace.to_str().unwrap();
    let started: Vec<_> = argvs
        .iter()
        .map(|argv| {
            let argv: Vec<_> = argv
                .iter()
                .map(|word| word.replace("WS", workspace))
                .collect();
            (Recipe::new(&world, &argv).start(), argv)
        })
        .collect();
    let scan = daemon.scan();
    assert_eq!(scan["scanned"], started.len(), "{scan:#}");
    for (process, argv) in &started {
        let entry = entry_of(&scan["coordinators"], process.pid);
        assert_eq!(entry["form"], form, "{argv:?}");
        assert_eq!(entry["workspace"], workspace, "{argv:?}");
        assert_eq!(entry["argv"], json!(argv));
        assert_eq!(entry["verdict"], "alive", "{entry:#}");
        assert_eq!(entry["reason"], "workspace_alive", "{entry:#}");
        assert_eq!(entry["is_orphan"], false, "{entry:#}");
    }
    assert_eq!(scan["orphans"], json!([]));
}

#[test]
fn a_module_run_by_any_python_interpreter_is_a_coordinator() {
    in_private_pid_namespace(|| {
        const MODULE: &str = "team_agent.coordinator";
        assert_listed_as(
            "python-module",
            &[
                &["python3", "-m", MODULE, "--workspace", "WS"],
                &["python", "-m", MODULE, "--workspace", "WS", "--once"],
                &[
                    "/usr/bin/python3.11",
                    "-m",
                    MODULE,
                    "--tick-interval",
                    "5",
                    "--workspace",
                    "WS",
                ],
                &[
                    "/Library/Frameworks/Python",
                    "-m",
                    MODULE,
                    "--workspace",
                    "WS",
                ],
                &["pypy3", "-m", MODULE, "--workspace", "WS"],
                &[
                    "python3",
                    "-m",
                    "team_agent.coordinator.__main__",
                    "--workspace",
                    "WS",
                ],
            ],
        );
    });
}

#[test]
fn the_options_of_the_interpreter_before_the_module_do_not_matter() {
    in_private_pid_namespace(|| {
        const MODULE: &str = "team_agent.coordinator";
        assert_listed_as(
            "python-module",
            &[
                &["python3", "-u", "-m", MODULE, "--workspace", "WS"],
                &[
                    "python3",
                    "-W",
                    "ignore",
                    "-X",
                    "dev",
                    "-m",
                    MODULE,
                    "--workspace",
                    "WS",
                ],
                &["python3", "-Bs", "-m", MODULE, "--workspace", "WS"],
                &["python3", "-um", MODULE, "--workspace", "WS"],
                &["python3", "-mteam_agent.coordinator", "--workspace", "WS"],
            ],
        );
    });
}

#[test]
fn the_package_run_as_a_script_is_a_coordinator() {
    in_private_pid_namespace(|| {
        assert_listed_as(
            "python-module",
            &[
                &[
                    "python3",
                    "/opt/x/team_agent/coordinator/__main__.py",
                    "--workspace",
                    "WS",
                ],
                &[
                    "python3",
                    "-u",
                    "team_agent/coordinator/__main__.py",
                    "--workspace",
                    "WS",
                ],
            ],
        );
    });
}

#[test]
fn the_console_script_is_a_coordinator_with_its_interpreter_or_without() {
    in_private_pid_namespace(|| {
        assert_listed_as(
            "console-script",
            &[
                &[
                    "python3",
                    "/venv/bin/team-agent-coordinator",
                    "--workspace",
                    "WS",
                ],
                &[
                    "/venv/bin/python3.12",
                    "-I",
                    "/venv/bin/team-agent-coordinator",
                    "--workspace=WS",
                ],
                &["/venv/bin/team-agent-coordinator", "--workspace", "WS"],
                &["team-agent-coordinator", "--workspace", "WS"],
            ],
        );
    });
}

#[test]
fn team_agent_with_coordinator_as_its_first_argument_is_a_coordinator() {
    in_private_pid_namespace(|| {
        assert_listed_as(
            "team-agent",
            &[
                &["/opt/bin/team-agent", "coordinator", "--workspace", "WS"],
                &[
                    "team-agent",
                    "coordinator",
                    "--team",
                    "k",
                    "--workspace=WS",
                    "--tick-interval",
                    "1",
                ],
            ],
        );
    });
}

#[test]
fn the_python_forms_take_every_abbreviation_of_the_flag_and_an_equals_sign() {
    in_private_pid_namespace(|| {
        const MODULE: &str = "team_agent.coordinator";
        assert_listed_as(
            "python-module",
            &[
                &["python3", "-m", MODULE, "--workspace=WS"],
                &["python3", "-m", MODULE, "--w", "WS"],
                &["python3", "-m", MODULE, "--work", "WS"],
                &["python3", "-m", MODULE, "--w=WS"],
                &["python3", "-m", MODULE, "--workspac=WS"],
            ],
        );
    });
}

#[test]
fn the_last_workspace_wins() {
    in_private_pid_namespace(|| {
        const MODULE: &str = "team_agent.coordinator";
        assert_listed_as(
            "python-module",
            &[
                &[
                    "python3",
                    "-m",
                    MODULE,
                    "--workspace",
                    "/nowhere",
                    "--workspace",
                    "WS",
                ],
                &[
                    "python3",
                    "-m",
                    MODULE,
                    "--workspace=/nowhere",
                    "--work",
                    "/no",
                    "--w=WS",
                ],
            ],
        );
    });
}

/// Starts a healthy coordinator in a directory of that name and returns its entry.
fn entry_of_workspace_named(name: impl AsRef<OsStr>) -> (World, OsString, Value) {
    let world = World::new();
    let daemon = world.daemon();
    let workspace = world.directory(name).into_os_string();
    let process = Recipe::coordinator(&world, &workspace).start();
    let entry = entry_of(&daemon.scan()["coordinators"], process.pid).clone();
    (world, workspace, entry)
}

#[test]
fn spaces_and_line_feeds_in_a_workspace_are_part_of_its_name() {
    in_private_pid_namespace(|| {
        for name in [
            "My Project",
            " ",
            "line\nfeed",
            "--workspace",
            "a=b",
            "tab\tquote\"'",
        ] {
            let (_world, workspace, entry) = entry_of_workspace_named(name);
            assert_eq!(entry["workspace"], workspace.to_str().unwrap());
            assert_eq!(entry["verdict"], "alive", "{entry:#}");
            assert!(entry.get("workspace_b64").is_none(), "{entry:#}");
        }
    });
}

#[test]
fn a_workspace_that_is_not_utf8_is_lossy_as_text_and_exact_as_base64() {
    in_private_pid_namespace(|| {
        let name = OsStr::from_bytes(b"caf\xe9 \xff");
        let (_world, workspace, entry) = entry_of_workspace_named(name);
        assert_eq!(entry["workspace"], *workspace.to_string_lossy());
        let exact = entry["workspace_b64"].as_str().expect("workspace_b64");
        assert_eq!(
            BASE64.decode(exact.as_bytes()).unwrap(),
            workspace.as_bytes()
        );
        assert_eq!(entry["verdict"], "alive", "{entry:#}");
    });
}

#[test]
fn an_empty_argument_is_an_argument() {
    in_private_pid_namespace(|| {
        assert_listed_as(
            "python-module",
            &[&[
                "python3",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "WS",
                "",
                "--once",
                "",
            ]],
        );
    });
}

#[test]
fn a_form_from_the_configuration_is_as_good_as_a_built_in_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::default().with(
            "[[coordinator.form]]\nname = \"ours\"\nprogram = \"node*\"\n\
             args = [\"run\", \"conductor\"]\nworkspace_flag = \"--root\"",
        ));
        let workspace = world.directory("workspace");
        let workspace = workspace.to_str().unwrap();
        let start = |argv: &[&str]| Recipe::new(&world, argv).start();
        let ours = start(&["/usr/bin/node22", "run", "conductor", "--root", workspace]);
        let built_in = start(&["team-agent", "coordinator", "--workspace", workspace]);
        let _others = [
            start(&["node22", "run", "--root", workspace, "conductor"]),
            start(&["deno", "run", "conductor", "--root", workspace]),
            start(&["node22", "run", "conductors", "--root", workspace]),
        ];
        let scan = daemon.scan();
        let mut expected = [ours.pid, built_in.pid];
        expected.sort_unstable();
        assert_eq!(sorted_pids(&scan["coordinators"]), expected, "{scan:#}");
        let entry = entry_of(&scan["coordinators"], ours.pid);
        assert_eq!(entry["form"], "ours");
        assert_eq!(entry["workspace"], workspace);
    });
}

#[test]
fn a_coordinator_that_execs_something_else_is_no_longer_one() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let process = world
            .healthy("workspace")
            .with("EXEC", "nginx\n-g\ndaemon off;")
            .start();
        assert_eq!(daemon.scan()["scanned"], 1);
        crate::support::signal(process.pid, rustix::process::Signal::USR1);
        let comm = Path::new("/proc")
            .join(process.pid.to_string())
            .join("comm");
        crate::support::wait_until("it is nginx", || {
            std::fs::read_to_string(&comm).is_ok_and(|name| name == "nginx\n")
        });
        assert_eq!(daemon.scan()["scanned"], 0);
        assert!(process.is_alive());
    });
}
