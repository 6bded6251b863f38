//! What the model makes of what it is told, and of keys.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::cli::watch::model::{Ask, Link, Pane};
use crate::cli::watch::row::Wait;

fn pids(model: &Model) -> Vec<u64> {
    model.rows.iter().map(|row| row.pid).collect()
}

#[test]
fn orphans_come_first_and_the_first_of_them_is_selected() {
    let model = model();
    assert_eq!(pids(&model), [11, 13, 19, 7]);
    assert_eq!(model.selected, Some(11));
    assert!(model.counts_down());
    let Wait::Until { from, until } = model.rows[0].wait else {
        panic!("{:?}", model.rows[0].wait);
    };
    assert_eq!(until.duration_since(from).as_secs(), 60);
}

#[test]
fn what_has_no_end_holds_in_words() {
    let mut model = model();
    let mut status = status();
    status["orphans"][0]["next_action_at"] = Value::Null;
    status["orphans"][0]["holds"] = json!([
        {"hold": "grace", "says": "s", "until": "2026-05-26T12:05:42.000000+00:00"},
        {"hold": "reap_not_confirmed", "says": "automatic reaping is off", "until": null},
    ]);
    tell(&mut model, Notification::Status(status));
    assert_eq!(model.rows[0].wait, Wait::Held("only on request".to_owned()));
}

#[test]
fn the_selection_stays_with_its_process_and_passes_on_when_that_is_gone() {
    let mut model = model();
    press(&mut model, &[Key::Down]);
    assert_eq!(model.selected, Some(13));
    let mut status = status();
    status["orphans"].as_array_mut().unwrap().remove(0);
    status["coordinators"].as_array_mut().unwrap().remove(1);
    tell(&mut model, Notification::Status(status.clone()));
    assert_eq!(model.selected, Some(13));
    status["orphans"] = json!([]);
    status["coordinators"].as_array_mut().unwrap().remove(1);
    tell(&mut model, Notification::Status(status.clone()));
    assert_eq!(model.selected, Some(19));
    status["coordinators"] = json!([]);
    tell(&mut model, Notification::Status(status));
    assert_eq!(model.selected, None);
    assert_eq!(press(&mut model, &[Key::Down, Key::Up, Key::Enter]), []);
}

#[test]
fn keys_move_the_selection_within_the_table() {
    let mut model = model();
    for (key, selected) in [
        (Key::Up, 11),
        (Key::Char('j'), 13),
        (Key::Down, 19),
        (Key::Char('k'), 13),
        (Key::Last, 7),
        (Key::Down, 7),
        (Key::PageUp, 11),
        (Key::PageDown, 7),
        (Key::First, 11),
    ] {
        assert_eq!(press(&mut model, &[key]), []);
        assert_eq!(model.selected, Some(selected), "{key:?}");
    }
}

#[test]
fn a_kill_is_in_progress_from_its_first_signal_to_its_outcome() {
    let mut model = model();
    let term = "2026-05-26T12:04:59.000000+00:00";
    for event in [
        signal(11, 11, "SIGTERM", term),
        signal(12, 11, "SIGTERM", term),
    ] {
        tell(&mut model, Notification::Event(event));
    }
    let kill = model.kills.0[&11].clone();
    assert_eq!((kill.signal.as_str(), kill.others), ("SIGTERM", 1));
    let until = kill.until(&model.status).unwrap();
    assert_eq!(until.duration_since(now()).as_secs(), 2);

    let kill_at = "2026-05-26T12:05:02.000000+00:00";
    tell(
        &mut model,
        Notification::Event(signal(11, 11, "SIGKILL", kill_at)),
    );
    let kill = model.kills.0[&11].clone();
    let until = kill.until(&model.status).unwrap();
    assert_eq!(until.duration_since(now()).as_secs(), 4);

    let of_member = json!({"event": "orphan.spared", "pid": 12});
    tell(&mut model, Notification::Event(of_member));
    assert!(!model.kills.is_empty());
    let ended = json!({"event": "orphan.killed", "pid": 11});
    tell(&mut model, Notification::Event(ended));
    assert!(model.kills.is_empty());
}

#[test]
fn what_an_earlier_daemon_began_is_not_in_progress() {
    let ts = "2026-05-26T12:04:59.000000+00:00";
    let started = json!({"event": "daemon.started", "pid": 812, "ts": ts});
    let last = vec![
        signal(3, 3, "SIGTERM", ts),
        started,
        signal(4, 4, "SIGTERM", ts),
    ];
    let mut model = model();
    model.update(Input::Lost, &view());
    model.update(Input::Linked(last), &view());
    assert_eq!(model.kills.0.keys().copied().collect::<Vec<_>>(), [4]);
    assert_eq!(model.events.len(), 3);
}

#[test]
fn only_so_many_events_are_kept() {
    let mut model = model();
    for number in 0..1_000 {
        tell(
            &mut model,
            Notification::Event(json!({"event": "e", "n": number})),
        );
    }
    assert_eq!(model.events.len(), 200);
    assert_eq!(model.events[199]["n"], 999);
}

#[test]
fn each_key_asks_for_what_it_says() {
    for (keys, asked) in [
        (&[Key::Enter][..], Ask::Explain(11)),
        (&[Key::Char('e')], Ask::Explain(11)),
        (&[Key::Char('K')], Ask::Keep(11)),
        (&[Key::Char('u')], Ask::Unkeep(11)),
        (&[Key::Char('r')], Ask::Resume),
        (
            &[Key::Char('p'), Key::Char('1')],
            Ask::Pause(Some(Duration::from_mins(15))),
        ),
        (
            &[Key::Char('p'), Key::Char('x'), Key::Char('2')],
            Ask::Pause(Some(Duration::from_hours(1))),
        ),
        (&[Key::Char('p'), Key::Char('3')], Ask::Pause(None)),
        (
            &[Key::Char('f'), Key::Char('y')],
            Ask::Fix(11, Some(("workspaces", json!("/home/me/work/blog")))),
        ),
    ] {
        let mut model = model();
        assert_eq!(press(&mut model, keys), [Effect::Ask(asked)], "{keys:?}");
    }
    for (keys, effect) in [
        (Key::Char('q'), Effect::Leave),
        (Key::Escape, Effect::Leave),
        (Key::Interrupt, Effect::Leave),
        (Key::Suspend, Effect::Suspend),
    ] {
        assert_eq!(press(&mut model(), &[keys]), [effect]);
    }
}

#[test]
fn nothing_but_a_yes_ends_anything() {
    for key in [
        Key::Enter,
        Key::Escape,
        Key::Char('n'),
        Key::Char('Y'),
        Key::Char('f'),
        Key::Down,
    ] {
        let mut model = model();
        assert_eq!(press(&mut model, &[Key::Char('f'), key]), [], "{key:?}");
        assert_eq!(model.pane, Pane::Nothing);
        // A later one is none to this question.
        assert_eq!(press(&mut model, &[Key::Char('y')]), []);
    }
}

#[test]
fn escape_and_a_key_soon_after_it_is_no_yes() {
    // A terminal sends the same for it as for Alt and that key.
    let key = |modifiers| Key::read(&KeyEvent::new(KeyCode::Char('y'), modifiers));
    for modifiers in [
        KeyModifiers::ALT,
        KeyModifiers::ALT | KeyModifiers::SHIFT,
        KeyModifiers::CONTROL,
        KeyModifiers::ALT | KeyModifiers::CONTROL,
        KeyModifiers::SUPER,
    ] {
        assert_ne!(key(modifiers), Some(Key::Char('y')), "{modifiers:?}");
    }
    assert_eq!(key(KeyModifiers::ALT), Some(Key::Escape));
    assert_eq!(key(KeyModifiers::NONE), Some(Key::Char('y')));
    let shifted = KeyEvent::new(KeyCode::Char('K'), KeyModifiers::SHIFT);
    assert_eq!(Key::read(&shifted), Some(Key::Char('K')));
}

#[test]
fn a_fix_names_the_process_and_its_workspace_as_the_daemon_spells_it() {
    let fix = Ask::Fix(7, Some(("workspaces_b64", json!("L3f/"))));
    assert_eq!(
        fix.request().params,
        json!({"confirm": true, "pids": [7], "workspaces_b64": ["L3f/"]})
    );
    let mut status = status();
    status["coordinators"][1]["workspace_b64"] = "L3f/".into();
    let mut model = model();
    tell(&mut model, Notification::Status(status));
    assert_eq!(model.rows[0].named, Some(("workspaces_b64", json!("L3f/"))));
}

#[test]
fn what_is_no_orphan_is_not_ended_and_what_is_none_any_more_is_not_asked_about() {
    let mut model = model();
    assert_eq!(
        press(&mut model, &[Key::Last, Key::Char('f'), Key::Char('y')]),
        []
    );
    press(&mut model, &[Key::First, Key::Char('f')]);
    assert!(matches!(model.pane, Pane::Confirm(_)));
    tell(&mut model, Notification::Status(status()));
    assert!(matches!(model.pane, Pane::Confirm(_)), "nothing changed");
    let mut status = status();
    status["orphans"].as_array_mut().unwrap().remove(0);
    status["coordinators"][1]["verdict"] = "alive".into();
    tell(&mut model, Notification::Status(status));
    assert_eq!(model.pane, Pane::Nothing);
    assert_eq!(press(&mut model, &[Key::Char('y')]), []);
}

#[test]
fn another_process_with_the_same_pid_is_not_asked_about() {
    let mut model = model();
    press(&mut model, &[Key::Char('f')]);
    let mut status = status();
    status["coordinators"][1]["workspace"] = "/another".into();
    tell(&mut model, Notification::Status(status));
    assert_eq!(model.pane, Pane::Nothing);
}

#[test]
fn without_a_daemon_nobody_is_asked_and_what_was_stays() {
    let mut model = model();
    model.update(Input::Lost, &view());
    assert_eq!(model.link, Link::Lost);
    assert!(!model.counts_down());
    assert_eq!(pids(&model).len(), 4);
    for key in ['e', 'K', 'u', 'f', 'p', 'r', 'y'] {
        assert_eq!(press(&mut model, &[Key::Char(key)]), [], "{key}");
    }
    model.update(Input::Linked(Vec::new()), &view());
    assert_eq!(model.link, Link::Live);
}

#[test]
fn a_letter_is_read_and_closed() {
    let mut model = model();
    press(&mut model, &[Key::Enter]);
    let letter = json!({"pid": 11, "is_coordinator": true, "would": "be ended"});
    let answer = |letter: Value| Input::Answered(Ask::Explain(11), Ok(letter));
    model.update(answer(letter.clone()), &view());
    press(&mut model, &[Key::Down, Key::PageDown, Key::Char('k')]);
    assert_eq!(
        model.pane,
        Pane::Letter {
            pid: 11,
            letter: Some(letter.clone()),
            scroll: 10
        }
    );
    assert_eq!(
        press(&mut model, &[Key::Char('q')]),
        [],
        "it closes the letter"
    );
    // One that comes late opens nothing.
    model.update(answer(letter), &view());
    assert_eq!(model.pane, Pane::Nothing);
}

#[test]
fn what_the_daemon_answers_is_said() {
    let mut model = model();
    for (ask, answer, said) in [
        (
            Ask::Keep(11),
            json!({"kept": true, "pid": 11}),
            "kept: process 11",
        ),
        (
            Ask::Resume,
            json!({"lifted": ["paused"], "held_by": [], "was_held": true, "confirm": true}),
            "the pause is over",
        ),
        (
            Ask::Fix(11, None),
            json!({"ok": true, "killed": [{"pid": 11, "status": "killed", "elapsed_ms": 83}]}),
            "11: gone after 83 ms, by SIGTERM",
        ),
        (
            Ask::Fix(11, None),
            json!({"ok": true, "killed": []}),
            "it is no orphan any more",
        ),
    ] {
        model.update(Input::Answered(ask, Ok(answer)), &view());
        let notice = model.notice.clone().unwrap();
        assert!(notice.text.contains(said), "{notice:?}");
        assert!(!notice.is_error);
    }
    press(&mut model, &[Key::Enter]);
    let problem = Err("no process has pid 11\u{1b}".to_owned());
    model.update(Input::Answered(Ask::Explain(11), problem), &view());
    assert_eq!(model.pane, Pane::Nothing);
    let notice = model.notice.clone().unwrap();
    assert_eq!(notice.text, "no process has pid 11\\x1b");
    assert!(notice.is_error);
    press(&mut model, &[Key::Down]);
    assert_eq!(model.notice, None, "until the next key");
}

#[test]
fn what_is_kept_by_its_path_is_not_unkept_by_its_pid() {
    let mut model = model();
    let mut status = status();
    status["coordinators"][1]["kept"] = true.into();
    tell(&mut model, Notification::Status(status.clone()));
    assert_eq!(press(&mut model, &[Key::Char('u')]), []);
    assert!(model.notice.clone().unwrap().is_error);
    status["policy"]["kept"]["pids"] = json!([11]);
    tell(&mut model, Notification::Status(status));
    let asked = press(&mut model, &[Key::Char('u')]);
    assert_eq!(asked, [Effect::Ask(Ask::Unkeep(11))]);
}

#[test]
fn any_state_can_be_taken_in() {
    for status in [
        json!(null),
        json!(7),
        json!({"coordinators": [{}, {"pid": "x"}, {"pid": 1}], "orphans": [{"pid": 2, "holds": 7}]}),
        json!({"orphans": [{"pid": 3, "next_action_at": "soon", "holds": [null, {"hold": 7}]}]}),
    ] {
        let mut model = model();
        tell(&mut model, Notification::Status(status));
        press(
            &mut model,
            &[Key::Down, Key::Char('f'), Key::Char('n'), Key::Char('u')],
        );
    }
}
