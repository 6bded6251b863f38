//! The state directory, the event log, the socket.

use super::*;
use crate::orphan::checkup::Standpoint::{Client, Daemon};

const OURS: FileFacts = FileFacts {
    is_directory: true,
    is_socket: false,
    uid: 7,
    mode: 0o700,
    id: (1, 2),
};

fn ours() -> StateDirectory {
    StateDirectory {
        path: "/s".into(),
        found: Found::There(OURS),
        at_start: Some((1, 2)),
        lock: LockState::Held(Some(42)),
        own_pid: 42,
        own_uid: 7,
    }
}

#[test]
fn a_state_directory_that_is_ours_and_locked_is_well() {
    assert_finds(&state_directory(&ours(), Daemon), Finding::Ok, &["/s"]);
    let unlocked = StateDirectory {
        lock: LockState::Free,
        at_start: None,
        ..ours()
    };
    assert_finds(&state_directory(&unlocked, Client), Finding::Ok, &["yours"]);
}

#[test]
fn a_state_directory_that_others_can_change_is_a_problem() {
    for (facts, finding, words) in [
        (
            FileFacts {
                mode: 0o770,
                ..OURS
            },
            Finding::Problem,
            "chmod 700 /s",
        ),
        (
            FileFacts {
                mode: 0o702,
                ..OURS
            },
            Finding::Problem,
            "chmod 700 /s",
        ),
        (
            FileFacts {
                mode: 0o755,
                ..OURS
            },
            Finding::Warning,
            "look into",
        ),
        (
            FileFacts {
                mode: 0o1777,
                ..OURS
            },
            Finding::Problem,
            "others may write into",
        ),
        (FileFacts { uid: 8, ..OURS }, Finding::Problem, "chown 7 /s"),
        (
            FileFacts {
                is_directory: false,
                ..OURS
            },
            Finding::Problem,
            "no directory",
        ),
        (
            FileFacts { id: (1, 3), ..OURS },
            Finding::Problem,
            "another directory",
        ),
    ] {
        let state = StateDirectory {
            found: Found::There(facts),
            ..ours()
        };
        assert_finds(&state_directory(&state, Daemon), finding, &[words]);
    }
}

#[test]
fn a_state_directory_that_is_gone_is_a_problem_only_for_a_daemon_that_runs() {
    let gone = StateDirectory {
        found: Found::Missing,
        lock: LockState::Free,
        ..ours()
    };
    let words = ["removed while the daemon runs", "restart"];
    assert_finds(&state_directory(&gone, Daemon), Finding::Problem, &words);
    assert_finds(
        &state_directory(&gone, Client),
        Finding::Ok,
        &["not there yet"],
    );
    let unreadable = StateDirectory {
        found: Found::Unreadable("EIO".to_owned()),
        ..ours()
    };
    for standpoint in [Daemon, Client] {
        let check = state_directory(&unreadable, standpoint);
        assert_finds(&check, Finding::Problem, &["EIO"]);
    }
}

#[test]
fn the_lock_is_the_daemons_or_something_is_wrong() {
    for (lock, daemon, client) in [
        (LockState::Held(Some(42)), Finding::Ok, Finding::Warning),
        (
            LockState::Held(Some(43)),
            Finding::Problem,
            Finding::Warning,
        ),
        (LockState::Held(None), Finding::Problem, Finding::Warning),
        (LockState::Free, Finding::Problem, Finding::Ok),
    ] {
        let state = StateDirectory { lock, ..ours() };
        assert_finds(&state_directory(&state, Daemon), daemon, &[]);
        assert_finds(&state_directory(&state, Client), client, &[]);
    }
    let words = ["process 42 is at work", "--socket"];
    assert_finds(&state_directory(&ours(), Client), Finding::Warning, &words);
}

fn log() -> EventLogFacts {
    EventLogFacts {
        path: "/s/events.jsonl".into(),
        bytes: Some(10_000),
        archives: 2,
        archived_bytes: 10_000_000,
        writable: Ok(()),
        free: Some(1_000_000_000),
        rotate_bytes: 5_242_880,
        keep: 5,
    }
}

#[test]
fn an_event_log_that_can_be_written_says_how_much_there_is() {
    let words = [
        "10 MB in 3 segments",
        "1 GB free",
        "rotated at 5 MB, 5 kept",
    ];
    assert_finds(&event_log(&log()), Finding::Ok, &words);
    let none = EventLogFacts {
        bytes: None,
        free: None,
        ..log()
    };
    assert_finds(&event_log(&none), Finding::Ok, &["not there yet"]);
}

#[test]
fn an_event_log_that_cannot_be_written_or_has_no_room_is_a_problem() {
    let readonly = EventLogFacts {
        writable: Err("read-only file system".to_owned()),
        ..log()
    };
    let words = ["read-only file system", "nothing is ended automatically"];
    assert_finds(&event_log(&readonly), Finding::Problem, &words);
    for (free, finding) in [
        (0, Finding::Problem),
        (65_535, Finding::Problem),
        (65_536, Finding::Warning),
        (5_242_879, Finding::Warning),
        (5_242_880, Finding::Ok),
    ] {
        let tight = EventLogFacts {
            free: Some(free),
            ..log()
        };
        assert_finds(&event_log(&tight), finding, &["free"]);
    }
}

#[test]
fn an_event_log_that_is_not_rotated_is_noticed() {
    for (bytes, finding) in [
        (5_242_880, Finding::Ok),
        (6_291_456, Finding::Ok),
        (6_291_457, Finding::Warning),
    ] {
        let grown = EventLogFacts {
            bytes: Some(bytes),
            ..log()
        };
        assert_finds(&event_log(&grown), finding, &[]);
    }
}

const SOCKET: FileFacts = FileFacts {
    is_directory: false,
    is_socket: true,
    uid: 7,
    mode: 0o600,
    id: (1, 9),
};

fn bound() -> SocketFacts {
    SocketFacts {
        path: Some("/r/control.sock".into()),
        found: Found::There(SOCKET),
        directory: Found::There(OURS),
        bound: Some((1, 9)),
        is_inherited: false,
        own_uid: 7,
    }
}

#[test]
fn a_socket_is_well_where_it_was_made_or_handed_over() {
    assert_finds(
        &socket(&bound(), Daemon),
        Finding::Ok,
        &["made by the daemon"],
    );
    let inherited = SocketFacts {
        bound: None,
        is_inherited: true,
        ..bound()
    };
    assert_finds(&socket(&inherited, Daemon), Finding::Ok, &["handed over"]);
    let nameless = SocketFacts {
        path: None,
        found: Found::Missing,
        ..inherited
    };
    assert_finds(&socket(&nameless, Daemon), Finding::Ok, &["no file"]);
    let none_yet = SocketFacts {
        found: Found::Missing,
        directory: Found::Missing,
        bound: None,
        ..bound()
    };
    assert_finds(
        &socket(&none_yet, Client),
        Finding::Ok,
        &["would listen on /r/"],
    );
    let no_place = SocketFacts {
        path: None,
        ..none_yet
    };
    assert_finds(
        &socket(&no_place, Client),
        Finding::Problem,
        &["XDG_RUNTIME_DIR"],
    );
}

#[test]
fn a_socket_that_is_gone_or_anothers_is_a_problem() {
    for (found, finding, words) in [
        (Found::Missing, Finding::Problem, "was removed"),
        (
            Found::Unreadable("EACCES".to_owned()),
            Finding::Warning,
            "EACCES",
        ),
        (
            Found::There(FileFacts {
                id: (1, 10),
                ..SOCKET
            }),
            Finding::Problem,
            "something else",
        ),
        (
            Found::There(FileFacts {
                is_socket: false,
                ..SOCKET
            }),
            Finding::Problem,
            "something else",
        ),
        (
            Found::There(FileFacts {
                mode: 0o666,
                ..SOCKET
            }),
            Finding::Warning,
            "chmod 600 /r/control.sock",
        ),
    ] {
        let facts = SocketFacts { found, ..bound() };
        assert_finds(&socket(&facts, Daemon), finding, &[words]);
    }
    let by_systemd = SocketFacts {
        found: Found::There(FileFacts {
            mode: 0o660,
            ..SOCKET
        }),
        bound: None,
        is_inherited: true,
        ..bound()
    };
    assert_finds(
        &socket(&by_systemd, Daemon),
        Finding::Warning,
        &["SocketMode="],
    );
}

#[test]
fn a_directory_in_which_others_could_put_a_socket_is_a_problem() {
    for (directory, words) in [
        (
            FileFacts {
                mode: 0o777,
                ..OURS
            },
            Some("mode 0777"),
        ),
        (FileFacts { uid: 8, ..OURS }, Some("owned by uid 8")),
        (
            FileFacts {
                is_directory: false,
                ..OURS
            },
            Some("no directory"),
        ),
        (
            FileFacts {
                mode: 0o1777,
                ..OURS
            },
            None,
        ),
        (
            FileFacts {
                uid: 0,
                mode: 0o755,
                ..OURS
            },
            None,
        ),
    ] {
        let facts = SocketFacts {
            directory: Found::There(directory),
            ..bound()
        };
        for standpoint in [Daemon, Client] {
            let check = socket(&facts, standpoint);
            match words {
                Some(words) => assert_finds(&check, Finding::Problem, &[words, "chmod 700 /r"]),
                None => assert_finds(&check, Finding::Ok, &[]),
            }
        }
    }
}
