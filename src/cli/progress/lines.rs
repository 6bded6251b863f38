//! The orphans of a fix as lines, for a terminal of a given size. Pure.

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

use super::model::{Ended, Model, Status};
use crate::cli::kills::Kill;
use crate::cli::render::{ALARM, ASIDE, DOUBT, HEADING, View, WELL, shorten_middle};

/// What is left free below: the line of a shell, and what an echoed key takes.
const FREE_ROWS: usize = 2;
/// A workspace gets at least this much, or nothing.
const WORKSPACE_AT_LEAST: usize = 8;

/// A piece of a line.
type Part = (Style, String);

/// What is shown in so many rows, at most; the width and the time are the view's.
pub(super) fn lines(model: &Model, view: &View, rows: usize) -> Vec<String> {
    let columns = view.terminal.width.saturating_sub(1);
    let mut lines = vec![fitting(vec![(HEADING, heading(model))], columns, view)];
    let kills = model.kills.0.iter();
    let ended = model.ended.iter().rev();
    let under_way = kills.map(|(pid, kill)| of_kill(*pid, kill, model, view, columns));
    let ended = ended.map(|ended| of_end(ended, columns));
    let all = model.kills.0.len() + model.ended.len();
    let room = rows.saturating_sub(FREE_ROWS + 1);
    // The last row says what is not shown.
    let shown = if all <= room {
        all
    } else {
        room.saturating_sub(1)
    };
    let each = under_way.chain(ended).take(shown);
    lines.extend(each.map(|parts| fitting(parts, columns, view)));
    if all > shown && room > 0 {
        let more = format!("  … and {} more", all - shown);
        lines.push(fitting(vec![(ASIDE, more)], columns, view));
    }
    lines
}

fn heading(model: &Model) -> String {
    let count = |status| {
        model
            .ended
            .iter()
            .filter(|one| one.status == status)
            .count()
    };
    let counts = [
        (model.kills.0.len(), "under way"),
        (count(Status::Gone), "gone"),
        (count(Status::Spared), "spared"),
        (count(Status::Failed), "failed"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(many, _)| *many > 0)
        .map(|(many, what)| format!("{many} {what}"))
        .collect();
    if counts.is_empty() {
        return "Looking for the orphans to end …".to_owned();
    }
    format!("Ending orphans: {}", counts.join(", "))
}

fn of_kill(pid: u64, kill: &Kill, model: &Model, view: &View, columns: usize) -> Vec<Part> {
    let others = match kill.others {
        0 => String::new(),
        others => format!(" and to {others} more"),
    };
    let parts = vec![
        (Style::new(), format!("{pid:>9}  ")),
        (ALARM, format!("{} sent{others}", kill.signal)),
        (DOUBT, format!("  {}", kill.next(&model.status, view.now))),
    ];
    with_workspace(parts, &kill.workspace, columns)
}

fn of_end(ended: &Ended, columns: usize) -> Vec<Part> {
    let style = match ended.status {
        Status::Gone => WELL,
        Status::Failed => ALARM,
        Status::Spared => DOUBT,
    };
    let parts = vec![
        (Style::new(), format!("{:>9}  ", ended.pid)),
        (style, ended.how.clone()),
    ];
    with_workspace(parts, &ended.workspace, columns)
}

fn with_workspace(mut parts: Vec<Part>, workspace: &str, columns: usize) -> Vec<Part> {
    let taken: usize = parts.iter().map(|(_, text)| wide(text)).sum();
    let room = columns.saturating_sub(taken + 2);
    if room >= WORKSPACE_AT_LEAST {
        let workspace = shorten_middle(workspace, room);
        parts.push((ASIDE, format!("  {workspace}")));
    }
    parts
}

/// As much of these parts as fits: a line that wraps would be another line to the terminal.
fn fitting(parts: Vec<Part>, columns: usize, view: &View) -> String {
    let mut room = columns;
    let mut line = String::new();
    for (style, text) in parts {
        let fits: String = text
            .chars()
            .map_while(|char| {
                room = room.checked_sub(char.width().unwrap_or(0))?;
                Some(char)
            })
            .collect();
        let is_cut = fits.len() < text.len();
        line += &view.paint(style, fits);
        if is_cut {
            break;
        }
    }
    line
}

fn wide(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}
