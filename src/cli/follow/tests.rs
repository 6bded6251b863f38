//! What is printed of what happens, and what a daemon that cannot answer leaves of that.

use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::*;
use crate::cli::terminal::Terminal;

mod growing;

use self::growing::{Growing, LAST};

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

fn asked_for(limit: Option<u32>, pid: Option<Pid>) -> EventsArgs {
    EventsArgs {
        limit,
        follow: true,
        all: true,
        pid,
        since: None,
    }
}

fn view() -> View {
    View {
        terminal: Terminal {
            is_terminal: false,
            width: 80,
        },
        now: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        program: render::PROGRAM.to_owned(),
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
    let (args, view) = (asked_for(None, None), view());
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

/// Reads up to the last record, and goes away.
#[derive(Default)]
struct Reader {
    text: Vec<u8>,
    has_all: bool,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.has_all |= String::from_utf8_lossy(bytes).contains(LAST);
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.has_all {
            true => Err(std::io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

/// What is printed of a log that grows.
async fn followed(daemon: Growing, limit: u32, pid: Option<Pid>) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (mut reader, mut err) = (Reader::default(), Vec::new());
    let mut output = Output::new(&mut reader, &mut err);
    let (args, view) = (asked_for(Some(limit), pid), view());
    let follow = follow(&args, Some(&socket), &mut output, &view, true);
    tokio::select! {
        () = daemon.serve(&listener) => {}
        // What is missing then shows in what was printed.
        () = sleep(Duration::from_secs(60)) => {}
        followed = follow => followed.unwrap(),
    }
    assert_eq!(String::from_utf8(err).unwrap(), "");
    let text = String::from_utf8(reader.text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_last_ones_there_were_and_then_all_that_come_are_printed_in_the_order_of_the_log() {
    const BEFORE: usize = 2_000;
    for (by, limit, room, is_busy, pid) in [
        (0, 20, 1_024, false, None),
        (3, 2, 1_024, false, None),
        (60, 50, 1_024, false, None),
        (60, 50, 1_024, false, Some(1)),
        // So much that some was dropped before it was read.
        (60, 50, 10, false, None),
        (60, 50, 10, false, Some(1)),
        // Nothing is known that it began behind.
        (60, 50, 1_024, true, None),
        (60, 50, 10, true, Some(1)),
        (0, 3_000, 1_024, false, None),
    ] {
        let daemon = Growing::new(BEFORE, by, room, is_busy);
        let log = daemon.in_the_end();
        let begin = BEFORE + if is_busy { by } else { 0 };
        let is_wanted = |event: &&Value| pid.is_none_or(|pid: Pid| event["pid"] == pid);
        let (before, after) = log.split_at(begin);
        let before: Vec<_> = before.iter().filter(is_wanted).collect();
        let before = &before[before.len().saturating_sub(limit as usize)..];
        let expected: Vec<Value> = before.iter().copied().cloned().collect();
        let expected = [expected, after.iter().filter(is_wanted).cloned().collect()].concat();
        let printed = followed(daemon, limit, pid).await;
        let case = (by, limit, room, is_busy, pid);
        assert!(printed == expected, "{case:?}: {printed:?}");
    }
}

#[tokio::test]
async fn of_a_log_that_grows_however_fast_nothing_is_left_out_once_it_has_begun() {
    for (by, limit, room, is_busy) in [
        (500, 20, 1_024, false),
        (5_000, 20, 1_024, false),
        (15_000, 20_000, 1_024, true),
    ] {
        let daemon = Growing::new(12_000, by, room, is_busy);
        let log = daemon.in_the_end();
        let printed = followed(daemon, limit, None).await;
        let case = (by, limit, room, is_busy);
        assert!(printed.len() >= 2 * by, "{case:?}: {}", printed.len());
        assert!(log.ends_with(&printed), "{case:?}");
    }
}
