//! launchd, by its own client: `launchctl`. The agent belongs to the user's graphical session (`gui/UID`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::failure::Failure;
use super::binaries::Binaries;
use super::files::{UnitFile, unwritable};
use super::plist::{self, FILE, LABEL, log_directory};
use super::{Ground, Manager, Programs, State, Surroundings, not_run};
use crate::control::places::socket_lock;
use crate::os::files::create_private_directory;
use crate::os::programs::Said;

const LAUNCHCTL: &str = "/bin/launchctl";
/// How long one call may take. Each only tells launchd what to do; only `bootout` may wait for the end.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long an agent may take to be gone: its ExitTimeOut, and some room.
const STOP_LIMIT: Duration = Duration::from_secs(45);
/// How long launchd may refuse to take in an agent whose predecessor is not quite gone.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The variables that change where the daemon looks.
const VARIABLES: [&str; 5] = [
    "TEAM_AGENTD_CONFIG",
    "TEAM_AGENTD_SOCKET",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// The user's launchd.
pub(super) struct Launchd<'a, P> {
    programs: &'a mut P,
    surroundings: &'a Surroundings<'a>,
}

impl<'a, P: Programs> Launchd<'a, P> {
    pub(super) fn new(programs: &'a mut P, surroundings: &'a Surroundings<'a>) -> Self {
        Self {
            programs,
            surroundings,
        }
    }

    fn domain(&self) -> String {
        format!("gui/{}", self.surroundings.uid)
    }

    fn target(&self) -> String {
        format!("{}/{LABEL}", self.domain())
    }

    async fn launchctl(&mut self, arguments: &[&str]) -> Result<Said, Failure> {
        self.launchctl_within(arguments, CALL_LIMIT).await
    }

    async fn launchctl_within(
        &mut self,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<Said, Failure> {
        let program = Path::new(LAUNCHCTL);
        let said = self.programs.run(program, arguments, &[], limit).await;
        said.map_err(|error| not_run(&error))
    }

    async fn demand(&mut self, arguments: &[&str]) -> Result<Said, Failure> {
        let said = self.launchctl(arguments).await?;
        if said.is_success() {
            return Ok(said);
        }
        Err(Failure::service(
            "service_manager",
            complaint(arguments, &said),
        ))
    }

    /// What launchd says of the agent; nothing if it does not know it.
    async fn loaded(&mut self) -> Result<Option<String>, Failure> {
        let target = self.target();
        let said = self.launchctl(&["print", &target]).await?;
        Ok(said.is_success().then_some(said.stdout))
    }

    async fn is_disabled(&mut self) -> Result<bool, Failure> {
        let domain = self.domain();
        let said = self.launchctl(&["print-disabled", &domain]).await?;
        let entry = format!("\"{LABEL}\" => ");
        let mut states = said
            .stdout
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&entry));
        Ok(states.any(|state| matches!(state, "disabled" | "true")))
    }

    fn file(&self) -> Result<PathBuf, Failure> {
        Ok(self.usual_directory()?.join(FILE))
    }
}

impl<P: Programs> Manager for Launchd<'_, P> {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn file_names(&self) -> &'static [&'static str] {
        &[FILE]
    }

    fn units(&self, binaries: &Binaries, directory: &Path) -> Result<Vec<UnitFile>, Failure> {
        let agent = plist::agent(binaries, &self.surroundings.home()?)
            .map_err(|why| Failure::service("unfit_path", why))?;
        Ok(vec![UnitFile {
            path: directory.join(agent.name),
            text: agent.text,
        }])
    }

    fn usual_directory(&self) -> Result<PathBuf, Failure> {
        Ok(self.surroundings.home()?.join("Library/LaunchAgents"))
    }

    /// The directory of agents is the system's: it stays.
    fn top(&self, _: &Path, directory: &Path) -> PathBuf {
        directory.to_path_buf()
    }

    /// launchd makes the log, and not its directory.
    fn prepare(&self) -> Result<(), Failure> {
        let logs = log_directory(&self.surroundings.home()?);
        create_private_directory(&logs).map_err(|error| unwritable(&error))
    }

    fn leftovers(&self, ground: &Ground) -> Vec<PathBuf> {
        let logs = self.surroundings.home().map(|home| log_directory(&home));
        let logs = logs
            .into_iter()
            .flat_map(|logs| [logs.join("team-agentd.log"), logs]);
        let directory = ground.socket.parent().map(Path::to_path_buf);
        [ground.socket.clone(), socket_lock(&ground.socket)]
            .into_iter()
            .chain(directory)
            .chain(logs)
            .collect()
    }

    fn program_of(&self, text: &str) -> Option<String> {
        plist::program_of(text)
    }

    async fn version_of(&mut self, program: &Path) -> Option<String> {
        super::version_of(self.programs, program).await
    }

    async fn ground(&mut self) -> Result<Ground, Failure> {
        let domain = self.domain();
        let said = self.launchctl(&["print", &domain]).await?;
        if !said.is_success() {
            let uid = self.surroundings.uid;
            let what = format!("user {uid} has no graphical session: {}", said.complaint());
            return Err(Failure::service("no_user_manager", what).with_remedy(
                "log in on the Mac itself, or by screen sharing, and try again from there",
            ));
        }
        let home = self.surroundings.home()?;
        let mut variables = BTreeMap::new();
        for name in VARIABLES {
            let said = self.launchctl(&["getenv", name]).await?;
            let value = said.stdout.trim_end_matches('\n');
            if said.is_success() && !value.is_empty() {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        variables.insert("HOME".to_owned(), home.to_string_lossy().into_owned());
        // /run cannot be made on a Mac: of the daemon's places this is the first that it can use.
        let socket = variables
            .get("TEAM_AGENTD_SOCKET")
            .map(PathBuf::from)
            .or_else(|| {
                Some(Path::new(variables.get("XDG_RUNTIME_DIR")?).join("team-agentd/control.sock"))
            })
            .unwrap_or_else(|| home.join("Library/Caches/team-agentd/control.sock"));
        Ok(Ground {
            directory: self.usual_directory()?,
            socket,
            variables,
        })
    }

    /// The agent sets none, and launchd knows no changes beside its file.
    async fn own_variables(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(BTreeMap::new())
    }

    async fn state(&mut self) -> Result<State, Failure> {
        let is_enabled = fs::symlink_metadata(self.file()?).is_ok() && !self.is_disabled().await?;
        let loaded = self.loaded().await?;
        Ok(state_of(loaded.as_deref(), is_enabled))
    }

    /// The file is read when the agent is taken in.
    async fn reload(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn enable(&mut self) -> Result<(), Failure> {
        let target = self.target();
        self.demand(&["enable", &target]).await.map(drop)
    }

    /// Without its file it does not start; an entry that disables it would outlive it.
    async fn disable(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let (domain, target) = (self.domain(), self.target());
        let file = self.file()?.to_string_lossy().into_owned();
        let arguments = ["bootstrap", &domain, &file];
        let deadline = Instant::now() + BOOTSTRAP_LIMIT;
        while self.loaded().await?.is_none() {
            let said = self.launchctl(&arguments).await?;
            if said.is_success() {
                break;
            }
            // An agent that is being taken away is in the way of its successor for a moment.
            if Instant::now() >= deadline {
                let failure = Failure::service("start_failed", complaint(&arguments, &said));
                return Err(failure.with_remedy("see: team-agentctl service status"));
            }
            sleep(PAUSE).await;
        }
        // RunAtLoad has started it, unless it was loaded before; one that runs stays as it is.
        self.demand(&["kickstart", &target]).await.map(drop)
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        if self.loaded().await?.is_none() {
            return Ok(());
        }
        let target = self.target();
        let said = self
            .launchctl_within(&["bootout", &target], STOP_LIMIT)
            .await?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.loaded().await?.is_some() {
            if Instant::now() >= deadline {
                return Err(Failure::service(
                    "stop_failed",
                    complaint(&["bootout", &target], &said),
                ));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn hints(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn complaint(arguments: &[&str], said: &Said) -> String {
    format!("launchctl {}: {}", arguments.join(" "), said.complaint())
}

/// From what `launchctl print` says of the agent. Its form is not promised: what is not found there is unknown.
fn state_of(printed: Option<&str>, is_enabled: bool) -> State {
    let field = |name: &str| {
        printed?.lines().find_map(|line| {
            let (key, value) = line.strip_prefix('\t')?.split_once(" = ")?;
            (key == name).then(|| value.to_owned())
        })
    };
    let pid = field("pid").and_then(|pid| pid.parse().ok());
    let starts: Option<u64> = field("runs").and_then(|runs| runs.parse().ok());
    State {
        is_in_use: printed.is_some(),
        unit_file: field("path").map(PathBuf::from),
        is_enabled,
        active: match (printed, field("state")) {
            (None, _) => "inactive".to_owned(),
            (Some(_), state) => state.unwrap_or_else(|| "loaded".to_owned()),
        },
        pid,
        is_whole: true,
        since: None,
        says: field("last exit code")
            .filter(|code| pid.is_none() && code != "(never exited)")
            .map(|code| format!("last exit status {code}")),
        restarts: starts.map(|starts| starts.saturating_sub(1)),
        drop_ins: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "gui/501/team-agentd = {\n\tactive count = 1\n\tstate = running\n\n\tendpoints = {\n\
                           \t\tpid = 7\n\t}\n\truns = 3\n\tpid = 4242\n\tlast exit code = 1\n}\n";

    #[test]
    fn a_state_is_what_launchctl_prints() {
        let state = state_of(Some(RUNNING), true);
        assert_eq!((state.pid, state.restarts), (Some(4242), Some(2)));
        assert_eq!((&*state.active, state.says), ("running", None));
        let waiting = RUNNING
            .replace("\tpid = 4242\n", "")
            .replace("running", "spawn scheduled");
        let state = state_of(Some(&waiting), false);
        assert_eq!((state.pid, &*state.active), (None, "spawn scheduled"));
        assert_eq!(state.says.as_deref(), Some("last exit status 1"));
        let unknown = state_of(None, false);
        assert_eq!(
            (&*unknown.active, unknown.pid, unknown.restarts),
            ("inactive", None, None)
        );
        assert_eq!(state_of(Some("another form"), true).active, "loaded");
    }
}
