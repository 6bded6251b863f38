//! Where the cursor is, and what fits there.

use std::path::Path;

use serde_json::{Value, json};

use super::place::Place;
use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

/// What fits at the end of the line, and what is there of it.
fn at(line: &str) -> Option<(Place, String)> {
    place::cursor(&words(line)).map(|cursor| (cursor.place, cursor.value))
}

fn status() -> Value {
    json!({
        "coordinators": [
            {"pid": 7, "workspace": "/home/me/shop", "verdict": "alive", "reason": "workspace_alive", "kept": true},
            {"pid": 9, "workspace": "/tmp/team-agent-rm-1", "verdict": "orphan", "reason": "ephemeral_tempdir_pattern:team-agent-rm-", "kept": false},
            {"pid": 12, "workspace": "/home/me/My $(touch x)", "verdict": "orphan", "reason": "workspace_path_missing", "kept": false},
            {"pid": 13, "workspace": "/home/me/\u{1b}[2J\n", "verdict": "orphan", "reason": "workspace_path_missing", "kept": false},
            {"pid": 14, "workspace": "/home/me/\u{fffd}", "workspace_b64": "L2hvbWUvbWUv/w==", "verdict": "orphan", "reason": "workspace_replaced", "kept": false},
            {"pid": 15, "workspace": null, "verdict": "unknown", "reason": "cmdline_unparsed", "kept": false},
        ],
        "history": [{"pid": 3, "workspace": "/home/me/old", "reason": "workspace_path_missing"}],
        "policy": {"kept": {"pids": [7], "paths": [{"path": "/home/me/kept"}, {"path": "/x/\u{202e}"}]}},
    })
}

fn values(place: Place) -> Vec<String> {
    let found = candidates(place, Some(&status()));
    found.into_iter().map(|one| one.value).collect()
}

#[test]
fn every_place_is_an_argument_that_takes_a_value() {
    use clap::CommandFactory;
    let root = super::super::args::Cli::command();
    for (command, id, _) in place::PLACES {
        let argument = root
            .find_subcommand(command)
            .and_then(|command| command.get_arguments().find(|one| one.get_id() == id))
            .unwrap_or_else(|| panic!("{command} has no {id}"));
        assert!(argument.get_action().takes_values(), "{command} {id}");
    }
}

#[test]
fn the_cursor_is_found_whatever_stands_before_it() {
    let found = |place, value: &str| Some((place, value.to_owned()));
    for (line, expected) in [
        ("team-agentctl fix --pid ", found(Place::OrphanPid, "")),
        ("team-agentctl fix --pid 1", found(Place::OrphanPid, "1")),
        ("team-agentctl fix --pid=1", found(Place::OrphanPid, "1")),
        (
            "team-agentctl --json fix --confirm --pid 7 --workspace /h",
            found(Place::OrphanWorkspace, "/h"),
        ),
        ("team-agentctl fix --reason w", found(Place::Reason, "w")),
        (
            "team-agentctl scan --workspace ",
            found(Place::Workspace, ""),
        ),
        (
            "team-agentctl --socket explain explain ",
            found(Place::Pid, ""),
        ),
        ("team-agentctl explain -- 4", found(Place::Pid, "4")),
        ("team-agentctl explain 4 ", None),
        (
            "team-agentctl events --follow --pid ",
            found(Place::PastPid, ""),
        ),
        ("team-agentctl events -f --pid ", found(Place::PastPid, "")),
        ("team-agentctl events --limit ", None),
        ("team-agentctl keep ", found(Place::Keepable, "")),
        ("team-agentctl unkeep /h", found(Place::Kept, "/h")),
        ("team-agentctl unkeep --json ", found(Place::Kept, "")),
        ("team-agentctl fix --pid 7 ", None),
        ("team-agentctl fix --p", None),
        ("team-agentctl fix --nonsense ", None),
        ("team-agentctl fix --confirm=", None),
        ("team-agentctl scan --socket ", None),
        ("team-agentctl service ", None),
        ("team-agentctl ", None),
        ("team-agentctl", None),
        ("", None),
    ] {
        assert_eq!(at(line), expected, "{line:?}");
    }
}

#[test]
fn a_socket_that_is_named_is_the_one_that_is_asked() {
    for line in [
        "team-agentctl --socket /s explain ",
        "team-agentctl explain --socket=/s ",
    ] {
        let cursor = place::cursor(&words(line)).unwrap();
        assert_eq!(cursor.socket.as_deref(), Some(Path::new("/s")), "{line}");
    }
}

#[test]
fn what_fits_is_what_is_there_now() {
    assert_eq!(values(Place::OrphanPid), ["9", "12", "13", "14"]);
    assert_eq!(values(Place::Pid), ["7", "9", "12", "13", "14", "15"]);
    assert_eq!(
        values(Place::PastPid),
        ["3", "7", "9", "12", "13", "14", "15"]
    );
    assert_eq!(
        values(Place::Reason),
        [
            "ephemeral_tempdir_pattern",
            "ephemeral_tempdir_pattern:team-agent-rm-",
            "workspace_path_missing",
            "workspace_replaced",
            "workspace_trashed",
        ]
    );
    assert_eq!(
        candidates(Place::Reason, None).len(),
        crate::orphan::verdict::ORPHAN_REASON_KINDS.len()
    );
    assert_eq!(candidates(Place::Pid, None), []);
}

#[test]
fn a_path_that_does_not_show_itself_is_not_offered() {
    assert_eq!(
        values(Place::OrphanWorkspace),
        ["/home/me/My $(touch x)", "/tmp/team-agent-rm-1"]
    );
    assert_eq!(
        values(Place::Keepable),
        [
            "9",
            "12",
            "13",
            "14",
            "15",
            "/home/me/My $(touch x)",
            "/tmp/team-agent-rm-1"
        ]
    );
    assert_eq!(values(Place::Kept), ["7", "/home/me/kept"]);
    for place in [Place::Pid, Place::Kept, Place::Workspace, Place::PastPid] {
        for candidate in candidates(place, Some(&status())) {
            let line = candidate.line(Shell::Fish).replacen('\t', "", 1);
            assert!(
                !line.contains(super::super::safe_text::is_unsafe),
                "{line:?}"
            );
        }
    }
}

#[test]
fn bash_is_given_what_it_replaces_in_quotes_that_fit() {
    let found = |values: &[&str]| -> Vec<Candidate> {
        let candidate = |value: &&str| Candidate {
            value: (*value).to_owned(),
            about: String::new(),
        };
        values.iter().map(candidate).collect()
    };
    let plain = &["/a:b", "/a:c", "/d"][..];
    let odd = &["/My $(x)", "/My 'y'", "/My \"!\""][..];
    for (values, value, piece, expected) in [
        (&["/d", "/e"][..], "", "", &["/d", "/e"][..]),
        (&["/d", "/e"], "/d", "/d", &["/d"]),
        (plain, "/a:", ":", &["b", "c"]),
        (plain, "/a:", "", &["b", "c"]),
        (plain, "/a:c", "c", &["c"]),
        (plain, "", "=", &["'/a:b'", "'/a:c'", "'/d'"]),
        (plain, "/x", "/x", &[]),
        (
            odd,
            "/My ",
            r"/My\ ",
            &["'/My $(x)'", r"'/My '\''y'\'''", "'/My \"!\"'"],
        ),
        (
            odd,
            "/My ",
            "'/My ",
            &["/My $(x)", r"/My '\''y'\'''", "/My \"!\""],
        ),
        (
            odd,
            "/My ",
            "/M\"y ",
            &[r"y \$(x)", "y 'y'", "y \\\"\"'!'\"\\\"\""],
        ),
    ] {
        let left = for_bash(found(values), value, OsStr::new(piece));
        let left: Vec<_> = left.iter().map(|one| &*one.value).collect();
        assert_eq!(left, expected, "{value} {piece}");
    }
}

#[test]
fn a_word_says_what_its_quotes_hold() {
    for (typed, said, open) in [
        ("plain", "plain", None),
        (r"My\ Project", "My Project", None),
        (r#""My Pro"#, "My Pro", Some((b'"', 0))),
        (r#"'a'"b"c"#, "abc", None),
        (r#"ab'c"#, "abc", Some((b'\'', 2))),
        (r#""a\$b\n""#, r"a$b\n", None),
        (r"'a\'b", r"a\b", None),
        ("$(x)", "$(x)", None),
        ("\\", "", None),
        ("\"\\", "\\", Some((b'"', 0))),
    ] {
        let meaning = typed::meaning(OsStr::new(typed));
        assert_eq!((meaning.text, meaning.open), (said.into(), open), "{typed}");
    }
}

#[test]
fn each_script_asks_and_hides_the_question_from_people() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = script(shell);
        assert!(script.contains("team-agentctl __complete"), "{shell}");
        assert_eq!(script.matches(QUESTION).count(), 1, "{shell}");
    }
    let bash = script(Shell::Bash);
    assert_eq!(
        bash.matches("complete -F _team_agentctl_asking ").count(),
        2
    );
    assert!(!bash.contains("complete -F _team__agentctl "));
    let zsh = script(Shell::Zsh);
    assert_eq!(zsh.matches("_team_agentctl_live && return 0").count(), 1);
}

#[test]
fn only_a_question_is_one() {
    let asked = |line: &str| question(&words(line)).is_some();
    assert!(asked("team-agentctl __complete bash 1 team-agentctl fix"));
    assert!(!asked("team-agentctl __complete tcsh 1 team-agentctl fix"));
    assert!(!asked("team-agentctl __complete bash"));
    assert!(!asked("team-agentctl scan bash 1 2 3"));
}
