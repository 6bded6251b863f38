//! Each state with each input, and the long stories.

use super::*;
use crate::orphan::fixtures::{ORIGINAL, RECREATED, rules};

const AT_ONCE: Moment = Moment(Duration::from_secs(1_000));

fn later(seconds: u64) -> Moment {
    AT_ONCE.after(Duration::from_secs(seconds))
}

fn look() -> Look {
    Look {
        kind: Kind::Deleted,
        directory: None,
        is_held: false,
    }
}

/// A scan that took no time shows an orphan at this second.
fn orphan(second: u64, look: Look) -> (u64, Input) {
    (second, shown(later(second), look))
}

fn shown(looked_at: Moment, look: Look) -> Input {
    Input::Orphan {
        look,
        is_first_scan: false,
        looked_at,
    }
}

fn patience(sightings: u32) -> Patience {
    Patience {
        is_unread: false,
        sightings,
        ..Patience::begin(look(), false, AT_ONCE)
    }
}

fn failure(error: Failure) -> Outcome {
    Outcome::Failed {
        error,
        detail: None,
        sigkill_attempted: false,
    }
}

fn spared() -> Outcome {
    Outcome::Spared {
        why: "protected".to_owned(),
    }
}

fn stubborn() -> State {
    State::Failed {
        error: Failure::AliveAfterSigkill,
        patience: patience(0),
        since: Some(look()),
    }
}

/// One of each state.
fn states() -> [(&'static str, State); 9] {
    [
        ("seen", State::Seen),
        ("suspected", State::Suspected(patience(1))),
        ("confirmed", State::Confirmed(patience(3))),
        ("terminating", State::Terminating(patience(3))),
        ("failed for good", stubborn()),
        (
            "failed unchecked",
            failed(Failure::CheckUnavailable, patience(0)),
        ),
        (
            "failed unrecorded",
            failed(Failure::AuditUnavailable, patience(3)),
        ),
        (
            "spared",
            State::Spared {
                why: "protected".to_owned(),
                patience: patience(0),
            },
        ),
        ("gone", State::Gone),
    ]
}

/// The rules: grace 60 s, three sightings. Everything is asked when the grace is over.
#[test]
fn every_state_has_an_answer_to_every_input() {
    let killed = Outcome::Killed {
        sigkill_required: false,
    };
    let inputs = [
        Input::NoOrphan,
        shown(later(60), look()),
        Input::Unwatched,
        Input::Unread,
        Input::Began,
        Input::Ended(killed),
        Input::Ended(failure(Failure::AliveAfterSigkill)),
        Input::Ended(spared()),
        Input::LetGo("not_selected".to_owned()),
    ];
    let table = [
        (
            "seen",
            [
                "seen",
                "suspected",
                "seen",
                "seen",
                "seen",
                "gone",
                "seen",
                "seen",
                "seen",
            ],
        ),
        (
            "suspected",
            [
                "seen",
                "suspected",
                "suspected",
                "suspected",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "confirmed",
            [
                "seen",
                "confirmed",
                "suspected",
                "suspected",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "terminating",
            [
                "terminating",
                "terminating",
                "terminating",
                "terminating",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "failed for good",
            [
                "seen",
                "failed",
                "failed",
                "failed",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "failed unchecked",
            [
                "seen",
                "failed",
                "failed",
                "failed",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "failed unrecorded",
            [
                "seen",
                "confirmed",
                "failed",
                "failed",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "spared",
            [
                "seen",
                "spared",
                "spared",
                "spared",
                "terminating",
                "gone",
                "failed",
                "spared",
                "spared",
            ],
        ),
        (
            "gone",
            [
                "gone", "gone", "gone", "gone", "gone", "gone", "gone", "gone", "gone",
            ],
        ),
    ];
    for ((name, state), (row, expected)) in states().into_iter().zip(table) {
        assert_eq!(name, row);
        for (input, expected) in inputs.iter().zip(expected) {
            let after = state.clone().after(input.clone(), &rules(), later(60));
            assert_eq!(after.word(), expected, "{name}: {input:?}");
        }
    }
}

/// The word of the state after these, each given with the second at which it happens.
fn story(inputs: &[(u64, Input)]) -> State {
    let mut state = State::Seen;
    for (second, input) in inputs {
        state = state.after(input.clone(), &rules(), later(*second));
    }
    state
}

#[test]
fn patience_is_over_when_it_lasted_long_enough_and_was_shown_often_enough() {
    let seen = |at| orphan(at, look());
    assert_eq!(story(&[seen(0), seen(30), seen(59)]).word(), "suspected");
    assert_eq!(story(&[seen(0), seen(30), seen(60)]).word(), "confirmed");
    assert_eq!(story(&[seen(0), seen(90)]).word(), "suspected", "two looks");
    assert_eq!(story(&[seen(0), seen(90), seen(91)]).word(), "confirmed");
}

#[test]
fn a_scan_that_takes_long_shows_what_was_when_it_began() {
    let slow = |began, ended| (ended, shown(later(began), look()));
    let scans = |last| story(&[slow(0, 5), slow(30, 35), last]);
    // From the end of the first look, which may have come then, to the beginning of the last.
    assert_eq!(scans(slow(64, 100)).word(), "suspected");
    assert_eq!(scans(slow(65, 100)).word(), "confirmed");
}

#[test]
fn one_look_that_shows_no_orphan_begins_it_all_again() {
    let seen = |at| orphan(at, look());
    let state = story(&[seen(0), seen(30), (50, Input::NoOrphan), seen(60), seen(90)]);
    assert_eq!(state.patience().unwrap().since, later(60));
    assert_eq!(state.word(), "suspected");
}

#[test]
fn a_workspace_that_comes_and_goes_is_no_break_but_another_one_in_its_place_is() {
    let here = |directory| Look {
        directory,
        ..look()
    };
    // Missing, made again by the coordinator, missing, made again.
    let state = story(&[
        orphan(0, here(None)),
        orphan(20, here(Some(RECREATED))),
        orphan(40, here(None)),
        orphan(60, here(Some(RECREATED))),
    ]);
    assert_eq!(state.word(), "confirmed");
    let state = story(&[
        orphan(0, here(Some(RECREATED))),
        orphan(20, here(None)),
        orphan(60, here(Some(ORIGINAL))),
        orphan(61, here(Some(ORIGINAL))),
        orphan(62, here(Some(ORIGINAL))),
    ]);
    assert_eq!(state.patience().unwrap().since, later(60));
}

#[test]
fn to_be_an_orphan_by_name_is_no_preparation_for_being_one_by_deletion() {
    let by_name = Look {
        kind: Kind::Ephemeral,
        ..look()
    };
    let state = story(&[
        orphan(0, by_name),
        orphan(30, by_name),
        orphan(60, by_name),
        orphan(61, look()),
    ]);
    assert_eq!(state.word(), "suspected");
}

#[test]
fn an_orphan_of_the_first_scan_waits_as_long_as_the_start_asks_for() {
    let first = Input::Orphan {
        look: look(),
        is_first_scan: true,
        looked_at: AT_ONCE,
    };
    let seen = |at| orphan(at, look());
    let story_until = |last| story(&[(0, first.clone()), seen(60), seen(120), seen(last)]);
    assert_eq!(story_until(599).word(), "suspected");
    assert_eq!(story_until(600).word(), "confirmed");
    // Once it was none, it is one like any other.
    let state = story(&[
        (0, first),
        (1, Input::NoOrphan),
        seen(2),
        seen(30),
        seen(62),
    ]);
    assert_eq!(state.word(), "confirmed");
}

#[test]
fn when_nobody_looked_all_of_it_begins_again() {
    let seen = |at| orphan(at, look());
    let state = story(&[
        seen(0),
        seen(30),
        seen(60),
        (61, Input::Unwatched),
        seen(61),
        seen(90),
        seen(120),
    ]);
    assert_eq!(state.word(), "suspected");
    assert_eq!(state.patience().unwrap().since, later(61));
}

#[test]
fn what_survived_sigkill_is_left_alone_until_it_changes() {
    let held = Look {
        is_held: true,
        ..look()
    };
    let after_a_day = |look| {
        let mut state = State::Terminating(patience(3)).after(
            Input::Ended(failure(Failure::AliveAfterSigkill)),
            &rules(),
            later(60),
        );
        // What it looks like afterwards is what a change is one from.
        for second in [65, 70, 86_400, 86_401, 86_402] {
            state = state.after(shown(later(second), held), &rules(), later(second));
        }
        for second in [86_410, 86_440, 86_470] {
            state = state.after(shown(later(second), look), &rules(), later(second));
        }
        state
    };
    assert_eq!(after_a_day(held).word(), "failed");
    assert_eq!(after_a_day(look()).word(), "confirmed");
}

/// Found by the walk: a wave that comes to nothing for want of a record gives its patience back.
#[test]
fn a_break_while_it_is_being_ended_is_a_break() {
    for during in [Input::Unwatched, Input::NoOrphan] {
        let unrecorded = Input::Ended(failure(Failure::AuditUnavailable));
        let state = story(&[
            orphan(0, look()),
            orphan(30, look()),
            orphan(60, look()),
            (60, Input::Began),
            (61, during),
            (62, unrecorded),
            orphan(63, look()),
        ]);
        assert_eq!(state.word(), "failed");
        assert_eq!(state.patience().unwrap().since, later(61));
    }
}

#[test]
fn what_was_spared_or_could_not_be_checked_gets_all_the_patience_again() {
    for outcome in [spared(), failure(Failure::CheckUnavailable)] {
        let begun = [
            (60, Input::Began),
            (63, Input::Ended(outcome)),
            orphan(65, look()),
            orphan(100, look()),
        ];
        let mut all = vec![orphan(0, look())];
        all.extend(begun);
        let early = story(&all);
        assert!(matches!(early.word(), "spared" | "failed"), "{early:?}");
        all.push(orphan(123, look()));
        assert_eq!(story(&all).word(), "confirmed");
    }
}

/// It was begun for somebody, and let go for their sake: what it waited for already counts.
#[test]
fn what_was_let_go_for_the_sake_of_who_asked_keeps_its_patience() {
    let mut all = vec![
        orphan(0, look()),
        orphan(30, look()),
        (40, Input::Began),
        (41, Input::LetGo("lineage_unknown".to_owned())),
        orphan(50, look()),
    ];
    assert_eq!(story(&all).word(), "spared");
    all.push(orphan(60, look()));
    assert_eq!(story(&all).word(), "confirmed");
}
