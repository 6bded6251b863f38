//! A daemon that says what it is told to, at the other end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::*;

/// Answers each request by its method, and how often that was asked before; counts them.
fn daemon_that(
    mut answer: impl FnMut(&str, usize) -> Value + Send + 'static,
) -> (TempDir, PathBuf, Arc<Mutex<Vec<String>>>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    let answer = move |line: &str| {
        let request: Value = serde_json::from_str(line).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        let mut all = all.lock().unwrap();
        let before = all.iter().filter(|one| **one == method).count();
        all.push(method.clone());
        let mut reply = answer(&method, before);
        reply["jsonrpc"] = "2.0".into();
        reply["id"] = request["id"].clone();
        format!("{reply}\n")
    };
    let answer = Arc::new(Mutex::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let reply = (answer.lock().unwrap())(&line);
                    stream.write_all(reply.as_bytes()).await.unwrap();
                    line.clear();
                }
            });
        }
    });
    (folder, socket, asked)
}

fn status(connected: u64) -> Value {
    let terminate = json!({"scope": "group"});
    json!({"result": {
        "peers": {"max_connections": 8, "connected": connected},
        "policy": {"terminate": terminate},
    }})
}

fn too_busy() -> Value {
    json!({"error": {"code": -32002, "message": "busy", "data": {"kind": "too_busy"}}})
}

#[tokio::test]
async fn a_fix_that_finds_no_place_takes_that_of_the_connection_that_is_told() {
    let (_folder, socket, asked) = daemon_that(|method, before| match (method, before) {
        ("status", _) => status(1),
        ("subscribe", _) => json!({"result": {"events": [], "seq": 0}}),
        (_, 0 | 1) => too_busy(),
        _ => json!({"result": {"killed": []}}),
    });
    let (tell, mut told) = channel();
    let answer = daemon(Some(&socket), "fix", json!({"confirm": true}), &tell).await;
    assert_eq!(answer.unwrap().unwrap(), json!({"killed": []}));
    assert!(matches!(
        told.try_recv(),
        Ok(Word::Begun {
            source: Source::Daemon,
            ..
        })
    ));
    let asked = asked.lock().unwrap();
    assert_eq!(*asked, ["status", "subscribe", "fix", "fix", "fix"]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_never_has_a_place_is_not_asked_without_end() {
    let (_folder, socket, asked) = daemon_that(|method, _| match method {
        "status" => status(1),
        "subscribe" => json!({"result": {"events": [], "seq": 0}}),
        _ => too_busy(),
    });
    let (tell, _told) = channel();
    let answer = daemon(Some(&socket), "fix", json!({}), &tell)
        .await
        .unwrap();
    assert!(is_busy(&answer), "{answer:?}");
    let fixes = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|one| *one == "fix")
        .count();
    assert_eq!(fixes, 1 + PLACE_CHECKS as usize);
}

#[tokio::test]
async fn where_there_is_hardly_room_nobody_is_told_and_the_fix_is_done() {
    let (_folder, socket, asked) = daemon_that(|method, _| match method {
        "status" => status(5),
        _ => json!({"result": {"killed": []}}),
    });
    let (tell, mut told) = channel();
    let answer = daemon(Some(&socket), "fix", json!({}), &tell).await;
    assert_eq!(answer.unwrap().unwrap(), json!({"killed": []}));
    assert!(told.try_recv().is_err());
    assert_eq!(*asked.lock().unwrap(), ["status", "fix"]);
}

#[test]
fn who_does_not_listen_in_time_is_told_how_much_was_missed() {
    let (tell, mut told) = channel();
    let mut missed = 0;
    let record = |number: usize| Word::Record(json!({"number": number}));
    for number in 0..WORDS_LIMIT {
        assert!(tell.pass_on(record(number), &mut missed));
    }
    for word in [record(0), Word::Missed(5), record(1)] {
        assert!(tell.pass_on(word, &mut missed));
    }
    assert_eq!(missed, 7);
    // Room for the count and not for what came with it.
    assert_eq!(told.try_recv().unwrap(), record(0));
    assert!(tell.pass_on(record(2), &mut missed));
    assert_eq!(missed, 1);
    let rest: Vec<Word> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(rest.last(), Some(&Word::Missed(7)));
    assert_eq!(rest.len(), WORDS_LIMIT);
    assert!(tell.pass_on(record(3), &mut missed));
    assert_eq!(told.try_recv().unwrap(), Word::Missed(1));
    assert_eq!(told.try_recv().unwrap(), record(3));
    drop(told);
    assert!(!tell.pass_on(record(4), &mut missed), "nobody looks on");
}
