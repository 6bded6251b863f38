//! Text and times as JSON has them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// A JSON object in the making.
pub type Object = Map<String, Value>;

/// Puts `text` under `name`: lossy there, and exact under `<name>_b64` if it is not UTF-8.
pub fn put_text(object: &mut Object, name: &str, text: &OsStr) {
    object.insert(name.to_owned(), text.to_string_lossy().into());
    if text.to_str().is_none() {
        object.insert(format!("{name}_b64"), base64(text).into());
    }
}

/// Puts a text that may be unknown: `null` then.
pub fn put_optional_text<T: AsRef<OsStr>>(object: &mut Object, name: &str, text: Option<T>) {
    match text {
        Some(text) => put_text(object, name, text.as_ref()),
        None => {
            object.insert(name.to_owned(), Value::Null);
        }
    }
}

/// The exact bytes of a text, for one that is not UTF-8.
#[must_use]
pub fn base64(text: &OsStr) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

/// A time as the original writes it: UTC, microseconds, `+00:00`.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// An age as `ps` prints it: `[[dd-]hh:]mm:ss`.
#[must_use]
pub fn etime(started: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(started).unwrap_or_default().as_secs();
    let (days, hours, minutes, seconds) = (age / 86_400, age / 3_600 % 24, age / 60 % 60, age % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days:02}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_age_is_printed_as_ps_prints_it() {
        let start = SystemTime::UNIX_EPOCH;
        for (seconds, text) in [
            (0, "00:00"),
            (62, "01:02"),
            (3_600, "01:00:00"),
            (86_399, "23:59:59"),
            (86_400, "01-00:00:00"),
            (100 * 86_400 + 61, "100-00:01:01"),
        ] {
            assert_eq!(etime(start, start + Duration::from_secs(seconds)), text);
        }
        assert_eq!(etime(start + Duration::from_secs(9), start), "00:00");
    }

    #[test]
    fn a_time_has_six_digits_and_an_offset() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(timestamp(at), "1970-01-01T00:00:01.500000+00:00");
    }

    #[test]
    fn text_that_is_not_utf8_is_exact_beside_its_lossy_form() {
        let mut object = Object::new();
        put_text(&mut object, "workspace", OsStr::from_bytes(b"/w\xff"));
        put_text(&mut object, "cwd", OsStr::new("/w"));
        assert_eq!(
            Value::Object(object),
            serde_json::json!({"workspace": "/w\u{fffd}", "workspace_b64": "L3f/", "cwd": "/w"})
        );
    }
}
