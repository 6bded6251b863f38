//! The model as it is seen, on screens of all sizes.

use ratatui::Terminal as Canvas;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::cli::safe_text::is_unsafe;
use crate::cli::watch::draw::draw;
use crate::cli::watch::model::{Ask, Pane};

pub(super) fn picture_of(model: &Model, look: &Look, width: u16, height: u16) -> Buffer {
    let mut canvas = Canvas::new(TestBackend::new(width, height)).unwrap();
    canvas
        .draw(|frame| {
            draw(frame, model, look);
        })
        .unwrap();
    canvas.backend().buffer().clone()
}

pub(super) fn text_of(picture: &Buffer) -> String {
    let area = picture.area;
    let line = |y| {
        let cells = (0..area.width).map(|x| picture[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..area.height).map(line).collect::<Vec<_>>().join("\n")
}

fn seen(model: &Model, width: u16, height: u16) -> String {
    text_of(&picture_of(model, &look(), width, height))
}

#[test]
fn a_usual_screen() {
    let mut model = model();
    let term = signal(13, 13, "SIGTERM", "2026-05-26T12:04:59.000000+00:00");
    tell(&mut model, Notification::Event(term));
    assert_eq!(
        seen(&model, 80, 18),
        "\
team-agentd 0.1.0, pid 812
ends orphans by itself (workspace_replaced)
last scan 12:04:58: 4 coordinators, 2 orphans
STATE           PID     AGE  MEMORY WORKSPACE                NEXT
suspected        11   1h 0m   29 MB /home/me/work/blog       ██████░░ 42s
suspected        13   1h 0m   29 MB /home/me/work/api        SIGTERM sent
unknown          19   1h 0m   29 MB /home/me/work/old-name
alive             7   1h 0m   29 MB /home/me/work/shop


11 workspace_replaced  /home/me/work/blog
  it has not been an orphan for long enough
KILLS IN PROGRESS: 1
     13 SIGTERM  ██████░░ SIGKILL in 2s  /home/me/work/blog
EVENTS
12:00:00  daemon.started      812      0.1.0  /s
12:04:59  orphan.signal       13       workspace_replaced  /home/me/work/blog  S
e explain  f fix  K keep  u unkeep  p pause  r resume  ? help  q quit"
    );
}

#[test]
fn a_wide_screen_has_the_reason_and_a_narrow_one_the_rest() {
    let model = model();
    let wide = seen(&model, 140, 24);
    assert!(wide.contains("REASON"), "{wide}");
    for shown in [
        "workspace_moved",
        "workspace_alive",
        "/home/me/work/old-name",
    ] {
        assert!(wide.contains(shown), "{wide}");
    }
    let narrow = seen(&model, 60, 24);
    assert!(
        !narrow.contains("REASON") && !narrow.contains("MEMORY"),
        "{narrow}"
    );
    for shown in ["11 workspace_replaced", "suspected", "42s", "/ho…ork/blog"] {
        assert!(narrow.contains(shown), "{shown}\n{narrow}");
    }
}

#[test]
fn what_the_daemon_is_held_by_is_said() {
    let mut model = model();
    let mut status = status();
    status["policy"]["paused"] = true.into();
    status["policy"]["paused_until"] = "2026-05-26T12:15:00.000000+00:00".into();
    status["policy"]["suspended"] = true.into();
    status["policy"]["suspended_why"] = "5 of 6 turned orphan".into();
    status["view"]["obstacles"] = json!([{"says": "/tmp is another one here"}]);
    status["coordinators"][0]["kept"] = true.into();
    tell(&mut model, Notification::Status(status));
    let picture = seen(&model, 140, 24);
    for said in [
        "suspended: 5 of 6 turned orphan",
        "paused until 2026-05-26 12:15:00",
        "/tmp is another one here",
        "kept",
    ] {
        assert!(picture.contains(said), "{said}\n{picture}");
    }
}

#[test]
fn without_the_daemon_the_last_state_is_dim_and_the_loss_is_said() {
    let mut model = model();
    model.update(Input::Lost, &view());
    let picture = picture_of(&model, &look(), 80, 24);
    let text = text_of(&picture);
    assert!(text.contains("gone; waiting for the next one"), "{text}");
    assert!(text.contains("/home/me/work/blog"), "{text}");
    for y in 0..23 {
        assert!(picture[(0, y)].modifier.contains(Modifier::DIM), "line {y}");
    }
}

#[test]
fn the_question_says_who_would_end_and_how() {
    let mut model = model();
    press(&mut model, &[Key::Char('f')]);
    let picture = seen(&model, 80, 24);
    for said in [
        "End this process?",
        "process    11, running for 1h 0m, holding 29 MB",
        "workspace  /home/me/work/blog",
        "reason     workspace_replaced",
        "command    python3 -m team_agent.coordinator",
        "SIGKILL after 3 s, to it, and its process group",
        "N  leave it",
    ] {
        assert!(picture.contains(said), "{said}\n{picture}");
    }
}

#[test]
fn the_question_can_be_answered_however_long_the_names_and_small_the_screen() {
    let mut status = status();
    let long = format!("/home/{}", "x".repeat(4_000));
    status["coordinators"][1]["workspace"] = long.clone().into();
    status["orphans"][0]["cmdline"] = format!("python3 {long} last-word").into();
    let mut model = model();
    tell(&mut model, Notification::Status(status));
    press(&mut model, &[Key::Char('f')]);
    let picture = seen(&model, 80, 24);
    for said in [
        "process    11",
        "workspace  /home/x",
        "last-word",
        "It is checked again first.",
        "y  end 11      N  leave it",
    ] {
        assert!(picture.contains(said), "{said}\n{picture}");
    }
    for (width, height) in [(60, 10), (20, 5), (30, 2), (30, 1)] {
        let picture = seen(&model, width, height);
        assert!(picture.contains("y  end 11"), "{picture}");
    }
}

#[test]
fn a_letter_with_long_lines_is_scrolled_to_its_end_and_back_at_once() {
    let mut model = model();
    press(&mut model, &[Key::Enter]);
    let letter = json!({
        "pid": 11,
        "is_coordinator": true,
        "entry": orphan(11, &format!("/home/{}", "x".repeat(2_000))),
        "rules": [],
        "would": "be ended",
    });
    model.update(Input::Answered(Ask::Explain(11), Ok(letter)), &view());
    let drawn = |model: &mut Model| {
        let mut canvas = Canvas::new(TestBackend::new(60, 12)).unwrap();
        let mut furthest = 0;
        canvas
            .draw(|frame| furthest = draw(frame, model, &look()))
            .unwrap();
        model.scrolls_to(furthest);
        text_of(canvas.backend().buffer())
    };
    assert!(!drawn(&mut model).contains("it would be ended"));
    press(&mut model, &[Key::Last, Key::PageDown, Key::PageDown]);
    let end = drawn(&mut model);
    assert!(end.contains("it would be ended"), "{end}");
    let last_row = end.lines().rev().nth(1).unwrap();
    assert!(!last_row.trim_matches(['│', ' ']).is_empty(), "{end}");
    // The way back begins there, not where nothing was to be seen any more.
    press(&mut model, &[Key::Up]);
    assert!(!drawn(&mut model).contains(last_row), "{end}");
}

#[test]
fn a_letter_can_be_read_to_its_end() {
    let mut model = model();
    press(&mut model, &[Key::Enter]);
    assert!(seen(&model, 80, 24).contains("asking the daemon"));
    let letter = json!({
        "pid": 11,
        "is_coordinator": true,
        "entry": orphan(11, "/w"),
        "rules": [{"rule": "workspace_replaced", "result": "orphan:workspace_replaced", "evidence": null}],
        "would": "be ended",
    });
    model.update(Input::Answered(Ask::Explain(11), Ok(letter)), &view());
    let picture = seen(&model, 80, 10);
    assert!(picture.contains("Process 11 is a coordinator"), "{picture}");
    assert!(!picture.contains("it would be ended"), "{picture}");
    press(&mut model, &[Key::PageDown; 5]);
    let picture = seen(&model, 80, 10);
    assert!(picture.contains("it would be ended"), "{picture}");
}

#[test]
fn the_selected_one_is_marked_and_in_sight() {
    let mut model = model();
    let mut status = status();
    let many =
        (100..200).map(|pid| coordinator(pid, &format!("/w/{pid}"), "alive", "workspace_alive"));
    status["coordinators"].as_array_mut().unwrap().extend(many);
    tell(&mut model, Notification::Status(status));
    press(&mut model, &[Key::Last]);
    let picture = picture_of(&model, &look(), 80, 24);
    let text = text_of(&picture);
    let line = text
        .lines()
        .position(|line| line.contains("/w/199"))
        .unwrap();
    let cell = &picture[(30, u16::try_from(line).unwrap())];
    assert!(cell.modifier.contains(Modifier::REVERSED), "{text}");
}

#[test]
fn no_colour_is_used_where_none_is_wanted() {
    let mut model = model();
    model.complain("oh");
    let plain = Look {
        has_colours: false,
        ..look()
    };
    let coloured = |look: &Look| {
        let picture = picture_of(&model, look, 80, 24);
        picture
            .content
            .iter()
            .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(&look()));
    assert!(!coloured(&plain));
}

const HOSTILE: &str =
    "/w/\u{1b}[2J\u{1b}]0;x\u{7}\n\r\t\u{9b}31m\u{202e}gpj.\u{2066}\u{200b}\u{e0041}\0";

fn hostile() -> Model {
    let mut status = status();
    for name in ["workspace", "reason", "verdict"] {
        status["coordinators"][1][name] = HOSTILE.into();
    }
    for name in ["workspace", "reason", "state", "cmdline"] {
        status["orphans"][0][name] = HOSTILE.into();
    }
    status["orphans"][0]["holds"] = json!([{"hold": HOSTILE, "says": HOSTILE, "until": null}]);
    status["orphans"][0]["next_action_at"] = Value::Null;
    status["daemon"]["version"] = HOSTILE.into();
    status["last_scan"]["at"] = HOSTILE.into();
    status["policy"]["suspended"] = true.into();
    status["policy"]["suspended_why"] = HOSTILE.into();
    status["policy"]["terminate"]["scope"] = HOSTILE.into();
    status["view"]["obstacles"] = json!([{"says": HOSTILE}]);
    let mut model = model();
    let mut signal = signal(11, 11, HOSTILE, "2026-05-26T12:04:59.000000+00:00");
    signal["workspace"] = HOSTILE.into();
    signal["reason"] = HOSTILE.into();
    tell(&mut model, Notification::Event(signal));
    tell(
        &mut model,
        Notification::Event(json!({"event": HOSTILE, "ts": HOSTILE, "why": HOSTILE})),
    );
    tell(&mut model, Notification::Status(status));
    model
}

/// The model with each pane open, and with each kind of notice.
fn in_all_states(model: impl Fn() -> Model) -> Vec<Model> {
    let mut all = vec![model()];
    for key in ['?', 'e', 'p', 'f'] {
        let mut model = model();
        press(&mut model, &[Key::Char(key)]);
        all.push(model);
    }
    let mut lettered = model();
    press(&mut lettered, &[Key::Char('e')]);
    let letter = json!({
        "pid": 11,
        "is_coordinator": true,
        "entry": {"pid": 11, "cmdline": HOSTILE, "workspace": HOSTILE, "reason": HOSTILE, "verdict": HOSTILE},
        "rules": [{"rule": HOSTILE, "result": HOSTILE, "evidence": {"path": HOSTILE}}],
        "would": HOSTILE,
    });
    lettered.update(Input::Answered(Ask::Explain(11), Ok(letter)), &view());
    assert!(matches!(
        lettered.pane,
        Pane::Letter {
            letter: Some(_),
            ..
        }
    ));
    all.push(lettered);
    let mut refused = model();
    let answer = Err(HOSTILE.to_owned());
    refused.update(Input::Answered(Ask::Keep(11), answer), &view());
    all.push(refused);
    let mut lost = model();
    lost.update(Input::Lost, &view());
    all.push(lost);
    all
}

#[test]
fn nothing_that_others_chose_reaches_the_terminal_raw() {
    for model in in_all_states(hostile) {
        let picture = picture_of(&model, &look(), 140, 40);
        for cell in &picture.content {
            assert!(!cell.symbol().contains(is_unsafe), "{:?}", cell.symbol());
        }
        assert!(text_of(&picture).contains("\\x1b") || model.pane != Pane::Nothing);
    }
}

#[test]
fn a_screen_of_any_size_can_be_drawn() {
    let nothing = || Model::new(Vec::new());
    for make in [&hostile as &dyn Fn() -> Model, &super::model, &nothing] {
        for model in in_all_states_of(make) {
            for width in [1, 2, 5, 20, 60, 80, 140] {
                for height in [1, 2, 5, 9, 24] {
                    picture_of(&model, &look(), width, height);
                }
            }
        }
    }
}

fn in_all_states_of(make: &dyn Fn() -> Model) -> Vec<Model> {
    if make().rows.is_empty() {
        return vec![make()];
    }
    in_all_states(make)
}

#[test]
fn a_tiny_screen_still_shows_the_selected_one() {
    let picture = seen(&model(), 20, 5);
    assert!(picture.contains("suspected"), "{picture}");
    assert!(picture.contains("11"), "{picture}");
}
