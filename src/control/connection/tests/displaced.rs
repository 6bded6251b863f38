//! Who loses its place to a newcomer: what it still gets, and that it holds nobody up.

use super::*;

/// Somebody who says this, and loses its place to the newcomer at the same moment.
async fn displaced_saying(text: &str) -> (Line, Place) {
    let peers = Peers::new(1);
    let mut line = connected(&peers);
    // It listens by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    line.say(text).await;
    let newcomer = peers.admit().unwrap();
    (line, newcomer)
}

#[tokio::test(start_paused = true)]
async fn who_loses_its_place_gets_an_answer_to_what_it_had_sent() {
    for _ in 0..20 {
        let asks = "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"version\"}\n";
        let (mut line, _newcomer) = displaced_saying(asks).await;
        let answer = line.heard().await.expect("an answer");
        assert_eq!(answer["id"], 7, "{answer}");
        assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
        assert!(line.heard().await.is_none(), "and nothing more");
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_its_place_gets_answers_to_all_that_it_had_sent() {
    const MANY: u64 = 5;
    for _ in 0..20 {
        let requests = (0..MANY).map(|id| match id % 2 {
            0 => format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"method\": \"version\"}}\n"),
            _ => format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"method\": \"scan\"}}\n"),
        });
        let asks: String = requests.collect();
        let (mut line, _newcomer) = displaced_saying(&asks).await;
        for _ in 0..MANY / 2 {
            let asked = line.asked.recv().await.expect("a request");
            asked.answer.send(Ok(Value::Null.into())).unwrap();
        }
        let mut ids = Vec::new();
        for _ in 0..MANY {
            let answer = line.heard().await.expect("an answer");
            ids.push(answer["id"].as_u64().expect("an answer to a request"));
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..MANY).collect::<Vec<u64>>());
        assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
        assert!(line.heard().await.is_none(), "and nothing more");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_place_is_told_of_nothing() {
    for _ in 0..20 {
        let asks = "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"subscribe\"}\n";
        let (mut line, _newcomer) = displaced_saying(asks).await;
        let answer = line.heard().await.expect("an answer");
        assert_eq!(answer["id"], 7, "{answer}");
        assert_eq!(kind_of(Some(&answer)), "too_busy");
        assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
        assert!(line.heard().await.is_none(), "and nothing more");
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_its_place_gets_an_answer_to_what_it_had_asked_of_the_supervisor() {
    for _ in 0..20 {
        let asks = "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n";
        let (mut line, _newcomer) = displaced_saying(asks).await;
        let asked = line.asked.recv().await.expect("a request");
        asked.answer.send(Ok(Value::Null.into())).unwrap();
        let answer = line.heard().await.expect("an answer");
        assert_eq!(
            (&answer["id"], &answer["result"]),
            (&7.into(), &Value::Null)
        );
        assert_eq!(kind_of(line.heard().await.as_ref()), "too_busy");
        assert!(line.heard().await.is_none(), "and nothing more");
    }
}

/// Answers that wait to be read.
fn unread(line: &Line, one_answer: usize) -> usize {
    let socket: &UnixStream = line.reader.get_ref().as_ref();
    usize::try_from(ioctl_fionread(socket).unwrap()).unwrap() / one_answer
}

#[tokio::test(start_paused = true)]
async fn while_one_that_has_lost_its_place_is_answered_others_have_their_turns() {
    const MANY: usize = 100;
    let peers = Peers::new(2);
    let (mut flood, mut other) = (connected(&peers), connected(&peers));
    flood.say("x\n").await;
    let one_answer = flood.reader.fill_buf().await.unwrap().len();
    other.say(VERSION).await;
    other.heard().await.unwrap();
    flood.say(&"x\n".repeat(MANY)).await;
    let _newcomer = peers.admit().unwrap();
    let mut before = 0;
    while !flood.served.is_finished() {
        other.say(VERSION).await;
        other.heard().await.unwrap();
        let now = unread(&flood, one_answer);
        assert!(now < before + 20, "{} in one turn", now - before);
        before = now;
    }
    assert!(before >= 64, "{before} were answered");
}

#[tokio::test]
async fn who_goes_on_sending_when_it_has_lost_its_place_is_left_all_the_same() {
    let peers = Peers::new(1);
    let mut line = connected(&peers);
    line.say(VERSION).await;
    line.heard().await.unwrap();
    let (mut reader, mut writer) = (line.reader, line.writer);
    let flood = tokio::spawn(async move { while writer.write_all(&[b'\n'; 512]).await.is_ok() {} });
    let _newcomer = peers.admit().unwrap();
    let mut said = String::new();
    // The daemon hangs up while there is more to be read.
    let _ = tokio::time::timeout(Duration::from_secs(30), reader.read_line(&mut said))
        .await
        .expect("it comes to an end");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(kind_of(Some(&said)), "too_busy");
    line.served.await.unwrap();
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_place_and_reads_nothing_is_left_soon() {
    for is_stuck_before in [true, false] {
        let peers = Peers::new(1);
        let line = connected(&peers);
        let noise = "x\n".repeat(8 << 10);
        line.writer.writable().await.unwrap();
        let _ = line.writer.try_write(noise.as_bytes());
        if is_stuck_before {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let began = Instant::now();
        let _newcomer = peers.admit().unwrap();
        line.served.await.unwrap();
        assert!(began.elapsed() < WRITE_LIMIT / 10, "{:?}", began.elapsed());
        assert_eq!(line.peers.report()["turned_away"]["did_not_read"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_place_and_reads_slowly_gets_its_answer() {
    let peers = Peers::new(1);
    let asks = "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"scan\"}\n";
    let mut line = connected(&peers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    line.say(asks).await;
    let _newcomer = peers.admit().unwrap();
    let asked = line.asked.recv().await.expect("a request");
    // More than a socket takes that nobody reads.
    let long = Value::from("x".repeat(4 << 20));
    asked.answer.send(Ok(long.into())).unwrap();
    let mut read = 0;
    let mut last = 0;
    let mut some = vec![0; 128 << 10];
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match line.reader.read(&mut some).await.unwrap() {
            0 => break,
            length => (read, last) = (read + length, length),
        }
    }
    assert!(read > 4 << 20, "{read}");
    let end = String::from_utf8_lossy(&some[..last]);
    assert!(end.contains("too_busy"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_goes_after_who_is_silent_and_who_asks_nothing_before_both() {
    let peers = Peers::new(3);
    let (mut asks, mut silent) = (connected(&peers), connected(&peers));
    let mut noisy = connected(&peers);
    for line in [&mut asks, &mut silent] {
        line.say(VERSION).await;
        line.heard().await.unwrap();
    }
    for text in [
        VERSION,
        "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"fix\"}\n",
    ] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        asks.say(text).await;
        asks.heard().await.unwrap();
        for noise in [
            "x\n",
            "{}\n",
            "{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"fix\"}\n",
        ] {
            noisy.say(noise).await;
            noisy.heard().await.unwrap();
        }
        noisy.say("\n").await;
    }
    let newcomer = peers.admit().unwrap();
    newcomer.has_asked();
    assert_eq!(kind_of(noisy.heard().await.as_ref()), "too_busy");
    let _another = peers.admit().unwrap();
    assert_eq!(kind_of(silent.heard().await.as_ref()), "too_busy");
    asks.say(VERSION).await;
    assert_eq!(asks.heard().await.unwrap()["result"]["protocol"], 1);
}
