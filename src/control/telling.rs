//! What happens while somebody waits for the answer to a fix: the records of the event log, each as it
//! is told. For who looks on only: whatever goes wrong here, the fix does not suffer.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::client::{CallError, Client, ConnectError, no_answer};
use super::notifications::{Notification, Notifications};
use crate::supervisor::feed::{Feed, News};
use crate::wire::results::Source;

/// How long a daemon may take to begin to tell, before the fix goes on without.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);
/// As many places are left to others, to who wants to keep a process, say, and to the fix itself.
const ROOM_FOR_OTHERS: u64 = 4;
/// How often a daemon is asked again that has just got a place for us …
const PLACE_CHECKS: u32 = 20;
/// … and how long between two times.
const PLACE_PAUSE: Duration = Duration::from_millis(50);

/// One thing told.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// From now on it is told what happens.
    Begun {
        /// Where it happens.
        source: Source,
        /// How orphans are ended: at least `policy.terminate` of a `status`.
        status: Value,
    },
    /// This happened: a record of the event log.
    Record(Value),
    /// So many records were dropped.
    Missed(u64),
    /// For people, beside all that; may hold text that is not safe to show.
    Notice(String),
}

/// How many words wait for who does not listen; what comes then is missed.
const WORDS_LIMIT: usize = 1024;

/// The way to whoever looks on. If nobody does any more, nothing is told any more; who does not keep up is told
/// how much was missed.
#[derive(Clone, Debug)]
pub struct Tell(mpsc::Sender<Word>);

/// What is told.
pub type Told = mpsc::Receiver<Word>;

/// A way to tell, and what is told.
#[must_use]
pub fn channel() -> (Tell, Told) {
    let (tell, told) = mpsc::channel(WORDS_LIMIT);
    (Tell(tell), told)
}

impl Tell {
    /// Says this, if there is room for it.
    pub fn say(&self, word: Word) {
        // Whoever looks on suffers, not the fix.
        let _ = self.0.try_send(word);
    }

    /// Says this, or remembers that it was missed; false if nobody looks on any more.
    fn pass_on(&self, word: Word, missed: &mut u64) -> bool {
        if *missed > 0 && self.0.try_send(Word::Missed(*missed)).is_ok() {
            *missed = 0;
        }
        match self.0.try_send(word) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(word)) => {
                *missed += match word {
                    Word::Missed(many) => many,
                    _ => 1,
                };
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// Asks the daemon on that socket, or on the first of the usual ones that answers, and tells what happens
/// in it meanwhile. An older one, or one that is too busy, tells nothing.
///
/// # Errors
/// As of a call that is not looked at.
pub async fn daemon(
    socket: Option<&Path>,
    method: &str,
    params: Value,
    tell: &Tell,
) -> Result<Result<Value, CallError>, ConnectError> {
    let first = Client::connect(socket).await?;
    let way = first.way();
    // First this, so that nothing of it is missed; and on a connection of its own: when we are stopped for
    // a while, the daemon hangs up on who does not read what it is told, not on who waits for an answer.
    let telling = match timeout(BEGIN_LIMIT, begin(first)).await {
        Ok(Ok((status, told))) => {
            let source = Source::Daemon;
            tell.say(Word::Begun { source, status });
            Some(tokio::spawn(pass_on(told, tell.clone())))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "nothing is told while the fix runs");
            None
        }
        Err(_) => {
            tracing::debug!("the daemon does not tell in time");
            None
        }
    };
    let mut answer = way.connect().await?.call(method, params.clone()).await;
    let Some(telling) = telling.filter(|_| is_busy(&answer)) else {
        return Ok(answer);
    };
    // Perhaps it is the place of the one connection that the other one lacks.
    telling.abort();
    for _ in 0..PLACE_CHECKS {
        sleep(PLACE_PAUSE).await;
        answer = way.connect().await?.call(method, params.clone()).await;
        if !is_busy(&answer) {
            break;
        }
    }
    Ok(answer)
}

/// Whether it was turned away, before anything was done.
fn is_busy(answer: &Result<Value, CallError>) -> bool {
    matches!(answer, Err(CallError::Answer { kind, .. }) if kind == "too_busy")
}

async fn begin(mut client: Client) -> Result<(Value, Notifications), CallError> {
    let status = client.call("status", json!({})).await?;
    let places = |name: &str| status["peers"][name].as_u64();
    if let (Some(most), Some(taken)) = (places("max_connections"), places("connected"))
        && most.saturating_sub(taken) < ROOM_FOR_OTHERS
    {
        return Err(no_answer(
            "that there is hardly room for another connection",
        ));
    }
    let (_, told) = Notifications::subscribe(client, 0, false).await?;
    Ok((status, told))
}

async fn pass_on(mut told: Notifications, tell: Tell) {
    let mut missed = 0;
    loop {
        let word = tokio::select! {
            told = told.next() => match told {
                Ok(Notification::Event(event)) => Word::Record(event),
                Ok(Notification::Lagged(missed)) => Word::Missed(missed),
                Ok(Notification::Status(_)) => continue,
                Err(_) => return,
            },
            () = tell.0.closed() => return,
        };
        if !tell.pass_on(word, &mut missed) {
            return;
        }
    }
}

/// The same of the engine in this process; `terminate` is how it ends orphans.
pub(super) async fn from_here(feed: Feed, terminate: Value, tell: &Tell) {
    let Ok(mut follower) = feed.follow(0).await else {
        return tracing::debug!("nothing is told while the fix runs");
    };
    let source = Source::Embedded;
    let status = json!({"policy": {"terminate": terminate}});
    tell.say(Word::Begun { source, status });
    let tell = tell.clone();
    tokio::spawn(async move {
        let mut missed = 0;
        loop {
            let word = tokio::select! {
                news = follower.next() => match news {
                    // It is JSON, made here.
                    Some(News::Record(record)) => match serde_json::from_str(&record.event) {
                        Ok(event) => Word::Record(event),
                        Err(_) => continue,
                    },
                    Some(News::Missed(missed)) => Word::Missed(missed),
                    None => return,
                },
                () = tell.0.closed() => return,
            };
            if !tell.pass_on(word, &mut missed) {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests;
