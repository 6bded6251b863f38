//! Who is asked, and what is said when nobody answers.

use super::*;

#[test]
fn a_daemon_that_is_there_is_asked() {
    for line in ["scan", "--require-daemon scan", "doctor --cleanup-orphans"] {
        let outcome = ask_daemon(line, || Ok(scan()));
        assert_eq!(
            (
                outcome.code,
                outcome.stdout.as_str(),
                outcome.stderr.as_str()
            ),
            (0, REPORT, ""),
            "{line}"
        );
        assert_eq!(outcome.asked, [("daemon", Request::scan(None))], "{line}");
    }
    assert_eq!(ask_daemon("scan --json", || Ok(scan())).json(), scan());
}

#[test]
fn without_a_daemon_the_work_is_done_here_and_that_is_said_once() {
    let scanning = "no daemon on /run/s: scanning in this process (embedded)\n";
    let fixing = "no daemon on /run/s: fixing in this process (embedded)\n";
    let looking = "no daemon on /run/s: looking from this process (embedded)\n";
    for (line, method, words) in [
        ("scan", "scan", scanning),
        ("doctor --gate orphans", "gate", scanning),
        ("fix --confirm", "fix", fixing),
        ("doctor --gate orphans --fix --confirm", "gate", fixing),
        ("doctor --cleanup-orphans --confirm", "fix", fixing),
        ("explain 7", "explain", looking),
        ("--json explain 7", "explain", looking),
    ] {
        let outcome = ask_embedded(line, || Ok(fixed()));
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (0, words),
            "{line}"
        );
        assert_eq!(outcome.methods(), [("embedded", method)], "{line}");
    }
}

#[test]
fn a_notice_stays_one_line_wherever_the_daemon_was_looked_for() {
    for (tried, place) in [
        (&[][..], ""),
        (&["/a\n".into()], " on /a\\n"),
        (&["/a".into(), "/b".into()], " on /a or another socket"),
        (
            &["/a".into(), "/b".into(), "/c".into()],
            " on /a or 2 other sockets",
        ),
    ] {
        let line = format!("no daemon{place}: scanning in this process (embedded)");
        assert_eq!(notice(tried, "scanning in"), line);
    }
}

#[test]
fn embedded_on_request_asks_nobody_else_and_says_nothing() {
    for line in ["--embedded scan", "scan --embedded"] {
        let engine = Engine {
            embedded: Some(|| Ok(scan())),
            ..Engine::default()
        };
        let outcome = run_with(line, false, engine);
        assert_eq!(
            (
                outcome.code,
                outcome.stdout.as_str(),
                outcome.stderr.as_str()
            ),
            (0, REPORT, ""),
            "{line}"
        );
        assert_eq!(outcome.methods(), [("embedded", "scan")], "{line}");
    }
}

#[test]
fn what_needs_a_daemon_fails_without_one_and_tells_how_to_start_one() {
    for line in [
        "status",
        "events",
        "reload",
        "--require-daemon scan",
        "--require-daemon fix --confirm",
        "--require-daemon doctor --gate orphans",
        "explain 7 --require-daemon",
    ] {
        let outcome = run_with(line, false, without_daemon());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (4, ""), "{line}");
        assert_eq!(
            outcome.stderr,
            "error: no daemon on /run/s\n  \
             start one: team-agentctl service install, or in the foreground: team-agentd\n",
            "{line}"
        );
    }
    let error = run_with("--json status", false, without_daemon()).json();
    assert_eq!(
        (&error["ok"], &error["error"]["kind"]),
        (&json!(false), &json!("no_daemon"))
    );
}

#[test]
fn a_daemon_that_cannot_be_reached_is_never_worked_around() {
    let denied: fn() -> ConnectError = || ConnectError::Failed {
        socket: "/run/s".into(),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    let foreign: fn() -> ConnectError = || ConnectError::ForeignDaemon {
        socket: "/run/s".into(),
        uid: 7,
    };
    for no_connection in [denied, foreign] {
        for line in [
            "scan",
            "fix --confirm",
            "doctor --gate orphans",
            "explain 7",
            "status",
            "--require-daemon scan",
        ] {
            let engine = Engine {
                no_connection: Some(no_connection),
                ..Engine::default()
            };
            let outcome = run_with(line, false, engine);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""), "{line}");
            assert!(outcome.stderr.contains("/run/s"), "{outcome:#?}");
            assert_eq!(outcome.asked, [], "{line}");
        }
    }
}

#[test]
fn errors_of_either_engine_have_a_status_of_their_own() {
    let outcome = ask_daemon("--json explain 7", || {
        Err(CallError::Answer {
            code: -32602,
            kind: "no_such_process".to_owned(),
            message: "no process has pid 7".to_owned(),
        })
    });
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (5, "error: no process has pid 7\n")
    );
    let error = json!({"kind": "no_such_process", "message": "no process has pid 7"});
    assert_eq!(outcome.json(), json!({"ok": false, "error": error}));

    let outcome = ask_daemon("fix --confirm", || {
        Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into()))
    });
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""));
    assert!(
        outcome.stderr.contains("team-agentctl status"),
        "{outcome:#?}"
    );

    let outcome = ask_embedded("fix --confirm", || {
        Err(EmbeddedError::Locked {
            holder: Some(812),
            state_dir: "/state".into(),
        })
    });
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""));
    assert!(outcome.stderr.contains("812"), "{outcome:#?}");
}
