//! One coordinator: its keys, its argv, its text.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::*;
use crate::orphan::coordinator::WorkspaceArgument;
use crate::orphan::fixtures::*;
use crate::orphan::registry::Sighting;
use crate::wire::entry::entry;

const LIMIT: usize = 4096;

fn shown(sighting: &Sighting) -> Value {
    Value::Object(entry(sighting, now()))
}

fn with_argv(argv: Vec<OsString>) -> Value {
    let mut sighting = healthy().sighted(10);
    sighting.observation.record.argv = argv;
    shown(&sighting)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn bytes(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn argv(entry: &Value) -> Vec<&str> {
    let list = entry["argv"].as_array().unwrap();
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn an_entry_has_exactly_the_contracts_keys() {
    for case in [healthy(), without_witness().path(missing())] {
        assert_keys(&shown(&case.sighted(10)), &[&ENTRY]);
    }
}

#[test]
fn an_entry_says_what_was_read() {
    let entry = shown(&healthy().sighted(10));
    for (key, value) in [
        ("pid", Value::from(10)),
        ("etime", "01:00:00".into()),
        (
            "cmdline",
            "team-agent coordinator --workspace /home/me/ws".into(),
        ),
        ("workspace", WORKSPACE.into()),
        ("is_orphan", false.into()),
        ("verdict", "alive".into()),
        ("reason", "workspace_alive".into()),
        ("form", "team-agent".into()),
        ("ppid", 1.into()),
        ("pgid", 10.into()),
        ("sid", 10.into()),
        ("uid", 1000.into()),
        ("started_at", "1970-01-12T12:46:40.000000+00:00".into()),
        ("rss_bytes", 10_000_000.into()),
        ("cwd", WORKSPACE.into()),
        ("first_seen", "1970-01-12T13:46:40.000000+00:00".into()),
        ("sightings", 1.into()),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    let words = ["team-agent", "coordinator", "--workspace", WORKSPACE];
    assert_eq!(argv(&entry), words);
}

#[test]
fn an_orphan_is_one_in_all_three_words() {
    let entry = shown(&without_witness().path(missing()).sighted(10));
    assert_eq!(entry["is_orphan"], true);
    assert_eq!(entry["verdict"], "orphan");
    assert_eq!(entry["reason"], "workspace_path_missing");
}

#[test]
fn what_is_not_known_is_null() {
    let mut case = healthy().with(|evidence| evidence.workspace = None);
    case.argument = WorkspaceArgument::Unusable;
    let mut sighting = case.sighted(10);
    sighting.observation.record.cwd = None;
    let entry = shown(&sighting);
    assert_keys(&entry, &[&ENTRY]);
    assert_eq!(
        (&entry["workspace"], &entry["cwd"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(entry["reason"], "cmdline_unparsed");
}

#[test]
fn a_start_in_the_future_is_an_age_of_zero() {
    let mut sighting = healthy().sighted(10);
    sighting.observation.record.started_at = now() + Duration::from_secs(5);
    assert_eq!(shown(&sighting)["etime"], "00:00");
}

#[test]
fn an_argv_of_four_kibibytes_is_shown_whole() {
    let long = "x".repeat(LIMIT - 10);
    // Each word ends with a NUL where the kernel holds it: they may count or not.
    let entry = with_argv(words(&["a", &long]));
    assert_keys(&entry, &[&ENTRY]);
    assert_eq!(argv(&entry), ["a", &long]);
}

#[test]
fn a_longer_argv_is_cut_and_says_so() {
    let long = "x".repeat(3 * LIMIT);
    for given in [
        words(&["team-agent", "coordinator", &long, "never seen"]),
        words(&[&long]),
        vec!["word".into(); LIMIT],
    ] {
        let entry = with_argv(given.clone());
        assert_keys(&entry, &[&ENTRY, &["argv_truncated"]]);
        assert_eq!(entry["argv_truncated"], true);
        let shown = argv(&entry);
        let size: usize = shown.iter().map(|word| word.len()).sum();
        assert!(size <= LIMIT && size > LIMIT / 2, "{size}");
        // What is shown is a beginning of what was given.
        let (last, whole) = shown.split_last().unwrap();
        assert!(whole.iter().zip(&given).all(|(have, given)| *have == given));
        let given = given[whole.len()].to_str().unwrap();
        assert!(given.starts_with(last));
        let cmdline = entry["cmdline"].as_str().unwrap();
        assert_eq!(cmdline, shown.join(" "));
    }
}

#[test]
fn an_argv_of_empty_words_is_cut_too() {
    // ARG_MAX lets two million of them through.
    let entry = with_argv(vec![OsString::new(); 10 * LIMIT]);
    assert_eq!(entry["argv_truncated"], true);
    assert!(argv(&entry).len() <= LIMIT);
}

#[test]
fn an_argv_is_not_cut_within_a_character() {
    for before in 0..4 {
        let text = "x".repeat(LIMIT - 6 + before) + &"€".repeat(10);
        let entry = with_argv(words(&[&text]));
        assert_keys(&entry, &[&ENTRY, &["argv_truncated"]]);
        assert!(text.starts_with(argv(&entry)[0]));
    }
}

#[test]
fn an_argv_that_is_not_utf8_is_exact_beside_its_lossy_form() {
    let entry = with_argv(vec![bytes(b"team-agent"), bytes(b"/w\xff")]);
    assert_keys(&entry, &[&ENTRY, &["argv_b64", "cmdline_b64"]]);
    assert_eq!(argv(&entry), ["team-agent", "/w\u{fffd}"]);
    assert_eq!(
        entry["argv_b64"],
        serde_json::json!(["dGVhbS1hZ2VudA==", "L3f/"])
    );
    assert_eq!(entry["cmdline"], "team-agent /w\u{fffd}");
    assert_eq!(entry["cmdline_b64"], "dGVhbS1hZ2VudCAvd/8=");
}

#[test]
fn a_long_argv_that_is_not_utf8_is_cut_in_both_forms() {
    let entry = with_argv(vec![bytes(&[0xff; 2 * LIMIT])]);
    let both = ["argv_b64", "cmdline_b64", "argv_truncated"];
    assert_keys(&entry, &[&ENTRY, &both]);
    let exact = entry["argv_b64"][0].as_str().unwrap();
    assert!(exact.len() <= LIMIT.div_ceil(3) * 4, "{}", exact.len());
}

#[test]
fn a_workspace_and_a_cwd_that_are_not_utf8_are_exact_beside_their_lossy_forms() {
    let mut sighting = healthy()
        .with(|evidence| evidence.workspace = Some(bytes(b"/w\xff").into()))
        .sighted(10);
    sighting.observation.record.cwd = Some(bytes(b"/c\xff").into());
    let entry = shown(&sighting);
    assert_keys(&entry, &[&ENTRY, &["workspace_b64", "cwd_b64"]]);
    assert_eq!(entry["workspace"], "/w\u{fffd}");
    assert_eq!(entry["workspace_b64"], "L3f/");
    assert_eq!(entry["cwd_b64"], "L2P/");
}

#[test]
fn newlines_and_quotes_are_text_like_any_other() {
    let path = "/home/me/My \"Project\"\n2";
    let entry = shown(&healthy().at(path).sighted(10));
    assert_eq!(entry["workspace"], path);
}
