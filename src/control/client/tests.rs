//! Whom the client finds, and for how long it waits.

use tokio::net::UnixListener;
use tokio::time::Instant;

use super::*;

#[test]
fn a_usual_place_that_no_socket_can_have_is_passed_over_and_a_named_one_is_not() {
    let usual = PathBuf::from("/run/team-agentd/control.sock");
    let long = Path::new("/").join("x".repeat(120)).join("control.sock");
    let both = vec![long.clone(), usual.clone()];
    assert_eq!(worth_trying(both, false), [usual]);
    assert_eq!(worth_trying(vec![long.clone()], true), [long]);
}

#[tokio::test]
async fn places_that_were_all_passed_over_are_named() {
    let long = Path::new("/").join("x".repeat(120)).join("control.sock");
    let found = Client::connect_to_first(vec![long.clone()], false, Trust::OwnOrRoot).await;
    let said = found.unwrap_err().to_string();
    assert_eq!(said, format!("no daemon on {}", long.display()));
}

/// A daemon that answers so many requests, each on a connection of its own, the first one last: it is
/// answered `late` after it was asked.
async fn ask(answers: usize, late: Duration) -> (Result<Value, CallError>, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let served = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let answer = async {
            tokio::time::sleep(late).await;
            first
                .write_all(b"{\"id\": 1, \"result\": {\"late\": 1}}\n")
                .await
        };
        let others = async {
            let mut open = Vec::new();
            for number in 0.. {
                let (mut other, _) = listener.accept().await.unwrap();
                if number < answers {
                    other
                        .write_all(b"{\"id\": 1, \"result\": {}}\n")
                        .await
                        .unwrap();
                }
                open.push(other);
            }
        };
        tokio::join!(answer, others)
    });
    let mut client = Client::connect(Some(&socket)).await.unwrap();
    let started = Instant::now();
    let answer = client.call("fix", json!({})).await;
    served.abort();
    (answer, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_waited_for_as_long_as_the_daemon_says_how_it_is() {
    let late = Duration::from_secs(1_000);
    let (answer, after) = ask(usize::MAX, late).await;
    assert_eq!(answer.unwrap(), json!({"late": 1}));
    assert_eq!(after.as_secs(), late.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_says_nothing_is_given_up() {
    let late = Duration::from_secs(1_000);
    for (answers, seconds) in [(0, 60), (3, 150)] {
        let (answer, after) = ask(answers, late).await;
        assert!(
            matches!(answer, Err(CallError::Silent { .. })),
            "{answer:?}"
        );
        assert_eq!(after.as_secs(), seconds, "{answers}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_taken_for_none() {
    for (line, is_one) in [
        ("42", false),
        ("[1]", false),
        ("\"x\"", false),
        ("{}", false),
        ("{\"id\": 1, \"result\": null}", false),
        ("{\"id\": 7, \"result\": {}}", false),
        ("{\"id\": 1}", false),
        ("{\"id\": 1, \"result\": {}}", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answering = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.write_all(format!("{line}\n").as_bytes())
                .await
                .unwrap();
            peer
        };
        let asking = async {
            let mut client = Client::connect(Some(&socket)).await.unwrap();
            client.call("pause", json!({})).await
        };
        let (_peer, answer) = tokio::join!(answering, asking);
        assert_eq!(answer.is_ok(), is_one, "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_has_no_end_is_none() {
    let whole = b"{\"id\": 1, \"result\": {}}".as_slice();
    let endless = vec![b' '; 1 << 20];
    for (piece, times, problem) in [
        (whole, 1, "lost the daemon: unexpected end of file"),
        (&endless, 65, "lost the daemon: it answered without an end"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answering = async {
            let (peer, _) = listener.accept().await.unwrap();
            let mut peer = BufReader::new(peer);
            peer.read_line(&mut String::new()).await.unwrap();
            for _ in 0..times {
                // It may have hung up by then.
                let _ = peer.write_all(piece).await;
            }
        };
        let asking = async {
            let mut client = Client::connect(Some(&socket)).await.unwrap();
            client.call("pause", json!({})).await
        };
        let ((), answer) = tokio::join!(answering, asking);
        assert_eq!(answer.unwrap_err().to_string(), problem);
    }
}
