//! Why there is no result.

use super::super::failure::Failure;
use crate::cli::safe_text::{escape, escape_lines};

/// The text of a failure: what went wrong, and below it what can be done about it.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let style = super::paint::ALARM;
    let mut text = format!("{style}error:{style:#} {}", escape_lines(&failure.message));
    if let Some(remedy) = &failure.remedy {
        text += &format!("\n  {}", escape(remedy));
    }
    text
}
