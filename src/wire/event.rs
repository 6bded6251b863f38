//! Events as records of the event log: the fields beside `ts` and `event`.

use serde_json::{Value, json};

use super::evidence::evidence;
use super::text::{Object, put_optional_text, put_text, timestamp};
use crate::orphan::event::{Actor, Event, HeldBy, Subject};
use crate::orphan::memory::Grounds;
use crate::orphan::registry::Cleared;

/// The name and the fields of an event's record.
#[must_use]
pub fn record(event: &Event) -> (&'static str, Object) {
    let mut fields = Object::new();
    let name = match event {
        Event::DaemonStarted {
            pid,
            version,
            socket,
        } => {
            fields.insert("pid".into(), (*pid).into());
            fields.insert("version".into(), (*version).into());
            put_optional_text(&mut fields, "socket", socket.as_ref());
            "daemon.started"
        }
        Event::DaemonStopped { pid, cause } => {
            fields.insert("pid".into(), (*pid).into());
            fields.insert("cause".into(), cause.clone().into());
            "daemon.stopped"
        }
        Event::Detected { subject, grounds } => {
            put_subject(&mut fields, subject);
            put_grounds(&mut fields, grounds);
            "orphan.detected"
        }
        Event::Cleared {
            subject,
            cause,
            now,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("cause".into(), cleared(*cause).into());
            fields.insert("now".into(), now.clone().into());
            "orphan.cleared"
        }
        Event::Signal {
            subject,
            target,
            signal,
            grounds,
            actor,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("pid".into(), (*target).into());
            fields.insert("orphan_pid".into(), subject.pid.into());
            fields.insert("signal".into(), signal.name().into());
            put_grounds(&mut fields, grounds);
            fields.insert("actor".into(), actor_json(actor));
            "orphan.signal"
        }
        Event::Killed {
            subject,
            sigkill_required,
            missing,
            elapsed_ms,
            actor,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("sigkill_required".into(), (*sigkill_required).into());
            fields.insert(
                "status".into(),
                if *missing { "missing" } else { "killed" }.into(),
            );
            fields.insert("elapsed_ms".into(), (*elapsed_ms).into());
            fields.insert("actor".into(), actor_json(actor));
            "orphan.killed"
        }
        Event::Failed {
            subject,
            error,
            detail,
            actor,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("error".into(), (*error).into());
            fields.insert("error_detail".into(), detail.clone().into());
            fields.insert("actor".into(), actor_json(actor));
            "orphan.failed"
        }
        Event::Spared {
            subject,
            why,
            actor,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("why".into(), why.clone().into());
            fields.insert("actor".into(), actor_json(actor));
            "orphan.spared"
        }
        Event::ReapSuspended { by, why } => {
            fields.insert("why".into(), why.clone().into());
            match by {
                HeldBy::Breaker { turned, of } => {
                    fields.insert("by".into(), "breaker".into());
                    fields.insert("turned".into(), (*turned).into());
                    fields.insert("of".into(), (*of).into());
                }
                HeldBy::Owner { actor, until } => {
                    fields.insert("by".into(), "pause".into());
                    fields.insert("actor".into(), actor_json(actor));
                    fields.insert("until".into(), until.map(timestamp).into());
                }
                HeldBy::LostSteering => {
                    fields.insert("by".into(), "unreadable_state".into());
                }
            }
            "reap.suspended"
        }
        Event::ReapResumed { actor } => {
            let actor = actor.as_ref().map_or(Value::Null, actor_json);
            fields.insert("actor".into(), actor);
            "reap.resumed"
        }
        Event::ConfigReloaded { file } => {
            put_optional_text(&mut fields, "file", file.as_ref());
            "config.reloaded"
        }
        Event::ConfigRejected { problem } => {
            fields.insert("problem".into(), problem.clone().into());
            "config.rejected"
        }
        Event::Interrupted {
            subject,
            signal,
            signalled_at,
        } => {
            put_subject(&mut fields, subject);
            fields.insert("signal".into(), signal.clone().into());
            fields.insert("signalled_at".into(), signalled_at.clone().into());
            "orphan.interrupted"
        }
    };
    (name, fields)
}

fn put_subject(fields: &mut Object, subject: &Subject) {
    fields.insert("pid".into(), subject.pid.into());
    put_optional_text(fields, "workspace", subject.workspace.as_ref());
    put_text(fields, "reason", subject.reason.as_ref());
}

fn put_grounds(fields: &mut Object, grounds: &Grounds) {
    fields.insert(
        "evidence".into(),
        evidence(&grounds.evidence, &grounds.memory),
    );
}

fn cleared(cause: Cleared) -> &'static str {
    match cause {
        Cleared::Exited => "exited",
        Cleared::VerdictChanged => "verdict_changed",
        Cleared::ProgramChanged => "program_changed",
        Cleared::NotCovered => "not_covered",
    }
}

fn actor_json(actor: &Actor) -> Value {
    match actor {
        Actor::Auto => "auto".into(),
        Actor::Peer { uid, pid } => json!({"uid": uid, "pid": pid}),
    }
}
