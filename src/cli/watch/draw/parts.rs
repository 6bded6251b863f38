//! The parts of the picture, from top to bottom.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};
use serde_json::Value;

use super::Look;
use crate::cli::bar::{bar, left};
use crate::cli::list;
use crate::cli::render::{self, counted, shorten_middle, shown, span};
use crate::cli::watch::model::{Link, Model};
use crate::cli::watch::row::{Row, Wait};

/// How long a bar is.
const BAR: usize = 8;
/// The most kills that are listed.
const KILLS_SHOWN: usize = 6;

pub(super) fn lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(Text::from(lines)), area);
}

/// The daemon, what it does by itself, what it saw last, what it cannot see.
pub(super) fn head(model: &Model, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let view = look.view(area.width);
    let daemon = &model.status["daemon"];
    let mut title = vec![Span::styled(
        format!("team-agentd {}", shown(&daemon["version"])),
        Look::heading(),
    )];
    title.push(Span::raw(format!(", pid {}", shown(&daemon["pid"]))));
    if model.link == Link::Lost {
        let gone = "  gone; waiting for the next one";
        title.push(Span::styled(gone, look.alarm()));
    }
    if model.status.is_null() {
        return vec![Line::from("team-agentd: the first word is on its way")];
    }
    let mut head = vec![Line::from(title)];
    if area.height < 10 {
        return head;
    }
    let policy = &model.status["policy"];
    let is_held = policy["confirm"] == true && policy["automatic"] == false;
    let style = if is_held { look.doubt() } else { Style::new() };
    head.push(Line::styled(render::policy(policy, &view), style));
    let scan = &model.status["last_scan"];
    head.push(match scan.is_null() {
        true => Line::from("nothing was looked at yet"),
        false => Line::from(format!(
            "last scan {}: {}, {}",
            clock(&scan["at"], look),
            counted(&scan["scanned"], "coordinator"),
            counted(&scan["orphans"], "orphan"),
        )),
    });
    for obstacle in list(&model.status["view"], "obstacles").iter().take(2) {
        head.push(Line::styled(shown(&obstacle["says"]), look.alarm()));
    }
    head
}

/// The time of day; with the day, if it is another one.
fn clock(value: &Value, look: &Look) -> String {
    let view = look.view(0);
    let time = view.local_time(value);
    let today = view.local_time(&Value::from(look.now.to_string()));
    match (time.split_once(' '), today.split_once(' ')) {
        (Some((day, time)), Some((today, _))) if day == today => time.to_owned(),
        _ => time,
    }
}

/// What the width leaves room for.
struct Columns {
    has_age: bool,
    has_memory: bool,
    has_reason: bool,
    has_wait: bool,
}

impl Columns {
    fn fitting(width: u16) -> Self {
        Self {
            has_age: width >= 40,
            has_memory: width >= 76,
            has_reason: width >= 100,
            has_wait: width >= 56,
        }
    }

    /// Each column that is there: its heading, its width, its text.
    fn list(&self) -> Vec<(&'static str, Constraint)> {
        let all = [
            (true, "STATE", Constraint::Length(11)),
            (true, "PID", Constraint::Length(7)),
            (self.has_age, "AGE", Constraint::Length(7)),
            (self.has_memory, "MEMORY", Constraint::Length(7)),
            (true, "WORKSPACE", Constraint::Fill(3)),
            (self.has_reason, "REASON", Constraint::Fill(2)),
            (self.has_wait, "NEXT", Constraint::Length(19)),
        ];
        all.into_iter()
            .filter(|(is_there, ..)| *is_there)
            .map(|(_, heading, width)| (heading, width))
            .collect()
    }
}

/// Every coordinator, the selected one in sight.
pub(super) fn table(frame: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    if model.rows.is_empty() {
        let nothing = match model.status["last_scan"].is_null() {
            true => "",
            false => "no coordinators",
        };
        return lines(frame, area, vec![Line::styled(nothing, Look::aside())]);
    }
    let columns = Columns::fitting(area.width);
    let (headings, widths): (Vec<_>, Vec<_>) = columns.list().into_iter().unzip();
    // What the elastic ones get, found out by the same rules.
    let parts = ratatui::layout::Layout::horizontal(&widths)
        .spacing(1)
        .split(area);
    let width_of = |name: &str| {
        let at = headings.iter().position(|heading| *heading == name);
        at.map_or(0, |at| usize::from(parts[at].width))
    };
    let rows = model.rows.iter().map(|row| {
        let cells = headings.iter().map(|heading| match *heading {
            "STATE" => Cell::from(Span::styled(row.state.clone(), of_state(row, look))),
            "PID" => right(row.pid.to_string(), 7),
            "AGE" => right(age(row.started_at, look.now), 7),
            "MEMORY" => right(row.memory.clone(), 7),
            "WORKSPACE" => Cell::from(shorten_middle(&row.workspace, width_of(heading))),
            "REASON" => Cell::from(shorten_middle(&row.reason, width_of(heading))),
            _ => Cell::from(wait(row, model, look)),
        });
        TableRow::new(cells.collect::<Vec<_>>())
    });
    let mut table = Table::new(rows, widths)
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    if area.height > 3 {
        let right_aligned = |heading: &&str| match *heading {
            "PID" | "AGE" | "MEMORY" => right((*heading).to_owned(), 7),
            heading => Cell::from(heading.to_owned()),
        };
        let cells: Vec<_> = headings.iter().map(right_aligned).collect();
        table = table.header(TableRow::new(cells).style(Look::heading()));
    }
    let mut state = TableState::new().with_selected(model.position());
    frame.render_stateful_widget(table, area, &mut state);
}

fn right(text: String, width: usize) -> Cell<'static> {
    Cell::from(format!("{text:>width$}"))
}

fn age(started_at: Option<Timestamp>, now: Timestamp) -> String {
    let seconds = started_at.map(|at| now.duration_since(at).as_secs().max(0));
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or_else(|| "?".to_owned(), span)
}

fn of_state(row: &Row, look: &Look) -> Style {
    match row.state.as_str() {
        "alive" => look.well(),
        "terminating" | "failed" | "confirmed" => look.alarm(),
        _ if row.is_orphan => look.alarm(),
        _ => look.doubt(),
    }
}

/// When it is ended, or what holds it.
fn wait(row: &Row, model: &Model, look: &Look) -> Line<'static> {
    if let Some(kill) = model.kills.0.get(&row.pid) {
        return Line::styled(format!("{} sent", kill.signal), look.alarm());
    }
    match &row.wait {
        Wait::Until { from, until } => Line::from(vec![
            Span::styled(bar(*from, *until, look.now, BAR), look.doubt()),
            Span::raw(format!(" {}", left(*until, look.now))),
        ]),
        Wait::Held(by) => Line::styled(by.clone(), Look::aside()),
        Wait::None if row.is_kept => Line::styled("kept", Look::aside()),
        Wait::None => Line::default(),
    }
}

/// What the table has no room for, of the selected one.
pub(super) fn detail(model: &Model, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let Some(row) = model.selected_row().filter(|_| area.height >= 9) else {
        return Vec::new();
    };
    let kept = if row.is_kept { ", kept" } else { "" };
    let mut lines = vec![Line::from(vec![
        Span::styled(row.pid.to_string(), Look::heading()),
        Span::raw(format!(" {}{kept}  {}", row.reason, row.workspace)),
    ])];
    let most = if area.height >= 20 { 2 } else { 1 };
    let holds = row.says.iter().take(most);
    lines.extend(holds.map(|says| Line::styled(format!("  {says}"), look.doubt())));
    lines
}

/// Kills in progress: what was sent, and how long until more is done.
pub(super) fn kills(model: &Model, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let all = &model.kills.0;
    if all.is_empty() || area.height < 9 {
        return Vec::new();
    }
    let mut lines = vec![Line::styled(
        format!("KILLS IN PROGRESS: {}", all.len()),
        Look::heading(),
    )];
    let room = usize::from(area.height / 5).clamp(1, KILLS_SHOWN);
    for (pid, kill) in all.iter().take(room) {
        let next = kill.next(&model.status, look.now);
        let others = match kill.others {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let head = format!("{:>7} {}{others}  ", pid, kill.signal);
        let taken = head.chars().count() + next.chars().count() + 2;
        let room = usize::from(area.width).saturating_sub(taken);
        lines.push(Line::from(vec![
            Span::styled(head, look.alarm()),
            Span::styled(next, look.doubt()),
            Span::raw(format!("  {}", shorten_middle(&kill.workspace, room))),
        ]));
    }
    lines
}

/// The last things that happened, newest last.
pub(super) fn events(model: &Model, look: &Look, area: Rect) -> Vec<Line<'static>> {
    if area.height < 2 {
        return Vec::new();
    }
    let room = usize::from(area.height) - 1;
    let skipped = model.events.len().saturating_sub(room);
    let mut lines = vec![Line::styled("EVENTS", Look::heading())];
    let view = look.view(area.width);
    for event in model.events.iter().skip(skipped) {
        let style = match event["event"].as_str() {
            Some("orphan.failed" | "config.rejected" | "orphan.interrupted") => look.alarm(),
            Some("orphan.detected" | "orphan.signal" | "orphan.spared" | "reap.suspended") => {
                look.doubt()
            }
            Some("orphan.killed" | "orphan.cleared") => look.well(),
            _ => Style::new(),
        };
        let whole = render::event(event, &view);
        // The day of today says nothing.
        let long = view.local_time(&event["ts"]);
        let short = clock(&event["ts"], look);
        let said = whole
            .strip_prefix(&long)
            .map(|rest| format!("{short}{rest}"));
        lines.push(Line::styled(said.unwrap_or(whole), style));
    }
    lines
}

/// What was said last, or what can be done.
pub(super) fn foot(model: &Model, look: &Look, width: u16) -> Line<'static> {
    match &model.notice {
        Some(notice) if notice.is_error => Line::styled(notice.text.clone(), look.alarm()),
        Some(notice) => Line::styled(notice.text.clone(), Look::heading()),
        None => {
            let keys = match width {
                0..40 => "q quit  ? help",
                40..76 => "e explain  f fix  K keep  p pause  ? help",
                _ => "e explain  f fix  K keep  u unkeep  p pause  r resume  ? help  q quit",
            };
            Line::styled(keys, Look::aside())
        }
    }
}
