//! One record as one line, to the byte as Python's `json.dumps(…, ensure_ascii=False,
//! sort_keys=True)` writes it, so that the original tool and this one can share a log. It must not
//! know files.
//!
//! `serde_json` already agrees on most of it: its maps are sorted by code point (as long as nothing
//! turns on its `preserve_order`; a test watches), and its string escapes are Python's. Separators
//! and floats are not.

use std::io;

use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// Appends `value` and a newline to `lines`.
pub(super) fn append(lines: &mut Vec<u8>, value: &Value) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *lines, PythonForm))?;
    lines.push(b'\n');
    Ok(())
}

/// `datetime.isoformat()` in UTC, but always with microseconds, where Python leaves out six zeros.
pub(super) fn timestamp(ts: jiff::Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_with_offset_to_string(&ts, Offset::UTC)
}

struct PythonForm;

impl Formatter for PythonForm {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }
}

fn separate<W: ?Sized + io::Write>(writer: &mut W, first: bool) -> io::Result<()> {
    if first {
        Ok(())
    } else {
        writer.write_all(b", ")
    }
}

/// Python's `repr` of a float: the shortest digits that read back as the same value, with an
/// exponent exactly when the first one stands below 1e-4 or at 1e16 and above, signed and of at
/// least two digits.
fn float(value: f64) -> String {
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let after_first = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .count()
        .saturating_sub(1);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let places = usize::try_from(after_first as i64 - exponent)
            .unwrap_or(0)
            .max(1);
        return even(value, format!("{value:.places$}"), format!("{value:?}"));
    }
    let scientific = even(value, format!("{value:.after_first$e}"), shortest);
    let digits = scientific
        .split_once('e')
        .map_or(scientific.as_str(), |(digits, _)| digits);
    format!("{digits}e{exponent:+03}")
}

/// Where a value lies in the very middle between two equally short texts, as some powers of two do,
/// Python takes the even digit and Rust's shortest form the higher one. Rust's rounding to so many
/// digits goes to the even one too; where it does not read back as `value`, it is not that case.
fn even(value: f64, rounded: String, shortest: String) -> String {
    if rounded.parse() == Ok(value) {
        rounded
    } else {
        shortest
    }
}
