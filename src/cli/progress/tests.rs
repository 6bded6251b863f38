//! What a fix shows of itself: records in, lines out.

use jiff::tz::TimeZone;
use serde_json::json;
use tokio::sync::oneshot;

use super::lines::lines;
use super::*;
use crate::cli::terminal::Terminal;
use crate::control::telling;

const OWN: u32 = 77;

fn view(width: usize, now: &str) -> View {
    View {
        terminal: Terminal {
            is_terminal: false,
            width,
        },
        now: now.parse().unwrap(),
        zone: TimeZone::UTC,
        program: crate::cli::render::PROGRAM.to_owned(),
    }
}

fn status() -> Value {
    json!({"policy": {"terminate": {"sigterm_wait_s": 3.0, "sigkill_wait_s": 0.5}}})
}

fn record(event: &str, second: &str, rest: Value) -> Value {
    let mut record = json!({
        "event": event,
        "ts": format!("2026-11-22T12:00:{second}Z"),
        "pid": 4242,
        "workspace": "/home/me/work/old",
        "actor": {"kind": "socket", "uid": 0, "pid": OWN},
    });
    for (key, value) in rest.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn signal(name: &str, second: &str) -> Value {
    record("orphan.signal", second, json!({"signal": name}))
}

fn told() -> Model {
    let mut model = Model::new(OWN, &About::These(Vec::new()));
    model.begun(status());
    model
}

fn picture(model: &Model, width: usize, second: &str, rows: usize) -> Vec<String> {
    let view = view(width, &format!("2026-11-22T12:00:{second}Z"));
    lines(model, &view, rows)
}

#[test]
fn an_orphan_goes_from_its_first_signal_to_its_end() {
    let mut model = told();
    assert_eq!(
        picture(&model, 80, "00", 24),
        ["Looking for the orphans to end …"]
    );
    assert_eq!(
        model.take(&signal("SIGTERM", "01")).unwrap(),
        "pid 4242 SIGTERM sent  /home/me/work/old"
    );
    assert_eq!(
        picture(&model, 80, "02.5", 24),
        [
            "Ending orphans: 1 under way",
            "     4242  SIGTERM sent  ████░░░░ SIGKILL in 2s  /home/me/work/old"
        ]
    );
    let member = json!({"signal": "SIGTERM", "orphan_pid": 4242, "pid": 4243});
    assert_eq!(
        model.take(&record("orphan.signal", "01", member)).unwrap(),
        "pid 4243 SIGTERM sent, as a member of 4242  /home/me/work/old"
    );
    model.take(&signal("SIGKILL", "04")).unwrap();
    assert_eq!(
        picture(&model, 80, "04", 24)[1],
        "     4242  SIGKILL sent and to 1 more  ████████ given up in 1s  /hom…e/work/old"
    );
    let end = json!({"elapsed_ms": 3004.2, "sigkill_required": true});
    assert_eq!(
        model.take(&record("orphan.killed", "04.1", end)).unwrap(),
        "pid 4242 gone after 3.0 s, by SIGKILL  /home/me/work/old"
    );
    assert_eq!(
        picture(&model, 80, "05", 24),
        [
            "Ending orphans: 1 gone",
            "     4242  gone after 3.0 s, by SIGKILL  /home/me/work/old"
        ]
    );
}

#[test]
fn what_others_have_ended_is_not_shown() {
    let mut model = told();
    for actor in [
        json!({"kind": "auto"}),
        json!({"kind": "socket", "uid": 0, "pid": OWN + 1}),
    ] {
        let others = json!({"signal": "SIGTERM", "actor": actor});
        assert_eq!(model.take(&record("orphan.signal", "01", others)), None);
    }
    let scanned = record("scan.completed", "01", json!({"pid": null}));
    assert_eq!(model.take(&scanned), None);
    assert_eq!(picture(&model, 80, "01", 24).len(), 1);

    // But a process that was named is meant, whoever ends it; and if all are, every one.
    for about in [About::These(vec![4242]), About::All] {
        let mut model = Model::new(OWN, &about);
        model.begun(status());
        let auto = json!({"signal": "SIGTERM", "actor": {"kind": "auto"}});
        assert!(model.take(&record("orphan.signal", "01", auto)).is_some());
        assert_eq!(picture(&model, 80, "01", 24).len(), 2);
    }
}

#[test]
fn each_end_has_its_words_and_is_counted() {
    let mut model = told();
    for (pid, event, rest, says) in [
        (
            1,
            "orphan.killed",
            json!({"elapsed_ms": 20.0}),
            "gone after 20 ms, by SIGTERM",
        ),
        (
            2,
            "orphan.killed",
            json!({"status": "missing"}),
            "was gone before the first signal",
        ),
        (
            3,
            "orphan.failed",
            json!({"error": "still_running_after_sigkill"}),
            "failed: still there",
        ),
        (
            4,
            "orphan.spared",
            json!({"why": "workspace_returned"}),
            "spared: ",
        ),
    ] {
        let mut record = record(event, "01", rest);
        record["pid"] = pid.into();
        let line = model.take(&record).unwrap();
        assert!(line.starts_with(&format!("pid {pid} {says}")), "{line}");
        assert!(line.ends_with("  /home/me/work/old"), "{line}");
    }
    let picture = picture(&model, 200, "01", 24);
    assert_eq!(picture[0], "Ending orphans: 2 gone, 1 spared, 1 failed");
    assert!(
        picture[1].starts_with("        4  spared: "),
        "the newest first: {picture:#?}"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_picture_higher() {
    let mut model = told();
    for pid in 1000..1300 {
        let mut record = signal("SIGTERM", "01");
        record["pid"] = pid.into();
        record["workspace"] = "/home/me/\u{1b}[2J多い/".repeat(9).into();
        model.take(&record).unwrap();
    }
    for width in [0, 1, 2, 9, 20, 60, 80, 140] {
        for rows in [0, 1, 2, 3, 4, 5, 24, 60] {
            let picture = picture(&model, width, "01", rows);
            assert!(
                picture.len() <= rows.saturating_sub(2).max(1),
                "{picture:#?}"
            );
            for line in &picture {
                let taken = unicode_width::UnicodeWidthStr::width(line.as_str());
                assert!(taken < width.max(1), "{taken} of {width}: {line}");
                assert!(!line.contains('\u{1b}'), "{line}");
            }
            if rows >= 5 && width == 80 {
                let left = 300 - (rows - 4);
                assert_eq!(picture.last().unwrap(), &format!("  … and {left} more"));
            }
        }
    }
}

#[test]
fn what_was_not_told_in_time_is_in_the_result() {
    let result = json!({
        "killed": [{"pid": 1, "status": "killed", "elapsed_ms": 5.0, "workspace": "/a"}],
        "failed": [],
        "spared": [{"pid": 2, "status": "spared", "why": "workspace_returned", "workspace": "/b"}],
    });
    let mut model = told();
    assert!(!model.has_told(&result));
    assert_eq!(
        model.clone().finish(&result, &[2]),
        ["pid 1 gone after 5 ms, by SIGTERM  /a"],
        "the report tells of whom was named"
    );
    assert_eq!(
        model.clone().finish(&result, &[])[1],
        "pid 2 spared: workspace_returned  /b"
    );
    // Who got a signal is waited for.
    let mut spared = signal("SIGTERM", "01");
    spared["pid"] = 2.into();
    model.take(&spared).unwrap();
    let lines = model.clone().finish(&result, &[]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(model.finish(&result, &[]).len() == 2 && model.finish(&result, &[]).is_empty());
    // Of whom nothing is told at all, nothing is added.
    let mut silent = Model::new(OWN, &About::These(Vec::new()));
    assert!(silent.has_told(&result) && silent.finish(&result, &[]).is_empty());
}

/// A fix that is told all this, and answers then.
async fn shown(words: Vec<Word>, result: Value) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output::new(&mut out, &mut err);
    let (tell, told) = telling::channel();
    for word in words {
        tell.say(word);
    }
    let view = view(80, "2026-11-22T12:00:00Z");
    let answer = async { Ok::<_, Failure>(result) };
    alongside(answer, told, &About::These(vec![4242]), &mut output, &view)
        .await
        .unwrap();
    (out, err)
}

fn begun() -> Word {
    Word::Begun {
        source: Source::Daemon,
        status: status(),
    }
}

#[tokio::test(start_paused = true)]
async fn through_a_pipe_it_is_a_log() {
    let result = json!({"killed": [{"pid": 4242, "status": "killed", "elapsed_ms": 20.0}], "failed": [], "spared": []});
    let words = vec![
        begun(),
        Word::Record(signal("SIGTERM", "01")),
        Word::Missed(3),
        Word::Notice("a \u{1b}notice".to_owned()),
    ];
    let (out, err) = shown(words, result.clone()).await;
    assert_eq!(out, b"");
    let err = String::from_utf8(err).unwrap();
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(
        lines[0],
        "12:00:01 pid 4242 SIGTERM sent  /home/me/work/old"
    );
    assert!(lines[1].contains("3 records were missed"), "{err}");
    assert_eq!(lines[2], "a \\x1bnotice");
    // The record of its end was lost: the result has it.
    assert!(
        lines[3].contains(" pid 4242 gone after 20 ms, by SIGTERM"),
        "{err}"
    );
    assert_eq!(lines.len(), 4, "{err}");
    // Whoever tells nothing leaves no trace.
    assert_eq!(shown(Vec::new(), result).await, (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn the_end_that_the_answer_has_overtaken_is_waited_for() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output::new(&mut out, &mut err);
    let (tell, told) = telling::channel();
    let (answered, was_answered) = oneshot::channel();
    let late = tokio::spawn(async move {
        tell.say(begun());
        tell.say(Word::Record(signal("SIGTERM", "01")));
        was_answered.await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let end = record("orphan.killed", "01.2", json!({"elapsed_ms": 200.0}));
        tell.say(Word::Record(end));
    });
    let answer = async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answered.send(()).unwrap();
        Ok::<_, Failure>(json!({"killed": [{"pid": 4242, "status": "killed", "elapsed_ms": 9.0}]}))
    };
    let view = view(80, "2026-11-22T12:00:00Z");
    alongside(answer, told, &About::These(vec![4242]), &mut output, &view)
        .await
        .unwrap();
    late.await.unwrap();
    let err = String::from_utf8(err).unwrap();
    assert!(
        err.ends_with("12:00:01 pid 4242 gone after 200 ms, by SIGTERM  /home/me/work/old\n"),
        "{err}"
    );
}

#[test]
fn it_has_its_picture_at_each_width() {
    let mut model = told();
    for (pid, workspace, events) in [
        (4242, "/home/me/work/old", &["SIGTERM"][..]),
        (
            4301,
            "/home/me/a/much/longer/way/to/a/workspace/than/most/terminals/have/room/for",
            &["SIGTERM", "SIGKILL"],
        ),
        (977, "/home/me/work/blog", &["SIGTERM", "orphan.killed"]),
        (978, "/home/me/work/back", &["SIGTERM", "orphan.spared"]),
        (
            979,
            "/home/me/work/stuck",
            &["SIGTERM", "SIGKILL", "orphan.failed"],
        ),
    ] {
        for event in events {
            let mut record = match *event {
                "orphan.killed" => record(event, "02", json!({"elapsed_ms": 812.0})),
                "orphan.spared" => record(event, "02", json!({"why": "workspace_returned"})),
                "orphan.failed" => {
                    record(event, "02", json!({"error": "still_running_after_sigkill"}))
                }
                signal => record("orphan.signal", "01", json!({"signal": signal})),
            };
            record["pid"] = pid.into();
            record["workspace"] = workspace.into();
            model.take(&record).unwrap();
        }
    }
    let mut pictures = String::new();
    for width in [60, 80, 140] {
        for is_terminal in [false, true] {
            let mut view = view(width, "2026-11-22T12:00:01.4Z");
            view.terminal.is_terminal = is_terminal;
            let colour = if is_terminal { ", in colour" } else { "" };
            let lines = lines(&model, &view, 24).join("\n");
            // Colours as text that can be read.
            let lines = lines.replace('\u{1b}', "‹");
            pictures += &format!("──── {width} columns{colour}\n{lines}\n");
        }
    }
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pictures"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("fix-progress", pictures);
    });
}
