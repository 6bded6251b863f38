//! Results that no daemon of this version gives, and names that somebody chose with care.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::failure::failure;
use super::super::{
    Preview, ScanAsked, View, config, events, explain, fix, gate, refusal, reloaded, remarks, scan,
    status,
};
use super::{piped, samples, view};
use crate::cli::ExitStatus;
use crate::cli::failure::Failure;
use crate::cli::safe_text::is_unsafe;

const ALL: ScanAsked<'_> = ScanAsked {
    workspace: None,
    next: "next",
};

/// Every rendering of one result.
fn every_rendering(result: &Value, view: &View) -> Vec<String> {
    let preview = Preview {
        scan: result,
        named: &[7],
    };
    let mut texts = vec![
        scan(result, view, &ALL),
        fix(result, view),
        gate(result, view),
        refusal(result, Some(&preview), view, "next"),
        refusal(result, None, view, "next"),
        status(result, view),
        explain(result, view),
        events(result, view),
        reloaded(result),
        config(result, None, &BTreeMap::new(), view),
    ];
    texts.extend(remarks(result, &[4242, 4243, 7]));
    texts
}

fn samples() -> Vec<Value> {
    vec![
        samples::scan(),
        samples::empty_scan(),
        samples::fix(),
        samples::gate(samples::scan(), false),
        samples::status(),
        samples::explanation(),
        samples::events(),
    ]
}

/// The text without the colours that renderings use; nothing else is taken away.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('m') {
            Some((digits, rest)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => out += rest,
            _ => {
                out += "\u{1b}[";
                out += part;
            }
        }
    }
    out
}

/// The same value with every text in it, keys too, made hostile.
fn hostile(value: &Value, poison: &str) -> Value {
    match value {
        Value::String(text) => format!("{text}{poison}").into(),
        Value::Array(elements) => elements
            .iter()
            .map(|element| hostile(element, poison))
            .collect(),
        Value::Object(object) => {
            let mut out: Map<String, Value> = object
                .iter()
                .map(|(key, value)| (key.clone(), hostile(value, poison)))
                .collect();
            out.insert(format!("key{poison}"), poison.into());
            out.into()
        }
        other => other.clone(),
    }
}

const POISON: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\n    PID 1 etime=1\r\u{9b}5A\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{7f}\u{e0041}";

#[test]
fn nothing_hostile_comes_through_any_rendering() {
    for sample in samples() {
        let poisoned = hostile(&sample, POISON);
        for view in [piped(), view(true, 60), view(true, 140)] {
            for text in every_rendering(&poisoned, &view) {
                let text = without_colours(&text);
                let found = text.chars().find(|char| *char != '\n' && is_unsafe(*char));
                assert_eq!(found, None, "{text:?}");
            }
        }
    }
}

#[test]
fn a_hostile_name_adds_no_line_to_a_report() {
    for sample in [
        samples::scan(),
        samples::fix(),
        samples::gate(samples::scan(), false),
        samples::events(),
    ] {
        let mut poisoned = sample.clone();
        for name in ["orphans", "killed", "failed", "spared", "events"] {
            for entry in poisoned
                .get_mut(name)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                for key in [
                    "workspace",
                    "cmdline",
                    "why",
                    "error_detail",
                    "raw",
                    "problem",
                ] {
                    if let Some(value) = entry.get_mut(key).filter(|value| value.is_string()) {
                        *value = POISON.into();
                    }
                }
            }
        }
        for render in [
            |result: &Value| scan(result, &piped(), &ALL),
            |result: &Value| fix(result, &piped()),
            |result: &Value| events(result, &piped()),
        ] {
            assert_eq!(
                render(&poisoned).lines().count(),
                render(&sample).lines().count()
            );
        }
    }
}

#[test]
fn a_failure_is_shown_without_what_is_hostile_in_it() {
    let hostile = Failure {
        status: ExitStatus::EngineError,
        kind: "k".to_owned(),
        message: format!("line one{}\nline two", POISON.replace('\n', "")),
        remedy: Some(format!("do this{POISON}")),
    };
    let text = without_colours(&failure(&hostile));
    assert_eq!(
        text.chars().find(|char| *char != '\n' && is_unsafe(*char)),
        None,
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("error: line one"), "{text}");
}

#[test]
fn what_is_missing_is_shown_as_a_question_mark() {
    let orphan = json!({"orphans": [{}], "dry_run": true});
    assert_eq!(
        scan(&orphan, &piped(), &ALL),
        "Coordinator orphan scan @ ?\n  scanned: ? coordinator processes\n  orphans: 1\n  \
         mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)\n    PID ? etime=? workspace=? reason=?"
    );
    assert_eq!(
        explain(&json!({}), &piped()),
        "What would happen\n  it would ?".to_owned()
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Replaces what is found after so many steps through the value, depth first.
fn replace(value: &mut Value, steps: &mut usize, by: &Value) {
    if *steps == 0 {
        *steps = usize::MAX;
        *value = by.clone();
        return;
    }
    *steps -= 1;
    match value {
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| replace(element, steps, by)),
        Value::Object(object) => object
            .values_mut()
            .for_each(|value| replace(value, steps, by)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_result_can_be_shown_at_any_width(
        result in any_json(),
        is_terminal in any::<bool>(),
        width in 20usize..300,
    ) {
        every_rendering(&result, &view(is_terminal, width));
    }

    #[test]
    fn a_result_with_something_else_in_it_can_be_shown(
        sample in 0usize..7,
        steps in proptest::collection::vec(0usize..200, 1..6),
        by in any_json(),
        width in 20usize..300,
    ) {
        let mut result = samples().swap_remove(sample);
        for mut steps in steps {
            replace(&mut result, &mut steps, &by);
        }
        for text in every_rendering(&result, &view(true, width)) {
            let text = without_colours(&text);
            prop_assert_eq!(text.chars().find(|char| *char != '\n' && is_unsafe(*char)), None);
        }
    }
}
