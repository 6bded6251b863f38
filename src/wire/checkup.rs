//! The result of `doctor`.

use std::path::Path;

use serde_json::{Value, json};

use super::results::Source;
use super::status::Identity;
use super::text::{Object, put_optional_text, put_text};
use crate::orphan::checkup::{Check, Finding};

/// What the daemon found about itself.
#[must_use]
pub fn of_the_daemon(checks: &[Check], identity: &Identity, state_dir: &Path) -> Value {
    let mut daemon = Object::new();
    daemon.insert("pid".into(), identity.pid.into());
    daemon.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    put_optional_text(&mut daemon, "socket", identity.socket.as_ref());
    put_text(&mut daemon, "state_dir", state_dir.as_os_str());
    result(checks, identity.source, daemon.into())
}

/// What the client found, where a daemon does not answer.
#[must_use]
pub fn of_the_client(checks: &[Check]) -> Value {
    result(checks, Source::Embedded, Value::Null)
}

fn result(checks: &[Check], source: Source, daemon: Value) -> Value {
    json!({
        "ok": checks.iter().all(|check| check.finding != Finding::Problem),
        "source": source.word(),
        "daemon": daemon,
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// One check.
#[must_use]
pub fn check(check: &Check) -> Value {
    let mut item = Object::new();
    item.insert("check".into(), check.check.into());
    item.insert("result".into(), check.finding.word().into());
    item.insert("says".into(), check.says.clone().into());
    if let Some(remedy) = &check.remedy {
        item.insert("remedy".into(), remedy.clone().into());
    }
    Value::Object(item)
}
