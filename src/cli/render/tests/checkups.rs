//! `doctor`, to the letter.

use serde_json::{Value, json};

use super::{assert_lines, lines_on_terminal, piped, plain, view};
use crate::cli::render::doctor;

fn ill() -> Value {
    json!({
        "ok": false,
        "source": "daemon",
        "daemon": {"pid": 42, "version": "0.1.0", "socket": "/r/s", "state_dir": "/s"},
        "checks": [
            {"check": "daemon", "result": "ok", "says": "it answers, process 42, on /r/s"},
            {"check": "descriptors", "result": "warning", "says": "300 files may be open, 18 are; a thousand kills at once need 2300",
             "remedy": "give the daemon a higher hard limit"},
            {"check": "state_directory", "result": "problem", "says": "others may write into /s (mode 0777)",
             "remedy": "chmod 700 /s"},
        ],
    })
}

fn well(daemon: &Value) -> Value {
    json!({
        "ok": true,
        "source": "daemon",
        "daemon": daemon,
        "checks": [{"check": "view", "result": "ok", "says": "it sees what others see"}],
    })
}

#[test]
fn a_pipe_gets_a_line_for_each_check_and_the_worst_come_first() {
    let text = doctor(&ill(), &piped());
    assert_lines(
        &text.lines().map(str::to_owned).collect::<Vec<_>>(),
        &[
            "✗ state directory  others may write into /s (mode 0777)",
            "                   → chmod 700 /s",
            "! descriptors      300 files may be open, 18 are; a thousand kills at once need 2300",
            "                   → give the daemon a higher hard limit",
            "✓ daemon           it answers, process 42, on /r/s",
            "",
            "1 problem, 1 warning (3 checks of team-agentd 0.1.0)",
        ],
    );
}

#[test]
fn a_terminal_gets_lines_that_fit() {
    for (width, descriptors) in [
        (
            60,
            &[
                "! descriptors      300 files may be open, 18 are; a",
                "                   thousand kills at once need 2300",
            ][..],
        ),
        (
            80,
            &[
                "! descriptors      300 files may be open, 18 are; a thousand kills at once need",
                "                   2300",
            ],
        ),
        (
            140,
            &[
                "! descriptors      300 files may be open, 18 are; a thousand kills at once need 2300",
            ],
        ),
    ] {
        let lines = lines_on_terminal(width, |view| doctor(&ill(), view));
        let rest = &lines[2..];
        assert_lines(&rest[..descriptors.len()], descriptors);
        assert!(
            lines.iter().all(|line| line.chars().count() <= width),
            "{lines:#?}"
        );
    }
    // However narrow it is, something is shown.
    let lines = lines_on_terminal(3, |view| doctor(&ill(), view));
    assert!(lines.len() > 5, "{lines:#?}");
}

#[test]
fn colours_say_the_same_as_the_marks() {
    let painted = doctor(&ill(), &view(true, 140));
    for (colour, mark) in [("\x1b[31m", '✗'), ("\x1b[33m", '!'), ("\x1b[32m", '✓')] {
        assert!(painted.contains(&format!("{colour}{mark}")), "{painted:?}");
    }
    assert_eq!(plain(&painted), doctor(&ill(), &piped()));
}

#[test]
fn where_all_is_well_one_line_says_so() {
    let text = doctor(&well(&json!({"version": "0.1.0"})), &piped());
    assert!(
        text.ends_with("\n\nall is well (1 check of team-agentd 0.1.0)"),
        "{text}"
    );
    let text = doctor(&well(&Value::Null), &piped());
    assert!(
        text.ends_with("\n\nall is well (1 check from this process: no daemon was heard)"),
        "{text}"
    );
}

#[test]
fn what_others_named_is_never_shown_raw_and_what_is_missing_is() {
    let hostile = json!({
        "checks": [
            {"check": "a\u{1b}[2J", "result": "o\u{202e}k", "says": "b\nc\u{7}", "remedy": "d\u{9b}"},
            {},
        ],
        "daemon": {"version": "\u{1b}]0;x"},
    });
    for view in [piped(), view(true, 80)] {
        let text = plain(&doctor(&hostile, &view));
        let is_safe = |letter: char| letter == '\n' || !letter.is_control();
        assert!(
            text.chars().all(is_safe) && !text.contains('\u{202e}'),
            "{text:?}"
        );
        assert!(text.contains(r"b\nc\x07") && text.contains('?'), "{text}");
        // A word that is not known is neither well nor a problem.
        assert!(text.contains("2 warnings"), "{text}");
    }
    assert!(doctor(&json!(null), &piped()).contains("0 checks"));
}

#[test]
fn without_a_check_nothing_is_well() {
    for result in [
        json!({}),
        json!({"ok": true, "checks": []}),
        json!({"ok": false, "checks": [{"check": "view", "finding": "ok", "says": "clear"}]}),
    ] {
        let text = doctor(&result, &view(false, 80));
        assert!(!text.contains("all is well"), "{text}");
    }
}
