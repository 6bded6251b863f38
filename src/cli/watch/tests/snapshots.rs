//! Whole screens, as they are on narrow, usual and wide terminals: see `cli/render/tests/pictures.rs`.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::pictures::{picture_of, text_of};
use super::*;

const WIDTHS: [u16; 3] = [60, 80, 140];
const HEIGHT: u16 = 22;

#[track_caller]
fn assert_screen(name: &str, model: &Model) {
    let without_colours = Look {
        has_colours: false,
        ..look()
    };
    let mut screens = String::new();
    for width in WIDTHS {
        let plain = picture_of(model, &without_colours, width, HEIGHT);
        let _ = writeln!(screens, "──── {width} columns\n{}", text_of(&plain));
        let coloured = picture_of(model, &look(), width, HEIGHT);
        assert_eq!(
            text_of(&plain),
            text_of(&coloured),
            "{name}: colours change no text"
        );
        let _ = writeln!(
            screens,
            "──── {width} columns, in colour\n{}",
            in_marks(&coloured)
        );
    }
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pictures"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, screens);
    });
}

/// The text with each change of style as `‹red,bold›`.
fn in_marks(picture: &Buffer) -> String {
    let area = picture.area;
    let mut lines = Vec::new();
    for y in 0..area.height {
        let mut line = String::new();
        let mut before = String::new();
        for x in 0..area.width {
            let cell = &picture[(x, y)];
            let style = style_of(cell);
            if style != before {
                let _ = write!(line, "‹{style}›");
                before = style;
            }
            line.push_str(cell.symbol());
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn style_of(cell: &Cell) -> String {
    let mut words = Vec::new();
    if cell.fg != Color::Reset {
        words.push(cell.fg.to_string().to_lowercase());
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", cell.bg.to_string().to_lowercase()));
    }
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if cell.modifier.contains(modifier) {
            words.push(word.to_owned());
        }
    }
    words.join(",")
}

#[test]
fn screens() {
    let mut model = model();
    let term = signal(13, 13, "SIGTERM", "2026-05-26T12:04:59.000000+00:00");
    tell(&mut model, Notification::Event(term));
    assert_screen("watch", &model);
    press(&mut model, &[Key::Char('f')]);
    assert_screen("watch-question", &model);
    press(&mut model, &[Key::Char('n'), Key::Char('?')]);
    assert_screen("watch-help", &model);
}
