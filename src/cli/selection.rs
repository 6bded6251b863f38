//! Which orphans a fix is about, on the client's side: as somebody types it, and as it cuts a scan
//! down to a preview. What is ended is decided by the engine alone.

use crate::text::in_line;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::args::FixArgs;
use super::failure::Failure;
use super::list;
use super::safe_text::escape;
use crate::orphan::process::Pid;

/// Which orphans a fix is about: those that match each list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) workspaces: Vec<PathBuf>,
    pub(super) pids: Vec<Pid>,
    pub(super) reasons: Vec<String>,
}

impl Selection {
    /// What a fix was told to end.
    pub(super) fn new(args: FixArgs) -> Result<Self, Failure> {
        let workspaces = args.workspaces.iter().map(|path| absolute(path));
        Ok(Self {
            workspaces: workspaces.collect::<Result<_, _>>()?,
            pids: args.pids,
            reasons: args.reasons,
        })
    }

    /// Whether a fix is about all orphans.
    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The scan, cut down to the orphans that are selected: what a fix would be about. Who was asked has
    /// chosen them, and said so by what would become of them; one that could not has them chosen here.
    pub(super) fn cut(&self, mut scan: Value) -> Value {
        let is_chosen = |entry: &Value| entry.get("members").is_some();
        let is_known = list(&scan, "orphans").iter().any(is_chosen);
        let is_selected = |entry: &Value| match is_known {
            true => is_chosen(entry),
            false => self.includes(entry),
        };
        for name in ["orphans", "coordinators"] {
            if let Some(entries) = scan.get_mut(name).and_then(Value::as_array_mut) {
                entries.retain(|entry| entry["is_orphan"] == true && is_selected(entry));
            }
        }
        scan
    }

    fn includes(&self, entry: &Value) -> bool {
        let is_here = |path: &PathBuf| {
            let found = [
                exact(entry, "workspace"),
                exact(&entry["evidence"], "resolved"),
            ];
            found.iter().flatten().any(|found| found == path)
        };
        let reason = entry["reason"].as_str().unwrap_or_default();
        let kind = reason.split_once(':').map_or(reason, |(kind, _)| kind);
        (self.workspaces.is_empty() || self.workspaces.iter().any(is_here))
            && (self.pids.is_empty() || self.pids.iter().any(|pid| entry["pid"] == *pid))
            && (self.reasons.is_empty()
                || self
                    .reasons
                    .iter()
                    .any(|named| named == reason || named == kind))
    }

    /// The command that ends what is selected, to be typed as it is.
    pub(super) fn command(&self) -> String {
        let mut command = "team-agentctl fix --confirm".to_owned();
        let mut add = |option: &str, value: &str| command += &format!(" {option} {value}");
        for pid in &self.pids {
            add("--pid", &pid.to_string());
        }
        for path in &self.workspaces {
            add("--workspace", &shell_word(path.as_os_str()));
        }
        for reason in &self.reasons {
            add("--reason", &shell_word(reason.as_ref()));
        }
        command
    }
}

/// The command that ends the orphans of a scan.
pub(super) fn fix_after_scan(workspace: Option<&Path>) -> String {
    let workspaces = workspace.map(Path::to_path_buf).into_iter().collect();
    Selection {
        workspaces,
        ..Selection::default()
    }
    .command()
}

/// A path as it was typed, made absolute by its text alone: what is deleted cannot be resolved, and
/// the engine knows a workspace by both its spellings.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    absolute_from(path, std::env::current_dir)
}

fn absolute_from(
    path: &Path,
    cwd: impl FnOnce() -> io::Result<PathBuf>,
) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let cwd = cwd().map_err(|error| {
        Failure::usage(format!(
            "{} is relative to the current directory, which cannot be told ({error}): write it in full",
            in_line(path)
        ))
    })?;
    Ok(cwd.join(path))
}

/// A path of an entry, exactly.
fn exact(entry: &Value, name: &str) -> Option<PathBuf> {
    let bytes = entry[format!("{name}_b64")]
        .as_str()
        .and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
    match bytes {
        Some(bytes) => Some(OsStr::from_bytes(&bytes).into()),
        None => entry[name].as_str().map(PathBuf::from),
    }
}

/// `word` as a shell reads it back, and safe to show.
pub(super) fn shell_word(word: &OsStr) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.as_bytes().iter().all(is_plain) => text.to_owned(),
        Some(text) if escape(text) == text => format!("'{}'", text.replace('\'', "'\\''")),
        // What cannot be shown has to be spelled, in the way that bash, zsh and ksh read.
        _ => {
            let spelled: String = word
                .as_bytes()
                .iter()
                .map(|byte| {
                    if is_plain(byte) {
                        char::from(*byte).into()
                    } else {
                        format!("\\x{byte:02x}")
                    }
                })
                .collect();
            format!("$'{spelled}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(bytes: &[u8]) -> PathBuf {
        OsStr::from_bytes(bytes).into()
    }

    #[test]
    fn a_relative_path_is_made_absolute_by_its_text() {
        let cwd = || Ok(PathBuf::from("/home/me"));
        for (path, full) in [
            ("/w", "/w"),
            ("w", "/home/me/w"),
            ("./w", "/home/me/./w"),
            ("../w", "/home/me/../w"),
            (".", "/home/me/."),
        ] {
            let made = absolute_from(Path::new(path), cwd).unwrap();
            assert_eq!(made.as_os_str(), full);
        }
        let gone = || Err(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(absolute_from(Path::new("/w"), gone), Ok("/w".into()));
        let failure = absolute_from(Path::new("w"), gone).unwrap_err();
        assert_eq!(failure.status.code(), 2);
        assert!(failure.message.contains("write it in full"), "{failure:?}");
    }

    #[test]
    fn a_scan_is_cut_down_to_what_a_fix_selects() {
        let orphan = |pid: u32, workspace: &str, reason: &str| json!({"pid": pid, "workspace": workspace, "reason": reason, "is_orphan": true});
        let entries = json!([
            orphan(1, "/a", "workspace_path_missing"),
            orphan(2, "/b", "ephemeral_tempdir_pattern:x-"),
            {"pid": 3, "workspace": "/c", "reason": "workspace_alive", "is_orphan": false},
            {"pid": 4, "workspace": "/w\u{fffd}", "workspace_b64": "L3f/", "is_orphan": true,
             "reason": "workspace_replaced", "evidence": {"resolved": "/real/w"}},
        ]);
        let scan = json!({"orphans": entries, "coordinators": entries});
        let cut = |selection: Selection| -> Vec<u64> {
            let cut = selection.cut(scan.clone());
            assert_eq!(cut["orphans"], cut["coordinators"]);
            let orphans = cut["orphans"].as_array().unwrap();
            orphans
                .iter()
                .filter_map(|entry| entry["pid"].as_u64())
                .collect()
        };
        let of = |workspaces: &[PathBuf], pids: &[Pid], reasons: &[&str]| Selection {
            workspaces: workspaces.to_vec(),
            pids: pids.to_vec(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        assert_eq!(cut(Selection::default()), [1, 2, 4]);
        assert_eq!(cut(of(&["//a/.".into()], &[], &[])), [1]);
        assert_eq!(cut(of(&["/x/../a".into()], &[], &[])), [0; 0]);
        assert_eq!(cut(of(&[bytes(b"/w\xff")], &[], &[])), [4]);
        assert_eq!(cut(of(&["/real/w".into()], &[], &[])), [4]);
        assert_eq!(cut(of(&[], &[2, 3, 9], &[])), [2]);
        assert_eq!(cut(of(&[], &[], &["ephemeral_tempdir_pattern"])), [2]);
        assert_eq!(cut(of(&[], &[], &["ephemeral_tempdir_pattern:x-"])), [2]);
        assert_eq!(cut(of(&[], &[], &["ephemeral_tempdir_pattern:y-"])), [0; 0]);
        assert_eq!(cut(of(&["/a".into()], &[2], &[])), [0; 0]);
        assert_eq!(Selection::default().cut(json!([1])), json!([1]));
        // Whom a fix would end, and spare, is the engine's to say: it also follows links.
        let mut scan = scan.clone();
        for name in ["orphans", "coordinators"] {
            scan[name][1]["members"] = json!([]);
            scan[name][2]["members"] = json!([]);
            scan[name][3]["members"] = json!(null);
        }
        let cut = of(&["/a/link".into()], &[], &[]).cut(scan);
        let pids = |name: &str| -> Vec<u64> {
            let entries = cut[name].as_array().unwrap().iter();
            entries.filter_map(|entry| entry["pid"].as_u64()).collect()
        };
        assert_eq!(
            (pids("orphans"), pids("coordinators")),
            (vec![2, 4], vec![2, 4])
        );
    }

    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        assert_eq!(fix_after_scan(None), "team-agentctl fix --confirm");
        let selection = Selection {
            workspaces: vec![
                "/plain".into(),
                "/My Project".into(),
                "/it's".into(),
                "/проект".into(),
                "/line\nfeed".into(),
                bytes(b"/w\xff"),
            ],
            pids: vec![7, 8],
            reasons: vec!["ephemeral_tempdir_pattern:$x".to_owned()],
        };
        assert_eq!(
            selection.command(),
            "team-agentctl fix --confirm --pid 7 --pid 8 --workspace /plain --workspace '/My Project' \
             --workspace '/it'\\''s' --workspace '/проект' --workspace $'/line\\x0afeed' \
             --workspace $'/w\\xff' --reason 'ephemeral_tempdir_pattern:$x'"
        );
    }
}
