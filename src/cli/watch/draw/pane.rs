//! What opens above the picture: help, a letter, the question how long, the question whether.

use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::Look;
use crate::cli::render::{self, span};
use crate::cli::watch::model::{Model, Pane};
use crate::cli::watch::row::Row;

const HELP: &str = "\
↑ ↓ j k      select          PgUp PgDn g G
Enter e      explain the selected one
f            end the selected one, if it is an orphan; asks first
K  u         keep it: it is never touched  /  treat it like any other again
p  r         pause automatic reaping  /  go on with it
?            this help
q Esc Ctrl-C quit                Ctrl-Z  suspend

STATE  seen, suspected, confirmed, terminating, failed, spared: orphans;
       alive, unknown: all others, which nobody ends
NEXT   how long until the daemon ends it by itself, or what holds it back";

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: &Look) {
    match &model.pane {
        Pane::Nothing => {}
        Pane::Help => dialog(frame, " Keys ", HELP),
        Pane::Letter {
            pid,
            letter,
            scroll,
        } => {
            let area = inner(frame.area(), frame.area().width, frame.area().height);
            let view = look.view(area.width.saturating_sub(2));
            let text = match letter {
                Some(letter) => render::explain(letter, &view),
                None => "asking the daemon …".to_owned(),
            };
            // Never past its last line.
            let last = u16::try_from(text.lines().count().saturating_sub(1)).unwrap_or(u16::MAX);
            let title = format!(" Process {pid}: ↑ ↓ scroll, Esc closes ");
            open(frame, area, &title, text, (*scroll).min(last));
        }
        Pane::Pause => dialog(
            frame,
            " Pause automatic reaping ",
            "1  for 15 minutes\n2  for an hour\n3  until it is resumed\n\nEsc  not at all",
        ),
        Pane::Confirm(row) => dialog(frame, " End this process? ", &question(row, model, look)),
    }
}

/// Who would be ended, and how.
fn question(row: &Row, model: &Model, look: &Look) -> String {
    let age = row
        .started_at
        .map_or(0, |at| look.now.duration_since(at).as_secs());
    let terminate = &model.status["policy"]["terminate"];
    let with_whom = match terminate["scope"].as_str() {
        Some("process") => "it alone",
        Some("tree") => "it, its process group if it leads one, and its other descendants",
        _ => "it, and its process group if it leads one",
    };
    let wait = terminate["sigterm_wait_s"].as_f64();
    let wait = wait.map_or_else(String::new, |wait| format!(" after {wait} s"));
    let cmdline = row.cmdline.as_deref().unwrap_or("?");
    format!(
        "process    {}, running for {}, holding {}\nworkspace  {}\nreason     {}\ncommand    {cmdline}\n\n\
         SIGTERM, and SIGKILL{wait}, to {with_whom}. It is checked again first.\n\n\
         y  end it      N  leave it",
        row.pid,
        span(u64::try_from(age).unwrap_or(0)),
        row.memory,
        row.workspace,
        row.reason,
    )
}

/// A box in the middle, as large as its text.
fn dialog(frame: &mut Frame<'_>, title: &str, text: &str) {
    const WIDEST: usize = 76;
    let whole = frame.area();
    let longest = text.lines().map(|line| line.chars().count()).max();
    let width = longest.unwrap_or(0).clamp(title.chars().count(), WIDEST) + 4;
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(whole.width);
    let room = usize::from(width.saturating_sub(2)).max(1);
    let lines: usize = text
        .lines()
        .map(|line| line.chars().count().div_ceil(room).max(1))
        .sum();
    // Words are not broken: one line more for each that is wrapped is enough.
    let wrapped = text
        .lines()
        .filter(|line| line.chars().count() > room)
        .count();
    let height = u16::try_from(lines + wrapped + 2).unwrap_or(u16::MAX);
    open(
        frame,
        inner(whole, width, height),
        title,
        text.to_owned(),
        0,
    );
}

fn inner(whole: Rect, width: u16, height: u16) -> Rect {
    let [area] = Layout::horizontal([Constraint::Length(width.min(whole.width))])
        .flex(Flex::Center)
        .areas(whole);
    let [area] = Layout::vertical([Constraint::Length(height.min(whole.height))])
        .flex(Flex::Center)
        .areas(area);
    area
}

fn open(frame: &mut Frame<'_>, area: Rect, title: &str, text: String, scroll: u16) {
    frame.render_widget(Clear, area);
    let lines: Vec<Line<'_>> = text.lines().map(Line::from).collect();
    // Without room for a frame, the text counts.
    let has_frame = area.height > 4 && area.width > 20;
    let mut paragraph = Paragraph::new(Text::from(lines))
        .wrap(Wrap { trim: false })
        .scroll((scroll, 0));
    if has_frame {
        paragraph = paragraph.block(Block::bordered().title(title.to_owned()));
    }
    frame.render_widget(paragraph, area);
}
