//! Records: the name and the fields of each event.

use serde_json::json;

use super::*;
use crate::orphan::event::{Actor, Event, Signal, Subject};
use crate::orphan::fixtures::*;
use crate::orphan::registry::Cleared;
use crate::orphan::termination::subject;
use crate::wire::event::record;

const ABOUT: [&str; 3] = ["pid", "workspace", "reason"];
const PEER: Actor = Actor::Peer {
    uid: 1000,
    pid: Some(600),
};

fn about() -> Subject {
    subject(&without_witness().path(missing()).sighted(10))
}

fn fields(event: &Event) -> (&'static str, Value) {
    let (name, fields) = record(event);
    (name, Value::Object(fields))
}

fn every_event_about_a_process() -> Vec<(Event, &'static str, &'static [&'static str])> {
    let sighting = without_witness().path(missing()).sighted(10);
    vec![
        (
            Event::Detected {
                subject: about(),
                grounds: sighting.grounds(),
            },
            "orphan.detected",
            &["evidence"],
        ),
        (
            Event::Cleared {
                subject: about(),
                cause: Cleared::Exited,
                now: None,
            },
            "orphan.cleared",
            &["cause", "now"],
        ),
        (
            Event::Signal {
                subject: about(),
                target: 11,
                signal: Signal::Kill,
                grounds: sighting.grounds(),
                actor: Actor::Auto,
            },
            "orphan.signal",
            &["signal", "orphan_pid", "evidence", "actor"],
        ),
        (
            Event::Killed {
                subject: about(),
                sigkill_required: true,
                missing: false,
                elapsed_ms: 70,
                actor: PEER,
            },
            "orphan.killed",
            &["status", "sigkill_required", "elapsed_ms", "actor"],
        ),
        (
            Event::Failed {
                subject: about(),
                error: "permission_denied",
                detail: None,
                actor: PEER,
            },
            "orphan.failed",
            &["error", "error_detail", "actor"],
        ),
        (
            Event::Spared {
                subject: about(),
                why: "workspace_alive".to_owned(),
                actor: PEER,
            },
            "orphan.spared",
            &["why", "actor"],
        ),
        (
            Event::Interrupted {
                subject: about(),
                signal: "SIGTERM".to_owned(),
                signalled_at: "2026-01-31T08:15:00.123456+00:00".to_owned(),
            },
            "orphan.interrupted",
            &["signal", "signalled_at"],
        ),
    ]
}

#[test]
fn every_event_about_a_process_carries_pid_workspace_and_reason() {
    for (event, name, more) in every_event_about_a_process() {
        let (found, fields) = fields(&event);
        assert_eq!(found, name);
        assert_keys(&fields, &[&ABOUT, more]);
        let pid = if name == "orphan.signal" { 11 } else { 10 };
        assert_eq!(fields["pid"], pid, "{name}");
        assert_eq!(fields["workspace"], WORKSPACE);
        assert_eq!(fields["reason"], "workspace_path_missing");
    }
}

#[test]
fn a_signal_names_who_gets_it_and_whose_termination_it_is() {
    for (signal, word) in [(Signal::Term, "SIGTERM"), (Signal::Kill, "SIGKILL")] {
        let sighting = without_witness().cwd(Seen::Deleted).sighted(10);
        let (_, fields) = fields(&Event::Signal {
            subject: subject(&sighting),
            target: 11,
            signal,
            grounds: sighting.grounds(),
            actor: PEER,
        });
        assert_eq!(fields["signal"], word);
        assert_eq!(
            (&fields["pid"], &fields["orphan_pid"]),
            (&json!(11), &json!(10))
        );
        assert_eq!(fields["actor"], json!({"uid": 1000, "pid": 600}));
        assert_eq!(fields["evidence"]["cwd"]["fate"], "deleted");
    }
}

#[test]
fn what_was_remembered_is_part_of_the_evidence() {
    // The witness is gone, the proof is not.
    let case = without_witness()
        .path(exists(Some(RECREATED)))
        .remembering(|memory| memory.deletion = Some(PROVED));
    let sighting = case.sighted(10);
    let (_, fields) = fields(&Event::Detected {
        subject: subject(&sighting),
        grounds: sighting.grounds(),
    });
    assert_eq!(fields["evidence"]["deletion_proved"], true);
}

#[test]
fn each_actor_and_each_cause_has_its_word() {
    for (actor, shown) in [
        (Actor::Auto, json!("auto")),
        (PEER, json!({"uid": 1000, "pid": 600})),
        (
            Actor::Peer { uid: 0, pid: None },
            json!({"uid": 0, "pid": null}),
        ),
    ] {
        let spared = Event::Spared {
            subject: about(),
            why: "doubt".to_owned(),
            actor,
        };
        assert_eq!(fields(&spared).1["actor"], shown);
    }
    for (cause, word) in [
        (Cleared::Exited, "exited"),
        (Cleared::VerdictChanged, "verdict_changed"),
        (Cleared::ProgramChanged, "program_changed"),
    ] {
        let cleared = Event::Cleared {
            subject: about(),
            cause,
            now: None,
        };
        assert_eq!(fields(&cleared).1["cause"], word);
    }
}

#[test]
fn one_that_was_gone_before_the_first_signal_is_killed_as_missing() {
    for (missing, status) in [(true, "missing"), (false, "killed")] {
        let killed = Event::Killed {
            subject: about(),
            sigkill_required: false,
            missing,
            elapsed_ms: 1,
            actor: PEER,
        };
        assert_eq!(fields(&killed).1["status"], status);
    }
}

#[test]
fn the_daemons_own_events_are_about_no_process_but_itself() {
    let started = Event::DaemonStarted {
        pid: 500,
        version: "1.2.3",
        socket: None,
    };
    let (name, found) = fields(&started);
    assert_eq!(name, "daemon.started");
    assert_eq!(
        found,
        json!({"pid": 500, "version": "1.2.3", "socket": null})
    );
    let stopped = Event::DaemonStopped {
        pid: 500,
        cause: "SIGTERM".to_owned(),
    };
    let (name, found) = fields(&stopped);
    assert_eq!(name, "daemon.stopped");
    assert_eq!(found, json!({"pid": 500, "cause": "SIGTERM"}));
    let (name, found) = fields(&Event::ConfigReloaded { file: None });
    assert_eq!((name, found), ("config.reloaded", json!({"file": null})));
    let rejected = Event::ConfigRejected {
        problem: "line 3".to_owned(),
    };
    let (name, found) = fields(&rejected);
    assert_eq!(
        (name, found),
        ("config.rejected", json!({"problem": "line 3"}))
    );
}

#[test]
fn a_workspace_that_is_not_utf8_is_exact_in_a_record() {
    use std::os::unix::ffi::OsStringExt;
    let workspace = std::ffi::OsString::from_vec(b"/w\xff".to_vec());
    let (_, fields) = fields(&Event::Spared {
        subject: Subject {
            workspace: Some(workspace.into()),
            ..about()
        },
        why: "doubt".to_owned(),
        actor: PEER,
    });
    assert_keys(&fields, &[&ABOUT, &["workspace_b64", "why", "actor"]]);
    assert_eq!(fields["workspace_b64"], "L3f/");
}
