//! A machine with a home, an installation and a service manager that runs nothing.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::super::ExitStatus;
use super::super::super::args::ServiceCommand;
use super::super::super::engines::Engines;
use super::super::super::failure::Failure;
use super::super::super::request::Request;
use super::super::launchd::Launchd;
use super::super::systemd::Systemd;
use super::super::{Programs, Surroundings, Trouble, carry_out};
use crate::control::client::{CallError, ConnectError};
use crate::control::embedded::EmbeddedError;
use crate::os::programs::{RunError, Said};

pub(super) const UID: u32 = 1500;

/// Which service manager the machine has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Systemd,
    Launchd,
}

/// What the stand-ins know.
#[derive(Default)]
pub(super) struct Memory {
    /// What the service manager was told to change, in order.
    pub(super) told: Vec<String>,
    pub(super) is_unreachable: bool,
    pub(super) is_enabled: bool,
    pub(super) pid: Option<u32>,
    /// The version of the daemon that runs.
    pub(super) version: Option<&'static str>,
    /// What `start` and its like fail with.
    pub(super) broken_start: Option<&'static str>,
    /// Whether the daemon's program cannot be run.
    pub(super) broken_program: bool,
    /// Whether the manager knows no process of a service that was started.
    pub(super) hides_pid: bool,
    /// How often launchd still refuses to take the agent in.
    pub(super) refusals: u32,
    /// The user's changes to the unit: its `Environment`. Read once the unit is there.
    pub(super) drop_in: &'static str,
    /// A unit that a package brought, and somebody enabled and started.
    pub(super) packaged: Option<&'static str>,
    /// Whether the service has failed.
    pub(super) has_failed: bool,
    /// What the daemon said last.
    pub(super) status_text: &'static str,
    /// Variables that the manager gives the daemon, beside HOME.
    pub(super) variables: Vec<(String, String)>,
}

impl Memory {
    fn start(&mut self) {
        // A process that is certainly none: nobody can say which file it runs.
        self.pid = self.pid.or(Some(u32::MAX / 2));
        self.version = Some(env!("CARGO_PKG_VERSION"));
    }
}

pub(super) struct Machine {
    folder: TempDir,
    kind: Kind,
    pub(super) memory: Rc<RefCell<Memory>>,
    /// Variables of the shell, beside HOME.
    pub(super) shell: Vec<(&'static str, String)>,
}

impl Machine {
    pub(super) fn new(kind: Kind) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            kind,
            memory: Rc::default(),
            shell: Vec::new(),
        };
        fs::create_dir_all(machine.path("run")).unwrap();
        fs::create_dir_all(machine.path("home")).unwrap();
        for program in ["team-agentd", "team-agentctl"] {
            let path = machine.path("bin").join(program);
            fs::create_dir_all(machine.path("bin")).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        // The real one: installations are found behind links.
        fs::canonicalize(self.folder.path()).unwrap().join(below)
    }

    /// Everything below the home, sorted.
    pub(super) fn home(&self) -> Vec<String> {
        fn collect(directory: &Path, top: &Path, into: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                into.push(path.strip_prefix(top).unwrap().display().to_string());
                if path.is_dir() {
                    collect(&path, top, into);
                }
            }
        }
        let (mut found, home) = (Vec::new(), self.path("home"));
        collect(&home, &home, &mut found);
        found.sort();
        found
    }

    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.memory.borrow_mut().told)
    }

    pub(super) fn run(&self, command: &ServiceCommand) -> Result<(Value, ExitStatus), Trouble> {
        let variable = |name: &str| match name {
            "HOME" => Some(self.path("home").into_os_string()),
            "XDG_RUNTIME_DIR" => Some(self.path("run").into_os_string()),
            _ => {
                let set = self.shell.iter().find(|(key, _)| *key == name);
                set.map(|(_, value)| OsString::from(value))
            }
        };
        let surroundings = Surroundings {
            env: &variable,
            uid: UID,
            own_program: self.path("bin/team-agentctl"),
        };
        let mut programs = Manager {
            home: self.path("home").display().to_string(),
            run: self.path("run").display().to_string(),
            memory: Rc::clone(&self.memory),
        };
        let mut engines = Daemon(Rc::clone(&self.memory));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            match self.kind {
                Kind::Systemd => {
                    let mut manager = Systemd::new(&mut programs, &surroundings);
                    carry_out(command, &mut engines, &mut manager, &surroundings).await
                }
                Kind::Launchd => {
                    let mut manager = Launchd::new(&mut programs, &surroundings);
                    carry_out(command, &mut engines, &mut manager, &surroundings).await
                }
            }
        })
    }

    #[track_caller]
    pub(super) fn done(&self, command: &ServiceCommand) -> Value {
        match self.run(command) {
            Ok((result, ExitStatus::Done)) => result,
            Ok((result, status)) => panic!("{status:?}: {result}"),
            Err(Trouble::Failed(failure)) => panic!("{failure:?}"),
            Err(Trouble::Config(rejected)) => panic!("{}", rejected.json),
        }
    }

    #[track_caller]
    pub(super) fn refused(&self, command: &ServiceCommand) -> Failure {
        match self.run(command) {
            Err(Trouble::Failed(failure)) => failure,
            Err(Trouble::Config(rejected)) => rejected.failure,
            Ok((result, status)) => panic!("{status:?}: {result}"),
        }
    }
}

/// `systemctl` and `launchctl`.
struct Manager {
    home: String,
    run: String,
    memory: Rc<RefCell<Memory>>,
}

fn said(code: i32, stdout: impl Into<String>, stderr: &str) -> Said {
    Said {
        code: Some(code),
        stdout: stdout.into(),
        stderr: stderr.to_owned(),
    }
}

impl Programs for Manager {
    async fn run(
        &mut self,
        program: &Path,
        arguments: &[&str],
        _: &[(String, String)],
        _: Duration,
    ) -> Result<Said, RunError> {
        assert!(program.is_absolute(), "{program:?}");
        let name = program.file_name().unwrap().to_str().unwrap();
        Ok(match name {
            "systemctl" => {
                assert_eq!(arguments[..2], ["--user", "--no-pager"]);
                self.systemctl(&arguments[2..])
            }
            "launchctl" => self.launchctl(arguments),
            "journalctl" => said(0, "the journal's words\n", ""),
            "loginctl" => said(0, "no\n", ""),
            "team-agentd" if self.memory.borrow().broken_program => {
                said(126, "", "cannot execute binary file")
            }
            "team-agentd" => said(
                0,
                concat!("team-agentd ", env!("CARGO_PKG_VERSION"), "\n"),
                "",
            ),
            _ => panic!("{program:?} {arguments:?}"),
        })
    }
}

impl Manager {
    fn systemctl(&self, arguments: &[&str]) -> Said {
        let mut memory = self.memory.borrow_mut();
        if memory.is_unreachable {
            return said(1, "", "Failed to connect to bus: No medium found");
        }
        match arguments {
            ["show-environment", ..] => {
                let mut variables = json!({"HOME": self.home, "XDG_RUNTIME_DIR": self.run});
                for (name, value) in &memory.variables {
                    variables[name] = value.clone().into();
                }
                return said(0, variables.to_string(), "");
            }
            ["show", "--property=UnitPath", "--value"] => {
                return said(
                    0,
                    format!("/etc/systemd/user {}/.config/systemd/user", self.home),
                    "",
                );
            }
            ["show", .., "--property=Environment", _] => {
                let unit = Path::new(&self.home).join(".config/systemd/user/team-agentd.service");
                let line = if unit.exists() { memory.drop_in } else { "" };
                return said(
                    0,
                    format!("Environment={}\n", line.replace("%h", &self.home)),
                    "",
                );
            }
            ["show", .., unit] => {
                let active = if memory.pid.is_some() {
                    "active"
                } else {
                    "inactive"
                };
                let enabled = if memory.is_enabled {
                    "enabled"
                } else {
                    "disabled"
                };
                assert!(unit.starts_with("team-agentd."), "{unit}");
                let pid = memory.pid.filter(|_| !memory.hides_pid).unwrap_or(0);
                let active = if memory.has_failed { "failed" } else { active };
                let (file, says) = (memory.packaged.unwrap_or_default(), memory.status_text);
                let text = format!(
                    "ActiveState={active}\nMainPID={pid}\nUnitFileState={enabled}\n\
                     FragmentPath={file}\nStatusText={says}\n"
                );
                return said(0, text, "");
            }
            ["reset-failed", ..] => return said(1, "", "not loaded"),
            ["daemon-reload"] => {}
            ["enable", ..] => memory.is_enabled = true,
            ["disable", ..] => memory.is_enabled = false,
            ["start", ..] => match memory.broken_start {
                Some(why) => return said(1, "", why),
                None => memory.start(),
            },
            ["stop", ..] => memory.pid = None,
            _ => panic!("{arguments:?}"),
        }
        memory.told.push(arguments[0].to_owned());
        said(0, "", "")
    }

    fn launchctl(&self, arguments: &[&str]) -> Said {
        let mut memory = self.memory.borrow_mut();
        if memory.is_unreachable {
            return said(112, "", "Could not find domain for");
        }
        match arguments {
            ["print", "gui/1500"] => return said(0, "", ""),
            ["print", "gui/1500/team-agentd"] => {
                return match memory.pid {
                    Some(pid) => said(
                        0,
                        format!("x = {{\n\tstate = running\n\tpid = {pid}\n}}\n"),
                        "",
                    ),
                    None => said(113, "", "Could not find service"),
                };
            }
            ["print-disabled", _] => return said(0, "disabled services = {\n}\n", ""),
            ["getenv", name] => {
                let set = memory.variables.iter().find(|(key, _)| key == name);
                return said(
                    0,
                    set.map_or(String::new(), |(_, value)| format!("{value}\n")),
                    "",
                );
            }
            ["enable", "gui/1500/team-agentd"] => {}
            ["bootstrap", "gui/1500", file] => {
                assert!(Path::new(file).exists(), "{file}");
                if memory.refusals > 0 {
                    memory.refusals -= 1;
                    return said(5, "", "Bootstrap failed: 5: Input/output error");
                }
                memory.start();
            }
            ["kickstart", "gui/1500/team-agentd"] => {}
            ["bootout", "gui/1500/team-agentd"] => memory.pid = None,
            _ => panic!("{arguments:?}"),
        }
        memory.told.push(arguments[0].to_owned());
        said(0, "", "")
    }
}

/// The daemon that the manager would have started.
struct Daemon(Rc<RefCell<Memory>>);

impl Engines for Daemon {
    async fn daemon(
        &mut self,
        socket: Option<&Path>,
        _: &Request,
    ) -> Result<Result<Value, CallError>, ConnectError> {
        let memory = self.0.borrow();
        let socket = socket.expect("the service's own socket");
        let Some(pid) = memory.pid else {
            panic!("a daemon that does not run is not to be woken up")
        };
        Ok(Ok(json!({
            "daemon": {"pid": pid, "version": memory.version, "socket": socket, "config": null},
            "last_scan": {"scanned": 0},
        })))
    }

    async fn embedded(&mut self, _: &Request) -> Result<Value, EmbeddedError> {
        panic!("nothing is to be done in this process")
    }
}
