//! JSON-RPC 2.0, one object a line: a line → a call, or the error that answers it. No I/O.

mod distinct;
mod params;

use std::time::Duration;

use serde_json::{Value, json};

use self::params::{
    EventsParams, ExplainParams, GateParams, KeepParams, NoParams, PauseParams, ScanParams,
    SubscribeParams, one_path, read, valid_pid,
};
use crate::supervisor::request::{Refusal, Request};
use crate::wire::results;

/// An error that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// The code, as in the standard or in docs/protocol.md.
    pub code: i64,
    /// A stable word.
    pub kind: &'static str,
    /// For people.
    pub message: String,
}

impl RpcError {
    fn new(code: i64, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            kind,
            message: message.into(),
        }
    }

    fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, "invalid_request", message)
    }

    fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, "invalid_params", message)
    }

    /// What it answers is no request at all.
    #[must_use]
    pub fn is_about_no_request(&self) -> bool {
        matches!(self.code, -32700 | -32600)
    }

    /// The same of what is part of a parameter.
    fn within(mut self, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }

    /// The line is longer than it may be.
    #[must_use]
    pub fn line_too_long() -> Self {
        let message = format!(
            "a request is at most {} bytes long",
            super::lines::LINE_LIMIT_BYTES
        );
        Self::new(-32600, "line_too_long", message)
    }

    /// A line was begun and not finished for too long.
    #[must_use]
    pub fn line_too_slow(limit: Duration) -> Self {
        let message = format!("a line is finished within {} s", limit.as_secs());
        Self::new(-32600, "line_too_slow", message)
    }

    /// Nothing was asked for too long.
    #[must_use]
    pub fn idle(limit: Duration) -> Self {
        let message = format!("nothing was asked for {} s", limit.as_secs());
        Self::new(-32002, "idle", message)
    }

    /// The peer is neither the daemon's own user nor root.
    #[must_use]
    pub fn forbidden(uid: u32) -> Self {
        Self::new(
            -32001,
            "forbidden",
            format!("uid {uid} may not speak to this daemon"),
        )
    }

    /// A connection has one subscription.
    #[must_use]
    pub fn already_subscribed() -> Self {
        Self::new(
            -32602,
            "already_subscribed",
            "this connection has a subscription already: open another one for a second",
        )
    }

    /// More at once than the daemon takes.
    #[must_use]
    pub fn too_busy(what: &str) -> Self {
        Self::new(
            -32002,
            "too_busy",
            format!("too many {what}: try again later"),
        )
    }

    /// The daemon stops.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::new(-32003, "shutting_down", Refusal::ShuttingDown.to_string())
    }

    /// The daemon itself failed.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, "internal", message)
    }

    /// This error as the answer to the request `id`.
    #[must_use]
    pub fn response(&self, id: &Value) -> Value {
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": {"code": self.code, "message": self.message, "data": {"kind": self.kind}},
        })
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::ShuttingDown => Self::shutting_down(),
            Refusal::TooBusy(_) => Self::new(-32002, "too_busy", message),
            Refusal::NoSuchProcess(_) => Self::new(-32602, "no_such_process", message),
            Refusal::NotKept(_) => Self::new(-32602, "not_kept", message),
            Refusal::TooManyKept => Self::new(-32602, "too_many_kept", message),
            Refusal::NotWritten(_) => Self::new(-32603, "state_unwritable", message),
            Refusal::ConfigRejected(_) => Self::new(-32603, "config_rejected", message),
            Refusal::Internal(_) => Self::internal(message),
        }
    }
}

/// `result` as the answer to the request `id`.
#[must_use]
pub fn response(id: &Value, result: Value) -> Value {
    let mut response = json!({"jsonrpc": "2.0", "id": id});
    // Moved, where json! would copy all of it.
    response["result"] = result;
    response
}

/// A call, read from one line.
#[derive(Debug)]
pub struct Call {
    /// What the reply carries.
    pub id: Value,
    /// What is to be done.
    pub action: Action,
}

/// What a call is about.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// It is answered at once.
    Reply(Value),
    /// The supervisor answers it.
    Ask(Request),
    /// It is answered, and then the peer is told what happens.
    Subscribe(Subscribe),
}

/// What a subscriber wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// How many of the last records it begins with.
    pub limit: usize,
    /// Whether it is told of the state too.
    pub status: bool,
}

/// A line that is no call: the error, and the id it is answered with.
pub type Malformed = (Value, RpcError);

/// Reads one line.
///
/// # Errors
/// The error to answer with, and the id, which is null where the line has none.
pub fn parse(line: &[u8]) -> Result<Call, Malformed> {
    let (parsed, repeated) = distinct::value_of(line).map_err(|error| {
        (
            Value::Null,
            RpcError::new(-32700, "parse_error", format!("not JSON: {error}")),
        )
    })?;
    let Value::Object(mut object) = parsed else {
        return Err((
            Value::Null,
            RpcError::invalid_request("a request is one object"),
        ));
    };
    let id = match object.remove("id") {
        Some(id @ Value::String(_)) => id,
        // A number that would not come back as it was sent is no name for anything.
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Value::Number(id),
        Some(_) => {
            return Err((
                Value::Null,
                RpcError::invalid_request("id is a string or a number"),
            ));
        }
        None => {
            return Err((
                Value::Null,
                RpcError::invalid_request("a request has an id"),
            ));
        }
    };
    let fail = |error| (id.clone(), error);
    if object.remove("jsonrpc") != Some("2.0".into()) {
        return Err(fail(RpcError::invalid_request("jsonrpc is \"2.0\"")));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(fail(RpcError::invalid_request("method is a string")));
    };
    let params = object.remove("params").unwrap_or_else(|| json!({}));
    if let Some(unknown) = object.keys().next() {
        return Err(fail(RpcError::invalid_request(format!(
            "unknown member {unknown:?}"
        ))));
    }
    if let Some(name) = repeated {
        return Err(fail(RpcError::invalid_params(format!(
            "{name:?} is given more than once"
        ))));
    }
    match action(&method, params) {
        Ok(action) => Ok(Call { id, action }),
        Err(error) => Err((id, error)),
    }
}

/// What a method with these parameters asks for.
///
/// # Errors
/// −32601 for an unknown method, −32602 for parameters that do not fit it.
pub fn action(method: &str, params: Value) -> Result<Action, RpcError> {
    let ask = |request| Ok(Action::Ask(request));
    match method {
        "scan" => {
            let mut params: ScanParams = read(params)?;
            let survey = params.survey()?;
            let workspace = one_path("workspace", params.workspace, params.workspace_b64)?;
            let workspaces = workspace.into_iter().collect();
            ask(Request::Scan { workspaces, survey })
        }
        "fix" => {
            let (confirm, selection) = params::fix(params)?;
            if !confirm {
                return Ok(Action::Reply(results::fix_refused()));
            }
            ask(Request::Fix { selection })
        }
        "gate" => {
            let GateParams { fix, confirm } = read(params)?;
            if fix && !confirm {
                return Ok(Action::Reply(results::gate_refused()));
            }
            ask(Request::Gate { fix })
        }
        "status" => {
            let NoParams {} = read(params)?;
            ask(Request::Status)
        }
        "explain" => {
            let ExplainParams { pid } = read(params)?;
            ask(Request::Explain {
                pid: valid_pid(pid)?,
            })
        }
        "events" => {
            let params: EventsParams = read(params)?;
            ask(Request::Events(params.query()?))
        }
        "subscribe" => Ok(Action::Subscribe(
            read::<SubscribeParams>(params)?.wanted()?,
        )),
        "pause" => {
            let length = read::<PauseParams>(params)?.length()?;
            ask(Request::Pause { length })
        }
        "resume" => {
            let NoParams {} = read(params)?;
            ask(Request::Resume)
        }
        "keep" => {
            let what = read::<KeepParams>(params)?.what()?;
            ask(Request::Keep { what })
        }
        "unkeep" => {
            let what = read::<KeepParams>(params)?.what()?;
            ask(Request::Unkeep { what })
        }
        "reload" => {
            let NoParams {} = read(params)?;
            ask(Request::Reload)
        }
        "doctor" => {
            let NoParams {} = read(params)?;
            ask(Request::Doctor)
        }
        "version" => {
            let NoParams {} = read(params)?;
            Ok(Action::Reply(results::version()))
        }
        unknown => Err(RpcError::new(
            -32601,
            "method_not_found",
            format!(
                "no method {unknown:?}: there are scan, fix, gate, status, doctor, explain, events, subscribe, keep, unkeep, \
                 pause, resume, reload, version"
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
