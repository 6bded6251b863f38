//! One peer: bytes ↔ lines ↔ calls and answers. The only place that knows both ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::asking::{Held, Told, Turns, ask};
use super::bulletin::Bulletin;
use super::leaving::{Leaving, next_line};
use super::lines::{Line, LineDecoder};
use super::peers::{Peers, Place, Turned};
use super::protocol::{Action, Call, Malformed, RpcError, Subscribe, parse, response};
use super::state::State;
use super::subscription::Subscription;
use super::writing::{send, send_last, tell};
use crate::os::files::has_hung_up;
use crate::supervisor::feed::Feed;
use crate::supervisor::request::{Peer, Refusal};
use crate::supervisor::run::Requests;

/// How many turns the others get before the next line of a peer that has sent several at once.
const TURNS_BEFORE_THE_NEXT_LINE: usize = 4;
/// How many requests of one peer may wait for their answers.
const IN_FLIGHT_LIMIT: usize = 64;
/// How long a peer may say nothing while nothing of its is under way.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// How long it may take to finish a line that it has begun.
const LINE_TIME_LIMIT: Duration = Duration::from_secs(30);

/// How often is looked whether somebody who says nothing any more is still there.
const HANG_UP_CHECKS: Duration = Duration::from_secs(1);

/// Whom a peer's requests go to.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The supervisor.
    pub requests: Requests,
    /// What happens, for those who subscribe.
    pub feed: Feed,
    /// The state, for those of them who want that.
    pub bulletin: Bulletin,
    /// The state, for who asks for it.
    pub state: State,
    /// Turns at answers of the event log, of all peers together, each until it is read.
    pub long_answers: Arc<Semaphore>,
    /// Who else is connected.
    pub peers: Arc<Peers>,
    /// The daemon stops.
    pub stop: CancellationToken,
}

/// Serves one peer until it hangs up, goes silent, somebody else gets its place, or the daemon stops and
/// its answers are out.
pub async fn serve(stream: UnixStream, peer: Peer, desk: Desk, place: Place) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = FramedRead::new(reader, LineDecoder::default());
    let mut in_flight: FuturesUnordered<BoxFuture<'static, Answer>> = FuturesUnordered::new();
    let turns = Turns::new();
    let mut subscription: Option<Subscription> = None;
    let mut has_subscribed = false;
    let mut is_reading = true;
    let mut is_stopping = false;
    let mut leaving: Option<Leaving> = None;
    let mut has_left = false;
    let mut is_heard = true;
    let mut last_said = Instant::now();
    let mut patience = interval_at(last_said + LINE_TIME_LIMIT, LINE_TIME_LIMIT);
    patience.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while is_reading || !in_flight.is_empty() || (is_stopping && subscription.is_some()) {
        let waits = !in_flight.is_empty() || subscription.is_some();
        place.set_waiting(waits);
        // Let go when the answer is out.
        let mut held = Held::new();
        let line = tokio::select! {
            Some(answer) = in_flight.next() => match answer {
                Answer::Line(line, turns) => {
                    held = turns;
                    line
                }
                Answer::Refused(line) => {
                    has_subscribed = false;
                    let _ = place.set_subscribing(false);
                    line
                }
                Answer::Subscribed(line, begun) => {
                    subscription = Some(*begun);
                    line
                }
            },
            line = next_line(&mut lines, leaving.as_ref()), if is_reading => match line {
                Some(line) => {
                    if let Some(leaving) = &mut leaving {
                        leaving.count();
                    }
                    let called = call_of(line, &place);
                    // However many lines it has sent, the others have their turns after each.
                    let turns_of_others = match lines.read_buffer().is_empty() {
                        true => 1,
                        false => TURNS_BEFORE_THE_NEXT_LINE,
                    };
                    for _ in 0..turns_of_others {
                        tokio::task::yield_now().await;
                    }
                    let Some(called) = called else {
                        continue;
                    };
                    last_said = Instant::now();
                    match take(called, &peer, &desk, &turns, in_flight.len(), &mut has_subscribed, &place) {
                        Taken::Answered(answer) => one_line(&answer),
                        Taken::Asked(answer) => {
                            in_flight.push(answer);
                            continue;
                        }
                    }
                }
                // Hung up, or half of it, or all is read that it had sent when it lost its place: what is
                // under way is still answered, and what it subscribed to ends.
                None => {
                    is_reading = false;
                    subscription = None;
                    continue;
                }
            },
            told = next_of(&mut subscription) => match told {
                Some(line) => {
                    match tell(&mut writer, &line, &place, &desk.stop).await {
                        Ok(()) => continue,
                        Err(error) => return unread(&error, &desk.stop, &place),
                    }
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
            // Also if it asks for something at this moment: without a place it may ask no more.
            () = place.displaced(), if is_reading && leaving.is_none() => {
                // All that it had sent by then is still answered, in its turns.
                leaving = Some(Leaving::begin());
                continue;
            }
            // Half a connection may be closed by somebody who wants its answers; who is gone needs no place.
            () = tokio::time::sleep(HANG_UP_CHECKS), if !is_reading && !has_left => {
                has_left = has_hung_up(writer.as_ref());
                if has_left {
                    place.leave();
                }
                continue;
            }
            // What it says in between is no event here: looked at again after as long as a line may take,
            // whatever else happens meanwhile.
            _ = patience.tick(), if is_reading => {
                let is_slow = lines.decoder().begun().is_some_and(|begun| begun.elapsed() >= LINE_TIME_LIMIT);
                let (turned, error) = if is_slow {
                    (Turned::LineTooSlow, RpcError::line_too_slow(LINE_TIME_LIMIT))
                } else if !waits && last_said.elapsed() >= IDLE_LIMIT {
                    (Turned::Idle, RpcError::idle(IDLE_LIMIT))
                } else {
                    continue;
                };
                place.count(turned);
                // Nothing more is read from it; what it waits for it gets.
                is_reading = false;
                subscription = None;
                answered(&error)
            }
        };
        // For as long as it does not read this, nobody waits but the daemon.
        place.set_waiting(subscription.is_some());
        // Who hangs up changes nothing: what it had sent is done all the same.
        if is_heard && let Err(error) = send(&mut writer, &line, &place).await {
            if error.kind() == std::io::ErrorKind::TimedOut {
                return unread(&error, &desk.stop, &place);
            }
            is_heard = false;
            subscription = None;
        }
        drop(held);
        last_said = Instant::now();
    }
    if leaving.is_some() {
        let last = answered(&RpcError::too_busy("connections"));
        let _ = send(&mut writer, &last, &place).await;
    }
}

/// Counts one that does not read. One that has hung up, or is left because the daemon stops, is none.
fn unread(error: &std::io::Error, stop: &CancellationToken, place: &Place) {
    if error.kind() == std::io::ErrorKind::TimedOut && !stop.is_cancelled() {
        place.count(Turned::DidNotRead);
    }
}

/// A reply as it is sent. Written at once: what `Display` does piece by piece takes twice as long, and a
/// reply may have megabytes.
fn one_line(reply: &Value) -> String {
    let mut line = serde_json::to_string(reply).unwrap_or_else(|_| reply.to_string());
    line.push('\n');
    line
}

/// A reply with a result that is JSON already.
fn response_line(id: &Value, result: impl std::fmt::Display) -> String {
    format!("{{\"id\":{id},\"jsonrpc\":\"2.0\",\"result\":{result}}}\n")
}

/// An error that answers no request.
fn answered(error: &RpcError) -> String {
    one_line(&error.response(&Value::Null))
}

async fn next_of(subscription: &mut Option<Subscription>) -> Option<Arc<str>> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Tells a peer why it is not served, and hangs up.
pub async fn refuse(mut stream: UnixStream, error: RpcError) {
    // Whether it hears that or not, it is not served.
    let _ = send_last(&mut stream, &answered(&error)).await;
}

enum Taken {
    Answered(Value),
    Asked(BoxFuture<'static, Answer>),
}

/// An answer on its way out.
enum Answer {
    /// And whose turn comes when it is read.
    Line(String, Held),
    /// That to a subscription that did not come about.
    Refused(String),
    /// After this line the subscription begins.
    Subscribed(String, Box<Subscription>),
}

/// What a line asks for, or why it asks for nothing; none where nothing stands in it.
fn call_of(line: Line, place: &Place) -> Option<Result<Call, Malformed>> {
    let called = match line {
        Line::Blank => return None,
        Line::TooLong => {
            place.count(Turned::LineTooLong);
            Err((Value::Null, RpcError::line_too_long()))
        }
        Line::Whole(bytes) => parse(&bytes),
    };
    // Who says what is no request has asked for nothing.
    if !matches!(&called, Err((_, error)) if error.is_about_no_request()) {
        place.has_asked();
    }
    Some(called)
}

fn take(
    called: Result<Call, Malformed>,
    peer: &Peer,
    desk: &Desk,
    turns: &Turns,
    in_flight: usize,
    has_subscribed: &mut bool,
    place: &Place,
) -> Taken {
    let Call { id, action } = match called {
        Ok(call) => call,
        Err((id, error)) => return Taken::Answered(error.response(&id)),
    };
    match action {
        Action::Reply(result) => Taken::Answered(response(&id, result)),
        Action::Subscribe(_) if *has_subscribed => {
            Taken::Answered(RpcError::already_subscribed().response(&id))
        }
        Action::Ask(_) | Action::Subscribe(_) if in_flight >= IN_FLIGHT_LIMIT => {
            place.count(Turned::TooManyRequests);
            Taken::Answered(RpcError::too_busy("requests in flight").response(&id))
        }
        Action::Subscribe(_) if !place.set_subscribing(true) => {
            Taken::Answered(RpcError::too_busy("subscriptions").response(&id))
        }
        Action::Subscribe(wanted) => {
            *has_subscribed = true;
            let (feed, bulletin) = (desk.feed.clone(), desk.bulletin.clone());
            let subscribed = subscribe(id.clone(), wanted, feed, bulletin);
            Taken::Asked(apart(id, subscribed))
        }
        Action::Ask(request) => {
            let answer = ask(desk.clone(), peer.clone(), turns.clone(), request);
            Taken::Asked(apart(id.clone(), async move {
                let (answer, held) = answer.await;
                let line = match answer {
                    Ok(Told::Value(result)) => one_line(&response(&id, result)),
                    Ok(Told::Json(text)) => response_line(&id, &text),
                    Err(error) => one_line(&error.response(&id)),
                };
                Answer::Line(line, held)
            }))
        }
    }
}

/// Has an answer made whether its peer reads or not: what it waits for is waited for by others, too, and each gets its
/// turn only if those before it take theirs.
fn apart(
    id: Value,
    answer: impl Future<Output = Answer> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    let answer = AbortOnDropHandle::new(tokio::spawn(answer));
    Box::pin(async move {
        answer.await.unwrap_or_else(|panicked| {
            tracing::error!(error = %panicked, "a request panicked");
            let error = RpcError::from(Refusal::Internal("the request panicked".to_owned()));
            Answer::Line(one_line(&error.response(&id)), Held::new())
        })
    })
}

async fn subscribe(id: Value, wanted: Subscribe, feed: Feed, bulletin: Bulletin) -> Answer {
    let mut follower = match feed.follow(wanted.limit).await {
        Ok(follower) => follower,
        Err(refusal) => return Answer::Refused(one_line(&RpcError::from(refusal).response(&id))),
    };
    let last = std::mem::take(&mut follower.last);
    let (seq, truncated) = match follower.is_cut {
        true => (follower.seq, ",\"truncated\":true"),
        false => (follower.seq, ""),
    };
    let bulletin = wanted.status.then_some(bulletin);
    let subscription = Box::new(Subscription::new(follower, bulletin));
    let result = format_args!("{{\"events\":{last},\"seq\":{seq}{truncated}}}");
    Answer::Subscribed(response_line(&id, result), subscription)
}

#[cfg(test)]
mod tests;
