//! Lines that are calls, and lines that are not.

use std::path::PathBuf;

use super::*;
use crate::supervisor::request::{Selection, Survey};

fn error_of(line: &str) -> (Value, i64, &'static str) {
    match parse(line.as_bytes()) {
        Err((id, error)) => (id, error.code, error.kind),
        Ok(call) => panic!("{line} is accepted: {call:?}"),
    }
}

#[test]
fn what_is_no_request_is_answered_by_the_standard() {
    for (line, id, code) in [
        ("{", Value::Null, -32700),
        ("[]", Value::Null, -32600),
        (
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}]",
            Value::Null,
            -32600,
        ),
        ("7", Value::Null, -32600),
        (
            r#"{"jsonrpc":"2.0","method":"version"}"#,
            Value::Null,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"version","id":null}"#,
            Value::Null,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"version","id":[1]}"#,
            Value::Null,
            -32600,
        ),
        (r#"{"method":"version","id":1}"#, 1.into(), -32600),
        (
            r#"{"jsonrpc":"1.0","method":"version","id":1}"#,
            1.into(),
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","method":7,"id":"a"}"#,
            "a".into(),
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"kill","id":1}"#,
            1.into(),
            -32601,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"version","params":[1],"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"scan","params":{"workspac":"/w"},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"scan","params":{"workspace":"w"},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":"yes"},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"pids":[0]},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"pids":[-1]},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"reasons":["workspace_alive"]},"id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"explain","id":1}"#,
            1.into(),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"events","params":{"since":"yesterday"},"id":1}"#,
            1.into(),
            -32602,
        ),
    ] {
        let (found_id, found_code, kind) = error_of(line);
        assert_eq!((found_id, found_code), (id, code), "{line}");
        assert!(!kind.is_empty());
    }
}

#[test]
fn a_fix_without_confirm_is_refused_before_anybody_is_asked() {
    let refused = |method: &str, params: Value| match action(method, params) {
        Ok(Action::Reply(reply)) => reply["status"].clone(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused("fix", json!({})), "refused");
    assert_eq!(
        refused("fix", json!({"confirm": false, "pids": [4]})),
        "refused"
    );
    assert_eq!(refused("gate", json!({"fix": true})), "refused");
    assert_eq!(
        action("gate", json!({"confirm": true})),
        Ok(Action::Ask(Request::Gate { fix: false }))
    );
}

#[test]
fn parameters_reach_the_request_whole() {
    let params = json!({
        "confirm": true,
        "workspaces": ["/a"],
        "workspaces_b64": ["L3f/"],
        "pids": [42],
        "reasons": ["workspace_replaced", "ephemeral_tempdir_pattern:team-agent-gap"],
    });
    let Ok(Action::Ask(Request::Fix { selection })) = action("fix", params) else {
        panic!("no fix");
    };
    assert_eq!(selection.pids, [42]);
    assert_eq!(selection.reasons.len(), 2);
    assert_eq!(selection.workspaces[0], PathBuf::from("/a"));
    assert_eq!(
        selection.workspaces[1].as_os_str().as_encoded_bytes(),
        b"/w\xff"
    );
}

#[test]
fn a_list_that_may_mean_nobody_is_not_taken_for_all() {
    let refused = |params: Value| {
        let error = action("fix", params).unwrap_err();
        assert_eq!(error.code, -32602, "{error:?}");
        error.message
    };
    for name in ["workspaces", "workspaces_b64", "pids", "reasons"] {
        for nobody in [Value::Null, json!([])] {
            let message = refused(json!({"confirm": true, name: nobody}));
            assert!(message.starts_with(name), "{message}");
            assert!(message.contains("selects nothing"), "{message}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    let many: Vec<u32> = (1..=2_049).collect();
    for (method, params, what) in [
        (
            "fix",
            json!({"confirm": true, "pids": many}),
            "pids: at most 2048",
        ),
        ("pause", json!({"for": "0s"}), "for: "),
        ("pause", json!({"for": "soon"}), "for: "),
        ("keep", json!({}), "either pid or path"),
        (
            "keep",
            json!({"pid": 42, "path": "/w"}),
            "either pid or path",
        ),
        (
            "keep",
            json!({"path": format!("/{}", "x".repeat(5_000))}),
            "path: longer",
        ),
    ] {
        let error = action(method, params).unwrap_err();
        assert_eq!(error.code, -32602);
        assert!(error.message.starts_with(what), "{}", error.message);
    }
}

#[test]
fn so_many_workspaces_can_be_named_and_no_more() {
    let named = |many: usize| -> Vec<String> {
        // The same one again is not one more.
        (0..many)
            .chain(0..many)
            .map(|number| format!("/workspace-{number}"))
            .collect()
    };
    let fix = |many| action("fix", json!({"confirm": true, "workspaces": named(many)}));
    let Ok(Action::Ask(Request::Fix { selection })) = fix(256) else {
        panic!("no fix");
    };
    assert_eq!(selection.workspaces.len(), 256);
    let error = fix(257).unwrap_err();
    assert_eq!(error.code, -32602);
    assert!(error.message.starts_with("workspaces: at most 256"));
}

#[test]
fn members_are_looked_up_only_on_request() {
    let scan = |params: Value| action("scan", params);
    let of = |survey| {
        Ok(Action::Ask(Request::Scan {
            workspaces: Vec::new(),
            survey,
        }))
    };
    assert_eq!(scan(json!({})), of(None));
    assert_eq!(scan(json!({"members": false})), of(None));
    assert_eq!(scan(json!({"members": true})), of(Some(Survey::OfAll)));
    let selection = Selection {
        pids: vec![42],
        ..Selection::default()
    };
    assert_eq!(
        scan(json!({"members": {"pids": [42]}})),
        of(Some(Survey::OfFix(selection)))
    );
    assert_eq!(
        scan(json!({"members": {}})),
        of(Some(Survey::OfFix(Selection::default())))
    );
    for (wrong, what) in [
        (json!(1), "members: "),
        (json!([]), "members: "),
        (json!({"pids": []}), "members: pids: "),
        (json!({"workspaces": null}), "members: workspaces: null"),
        (json!({"pids": [0]}), "members: pid: "),
        (json!({"confirm": true}), "members: unknown field"),
    ] {
        let error = scan(json!({"members": wrong})).unwrap_err();
        assert_eq!(error.code, -32602);
        assert!(error.message.starts_with(what), "{}", error.message);
    }
}

#[test]
fn no_more_events_are_given_at_once_than_are_in_nobodys_way() {
    let limit = |params: Value| match action("events", params) {
        Ok(Action::Ask(Request::Events(query))) => query.limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(json!({})), Some(20));
    assert_eq!(limit(json!({"limit": 10_000})), Some(10_000));
    assert_eq!(limit(json!({"limit": u64::MAX, "all": true})), Some(10_000));
}

#[test]
fn a_subscription_begins_with_so_many_and_not_with_more() {
    let wanted = |params: Value| action("subscribe", params);
    let of = |limit, status| Ok(Action::Subscribe(Subscribe { limit, status }));
    assert_eq!(wanted(json!({})), of(20, false));
    assert_eq!(wanted(json!({"limit": 0, "status": true})), of(0, true));
    assert_eq!(wanted(json!({"limit": 1000})), of(1000, false));
    for params in [
        json!({"limit": 1001}),
        json!({"limit": -1}),
        json!({"pid": 7}),
    ] {
        assert_eq!(wanted(params).unwrap_err().code, -32602);
    }
}

/// Every error there is, as a line: held to `tests/data/results/errors.json`, where the codes and the kinds that
/// scripts know are never changed. The messages are for people.
#[test]
fn each_error_keeps_its_code_and_its_kind() {
    let long = Duration::from_secs(1);
    let mut errors: Vec<Value> = [
        RpcError::line_too_long(),
        RpcError::line_too_slow(long),
        RpcError::idle(long),
        RpcError::forbidden(1),
        RpcError::already_subscribed(),
        RpcError::too_busy("connections"),
        Refusal::ShuttingDown.into(),
        Refusal::TooBusy("fixes").into(),
        Refusal::NoSuchProcess(9).into(),
        Refusal::NotKept("/a".to_owned()).into(),
        Refusal::TooManyKept.into(),
        Refusal::NotWritten("full".to_owned()).into(),
        Refusal::ConfigRejected("wrong".to_owned()).into(),
        Refusal::Internal("lost".to_owned()).into(),
    ]
    .iter()
    .map(|error| error.response(&json!(1)))
    .collect();
    for line in [
        "no json",
        "[]",
        r#"{"jsonrpc": "2.0", "id": 1, "method": "nothing"}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "method": "scan", "params": {"a": 1}}"#,
    ] {
        let (id, error) = parse(line.as_bytes()).unwrap_err();
        errors.push(error.response(&id));
    }

    let frozen = include_str!("../../../tests/data/results/errors.json");
    let mut frozen: Vec<Value> = serde_json::from_str(frozen).unwrap();
    for error in frozen.iter_mut().chain(&mut errors) {
        assert!(error["error"]["message"].take().is_string(), "{error}");
    }
    for example in &frozen {
        assert!(errors.contains(example), "no longer answered: {example}");
    }
    for error in &errors {
        assert!(frozen.contains(error), "no example of {error}");
    }
}

#[test]
fn what_is_said_twice_is_not_guessed_at() {
    for (method, params) in [
        ("fix", r#"{"confirm":false,"confirm":true}"#),
        ("fix", r#"{"confirm":true,"pids":[7],"pids":[8]}"#),
        ("scan", r#"{"members":{"pids":[7],"pids":[8]}}"#),
        ("scan", r#"{"workspace":"/w","workspace_b64":"L3c="}"#),
        ("keep", r#"{"path":"/w","path_b64":"L3Y="}"#),
        ("unkeep", r#"{"path":"/w","path_b64":"L3c="}"#),
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"{method}","params":{params}}}"#);
        assert_eq!(
            error_of(&line),
            (5.into(), -32602, "invalid_params"),
            "{line}"
        );
    }
    for line in [
        r#"{"jsonrpc":"2.0","id":5,"method":"version","method":"reload"}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"gate","params":{},"params":{"fix":true,"confirm":true}}"#,
        r#"{"jsonrpc":"2.0","id":5,"id":5,"method":"version"}"#,
    ] {
        assert_eq!(
            error_of(line),
            (5.into(), -32602, "invalid_params"),
            "{line}"
        );
    }
    // The same name in two objects is no repetition.
    let line = r#"{"jsonrpc":"2.0","id":5,"method":"scan","params":{"workspace":"/w","members":{"workspaces":["/w"]}}}"#;
    assert!(parse(line.as_bytes()).is_ok());
}

#[test]
fn who_names_too_many_is_not_led_to_name_all() {
    let many: Vec<String> = (0..3_000).map(|number| format!("/w/{number}")).collect();
    let pids: Vec<u32> = (1..=3_000).collect();
    for params in [json!({"workspaces": many}), json!({"pids": pids})] {
        let error = action("fix", params).unwrap_err();
        assert!(error.message.ends_with("in several requests"), "{error:?}");
    }
}

#[test]
fn a_text_is_the_same_value_as_to_everybody_else() {
    for text in [
        r#"{"a":[null,true,-1,18446744073709551615,1.5e300,"\u00e9\n"],"b":{"c":{}},"d":[]}"#,
        "0",
        "-0.0",
        "1e2",
        "\"\"",
        " [1 , 2] ",
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            distinct::value_of(text.as_bytes()).unwrap(),
            (value, None),
            "{text}"
        );
    }
    let deep = "[".repeat(10_000);
    for text in ["", "{", "[1,]", "1 2", "{\"a\":1,}", "nul", deep.as_str()] {
        let error = serde_json::from_str::<Value>(text).unwrap_err();
        let found = distinct::value_of(text.as_bytes()).unwrap_err();
        assert_eq!(found.to_string(), error.to_string());
    }
}
