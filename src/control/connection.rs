//! One peer: bytes ↔ lines ↔ calls and answers. The only place that knows both ends.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;

use super::lines::{Line, LineDecoder};
use super::protocol::{Action, Call, RpcError, Subscribe, parse, response};
use super::subscription::{Status, Subscription};
use crate::supervisor::feed::Feed;
use crate::supervisor::request::{Peer, Request};
use crate::supervisor::run::{Asked, Requests};

/// How many requests of one peer may wait for their answers.
const IN_FLIGHT_LIMIT: usize = 64;
/// How long a peer may take to read an answer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long a subscriber may take for each of the last notifications when the daemon stops.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(250);
/// How long a peer may say nothing while nothing of its is under way.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// Whom a peer's requests go to.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The supervisor.
    pub requests: Requests,
    /// What happens, for those who subscribe.
    pub feed: Feed,
    /// The daemon stops.
    pub stop: CancellationToken,
}

/// Serves one peer until it hangs up, goes silent, or the daemon stops and its answers are out.
pub async fn serve(stream: UnixStream, peer: Peer, desk: Desk) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = FramedRead::new(reader, LineDecoder::default());
    let mut in_flight: FuturesUnordered<BoxFuture<'static, Answer>> = FuturesUnordered::new();
    let mut subscription: Option<Subscription> = None;
    let mut has_subscribed = false;
    let mut is_reading = true;
    let mut is_stopping = false;
    while is_reading || !in_flight.is_empty() || (is_stopping && subscription.is_some()) {
        let line = tokio::select! {
            Some(answer) = in_flight.next() => match answer {
                Answer::Line(line) => line,
                Answer::Refused(line) => {
                    has_subscribed = false;
                    line
                }
                Answer::Subscribed(line, begun) => {
                    subscription = Some(*begun);
                    line
                }
            },
            line = lines.next(), if is_reading => match line {
                Some(Ok(line)) => match take(line, &peer, &desk, in_flight.len(), &mut has_subscribed) {
                    Taken::Answered(answer) => answer.to_string(),
                    Taken::Asked(answer) => {
                        in_flight.push(answer);
                        continue;
                    }
                },
                // Hung up, or half of it: what is under way is still answered, and what it subscribed
                // to ends.
                Some(Err(_)) | None => {
                    is_reading = false;
                    subscription = None;
                    continue;
                }
            },
            told = next_of(&mut subscription) => match told {
                Some(line) => {
                    if tell(&mut writer, line, &desk.stop).await.is_err() {
                        return;
                    }
                    continue;
                }
                // Everything was told: the daemon has ended.
                None => {
                    subscription = None;
                    continue;
                }
            },
            () = desk.stop.cancelled(), if is_reading => {
                is_reading = false;
                is_stopping = true;
                continue;
            }
            () = tokio::time::sleep(IDLE_LIMIT), if in_flight.is_empty() && subscription.is_none() => return,
        };
        if send(&mut writer, line).await.is_err() {
            return;
        }
    }
}

async fn next_of(subscription: &mut Option<Subscription>) -> Option<String> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Tells a peer why it is not served, and hangs up.
pub async fn refuse(mut stream: UnixStream, error: RpcError) {
    // Whether it hears that or not, it is not served.
    let _ = send(&mut stream, error.response(&Value::Null).to_string()).await;
}

enum Taken {
    Answered(Value),
    Asked(BoxFuture<'static, Answer>),
}

/// An answer on its way out.
enum Answer {
    Line(String),
    /// That to a subscription that did not come about.
    Refused(String),
    /// After this line the subscription begins.
    Subscribed(String, Box<Subscription>),
}

fn take(
    line: Line,
    peer: &Peer,
    desk: &Desk,
    in_flight: usize,
    has_subscribed: &mut bool,
) -> Taken {
    let parsed = match line {
        Line::TooLong => Err((Value::Null, RpcError::line_too_long())),
        Line::Whole(bytes) => parse(&bytes),
    };
    let Call { id, action } = match parsed {
        Ok(call) => call,
        Err((id, error)) => return Taken::Answered(error.response(&id)),
    };
    match action {
        Action::Reply(result) => Taken::Answered(response(&id, result)),
        Action::Subscribe(_) if *has_subscribed => {
            Taken::Answered(RpcError::already_subscribed().response(&id))
        }
        Action::Ask(_) | Action::Subscribe(_) if in_flight >= IN_FLIGHT_LIMIT => {
            Taken::Answered(RpcError::too_busy("requests in flight").response(&id))
        }
        Action::Subscribe(wanted) => {
            *has_subscribed = true;
            Taken::Asked(Box::pin(subscribe(id, wanted, peer.clone(), desk.clone())))
        }
        Action::Ask(request) => {
            let answer = ask(desk.requests.clone(), peer.clone(), request);
            Taken::Asked(Box::pin(async move {
                let answer = match answer.await {
                    Ok(result) => response(&id, result),
                    Err(error) => error.response(&id),
                };
                Answer::Line(answer.to_string())
            }))
        }
    }
}

/// What the supervisor answers.
async fn ask(requests: Requests, peer: Peer, request: Request) -> Result<Value, RpcError> {
    let (answer, answered) = oneshot::channel();
    let asked = Asked {
        peer,
        request,
        answer,
    };
    if requests.send(asked).await.is_err() {
        return Err(RpcError::shutting_down());
    }
    drop(requests);
    match answered.await {
        Ok(answer) => answer.map_err(RpcError::from),
        Err(_) => Err(RpcError::shutting_down()),
    }
}

async fn subscribe(id: Value, wanted: Subscribe, peer: Peer, desk: Desk) -> Answer {
    let follower = match desk.feed.follow(wanted.limit).await {
        Ok(follower) => follower,
        Err(refusal) => return Answer::Refused(RpcError::from(refusal).response(&id).to_string()),
    };
    let result = json!({"events": follower.last, "seq": follower.seq});
    // The daemon stops although somebody subscribes.
    let requests = desk.requests.downgrade();
    let status = wanted.status.then(|| {
        let ask_again = move || -> Status {
            let (requests, peer) = (requests.upgrade(), peer.clone());
            Box::pin(async move { ask(requests?, peer, Request::Status).await.ok() })
        };
        Box::new(ask_again) as Box<dyn Fn() -> Status + Send>
    });
    let subscription = Box::new(Subscription::new(follower, status));
    Answer::Subscribed(response(&id, result).to_string(), subscription)
}

/// As [`send`], of what nobody waits for: the daemon that stops does not wait for who does not read it.
async fn tell(
    writer: &mut (impl AsyncWriteExt + Unpin),
    line: String,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS_LIMIT).await;
    };
    tokio::select! {
        sent = send(writer, line) => sent,
        () = given_up => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), mut line: String) -> std::io::Result<()> {
    line.push('\n');
    tokio::time::timeout(WRITE_LIMIT, writer.write_all(line.as_bytes()))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}
