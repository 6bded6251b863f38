//! `events --follow`: the last events, and then each as it happens; over restarts of the daemon, too.
//!
//! The event log outlives the daemon, and has everything in its order. So nothing is missed: whatever a subscription did
//! not bring (what was written while the first ones were read, while the daemon was gone, or while this client did not read
//! in time) is looked up there, behind the last record that was printed or passed over. What the subscription brings of
//! that, too, is known again.
//!
//! Must not know what an event looks like.

mod seen;

use std::collections::HashSet;
use std::future::Future;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use self::seen::{Seen, mark};
use super::args::EventsArgs;
use super::failure::Failure;
use super::list;
use super::output::Output;
use super::pages::{CUT, DEFAULT_LIMIT, Pages};
use super::render::{self, View};
use super::request::Request;
use super::safe_text::{escape, json_line};
use crate::control::client::{CallError, Client, ConnectError, Way};
use crate::control::notifications::{Notification, Notifications};
use crate::orphan::process::Pid;

/// How long until the daemon is looked for again, and whoever reads.
const PAUSE: Duration = Duration::from_millis(500);
/// Of so many of the last records one at least is told from all others, unless none is.
const MARKS: usize = 100;
/// So many more are asked for to begin with than are printed: what was written since the subscription began takes their
/// place. With the usual number they are so many that the daemon gives them at once.
const ROOM: usize = 80;

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
    let client = Client::connect(socket).await?;
    let mut following = Following {
        way: client.way(),
        output,
        view,
        json,
        wanted: Wanted {
            pid: args.pid,
            since: args.since.map(|since| since.moment(view.now)),
        },
        limit: args.limit.map_or(DEFAULT_LIMIT, |limit| limit as usize),
        before: Vec::new(),
        seen: Seen::default(),
    };
    let told = following.begin(client, args).await?;
    following.go_on(told).await
}

/// Either the end, because nobody reads any more, or what it goes on with.
type Or<T> = ControlFlow<(), T>;

struct Following<'a, O, E> {
    /// To the daemon that was found first, and whoever comes after it there.
    way: Way,
    output: &'a mut Output<O, E>,
    view: &'a View,
    json: bool,
    wanted: Wanted,
    limit: usize,
    /// Of these the last ones are to be printed, before everything else: of those that are not among what is missed.
    before: Vec<Value>,
    seen: Seen,
}

impl<O: Write, E: Write> Following<'_, O, E> {
    /// Subscribes, and reads what was there before.
    async fn begin(&mut self, client: Client, args: &EventsArgs) -> Result<Notifications, Failure> {
        let (last, mut told) = Notifications::subscribe(client, MARKS, false).await?;
        let mut client = self.way.connect().await?;
        if !self.seen.begin_behind(&last) {
            // There is none, or so much is written that all that were read are told, too.
            drop(told);
            let params = json!({"limit": MARKS, "all": true});
            let newest = client.call("events", params).await?;
            self.seen.begin_behind(list(&newest, "events"));
            (_, told) = Notifications::subscribe(self.way.connect().await?, 0, false).await?;
        }
        let mut request = Request::events(args, self.view.now);
        request.params["limit"] = self.limit.saturating_add(ROOM).into();
        let mut pages = Pages::of(request);
        while let Some(request) = pages.next() {
            pages.take(&client.call(request.method, request.params).await?);
        }
        let result = pages.into_result();
        if result["truncated"] == true {
            self.output.note(CUT);
        }
        self.before = list(&result, "events").to_vec();
        Ok(told)
    }

    async fn go_on(&mut self, mut told: Notifications) -> Result<(), Failure> {
        let mut flow = self.catch_up_with(&mut told).await?;
        while flow.is_continue() {
            let Some(news) = while_read(self.output, told.next()).await else {
                return Ok(());
            };
            flow = match news {
                Ok(Notification::Event(event)) => self.take(&event)?,
                Ok(Notification::Lagged(_)) => self.catch_up_with(&mut told).await?,
                Ok(Notification::Status(_)) => ControlFlow::Continue(()),
                Err(_) => self.subscribe_again(&mut told, Interrupted::Lost).await?,
            };
        }
        Ok(())
    }

    async fn catch_up_with(&mut self, told: &mut Notifications) -> Result<Or<()>, Failure> {
        match self.catch_up().await {
            Ok(flow) => Ok(flow),
            Err(interrupted) => self.subscribe_again(told, interrupted).await,
        }
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
            let client = self.way.connect().await?;
            Ok::<_, Interrupted>(Notifications::subscribe(client, 0, false).await?)
        };
        match while_read(self.output, subscribe).await {
            None => return Ok(ControlFlow::Break(())),
            Some(subscribed) => (_, *told) = subscribed?,
        }
        self.catch_up().await
    }

    /// Prints what the log has behind the last record that was seen; and first what it is to begin with.
    async fn catch_up(&mut self) -> Result<Or<()>, Interrupted> {
        let Some(missed) = while_read(self.output, self.missed()).await else {
            return Ok(ControlFlow::Break(()));
        };
        let missed = missed?;
        let before = std::mem::take(&mut self.before);
        let is_missed: HashSet<u64> = match before.is_empty() {
            true => HashSet::new(),
            false => missed.iter().filter_map(mark).collect(),
        };
        let before = before
            .split(|event| mark(event).is_some_and(|mark| is_missed.contains(&mark)))
            .next()
            .unwrap_or_default();
        for event in &before[before.len().saturating_sub(self.limit)..] {
            if self.print(event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.seen.remember(missed.len());
        for event in &missed {
            if self.take(event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the log has behind the last record that was seen; everything, if that is not there: then it is another log.
    async fn missed(&self) -> Result<Vec<Value>, Interrupted> {
        let mut client = self.way.connect().await?;
        let mut pages = Pages::of_all();
        while let Some(request) = pages.next() {
            pages.take(&client.call(request.method, request.params).await?);
            pages.end_behind(|event| self.seen.has(event));
        }
        let result = pages.into_result();
        if result["truncated"] == true {
            let why = "the event log grows faster than it can be read";
            return Err(Interrupted::Hindered(why.to_owned()));
        }
        Ok(self.seen.without_passed(list(&result, "events")).to_vec())
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

#[cfg(test)]
mod tests;
