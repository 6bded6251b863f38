//! The client's side: arguments, the way a command takes, and what people read of its result.
//!
//! | file | what lives there |
//! |---|---|
//! | `args.rs`, `daemon_args.rs` | what can be typed |
//! | `usage.rs` | what is said of a mistake in it |
//! | `run.rs` | a command from its arguments to its exit status |
//! | `engines.rs` | the two that can answer: a daemon, or the engine in this process |
//! | `request.rs` | a command as a method and its parameters |
//! | `selection.rs` | which orphans a fix is about |
//! | `failure.rs` | why there is no result, and the remedy |
//! | `doctor.rs` | `doctor`: what the client sees of the daemon, beside what that says of itself |
//! | `follow.rs` | `events --follow` |
//! | `pages.rs` | the event log, page by page; pure |
//! | `kills.rs`, `bar.rs` | kills in progress, and the time that is left; pure |
//! | `progress/` | what a fix does, while its answer is awaited |
//! | `watch/` | `watch`: the model and its pictures, pure; the loop and the terminal |
//! | `config_command.rs` | `config check` and `config show` |
//! | `service/` | `service …`: the daemon as a service of systemd or launchd |
//! | `manual/` | manual pages |
//! | `completion/` | the scripts that shells complete by, and what they ask for |
//! | `render/` | results as text: pure |
//! | `safe_text.rs` | text of other processes, made safe to show |
//! | `output.rs` | the only place that prints |
//! | `terminal.rs` | what is known of the terminal |
//!
//! Must not know how anything is found, judged or ended: results come as the JSON that scripts get,
//! and nothing here reads more into them than a script could.

pub mod args;
mod bar;
mod completion;
mod config_command;
pub mod daemon_args;
mod doctor;
mod engines;
pub mod failure;
mod follow;
mod kills;
mod manual;
mod output;
mod pages;
mod progress;
pub mod render;
mod request;
pub mod run;
pub mod safe_text;
mod selection;
mod service;
pub mod terminal;
mod usage;
pub mod watch;
mod wrap;

use serde_json::Value;

use crate::orphan::process::Pid;

/// What the client tells its caller by its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done,
    /// The gate failed, an orphan could not be ended, a pid named in the request was spared, or the
    /// daemon's health has a problem.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// `--confirm` is needed.
    Refused,
    /// No daemon, and one is needed.
    NoDaemon,
    /// The daemon, or the engine in this process, gave no result.
    EngineError,
}

impl ExitStatus {
    /// The number, as the contract has it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NoDaemon => 4,
            Self::EngineError => 5,
        }
    }

    /// Of a scan: whatever it found, it was done.
    #[must_use]
    pub fn of_scan(_result: &Value) -> Self {
        Self::Done
    }

    /// Of a fix in whose request the processes `named` were named.
    #[must_use]
    pub fn of_fix(result: &Value, named: &[Pid]) -> Self {
        if is_refused(result) {
            return Self::Refused;
        }
        let was_named = |spared: &Value| {
            spared["pid"]
                .as_u64()
                .is_some_and(|pid| named.iter().any(|named| u64::from(*named) == pid))
        };
        let spared_named = list(result, "spared").iter().any(was_named);
        // A result that does not say it went well did not go well.
        let went_well = result["ok"] == true && list(result, "failed").is_empty();
        if went_well && !spared_named {
            Self::Done
        } else {
            Self::Failed
        }
    }

    /// Of a look at the daemon's health.
    #[must_use]
    pub fn of_doctor(result: &Value) -> Self {
        match result["ok"] == true {
            true => Self::Done,
            false => Self::Failed,
        }
    }

    /// Of a gate, with or without a fix.
    #[must_use]
    pub fn of_gate(result: &Value) -> Self {
        if is_refused(result) {
            Self::Refused
        } else if result["ok"] == true {
            Self::Done
        } else {
            Self::Failed
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}

fn is_refused(result: &Value) -> bool {
    result["status"] == "refused"
}

/// The list under `name`; an empty one where there is none.
fn list<'a>(result: &'a Value, name: &str) -> &'a [Value] {
    result[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::results;

    #[test]
    fn the_codes_are_the_contracts() {
        use ExitStatus::{Done, EngineError, Failed, NoDaemon, Refused, Usage};
        let codes = [Done, Failed, Usage, Refused, NoDaemon, EngineError].map(ExitStatus::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_scan_is_done_whatever_it_found() {
        for result in [
            json!({"ok": true, "orphans": []}),
            json!({"ok": true, "orphans": [{"pid": 1}]}),
        ] {
            assert_eq!(ExitStatus::of_scan(&result), ExitStatus::Done);
        }
    }

    #[test]
    fn a_fix_fails_when_a_kill_failed_or_a_named_pid_was_spared() {
        let spared = json!([{"pid": 7, "status": "spared"}]);
        for (result, named, status) in [
            (
                json!({"ok": true, "killed": [{}], "failed": [], "spared": []}),
                &[][..],
                ExitStatus::Done,
            ),
            (
                json!({"ok": true, "killed": [], "failed": [], "spared": []}),
                &[7],
                ExitStatus::Done,
            ),
            (
                json!({"ok": true, "failed": [], "spared": spared}),
                &[],
                ExitStatus::Done,
            ),
            (
                json!({"ok": true, "failed": [], "spared": spared}),
                &[8],
                ExitStatus::Done,
            ),
            (
                json!({"ok": true, "failed": [], "spared": spared}),
                &[8, 7],
                ExitStatus::Failed,
            ),
            (
                json!({"ok": false, "failed": [{"pid": 7}]}),
                &[],
                ExitStatus::Failed,
            ),
            (
                json!({"ok": true, "failed": [{"pid": 7}]}),
                &[],
                ExitStatus::Failed,
            ),
            (json!({"ok": false}), &[], ExitStatus::Failed),
            (json!({}), &[], ExitStatus::Failed),
            (json!(null), &[], ExitStatus::Failed),
            (results::fix_refused(), &[7], ExitStatus::Refused),
        ] {
            assert_eq!(
                ExitStatus::of_fix(&result, named),
                status,
                "{result} {named:?}"
            );
        }
    }

    #[test]
    fn a_gate_says_itself_whether_it_passed() {
        for (result, status) in [
            (json!({"ok": true, "status": "passed"}), ExitStatus::Done),
            (json!({"ok": false, "status": "failed"}), ExitStatus::Failed),
            (json!([]), ExitStatus::Failed),
            (results::gate_refused(), ExitStatus::Refused),
        ] {
            assert_eq!(ExitStatus::of_gate(&result), status, "{result}");
        }
    }
}
