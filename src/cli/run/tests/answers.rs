//! What is printed of an answer, and what the status says of it.

use super::*;
use crate::cli::selection::Selection;
use crate::wire::results;

#[test]
fn a_preview_asks_for_members_and_does_without_where_they_are_not_known_of() {
    let with = Request::scan(None).with_members_of(&Selection::default());
    let engine = Engine {
        daemon: Some(|| Ok(scan())),
        ..Engine::default()
    };
    let outcome = run_with("fix", true, engine);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert_eq!(outcome.asked, [("daemon", with.clone())]);
    assert!(outcome.stdout.contains("1 orphan"), "{outcome:#?}");
    let narrowed = Selection {
        pids: vec![7],
        ..Selection::default()
    };
    let engine = Engine {
        daemon: Some(|| Ok(scan())),
        ..Engine::default()
    };
    let outcome = run_with("fix --pid 7", true, engine);
    let asked = Request::scan(None).with_members_of(&narrowed);
    assert_eq!(outcome.asked, [("daemon", asked)]);
    // An older daemon refuses what it does not know.
    let engine = Engine {
        daemon: Some(|| {
            Err(CallError::Answer {
                code: -32602,
                kind: "invalid_params".to_owned(),
                message: "unknown field `members`".to_owned(),
            })
        }),
        ..Engine::default()
    };
    let outcome = run_with("fix", true, engine);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert_eq!(
        outcome.asked,
        [("daemon", with), ("daemon", Request::scan(None))]
    );
    let outcome = ask_daemon("scan --members", || Ok(scan()));
    let with = Request::scan(None).with_members();
    assert_eq!(outcome.asked, [("daemon", with)]);
}

#[test]
fn a_fix_without_confirm_is_refused_without_asking_anybody() {
    for (line, action) in [
        ("fix", "re-run with --confirm"),
        ("fix --pid 7", "re-run with --confirm"),
        (
            "doctor --gate orphans --fix",
            "re-run with --gate orphans --fix --confirm",
        ),
    ] {
        let outcome = run_with(line, false, Engine::default());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (3, ""), "{line}");
        assert_eq!(
            outcome.stdout,
            format!("refused: nothing was signalled ({action})\n")
        );

        // Scripts get no preview, whatever they run in.
        let outcome = run_with(&format!("--json {line}"), true, Engine::default());
        assert_eq!(outcome.code, 3, "{line}");
        let refusal = outcome.json();
        assert_eq!(
            (&refusal["status"], &refusal["action"]),
            (&json!("refused"), &json!(action))
        );
    }
    assert_eq!(
        run_with("--json fix", false, Engine::default()).json(),
        results::fix_refused()
    );
    let gate = run_with(
        "--json doctor --gate orphans --fix",
        false,
        Engine::default(),
    );
    assert_eq!(gate.json(), results::gate_refused());
}

#[test]
fn on_a_terminal_a_refusal_shows_first_what_would_die() {
    let on_terminal = |line: &str| {
        run_with(
            line,
            true,
            Engine {
                daemon: Some(|| Ok(scan())),
                ..Engine::default()
            },
        )
    };
    let outcome = on_terminal("fix");
    assert_eq!(outcome.code, 3);
    assert_eq!(outcome.methods(), [("daemon", "scan")]);
    assert!(outcome.stdout.contains("\norphan     7"), "{outcome:#?}");
    assert!(
        outcome
            .stdout
            .ends_with("\n  team-agentctl fix --confirm\n"),
        "{outcome:#?}"
    );
    let outcome = on_terminal("fix --pid 8");
    assert!(
        outcome
            .stdout
            .contains("8 is no orphan that this fix selects"),
        "{outcome:#?}"
    );
    let outcome = on_terminal("doctor --gate orphans --fix");
    assert!(
        outcome
            .stdout
            .ends_with("doctor --gate orphans --fix --confirm\n"),
        "{outcome:#?}"
    );

    // What cannot be shown does not change the refusal.
    let outcome = run_with("--require-daemon fix", true, without_daemon());
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stderr.starts_with("error: no daemon"),
        "{outcome:#?}"
    );
    assert!(
        outcome
            .stdout
            .contains("team-agentctl --require-daemon fix --confirm"),
        "{outcome:#?}"
    );
}

#[test]
fn a_command_to_be_typed_asks_whom_this_one_has_asked() {
    for (line, next) in [
        ("fix", "team-agentctl fix --confirm"),
        (
            "--socket /run/my/s fix --pid 7",
            "team-agentctl --socket /run/my/s fix --confirm --pid 7",
        ),
        (
            "--require-daemon --socket /s scan",
            "team-agentctl --socket /s --require-daemon fix --confirm",
        ),
        (
            "--require-daemon scan",
            "team-agentctl --require-daemon explain 7",
        ),
        (
            "--socket /s doctor --gate orphans --fix",
            "team-agentctl --socket /s doctor --gate orphans --fix --confirm",
        ),
    ] {
        let engine = Engine {
            daemon: Some(|| Ok(scan())),
            ..Engine::default()
        };
        let outcome = run_with(line, true, engine);
        assert!(outcome.stdout.contains(next), "{line}: {outcome:#?}");
    }
    let outcome = run_with(
        "--embedded fix",
        true,
        Engine {
            embedded: Some(|| Ok(scan())),
            ..Engine::default()
        },
    );
    let next = "team-agentctl --embedded fix --confirm";
    assert!(outcome.stdout.contains(next), "{outcome:#?}");
}

#[test]
fn a_fix_tells_by_its_status_how_it_went() {
    let outcome = ask_daemon("fix --confirm", || Ok(fixed()));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.asked[0].1.params, json!({"confirm": true}));

    let failed: fn() -> Result<Value, CallError> = || {
        let failed = json!([{"pid": 7, "error": "permission_denied"}]);
        Ok(json!({"ok": false, "failed": failed, "spared": [{"pid": 8, "why": "kept"}]}))
    };
    let outcome = ask_daemon("fix --confirm", failed);
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stderr,
        "failed to end 7: permission_denied (run this as the owner of the process, or as root)\n"
    );
    assert_eq!(ask_daemon("--json fix --confirm", failed).stderr, "");

    let spared: fn() -> Result<Value, CallError> =
        || Ok(json!({"ok": true, "failed": [], "spared": [{"pid": 8, "why": "kept"}]}));
    let outcome = ask_daemon("fix --confirm --pid 8", spared);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (1, "spared 8: somebody asked to keep it (kept)\n")
    );
    assert_eq!(
        ask_daemon("fix --confirm --reason workspace_replaced", spared).code,
        0
    );
}

#[test]
fn a_gate_tells_by_its_status_whether_it_passed() {
    let outcome = ask_daemon("doctor --gate orphans", || {
        Ok(json!({"ok": true, "status": "passed"}))
    });
    assert_eq!(outcome.code, 0);
    assert_eq!(outcome.asked, [("daemon", Request::gate(false))]);
    let failed = || Ok(json!({"ok": false, "status": "failed"}));
    let outcome = ask_daemon("doctor --gate orphans --fix --confirm", failed);
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.asked, [("daemon", Request::gate(true))]);
    // Confirming alone ends nothing.
    let outcome = ask_daemon("doctor --gate orphans --confirm", || {
        Ok(json!({"ok": true}))
    });
    assert_eq!(outcome.asked, [("daemon", Request::gate(false))]);
}

/// A standard output that fails.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_changes_no_status_and_is_not_mentioned() {
    let status = |line: &str, kind: io::ErrorKind, answer: fn() -> Result<Value, CallError>| {
        let engine = Engine {
            daemon: Some(answer),
            ..Engine::default()
        };
        let mut stderr = Vec::new();
        let code = perform(line, false, engine, Failing(kind), &mut stderr);
        (code, stderr.is_empty())
    };
    let gone = io::ErrorKind::BrokenPipe;
    for line in ["scan", "--json scan", "--help"] {
        assert_eq!(status(line, gone, || Ok(scan())), (0, true), "{line}");
    }
    assert_eq!(
        status("doctor --gate orphans", gone, || Ok(json!({"ok": false}))),
        (1, true)
    );
    // Any other trouble is.
    assert_eq!(
        status("scan", io::ErrorKind::StorageFull, || Ok(scan())),
        (5, false)
    );
}

#[test]
fn events_go_out_line_by_line_and_none_is_no_line() {
    let outcome = ask_daemon("events --since 10m", || {
        Ok(json!({"events": [{"raw": "half\u{1b}"}]}))
    });
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "half\\x1b\n"));
    assert_eq!(outcome.asked[0].1.params["since"], "2026-05-26T11:50:00Z");
    assert_eq!(
        ask_daemon("events", || Ok(json!({"events": []}))).stdout,
        ""
    );
}

#[test]
fn help_goes_to_standard_output_and_mistakes_to_standard_error() {
    let outcome = run_with("--help", false, Engine::default());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.contains("scan"), "{outcome:#?}");
    let outcome = run_with("", false, Engine::default());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("Usage"), "{outcome:#?}");

    let outcome = run_with("--json doctor --confirm", false, Engine::default());
    assert_eq!(outcome.code, 2);
    let error = outcome.json();
    assert_eq!(error["error"]["kind"], "usage");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("'doctor' by itself changes nothing") && !message.contains("Usage"),
        "{message}"
    );
    assert!(
        outcome.stderr.starts_with("error: 'doctor' by itself"),
        "{outcome:#?}"
    );
}

#[test]
fn a_configuration_is_checked_without_asking_anybody() {
    let outcome = run_with("config check /nowhere/c.toml", false, Engine::default());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(
        outcome
            .stderr
            .starts_with("error: /nowhere/c.toml: no such file"),
        "{outcome:#?}"
    );
    let outcome = run_with(
        "config check /nowhere/c.toml --json",
        false,
        Engine::default(),
    );
    assert_eq!(outcome.json()["error"]["kind"], "config");
}

#[test]
fn the_doctor_says_by_its_status_whether_there_is_a_problem() {
    let status = |answer| {
        run_with(
            "--json doctor",
            false,
            Engine {
                daemon: Some(answer),
                embedded: Some(|| {
                    Ok(json!({"ok": true, "source": "embedded", "daemon": null, "checks": []}))
                }),
                ..Engine::default()
            },
        )
    };
    fn check(result: &str) -> Value {
        json!({
            "ok": true,
            "source": "daemon",
            "daemon": {"version": env!("CARGO_PKG_VERSION")},
            "checks": [{"check": "view", "result": result, "says": "so"}],
        })
    }
    assert_eq!(status(|| Ok(check("ok"))).code, 0);
    assert_eq!(status(|| Ok(check("warning"))).code, 0);
    let problem = status(|| Ok(check("problem")));
    assert_eq!((problem.code, &problem.json()["ok"]), (1, &json!(false)));

    // One that hangs up is as one that does not answer: the client looks, and says so.
    let lost = status(|| Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())));
    assert_eq!(lost.code, 1);
    assert_eq!(
        lost.methods(),
        [("daemon", "doctor"), ("embedded", "doctor")]
    );
    let lost = lost.json();
    assert_eq!(
        (&lost["checks"][0]["check"], &lost["checks"][0]["result"]),
        (&json!("daemon"), &json!("problem"))
    );
}

#[test]
fn a_daemon_that_does_not_know_the_doctor_is_called_old() {
    let answer = || {
        Err(CallError::Answer {
            code: -32601,
            kind: "method_not_found".to_owned(),
            message: "no method".to_owned(),
        })
    };
    let outcome = run_with(
        "--json doctor",
        false,
        Engine {
            daemon: Some(answer),
            embedded: Some(|| {
                Ok(json!({"ok": true, "source": "embedded", "daemon": null, "checks": []}))
            }),
            ..Engine::default()
        },
    );
    assert_eq!(outcome.code, 0);
    assert_eq!(
        outcome.methods(),
        [
            ("daemon", "doctor"),
            ("daemon", "version"),
            ("embedded", "doctor")
        ]
    );
    let result = outcome.json();
    let version = result["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(version["check"], "version", "{result:#}");
    assert!(
        version["says"]
            .as_str()
            .unwrap()
            .contains("cannot look at itself")
    );
}
