//! A command as the method and the parameters of the protocol.
//!
//! Must not know who answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::EventsArgs;
use super::failure::Failure;
use super::selection::{Selection, absolute};
use crate::config::render_duration;
use crate::orphan::process::Pid;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// The method.
    pub(super) method: &'static str,
    /// Its parameters: an object.
    pub(super) params: Value,
}

impl Request {
    pub(super) fn scan(workspace: Option<&Path>) -> Self {
        let mut params = json!({});
        if let Some(path) = workspace {
            match path.to_str() {
                Some(text) => params["workspace"] = text.into(),
                None => params["workspace_b64"] = base64(path).into(),
            }
        }
        Self {
            method: "scan",
            params,
        }
    }

    /// The same scan, with who would end with each orphan, were all of them ended.
    pub(super) fn with_members(mut self) -> Self {
        self.params["members"] = true.into();
        self
    }

    /// The same scan, with who would end with the orphans that a fix of these would end.
    pub(super) fn with_members_of(mut self, selection: &Selection) -> Self {
        self.params["members"] = params_of(selection);
        self
    }

    /// A fix that is to be done.
    pub(super) fn fix(selection: &Selection) -> Self {
        let mut params = params_of(selection);
        params["confirm"] = true.into();
        Self {
            method: "fix",
            params,
        }
    }

    /// The gate; with a fix one that is to be done.
    pub(super) fn gate(fix: bool) -> Self {
        Self {
            method: "gate",
            params: json!({"fix": fix, "confirm": fix}),
        }
    }

    pub(super) fn explain(pid: Pid) -> Self {
        Self {
            method: "explain",
            params: json!({"pid": pid}),
        }
    }

    pub(super) fn events(args: &EventsArgs, now: Timestamp) -> Self {
        let mut params = json!({"all": args.all});
        if let Some(limit) = args.limit {
            params["limit"] = limit.into();
        }
        if let Some(pid) = args.pid {
            params["pid"] = pid.into();
        }
        if let Some(since) = args.since {
            params["since"] = since.moment(now).to_string().into();
        }
        Self {
            method: "events",
            params,
        }
    }

    pub(super) fn doctor() -> Self {
        Self {
            method: "doctor",
            params: json!({}),
        }
    }

    pub(super) fn version() -> Self {
        Self {
            method: "version",
            params: json!({}),
        }
    }

    pub(super) fn status() -> Self {
        Self {
            method: "status",
            params: json!({}),
        }
    }

    pub(super) fn pause(length: Option<Duration>) -> Self {
        Self {
            method: "pause",
            params: match length {
                Some(length) => json!({"for": render_duration(length)}),
                None => json!({}),
            },
        }
    }

    pub(super) fn resume() -> Self {
        Self {
            method: "resume",
            params: json!({}),
        }
    }

    /// `keep` or `unkeep`: of a process, if it is a number.
    ///
    /// # Errors
    /// If the number is no pid, or a relative path cannot be made absolute.
    pub(super) fn keep(method: &'static str, what: &Path) -> Result<Self, Failure> {
        let text = what.to_str().unwrap_or_default();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let params = match text.parse::<Pid>() {
            // pid_t is signed.
            Ok(pid) if is_number && pid != 0 && i32::try_from(pid).is_ok() => json!({"pid": pid}),
            _ if is_number => {
                return Err(Failure::usage(format!(
                    "{text} cannot be a process id; a directory of that name is written ./{text}"
                )));
            }
            _ => {
                let path = absolute(what)?;
                match path.to_str() {
                    Some(text) => json!({"path": text}),
                    None => json!({"path_b64": base64(&path)}),
                }
            }
        };
        Ok(Self { method, params })
    }

    pub(super) fn reload() -> Self {
        Self {
            method: "reload",
            params: json!({}),
        }
    }
}

/// What a fix is told to end.
fn params_of(selection: &Selection) -> Value {
    let Selection {
        workspaces,
        pids,
        reasons,
    } = selection;
    let mut params = json!({});
    let (text, bytes): (Vec<&PathBuf>, Vec<&PathBuf>) =
        workspaces.iter().partition(|path| path.to_str().is_some());
    let text: Vec<_> = text.into_iter().filter_map(|path| path.to_str()).collect();
    let bytes: Vec<_> = bytes.into_iter().map(|path| base64(path)).collect();
    for (name, values) in [
        ("workspaces", json!(text)),
        ("workspaces_b64", json!(bytes)),
        ("pids", json!(pids)),
        ("reasons", json!(reasons)),
    ] {
        if values.as_array().is_some_and(|values| !values.is_empty()) {
            params[name] = values;
        }
    }
    params
}

fn base64(path: &Path) -> String {
    crate::wire::text::base64(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn bytes(bytes: &[u8]) -> PathBuf {
        OsStr::from_bytes(bytes).into()
    }

    #[test]
    fn a_path_goes_as_text_or_else_as_its_bytes() {
        assert_eq!(Request::scan(None).params, json!({}));
        assert_eq!(
            Request::scan(Some(Path::new("/w"))).params,
            json!({"workspace": "/w"})
        );
        assert_eq!(
            Request::scan(Some(&bytes(b"/w\xff"))).params,
            json!({"workspace_b64": "L3f/"})
        );
        let selection = Selection {
            workspaces: vec!["/a".into(), bytes(b"/w\xff"), "/b".into()],
            pids: vec![7],
            reasons: vec!["workspace_replaced".to_owned()],
        };
        assert_eq!(
            Request::fix(&selection).params,
            json!({
                "confirm": true,
                "workspaces": ["/a", "/b"],
                "workspaces_b64": ["L3f/"],
                "pids": [7],
                "reasons": ["workspace_replaced"],
            })
        );
        assert_eq!(
            Request::fix(&Selection::default()).params,
            json!({"confirm": true})
        );
        assert_eq!(
            Request::scan(None).with_members_of(&selection).params["members"],
            json!({
                "workspaces": ["/a", "/b"],
                "workspaces_b64": ["L3f/"],
                "pids": [7],
                "reasons": ["workspace_replaced"],
            })
        );
    }

    #[test]
    fn what_is_written_like_a_pid_is_one_and_everything_else_is_a_path() {
        let params = |what: &Path| Request::keep("keep", what).unwrap().params;
        assert_eq!(params(Path::new("4242")), json!({"pid": 4242}));
        assert_eq!(params(Path::new("/4242")), json!({"path": "/4242"}));
        assert_eq!(params(&bytes(b"/w\xff")), json!({"path_b64": "L3f/"}));
        let seven = std::env::current_dir().unwrap().join("./7");
        assert_eq!(params(Path::new("./7")), json!({"path": seven}));
        for text in ["0", "00", "2147483648", "99999999999999999999999"] {
            let failure = Request::keep("keep", Path::new(text)).unwrap_err();
            assert_eq!(failure.status, crate::cli::ExitStatus::Usage, "{text}");
        }
        let here = std::env::current_dir().unwrap().join("4242x");
        assert_eq!(params(Path::new("4242x")), json!({"path": here}));
    }

    #[test]
    fn a_pause_says_how_long_if_it_was_said() {
        assert_eq!(Request::pause(None).params, json!({}));
        let length = Duration::from_secs(5400);
        assert_eq!(Request::pause(Some(length)).params, json!({"for": "1h30m"}));
    }

    #[test]
    fn events_are_asked_for_from_a_moment_on() {
        let now: Timestamp = "2026-05-26T12:00:00Z".parse().unwrap();
        let args = EventsArgs {
            limit: Some(5),
            follow: false,
            all: true,
            pid: Some(7),
            since: Some(super::super::args::Since::Ago(
                std::time::Duration::from_mins(10),
            )),
        };
        assert_eq!(
            Request::events(&args, now).params,
            json!({"limit": 5, "all": true, "pid": 7, "since": "2026-05-26T11:50:00Z"})
        );
        assert_eq!(
            Request::events(&EventsArgs::default(), now).params,
            json!({"all": false})
        );
    }
}
