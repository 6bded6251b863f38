//! Rows of processes as a table that fits: the workspace is shortened in its middle, the reason is
//! broken where its words end. Everything in it has to be safe to show already.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands between two columns.
const GAP: usize = 2;
/// The workspace gets this much, or half of what the two have, before the reason is served.
const WORKSPACE_FIRST: usize = 20;
/// The narrowest that a reason is broken to.
const REASON_AT_LEAST: usize = 12;
/// Columns that are short by nature are cut here, should they not be.
const SHORT_AT_MOST: usize = 24;
/// And no further than to this, where there is little room.
const SHORT_AT_LEAST: usize = 8;
/// Wider than this no table has to be.
const WIDEST: usize = 1_000;

/// One process.
pub(super) struct Row {
    /// What is short by nature: the first column to the left, all others to the right.
    pub(super) short: Vec<String>,
    /// The workspace.
    pub(super) workspace: String,
    /// The reason.
    pub(super) reason: String,
    /// Whole lines that stand below it.
    pub(super) below: Vec<String>,
}

/// The lines of a table, its headings first; `headings` are those of the short columns.
pub(super) fn lines(headings: &[&str], rows: Vec<Row>, width: usize) -> Vec<String> {
    let mut rows: Vec<Row> = rows;
    for cell in rows.iter_mut().flat_map(|row| &mut row.short) {
        *cell = shorten_middle(cell, SHORT_AT_MOST);
    }
    let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(columns).max().unwrap_or(0);
    let short = |rows: &[Row], index: usize| {
        let cells = rows.iter().filter_map(|row| row.short.get(index));
        let cells = cells.map(String::as_str);
        widest(&mut cells.chain(headings.get(index).copied()))
    };
    let room = |rows: &[Row]| {
        let all: usize = (0..headings.len())
            .map(|index| short(rows, index) + GAP)
            .sum();
        width.min(WIDEST).saturating_sub(all + GAP)
    };
    let lacking = ("WORKSPACE".len() + REASON_AT_LEAST).saturating_sub(room(&rows));
    // The last of them says most.
    if let Some(last) = headings.len().checked_sub(1).filter(|_| lacking > 0) {
        let at_most = short(&rows, last)
            .saturating_sub(lacking)
            .max(SHORT_AT_LEAST);
        for cell in rows.iter_mut().filter_map(|row| row.short.get_mut(last)) {
            *cell = shorten_middle(cell, at_most);
        }
    }
    let room = room(&rows);
    let workspace = widest(
        &mut rows
            .iter()
            .map(|row| row.workspace.as_str())
            .chain(["WORKSPACE"]),
    );
    let reason = widest(&mut rows.iter().map(|row| row.reason.as_str()).chain(["REASON"]));
    let served_first = workspace.min(WORKSPACE_FIRST).min(room / 2);
    let reason_width = reason.min(room.saturating_sub(served_first).max(REASON_AT_LEAST));
    let workspace_width = workspace
        .min(room.saturating_sub(reason_width))
        .max("WORKSPACE".len());

    let mut table = Table::new();
    table.load_style(NOTHING);
    let aligned = |(index, text): (usize, String)| {
        let alignment = if index == 0 {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        };
        Cell::new_owned(text).set_alignment(alignment)
    };
    let mut header: Vec<Cell> = headings
        .iter()
        .map(ToString::to_string)
        .enumerate()
        .map(aligned)
        .collect();
    header.extend(["WORKSPACE", "REASON"].map(Cell::new));
    table.set_header(header);
    let mut heights = Vec::new();
    let mut belows = Vec::new();
    for row in rows {
        let reason = broken(&row.reason, reason_width);
        heights.push(reason.len());
        belows.push(row.below);
        let mut cells: Vec<Cell> = row.short.into_iter().enumerate().map(aligned).collect();
        cells.push(Cell::new_owned(shorten_middle(
            &row.workspace,
            workspace_width,
        )));
        cells.push(Cell::new_owned(reason.join("\n")));
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut drawn = table.lines().map(|line| line.trim_end().to_owned());
    let mut lines: Vec<String> = drawn.by_ref().take(1).collect();
    for (height, below) in heights.into_iter().zip(belows) {
        lines.extend(drawn.by_ref().take(height));
        lines.extend(below);
    }
    lines.extend(drawn);
    lines
}

/// How many columns a text takes on a terminal.
fn columns(text: &str) -> usize {
    text.width()
}

/// `text` in at most so many columns, its middle replaced by `…`. More is kept of the end: that is
/// where paths differ.
pub(in crate::cli) fn shorten_middle(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = fitting(text.chars(), room / 3);
    let tail = fitting(text.chars().rev(), room - room / 3);
    let tail: String = tail.chars().rev().collect();
    if width == 0 {
        String::new()
    } else {
        format!("{head}…{tail}")
    }
}

/// The first of these characters that fit into so many columns.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut room = width;
    chars
        .map_while(|char| {
            room = room.checked_sub(char.width().unwrap_or(0))?;
            Some(char)
        })
        .collect()
}

/// `text` in lines of at most so many columns: broken after each `:` if it has to be broken at all,
/// else after `_`, `-` or a space where that can be had.
fn broken(text: &str, width: usize) -> Vec<String> {
    if columns(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(['_', ':', '-', ' ']) {
        let follows_colon = lines.last().is_some_and(|line| line.ends_with(':'));
        if used > 0 && (used + columns(word) > width || follows_colon) {
            lines.push(String::new());
            used = 0;
        }
        for char in word.chars() {
            let wide = char.width().unwrap_or(0);
            if used > 0 && used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(char);
            }
            used += wide;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_shortened_in_its_middle() {
        for (text, width, short) in [
            ("/home/me/projects/shop", 22, "/home/me/projects/shop"),
            ("/home/me/projects/shop", 21, "/home/…/projects/shop"),
            ("/home/me/projects/shop", 10, "/ho…s/shop"),
            ("/データ/作業場/東京", 12, "/デ…場/東京"),
            ("/home", 1, "…"),
            ("/home", 0, ""),
        ] {
            assert_eq!(shorten_middle(text, width), short);
        }
    }

    #[test]
    fn a_reason_is_broken_where_its_words_end() {
        let lines = |text, width| broken(text, width).join("|");
        assert_eq!(
            lines("workspace_path_missing", 22),
            "workspace_path_missing"
        );
        assert_eq!(
            lines("workspace_path_missing", 12),
            "workspace_|path_missing"
        );
        assert_eq!(
            lines("ephemeral_tempdir_pattern:team-agent-watcher-dedupe-", 27),
            "ephemeral_tempdir_pattern:|team-agent-watcher-dedupe-"
        );
        assert_eq!(lines("abcdefgh", 3), "abc|def|gh");
        assert_eq!(lines("", 3), "");
    }

    fn row(text: &str) -> Row {
        Row {
            short: vec![text.to_owned(); 3],
            workspace: text.to_owned(),
            reason: text.to_owned(),
            below: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn shortened_text_fits(text in "\\PC{0,60}", width in 0usize..80) {
            prop_assert!(columns(&shorten_middle(&text, width)) <= width.max(columns("")));
            for line in broken(&text, width) {
                prop_assert!(columns(&line) <= width.max(2));
            }
            prop_assert_eq!(broken(&text, width).concat(), text);
        }

        #[test]
        fn a_table_of_any_width_can_be_laid_out(texts in proptest::collection::vec("\\PC{0,60}", 0..6), width in 0usize..200) {
            let rows = texts.iter().map(|text| row(text)).collect();
            let lines = lines(&["ONE", "TWO", "THREE"], rows, width);
            prop_assert!(lines.len() > texts.len());
        }

        #[test]
        fn a_table_of_usual_rows_fits(reason in "[a-z_]{6,60}", path in "/[a-z/é]{0,200}", width in 60usize..200) {
            let usual = Row {
                short: ["unknown", "4194304", "100d 12h", "999 MB"].map(str::to_owned).into(),
                workspace: path,
                reason,
                below: Vec::new(),
            };
            for line in lines(&["VERDICT", "PID", "AGE", "MEMORY"], vec![usual], width) {
                prop_assert!(columns(&line) <= width, "{line}");
            }
        }
    }
}
