//! What a subscriber is told: a notification for each record, and for the state if it wants that too.
//!
//! Must not know how lines are written. What a subscriber does not read waits here for nobody else.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::supervisor::feed::{Follower, News};

/// The least time between two words about the state: at most four a second.
const STATUS_PAUSE: Duration = Duration::from_millis(250);

/// The state, asked for afresh; none if there is nobody to ask any more.
pub(super) type Status = BoxFuture<'static, Option<Value>>;

/// A subscription of one connection.
pub(super) struct Subscription {
    follower: Follower,
    status: Option<StatusWanted>,
}

/// How the state gets to a subscriber: it may have changed → it is asked for → it is told.
struct StatusWanted {
    changes: watch::Receiver<()>,
    ask: Box<dyn Fn() -> Status + Send>,
    /// It may have changed since it was asked for.
    is_due: bool,
    asked: Option<Status>,
    not_before: Instant,
}

impl Subscription {
    /// Of what `follower` hears; and of the state, if there is a way to ask for it.
    pub(super) fn new(follower: Follower, ask: Option<Box<dyn Fn() -> Status + Send>>) -> Self {
        let status = ask.map(|ask| StatusWanted {
            changes: follower.changes.clone(),
            ask,
            is_due: true,
            asked: None,
            not_before: Instant::now(),
        });
        Self { follower, status }
    }

    /// The next notification, as a line without its end; none when the daemon has ended and everything
    /// was told. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        let state = async {
            match &mut self.status {
                Some(status) => status.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = self.follower.next() => news.map(line),
            state = state => Some(notification("status", &state)),
        }
    }
}

impl StatusWanted {
    /// The state, at once for the first time and then when it may have changed. What is under way
    /// goes on if it is not waited for to the end.
    async fn next(&mut self) -> Value {
        loop {
            if let Some(asked) = &mut self.asked {
                let state = asked.await;
                self.asked = None;
                if let Some(state) = state {
                    return state;
                }
            }
            if !self.is_due && self.changes.changed().await.is_err() {
                // The daemon ends; it has nothing to say of itself any more.
                return std::future::pending().await;
            }
            self.is_due = true;
            tokio::time::sleep_until(self.not_before).await;
            self.is_due = false;
            self.changes.mark_unchanged();
            self.not_before = Instant::now() + STATUS_PAUSE;
            self.asked = Some((self.ask)());
        }
    }
}

fn line(news: News) -> String {
    match news {
        News::Record(record) => {
            let seq = record.seq;
            // It is JSON already, for all subscribers.
            let event = &record.event;
            let unrecorded = match record.is_recorded {
                true => "",
                false => r#","recorded":false"#,
            };
            format!(
                r#"{{"jsonrpc":"2.0","method":"event","params":{{"event":{event}{unrecorded},"seq":{seq}}}}}"#
            )
        }
        News::Missed(missed) => notification("lagged", &json!({ "missed": missed })),
    }
}

fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}
