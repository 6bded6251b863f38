//! What opens above the picture: help, a letter, the question how long, the question whether.

use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::Look;
use crate::cli::render::{self, shorten_middle, span};
use crate::cli::watch::model::{Model, Pane};
use crate::cli::watch::row::Row;
use crate::cli::wrap::wrapped;

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

/// Draws what is open; gives how far it can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: &Look) -> u16 {
    match &model.pane {
        Pane::Nothing => 0,
        Pane::Help => dialog(frame, " Keys ", HELP, None),
        Pane::Letter {
            pid,
            letter,
            scroll,
        } => {
            let area = frame.area();
            let view = look.view(area.width.saturating_sub(2));
            let text = match letter {
                Some(letter) => render::explain(letter, &view),
                None => "asking the daemon …".to_owned(),
            };
            let title = format!(" Process {pid}: ↑ ↓ scroll, Esc closes ");
            open(frame, area, &title, &text, *scroll, None)
        }
        Pane::Pause => dialog(
            frame,
            " Pause automatic reaping ",
            "1  for 15 minutes\n2  for an hour\n3  until it is resumed",
            Some("Esc  not at all"),
        ),
        Pane::Confirm(row) => {
            let question = question(row, model, look);
            let answers = format!("y  end {}      N  leave it", row.pid);
            dialog(frame, " End this process? ", &question, Some(&answers))
        }
    }
}

/// The most of a name that a question shows, in columns: what is asked has to stay on the screen.
const LONGEST_NAME: usize = 200;

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
        "process    {}, running for {}, holding {}\nworkspace  {}\nreason     {}\ncommand    {}\n\n\
         SIGTERM, and SIGKILL{wait}, to {with_whom}. It is checked again first.",
        row.pid,
        span(u64::try_from(age).unwrap_or(0)),
        row.memory,
        shorten_middle(&row.workspace, LONGEST_NAME),
        row.reason,
        shorten_middle(cmdline, LONGEST_NAME),
    )
}

/// A box in the middle, as large as its text.
fn dialog(frame: &mut Frame<'_>, title: &str, text: &str, answers: Option<&str>) -> u16 {
    const WIDEST: usize = 76;
    let whole = frame.area();
    let longest = text.lines().map(|line| line.chars().count()).max();
    let width = longest.unwrap_or(0).clamp(title.chars().count(), WIDEST) + 2;
    let width = length(width).min(whole.width);
    let lines = wrapped(text, usize::from(width.saturating_sub(2))).len();
    let answers_take = if answers.is_some() { 2 } else { 0 };
    let height = length(lines + answers_take + 2);
    open(frame, inner(whole, width, height), title, text, 0, answers)
}

fn length(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
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

/// A box with a text, from the line `scroll` on, but never past the end; gives how far that is. What can
/// be answered stands below it, however little room there is.
fn open(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    text: &str,
    scroll: u16,
    answers: Option<&str>,
) -> u16 {
    frame.render_widget(Clear, area);
    // Without room for a frame, the text counts.
    let block = Block::bordered().title(title);
    let room = match area.height > 4 && area.width > 20 {
        true => {
            let inside = block.inner(area);
            frame.render_widget(block, area);
            inside
        }
        false => area,
    };
    let foot = u16::from(answers.is_some());
    let [room, foot] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(foot)]).areas(room);
    if let Some(answers) = answers {
        frame.render_widget(Paragraph::new(answers), foot);
    }
    let lines = wrapped(text, usize::from(room.width));
    let furthest = length(lines.len()).saturating_sub(room.height);
    let from = usize::from(scroll.min(furthest));
    let shown: Vec<Line<'_>> = lines.into_iter().skip(from).map(Line::from).collect();
    frame.render_widget(Paragraph::new(Text::from(shown)), room);
    furthest
}
