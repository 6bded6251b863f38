//! The state in words, made once for all who ask for it at the same time: it may be long, and they may be many.
//!
//! Must not know who they are, nor how lines are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, oneshot};

use super::peers::Peers;
use crate::orphan::victims::Lineage;
use crate::os::host::own_uid;
use crate::supervisor::request::{Peer, Refusal, Reply, Request};
use crate::supervisor::run::{Asked, Requests};

/// Where the state is asked for. Whoever waits here is to be polled until it is answered: it may be the one that asks
/// for all.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Counts who comes, and who is asked.
    clock: Arc<AtomicU64>,
    last: Arc<Mutex<Issue>>,
}

/// What the state was.
#[derive(Debug, Default)]
struct Issue {
    /// When it was asked for.
    began: u64,
    /// As JSON.
    text: Arc<str>,
}

impl State {
    /// The state as it is after this call began, as JSON. Of those who wait for it meanwhile one asks for all.
    ///
    /// # Errors
    /// If the supervisor gives none.
    pub async fn text(&self, requests: &Requests, peers: &Peers) -> Result<Arc<str>, Refusal> {
        let came = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock().await;
        if last.began > came {
            return Ok(Arc::clone(&last.text));
        }
        let began = self.clock.fetch_add(1, Ordering::Relaxed);
        let text: Arc<str> = match ask(requests).await? {
            Reply::Value(state) => peers.added_to(state).to_string().into(),
            Reply::Json(text) => text.into(),
        };
        last.text = Arc::clone(&text);
        last.began = began;
        Ok(text)
    }
}

async fn ask(requests: &Requests) -> Result<Reply, Refusal> {
    // Nobody's in particular, and it acts on nothing.
    let peer = Peer {
        uid: own_uid(),
        pid: None,
        lineage: Arc::new(Lineage::default()),
    };
    let (answer, answered) = oneshot::channel();
    let asked = Asked {
        peer,
        request: Request::Status,
        answer,
    };
    let gone = Refusal::ShuttingDown;
    if requests.send(asked).await.is_err() {
        return Err(gone);
    }
    answered.await.unwrap_or(Err(gone))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;

    fn said(text: &str) -> Value {
        let state: Value = serde_json::from_str(text).unwrap();
        assert_eq!(state["peers"]["max_connections"], 8);
        state["is"].clone()
    }

    #[tokio::test]
    async fn of_those_who_ask_at_the_same_time_one_asks_for_all() {
        let (state, peers) = (State::default(), Peers::new(8));
        let (requests, mut asked) = mpsc::channel(8);
        // Each on its own, with nothing kept of the answer.
        let one = || {
            let (state, peers, requests) = (state.clone(), Arc::clone(&peers), requests.clone());
            tokio::spawn(async move { said(&state.text(&requests, &peers).await.unwrap()) })
        };
        let all = join_all((0..100).map(|_| one()));
        let answering = async {
            for text in ["first", "second"] {
                let one: Asked = asked.recv().await.unwrap();
                assert_eq!(one.request, Request::Status);
                one.answer.send(Ok(json!({ "is": text }).into())).unwrap();
            }
        };
        let (all, ()) = tokio::join!(all, answering);
        let all: Vec<Value> = all.into_iter().map(Result::unwrap).collect();
        // The first one had asked before the others came.
        assert_eq!(all[0], "first");
        assert!(all[1..].iter().all(|text| text == "second"), "{all:?}");
        assert!(asked.try_recv().is_err());
    }

    #[tokio::test]
    async fn whoever_comes_later_hears_how_it_is_then() {
        let (state, peers) = (State::default(), Peers::new(8));
        let (requests, mut asked) = mpsc::channel(8);
        let mut kept = Vec::new();
        for text in ["then", "now"] {
            let answering = async {
                let one: Asked = asked.recv().await.unwrap();
                one.answer.send(Ok(json!({ "is": text }).into())).unwrap();
            };
            let (told, ()) = tokio::join!(state.text(&requests, &peers), answering);
            let told = told.unwrap();
            assert_eq!(said(&told), text);
            kept.push(told);
        }
    }

    #[tokio::test]
    async fn who_leaves_while_it_asks_for_all_leaves_that_to_another_one() {
        let (state, peers) = (State::default(), Peers::new(8));
        let (requests, mut asked) = mpsc::channel(8);
        let mut leaving = Box::pin(state.text(&requests, &peers));
        assert!(leaving.as_mut().now_or_never().is_none());
        let mut staying = Box::pin(state.text(&requests, &peers));
        assert!(staying.as_mut().now_or_never().is_none());
        drop(leaving);
        let answering = async {
            // Nobody listens to the first any more.
            for _ in 0..2 {
                let one: Asked = asked.recv().await.unwrap();
                let _ = one.answer.send(Ok(json!({"is": "so"}).into()));
            }
        };
        let (told, ()) = tokio::join!(staying, answering);
        assert_eq!(said(&told.unwrap()), "so");
        drop(requests);
        let (requests, nobody) = mpsc::channel(8);
        drop(nobody);
        assert_eq!(
            state.text(&requests, &peers).await,
            Err(Refusal::ShuttingDown)
        );
    }
}
