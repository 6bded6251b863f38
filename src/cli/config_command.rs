//! `config check` and `config show`: what a daemon that is started here would make of the
//! configuration. Needs no daemon, and asks none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::failure::Failure;
use super::render::{self, View};
use super::safe_text::escape;
use crate::config::{self, Config, ConfigError, Origins};
use crate::wire::text::{Object, put_optional_text};

/// A command's result in both its forms.
pub(super) struct Answer {
    /// For scripts.
    pub(super) json: Value,
    /// For people.
    pub(super) text: String,
}

/// A configuration that is wrong: the failure, and its JSON with every problem on its own.
pub(super) struct Rejected {
    /// For people.
    pub(super) failure: Failure,
    /// For scripts.
    pub(super) json: Value,
}

/// Where a configuration is looked for.
pub(super) struct Places<'a> {
    /// Environment variables.
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whether a daemon started here would run as root.
    pub(super) is_root: bool,
}

struct Found {
    file: Option<PathBuf>,
    config: Config,
    origins: Origins,
}

/// Says whether a configuration file is good: `named`, or the one that would be used.
pub(super) fn check(named: Option<&Path>, places: &Places<'_>) -> Result<Answer, Box<Rejected>> {
    let Found { file, .. } = find(named, places)?;
    let text = match &file {
        Some(file) => format!("{}: a good configuration", shown(file)),
        None => "no configuration file: the built-in defaults hold".to_owned(),
    };
    Ok(Answer {
        json: about(file.as_deref()).into(),
        text,
    })
}

/// The values in force, and where each came from.
pub(super) fn show(places: &Places<'_>, view: &View) -> Result<Answer, Box<Rejected>> {
    let Found {
        file,
        config,
        origins,
    } = find(None, places)?;
    let values = config.to_json();
    let file_name = file.as_deref().map(|file| file.display().to_string());
    let origins: BTreeMap<String, String> = origins
        .into_iter()
        .map(|(key, line)| {
            (
                key,
                format!("{}:{line}", file_name.as_deref().unwrap_or("?")),
            )
        })
        .collect();
    let text = render::config(&values, file_name.as_deref(), &origins, view);
    let mut json = about(file.as_deref());
    json.insert("origins".to_owned(), every_origin(&values, &origins).into());
    json.insert("values".to_owned(), values);
    Ok(Answer {
        json: json.into(),
        text,
    })
}

fn find(named: Option<&Path>, places: &Places<'_>) -> Result<Found, Box<Rejected>> {
    let file = config::locate(named, &|name: &str| (places.env)(name), places.is_root);
    let (config, origins) = match &file {
        Some(file) => {
            Config::load_with_origins(file).map_err(|error| Box::new(rejected(&error)))?
        }
        None => Default::default(),
    };
    Ok(Found {
        file,
        config,
        origins,
    })
}

fn about(file: Option<&Path>) -> Object {
    let mut object = Object::new();
    object.insert("ok".to_owned(), true.into());
    put_optional_text(&mut object, "config", file);
    object
}

/// Where each value came from, those of the built-in defaults too.
fn every_origin(values: &Value, origins: &BTreeMap<String, String>) -> Object {
    let sections = values.as_object().into_iter().flatten();
    sections
        .flat_map(|(section, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, _)| format!("{section}.{key}"))
        })
        .map(|key| {
            let origin = origins.get(&key).map_or("default", String::as_str);
            (key, Value::from(origin))
        })
        .collect()
}

/// What is said of a configuration that is wrong.
pub(super) fn rejected(error: &ConfigError) -> Rejected {
    let failure = Failure::config(error);
    let mut json = failure.to_json();
    if let (ConfigError::Invalid { problems, .. }, Some(object)) = (error, json.as_object_mut()) {
        let problems: Vec<Value> = problems
            .iter()
            .map(|problem| json!({"line": problem.line, "key": problem.key, "message": problem.what}))
            .collect();
        object.insert("problems".to_owned(), problems.into());
    }
    Rejected { failure, json }
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::terminal::Terminal;

    const NOWHERE: Places<'_> = Places {
        env: &|_| None,
        is_root: false,
    };

    fn view() -> View {
        View {
            terminal: Terminal {
                is_terminal: false,
                width: 80,
            },
            now: Timestamp::UNIX_EPOCH,
            zone: TimeZone::UTC,
            program: crate::cli::render::PROGRAM.to_owned(),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn without_a_file_the_defaults_are_good() {
        let answer = check(None, &NOWHERE).unwrap_or_else(|_| panic!("rejected"));
        assert_eq!(
            answer.text,
            "no configuration file: the built-in defaults hold"
        );
        assert_eq!(answer.json, json!({"ok": true, "config": null}));
    }

    #[test]
    fn a_good_file_is_called_good() {
        let (_directory, path) = file("[scan]\ninterval = \"1s\"\n");
        let answer = check(Some(&path), &NOWHERE).unwrap_or_else(|_| panic!("rejected"));
        assert_eq!(
            answer.text,
            format!("{}: a good configuration", path.display())
        );
        assert_eq!(answer.json, json!({"ok": true, "config": path}));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let (_directory, path) = file("[scan]\nintervall = \"1s\"\n[reap]\ngrace = 5\n");
        let Err(rejected) = check(Some(&path), &NOWHERE) else {
            panic!("not rejected")
        };
        assert_eq!(rejected.failure.status.code(), 2);
        let lines: Vec<&str> = rejected.failure.message.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("{}:2: scan.intervall: ", path.display())),
            "{lines:?}"
        );
        assert_eq!(rejected.json["ok"], false);
        assert_eq!(rejected.json["error"]["kind"], "config");
        assert_eq!(rejected.json["problems"][1]["line"], 4);
        assert_eq!(rejected.json["problems"][1]["key"], "reap.grace");
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong() {
        let Err(rejected) = check(Some(Path::new("/nowhere/c.toml")), &NOWHERE) else {
            panic!("not rejected")
        };
        assert!(
            rejected
                .failure
                .message
                .starts_with("/nowhere/c.toml: no such file")
        );
        assert_eq!(rejected.json.get("problems"), None);
    }

    #[test]
    fn values_are_shown_with_where_they_came_from() {
        let text = "[scan]\ninterval = \"1s\"\n\n[[coordinator.form]]\nname = \"mine\"\nprogram = \"p*\"\n\
                    args = [\"-m\", \"x\"]\n";
        let (_directory, path) = file(text);
        let env =
            |name: &str| (name == "TEAM_AGENTD_CONFIG").then(|| path.clone().into_os_string());
        let places = Places {
            env: &env,
            is_root: false,
        };
        let answer = show(&places, &view()).unwrap_or_else(|_| panic!("rejected"));
        let at = |line: usize| format!("{}:{line}", path.display());
        let lines: Vec<&str> = answer.text.lines().collect();
        assert_eq!(lines[0], format!("# {}", path.display()));
        let interval = format!("{:<34}  # {}", "interval = \"1s\"", at(2));
        let timeout = format!("{:<34}  # default", "probe_timeout = \"2s\"");
        assert_eq!(lines[2..5], ["[scan]", &interval, &timeout]);
        assert_eq!(answer.json["origins"]["scan.interval"], at(2));
        assert_eq!(answer.json["origins"]["scan.probe_timeout"], "default");
        assert_eq!(
            answer.json["values"],
            Config::load(&path).unwrap().to_json()
        );
        // It is a configuration itself, and the same one.
        let again = Config::parse(&answer.text, Path::new("again")).unwrap();
        assert_eq!(again, Config::load(&path).unwrap());
    }

    #[test]
    fn the_defaults_are_shown_as_a_file_that_says_the_same() {
        let answer = show(&NOWHERE, &view()).unwrap_or_else(|_| panic!("rejected"));
        assert_eq!(
            answer.text.lines().next(),
            Some("# no configuration file: these are the built-in defaults")
        );
        assert_eq!(
            Config::parse(&answer.text, Path::new("again")).unwrap(),
            Config::default()
        );
    }
}
