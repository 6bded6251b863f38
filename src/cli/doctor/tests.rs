//! What the client adds, and what it takes over.

use serde_json::json;

use super::*;

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
    compose(result, heard, around.as_ref(), None)
}

fn words(result: &Value) -> Vec<(&str, &str)> {
    let word =
        |check: &'_ Value, name: &str| check[name].as_str().unwrap().to_owned().leak() as &str;
    list(result, "checks")
        .iter()
        .map(|check| (word(check, "check"), word(check, "result")))
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
        [("daemon", "ok"), ("daemons", "ok"), ("version", "ok")]
    );
    assert_eq!(result["ok"], true);
    assert_eq!(
        result["checks"][2], version,
        "the daemon's word is left as it is"
    );
    let two = composed(said(json!([])), &Heard::Daemon, &around(&[(43, "/r/s")]));
    assert_eq!(words(&two)[1], ("daemons", "warning"));
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
    let silent = Heard::Silent("it hangs".to_owned());
    let result = composed(prospect(), &silent, &around(&[]));
    assert_eq!(
        (&result["ok"], words(&result)),
        (&json!(false), vec![("daemon", "problem")])
    );
    let nobody = Heard::Nobody(vec!["/r/s".into()]);
    let result = composed(prospect(), &nobody, &around(&[]));
    assert_eq!(
        (&result["ok"], words(&result)),
        (&json!(true), vec![("daemon", "warning")])
    );
    let result = composed(prospect(), &Heard::NotAsked, &around(&[]));
    assert_eq!(words(&result), [("daemon", "ok")]);
    let old = Heard::TooOld(Some("0.0.1".to_owned()));
    let result = composed(prospect(), &old, &around(&[]));
    assert_eq!(words(&result), [("daemon", "ok"), ("version", "warning")]);
}

#[test]
fn a_look_around_without_an_answer_says_so() {
    let partly = Around {
        at_work: None,
        ..around(&[]).unwrap()
    };
    for around in [None, Some(partly)] {
        let result = composed(said(json!([])), &Heard::Daemon, &around);
        assert_eq!(words(&result), [("daemon", "ok"), ("daemons", "warning")]);
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
