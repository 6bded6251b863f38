//! What only who asks can see.

use super::*;

#[test]
fn a_daemon_that_is_not_there_is_said_with_how_to_start_one() {
    let nobody = daemon(&Presence::Nobody(vec!["/a".into(), "/b".into()]));
    let words = ["none listens on /a or /b", "service install", "team-agentd"];
    assert_finds(&nobody, Finding::Warning, &words);
    let silent = daemon(&Presence::Silent("it hangs".to_owned()));
    assert_finds(&silent, Finding::Problem, &["it hangs", "restart"]);
    assert_finds(&daemon(&Presence::NotAsked), Finding::Ok, &["--embedded"]);
    let there = daemon(&Presence::Answered {
        pid: Some(42),
        socket: Some("/r/s".into()),
    });
    assert_finds(&there, Finding::Ok, &["it answers, process 42, on /r/s"]);
}

#[test]
fn a_second_daemon_is_noticed_by_the_locks_it_holds() {
    let at = |pid, place: &str| AtWork {
        pid,
        place: place.into(),
    };
    let own = [at(Some(42), "/r/s"), at(Some(42), "/state")];
    assert_finds(&daemons(Some(42), &own, false), Finding::Ok, &[]);
    assert_finds(&daemons(Some(42), &[], true), Finding::Ok, &["run by root"]);
    let two = [at(Some(42), "/r/s"), at(Some(43), "/other")];
    let words = ["process 43 is at work at /other", "--socket"];
    assert_finds(&daemons(Some(42), &two, false), Finding::Warning, &words);
    // Who does not say who it is may be anybody.
    for asked in [Some(42), None] {
        let check = daemons(asked, &[at(None, "/other")], false);
        assert_finds(&check, Finding::Warning, &["another process is at work"]);
    }
}

#[test]
fn a_directory_in_which_somebody_else_could_answer_is_a_problem() {
    let socket = Path::new("/r/s");
    let directory = |mode, uid| {
        let facts = FileFacts {
            is_directory: true,
            is_socket: false,
            uid,
            mode,
            id: (1, 2),
        };
        socket_directory(socket, &Found::There(facts), 7)
    };
    assert_finds(&directory(0o700, 7), Finding::Ok, &["/r"]);
    assert_finds(&directory(0o755, 0), Finding::Ok, &["/r"]);
    assert_finds(&directory(0o777, 7), Finding::Problem, &["chmod 700 /r"]);
    assert_finds(&directory(0o700, 8), Finding::Problem, &["owned by uid 8"]);
    let missing = socket_directory(socket, &Found::Missing, 7);
    assert_finds(&missing, Finding::Problem, &["not there"]);
}

#[test]
fn two_versions_are_said_and_one_is_not() {
    assert_eq!(skew("1.0", Some("1.0")), None);
    let two = skew("1.1", Some("1.0")).unwrap();
    assert_finds(
        &two,
        Finding::Warning,
        &["this client is 1.1, the daemon is 1.0"],
    );
    assert!(skew("1.1", None).is_some());
    let old = too_old("1.1", Some("1.0"));
    assert_finds(
        &old,
        Finding::Warning,
        &["1.0 cannot look at itself", "restart"],
    );
    assert_finds(
        &too_old("1.1", None),
        Finding::Warning,
        &["the daemon cannot"],
    );
}
