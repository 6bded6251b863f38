//! The values in force, in the file's own language, each with where it came from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::View;
use super::field::shown;
use super::paint::{ASIDE, HEADING};
use crate::cli::safe_text::{escape, toml_string};

/// The sections in the order of the file that explains them.
const SECTIONS: [&str; 7] = [
    "scan",
    "coordinator",
    "orphan",
    "reap",
    "terminate",
    "events",
    "control",
];
/// Where the origins stand, unless a value is longer.
const ORIGIN_COLUMN: usize = 34;
/// A list longer than this takes a line an element.
const LIST_WIDTH: usize = 72;

/// The text of a configuration; `origins` has, by dotted key, where a value came from, if not from
/// the built-in defaults.
#[must_use]
pub fn config(
    values: &Value,
    file: Option<&str>,
    origins: &BTreeMap<String, String>,
    view: &View,
) -> String {
    let header = file.map_or_else(
        || "# no configuration file: these are the built-in defaults".to_owned(),
        |file| format!("# {}", escape(file)),
    );
    let mut lines = vec![view.paint(ASIDE, header)];
    let empty = Map::new();
    let sections = values.as_object().unwrap_or(&empty);
    let known = SECTIONS
        .into_iter()
        .filter_map(|name| sections.get_key_value(name));
    let others = sections
        .iter()
        .filter(|(name, _)| !SECTIONS.contains(&name.as_str()));
    for (name, section) in known.chain(others) {
        lines.push(String::new());
        lines.push(view.paint(HEADING, format!("[{}]", escape(name))));
        let mut tables = Vec::new();
        for (key, value) in section.as_object().unwrap_or(&empty) {
            let dotted = format!("{name}.{key}");
            let origin = origins.get(&dotted).map_or("default", String::as_str);
            let origin = view.paint(ASIDE, format!("# {}", escape(origin)));
            match value.as_array() {
                Some(elements) if elements.iter().any(Value::is_object) => {
                    tables.extend(
                        elements
                            .iter()
                            .flat_map(|table| array_table(&dotted, table, &origin)),
                    );
                }
                _ => lines.extend(assignment(key, value, &origin)),
            }
        }
        lines.extend(tables);
    }
    lines.join("\n")
}

/// `key = value  # origin`, a long list over several lines.
fn assignment(key: &str, value: &Value, origin: &str) -> Vec<String> {
    let key = escape(key);
    let line = format!("{key} = {}", literal(value));
    match value.as_array() {
        Some(elements) if line.chars().count() > LIST_WIDTH => {
            let elements = elements
                .iter()
                .map(|element| format!("    {},", literal(element)));
            let first = padded(&format!("{key} = ["), origin);
            std::iter::once(first)
                .chain(elements)
                .chain(["]".to_owned()])
                .collect()
        }
        _ => vec![padded(&line, origin)],
    }
}

fn padded(line: &str, origin: &str) -> String {
    format!("{line:<ORIGIN_COLUMN$}  {origin}")
}

/// One table of an array of tables.
fn array_table(dotted: &str, table: &Value, origin: &str) -> Vec<String> {
    let mut lines = vec![padded(&format!("[[{}]]", escape(dotted)), origin)];
    let fields = table.as_object().into_iter().flatten();
    lines.extend(fields.map(|(key, value)| format!("{} = {}", escape(key), literal(value))));
    lines
}

/// A value as TOML writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => toml_string(text),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(literal).collect();
            format!("[{}]", elements.join(", "))
        }
        other => shown(other),
    }
}
