//! What one peer asks for: its turns, those of all peers at what is long, and the way to the supervisor and back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::connection::Desk;
use super::protocol::RpcError;
use crate::supervisor::request::{Peer, Reply, Request};
use crate::supervisor::run::{Asked, Requests};

/// How many scans of one peer may wait to be made or read; those who asked for the same one get the same.
pub(super) const SCANS_AT_ONCE: usize = 2;
/// How many of its fixes may be under way or wait to be read.
pub(super) const FIXES_AT_ONCE: usize = 8;
/// How many answers with the state may wait to be read.
const STATES_AT_ONCE: usize = 2;
/// How long a turn at an answer of the event log is waited for.
const LONG_ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// With no more records than this an answer is not long.
const SHORT_ANSWER: usize = 100;

/// One peer's turns: however much it asks at once, others wait for one request of its, not for all.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    /// At handing a request to the supervisor.
    asking: Arc<Semaphore>,
    /// At what takes a thread for it, until the answer is read, as all below: answers may be long.
    looking: Arc<Semaphore>,
    /// At what waits for a scan.
    scanning: Arc<Semaphore>,
    /// At what ends orphans.
    ending: Arc<Semaphore>,
    /// At the state.
    telling: Arc<Semaphore>,
}

/// What keeps others of one peer, or of all, from their turns until an answer is read.
pub(super) type Held = Vec<OwnedSemaphorePermit>;

impl Turns {
    pub(super) fn new() -> Self {
        let places = |many| Arc::new(Semaphore::new(many));
        Self {
            asking: places(1),
            looking: places(1),
            scanning: places(SCANS_AT_ONCE),
            ending: places(FIXES_AT_ONCE),
            telling: places(STATES_AT_ONCE),
        }
    }

    /// Those at what a request needs beside its being handed over.
    fn of(&self, request: &Request) -> Option<&Arc<Semaphore>> {
        match request {
            Request::Explain { .. } | Request::Events(_) => Some(&self.looking),
            Request::Scan { .. } | Request::Gate { fix: false } => Some(&self.scanning),
            Request::Fix { .. } | Request::Gate { fix: true } => Some(&self.ending),
            Request::Status => Some(&self.telling),
            _ => None,
        }
    }
}

/// A result on its way out.
pub(super) enum Told {
    Value(Value),
    Json(Arc<str>),
}

/// What the supervisor answers, and what keeps others waiting until that is read.
pub(super) async fn ask(
    desk: Desk,
    peer: Peer,
    turns: Turns,
    request: Request,
) -> (Result<Told, RpcError>, Held) {
    let mut held = Held::new();
    // Nobody closes them.
    if let Some(turns) = turns.of(&request) {
        held.extend(Arc::clone(turns).acquire_owned().await);
    }
    let answer = match request {
        Request::Status => {
            let text = desk.state.text(&desk.requests, &desk.peers).await;
            text.map(Told::Json).map_err(RpcError::from)
        }
        Request::Events(ref query) if query.limit.is_none_or(|limit| limit > SHORT_ANSWER) => {
            let turn = Arc::clone(&desk.long_answers).acquire_owned();
            tokio::select! {
                turn = timeout(LONG_ANSWER_LIMIT, turn) => match turn {
                    Ok(turn) => {
                        held.extend(turn);
                        ask_supervisor(desk.requests, peer, &turns, request).await
                    }
                    Err(_) => Err(RpcError::too_busy("answers of the event log")),
                },
                () = desk.stop.cancelled() => Err(RpcError::shutting_down()),
            }
        }
        _ => ask_supervisor(desk.requests, peer, &turns, request).await,
    };
    (answer, held)
}

async fn ask_supervisor(
    requests: Requests,
    peer: Peer,
    turns: &Turns,
    request: Request,
) -> Result<Told, RpcError> {
    // Nobody closes them.
    let asking = turns.asking.acquire().await;
    let (answer, answered) = oneshot::channel();
    let asked = Asked {
        peer,
        request,
        answer,
    };
    if requests.send(asked).await.is_err() {
        return Err(RpcError::shutting_down());
    }
    drop((requests, asking));
    match answered.await {
        Ok(Ok(Reply::Value(result))) => Ok(Told::Value(result)),
        Ok(Ok(Reply::Json(text))) => Ok(Told::Json(text.into())),
        Ok(Err(refusal)) => Err(refusal.into()),
        Err(_) => Err(RpcError::shutting_down()),
    }
}
