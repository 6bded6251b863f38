//! What must hold whatever is shown.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{View, shorten_middle};
use crate::cli::terminal::Terminal;
use crate::config::Config;
use crate::text::{escape, is_unsafe};

fn view(is_terminal: bool, width: usize) -> View {
    View {
        terminal: Terminal { is_terminal, width },
        now: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        program: crate::cli::render::PROGRAM.to_owned(),
    }
}

/// A configuration file: it is refused in harmless words, or shown as one that means the same.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, Path::new("/c.toml")) {
        Err(error) => {
            let words = error.to_string();
            assert!(
                words.chars().all(|char| char == '\n' || !is_unsafe(char)),
                "{words:?}"
            );
        }
        Ok(config) => {
            let shown = super::config(&config.to_json(), None, &BTreeMap::new(), &view(false, 80));
            match Config::parse(&shown, Path::new("/shown.toml")) {
                Ok(again) => assert_eq!(again, config, "{shown}"),
                Err(error) => panic!("what is shown is refused: {error}\n{shown}"),
            }
        }
    }
}

/// A name that somebody else chose; the first byte says how wide the terminal is.
pub fn text(data: &[u8]) {
    let Some((width, text)) = data.split_first() else {
        return;
    };
    let (width, text) = (usize::from(*width), String::from_utf8_lossy(text));
    let safe = escape(&text);
    assert!(!safe.chars().any(is_unsafe), "{safe:?}");
    assert_eq!(escape(&safe), safe, "it stays as it is");
    assert_eq!(text.chars().any(is_unsafe), safe != text);
    let short = shorten_middle(&safe, width);
    assert!(
        short.width() <= width.max(safe.width().min(width)),
        "{short:?}"
    );
    assert!(safe.width() > width || short == safe);
    if width >= 20 {
        let folded = view(true, width).folded(&safe);
        let words = |text: &str| {
            let words = text.split_ascii_whitespace();
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(&folded), words(&safe), "no word is lost");
        let longest = safe.split(' ').map(UnicodeWidthStr::width).max();
        let is_command = safe.contains("team-agentctl ");
        for line in folded.lines().filter(|_| !is_command) {
            let room = width.max(longest.unwrap_or_default() + width / 2);
            assert!(
                line.width() <= room,
                "{} of {width}: {line:?}",
                line.width()
            );
        }
    }
}
