//! What is printed of what happens, and what a daemon that cannot answer leaves of that.

use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::*;
use crate::cli::terminal::Terminal;

#[test]
fn an_event_is_new_once_and_only_so_many_are_remembered() {
    let mut seen = Seen::default();
    let event = |number: usize| json!({"ts": number.to_string(), "event": "e"});
    assert!(seen.add(&event(0)));
    assert!(!seen.add(&event(0)));
    for number in 1..=REMEMBERED {
        assert!(seen.add(&event(number)));
    }
    assert!(!seen.has(&event(0)));
    assert!(seen.has(&event(1)));
    assert_eq!(seen.marks.len(), REMEMBERED);
}

#[test]
fn what_comes_is_chosen_like_what_was_there() {
    let wanted = |pid, since: Option<&str>| Wanted {
        pid,
        since: since.map(|since| since.parse().unwrap()),
    };
    let event = json!({"ts": "2026-05-26T12:00:00.000000+00:00", "pid": 7});
    let raw = json!({"raw": "half a li"});
    for (pid, since, chosen) in [
        (None, None, true),
        (Some(7), None, true),
        (Some(8), None, false),
        (None, Some("2026-05-26T12:00:00Z"), true),
        (None, Some("2026-05-26T12:00:01Z"), false),
        (Some(7), Some("2026-05-26T11:00:00Z"), true),
    ] {
        assert_eq!(wanted(pid, since).has(&event), chosen, "{pid:?} {since:?}");
        let filters = pid.is_some() || since.is_some();
        assert_eq!(wanted(pid, since).has(&raw), !filters);
    }
}

/// A daemon: what it answers to each request, wherever it comes from, and must be asked in this order.
async fn serve(listener: UnixListener, script: &[(&str, Value, &str)]) {
    let mut open = Vec::new();
    for (method, answer, then) in script {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await.unwrap();
        let request: Value = serde_json::from_str(&request).unwrap();
        assert_eq!(request["method"], *method);
        let mut answer = answer.clone();
        answer["id"] = request["id"].clone();
        let lines = format!("{answer}\n{then}");
        stream.write_all(lines.as_bytes()).await.unwrap();
        open.push(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_pass_is_waited_for_and_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let lagged = "{\"method\":\"lagged\",\"params\":{\"missed\":1}}\n";
    let event = |number: usize| json!({"ts": number.to_string(), "event": "e"});
    let events = |events: &[usize]| json!({"result": {"events": events.iter().map(|number| event(*number)).collect::<Vec<_>>()}});
    let error =
        |kind: &str| json!({"error": {"code": -32603, "message": kind, "data": {"kind": kind}}});
    let script = [
        ("subscribe", events(&[1]), lagged),
        ("events", events(&[1]), ""),
        ("events", error("internal"), ""),
        ("subscribe", error("internal"), ""),
        ("subscribe", events(&[]), lagged),
        ("events", error("too_busy"), ""),
        ("subscribe", events(&[]), lagged),
        ("events", events(&[1, 2]), ""),
        // This one says that waiting is no use.
        ("events", error("forbidden"), ""),
    ];
    let args = EventsArgs {
        limit: None,
        follow: true,
        all: false,
        pid: None,
        since: None,
    };
    let view = View {
        terminal: Terminal {
            is_terminal: false,
            width: 80,
        },
        now: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        program: render::PROGRAM.to_owned(),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output::new(&mut out, &mut err);
    let follow = follow(&args, Some(&socket), &mut output, &view, true);
    let (followed, ()) = tokio::join!(follow, serve(listener, &script));
    assert_eq!(followed.unwrap_err().message, "forbidden");
    let expected = format!("{}\n{}\n", event(1), event(2));
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let said = String::from_utf8(err).unwrap();
    assert_eq!(said, "internal: trying again\ntoo_busy: trying again\n");
}
