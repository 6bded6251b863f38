//! What the documentation and the table of guards say is there: every test that they name, every guard.

use std::fs;
use std::path::Path;

/// All Rust source below `folder`, in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// What stands between backticks and reads like the name of a test: a sentence of words. One that is
/// cut short ends with `…`.
fn names(document: &str) -> impl Iterator<Item = &str> {
    let quoted = document.split('`').skip(1).step_by(2);
    quoted
        .map(|quote| quote.rsplit("::").next().unwrap_or(quote))
        .filter(|name| {
            let word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
            let is_name = name
                .chars()
                .all(|letter| word(letter) || "_…".contains(letter));
            is_name && name.matches('_').count() >= 3
        })
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    for (page, at_least) in [
        ("docs/safety.md", 100),
        ("docs/reliability.md", 60),
        ("docs/service.md", 9),
    ] {
        let document = fs::read_to_string(root.join(page)).unwrap();
        let mut found = 0;
        for name in names(&document) {
            if text.contains(&format!("\"{name}\"")) {
                // A word of the protocol.
                continue;
            }
            found += 1;
            let start = name.trim_end_matches('…');
            let end = if start == name { "(" } else { "" };
            assert!(
                text.contains(&format!("fn {start}{end}")),
                "{page} names {name}, and there is no such test"
            );
        }
        assert!(
            found >= at_least,
            "only {found} names were found in {page}: has it another form now?"
        );
    }
}

#[test]
fn every_guard_stands_where_the_table_says_and_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    let table = fs::read_to_string(root.join(".ci/guards.toml")).unwrap();
    let table: toml::Table = table.parse().unwrap();
    let guards = table["guard"].as_array().unwrap();
    assert!(guards.len() > 200, "only {} guards", guards.len());
    for guard in guards {
        let name = &guard["name"];
        for kind in ["unit", "integration"] {
            let tests = guard.get(kind).and_then(toml::Value::as_array);
            for test in tests.into_iter().flatten() {
                let test = test.as_str().unwrap();
                // A module of tests is as good.
                let is_there = test.split("::").all(|part| {
                    ["fn", "mod"]
                        .iter()
                        .any(|word| text.contains(&format!("{word} {part}")))
                });
                assert!(is_there, "{name} names {test}, and there is no such test");
            }
        }
        let edits = guard.get("edit").and_then(toml::Value::as_array);
        for edit in edits.map_or(std::slice::from_ref(guard), Vec::as_slice) {
            let file = edit["file"].as_str().unwrap();
            let source = fs::read_to_string(root.join(file)).unwrap();
            let found = source.matches(edit["text"].as_str().unwrap()).count();
            assert_eq!(found, 1, "so often the text of {name} stands in {file}");
        }
    }
}
