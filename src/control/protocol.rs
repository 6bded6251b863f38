//! JSON-RPC 2.0, one object a line: a line → a call, or the error that answers it. No I/O.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::event_log::Query;
use crate::orphan::process::Pid;
use crate::orphan::verdict::ORPHAN_REASON_KINDS;
use crate::supervisor::request::{Refusal, Request, Selection};
use crate::wire::results;

/// How many records `events` gives unless told otherwise.
const EVENTS_LIMIT: u64 = 20;

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

    /// The line is longer than it may be.
    #[must_use]
    pub fn line_too_long() -> Self {
        let message = format!(
            "a request is at most {} bytes long",
            super::lines::LINE_LIMIT_BYTES
        );
        Self::new(-32600, "line_too_long", message)
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
            Refusal::NoSuchProcess(_) => Self::new(-32602, "no_such_process", message),
            Refusal::ConfigRejected(_) => Self::new(-32603, "config_rejected", message),
            Refusal::Internal(_) => Self::internal(message),
        }
    }
}

/// `result` as the answer to the request `id`.
#[must_use]
pub fn response(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
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
}

/// A line that is no call: the error, and the id it is answered with.
pub type Malformed = (Value, RpcError);

/// Reads one line.
///
/// # Errors
/// The error to answer with, and the id, which is null where the line has none.
pub fn parse(line: &[u8]) -> Result<Call, Malformed> {
    let parsed: Value = serde_json::from_slice(line).map_err(|error| {
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
        Some(id @ (Value::String(_) | Value::Number(_))) => id,
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
            let ScanParams {
                workspace,
                workspace_b64,
            } = read(params)?;
            let workspace = one_path("workspace", workspace, workspace_b64)?;
            ask(Request::Scan { workspace })
        }
        "fix" => {
            let params: FixParams = read(params)?;
            let confirm = params.confirm;
            let selection = params.selection()?;
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
        "reload" => {
            let NoParams {} = read(params)?;
            ask(Request::Reload)
        }
        "version" => {
            let NoParams {} = read(params)?;
            Ok(Action::Reply(results::version()))
        }
        unknown => Err(RpcError::new(
            -32601,
            "method_not_found",
            format!(
                "no method {unknown:?}: there are scan, fix, gate, status, explain, events, reload, version"
            ),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanParams {
    workspace: Option<PathBuf>,
    workspace_b64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixParams {
    #[serde(default)]
    confirm: bool,
    #[serde(default)]
    workspaces: Vec<PathBuf>,
    #[serde(default)]
    workspaces_b64: Vec<String>,
    #[serde(default)]
    pids: Vec<Pid>,
    #[serde(default)]
    reasons: Vec<String>,
}

impl FixParams {
    fn selection(self) -> Result<Selection, RpcError> {
        let exact = self
            .workspaces_b64
            .into_iter()
            .map(|text| decoded("workspaces_b64", &text));
        let workspaces = self
            .workspaces
            .into_iter()
            .map(Ok)
            .chain(exact)
            .map(|path| absolute("workspaces", path?))
            .collect::<Result<_, _>>()?;
        let pids = self
            .pids
            .into_iter()
            .map(valid_pid)
            .collect::<Result<_, _>>()?;
        if let Some(unknown) = self.reasons.iter().find(|reason| !is_orphan_reason(reason)) {
            return Err(RpcError::invalid_params(format!(
                "reasons: {unknown:?} is no reason to be an orphan: there are {}",
                ORPHAN_REASON_KINDS.join(", ")
            )));
        }
        Ok(Selection {
            workspaces,
            pids,
            reasons: self.reasons,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateParams {
    #[serde(default)]
    fix: bool,
    #[serde(default)]
    confirm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainParams {
    pid: Pid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsParams {
    limit: Option<u64>,
    #[serde(default)]
    all: bool,
    pid: Option<Pid>,
    since: Option<String>,
}

impl EventsParams {
    fn query(self) -> Result<Query, RpcError> {
        let since = self
            .since
            .map(|text| {
                text.parse::<Timestamp>().map_err(|error| {
                    RpcError::invalid_params(format!("since: not a time: {error}"))
                })
            })
            .transpose()?;
        let limit = usize::try_from(self.limit.unwrap_or(EVENTS_LIMIT)).unwrap_or(usize::MAX);
        Ok(Query {
            limit: Some(limit),
            all: self.all,
            pid: self.pid.map(i64::from),
            since,
        })
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    if !params.is_object() {
        return Err(RpcError::invalid_params("params is an object"));
    }
    serde_json::from_value(params).map_err(|error| RpcError::invalid_params(error.to_string()))
}

fn valid_pid(pid: Pid) -> Result<Pid, RpcError> {
    // pid_t is signed.
    if pid == 0 || i32::try_from(pid).is_err() {
        return Err(RpcError::invalid_params(format!(
            "pid: {pid} cannot be a process id"
        )));
    }
    Ok(pid)
}

fn one_path(
    name: &str,
    text: Option<PathBuf>,
    exact: Option<String>,
) -> Result<Option<PathBuf>, RpcError> {
    match (text, exact) {
        (_, Some(exact)) => Some(absolute(name, decoded(name, &exact)?)),
        (Some(path), None) => Some(absolute(name, path)),
        (None, None) => None,
    }
    .transpose()
}

fn decoded(name: &str, text: &str) -> Result<PathBuf, RpcError> {
    data_encoding::BASE64
        .decode(text.as_bytes())
        .map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
        .map_err(|error| RpcError::invalid_params(format!("{name}: not base64: {error}")))
}

fn absolute(name: &str, path: PathBuf) -> Result<PathBuf, RpcError> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(RpcError::invalid_params(format!(
        "{name}: {path:?} is not an absolute path"
    )))
}

fn is_orphan_reason(reason: &str) -> bool {
    let kind = reason.split_once(':').map_or(reason, |(kind, _)| kind);
    ORPHAN_REASON_KINDS.contains(&reason)
        || (kind == "ephemeral_tempdir_pattern" && reason.len() > kind.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(line: &str) -> (Value, i64, &'static str) {
        match parse(line.as_bytes()) {
            Err((id, error)) => (id, error.code, error.kind),
            Ok(call) => panic!("{line} is accepted: {call:?}"),
        }
    }

    #[test]
    fn what_is_no_request_is_answered_by_the_standard() {
        for (line, id, code) in [
            ("{", Value::Null, -32700),
            ("[]", Value::Null, -32600),
            (
                "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}]",
                Value::Null,
                -32600,
            ),
            ("7", Value::Null, -32600),
            (
                r#"{"jsonrpc":"2.0","method":"version"}"#,
                Value::Null,
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"version","id":null}"#,
                Value::Null,
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"version","id":[1]}"#,
                Value::Null,
                -32600,
            ),
            (r#"{"method":"version","id":1}"#, 1.into(), -32600),
            (
                r#"{"jsonrpc":"1.0","method":"version","id":1}"#,
                1.into(),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","method":7,"id":"a"}"#,
                "a".into(),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"kill","id":1}"#,
                1.into(),
                -32601,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"version","params":[1],"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"scan","params":{"workspac":"/w"},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"scan","params":{"workspace":"w"},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":"yes"},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"pids":[0]},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"pids":[-1]},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"fix","params":{"confirm":true,"reasons":["workspace_alive"]},"id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"explain","id":1}"#,
                1.into(),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"events","params":{"since":"yesterday"},"id":1}"#,
                1.into(),
                -32602,
            ),
        ] {
            let (found_id, found_code, kind) = error_of(line);
            assert_eq!((found_id, found_code), (id, code), "{line}");
            assert!(!kind.is_empty());
        }
    }

    #[test]
    fn a_fix_without_confirm_is_refused_before_anybody_is_asked() {
        let refused = |method: &str, params: Value| match action(method, params) {
            Ok(Action::Reply(reply)) => reply["status"].clone(),
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refused("fix", json!({})), "refused");
        assert_eq!(
            refused("fix", json!({"confirm": false, "pids": [4]})),
            "refused"
        );
        assert_eq!(refused("gate", json!({"fix": true})), "refused");
        assert_eq!(
            action("gate", json!({"confirm": true})),
            Ok(Action::Ask(Request::Gate { fix: false }))
        );
    }

    #[test]
    fn parameters_reach_the_request_whole() {
        let params = json!({
            "confirm": true,
            "workspaces": ["/a"],
            "workspaces_b64": ["L3f/"],
            "pids": [42],
            "reasons": ["workspace_replaced", "ephemeral_tempdir_pattern:team-agent-gap"],
        });
        let Ok(Action::Ask(Request::Fix { selection })) = action("fix", params) else {
            panic!("no fix");
        };
        assert_eq!(selection.pids, [42]);
        assert_eq!(selection.reasons.len(), 2);
        assert_eq!(selection.workspaces[0], PathBuf::from("/a"));
        assert_eq!(
            selection.workspaces[1].as_os_str().as_encoded_bytes(),
            b"/w\xff"
        );
    }
}
