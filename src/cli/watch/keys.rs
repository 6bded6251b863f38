//! What each key does.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Ask, Effect, Link, Model, Pane};
use super::row::Row;

/// How far a page goes.
const PAGE: usize = 10;

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Enter,
    Escape,
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
}

impl Key {
    /// What the terminal says was pressed.
    pub(super) fn read(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let has_control = event.modifiers.contains(KeyModifiers::CONTROL);
        let is_plain = KeyModifiers::SHIFT.contains(event.modifiers);
        Some(match event.code {
            KeyCode::Char('c') if has_control => Self::Interrupt,
            KeyCode::Char('z') if has_control => Self::Suspend,
            KeyCode::Char(char) if is_plain => Self::Char(char),
            // What a terminal sends for Escape and a key soon after it is what it sends for Alt and that
            // key. Whoever leaves a question by Escape did not answer it.
            KeyCode::Char(_) if event.modifiers.contains(KeyModifiers::ALT) => Self::Escape,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home => Self::First,
            KeyCode::End => Self::Last,
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Escape,
            _ => return None,
        })
    }
}

impl Model {
    pub(super) fn press(&mut self, key: Key) -> Vec<Effect> {
        match key {
            Key::Interrupt => return vec![Effect::Leave],
            Key::Suspend => return vec![Effect::Suspend],
            _ => self.notice = None,
        }
        match std::mem::replace(&mut self.pane, Pane::Nothing) {
            Pane::Nothing => self.press_in_table(key),
            // Any key closes it.
            Pane::Help => Vec::new(),
            Pane::Letter {
                pid,
                letter,
                scroll,
            } => {
                if let Some(scroll) = scrolled(scroll, self.furthest, key) {
                    self.pane = Pane::Letter {
                        pid,
                        letter,
                        scroll,
                    };
                }
                Vec::new()
            }
            Pane::Pause => self.pause(key),
            Pane::Confirm(row) => self.decide(&row, key),
        }
    }

    fn press_in_table(&mut self, key: Key) -> Vec<Effect> {
        let at = self.position().unwrap_or(0);
        match key {
            Key::Up | Key::Char('k') => self.select(at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(at + 1),
            Key::PageUp => self.select(at.saturating_sub(PAGE)),
            Key::PageDown => self.select(at + PAGE),
            Key::First | Key::Char('g') => self.select(0),
            Key::Last | Key::Char('G') => self.select(usize::MAX),
            Key::Char('?' | 'h') => self.pane = Pane::Help,
            Key::Char('q') | Key::Escape => return vec![Effect::Leave],
            Key::Enter | Key::Char('e') => return self.of_selected(Self::explain),
            Key::Char('K') => {
                return self.of_selected(|_, row| vec![Effect::Ask(Ask::Keep(row.pid))]);
            }
            Key::Char('u') => return self.of_selected(Self::unkeep),
            Key::Char('f') => return self.of_selected(Self::confirm),
            Key::Char('p') if self.is_live() => self.pane = Pane::Pause,
            Key::Char('r') if self.is_live() => return vec![Effect::Ask(Ask::Resume)],
            _ => {}
        }
        Vec::new()
    }

    fn select(&mut self, at: usize) {
        let row = self.rows.get(at).or_else(|| self.rows.last());
        self.selected = row.map(|row| row.pid);
    }

    /// Whether anybody can be asked; says so if not.
    fn is_live(&mut self) -> bool {
        let is_live = self.link == Link::Live;
        if !is_live {
            self.complain("there is no daemon to ask");
        }
        is_live
    }

    fn of_selected(&mut self, act: impl FnOnce(&mut Self, Row) -> Vec<Effect>) -> Vec<Effect> {
        if !self.is_live() {
            return Vec::new();
        }
        match self.selected_row().cloned() {
            Some(row) => act(self, row),
            None => {
                self.complain("nothing is selected");
                Vec::new()
            }
        }
    }

    fn explain(&mut self, row: Row) -> Vec<Effect> {
        self.pane = Pane::Letter {
            pid: row.pid,
            letter: None,
            scroll: 0,
        };
        vec![Effect::Ask(Ask::Explain(row.pid))]
    }

    fn unkeep(&mut self, row: Row) -> Vec<Effect> {
        let pids = self.status["policy"]["kept"]["pids"].as_array();
        let by_pid = pids.is_some_and(|pids| pids.iter().any(|pid| *pid == row.pid));
        if row.is_kept && !by_pid {
            let how = "it is kept by its path: team-agentctl unkeep PATH, as team-agentctl status lists it";
            self.complain(how);
            return Vec::new();
        }
        vec![Effect::Ask(Ask::Unkeep(row.pid))]
    }

    fn confirm(&mut self, row: Row) -> Vec<Effect> {
        if row.is_orphan {
            self.pane = Pane::Confirm(Box::new(row));
        } else {
            self.complain(format!(
                "{} is no orphan ({}): only orphans are ended",
                row.pid, row.reason
            ));
        }
        Vec::new()
    }

    fn pause(&mut self, key: Key) -> Vec<Effect> {
        let length = match key {
            Key::Char('1') => Some(Duration::from_mins(15)),
            Key::Char('2') => Some(Duration::from_hours(1)),
            Key::Char('3') => None,
            Key::Escape | Key::Char('q' | 'n') => return Vec::new(),
            _ => {
                self.pane = Pane::Pause;
                return Vec::new();
            }
        };
        vec![Effect::Ask(Ask::Pause(length))]
    }

    /// Nothing but a `y` is a yes.
    fn decide(&mut self, row: &Row, key: Key) -> Vec<Effect> {
        if key != Key::Char('y') {
            self.say(format!("{} is left alone", row.pid));
            return Vec::new();
        }
        if !self.is_live() {
            return Vec::new();
        }
        self.say(format!("ending {} …", row.pid));
        vec![Effect::Ask(Ask::Fix(row.pid, row.named.clone()))]
    }
}

/// How far a letter is scrolled now; none if the key closes it.
fn scrolled(scroll: u16, furthest: u16, key: Key) -> Option<u16> {
    const PAGE_OF_LETTER: u16 = 10;
    let scroll = match key {
        Key::Up | Key::Char('k') => scroll.saturating_sub(1),
        Key::Down | Key::Char('j') => scroll.saturating_add(1),
        Key::PageUp => scroll.saturating_sub(PAGE_OF_LETTER),
        Key::PageDown | Key::Char(' ') => scroll.saturating_add(PAGE_OF_LETTER),
        Key::First | Key::Char('g') => 0,
        Key::Last | Key::Char('G') => furthest,
        _ => return None,
    };
    Some(scroll.min(furthest))
}
