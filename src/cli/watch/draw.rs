//! The model at a moment as a picture, for a screen of any size. Pure.
//!
//! Must not know where the model comes from, nor which terminal it is. All texts come safe to show.

mod pane;
mod parts;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};

use super::model::{Link, Model};
use crate::cli::render::View;
use crate::cli::terminal::Terminal;

/// How it is shown.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) now: Timestamp,
    /// In which times of day are given.
    pub(super) zone: TimeZone,
    /// Whether colours are wanted.
    pub(super) has_colours: bool,
}

impl Look {
    /// For texts that others render: without their colours.
    fn view(&self, width: u16) -> View {
        View {
            terminal: Terminal {
                is_terminal: false,
                width: usize::from(width),
            },
            now: self.now,
            zone: self.zone.clone(),
            program: crate::cli::render::PROGRAM.to_owned(),
        }
    }

    fn colour(&self, colour: Color) -> Style {
        match self.has_colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// What catches the eye: a failure, an orphan.
    fn alarm(&self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What is in doubt or held.
    fn doubt(&self) -> Style {
        self.colour(Color::Yellow)
    }

    /// What is well.
    fn well(&self) -> Style {
        self.colour(Color::Green)
    }

    /// What structures the picture.
    fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there for completeness.
    fn aside() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws all of it; gives how far what is open can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: &Look) -> u16 {
    let area = frame.area();
    if area.height == 0 || area.width == 0 {
        return 0;
    }
    let head = parts::head(model, look, area);
    let kills = parts::kills(model, look, area);
    let detail = parts::detail(model, look, area);
    let events = match area.height {
        0..14 => 0,
        height => (height / 3).min(12),
    };
    // Its heading, and as many as there are.
    let events = events.min(u16::try_from(model.events.len() + 1).unwrap_or(u16::MAX));
    let length = |lines: usize| Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX));
    let [top, table, below, middle, bottom, foot] = Layout::vertical([
        length(head.len()),
        Constraint::Min(1),
        length(detail.len()),
        length(kills.len()),
        Constraint::Length(events),
        Constraint::Length(1),
    ])
    .areas(area);
    parts::lines(frame, top, head);
    parts::table(frame, table, model, look);
    parts::lines(frame, below, detail);
    parts::lines(frame, middle, kills);
    parts::lines(frame, bottom, parts::events(model, look, bottom));
    if model.link == Link::Lost {
        // What was, not what is.
        frame.buffer_mut().set_style(area, Look::aside());
    }
    parts::lines(frame, foot, vec![parts::foot(model, look, foot.width)]);
    pane::draw(frame, model, look)
}
