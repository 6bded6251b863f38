//! Single values of a result as text: whatever they are, and whether or not they are there.

use jiff::Timestamp;
use serde_json::Value;

use super::View;
use crate::cli::safe_text::{escape, json_line};

/// A value as safe text; `?` if there is none.
pub(in crate::cli) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "?".to_owned(),
        Value::String(text) => escape(text).into_owned(),
        other => json_line(other),
    }
}

/// As [`shown`]; an empty text counts as none.
pub(in crate::cli) fn shown_or_unknown(value: &Value) -> String {
    let text = shown(value);
    if text.is_empty() {
        "?".to_owned()
    } else {
        text
    }
}

/// A text that is there, safe to show.
pub(in crate::cli) fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| escape(text).into_owned())
}

/// A timestamp of the daemon.
pub(in crate::cli) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The age of an entry, from its `etime`: `42s`, `3m`, `2h 5m`, `3d 4h`.
pub(super) fn age(entry: &Value) -> String {
    entry["etime"]
        .as_str()
        .and_then(seconds)
        .map_or_else(|| shown(&entry["etime"]), span)
}

/// `[[dd-]hh:]mm:ss` in seconds.
fn seconds(etime: &str) -> Option<u64> {
    let (days, clock) = etime.split_once('-').unwrap_or(("0", etime));
    let of_clock = clock.split(':').try_fold(0u64, |sum, part| {
        sum.checked_mul(60)?.checked_add(part.parse().ok()?)
    })?;
    days.parse::<u64>()
        .ok()?
        .checked_mul(86_400)?
        .checked_add(of_clock)
}

/// A span of time in its two greatest units.
pub(in crate::cli) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A short while, from milliseconds.
pub(super) fn milliseconds(value: &Value) -> String {
    match value.as_f64() {
        Some(milliseconds) if milliseconds < 1_000.0 => format!("{milliseconds:.0} ms"),
        Some(milliseconds) => format!("{:.1} s", milliseconds / 1_000.0),
        None => shown(value),
    }
}

/// The memory an entry holds.
pub(in crate::cli) fn memory(entry: &Value) -> String {
    entry["rss_bytes"]
        .as_u64()
        .map_or_else(|| shown(&entry["rss_bytes"]), bytes)
}

/// The memory that all of these hold; none if it is known of none of them.
pub(super) fn total_memory<'a>(entries: impl IntoIterator<Item = &'a Value>) -> Option<String> {
    entries
        .into_iter()
        .filter_map(|entry| entry["rss_bytes"].as_u64())
        .reduce(u64::saturating_add)
        .map(bytes)
}

fn bytes(bytes: u64) -> String {
    const KILO: u64 = 1_000;
    const MEGA: u64 = 1_000 * KILO;
    const GIGA: u64 = 1_000 * MEGA;
    match bytes {
        0..MEGA => format!("{} kB", bytes / KILO),
        // From here on it would be rounded to 1000 MB.
        MEGA..999_500_000 => format!("{} MB", bytes.saturating_add(MEGA / 2) / MEGA),
        _ => {
            let tenths = bytes.saturating_add(GIGA / 20) / (GIGA / 10);
            format!("{}.{} GB", tenths / 10, tenths % 10)
        }
    }
}

/// `1 orphan`, `2 orphans`.
pub(super) fn count(many: usize, noun: &str) -> String {
    let plural = if many == 1 { "" } else { "s" };
    format!("{many} {noun}{plural}")
}

/// As [`count`], of a value.
pub(in crate::cli) fn counted(value: &Value, noun: &str) -> String {
    match value.as_u64().and_then(|many| usize::try_from(many).ok()) {
        Some(many) => count(many, noun),
        None => format!("{} {noun}s", shown(value)),
    }
}

impl View {
    /// A timestamp in the local time; as it is, if it is none.
    pub(in crate::cli) fn local_time(&self, value: &Value) -> String {
        self.moment(value).map_or_else(
            || shown(value),
            |at| {
                at.to_zoned(self.zone.clone())
                    .strftime("%Y-%m-%d %H:%M:%S")
                    .to_string()
            },
        )
    }

    /// A timestamp in the local time, and how long ago that is.
    pub(super) fn time_ago(&self, value: &Value) -> String {
        let time = self.local_time(value);
        let Some(at) = self.moment(value) else {
            return time;
        };
        match u64::try_from(self.now.duration_since(at).as_secs()) {
            Ok(seconds) => format!("{time}, {} ago", span(seconds)),
            // The clocks differ, or one was set back.
            Err(_) => time,
        }
    }

    /// How long it is until a timestamp; one that was due by now is.
    pub(super) fn time_until(&self, value: &Value) -> String {
        let Some(at) = self.moment(value) else {
            return self.local_time(value);
        };
        match u64::try_from(at.duration_since(self.now).as_secs()) {
            Ok(seconds @ 1..) => format!("in {}", span(seconds)),
            _ => "now".to_owned(),
        }
    }

    pub(in crate::cli) fn moment(&self, value: &Value) -> Option<Timestamp> {
        time(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_age_has_its_two_greatest_units() {
        for (etime, age_in_words) in [
            (json!("00:00"), "0s"),
            (json!("00:42"), "42s"),
            (json!("01:02"), "1m"),
            (json!("59:59"), "59m"),
            (json!("02:05:00"), "2h 5m"),
            (json!("03-04:59:00"), "3d 4h"),
            (json!("100-00:01:01"), "100d 0h"),
            (json!("soon"), "soon"),
            (
                json!("99999999999999999999-00:00"),
                "99999999999999999999-00:00",
            ),
            (json!("-"), "-"),
            (json!("\u{1b}"), "\\x1b"),
            (json!(7), "7"),
            (json!(null), "?"),
        ] {
            assert_eq!(age(&json!({"etime": etime})), age_in_words);
        }
    }

    #[test]
    fn memory_is_read_in_the_unit_that_fits() {
        for (bytes, in_words) in [
            (0, "0 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1 MB"),
            (29_400_000, "29 MB"),
            (999_499_999, "999 MB"),
            (999_500_000, "1.0 GB"),
            (1_049_999_999, "1.0 GB"),
            (12_360_000_000, "12.4 GB"),
            (u64::MAX, "18446744073.7 GB"),
        ] {
            assert_eq!(memory(&json!({"rss_bytes": bytes})), in_words);
        }
        assert_eq!(memory(&json!({})), "?");
        let two = [
            json!({"rss_bytes": 20_000_000}),
            json!({}),
            json!({"rss_bytes": 9_000_000}),
        ];
        assert_eq!(total_memory(&two).as_deref(), Some("29 MB"));
        assert_eq!(total_memory(&[json!({})]), None);
    }

    #[test]
    fn a_value_of_any_kind_can_be_shown() {
        assert_eq!(shown(&json!(null)), "?");
        assert_eq!(shown(&json!("a\n")), "a\\n");
        assert_eq!(
            shown(&json!({"a": ["\u{202e}", 1]})),
            "{\"a\":[\"\\u202e\",1]}"
        );
        assert_eq!(shown_or_unknown(&json!("")), "?");
        assert_eq!(milliseconds(&json!(12.4)), "12 ms");
        assert_eq!(milliseconds(&json!(3_120)), "3.1 s");
        assert_eq!(milliseconds(&json!(null)), "?");
    }
}
