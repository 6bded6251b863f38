//! A directory of its own for everything one test touches: homes, sockets, state, workspaces.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::ctl::{self, Answer};
use super::daemon::Daemon;
use super::event_log::EventLog;
use super::stand_in::{self, Recipe, Survivors, stand_in_program};

/// The configuration under test, as far as tests change it.
pub(crate) struct Settings {
    pub(crate) scan_interval: &'static str,
    /// None: the world's directory. Some: these.
    pub(crate) workspace_roots: Option<Vec<PathBuf>>,
    pub(crate) uids: &'static str,
    /// Long where an obedient process must not be killed on a slow machine.
    pub(crate) sigterm_wait: &'static str,
    pub(crate) sigkill_wait: &'static str,
    pub(crate) scope: &'static str,
    /// More sections, as they are.
    pub(crate) more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Nothing happens by itself: what a test sees, its own requests caused.
            scan_interval: "1h",
            workspace_roots: None,
            uids: "\"own\"",
            sigterm_wait: "30s",
            sigkill_wait: "30s",
            scope: "group",
            more: String::new(),
        }
    }
}

impl Settings {
    /// For processes that ignore SIGTERM: there is no point in waiting for them.
    pub(crate) fn impatient() -> Self {
        Self {
            sigterm_wait: "300ms",
            ..Self::default()
        }
    }

    /// For what the daemon has to notice by itself.
    pub(crate) fn watchful() -> Self {
        Self {
            scan_interval: "200ms",
            ..Self::default()
        }
    }

    /// Adds a section, as it is.
    pub(crate) fn with(mut self, section: &str) -> Self {
        let _ = writeln!(self.more, "{section}");
        self
    }

    fn to_toml(&self, world: &Path) -> String {
        let here = [world.to_path_buf()];
        let roots = self.workspace_roots.as_deref().unwrap_or(&here);
        format!(
            "[scan]\ninterval = \"{}\"\n\
             [coordinator]\nuids = {}\nworkspace_roots = {roots:?}\n\
             [terminate]\nsigterm_wait = \"{}\"\nsigkill_wait = \"{}\"\nscope = \"{}\"\n\
             {}",
            self.scan_interval,
            self.uids,
            self.sigterm_wait,
            self.sigkill_wait,
            self.scope,
            self.more
        )
    }
}

/// One test's own corner of the disk. Dropped last, so to be declared first.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        // Below a temporary root, like most throw-away workspaces, but with no hint in its name.
        let folder = tempfile::Builder::new()
            .prefix("tad-")
            .tempdir_in("/tmp")
            .unwrap();
        let world = Self { folder };
        for below in ["home", "xdg-runtime", "xdg-config", "state", "ready"] {
            fs::create_dir(world.path(below)).unwrap();
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(world.path("xdg-runtime"), private).unwrap();
        world.configure(&Settings::default());
        world
    }

    /// A path in here, with nothing created.
    pub(crate) fn path(&self, below: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join(Path::new(below.as_ref()))
    }

    /// A new directory in here.
    pub(crate) fn directory(&self, below: impl AsRef<OsStr>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state/team-agentd")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("team-agentd.toml")
    }

    pub(crate) fn event_log(&self) -> EventLog {
        let path = self.state_dir().join("events.jsonl");
        EventLog { path }
    }

    /// Writes the configuration that daemons and clients started from now on will find.
    pub(crate) fn configure(&self, settings: &Settings) {
        fs::write(self.config(), settings.to_toml(self.folder.path())).unwrap();
    }

    /// Lets other users in, as far as the modes below allow.
    pub(crate) fn open_to_everybody(&self) {
        fs::copy(stand_in_program(), self.path(stand_in::COPY)).unwrap();
        for (below, mode) in [("", 0o755), ("home", 0o755), ("ready", 0o1777)] {
            fs::set_permissions(self.path(below), fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// Makes `command` look nowhere but in here.
    pub(crate) fn confine(&self, command: &mut Command) {
        command
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("xdg-runtime"))
            .env("XDG_CONFIG_HOME", self.path("xdg-config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TEAM_AGENTD_CONFIG", self.config())
            .current_dir(self.path("home"));
        for unwanted in [
            "TEAM_AGENTD_SOCKET",
            "TEAM_AGENTD_LOG",
            "STATE_DIRECTORY",
            "RUNTIME_DIRECTORY",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "JOURNAL_STREAM",
            "INVOCATION_ID",
            "TMPDIR",
        ] {
            command.env_remove(unwanted);
        }
    }

    /// Starts a daemon with the default settings and waits until it is ready.
    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(&Settings::default())
    }

    pub(crate) fn daemon_with(&self, settings: &Settings) -> Daemon {
        self.configure(settings);
        Daemon::start(self)
    }

    /// Runs the client to its end. Without a daemon it works embedded, with the same settings.
    pub(crate) fn ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Answer {
        ctl::run(ctl::command(self, arguments))
    }

    /// A coordinator whose workspace exists.
    pub(crate) fn healthy(&self, name: impl AsRef<OsStr>) -> Recipe {
        Recipe::coordinator(self, self.directory(name))
    }

    /// A coordinator whose workspace does not, and never did: the plainest orphan there is.
    pub(crate) fn orphan(&self, name: impl AsRef<OsStr>) -> Recipe {
        Recipe::coordinator(self, self.path(name))
    }

    pub(crate) fn survivors(&self) -> Survivors {
        Survivors::start(self)
    }
}

impl Drop for World {
    /// What a test mounted in here would keep the directory from being removed.
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in mounts.lines().rev() {
            let point = mount.split(' ').nth(1).unwrap_or_default();
            if Path::new(point).starts_with(self.folder.path()) {
                let _ = unmount(point, UnmountFlags::DETACH);
            }
        }
    }
}
