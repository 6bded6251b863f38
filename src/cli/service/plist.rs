//! The LaunchAgent that ships with the project, with the places of this installation in it. Pure.
//!
//! Must not know where it is written, nor what launchd makes of it.

use std::path::{Path, PathBuf};

use super::binaries::Binaries;
use super::{MARK, UnitText};

const SHIPPED: &str = include_str!("../../../launchd/team-agentd.plist");
/// What the shipped file has where the program is to stand …
const PROGRAM: &str = "<string>/usr/local/bin/team-agentd</string>";
/// … and where the log is.
const LOG: &str = "<string>/Users/USER/Library/Logs/team-agentd/team-agentd.log</string>";
/// Before this stands the mark: the declaration has to be the first line.
const ROOT: &str = "<plist ";

/// The label, as launchd knows the agent.
pub(super) const LABEL: &str = "team-agentd";
/// The name of its file.
pub(super) const FILE: &str = "team-agentd.plist";

/// Where an agent of this home logs.
pub(super) fn log_directory(home: &Path) -> PathBuf {
    home.join("Library/Logs/team-agentd")
}

/// The agent for these programs and this home.
///
/// # Errors
///
/// If XML cannot hold such a path: says which.
pub(super) fn agent(binaries: &Binaries, home: &Path) -> Result<UnitText, String> {
    let program = escaped(&binaries.daemon)?;
    let log = escaped(&log_directory(home).join("team-agentd.log"))?;
    let text = SHIPPED
        .replacen(
            ROOT,
            &format!("<!-- {MARK}. It writes over changes in here. -->\n{ROOT}"),
            1,
        )
        .replace(PROGRAM, &format!("<string>{program}</string>"))
        .replace(LOG, &format!("<string>{log}</string>"));
    Ok(UnitText { name: FILE, text })
}

/// A path as the text of an XML element.
fn escaped(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let Some(text) = path.to_str() else {
        return Err(format!(
            "{shown}: a property list cannot hold a path that is not UTF-8"
        ));
    };
    // XML 1.0 has no way to write most of them, and parsers change the others.
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{shown}: a property list cannot hold control characters"
        ));
    }
    Ok(text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;"))
}

/// The program that an agent starts, as [`agent`] wrote it.
pub(super) fn program_of(text: &str) -> Option<String> {
    let (_, after) = text.split_once("<key>ProgramArguments</key>")?;
    let (_, after) = after.split_once("<string>")?;
    let (program, _) = after.split_once("</string>")?;
    Some(
        program
            .replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use plist::{Dictionary, Value};

    use super::*;

    fn parsed(text: &str) -> Dictionary {
        Value::from_reader_xml(text.as_bytes())
            .unwrap()
            .into_dictionary()
            .unwrap()
    }

    fn agent_at(directory: &str, home: &str) -> Result<UnitText, String> {
        let binaries = Binaries {
            daemon: Path::new(directory).join("team-agentd"),
            client: Path::new(directory).join("team-agentctl"),
        };
        agent(&binaries, Path::new(home))
    }

    #[test]
    fn the_agent_names_what_it_must() {
        let agent = agent_at("/opt/bin", "/Users/me").unwrap();
        assert!(agent.text.contains(MARK));
        let mut agent = parsed(&agent.text);
        let expected = [
            ("Label", Value::from(LABEL)),
            (
                "ProgramArguments",
                Value::Array(vec!["/opt/bin/team-agentd".into()]),
            ),
            ("RunAtLoad", true.into()),
            ("ThrottleInterval", 10.into()),
            ("ExitTimeOut", 30.into()),
            ("ProcessType", "Background".into()),
            ("LowPriorityIO", true.into()),
            ("Umask", 0o077.into()),
            (
                "StandardOutPath",
                "/Users/me/Library/Logs/team-agentd/team-agentd.log".into(),
            ),
            (
                "StandardErrorPath",
                "/Users/me/Library/Logs/team-agentd/team-agentd.log".into(),
            ),
        ];
        for (key, value) in expected {
            assert_eq!(agent.remove(key), Some(value), "{key}");
        }
        for (key, inner, value) in [
            ("KeepAlive", "SuccessfulExit", Value::from(false)),
            ("SoftResourceLimits", "NumberOfFiles", 8192.into()),
            ("HardResourceLimits", "NumberOfFiles", 8192.into()),
        ] {
            let mut dictionary = agent.remove(key).unwrap().into_dictionary().unwrap();
            assert_eq!(dictionary.remove(inner), Some(value), "{key}");
            assert!(dictionary.is_empty(), "{dictionary:?}");
        }
        assert!(agent.is_empty(), "{agent:?}");
    }

    #[test]
    fn launchd_waits_longer_than_a_kill_takes_by_default() {
        let agent = parsed(SHIPPED);
        let waits = crate::config::Config::default().terminate;
        let drain = waits.sigterm_wait + waits.sigkill_wait;
        let given = agent["ExitTimeOut"].as_unsigned_integer().unwrap();
        assert!(given > drain.as_secs() * 2, "{given} s for {drain:?}");
    }

    #[test]
    fn any_path_comes_through() {
        for (directory, home) in [
            ("/opt/a & b/<c>", "/Users/\"me\" & 'you'"),
            ("/opt/&amp;", "/Users/&lt;"),
            ("/opt/ä/]]>", "/Users/--"),
        ] {
            let text = agent_at(directory, home).unwrap().text;
            let agent = parsed(&text);
            let program = format!("{directory}/team-agentd");
            let arguments = agent["ProgramArguments"].as_array().unwrap();
            assert_eq!(arguments, &vec![Value::from(program.clone())]);
            assert_eq!(program_of(&text), Some(program));
            let log = format!("{home}/Library/Logs/team-agentd/team-agentd.log");
            for key in ["StandardOutPath", "StandardErrorPath"] {
                assert_eq!(agent[key].as_string(), Some(&*log));
            }
        }
        assert!(agent_at("/opt/\u{1}", "/Users/me").is_err());
        assert!(agent_at("/opt", "/Users/m\ne").is_err());
    }
}
