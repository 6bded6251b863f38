//! Where it listens, and who finds a place.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::event_log::Rotation;
use crate::supervisor::journal::Journal;
use crate::supervisor::request::Reply;
use crate::supervisor::run::Asked;

/// A feed that nobody follows.
fn feed() -> Feed {
    let nowhere = Path::new("/nowhere");
    let rotation = Rotation {
        rotate_bytes: 4096,
        keep: 1,
    };
    let (journal, _) = Journal::start(nowhere, rotation);
    Feed::new(&journal, watch::channel(0).1, nowhere.to_path_buf(), 1)
}

async fn line_of(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn who_finds_every_place_taken_by_somebody_who_waits_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/control.sock");
    let listener = Listener::bind_first(std::slice::from_ref(&socket)).unwrap();
    assert_eq!(listener.socket(), Some(socket.as_path()));
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (requests, mut asked) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let served = tokio::spawn(listener.run(requests, feed(), 2, stop.clone()));
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = BufReader::new(UnixStream::connect(&socket).await.unwrap());
        let scan = b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"scan\"}\n";
        stream.write_all(scan).await.unwrap();
        let request = asked.recv().await.unwrap();
        waiting.push((stream, request));
    }
    let mut third = BufReader::new(UnixStream::connect(&socket).await.unwrap());
    let answer = line_of(&mut third).await;
    assert_eq!(answer["error"]["data"]["kind"], "too_busy", "{answer}");
    assert_eq!(answer["id"], Value::Null);
    // Those who waited get their answers, also when it stops.
    stop.cancel();
    for (mut stream, request) in waiting {
        request.answer.send(Ok(Value::from("done").into())).unwrap();
        assert_eq!(line_of(&mut stream).await["result"], "done");
    }
    served.await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn one_that_listens_without_a_lock_is_not_pushed_aside() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let elsewhere = folder.path().join("elsewhere.sock");
    let error = Listener::bind_first(&[socket.clone(), elsewhere]).unwrap_err();
    assert!(
        matches!(error, ListenError::AlreadyRunning { holder: None, .. }),
        "{error}"
    );
    assert!(socket.exists());
}

#[tokio::test]
async fn the_next_place_is_taken_where_no_directory_can_be_made_and_the_first_is_named_if_there_is_none()
 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (unfit, fit) = (
        file.join("control.sock"),
        folder.path().join("control.sock"),
    );
    let listener = Listener::bind_first(&[unfit.clone(), fit.clone()]).unwrap();
    assert_eq!(listener.socket(), Some(fit.as_path()));
    let error = Listener::bind_first(&[unfit.clone(), file.join("too/control.sock")]).unwrap_err();
    assert!(
        error.to_string().contains(&*file.to_string_lossy()),
        "{error}"
    );
    // No socket can have so long a path.
    let long = folder.path().join("x".repeat(120)).join("control.sock");
    drop(listener);
    let listener = Listener::bind_first(&[long.clone(), fit.clone()]).unwrap();
    assert_eq!(listener.socket(), Some(fit.as_path()));
    let error = Listener::bind_first(&[long]).unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }), "{error}");
    let error = Listener::bind_first(&[]).unwrap_err();
    assert!(matches!(error, ListenError::NoPlace), "{error}");
}

#[tokio::test]
async fn however_many_have_lost_their_places_and_do_not_read_newcomers_are_served() {
    const PLACES: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/control.sock");
    let listener = Listener::bind_first(std::slice::from_ref(&socket)).unwrap();
    let (requests, mut asked) = mpsc::channel::<Asked>(8);
    let supervisor = tokio::spawn(async move {
        // More than a socket takes that nobody reads.
        let long = format!("\"{}\"", "x".repeat(1 << 20));
        while let Some(one) = asked.recv().await {
            let _ = one.answer.send(Ok(Reply::Json(long.clone())));
        }
    });
    let stop = CancellationToken::new();
    let served = tokio::spawn(listener.run(requests, feed(), PLACES, stop.clone()));
    let mut silent = Vec::new();
    for round in 0..5 {
        for _ in 0..PLACES {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            let doctor = b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"doctor\"}\n";
            stream.write_all(doctor).await.unwrap();
            // There is an answer, and it waits to be read from now on.
            stream.readable().await.unwrap();
            silent.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut newcomer = BufReader::new(UnixStream::connect(&socket).await.unwrap());
        let version = b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"version\"}\n";
        // Whether it is served or not, it is told.
        let _ = newcomer.write_all(version).await;
        let answer = line_of(&mut newcomer).await;
        assert_eq!(answer["result"]["protocol"], 1, "{round}: {answer}");
    }
    drop(silent);
    stop.cancel();
    served.await.unwrap();
    supervisor.await.unwrap();
}
