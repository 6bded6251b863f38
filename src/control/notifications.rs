//! The asking end of a subscription: what the daemon tells, a line at a time.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;

use super::client::{CallError, Client, no_answer};

/// A notification is no longer than this: a record of the event log, or the daemon's state.
pub(super) const LINE_LIMIT_BYTES: u64 = 64 << 20;

/// What a daemon tells a subscriber.
#[derive(Clone, Debug, PartialEq)]
pub enum Notification {
    /// This happened.
    Event(Value),
    /// So many records were dropped, because they were not read.
    Lagged(u64),
    /// The state of the daemon.
    Status(Value),
}

/// A subscription to a daemon.
#[derive(Debug)]
pub struct Notifications {
    stream: BufReader<UnixStream>,
    /// The part of a line that came already.
    line: Vec<u8>,
}

impl Notifications {
    /// Subscribes: the last `limit` records, newest last, and what follows; the state too, if `status`
    /// says so.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn subscribe(
        mut client: Client,
        limit: usize,
        status: bool,
    ) -> Result<(Vec<Value>, Self), CallError> {
        let params = json!({"limit": limit, "status": status});
        let mut result = client.call("subscribe", params).await?;
        let last = match result["events"].take() {
            Value::Array(events) => events,
            _ => Vec::new(),
        };
        let told = Self {
            stream: client.into_stream(),
            line: Vec::new(),
        };
        Ok((last, told))
    }

    /// The next one. Nothing is lost if it is not waited for to the end. What another version tells
    /// beside these is passed over.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the daemon has ended the subscription, or itself.
    pub async fn next(&mut self) -> Result<Notification, CallError> {
        loop {
            // As documented, what was read before it was given up stays in the buffer.
            let room = LINE_LIMIT_BYTES.saturating_sub(self.line.len() as u64);
            let mut limited = (&mut self.stream).take(room);
            let read = limited.read_until(b'\n', &mut self.line).await;
            let is_long = self.line.len() as u64 >= LINE_LIMIT_BYTES;
            if is_long && !self.line.ends_with(b"\n") {
                return Err(no_answer("a line without an end"));
            }
            if read.map_err(CallError::Lost)? == 0 || !self.line.ends_with(b"\n") {
                return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            let line = std::mem::take(&mut self.line);
            let Ok(Value::Object(mut told)) = serde_json::from_slice(&line) else {
                return Err(no_answer("a notification that is none"));
            };
            let params = told.get_mut("params").map(Value::take);
            let mut params = params.filter(Value::is_object).unwrap_or_else(|| json!({}));
            match told.get("method").and_then(Value::as_str) {
                Some("event") => return Ok(Notification::Event(params["event"].take())),
                Some("lagged") => {
                    return Ok(Notification::Lagged(params["missed"].as_u64().unwrap_or(0)));
                }
                Some("status") => return Ok(Notification::Status(params)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is heard of these lines, up to the first that is none.
    async fn heard(lines: &str) -> (Vec<Notification>, CallError) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut told = Notifications {
            stream: BufReader::new(ours),
            line: Vec::new(),
        };
        theirs.write_all(lines.as_bytes()).await.unwrap();
        drop(theirs);
        let mut heard = Vec::new();
        loop {
            match told.next().await {
                Ok(one) => heard.push(one),
                Err(error) => return (heard, error),
            }
        }
    }

    #[tokio::test]
    async fn what_is_told_is_heard_and_what_another_version_tells_is_passed_over() {
        let lines = concat!(
            r#"{"method": "event", "params": {"event": {"event": "daemon.started"}, "seq": 1}}"#,
            "\n",
            r#"{"method": "something.new", "params": [1]}"#,
            "\n",
            r#"{"method": "lagged", "params": {"missed": 5}}"#,
            "\n",
            r#"{"method": "status", "params": {"daemon": {}}}"#,
            "\n{\"method\": \"event\", \"par",
        );
        let (heard, error) = heard(lines).await;
        assert_eq!(
            heard,
            [
                Notification::Event(json!({"event": "daemon.started"})),
                Notification::Lagged(5),
                Notification::Status(json!({"daemon": {}})),
            ]
        );
        assert!(matches!(error, CallError::Lost(_)), "{error:?}");
    }

    #[tokio::test]
    async fn what_is_no_notification_ends_it() {
        for line in ["no JSON\n", "[1]\n", "\n"] {
            let (heard, error) = heard(line).await;
            assert_eq!(heard, []);
            assert!(
                error.to_string().contains("a notification that is none"),
                "{line:?}: {error}"
            );
        }
    }
}
