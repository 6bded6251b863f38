//! The event log as it lies on disk.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::wait::wait_for;

/// `events.jsonl` of one state directory.
pub(crate) struct EventLog {
    pub(crate) path: PathBuf,
}

impl EventLog {
    /// The complete lines, oldest first. Nothing if there is no file yet.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(str::to_owned).collect()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not JSON in the event log ({error}): {line}"))
        };
        self.lines().iter().map(parse).collect()
    }

    /// The events of that name.
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        events
    }

    /// The events of that name about that process.
    pub(crate) fn about(&self, pid: u32, name: &str) -> Vec<Value> {
        let mut events = self.named(name);
        events.retain(|event| event["pid"] == pid);
        events
    }

    /// The names of the events about that process, in order.
    pub(crate) fn story_of(&self, pid: u32) -> Vec<String> {
        let mut events = self.events();
        events.retain(|event| event["pid"] == pid);
        events
            .iter()
            .map(|event| event["event"].as_str().expect("event names").to_owned())
            .collect()
    }

    /// Those of `orphan.signal` with that signal about that process.
    pub(crate) fn signals(&self, pid: u32, signal: &str) -> Vec<Value> {
        let mut events = self.about(pid, "orphan.signal");
        events.retain(|event| event["signal"] == signal);
        events
    }

    #[track_caller]
    pub(crate) fn assert_never_signalled(&self, pid: u32) {
        assert_eq!(self.about(pid, "orphan.signal"), [Value::Null; 0]);
    }

    /// Waits for an event of that name about that process.
    pub(crate) fn wait_for(&self, pid: u32, name: &str) -> Value {
        wait_for(&format!("the log has {name} for pid {pid}"), || {
            self.about(pid, name).into_iter().next()
        })
    }

    /// Waits until that signal to that process has been recorded.
    pub(crate) fn wait_for_signal(&self, pid: u32, signal: &str) -> Value {
        wait_for(&format!("the log has {signal} for pid {pid}"), || {
            self.signals(pid, signal).into_iter().next()
        })
    }
}

/// The form the original tool writes: sorted keys, `, ` and `: `, non-ASCII as it is.
pub(crate) fn in_the_original_form(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let member = |(key, value): (&String, &Value)| {
                let key = Value::from(key.as_str());
                format!("{key}: {}", in_the_original_form(value))
            };
            let members: Vec<_> = members.into_iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(in_the_original_form).collect();
            format!("[{}]", elements.join(", "))
        }
        plain => plain.to_string(),
    }
}
