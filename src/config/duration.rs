//! Durations as people write them: `300ms`, `5s`, `10m`, `1h30m`.
//!
//! Must not know what they are for.

use std::time::Duration;

use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};
use thiserror::Error;

/// Longer ones are refused: they are slips of the pen, and adding one to a clock could overflow it.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Shorter ones are counted in seconds, as people do: `60s`, `90s`.
const IN_SECONDS: Duration = Duration::from_mins(2);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// It is not of the form.
    #[error("not a duration: {0:?} (write 300ms, 5s, 10m or 1h30m)")]
    Malformed(String),
    /// It is only a number.
    #[error("not a duration: {0} has no unit (write \"{0}s\" if seconds are meant)")]
    NoUnit(String),
    /// It is longer than a year.
    #[error("too long: {0} is more than a year (8760h)")]
    TooLong(String),
}

/// Reads a duration of whole hours, minutes, seconds and milliseconds, the greatest unit first:
/// `300ms`, `5s`, `10m`, `1h30m`. No sign, no space, no other spelling; at most a year.
///
/// # Errors
///
/// When `text` is anything else; the message shows how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let owned = || text.to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::NoUnit(owned()));
    }
    // jiff reads much more ("5 seconds ago", "PT5S", "1.5 hours"). In these letters it can only
    // spell the four units.
    let plain = |byte: u8| byte.is_ascii_digit() || b"hms".contains(&byte);
    if !text.bytes().all(plain) {
        return Err(DurationError::Malformed(owned()));
    }
    let duration = SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_| DurationError::Malformed(owned()))?;
    if duration > LONGEST {
        return Err(DurationError::TooLong(owned()));
    }
    Ok(duration)
}

/// Writes a duration so that [`parse_duration`] reads it: `300ms`, `60s`, `2m30s`; what is finer than a
/// millisecond is left out.
#[must_use]
pub fn render_duration(duration: Duration) -> String {
    let nanoseconds = duration.subsec_nanos();
    let whole = Duration::new(duration.as_secs(), nanoseconds - nanoseconds % 1_000_000);
    if whole.subsec_nanos() == 0 && whole < IN_SECONDS {
        return format!("{}s", whole.as_secs());
    }
    SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None)
        .unsigned_duration_to_string(&whole)
}
