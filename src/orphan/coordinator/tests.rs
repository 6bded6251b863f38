//! Every form, and everything that only looks like one.

use super::*;

fn argv(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn sifted(words: &[&str], forms: &[CustomForm]) -> bool {
    may_be_coordinator(words.iter().map(OsStr::new), forms)
}

fn recognised(words: &[&str]) -> Option<(String, Option<String>)> {
    recognise(&argv(words), &[]).map(|found| {
        let workspace = match found.workspace {
            WorkspaceArgument::Given(path) => Some(path.to_string_lossy().into_owned()),
            WorkspaceArgument::Unusable => None,
        };
        (found.form, workspace)
    })
}

#[test]
fn every_built_in_form_is_recognised_with_its_workspace() {
    let module = "team_agent.coordinator";
    for (form, words) in [
        (
            "python-module",
            vec!["python3", "-m", module, "--workspace", "/w"],
        ),
        (
            "python-module",
            vec!["/usr/bin/python3.11", "-u", "-m", module, "--workspace=/w"],
        ),
        (
            "python-module",
            vec!["Python", "-W", "-c", "-m", module, "--work", "/w", "--once"],
        ),
        (
            "python-module",
            vec!["pypy3", "-Xdev", "-Bm", module, "--w=/w"],
        ),
        (
            "python-module",
            vec!["python", "-mteam_agent.coordinator", "--workspace", "/w"],
        ),
        (
            "python-module",
            vec![
                "python3.13t",
                "-X",
                "dev",
                "-m",
                "team_agent.coordinator.__main__",
                "--workspace",
                "/x",
                "--workspace",
                "/w",
            ],
        ),
        (
            "python-module",
            vec![
                "python3",
                "/s/team_agent/coordinator/__main__.py",
                "--workspace",
                "/w",
            ],
        ),
        (
            "python-module",
            vec![
                "python3",
                "--",
                "team_agent/coordinator/__main__.py",
                "--workspace",
                "/w",
            ],
        ),
        (
            "console-script",
            vec!["python3", "/b/team-agent-coordinator", "--workspace", "/w"],
        ),
        (
            "console-script",
            vec!["/b/team-agent-coordinator", "--workspac", "/w"],
        ),
        (
            "team-agent",
            vec![
                "/opt/team-agent",
                "coordinator",
                "--team",
                "k",
                "--workspace",
                "/w",
            ],
        ),
    ] {
        assert_eq!(
            recognised(&words),
            Some((form.into(), Some("/w".into()))),
            "{words:?}"
        );
        assert!(sifted(&words, &[]), "{words:?}");
    }
}

#[test]
fn text_that_mentions_a_coordinator_is_not_one() {
    for words in [
        vec!["vim", "-m", "team_agent.coordinator", "--workspace", "/w"],
        vec!["grep", "python3 -m team_agent.coordinator --workspace /w"],
        vec![
            "bash",
            "-c",
            "python3 -m team_agent.coordinator --workspace /w",
        ],
        vec![
            "ssh",
            "host",
            "python3",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec!["python3 -m team_agent.coordinator --workspace /w"],
        vec![
            "python3",
            "-c",
            "x",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec![
            "python3",
            "-",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec![
            "python3",
            "run.py",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec![
            "python3",
            "-X",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec![
            "python3",
            "-m",
            "team_agent.coordinatorx",
            "--workspace",
            "/w",
        ],
        vec!["python3", "-m", "team_agent.worker", "--workspace", "/w"],
        vec![
            "python3",
            "xteam_agent/coordinator/__main__.py",
            "--workspace",
            "/w",
        ],
        vec![
            "python3-config",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec!["team-agent", "--workspace", "/w", "coordinator"],
        vec!["team-agentd", "coordinator", "--workspace", "/w"],
        vec![
            "claude",
            "-p",
            "python3",
            "-m",
            "team_agent.coordinator",
            "--workspace",
            "/w",
        ],
        vec!["python3", "-m"],
        vec![],
    ] {
        assert_eq!(recognised(&words), None, "{words:?}");
    }
}

#[test]
fn a_workspace_that_the_program_would_refuse_is_unusable() {
    let start = ["python3", "-m", "team_agent.coordinator"];
    for rest in [
        vec![],
        vec!["--workspace"],
        vec!["--workspace", ""],
        vec!["--workspace="],
        vec!["--workspace", "--once"],
        vec!["--workspace", "/w", "--workspace", "-x"],
        vec!["--", "--workspace", "/w"],
        vec!["--", "/w"],
        vec!["--workspaces", "/w"],
    ] {
        let words: Vec<&str> = start.iter().copied().chain(rest).collect();
        assert_eq!(
            recognised(&words),
            Some(("python-module".into(), None)),
            "{words:?}"
        );
    }
    for rest in [["--work", "/w"], ["--team", "--workspace"]] {
        let words: Vec<&str> = ["team-agent", "coordinator"]
            .into_iter()
            .chain(rest)
            .chain(["/w"])
            .collect();
        assert_eq!(
            recognised(&words),
            Some(("team-agent".into(), None)),
            "{words:?}"
        );
    }
}

#[test]
fn a_configured_form_matches_its_program_and_arguments_only() {
    let form = CustomForm {
        name: "mine".into(),
        program: "python*".into(),
        args: vec!["-m".into(), "my.coordinator".into()],
        workspace_flag: "--root".into(),
    };
    let find = |words: &[&str]| {
        recognise(&argv(words), std::slice::from_ref(&form)).map(|found| found.workspace)
    };
    let given = Some(WorkspaceArgument::Given("/w".into()));
    assert_eq!(
        find(&["python3", "-m", "my.coordinator", "--root", "/w"]),
        given
    );
    assert_eq!(
        find(&["/b/python3.12", "-u", "-m", "my.coordinator", "--root=/w"]),
        given
    );
    assert_eq!(find(&["python3", "-m", "other", "--root", "/w"]), None);
    assert_eq!(find(&["python3", "my.coordinator", "--root", "/w"]), None);
    assert_eq!(
        find(&["ruby", "-m", "my.coordinator", "--root", "/w"]),
        None
    );
    assert_eq!(
        find(&["python3", "-m", "my.coordinator", "--roo", "/w"]),
        Some(WorkspaceArgument::Unusable)
    );
}

#[test]
fn the_sieve_lets_through_who_names_the_product_or_runs_a_configured_program() {
    let custom = [CustomForm {
        name: "mine".to_owned(),
        program: "my-*".to_owned(),
        args: Vec::new(),
        workspace_flag: "--dir".to_owned(),
    }];
    for (words, by_name, by_form) in [
        (
            &["bash", "-c", "exec team-agent coordinator"][..],
            true,
            true,
        ),
        (&["python3", "-m", "team_agent.coordinator"], true, true),
        (&["/opt/my-coordinator"], false, true),
        (&["bash", "/opt/my-coordinator"], false, false),
        (&["team agent"], false, false),
        (&["python3", "-m", "http.server", "8000"], false, false),
        (&["sh", ""], false, false),
        (&[], false, false),
    ] {
        assert_eq!(sifted(words, &[]), by_name, "{words:?}");
        assert_eq!(sifted(words, &custom), by_form);
    }
}

#[test]
fn what_the_interpreter_does_instead_of_running_a_program_is_no_coordinator() {
    let module = "team_agent.coordinator";
    for words in [
        // Code, whatever it is called.
        vec!["python3", "-c", CONSOLE_SCRIPT, "--workspace", "/w"],
        vec!["python3", "-Ic", PYTHON_SCRIPT, "--workspace", "/w"],
        // Its own help or version, whatever follows.
        vec!["python3", "-h", "-m", module, "--workspace", "/w"],
        vec!["python3", "-V", "-m", module, "--workspace", "/w"],
        vec!["python3", "-?", CONSOLE_SCRIPT, "--workspace", "/w"],
        vec!["python3", "--help", "-m", module, "--workspace", "/w"],
        vec!["python3", "--version", CONSOLE_SCRIPT, "--workspace", "/w"],
    ] {
        assert_eq!(recognised(&words), None, "{words:?}");
    }
}

#[test]
fn a_long_option_of_the_interpreter_takes_its_value_with_it() {
    let start = ["python3", "--check-hash-based-pycs", "always"];
    let found = |rest: &[&str]| recognised(&[&start, rest].concat());
    let workspace = Some("/w".to_owned());
    assert_eq!(
        found(&["-m", "team_agent.coordinator", "--workspace", "/w"]),
        Some(("python-module".to_owned(), workspace.clone()))
    );
    assert_eq!(
        found(&["--jit", "off", CONSOLE_SCRIPT, "--workspace", "/w"]),
        Some(("console-script".to_owned(), workspace))
    );
    assert_eq!(
        found(&["serve.py", CONSOLE_SCRIPT, "--workspace", "/w"]),
        None
    );
}

#[test]
fn a_configured_script_has_its_arguments_behind_it_whatever_the_interpreters_options() {
    let form = [CustomForm {
        name: "mine".to_owned(),
        program: "python*".to_owned(),
        args: vec!["serve.py".to_owned(), "now".to_owned()],
        workspace_flag: "--dir".to_owned(),
    }];
    let found = |words: &[&str]| recognise(&argv(words), &form).map(|found| found.workspace);
    let workspace = Some(WorkspaceArgument::Given("/w".into()));
    for start in [
        &["python3"][..],
        &["python3", "-u"],
        &["python3", "-X", "dev", "--"],
    ] {
        let with = |rest: &[&str]| found(&[start, rest].concat());
        assert_eq!(
            with(&["serve.py", "now", "--dir", "/w"]),
            workspace,
            "{start:?}"
        );
        assert_eq!(with(&["serve.py", "serve.py", "now", "--dir", "/w"]), None);
        assert_eq!(with(&["serve.py", "--dir", "/w"]), None);
    }
}
