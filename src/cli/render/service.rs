//! The service: what was done to it, how it is, what would be written.

use serde_json::Value;

use super::View;
use super::field::{shown, text};
use super::paint::{ALARM, ASIDE, DOUBT, HEADING, WELL};
use crate::cli::args::ServiceCommand;
use crate::cli::list;
use crate::cli::safe_text::escape_lines;

/// The text of a result of one of the service's commands.
#[must_use]
pub fn service(command: &ServiceCommand, result: &Value, view: &View) -> String {
    match command {
        ServiceCommand::Install(_) => installed(result, view),
        ServiceCommand::Uninstall(_) => uninstalled(result, view),
        ServiceCommand::Status => status(result, view),
        ServiceCommand::Print(_) => files(result, view),
    }
}

fn installed(result: &Value, view: &View) -> String {
    let mut lines = steps(result, view);
    let config = text(&result["config"])
        .unwrap_or_else(|| "no configuration file: the built-in defaults hold".to_owned());
    lines.push(labelled("configuration", &config));
    lines.extend(hints(result, view));
    lines.push(if result["changed"] == true {
        view.paint(WELL, "the service is installed and runs")
    } else {
        "the service was installed already and runs: nothing changed".to_owned()
    });
    lines.join("\n")
}

fn uninstalled(result: &Value, view: &View) -> String {
    if result["changed"] != true {
        return "no service is installed: nothing changed".to_owned();
    }
    let mut lines = steps(result, view);
    let stays = list(result, "stays").iter();
    lines.extend(stays.map(|path| labelled("stays", &shown(path))));
    lines.push("the service is uninstalled".to_owned());
    lines.join("\n")
}

fn steps(result: &Value, view: &View) -> Vec<String> {
    list(result, "steps")
        .iter()
        .map(|step| {
            let did = shown(&step["did"]);
            let style = match did.as_str() {
                "unchanged" | "running" => ASIDE,
                _ => HEADING,
            };
            // Padded before it is painted: a colour has a length, too.
            let did = view.paint(style, format!("{did:<13}"));
            format!("{did}  {}", shown(&step["what"]))
        })
        .collect()
}

fn labelled(label: &str, what: &str) -> String {
    format!("{label:<13}  {what}")
}

fn hints(result: &Value, view: &View) -> Vec<String> {
    let hints = list(result, "hints").iter();
    hints
        .map(|hint| view.paint(DOUBT, labelled("hint", &shown(hint))))
        .collect()
}

fn status(result: &Value, view: &View) -> String {
    let active = shown(&result["active"]);
    let runs = result["ok"] == true;
    let title = match (runs, result["installed"] == true) {
        (true, _) => view.paint(WELL, "team-agentd runs as a service"),
        (false, true) => view.paint(
            ALARM,
            "team-agentd is installed as a service, and does not run",
        ),
        (false, false) => view.paint(DOUBT, "team-agentd is not installed as a service"),
    };
    let mut lines = vec![format!("{title} ({})", shown(&result["platform"]))];
    let mut put =
        |label: &str, what: String| lines.push(format!("  {:<11}{what}", format!("{label}:")));

    let since = text(&result["since"]).map_or(String::new(), |since| format!(" since {since}"));
    let pid = match &result["pid"] {
        Value::Null => String::new(),
        pid => format!(", process {}", shown(pid)),
    };
    let restarts = match result["restarts"].as_u64() {
        None | Some(0) => String::new(),
        Some(restarts) => format!(", restarted {restarts} times"),
    };
    put("state", format!("{active}{since}{pid}{restarts}"));
    if let Some(says) = text(&result["says"]) {
        put("says", says);
    }
    let starts = if result["enabled"] == true {
        "by itself"
    } else {
        "only when it is asked to"
    };
    put("starts", starts.to_owned());
    if let Some(program) = text(&result["program"]) {
        let version =
            text(&result["program_version"]).unwrap_or_else(|| "cannot be run".to_owned());
        put("program", format!("{program} ({version})"));
    }
    for file in list(result, "files") {
        put(
            "file",
            format!("{} ({})", shown(&file["path"]), shown(&file["state"])),
        );
    }
    for file in list(result, "drop_ins") {
        put("file", format!("{} (yours)", shown(file)));
    }
    let daemon = &result["daemon"];
    if !daemon.is_null() {
        put(
            "daemon",
            format!(
                "{}, on {}",
                shown(&daemon["version"]),
                shown(&daemon["socket"])
            ),
        );
        let config = text(&daemon["config"])
            .unwrap_or_else(|| "none, the built-in defaults hold".to_owned());
        put("config", config);
    }
    for hint in list(result, "hints") {
        put("hint", view.paint(DOUBT, shown(hint)));
    }
    lines.join("\n")
}

fn files(result: &Value, view: &View) -> String {
    let files = list(result, "files").iter().map(|file| {
        let path = view.paint(ASIDE, format!("# {}", shown(&file["path"])));
        let content = escape_lines(file["text"].as_str().unwrap_or_default());
        format!("{path}\n{content}\n")
    });
    files.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;
    use crate::cli::args::{ForceArgs, PrintArgs};
    use crate::cli::terminal::Terminal;

    fn rendered(command: &ServiceCommand, result: &Value) -> String {
        let view = View {
            terminal: Terminal {
                is_terminal: false,
                width: 80,
            },
            now: Timestamp::UNIX_EPOCH,
            zone: TimeZone::UTC,
            program: crate::cli::render::PROGRAM.to_owned(),
        };
        service(command, result, &view)
    }

    #[test]
    fn an_installation_says_each_step() {
        let mut result = json!({
            "changed": true, "config": null, "hints": ["enable-linger"],
            "steps": [{"did": "wrote", "what": "/u/team-agentd.service"}, {"did": "started", "what": "it\u{1b}"}],
        });
        let command = ServiceCommand::Install(ForceArgs::default());
        assert_eq!(
            rendered(&command, &result),
            "wrote          /u/team-agentd.service\n\
             started        it\\x1b\n\
             configuration  no configuration file: the built-in defaults hold\n\
             hint           enable-linger\n\
             the service is installed and runs"
        );
        result["changed"] = false.into();
        assert!(rendered(&command, &result).ends_with("nothing changed"));
        assert!(rendered(&command, &json!(null)).contains("configuration"));
    }

    #[test]
    fn a_removal_says_what_stays() {
        let result = json!({
            "changed": true, "steps": [{"did": "removed", "what": "/u"}], "stays": ["/state"],
        });
        let command = ServiceCommand::Uninstall(ForceArgs::default());
        assert_eq!(
            rendered(&command, &result),
            "removed        /u\nstays          /state\nthe service is uninstalled"
        );
        let nothing = json!({"changed": false});
        assert_eq!(
            rendered(&command, &nothing),
            "no service is installed: nothing changed"
        );
    }

    #[test]
    fn a_status_says_what_both_the_manager_and_the_daemon_say() {
        let running = json!({
            "ok": true, "platform": "systemd", "installed": true, "enabled": true, "active": "active",
            "since": "2026-11-22T21:54:06Z", "pid": 42, "restarts": 2, "says": "1 orphan",
            "files": [{"path": "/u/a", "state": "current"}], "drop_ins": ["/u/a.d/b"],
            "program": "/b/team-agentd", "program_version": "0.1.0",
            "daemon": {"version": "0.1.0", "socket": "/s", "config": null}, "hints": ["h"],
        });
        assert_eq!(
            rendered(&ServiceCommand::Status, &running),
            "team-agentd runs as a service (systemd)\n  \
             state:     active since 2026-11-22T21:54:06Z, process 42, restarted 2 times\n  \
             says:      1 orphan\n  \
             starts:    by itself\n  \
             program:   /b/team-agentd (0.1.0)\n  \
             file:      /u/a (current)\n  \
             file:      /u/a.d/b (yours)\n  \
             daemon:    0.1.0, on /s\n  \
             config:    none, the built-in defaults hold\n  \
             hint:      h"
        );
        let absent = json!({
            "ok": false, "platform": "systemd", "installed": false, "enabled": false,
            "active": "inactive", "since": null, "pid": null, "daemon": null,
            "files": [{"path": "/u/a", "state": "missing"}], "hints": [],
        });
        assert_eq!(
            rendered(&ServiceCommand::Status, &absent),
            "team-agentd is not installed as a service (systemd)\n  \
             state:     inactive\n  \
             starts:    only when it is asked to\n  \
             file:      /u/a (missing)"
        );
    }

    #[test]
    fn files_are_printed_under_their_names() {
        let result =
            json!({"files": [{"path": "/u/a", "text": "x\ny\n"}, {"path": "/u/b", "text": "z\n"}]});
        assert_eq!(
            rendered(&ServiceCommand::Print(PrintArgs::default()), &result),
            "# /u/a\nx\ny\n\n# /u/b\nz\n"
        );
    }
}
