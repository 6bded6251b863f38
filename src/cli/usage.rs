//! What clap says of a mistake, made safe to show: it quotes what was typed as it was, and a shell expands names of
//! files into what is typed.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

use super::safe_text::{escape, is_unsafe};

/// The mistake in these arguments, with nothing raw in what it says. Who typed nothing of that kind sees it as clap
/// paints it.
pub(super) fn safe_to_show(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let is_raw = |argument: &OsString| argument.to_string_lossy().contains(is_unsafe);
    if arguments.iter().any(is_raw) {
        let safe: Vec<_> = error
            .context()
            // The usage is clap's own.
            .filter(|(kind, _)| *kind != ContextKind::Usage)
            .filter_map(|(kind, value)| Some((kind, escaped(value)?)))
            .collect();
        for (kind, value) in safe {
            error.insert(kind, value);
        }
    }
    error
}

/// None where there is no text.
fn escaped(value: &ContextValue) -> Option<ContextValue> {
    let text = |text: &String| escape(text).into_owned();
    // Without the colours: what is in the text may look like one.
    let plain = |styled: &StyledStr| StyledStr::from(text(&styled.to_string()));
    Some(match value {
        ContextValue::String(one) => ContextValue::String(text(one)),
        ContextValue::Strings(all) => ContextValue::Strings(all.iter().map(text).collect()),
        ContextValue::StyledStr(one) => ContextValue::StyledStr(plain(one)),
        ContextValue::StyledStrs(all) => ContextValue::StyledStrs(all.iter().map(plain).collect()),
        _ => return None,
    })
}
