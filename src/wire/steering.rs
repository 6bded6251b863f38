//! What the owner said, as it is kept over a restart.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{Object, put_text, timestamp};
use crate::orphan::clock::Moment;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::steering::{Keeps, Pause, Steering, Suspension};

/// As JSON. `boot` names this boot of the machine: processes are the same only within one.
#[must_use]
pub fn to_json(steering: &Steering, boot: &str) -> Value {
    let paths: Vec<Value> = steering
        .keeps
        .paths
        .iter()
        .map(|(name, led_to)| kept_path(name, led_to))
        .collect();
    let processes: Vec<Value> = steering
        .keeps
        .processes
        .values()
        .map(|one| json!({"pid": one.pid, "start": one.start, "unique": one.unique}))
        .collect();
    json!({
        "boot": boot,
        "unknown": steering.is_unknown,
        "pause": steering.pause.map(|pause| json!({
            "until": pause.until.map(timestamp),
            "not_before_us": pause.not_before.map(|moment| microseconds(moment.0)),
        })),
        "suspension": steering.suspension.as_ref().map(|suspension| {
            json!({"since": timestamp(suspension.since), "why": suspension.why})
        }),
        "kept_paths": paths,
        "kept_processes": processes,
    })
}

/// A path that is kept, and where it led.
#[must_use]
pub fn kept_path(name: &Path, led_to: &BTreeSet<PathBuf>) -> Value {
    let one = |path: &Path| {
        let mut item = Object::new();
        put_text(&mut item, "path", path.as_ref());
        item
    };
    let mut item = one(name);
    if !led_to.is_empty() {
        let led_to = led_to.iter().map(|path| Value::Object(one(path))).collect();
        item.insert("leads_to".into(), Value::Array(led_to));
    }
    Value::Object(item)
}

/// Reads it back. Kept processes of another boot are gone.
///
/// # Errors
/// If it is not what [`to_json`] gives.
pub fn from_json(value: &Value, boot: &str) -> Result<Steering, String> {
    let list = |name: &str| {
        let list = value[name].as_array();
        list.ok_or_else(|| format!("{name} is no list"))
    };
    let is_this_boot = value["boot"] == boot;
    let pause = match &value["pause"] {
        Value::Null => None,
        pause => Some(Pause {
            until: match &pause["until"] {
                Value::Null => None,
                until => Some(time(until)?),
            },
            // That clock starts anew with each boot.
            not_before: pause["not_before_us"]
                .as_u64()
                .filter(|_| is_this_boot)
                .map(|passed| Moment(Duration::from_micros(passed))),
        }),
    };
    let suspension = match &value["suspension"] {
        Value::Null => None,
        suspension => Some(Suspension {
            since: time(&suspension["since"])?,
            why: suspension["why"].as_str().unwrap_or_default().to_owned(),
        }),
    };
    let paths = list("kept_paths")?
        .iter()
        .map(|one| {
            let led_to = one["leads_to"].as_array().map_or(&[][..], Vec::as_slice);
            let led_to: BTreeSet<PathBuf> = led_to.iter().map(path).collect::<Result<_, _>>()?;
            Ok((path(one)?, led_to))
        })
        .collect::<Result<_, String>>()?;
    let processes = list("kept_processes")?
        .iter()
        .filter(|_| is_this_boot)
        .map(process)
        .collect::<Result<_, _>>()?;
    Ok(Steering {
        pause,
        suspension,
        keeps: Keeps {
            paths,
            processes,
            ..Keeps::default()
        },
        is_unknown: value["unknown"] == true,
    })
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn time(value: &Value) -> Result<SystemTime, String> {
    let text = value.as_str().unwrap_or_default();
    let at: Timestamp = text
        .parse()
        .map_err(|error| format!("{text:?} is no time: {error}"))?;
    Ok(at.into())
}

fn path(value: &Value) -> Result<PathBuf, String> {
    let wrong = || format!("{value} is no path");
    if let Some(exact) = value["path_b64"].as_str() {
        let bytes = data_encoding::BASE64.decode(exact.as_bytes());
        return bytes
            .map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
            .map_err(|_| wrong());
    }
    value["path"].as_str().map(PathBuf::from).ok_or_else(wrong)
}

fn process(value: &Value) -> Result<(Pid, ProcessIdentity), String> {
    let number = |name: &str| {
        let number = value[name].as_u64();
        number.ok_or_else(|| format!("{value} is no process"))
    };
    let pid = Pid::try_from(number("pid")?).map_err(|_| format!("{value} is no process"))?;
    let identity = ProcessIdentity {
        pid,
        start: number("start")?,
        unique: number("unique")?,
    };
    Ok((pid, identity))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn everything() -> Steering {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let identity = ProcessIdentity {
            pid: 42,
            start: 7,
            unique: 9,
        };
        Steering {
            pause: Some(Pause {
                until: Some(at),
                not_before: Some(Moment(Duration::from_micros(123_456_789))),
            }),
            suspension: Some(Suspension {
                since: at,
                why: "5 of 6".to_owned(),
            }),
            keeps: Keeps {
                paths: [
                    (
                        PathBuf::from("/home/me/ws"),
                        [PathBuf::from("/data/ws"), PathBuf::from("/ws")].into(),
                    ),
                    (
                        PathBuf::from(OsString::from_vec(b"/w\xff".to_vec())),
                        BTreeSet::new(),
                    ),
                ]
                .into(),
                processes: [(42, identity)].into(),
                ..Keeps::default()
            },
            is_unknown: true,
        }
    }

    #[test]
    fn what_was_said_is_read_back_as_it_was() {
        for steering in [
            everything(),
            Steering::default(),
            Steering {
                pause: Some(Pause {
                    until: None,
                    not_before: None,
                }),
                ..Steering::default()
            },
        ] {
            let kept = to_json(&steering, "boot-1").to_string();
            let read = from_json(&serde_json::from_str(&kept).unwrap(), "boot-1");
            assert_eq!(read, Ok(steering));
        }
    }

    #[test]
    fn after_another_boot_a_pause_lasts_by_the_wall_alone() {
        let read = from_json(&to_json(&everything(), "boot-1"), "boot-2").unwrap();
        let (before, after) = (everything().pause.unwrap(), read.pause.unwrap());
        assert_eq!(after.until, before.until);
        assert_eq!(after.not_before, None);
    }

    #[test]
    fn a_process_is_kept_no_longer_than_the_machine_runs() {
        let read = from_json(&to_json(&everything(), "boot-1"), "boot-2").unwrap();
        assert_eq!(read.keeps.processes, [].into());
        assert_eq!(read.keeps.paths, everything().keeps.paths);
        assert_eq!(read.suspension, everything().suspension);
    }

    #[test]
    fn what_was_not_written_here_is_an_error() {
        for text in [
            "{}",
            "[]",
            r#"{"kept_paths": [], "kept_processes": [], "pause": {"until": "soon"}}"#,
            r#"{"kept_paths": [7], "kept_processes": []}"#,
            r#"{"boot": "b", "kept_paths": [], "kept_processes": [{"pid": 1}]}"#,
        ] {
            let value = serde_json::from_str(text).unwrap();
            assert!(from_json(&value, "b").is_err(), "{text}");
        }
    }
}
