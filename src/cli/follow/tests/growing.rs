//! A daemon whose log grows while it is read.

use std::cell::RefCell;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What only the last record has in it.
pub(super) const LAST: &str = "the last one";

/// The log grows before each of the first answers that it gives, and once more then. Only then anything is told.
pub(super) struct Growing {
    log: Vec<Value>,
    by: usize,
    times: usize,
    /// So many records wait for who is told.
    room: usize,
    /// All that it reads for who subscribes is written meanwhile, and told.
    is_busy: bool,
    told: Option<UnboundedSender<String>>,
    waiting: Vec<Value>,
    has_missed: bool,
}

/// A record of one of three processes.
fn record(number: usize) -> Value {
    json!({"ts": format!("{number:06}"), "pid": number % 3})
}

fn records(first: usize, many: usize, is_end: bool) -> Vec<Value> {
    let last = is_end.then(|| json!({"ts": "999999", "pid": 1, "what": LAST}));
    (first..first + many).map(record).chain(last).collect()
}

impl Growing {
    /// Among the first are some lines that are no records, and all alike.
    pub(super) fn new(before: usize, by: usize, room: usize, is_busy: bool) -> Self {
        let mut log = records(0, before, false);
        for line in log.iter_mut().skip(9).step_by(10) {
            *line = json!({"raw": "garbage"});
        }
        Self {
            log,
            by,
            // What it begins behind is looked up before what it is to begin with.
            times: if is_busy { 2 } else { 1 },
            room,
            is_busy,
            told: None,
            waiting: Vec::new(),
            has_missed: false,
        }
    }

    /// The log when it has grown.
    pub(super) fn in_the_end(&self) -> Vec<Value> {
        let more = records(self.log.len(), (self.times + 1) * self.by, true);
        self.log.iter().cloned().chain(more).collect()
    }

    fn grow(&mut self, is_end: bool) {
        let new = records(self.log.len(), self.by, is_end);
        self.waiting.extend(new.iter().cloned());
        self.log.extend(new);
        let surplus = self.waiting.len().saturating_sub(self.room);
        self.has_missed |= surplus > 0;
        self.waiting.drain(..surplus);
    }

    fn answer(&mut self, request: &Value) -> Value {
        let params = &request["params"];
        let number = |name: &str| usize::try_from(params[name].as_u64().unwrap_or(0)).unwrap();
        if request["method"] == "subscribe" {
            self.waiting.clear();
            self.has_missed = false;
            let limit = if self.is_busy { 0 } else { number("limit") };
            return json!({"events": self.log[self.log.len() - limit..]});
        }
        if self.times > 0 {
            self.grow(false);
        }
        let pid = params.get("pid");
        let is_wanted = |event: &&Value| pid.is_none_or(|pid| event["pid"] == *pid);
        let found: Vec<_> = self.log.iter().filter(is_wanted).collect();
        let end = found.len().saturating_sub(number("skip"));
        let begin = end.saturating_sub(number("limit").min(10_000));
        let answer = json!({"events": found[begin..end]});
        if self.times > 0 {
            self.times -= 1;
            if self.times == 0 {
                self.grow(true);
                self.tell();
            }
        }
        answer
    }

    fn tell(&mut self) {
        let lagged = self
            .has_missed
            .then(|| json!({"method": "lagged", "params": {"missed": 1}}));
        let events = self
            .waiting
            .drain(..)
            .map(|event| json!({"method": "event", "params": {"event": event}}));
        let told: String = lagged
            .into_iter()
            .chain(events)
            .map(|one| format!("{one}\n"))
            .collect();
        self.told.as_ref().unwrap().send(told).unwrap();
    }

    /// Serves whoever comes.
    pub(super) async fn serve(self, listener: &UnixListener) {
        let daemon = RefCell::new(self);
        let mut peers = FuturesUnordered::new();
        loop {
            tokio::select! {
                came = listener.accept() => peers.push(attend(&daemon, came.unwrap().0)),
                Some(()) = peers.next() => {}
            }
        }
    }
}

async fn attend(daemon: &RefCell<Growing>, stream: UnixStream) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while stream.read_line(&mut request).await.unwrap_or(0) > 0 {
        let asked: Value = serde_json::from_str(&request).unwrap();
        request.clear();
        let result = daemon.borrow_mut().answer(&asked);
        let answer = format!("{}\n", json!({"id": asked["id"], "result": result}));
        let _ = stream.write_all(answer.as_bytes()).await;
        if asked["method"] == "subscribe" {
            let (told, mut news) = unbounded_channel::<String>();
            daemon.borrow_mut().told = Some(told);
            while let Some(lines) = news.recv().await {
                let _ = stream.write_all(lines.as_bytes()).await;
            }
        }
    }
}
