//! `events --follow`: the last events, and then each as it happens; over restarts of the daemon, too.
//!
//! The event log outlives the daemon. So nothing is missed: whatever a subscription did not bring (the
//! daemon was gone, or this client did not read in time) is looked up there, from the last record that
//! was seen on.
//!
//! Must not know what an event looks like.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::args::EventsArgs;
use super::failure::Failure;
use super::list;
use super::output::Output;
use super::pages::Pages;
use super::render::{self, View};
use super::request::Request;
use super::safe_text::{escape, json_line};
use crate::control::client::{CallError, Client, ConnectError};
use crate::control::notifications::{Notification, Notifications};
use crate::orphan::process::Pid;

/// How long until the daemon is looked for again, and whoever reads.
const PAUSE: Duration = Duration::from_millis(500);
/// How many records are remembered as seen: more than can be under way at the same time.
const REMEMBERED: usize = 8192;
/// How many records the log is asked for at a time, for the last one that was seen among them: more each time, and the
/// last number again and again.
const STEPS: [usize; 3] = [100, 1_000, 5_000];

/// Follows the event log until nobody reads it any more.
///
/// # Errors
/// If there is no daemon to begin with, or the output cannot be written.
pub(super) async fn follow<O: Write, E: Write>(
    args: &EventsArgs,
    socket: Option<&Path>,
    output: &mut Output<O, E>,
    view: &View,
    json: bool,
) -> Result<(), Failure> {
    let mut following = Following {
        socket,
        output,
        view,
        json,
        wanted: Wanted {
            pid: args.pid,
            since: args.since.map(|since| since.moment(view.now)),
        },
        seen: Seen::default(),
    };
    match following.begin(args).await? {
        ControlFlow::Break(()) => Ok(()),
        ControlFlow::Continue(told) => following.go_on(told).await,
    }
}

/// Either the end, because nobody reads any more, or what it goes on with.
type Or<T> = ControlFlow<(), T>;

struct Following<'a, O, E> {
    socket: Option<&'a Path>,
    output: &'a mut Output<O, E>,
    view: &'a View,
    json: bool,
    wanted: Wanted,
    seen: Seen,
}

impl<O: Write, E: Write> Following<'_, O, E> {
    /// Prints what was asked for, subscribed already to what comes then.
    async fn begin(&mut self, args: &EventsArgs) -> Result<Or<Notifications>, Failure> {
        let (last, told) = self.subscribe().await?;
        let mut client = Client::connect(self.socket).await?;
        let mut pages = Pages::of(Request::events(args, self.view.now));
        while let Some(request) = pages.next() {
            pages.take(&client.call(request.method, request.params).await?);
        }
        for event in list(&pages.into_result(), "events") {
            if self.seen.add(event) && self.print(event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        // Only now: it is among those that were to be printed.
        for event in &last {
            self.seen.add(event);
        }
        Ok(ControlFlow::Continue(told))
    }

    async fn go_on(&mut self, mut told: Notifications) -> Result<(), Failure> {
        loop {
            let Some(news) = while_read(self.output, told.next()).await else {
                return Ok(());
            };
            let flow = match news {
                Ok(Notification::Event(event)) => self.take(&event)?,
                Ok(Notification::Lagged(_)) => match self.catch_up().await {
                    Err(Interrupted::Failed(failure)) => return Err(failure),
                    Err(interrupted) => self.subscribe_again(&mut told, interrupted).await?,
                    Ok(flow) => flow,
                },
                Ok(Notification::Status(_)) => ControlFlow::Continue(()),
                Err(_) => self.subscribe_again(&mut told, Interrupted::Lost).await?,
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    async fn subscribe(&self) -> Result<(Vec<Value>, Notifications), Failure> {
        let client = Client::connect(self.socket).await?;
        Ok(Notifications::subscribe(client, 1, false).await?)
    }

    /// Says why it was interrupted, waits until that is over, and prints what happened meanwhile.
    async fn subscribe_again(
        &mut self,
        told: &mut Notifications,
        mut interrupted: Interrupted,
    ) -> Result<Or<()>, Failure> {
        let mut said = String::new();
        loop {
            let why = match interrupted {
                Interrupted::Lost => "the daemon is gone: waiting for the next one".to_owned(),
                Interrupted::Hindered(why) => format!("{why}: trying again"),
                Interrupted::Failed(failure) => return Err(failure),
            };
            if why != said {
                self.output.note(&why);
                said = why;
            }
            interrupted = match self.try_again(told).await {
                Ok(flow) => return Ok(flow),
                Err(interrupted) => interrupted,
            };
            sleep(PAUSE).await;
        }
    }

    async fn try_again(&mut self, told: &mut Notifications) -> Result<Or<()>, Interrupted> {
        let subscribe = async {
            let client = Client::connect(self.socket).await?;
            Ok::<_, Interrupted>(Notifications::subscribe(client, 0, false).await?)
        };
        match while_read(self.output, subscribe).await {
            None => return Ok(ControlFlow::Break(())),
            Some(subscribed) => (_, *told) = subscribed?,
        }
        self.catch_up().await
    }

    /// Prints what the log has behind the last record that was seen.
    async fn catch_up(&mut self) -> Result<Or<()>, Interrupted> {
        let Some(pages) = while_read(self.output, self.missed()).await else {
            return Ok(ControlFlow::Break(()));
        };
        let pages = pages?;
        // What comes of them from the daemon, too, is known again.
        self.seen.most = REMEMBERED.max(2 * pages.iter().map(Vec::len).sum::<usize>());
        for event in pages.iter().rev().flatten() {
            if self.take(event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the log has behind the last record that was seen: pages of it, the newest first.
    async fn missed(&self) -> Result<Vec<Vec<Value>>, Interrupted> {
        let mut client = Client::connect(self.socket).await?;
        let mut pages = Vec::new();
        let mut skip = 0;
        let mut steps = STEPS.into_iter();
        let mut limit = 0;
        loop {
            limit = steps.next().unwrap_or(limit);
            let mut params = json!({"limit": limit, "all": true});
            if skip > 0 {
                params["skip"] = skip.into();
            }
            let result = client.call("events", params).await?;
            let events = list(&result, "events");
            skip += events.len();
            let is_beginning = events.len() < limit && result["truncated"] != true;
            let last_seen = events.iter().rposition(|event| self.seen.has(event));
            pages.push(events[last_seen.map_or(0, |at| at + 1)..].to_vec());
            // Without any that was seen it is another log, and all of it new.
            if last_seen.is_some() || is_beginning {
                return Ok(pages);
            }
        }
    }

    /// Prints an event that is new, if it is one of those that are wanted.
    fn take(&mut self, event: &Value) -> Result<Or<()>, Failure> {
        if self.seen.add(event) && self.wanted.has(event) {
            return self.print(event);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn print(&mut self, event: &Value) -> Result<Or<()>, Failure> {
        let text = match self.json {
            true => json_line(event),
            false => self.view.folded(&render::event(event, self.view)),
        };
        let printed = self.output.part(&text);
        printed.map_err(|error| Failure::output(&error))
    }
}

/// What is awaited; nothing, if meanwhile nobody reads the output any more.
async fn while_read<T, O: Write, E: Write>(
    output: &Output<O, E>,
    awaited: impl Future<Output = T>,
) -> Option<T> {
    let mut awaited = pin!(awaited);
    while !output.is_abandoned() {
        if let Ok(came) = timeout(PAUSE, &mut awaited).await {
            return Some(came);
        }
    }
    None
}

/// Why something was not done to its end.
enum Interrupted {
    /// The daemon is gone.
    Lost,
    /// It cannot answer just now, and why.
    Hindered(String),
    /// That will not change by waiting.
    Failed(Failure),
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ConnectError> for Interrupted {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoDaemon { .. } => Self::Lost,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<CallError> for Interrupted {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Lost(_) => Self::Lost,
            CallError::Silent { .. } => Self::Hindered(error.to_string()),
            CallError::Answer { kind, message, .. } => match kind.as_str() {
                "shutting_down" => Self::Lost,
                // `internal`: a disk gave no answer, say.
                "too_busy" | "internal" => Self::Hindered(escape(message).into_owned()),
                _ => Self::Failed(error.into()),
            },
        }
    }
}

/// Which events are printed: the same that the daemon would have chosen.
struct Wanted {
    pid: Option<Pid>,
    since: Option<Timestamp>,
}

impl Wanted {
    fn has(&self, event: &Value) -> bool {
        let happened = || event["ts"].as_str()?.parse::<Timestamp>().ok();
        self.pid.is_none_or(|pid| event["pid"] == pid)
            && self
                .since
                .is_none_or(|since| happened().is_some_and(|at| at >= since))
    }
}

/// The records seen last.
struct Seen {
    marks: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            marks: HashSet::new(),
            order: VecDeque::new(),
            most: REMEMBERED,
        }
    }
}

impl Seen {
    /// Each is told from all others by its text: it has its time in it, to the microsecond.
    fn mark(event: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        event.to_string().hash(&mut hasher);
        hasher.finish()
    }

    fn has(&self, event: &Value) -> bool {
        self.marks.contains(&Self::mark(event))
    }

    /// Whether it was not seen before.
    fn add(&mut self, event: &Value) -> bool {
        let mark = Self::mark(event);
        if !self.marks.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        while self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests;
