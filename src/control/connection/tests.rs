//! What a peer may hold, and for how long. Time goes as fast as nothing happens.

use rustix::io::ioctl_fionread;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::super::asking::{FIXES_AT_ONCE, SCANS_AT_ONCE};
use super::super::bulletin::bulletin;
use super::super::lines::LINE_LIMIT_BYTES;
use super::super::writing::WRITE_LIMIT;
use super::*;
use crate::event_log::Rotation;
use crate::orphan::victims::Lineage;
use crate::supervisor::journal::Journal;
use crate::supervisor::request::Request;
use crate::supervisor::run::Asked;

mod displaced;

/// A peer at one end, the connection that is served at the other, and the supervisor's ear.
struct Line {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    served: JoinHandle<()>,
    asked: mpsc::Receiver<Asked>,
    peers: Arc<Peers>,
}

fn connected(peers: &Arc<Peers>) -> Line {
    let (requests, asked) = mpsc::channel(8);
    let (reader, writer, served) = connected_to(peers, requests);
    Line {
        reader: BufReader::new(reader),
        writer,
        served,
        asked,
        peers: Arc::clone(peers),
    }
}

/// The ends of a connection on which these requests go to the supervisor.
fn connected_to(
    peers: &Arc<Peers>,
    requests: mpsc::Sender<Asked>,
) -> (OwnedReadHalf, OwnedWriteHalf, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // Nobody subscribes here: there is no event log.
    let nowhere = std::path::Path::new("/nowhere");
    let rotation = Rotation {
        rotate_bytes: 4096,
        keep: 1,
    };
    let (journal, _) = Journal::start(nowhere, rotation);
    let feed = Feed::new(&journal, watch::channel(0).1, nowhere.to_path_buf(), 1);
    let desk = Desk {
        requests,
        feed,
        bulletin: bulletin().0,
        state: State::default(),
        long_answers: Arc::new(Semaphore::new(16)),
        peers: Arc::clone(peers),
        stop: CancellationToken::new(),
    };
    let peer = Peer {
        uid: 1000,
        pid: None,
        lineage: Arc::new(Lineage::default()),
    };
    let place = peers.admit().unwrap();
    let served = tokio::spawn(serve(theirs, peer, desk, place));
    let (reader, writer) = ours.into_split();
    (reader, writer, served)
}

impl Line {
    async fn say(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line; nothing when the connection was ended.
    async fn heard(&mut self) -> Option<Value> {
        let mut line = String::new();
        let length = self.reader.read_line(&mut line).await.unwrap();
        (length > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    #[track_caller]
    fn assert_turned(&self, turned: Turned) {
        let report = self.peers.report();
        assert_eq!(report["turned_away"][turned.word()], 1, "{report:#}");
    }
}

fn kind_of(answer: Option<&Value>) -> &str {
    answer.unwrap()["error"]["data"]["kind"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_a_line_is_told_so_and_left() {
    let mut line = connected(&Peers::new(8));
    let began = Instant::now();
    // A byte a second.
    let (mut dripping, rest) = (line.writer, line.reader);
    let dripper = tokio::spawn(async move {
        while dripping.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut answer = String::new();
    let mut reader = rest;
    reader.read_line(&mut answer).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(kind_of(Some(&answer)), "line_too_slow");
    assert_eq!(answer["id"], Value::Null);
    assert!(began.elapsed() >= LINE_TIME_LIMIT);
    let mut rest = String::new();
    assert_eq!(reader.read_line(&mut rest).await.unwrap(), 0, "{rest}");
    line.served.await.unwrap();
    dripper.await.unwrap();
    let report = line.peers.report();
    assert_eq!(report["turned_away"]["line_too_slow"], 1);
    assert_eq!(report["connected"], 0);
    assert!(line.asked.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_finishes_its_lines_is_never_too_slow() {
    let mut line = connected(&Peers::new(8));
    let began = Instant::now();
    while began.elapsed() < LINE_TIME_LIMIT * 4 {
        line.say(r#"{"jsonrpc": "2.0", "id": 1, "#).await;
        tokio::time::sleep(LINE_TIME_LIMIT / 2).await;
        line.say("\"method\": \"version\"}\n").await;
        assert_eq!(line.heard().await.unwrap()["result"]["protocol"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_for_long_is_told_so_and_left() {
    let mut line = connected(&Peers::new(8));
    line.say("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"version\"}\n")
        .await;
    line.heard().await.unwrap();
    let began = Instant::now();
    assert_eq!(kind_of(line.heard().await.as_ref()), "idle");
    assert!(began.elapsed() >= IDLE_LIMIT);
    assert_eq!(line.heard().await, None);
    line.assert_turned(Turned::Idle);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_is_not_idle_and_keeps_its_place() {
    let peers = Peers::new(1);
    let mut line = connected(&peers);
    line.say("{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n")
        .await;
    let asked = line.asked.recv().await.unwrap();
    tokio::time::sleep(IDLE_LIMIT * 2).await;
    assert!(peers.admit().is_none(), "somebody waits there");
    asked.answer.send(Ok(Value::from("seen").into())).unwrap();
    assert_eq!(line.heard().await.unwrap()["result"], "seen");
    // Now it does not any more.
    let newcomer = peers.admit().unwrap();
    assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
    assert_eq!(line.heard().await, None);
    line.assert_turned(Turned::Displaced);
    line.assert_turned(Turned::NoPlace);
    drop(newcomer);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_its_answers_is_left() {
    let mut line = connected(&Peers::new(8));
    // More than fits in between: the answers to lines that are no requests.
    let noise = "x\n".repeat(8 << 10);
    let writing = async { while line.writer.write_all(noise.as_bytes()).await.is_ok() {} };
    writing.await;
    line.served.await.unwrap();
    let report = line.peers.report();
    assert_eq!(report["turned_away"]["did_not_read"], 1, "{report:#}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_counted_and_the_connection_goes_on() {
    let mut line = connected(&Peers::new(8));
    let long = "x".repeat(LINE_LIMIT_BYTES + 1);
    line.say(&format!("{long}\n")).await;
    assert_eq!(kind_of(line.heard().await.as_ref()), "line_too_long");
    for id in 0..=IN_FLIGHT_LIMIT {
        line.writer
            .write_all(
                format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"method\": \"doctor\"}}\n")
                    .as_bytes(),
            )
            .await
            .unwrap();
    }
    let mut asked = Vec::new();
    for _ in 0..IN_FLIGHT_LIMIT {
        asked.push(line.asked.recv().await.unwrap());
    }
    assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
    line.assert_turned(Turned::LineTooLong);
    line.assert_turned(Turned::TooManyRequests);
    for one in asked {
        one.answer.send(Ok(Value::Null.into())).unwrap();
    }
    for _ in 0..IN_FLIGHT_LIMIT {
        assert_eq!(line.heard().await.unwrap()["result"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_says_who_is_connected_and_who_was_turned_away() {
    let peers = Peers::new(8);
    let mut line = connected(&peers);
    peers.count(Turned::Forbidden);
    line.say("{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"status\"}\n")
        .await;
    let asked = line.asked.recv().await.unwrap();
    asked
        .answer
        .send(Ok(serde_json::json!({"daemon": {}}).into()))
        .unwrap();
    let answer = line.heard().await.unwrap();
    assert_eq!(answer["result"]["peers"]["connected"], 1, "{answer:#}");
    assert_eq!(answer["result"]["peers"]["turned_away"]["forbidden"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_leaves_its_place_and_not_its_request_and_who_waits_for_its_answers_stays() {
    for is_gone in [false, true] {
        let peers = Peers::new(1);
        let mut line = connected(&peers);
        line.say("{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n")
            .await;
        let asked = line.asked.recv().await.expect("a request");
        let reader = (!is_gone).then_some(line.reader);
        // Half of it is closed by that, and all of it if nobody reads.
        drop(line.writer);
        tokio::time::sleep(HANG_UP_CHECKS * 3).await;
        assert_eq!(peers.admit().is_some(), is_gone);
        assert_eq!(asked.answer.send(Ok(Value::from("done").into())), Ok(()));
        if let Some(mut reader) = reader {
            let mut answer = String::new();
            reader.read_line(&mut answer).await.unwrap();
            assert!(answer.contains("done"), "{answer}");
        }
        line.served.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_the_supervisor_is_gone_is_told_that_it_stops() {
    let mut line = connected(&Peers::new(1));
    line.asked.close();
    line.say("{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n")
        .await;
    assert_eq!(kind_of(line.heard().await.as_ref()), "shutting_down");
    let mut line = connected(&Peers::new(1));
    line.say("{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n")
        .await;
    drop(line.asked.recv().await.expect("a request"));
    assert_eq!(kind_of(line.heard().await.as_ref()), "shutting_down");
}

#[tokio::test(start_paused = true)]
async fn one_look_of_a_peer_waits_for_the_one_before_it_and_nothing_else_does() {
    let mut line = connected(&Peers::new(8));
    let request = |id: u64, rest: &str| format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, {rest}}}\n");
    let explain = "\"method\": \"explain\", \"params\": {\"pid\": 1}";
    for (id, rest) in [(1, explain), (2, explain), (3, "\"method\": \"scan\"")] {
        line.say(&request(id, rest)).await;
    }
    let first = line.asked.recv().await.unwrap();
    assert!(matches!(first.request, Request::Explain { .. }));
    let scan = line.asked.recv().await.unwrap();
    assert!(matches!(scan.request, Request::Scan { .. }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(line.asked.try_recv().is_err(), "the second look waits");
    first.answer.send(Ok(Value::Null.into())).unwrap();
    assert_eq!(line.heard().await.unwrap()["id"], 1);
    let second = line.asked.recv().await.unwrap();
    second.answer.send(Ok(Value::Null.into())).unwrap();
    scan.answer.send(Ok(Value::Null.into())).unwrap();
    let mut ids = [line.heard().await.unwrap(), line.heard().await.unwrap()]
        .map(|answer| answer["id"].as_u64().unwrap());
    ids.sort_unstable();
    assert_eq!(ids, [2, 3]);
}

const VERSION: &str = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"version\"}\n";

#[tokio::test(start_paused = true)]
async fn however_many_lines_one_has_sent_the_others_have_their_turns_after_each() {
    let peers = Peers::new(8);
    let (mut flood, mut other) = (connected(&peers), connected(&peers));
    flood.say(VERSION).await;
    let one_answer = flood.reader.fill_buf().await.unwrap().len();
    flood.say(&VERSION.repeat(500)).await;
    other.say(VERSION).await;
    assert_eq!(other.heard().await.unwrap()["id"], 1);
    let socket: &UnixStream = flood.reader.get_ref().as_ref();
    let answered = usize::try_from(ioctl_fionread(socket).unwrap()).unwrap() / one_answer;
    assert!(answered < 20, "{answered} of 500 were answered first");
}

#[tokio::test(start_paused = true)]
async fn of_what_one_has_asked_one_request_waits_before_those_of_others_and_no_more() {
    const ROOM: usize = 2;
    let peers = Peers::new(8);
    let (requests, mut asked) = mpsc::channel(ROOM);
    let (_listening, mut many, _) = connected_to(&peers, requests.clone());
    let (_listening_too, mut other, _) = connected_to(&peers, requests);
    let reload = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"reload\"}\n";
    many.write_all(reload.repeat(20).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let doctor = reload.replace("reload", "doctor");
    other.write_all(doctor.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut before = 0;
    while asked.recv().await.unwrap().request != Request::Doctor {
        before += 1;
    }
    assert_eq!(before, ROOM + 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_keeps_nobody_from_the_supervisor() {
    let peers = Peers::new(64);
    // Less room than there are peers that do not read.
    let (requests, mut asked) = mpsc::channel::<Asked>(4);
    let supervisor = tokio::spawn(async move {
        // More than a socket takes that nobody reads.
        let long = Value::from("x".repeat(1 << 20));
        while let Some(one) = asked.recv().await {
            let _ = one.answer.send(Ok(long.clone().into()));
        }
    });
    let many: String = ["reload", "doctor", "status"]
        .map(|method| {
            format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"{method}\"}}\n").repeat(10)
        })
        .concat();
    let mut silent = Vec::new();
    for _ in 0..20 {
        let (reader, mut writer, _) = connected_to(&peers, requests.clone());
        writer.write_all(many.as_bytes()).await.unwrap();
        silent.push((reader, writer));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (reader, mut writer, _) = connected_to(&peers, requests);
    let began = Instant::now();
    let scan = "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n";
    writer.write_all(scan.as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).await.unwrap();
    assert!(answer.starts_with("{\"id\":7,"), "{}", &answer[..40]);
    assert!(began.elapsed() < WRITE_LIMIT / 2, "{:?}", began.elapsed());
    supervisor.abort();
}

#[tokio::test(start_paused = true)]
async fn of_what_has_long_answers_one_waits_for_so_many_at_a_time() {
    let mut line = connected(&Peers::new(8));
    for (method, at_once) in [
        ("\"scan\"", SCANS_AT_ONCE),
        ("\"gate\"", SCANS_AT_ONCE),
        ("\"events\"", 1),
        ("\"fix\", \"params\": {\"confirm\": true}", FIXES_AT_ONCE),
    ] {
        for id in 0..20 {
            let request = format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"method\": {method}}}\n");
            line.say(&request).await;
        }
        let mut answered = 0;
        while answered < 20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked: Vec<Asked> = std::iter::from_fn(|| line.asked.try_recv().ok()).collect();
            assert_eq!(asked.len(), at_once.min(20 - answered), "{method}");
            for one in asked {
                one.answer.send(Ok(Value::Null.into())).unwrap();
                line.heard().await.unwrap();
                answered += 1;
            }
        }
    }
}
