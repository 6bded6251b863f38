//! systemd, by its own client: `systemctl --user`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::DateTime;
use serde_json::Value;

use super::super::failure::Failure;
use super::binaries::Binaries;
use super::files::UnitFile;
use super::unit::{self, SERVICE, SOCKET, Scope};
use super::{Ground, Manager, Programs, State, Surroundings, not_run};
use crate::control::places::socket_lock;
use crate::os::programs::{RunError, Said};

/// Where systemd's programs are; the last is NixOS's.
const DIRECTORIES: [&str; 3] = ["/usr/bin", "/bin", "/run/current-system/sw/bin"];
/// How long a question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
/// The unit's own TimeoutStartSec, and some room.
const START_LIMIT: Duration = Duration::from_secs(150);
/// The longest waits that a configuration may give a kill, and some room.
const STOP_LIMIT: Duration = Duration::from_secs(25 * 60);
/// How much of the journal is shown of a service that does not start.
const JOURNAL_LINES: &str = "--lines=6";

/// What is asked about the service.
const PROPERTIES: &str = "--property=ActiveState,SubState,MainPID,UnitFileState,ActiveEnterTimestamp,\
                          InactiveEnterTimestamp,NRestarts,Result,StatusText,DropInPaths,FragmentPath";

/// The user's systemd.
pub(super) struct Systemd<'a, P> {
    programs: &'a mut P,
    surroundings: &'a Surroundings<'a>,
}

/// The units of the machine, as they would be written for these programs.
pub(super) fn system_units(binaries: &Binaries) -> Result<Vec<UnitFile>, Failure> {
    units_in(Scope::System, binaries, Path::new("/etc/systemd/system"))
}

fn units_in(scope: Scope, binaries: &Binaries, directory: &Path) -> Result<Vec<UnitFile>, Failure> {
    let units = unit::units(scope, binaries).map_err(|why| {
        Failure::service("unfit_path", why).with_remedy("install the programs in another directory")
    })?;
    let units = units.into_iter().map(|unit| UnitFile {
        path: directory.join(unit.name),
        text: unit.text,
    });
    Ok(units.collect())
}

impl<'a, P: Programs> Systemd<'a, P> {
    pub(super) fn new(programs: &'a mut P, surroundings: &'a Surroundings<'a>) -> Self {
        Self {
            programs,
            surroundings,
        }
    }

    /// The runtime directory, which leads to the user's systemd; `su` and `sudo` leave the variable out.
    fn runtime_directory(&self) -> PathBuf {
        self.surroundings
            .absolute("XDG_RUNTIME_DIR")
            .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", self.surroundings.uid)))
    }

    async fn run(
        &mut self,
        program: &str,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<Said, RunError> {
        let candidates = DIRECTORIES.map(|directory| Path::new(directory).join(program));
        let [first, ..] = &candidates;
        let program = candidates
            .iter()
            .find(|path| path.exists())
            .unwrap_or(first);
        let runtime = self.runtime_directory().to_string_lossy().into_owned();
        let variables = [
            ("XDG_RUNTIME_DIR".to_owned(), runtime),
            ("SYSTEMD_COLORS".to_owned(), "0".to_owned()),
            ("SYSTEMD_PAGER".to_owned(), String::new()),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ];
        self.programs
            .run(program, arguments, &variables, limit)
            .await
    }

    /// `systemctl --user`, however it ends.
    async fn systemctl(&mut self, arguments: &[&str], limit: Duration) -> Result<Said, Failure> {
        let arguments: Vec<&str> = ["--user", "--no-pager"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        self.run("systemctl", &arguments, limit)
            .await
            .map_err(|error| match error {
                RunError::NotStarted { .. } => not_run(&error)
                    .with_remedy("without systemd, have your own service manager run team-agentd"),
                RunError::TooSlow { .. } => not_run(&error),
            })
    }

    /// The same, and it has to do what it is asked for.
    async fn demand(&mut self, arguments: &[&str], limit: Duration) -> Result<Said, Failure> {
        let said = self.systemctl(arguments, limit).await?;
        if said.is_success() {
            return Ok(said);
        }
        Err(Failure::service(
            "service_manager",
            complaint(arguments, &said),
        ))
    }

    async fn show(
        &mut self,
        unit: &str,
        properties: &str,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let arguments = ["show", "--timestamp=utc", properties, unit];
        let said = self.demand(&arguments, QUESTION_LIMIT).await?;
        Ok(assignments(&said.stdout))
    }

    /// Whether somebody else is root for the moment.
    fn is_sudo(&self) -> bool {
        self.surroundings.uid == 0 && (self.surroundings.env)("SUDO_UID").is_some()
    }

    fn unreachable(&self, said: &Said) -> Failure {
        let uid = self.surroundings.uid;
        let failure = Failure::service(
            "no_user_manager",
            format!(
                "no systemd of user {uid} can be reached: {}",
                said.complaint()
            ),
        );
        failure.with_remedy(if self.is_sudo() {
            "for a service of your own: the same without sudo; for the whole machine use the system unit: \
             systemctl enable --now team-agentd (others: team-agentctl service print --system)"
        } else if uid == 0 {
            "for the whole machine use the system unit, which the Debian package brings: \
             systemctl enable --now team-agentd (others: team-agentctl service print --system)"
        } else {
            "log in (by ssh, or: machinectl shell USER@), or have it run without a login: \
             sudo loginctl enable-linger USER"
        })
    }
}

impl<P: Programs> Manager for Systemd<'_, P> {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn file_names(&self) -> &'static [&'static str] {
        &[SERVICE, SOCKET]
    }

    fn units(&self, binaries: &Binaries, directory: &Path) -> Result<Vec<UnitFile>, Failure> {
        units_in(Scope::User, binaries, directory)
    }

    fn usual_directory(&self) -> Result<PathBuf, Failure> {
        let config = match self.surroundings.absolute("XDG_CONFIG_HOME") {
            Some(config) => config,
            None => self.surroundings.home()?.join(".config"),
        };
        Ok(config.join("systemd/user"))
    }

    fn top(&self, home: &Path, directory: &Path) -> PathBuf {
        if directory.starts_with(home) {
            return home.to_path_buf();
        }
        let config = directory.ancestors().nth(2).unwrap_or(directory);
        config.to_path_buf()
    }

    fn prepare(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn leftovers(&self, ground: &Ground) -> Vec<PathBuf> {
        let directory = ground.socket.parent().map(Path::to_path_buf);
        [ground.socket.clone(), socket_lock(&ground.socket)]
            .into_iter()
            .chain(directory)
            .collect()
    }

    fn program_of(&self, text: &str) -> Option<String> {
        unit::program_of(text)
    }

    async fn version_of(&mut self, program: &Path) -> Option<String> {
        super::version_of(self.programs, program).await
    }

    async fn ground(&mut self) -> Result<Ground, Failure> {
        let said = self
            .systemctl(&["show-environment", "--output=json"], QUESTION_LIMIT)
            .await?;
        if !said.is_success() {
            return Err(self.unreachable(&said));
        }
        let variables = environment(&said.stdout);
        let said = self
            .demand(&["show", "--property=UnitPath", "--value"], QUESTION_LIMIT)
            .await?;
        let runtime = variables
            .get("XDG_RUNTIME_DIR")
            .map_or_else(|| self.runtime_directory(), PathBuf::from);
        // The manager looks where it was told at its own start, whatever a shell says now.
        let of_manager = variables
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(variables.get("HOME")?).join(".config")))
            .map(|config| config.join("systemd/user"));
        let candidates: Vec<PathBuf> = std::iter::once(self.usual_directory()?)
            .chain(of_manager)
            .collect();
        let searched = |path: &&PathBuf| {
            let mut places = said.stdout.split_whitespace();
            places.any(|place| Path::new(place) == path.as_path())
        };
        let directory = candidates.iter().find(searched).or(candidates.last());
        Ok(Ground {
            directory: directory.cloned().unwrap_or_default(),
            socket: runtime.join("team-agentd/control.sock"),
            variables,
        })
    }

    async fn own_variables(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let said = self.show(SERVICE, "--property=Environment").await?;
        let line = said.get("Environment").map_or("", String::as_str);
        Ok(words(line)
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    async fn state(&mut self) -> Result<State, Failure> {
        let service = self.show(SERVICE, PROPERTIES).await?;
        let socket = self
            .show(SOCKET, "--property=ActiveState,UnitFileState")
            .await?;
        Ok(state_of(&service, &socket))
    }

    async fn reload(&mut self) -> Result<(), Failure> {
        self.demand(&["daemon-reload"], QUESTION_LIMIT)
            .await
            .map(drop)
    }

    async fn enable(&mut self) -> Result<(), Failure> {
        let arguments = ["enable", "--quiet", SERVICE, SOCKET];
        self.demand(&arguments, QUESTION_LIMIT).await.map(drop)
    }

    async fn disable(&mut self) -> Result<(), Failure> {
        let arguments = ["disable", "--quiet", SERVICE, SOCKET];
        self.demand(&arguments, QUESTION_LIMIT).await.map(drop)
    }

    async fn start(&mut self) -> Result<(), Failure> {
        // One that failed too often would not be started. That there is nothing to reset is no failure.
        self.systemctl(&["reset-failed", SERVICE, SOCKET], QUESTION_LIMIT)
            .await?;
        let arguments = ["start", SOCKET, SERVICE];
        let said = self.systemctl(&arguments, START_LIMIT).await?;
        if said.is_success() {
            return Ok(());
        }
        let mut what = complaint(&arguments, &said);
        if let Ok(said) = self.show(SERVICE, "--property=StatusText").await
            && let Some(text) = said.get("StatusText").filter(|text| !text.is_empty())
        {
            what += &format!("\n  it said: {text}");
        }
        let journal = [
            "--user-unit=team-agentd.service",
            "--output=cat",
            "--no-pager",
            "--quiet",
            JOURNAL_LINES,
        ];
        if let Ok(said) = self.run("journalctl", &journal, QUESTION_LIMIT).await {
            for line in said.stdout.lines() {
                what += &format!("\n  | {line}");
            }
        }
        Err(Failure::service("start_failed", what).with_remedy(
            "see: team-agentctl service status; to take it back: team-agentctl service uninstall",
        ))
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        let said = self
            .systemctl(&["stop", SOCKET, SERVICE], STOP_LIMIT)
            .await?;
        // 5: a unit that is not there, and so does not run (systemctl(1), LSB's words).
        if said.is_success() || said.code == Some(5) {
            return Ok(());
        }
        Err(Failure::service(
            "stop_failed",
            complaint(&["stop", SOCKET, SERVICE], &said),
        ))
    }

    async fn hints(&mut self) -> Vec<String> {
        let mut hints = Vec::new();
        if self.is_sudo() {
            hints.push("this is root's own service; for yours: the same without sudo".to_owned());
        }
        let uid = self.surroundings.uid.to_string();
        let arguments = ["show-user", "--property=Linger", "--value", &uid];
        // Where nobody knows of sessions, there is nothing to say.
        if let Ok(said) = self.run("loginctl", &arguments, QUESTION_LIMIT).await
            && said.is_success()
            && said.stdout.trim() == "no"
        {
            hints.push(
                "it ends with your last session; to have it run from the boot on: loginctl enable-linger"
                    .to_owned(),
            );
        }
        hints
    }
}

fn complaint(arguments: &[&str], said: &Said) -> String {
    format!(
        "systemctl --user {}: {}",
        arguments.join(" "),
        said.complaint()
    )
}

/// `NAME=value` lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The words of a list as systemd shows it: separated by spaces; one with special characters stands in double
/// quotes, in which a backslash takes the next character as it is (`\n` and `\t` are what they are in C).
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let (mut is_quoted, mut characters) = (false, line.chars());
    while let Some(character) = characters.next() {
        match character {
            ' ' if !is_quoted => words.extend(word.take()),
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => {
                let taken = match characters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other) => other,
                    None => '\\',
                };
                word.get_or_insert_default().push(taken);
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// The environment that the manager gives its services: an object, or from one that does not know JSON here
/// (before systemd 248) lines, of which those with a quoted value are left out.
fn environment(said: &str) -> BTreeMap<String, String> {
    if let Ok(Value::Object(object)) = serde_json::from_str(said) {
        let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
        return object.into_iter().filter_map(text).collect();
    }
    let mut variables = assignments(said);
    variables.retain(|_, value| !value.starts_with("$'"));
    variables
}

fn state_of(service: &BTreeMap<String, String>, socket: &BTreeMap<String, String>) -> State {
    let of =
        |unit: &BTreeMap<String, String>, name: &str| unit.get(name).cloned().unwrap_or_default();
    let is_enabled = [service, socket]
        .iter()
        .all(|unit| of(unit, "UnitFileState").starts_with("enabled"));
    let active = of(service, "ActiveState");
    let since = of(
        service,
        if active == "active" {
            "ActiveEnterTimestamp"
        } else {
            "InactiveEnterTimestamp"
        },
    );
    let result = of(service, "Result");
    let says = Some(of(service, "StatusText"))
        .filter(|text| !text.is_empty())
        .or((!matches!(&*result, "" | "success")).then_some(result));
    let is_in_use = [service, socket].iter().any(|unit| {
        of(unit, "UnitFileState").starts_with("enabled")
            || !matches!(&*of(unit, "ActiveState"), "" | "inactive")
    });
    State {
        is_in_use,
        unit_file: Some(PathBuf::from(of(service, "FragmentPath")))
            .filter(|path| path.is_absolute()),
        is_enabled,
        pid: of(service, "MainPID").parse().ok().filter(|pid| *pid != 0),
        is_whole: of(socket, "ActiveState") == "active",
        since: (!since.is_empty()).then(|| rfc_3339(&since).unwrap_or(since)),
        says,
        restarts: of(service, "NRestarts").parse().ok(),
        drop_ins: of(service, "DropInPaths")
            .split_whitespace()
            .map(PathBuf::from)
            .collect(),
        active,
    }
}

/// `Sun 2026-11-22 21:54:06 UTC`, as `--timestamp=utc` gives it.
fn rfc_3339(text: &str) -> Option<String> {
    let time = DateTime::strptime("%a %Y-%m-%d %H:%M:%S UTC", text).ok()?;
    Some(format!("{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_in_either_form() {
        let read = environment("{\"HOME\":\"/home/me\",\"A\":\"b c\"}\n");
        assert_eq!(read["HOME"], "/home/me");
        assert_eq!(read["A"], "b c");
        let read = environment("HOME=/home/me\nA=$'b c'\nD=a=b\n");
        assert_eq!(read.get("A"), None);
        assert_eq!((&*read["HOME"], &*read["D"]), ("/home/me", "a=b"));
    }

    #[test]
    fn a_list_is_read_word_by_word() {
        let read = words(r#"A=b "C=d  e" F= "G=\"h\\i" J=k=l"#);
        assert_eq!(read, ["A=b", "C=d  e", "F=", r#"G="h\i"#, "J=k=l"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn a_state_is_what_both_units_say() {
        let service = assignments(
            "ActiveState=active\nMainPID=42\nUnitFileState=enabled\nNRestarts=3\nResult=success\n\
             ActiveEnterTimestamp=Sun 2026-11-22 21:54:06 UTC\nStatusText=2 orphans\nDropInPaths=/a /b\nFragmentPath=/u\n",
        );
        let socket = assignments("ActiveState=active\nUnitFileState=enabled\n");
        let state = state_of(&service, &socket);
        assert_eq!(
            state,
            State {
                is_enabled: true,
                is_in_use: true,
                unit_file: Some("/u".into()),
                active: "active".to_owned(),
                pid: Some(42),
                is_whole: true,
                since: Some("2026-11-22T21:54:06Z".to_owned()),
                says: Some("2 orphans".to_owned()),
                restarts: Some(3),
                drop_ins: vec!["/a".into(), "/b".into()],
            }
        );
        let half = assignments("ActiveState=inactive\nUnitFileState=disabled\n");
        let state = state_of(&service, &half);
        assert!(!state.is_enabled && !state.is_whole);
        assert!(!state_of(&half, &half).is_in_use);
        assert!(state.is_in_use, "its socket is");
        let failed = assignments(
            "ActiveState=failed\nMainPID=0\nResult=exit-code\nInactiveEnterTimestamp=n/a\n",
        );
        let state = state_of(&failed, &socket);
        assert_eq!(
            (state.pid, state.says.as_deref()),
            (None, Some("exit-code"))
        );
        assert_eq!(state.since.as_deref(), Some("n/a"));
    }
}
