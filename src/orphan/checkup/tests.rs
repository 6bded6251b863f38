//! Each judgement, from facts that are made up.

mod client;
mod machine;
mod places;
mod running;

use super::*;

/// How it came out, and that a remedy is there exactly where one is needed.
#[track_caller]
fn assert_finds(check: &Check, finding: Finding, words: &[&str]) {
    assert_eq!(check.finding, finding, "{check:#?}");
    assert_eq!(check.remedy.is_some(), finding != Finding::Ok, "{check:#?}");
    let all = format!("{} {}", check.says, check.remedy.as_deref().unwrap_or(""));
    for word in words {
        assert!(all.contains(word), "{word:?} is not in {check:#?}");
    }
}

#[test]
fn lengths_and_sizes_are_read_in_units_that_fit() {
    for (milliseconds, words) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1 s"),
        (61_000, "1 min 1 s"),
        (3_660_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ] {
        assert_eq!(Span(Duration::from_millis(milliseconds)).to_string(), words);
    }
    for (bytes, words) in [
        (7, "7 bytes"),
        (65_536, "65 kB"),
        (5_242_880, "5 MB"),
        (7_000_000_000, "7 GB"),
    ] {
        assert_eq!(Bytes(bytes).to_string(), words);
    }
}

#[test]
fn a_path_can_be_typed_as_it_is_quoted() {
    for (path, typed) in [
        ("/home/me/state-1.0", "/home/me/state-1.0"),
        ("/a b", "'/a b'"),
        ("/a'$(x)", r"'/a'\''$(x)'"),
        ("", "''"),
    ] {
        assert_eq!(quoted(Path::new(path)), typed);
    }
}

#[test]
fn a_check_without_an_answer_is_a_warning_that_says_so() {
    let check = Check::unanswered("event_log", Duration::from_secs(3));
    assert_finds(&check, Finding::Warning, &["no answer within 3 s"]);
    let check = Check::not_here("view", "there is none");
    assert_finds(&check, Finding::Ok, &["not checked here"]);
}

#[test]
fn findings_are_worse_and_worse() {
    assert!(Finding::Ok < Finding::Warning && Finding::Warning < Finding::Problem);
    let words = [Finding::Ok, Finding::Warning, Finding::Problem].map(Finding::word);
    assert_eq!(words, ["ok", "warning", "problem"]);
}
