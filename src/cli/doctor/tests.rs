//! What the client adds, and what it takes over.

use serde_json::json;

use super::*;
use crate::orphan::checkup::FileFacts;

fn said(checks: Value) -> Value {
    json!({
        "ok": true,
        "source": "daemon",
        "daemon": {"pid": 42, "version": env!("CARGO_PKG_VERSION"), "socket": "/r/s", "state_dir": "/s"},
        "checks": checks,
    })
}

fn around(at_work: &[(Pid, &str)]) -> Option<Around> {
    let at_work = at_work.iter().map(|(pid, place)| AtWork {
        pid: Some(*pid),
        place: place.into(),
    });
    Some(Around {
        socket: None,
        at_work: Some(at_work.collect()),
        of_root: false,
    })
}

fn composed(result: Value, heard: &Heard, around: &Option<Around>) -> Value {
    compose(
        result,
        heard,
        around.as_ref(),
        Some(("/r/s".into(), ours())),
    )
}

/// A directory that is ours alone.
fn ours() -> Found {
    Found::There(FileFacts {
        is_directory: true,
        is_socket: false,
        uid: own_uid(),
        mode: 0o700,
        id: (1, 2),
    })
}

/// Each check and how it came out.
fn words(result: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    list(result, "checks")
        .iter()
        .map(|check| format!("{} {}", word(&check["check"]), word(&check["result"])))
        .collect()
}

#[test]
fn the_clients_own_checks_come_before_the_daemons() {
    let version = json!({"check": "version", "result": "ok", "says": "fine"});
    let result = composed(
        said(json!([version])),
        &Heard::Daemon,
        &around(&[(42, "/r/s")]),
    );
    assert_eq!(
        words(&result),
        [
            "daemon ok",
            "daemons ok",
            "socket_directory ok",
            "version ok"
        ]
    );
    assert_eq!(result["ok"], true);
    assert_eq!(
        result["checks"][3], version,
        "the daemon's word is left as it is"
    );
    let two = composed(said(json!([])), &Heard::Daemon, &around(&[(43, "/r/s")]));
    assert_eq!(words(&two)[1], "daemons warning");
    assert_eq!(two["ok"], true, "a warning is no problem");
}

#[test]
fn two_versions_take_the_place_of_a_version_that_is_well_and_of_no_other() {
    for (found, expected) in [("ok", "this client is"), ("warning", "replaced")] {
        let mut said = said(json!([
            {"check": "version", "result": found, "says": "replaced", "remedy": "restart"},
        ]));
        said["daemon"]["version"] = "0.0.1".into();
        let result = composed(said, &Heard::Daemon, &around(&[]));
        let versions: Vec<_> = list(&result, "checks")
            .iter()
            .filter(|check| check["check"] == "version")
            .collect();
        assert_eq!(versions.len(), 1);
        assert_eq!(versions[0]["result"], "warning");
        let says = versions[0]["says"].as_str().unwrap();
        assert!(says.starts_with(expected), "{says}");
    }
}

#[test]
fn a_daemon_that_cannot_be_asked_is_a_problem_whatever_else_is_well() {
    let prospect = || json!({"ok": true, "source": "embedded", "daemon": null, "checks": []});
    for (heard, is_ok, found) in [
        (
            Heard::Silent("it hangs".to_owned()),
            false,
            &["daemon problem", "socket_directory ok"][..],
        ),
        (
            Heard::Nobody(vec!["/r/s".into()]),
            true,
            &["daemon warning", "socket ok"],
        ),
        (Heard::NotAsked, true, &["daemon ok", "socket ok"]),
        (
            Heard::TooOld(Some("0.0.1".to_owned())),
            true,
            &["daemon ok", "socket_directory ok", "version warning"],
        ),
    ] {
        let result = composed(prospect(), &heard, &around(&[]));
        assert_eq!(words(&result), found, "{heard:?}");
        assert_eq!(result["ok"], is_ok, "{heard:?}");
    }
}

#[test]
fn where_a_socket_would_be_is_looked_at_and_that_there_is_no_place_is_a_problem() {
    let nobody = Heard::Nobody(Vec::new());
    let Found::There(facts) = ours() else {
        panic!("it is there")
    };
    let open = Found::There(FileFacts {
        mode: 0o777,
        ..facts
    });
    let place = |found| place_of(&nobody, around(&[]).as_ref(), found).unwrap();
    let word = |check: Check| (check.check, check.finding.word());
    let at = |found| Some(("/r/s".into(), found));
    assert_eq!(word(place(at(ours()))), ("socket", "ok"));
    assert_eq!(word(place(at(open.clone()))), ("socket", "problem"));
    assert_eq!(word(place(None)), ("socket", "problem"));
    let unknown = place_of(&nobody, None, None).map(word);
    assert_eq!(unknown, Some(("socket", "warning")));
    let there = |found| place_of(&Heard::Daemon, None, found).map(word);
    assert_eq!(there(at(open)), Some(("socket_directory", "problem")));
    assert_eq!(there(None), Some(("socket_directory", "warning")));
    assert_eq!(there(at(Found::Missing)), None);
}

#[test]
fn a_look_around_without_an_answer_says_so() {
    let partly = Around {
        at_work: None,
        ..around(&[]).unwrap()
    };
    for around in [None, Some(partly)] {
        let result = composed(said(json!([])), &Heard::Daemon, &around);
        assert_eq!(words(&result)[..2], ["daemon ok", "daemons warning"]);
    }
}

#[test]
fn a_path_comes_by_its_exact_bytes() {
    let object =
        json!({"socket": "/a\u{fffd}", "socket_b64": "L2H/", "state_dir": "/s", "none": null});
    assert_eq!(
        path_in(&object, "socket"),
        Some(OsString::from_vec(b"/a\xff".to_vec()).into())
    );
    assert_eq!(path_in(&object, "state_dir"), Some("/s".into()));
    assert_eq!(path_in(&object, "none"), None);
    assert_eq!(path_in(&Value::Null, "socket"), None);
}
