//! The protocol, line by line: what is understood, what is refused, and that nothing a client can
//! send does any harm.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::{World, in_private_pid_namespace, pids};

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

#[test]
fn version_names_the_program_and_the_protocol() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let version = world.daemon().call("version", &json!({}));
        assert_eq!(version["name"], "team-agentd", "{version}");
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"), "{version}");
        assert_eq!(version["protocol"], 1, "{version}");
    });
}

#[test]
fn a_line_that_is_not_json_is_answered_and_the_next_one_too() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for nonsense in [
            &b"{"[..],
            b"nonsense",
            b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": }",
            b"{} {}",
            b"\x00",
        ] {
            let (code, id) = connection.complaint(nonsense);
            assert_eq!((code, id), (PARSE_ERROR, Value::Null), "{nonsense:?}");
        }
        connection.call("version", &json!({}));
    });
}

#[test]
fn a_line_that_is_not_utf8_is_a_parse_error() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        let line = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xff\xfe\"}";
        assert_eq!(connection.complaint(line).0, PARSE_ERROR);
        connection.call("version", &json!({}));
    });
}

#[test]
fn what_is_not_one_request_of_version_two_is_invalid() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for line in [
            r#"[]"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"version"}]"#,
            r#"1"#,
            r#""version""#,
            r#"null"#,
            r#"{}"#,
            r#"{"id":1,"method":"version"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"version"}"#,
            r#"{"jsonrpc":2.0,"id":1,"method":"version"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"version"}"#,
            r#"{"jsonrpc":"2.0","id":[1],"method":"version"}"#,
        ] {
            assert_eq!(
                connection.complaint(line.as_bytes()).0,
                INVALID_REQUEST,
                "{line}"
            );
        }
        connection.call("version", &json!({}));
    });
}

#[test]
fn a_request_without_an_id_is_refused_and_not_carried_out() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let mut connection = daemon.connect();
        let request = br#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true}}"#;
        assert_eq!(
            connection.complaint(request),
            (INVALID_REQUEST, Value::Null)
        );
        assert_eq!(
            pids(&connection.call("scan", &json!({}))["orphans"]),
            [orphan.pid]
        );
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
    });
}

#[test]
fn an_id_comes_back_as_it_was_sent() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for id in [
            json!("a"),
            json!(""),
            json!(0),
            json!(-1),
            json!(9_007_199_254_740_993_u64),
        ] {
            let request = json!({"jsonrpc": "2.0", "id": id, "method": "version"});
            connection.send(format!("{request}\n").as_bytes());
            let reply = connection.read().unwrap();
            assert_eq!(reply["id"], id);
            assert_eq!(reply["result"]["protocol"], 1, "{reply}");
        }
    });
}

#[test]
fn a_method_that_does_not_exist_is_named_as_such() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for method in ["", "kill", "Scan", "scan ", "rpc.discover"] {
            let code = connection.refusal(method, &json!({}));
            assert_eq!(code, METHOD_NOT_FOUND, "{method:?}");
        }
    });
}

#[test]
fn params_of_a_wrong_type_or_name_are_refused_and_nothing_is_done() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let mut connection = daemon.connect();
        for (method, params) in [
            ("fix", json!({"confirm": "yes"})),
            ("fix", json!({"confirm": 1})),
            ("fix", json!({"confirm": true, "pids": orphan.pid})),
            ("fix", json!({"confirm": true, "pids": ["1"]})),
            ("fix", json!({"confirm": true, "pids": [-1]})),
            ("fix", json!({"confirm": true, "pids": [1.5]})),
            ("fix", json!({"confirm": true, "pids": [4_294_967_297_u64]})),
            ("fix", json!({"confirm": true, "pid": [orphan.pid]})),
            ("fix", json!({"confirm": true, "workspaces": "/"})),
            (
                "fix",
                json!({"confirm": true, "reason": ["workspace_replaced"]}),
            ),
            ("fix", json!([true])),
            ("fix", json!("confirm")),
            ("gate", json!({"fix": true, "confirm": "true"})),
            ("gate", json!({"fix": true, "confirm": true, "force": true})),
            ("scan", json!({"workspace": 1})),
            ("scan", json!({"workspaces": []})),
            ("explain", json!({})),
            ("explain", json!({"pid": "1"})),
            ("events", json!({"limit": "20"})),
            ("events", json!({"limit": -1})),
            ("version", json!({"verbose": true})),
        ] {
            let code = connection.refusal(method, &params);
            assert_eq!(code, INVALID_PARAMS, "{method} {params}");
        }
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
    });
}

#[test]
fn params_may_be_left_out() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for method in ["version", "scan", "status", "gate", "events"] {
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": method});
            connection.send(format!("{request}\n").as_bytes());
            let reply = connection.read().unwrap();
            assert!(reply.get("result").is_some(), "{method}: {reply:#}");
        }
    });
}

/// A version request padded with spaces to `length` bytes, without its line feed.
fn request_of_length(length: usize) -> Vec<u8> {
    let mut request = br#"{"jsonrpc":"2.0","id":1,"method":"version"}"#.to_vec();
    request.resize(length, b' ');
    request
}

#[test]
fn a_line_may_be_64_kib_long_and_no_longer() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        // Whether the line feed counts is nobody's business.
        connection.send(&request_of_length(64 * 1024 - 1));
        connection.send(b"\n");
        assert_eq!(connection.read().unwrap()["result"]["protocol"], 1);

        connection.try_send(&request_of_length(64 * 1024 + 2));
        connection.try_send(b"\n");
        let reply = connection.read().expect("a complaint before hanging up");
        assert!(reply["error"]["code"].is_number(), "{reply}");
        assert_eq!(reply["id"], Value::Null, "{reply}");
        daemon.call("version", &json!({}));
    });
}

#[test]
fn an_endless_line_is_not_held_in_memory() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        for _ in 0..64 {
            connection.try_send(&[b'x'; 1024 * 1024]);
        }
        connection.try_send(b"\n");
        // Complained about, or hung up on.
        if let Some(reply) = connection.read() {
            assert!(reply["error"]["code"].is_number(), "{reply}");
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
        assert!(peak_kib.is_some_and(|kib: u64| kib < 64 * 1024), "{status}");
        daemon.call("version", &json!({}));
    });
}

#[test]
fn requests_in_one_write_are_all_answered_with_their_own_ids() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        let methods = ["scan", "version", "status", "nonsense", "version"];
        let together: String = methods
            .iter()
            .enumerate()
            .map(|(id, method)| {
                format!(
                    "{}\n",
                    json!({"jsonrpc": "2.0", "id": format!("r{id}"), "method": method})
                )
            })
            .collect();
        connection.send(together.as_bytes());
        let mut replies: Vec<Value> = methods.iter().map(|_| connection.read().unwrap()).collect();
        // They may come in any order.
        replies.sort_by_key(|reply| reply["id"].to_string());
        for (id, reply) in replies.iter().enumerate() {
            assert_eq!(reply["id"], format!("r{id}"), "{replies:#?}");
        }
        assert!(replies[0]["result"]["scanned"].is_number(), "{replies:#?}");
        assert_eq!(replies[1]["result"]["protocol"], 1, "{replies:#?}");
        assert!(replies[2]["result"]["daemon"].is_object(), "{replies:#?}");
        assert_eq!(
            replies[3]["error"]["code"], METHOD_NOT_FOUND,
            "{replies:#?}"
        );
        assert_eq!(replies[4]["result"]["protocol"], 1, "{replies:#?}");
    });
}

#[test]
fn a_request_in_pieces_is_one_request() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        let (one, two) = (&request_of_length(60)[..20], &request_of_length(60)[20..]);
        connection.send(one);
        // The daemon has seen the first piece by the time it has answered somebody else.
        daemon.call("version", &json!({}));
        connection.send(two);
        connection.send(b"\n");
        assert_eq!(connection.read().unwrap()["result"]["protocol"], 1);
    });
}

#[test]
fn clients_that_hang_up_in_the_middle_leave_no_trace() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let open_files = || {
            std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
                .unwrap()
                .count()
        };
        let mut watching = daemon.connect();
        watching.call("version", &json!({}));
        let before = open_files();
        // Three each time, and fewer than it would take to keep others out.
        for _ in 0..20 {
            let mut stream = UnixStream::connect(world.socket()).unwrap();
            stream.write_all(br#"{"jsonrpc":"2.0","id":1,"#).unwrap();
            let mut asking = daemon.connect();
            asking.request("scan", &json!({}));
            drop(asking);
            let half_closed = UnixStream::connect(world.socket()).unwrap();
            half_closed.shutdown(Shutdown::Write).unwrap();
        }
        crate::support::wait_until("the daemon has let go of them", || {
            watching.call("version", &json!({}));
            open_files() <= before
        });
    });
}

#[test]
fn a_client_that_stops_writing_still_gets_its_replies() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        // As `echo … | nc -U SOCKET` does.
        let mut connection = daemon.connect();
        connection.request("scan", &json!({}));
        connection.stop_writing();
        assert!(connection.read().expect("a reply")["result"]["scanned"].is_number());
        assert_eq!(connection.read(), None);
    });
}
