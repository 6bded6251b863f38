//! A record's line is what Python writes, to the byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{Record, line};
use super::{python, record, value};

fn written(value: &Value) -> String {
    let mut line = Vec::new();
    line::append(&mut line, value).unwrap();
    let line = String::from_utf8(line).unwrap();
    line.strip_suffix('\n').expect("a line ends").to_owned()
}

/// Values in, the lines of `json.dumps` out, by one interpreter.
struct JsonDumps(ChildStdin, BufReader<ChildStdout>);

impl JsonDumps {
    fn start() -> Option<JsonDumps> {
        let mut child = python(
            "import json, sys\n\
             for line in sys.stdin.buffer:\n\
             \x20 text = json.dumps(json.loads(line), ensure_ascii=False, sort_keys=True)\n\
             \x20 sys.stdout.buffer.write(text.encode() + b'\\n')\n\
             \x20 sys.stdout.buffer.flush()\n",
            &[],
        )?;
        Some(JsonDumps(
            child.stdin.take()?,
            BufReader::new(child.stdout.take()?),
        ))
    }

    fn of(&mut self, value: &Value) -> String {
        writeln!(self.0, "{value}").unwrap();
        let mut line = Vec::new();
        self.1.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        line.strip_suffix('\n').expect("python answered").to_owned()
    }
}

#[test]
fn a_record_is_one_line_with_sorted_keys_and_the_originals_separators() {
    let fields = json!({"workspace": "/tmp/ü \"x\"", "pid": 42, "b": {"z": [], "é": {}, "a": [1, null, true]}});
    assert_eq!(
        written(&record(fields).to_value()),
        r#"{"b": {"a": [1, null, true], "z": [], "é": {}}, "event": "orphan.detected", "pid": 42, "ts": "2026-05-26T10:20:30.123456+00:00", "workspace": "/tmp/ü \"x\""}"#
    );
}

#[test]
fn keys_are_sorted_by_code_point_also_inside() {
    // U+FF5E stands before U+1F600 by code point and after it in UTF-16.
    let keys = ["😀", "～", "é", "z", "a", "B", "10", "9", ""];
    let object: Map<String, Value> = keys
        .iter()
        .map(|&key| (key.to_owned(), Value::Null))
        .collect();
    let inner = r#"{"": null, "10": null, "9": null, "B": null, "a": null, "z": null, "é": null, "～": null, "😀": null}"#;
    assert_eq!(written(&json!([object])), format!("[{inner}]"));
    assert_eq!(
        written(&json!({ "x": object })),
        format!(r#"{{"x": {inner}}}"#)
    );
}

#[test]
fn the_time_is_utc_with_exactly_six_digits() {
    for (ts, expected) in [
        ("2026-05-26T10:20:30Z", "2026-05-26T10:20:30.000000+00:00"),
        (
            "2026-05-26T10:20:30.5+02:00",
            "2026-05-26T08:20:30.500000+00:00",
        ),
        (
            "2026-05-26T10:20:30.999999999Z",
            "2026-05-26T10:20:30.999999+00:00",
        ),
        (
            "1969-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59.999999+00:00",
        ),
    ] {
        let record = Record {
            ts: ts.parse().unwrap(),
            event: "x",
            fields: Map::new(),
        };
        assert_eq!(record.to_value()["ts"], expected);
    }
}

#[test]
fn fields_cannot_pose_as_the_time_or_the_name() {
    let line = written(&record(json!({"ts": "never", "event": "something.else"})).to_value());
    assert_eq!(
        line,
        r#"{"event": "orphan.detected", "ts": "2026-05-26T10:20:30.123456+00:00"}"#
    );
}

#[test]
fn control_characters_are_escaped_as_python_does_and_nothing_else_is() {
    let text: String = ('\0'..=' ')
        .chain("\"\\/\u{7f}\u{80}\u{85}\u{a0}é\u{2028}\u{2029}\u{feff}😀".chars())
        .collect();
    assert_eq!(
        written(&text.into()),
        concat!(
            r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
            r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f "#,
            "\\\"\\\\/\u{7f}\u{80}\u{85}\u{a0}é\u{2028}\u{2029}\u{feff}😀\""
        )
    );
}

#[test]
fn floats_are_pythons_repr() {
    for (float, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-0.1, "-0.1"),
        (1e-7, "1e-07"),
        (1e-4, "0.0001"),
        (9.999e-5, "9.999e-05"),
        (1.5e-10, "1.5e-10"),
        (1e15, "1000000000000000.0"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (-1.25e22, "-1.25e+22"),
        (5e-324, "5e-324"),
        // In the middle between two: even.
        (2f64.powi(-25), "2.9802322387695312e-08"),
        (2f64.powi(50) + 0.25, "1125899906842624.2"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        assert_eq!(written(&float.into()), expected);
    }
}

#[test]
fn python_writes_every_power_and_neighbour_the_same() {
    let Some(mut python) = JsonDumps::start() else {
        return;
    };
    let powers_of_two = (-1074..=1023).map(|power| 2f64.powi(power));
    let powers_of_ten = (-323..=308).map(|power| format!("1e{power}").parse::<f64>().unwrap());
    let thirds = (-300..=300).map(|power| format!("1e{power}").parse::<f64>().unwrap() / 3.0);
    for float in powers_of_two.chain(powers_of_ten).chain(thirds) {
        for float in [float, float.next_up(), float.next_down(), -float] {
            if !float.is_finite() {
                continue;
            }
            let value = Value::from(float);
            assert_eq!(written(&value), python.of(&value), "{float:e}");
        }
    }
}

#[test]
fn python_writes_every_character_the_same() {
    let Some(mut python) = JsonDumps::start() else {
        return;
    };
    for start in (0..0x11_0000).step_by(0x1000) {
        let text: String = (start..start + 0x1000).filter_map(char::from_u32).collect();
        let value = json!({ text.clone(): text });
        assert_eq!(written(&value), python.of(&value), "from U+{start:X}");
    }
}

#[test]
fn python_writes_any_value_the_same() {
    let Some(python) = JsonDumps::start() else {
        return;
    };
    let python = std::cell::RefCell::new(python);
    let floats = any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("finite", |float| float.is_finite());
    let floats = prop_oneof![
        floats,
        any::<f32>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(f64::from)
    ];
    proptest!(ProptestConfig::with_cases(2000), |(value in value(floats.prop_map(Value::from)))| {
        prop_assert_eq!(written(&value), python.borrow_mut().of(&value));
    });
}
