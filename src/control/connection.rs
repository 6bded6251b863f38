//! One peer: bytes ↔ lines ↔ calls and answers. The only place that knows both ends.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;

use super::lines::{Line, LineDecoder};
use super::protocol::{Action, Call, RpcError, parse, response};
use crate::supervisor::request::Peer;
use crate::supervisor::run::{Asked, Requests};

/// How many requests of one peer may wait for their answers.
const IN_FLIGHT_LIMIT: usize = 64;
/// How long a peer may take to read an answer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long a peer may say nothing while nothing of its is under way.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// Serves one peer until it hangs up, goes silent, or `stop` is cancelled and its answers are out.
pub async fn serve(stream: UnixStream, peer: Peer, requests: Requests, stop: CancellationToken) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = FramedRead::new(reader, LineDecoder::default());
    let mut in_flight: FuturesUnordered<BoxFuture<'static, Value>> = FuturesUnordered::new();
    let mut is_reading = true;
    while is_reading || !in_flight.is_empty() {
        let answer = tokio::select! {
            Some(answer) = in_flight.next() => answer,
            line = lines.next(), if is_reading => match line {
                Some(Ok(line)) => match take(line, &peer, &requests, in_flight.len()) {
                    Taken::Answered(answer) => answer,
                    Taken::Asked(answer) => {
                        in_flight.push(answer);
                        continue;
                    }
                },
                // Hung up, or half of it: what is under way is still answered.
                Some(Err(_)) | None => {
                    is_reading = false;
                    continue;
                }
            },
            () = stop.cancelled(), if is_reading => {
                is_reading = false;
                continue;
            }
            () = tokio::time::sleep(IDLE_LIMIT), if in_flight.is_empty() => return,
        };
        if send(&mut writer, &answer).await.is_err() {
            return;
        }
    }
}

/// Tells a peer why it is not served, and hangs up.
pub async fn refuse(mut stream: UnixStream, error: RpcError) {
    // Whether it hears that or not, it is not served.
    let _ = send(&mut stream, &error.response(&Value::Null)).await;
}

enum Taken {
    Answered(Value),
    Asked(BoxFuture<'static, Value>),
}

fn take(line: Line, peer: &Peer, requests: &Requests, in_flight: usize) -> Taken {
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
        Action::Ask(_) if in_flight >= IN_FLIGHT_LIMIT => {
            Taken::Answered(RpcError::too_busy("requests in flight").response(&id))
        }
        Action::Ask(request) => {
            let (answer, answered) = oneshot::channel();
            let asked = Asked {
                peer: peer.clone(),
                request,
                answer,
            };
            let requests = requests.clone();
            Taken::Asked(Box::pin(async move {
                if requests.send(asked).await.is_err() {
                    return RpcError::shutting_down().response(&id);
                }
                match answered.await {
                    Ok(Ok(result)) => response(&id, result),
                    Ok(Err(refusal)) => RpcError::from(refusal).response(&id),
                    Err(_) => RpcError::shutting_down().response(&id),
                }
            }))
        }
    }
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), answer: &Value) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    tokio::time::timeout(WRITE_LIMIT, writer.write_all(&line))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}
