//! What the documentation says is there: every test that docs/safety.md and docs/service.md name.

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
    for (page, at_least) in [("docs/safety.md", 100), ("docs/service.md", 9)] {
        let document = fs::read_to_string(root.join(page)).unwrap();
        let mut found = 0;
        for name in names(&document) {
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
