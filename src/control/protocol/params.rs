//! The parameters of each method, and what is wrong with those that do not fit.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{RpcError, Subscribe};
use crate::config::parse_duration;
use crate::event_log::Query;
use crate::orphan::process::Pid;
use crate::orphan::steering::Kept;
use crate::orphan::verdict::{ORPHAN_REASON_KINDS, names_orphans};
use crate::supervisor::feed::MOST_AT_ONCE;
use crate::supervisor::request::{Selection, Survey};

/// How many records `events` gives unless told otherwise …
const EVENTS_LIMIT: u64 = 20;
/// … and at most: the newest of those that fit. Megabytes more would be in the way of everybody else.
const EVENTS_MOST: u64 = 10_000;
/// How many processes a fix can name: each that is no coordinator is looked up.
const PIDS_MOST: usize = 2_048;
/// How many workspaces a request can name: each is followed where it leads.
const WORKSPACES_MOST: usize = 256;
/// The longest path that Linux takes: limits.h's `PATH_MAX`, more than macOS takes.
const PATH_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanParams {
    pub(super) workspace: Option<PathBuf>,
    pub(super) workspace_b64: Option<String>,
    members: Option<Value>,
}

impl ScanParams {
    /// What it is to be looked up for who would end with whom.
    pub(super) fn survey(&mut self) -> Result<Option<Survey>, RpcError> {
        match self.members.take() {
            None | Some(Value::Bool(false)) => Ok(None),
            Some(Value::Bool(true)) => Ok(Some(Survey::OfAll)),
            Some(fix @ Value::Object(_)) => selection(fix)
                .map(|selection| Some(Survey::OfFix(selection)))
                .map_err(|error| error.within("members")),
            Some(_) => Err(RpcError::invalid_params(
                "members: true, or an object with what a fix would be told to end",
            )),
        }
    }
}

/// Whether a fix is confirmed, and what it is about.
pub(super) fn fix(mut params: Value) -> Result<(bool, Selection), RpcError> {
    let confirm = params
        .as_object_mut()
        .and_then(|params| params.remove("confirm"));
    let confirm = match confirm {
        None => false,
        Some(Value::Bool(confirm)) => confirm,
        Some(_) => return Err(RpcError::invalid_params("confirm: not true or false")),
    };
    Ok((confirm, selection(params)?))
}

/// What a fix is to be told to end. A `null` is refused for the same reason as an empty list, see [`given`].
fn selection(params: Value) -> Result<Selection, RpcError> {
    let members = params.as_object().into_iter().flatten();
    if let Some((name, _)) = members.into_iter().find(|(_, value)| value.is_null()) {
        return Err(RpcError::invalid_params(format!(
            "{name}: null selects nothing; leave it out to select all"
        )));
    }
    read::<SelectionParams>(params)?.selection()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectionParams {
    workspaces: Option<Vec<PathBuf>>,
    workspaces_b64: Option<Vec<String>>,
    pids: Option<Vec<Pid>>,
    reasons: Option<Vec<String>>,
}

/// The elements of a list that was given. An empty one is refused: to a script it may mean nobody,
/// and leaving the list out means everybody.
fn given<T>(name: &str, list: Option<Vec<T>>) -> Result<Vec<T>, RpcError> {
    match list {
        Some(list) if list.is_empty() => Err(RpcError::invalid_params(format!(
            "{name}: an empty list selects nothing; leave it out to select all"
        ))),
        list => Ok(list.unwrap_or_default()),
    }
}

impl SelectionParams {
    fn selection(self) -> Result<Selection, RpcError> {
        let exact = given("workspaces_b64", self.workspaces_b64)?
            .into_iter()
            .map(|text| decoded("workspaces_b64", &text));
        let workspaces = given("workspaces", self.workspaces)?
            .into_iter()
            .map(Ok)
            .chain(exact)
            .map(|path| absolute("workspaces", path?))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if workspaces.len() > WORKSPACES_MOST {
            return Err(RpcError::invalid_params(format!(
                "workspaces: at most {WORKSPACES_MOST}: ask for more in several requests"
            )));
        }
        let workspaces = workspaces.into_iter().collect();
        let pids = given("pids", self.pids)?;
        if pids.len() > PIDS_MOST {
            return Err(RpcError::invalid_params(format!(
                "pids: at most {PIDS_MOST}: ask for more in several requests"
            )));
        }
        let pids = pids.into_iter().map(valid_pid).collect::<Result<_, _>>()?;
        let reasons = given("reasons", self.reasons)?;
        if let Some(unknown) = reasons.iter().find(|reason| !names_orphans(reason)) {
            return Err(RpcError::invalid_params(format!(
                "reasons: {unknown:?} is no reason to be an orphan: there are {}",
                ORPHAN_REASON_KINDS.join(", ")
            )));
        }
        Ok(Selection {
            workspaces,
            pids,
            reasons,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateParams {
    #[serde(default)]
    pub(super) fix: bool,
    #[serde(default)]
    pub(super) confirm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainParams {
    pub(super) pid: Pid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsParams {
    limit: Option<u64>,
    #[serde(default)]
    skip: u64,
    #[serde(default)]
    all: bool,
    pid: Option<Pid>,
    since: Option<String>,
}

impl EventsParams {
    pub(super) fn query(self) -> Result<Query, RpcError> {
        let since = self
            .since
            .map(|text| {
                text.parse::<Timestamp>().map_err(|error| {
                    RpcError::invalid_params(format!("since: not a time: {error}"))
                })
            })
            .transpose()?;
        let limit = self.limit.unwrap_or(EVENTS_LIMIT).min(EVENTS_MOST);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Query {
            limit: Some(limit),
            skip: usize::try_from(self.skip).unwrap_or(usize::MAX),
            all: self.all,
            pid: self.pid.map(i64::from),
            since,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeParams {
    limit: Option<u64>,
    #[serde(default)]
    status: bool,
}

impl SubscribeParams {
    pub(super) fn wanted(self) -> Result<Subscribe, RpcError> {
        let limit = usize::try_from(self.limit.unwrap_or(EVENTS_LIMIT)).unwrap_or(usize::MAX);
        if limit > MOST_AT_ONCE {
            return Err(RpcError::invalid_params(format!(
                "limit: at most {MOST_AT_ONCE}; `events` gives more"
            )));
        }
        Ok(Subscribe {
            limit,
            status: self.status,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseParams {
    r#for: Option<String>,
}

impl PauseParams {
    pub(super) fn length(self) -> Result<Option<Duration>, RpcError> {
        let length = self.r#for.map(|text| {
            let length = parse_duration(&text)
                .map_err(|error| RpcError::invalid_params(format!("for: {error}")))?;
            if length.is_zero() {
                return Err(RpcError::invalid_params("for: a pause is longer than that"));
            }
            Ok(length)
        });
        length.transpose()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepParams {
    pid: Option<Pid>,
    path: Option<PathBuf>,
    path_b64: Option<String>,
}

impl KeepParams {
    pub(super) fn what(self) -> Result<Kept, RpcError> {
        let path = one_path("path", self.path, self.path_b64)?;
        match (self.pid, path) {
            (Some(pid), None) => Ok(Kept::Process(valid_pid(pid)?)),
            (None, Some(path)) if path.as_os_str().len() > PATH_MAX => Err(
                RpcError::invalid_params(format!("path: longer than {PATH_MAX} bytes")),
            ),
            (None, Some(path)) => Ok(Kept::Path(path)),
            _ => Err(RpcError::invalid_params("either pid or path")),
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    if !params.is_object() {
        return Err(RpcError::invalid_params("params is an object"));
    }
    serde_json::from_value(params).map_err(|error| RpcError::invalid_params(error.to_string()))
}

pub(super) fn valid_pid(pid: Pid) -> Result<Pid, RpcError> {
    // pid_t is signed.
    if pid == 0 || i32::try_from(pid).is_err() {
        return Err(RpcError::invalid_params(format!(
            "pid: {pid} cannot be a process id"
        )));
    }
    Ok(pid)
}

pub(super) fn one_path(
    name: &str,
    text: Option<PathBuf>,
    exact: Option<String>,
) -> Result<Option<PathBuf>, RpcError> {
    match (text, exact) {
        (Some(_), Some(_)) => Some(Err(RpcError::invalid_params(format!(
            "either {name} or {name}_b64"
        )))),
        (None, Some(exact)) => Some(absolute(name, decoded(name, &exact)?)),
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
