//! What a subscriber is told: a notification for each record, and for the state if it wants that too.
//!
//! Must not know how lines are written. What a subscriber does not read waits here for nobody else.

use std::future::pending;
use std::sync::Arc;

use serde_json::json;

use super::bulletin::{Bulletin, Reader, notification};
use crate::supervisor::feed::{Follower, News};

/// A subscription of one connection.
#[derive(Debug)]
pub(super) struct Subscription {
    follower: Follower,
    state: Option<Reader>,
}

impl Subscription {
    /// Of what `follower` hears; and of the state, if it is wanted.
    pub(super) fn new(follower: Follower, state: Option<Bulletin>) -> Self {
        let state = state.map(|bulletin| Reader::new(bulletin, follower.changes.clone()));
        Self { follower, state }
    }

    /// The next notification, as a line; none when the daemon has ended and everything
    /// was told. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        let state = async {
            match &mut self.state {
                Some(state) => state.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            news = self.follower.next() => news.map(|news| line(news).into()),
            state = state => Some(state),
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
                r#"{{"jsonrpc":"2.0","method":"event","params":{{"event":{event}{unrecorded},"seq":{seq}}}}}
"#
            )
        }
        News::Missed(missed) => notification("lagged", &json!({ "missed": missed }).to_string()),
    }
}
