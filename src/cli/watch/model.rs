//! What is known, what is selected, what is open: an input comes in, effects come out. Pure; it knows
//! neither the terminal nor the socket.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::keys::Key;
use super::row::{Row, Wait, rows};
use crate::cli::kills::Kills;
use crate::cli::render::{self, View};
use crate::cli::request::Request;
use crate::cli::safe_text::escape;
use crate::control::notifications::Notification;

/// How many of the last events are kept for showing.
const EVENTS_KEPT: usize = 200;

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) link: Link,
    /// The last state that the daemon told.
    pub(super) status: Value,
    pub(super) rows: Vec<Row>,
    pub(super) kills: Kills,
    /// The newest last.
    pub(super) events: VecDeque<Value>,
    pub(super) selected: Option<u64>,
    pub(super) pane: Pane,
    /// How far what is open can be scrolled: it depends on the screen.
    pub(super) furthest: u16,
    pub(super) notice: Option<Notice>,
}

/// Whether there is a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// What is shown is what is.
    Live,
    /// What is shown is what was.
    Lost,
}

/// What is open above the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pane {
    Nothing,
    Help,
    /// The explanation of a process; none as long as it is on its way.
    Letter {
        pid: u64,
        letter: Option<Value>,
        scroll: u16,
    },
    /// How long to pause.
    Pause,
    /// Whether to end this one.
    Confirm(Box<Row>),
}

/// Something said at the foot of the screen. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// Something that happened.
#[derive(Debug)]
pub(super) enum Input {
    Key(Key),
    /// The daemon is there, and these are its last records.
    Linked(Vec<Value>),
    Told(Notification),
    /// The daemon is gone.
    Lost,
    /// What it said to a question, or why it said nothing.
    Answered(Ask, Result<Value, String>),
}

/// Something that has to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Ask(Ask),
    Leave,
    /// Give the terminal back for a while.
    Suspend,
}

/// A question to the daemon.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    Explain(u64),
    Keep(u64),
    Unkeep(u64),
    Pause(Option<Duration>),
    Resume,
    /// To end this one, on this workspace: should the pid be another's by now, it is not meant.
    Fix(u64, Option<(&'static str, Value)>),
}

impl Ask {
    pub(super) fn request(&self) -> Request {
        let of = |method, params| Request { method, params };
        match self {
            Self::Explain(pid) => of("explain", json!({"pid": pid})),
            Self::Keep(pid) => of("keep", json!({"pid": pid})),
            Self::Unkeep(pid) => of("unkeep", json!({"pid": pid})),
            Self::Pause(length) => Request::pause(*length),
            Self::Resume => Request::resume(),
            Self::Fix(pid, named) => {
                let mut params = json!({"confirm": true, "pids": [pid]});
                if let Some((name, workspace)) = named {
                    params[name] = json!([workspace]);
                }
                of("fix", params)
            }
        }
    }
}

impl Model {
    /// Of a daemon that is there, with its last records.
    pub(super) fn new(last: Vec<Value>) -> Self {
        let mut model = Self {
            link: Link::Live,
            status: Value::Null,
            rows: Vec::new(),
            kills: Kills::default(),
            events: VecDeque::new(),
            selected: None,
            pane: Pane::Nothing,
            furthest: u16::MAX,
            notice: None,
        };
        model.linked(last);
        model
    }

    /// Takes in one input. `view` is for what the daemon's answers say to people.
    pub(super) fn update(&mut self, input: Input, view: &View) -> Vec<Effect> {
        match input {
            Input::Key(key) => return self.press(key),
            Input::Linked(last) => self.linked(last),
            Input::Told(Notification::Event(event)) => self.happened(event),
            Input::Told(Notification::Status(status)) => self.stands(status),
            // Who lags is linked anew.
            Input::Told(Notification::Lagged(_)) => {}
            Input::Lost => {
                self.link = Link::Lost;
                self.kills = Kills::default();
            }
            Input::Answered(ask, answer) => self.answered(&ask, answer, view),
        }
        Vec::new()
    }

    /// Whether something on the screen changes as time goes by.
    pub(super) fn counts_down(&self) -> bool {
        let waits = |row: &Row| matches!(row.wait, Wait::Until { .. });
        self.link == Link::Live && (!self.kills.is_empty() || self.rows.iter().any(waits))
    }

    /// What is open ends there, as it was drawn last.
    pub(super) fn scrolls_to(&mut self, furthest: u16) {
        self.furthest = furthest;
        if let Pane::Letter { scroll, .. } = &mut self.pane {
            *scroll = (*scroll).min(furthest);
        }
    }

    pub(super) fn selected_row(&self) -> Option<&Row> {
        let selected = self.selected?;
        self.rows.iter().find(|row| row.pid == selected)
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            is_error: false,
        });
    }

    pub(super) fn complain(&mut self, text: impl AsRef<str>) {
        self.notice = Some(Notice {
            text: escape(text.as_ref()).into_owned(),
            is_error: true,
        });
    }

    fn linked(&mut self, last: Vec<Value>) {
        if self.link == Link::Lost {
            self.say("the daemon is there again");
        }
        self.link = Link::Live;
        self.events.clear();
        self.kills = Kills::default();
        for event in last {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Value) {
        self.kills.take(&event);
        self.events.push_back(event);
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }

    fn stands(&mut self, status: Value) {
        let at = self.position().unwrap_or(0);
        self.rows = rows(&status);
        self.status = status;
        // Who took the place of one that is gone is selected instead.
        if self.selected_row().is_none() {
            let next = self.rows.get(at).or_else(|| self.rows.last());
            self.selected = next.map(|row| row.pid);
        }
        self.close_if_outdated();
    }

    /// Nobody is asked to end what is no orphan any more, or is another process.
    fn close_if_outdated(&mut self) {
        let Pane::Confirm(asked) = &self.pane else {
            return;
        };
        let is_it = |row: &&Row| row.pid == asked.pid && row.named == asked.named;
        let pid = asked.pid;
        if !self.rows.iter().filter(is_it).any(|row| row.is_orphan) {
            self.pane = Pane::Nothing;
            self.say(format!("{pid} is no orphan any more"));
        }
    }

    /// Where the selected one stands.
    pub(super) fn position(&self) -> Option<usize> {
        let selected = self.selected?;
        self.rows.iter().position(|row| row.pid == selected)
    }

    fn answered(&mut self, ask: &Ask, answer: Result<Value, String>, view: &View) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => {
                if matches!(self.pane, Pane::Letter { letter: None, .. }) {
                    self.pane = Pane::Nothing;
                }
                return self.complain(problem);
            }
        };
        match ask {
            Ask::Explain(asked) => {
                if let Pane::Letter { pid, letter, .. } = &mut self.pane
                    && pid == asked
                {
                    *letter = Some(answer);
                }
            }
            Ask::Keep(_) | Ask::Unkeep(_) => self.say(render::kept(&answer, view)),
            Ask::Pause(_) => self.say(render::paused(&answer, view)),
            Ask::Resume => self.say(render::resumed(&answer, view)),
            Ask::Fix(..) if answer["ok"] == false => self.complain(render::endings(&answer)),
            Ask::Fix(..) => self.say(render::endings(&answer)),
        }
    }
}
