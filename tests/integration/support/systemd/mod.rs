//! A machine of its own with a real systemd as pid 1, in its own namespaces, over a throw-away copy of
//! this machine's files. What is started in there ends with it, and so does whatever it wrote.

mod coordinator;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ctl::{Answer, run as run_to_end};
use super::namespace::{name_of_test, say_aloud, we_are_really_root};
use super::process::children_of;
use super::wait::PATIENCE;

/// The programs under test, as they stand at `/opt/team-agentd` in there.
const PROGRAMS: [&str; 2] = ["team-agentd", "team-agentctl"];
/// The user in there who is not root: `/home/tester`, with `/run/user/54321` once their systemd runs.
pub(super) const TESTER: u32 = 54321;

/// A running machine. Dropping it ends it, and shows its journal if the test is failing.
pub(crate) struct SystemdBox {
    unshare: Child,
    init: u32,
    cgroup: PathBuf,
    _folder: TempDir,
}

/// Runs `body` on a machine of its own, in which the programs under test are at `/usr/bin`. Where none
/// can be had, that is said aloud; with `CI` set, root has to have one if systemd is installed.
pub(crate) fn in_a_systemd_box<F: FnOnce(&SystemdBox)>(body: F) {
    in_a_systemd_box_named(name_of_test::<F>(), body);
}

/// The same for the test of that name.
pub(crate) fn in_a_systemd_box_named(test: &str, body: impl FnOnce(&SystemdBox)) {
    if !we_are_really_root() {
        return say_aloud(&format!("SKIPPED (needs root): {test}"));
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return say_aloud(&format!("SKIPPED (needs systemd installed): {test}"));
    }
    match SystemdBox::boot() {
        Ok(machine) => {
            machine.install_programs();
            body(&machine);
        }
        Err(why) if std::env::var_os("CI").is_some() => panic!("no systemd starts here: {why}"),
        Err(why) => say_aloud(&format!("SKIPPED (no systemd starts here: {why}): {test}")),
    }
}

impl SystemdBox {
    /// Boots one. Says why, if that cannot be done here.
    fn boot() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let root = folder.path().join("box");
        let console = folder.path().join("console");
        fs::create_dir(&root).map_err(|error| error.to_string())?;
        let cgroup = new_cgroup()?;
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/support/systemd/boot.sh");
        let build = Path::new(env!("CARGO_BIN_EXE_team-agentd"))
            .parent()
            .expect("a directory of programs");
        let log = || fs::File::options().create(true).append(true).open(&console);
        // In its cgroup before the namespace is made: that is the root of what it sees. However the test
        // ends, unshare ends with it, and the machine with unshare.
        let unshare = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bash", "-c"])
            .arg("echo $$ > \"$0/cgroup.procs\" && exec setsid \"$@\"")
            .arg(&cgroup)
            .args(["unshare", "--fork", "--kill-child=SIGKILL"])
            .args(["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"])
            .arg("bash")
            .arg(script)
            .env("BOX", &root)
            .env("BUILD", build)
            .stdin(Stdio::null())
            .stdout(log().map_err(|error| error.to_string())?)
            .stderr(log().map_err(|error| error.to_string())?)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut machine = Self {
            unshare,
            init: 0,
            cgroup,
            _folder: folder,
        };
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            machine.init = children_of(machine.unshare.id())
                .first()
                .copied()
                .unwrap_or(0);
            if machine.init != 0 && machine.path("/run/box-is-up").exists() {
                return Ok(machine);
            }
            if let Ok(Some(status)) = machine.unshare.try_wait() {
                let said = fs::read_to_string(&console).unwrap_or_default();
                return Err(format!("{status}: {}", said.trim()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        let said = fs::read_to_string(&console).unwrap_or_default();
        Err(format!("it does not come up: {}", said.trim()))
    }

    /// Where a path in there is for us out here.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// Writes a file in there, root's, readable by all, with its directories.
    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a directory")).unwrap();
        fs::write(path, text).unwrap();
    }

    fn install_programs(&self) {
        for program in PROGRAMS {
            let link = self.path(&format!("/usr/bin/{program}"));
            // Left over where this machine has the package installed.
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(format!("/opt/team-agentd/{program}"), link).unwrap();
        }
    }

    /// Copies what stands below `systemd/` in the repository to where a package puts it, and has it read.
    pub(crate) fn install_units(&self) {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        for kind in ["system", "user"] {
            for entry in fs::read_dir(units.join(kind)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let to = self.path(&format!("/usr/lib/systemd/{kind}/{name}"));
                fs::copy(entry.path(), to).unwrap();
            }
        }
        self.sh("systemctl daemon-reload");
    }

    /// Starts the systemd of the user who is not root.
    pub(crate) fn start_tester(&self) {
        self.sh(&format!("systemctl start user@{TESTER}.service"));
    }

    /// Runs a script in there to its end, as root and as a unit of its own, which has to succeed: what
    /// it printed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let answer = self.try_sh(script);
        assert_eq!(answer.code, Some(0), "{script}: {answer:#?}");
        answer.stdout
    }

    /// The same, however it ends.
    pub(crate) fn try_sh(&self, script: &str) -> Answer {
        self.try_sh_as("root", script)
    }

    /// The same as the user who is not root, who can reach their systemd.
    #[track_caller]
    pub(crate) fn sh_as_tester(&self, script: &str) -> String {
        let answer = self.try_sh_as_tester(script);
        assert_eq!(answer.code, Some(0), "{script}: {answer:#?}");
        answer.stdout
    }

    /// The same, however it ends.
    pub(crate) fn try_sh_as_tester(&self, script: &str) -> Answer {
        self.try_sh_as("tester", script)
    }

    fn try_sh_as(&self, user: &str, script: &str) -> Answer {
        let mut command = self.enter();
        command.args(["systemd-run", "--quiet", "--wait", "--pipe", "--collect"]);
        command.arg(format!("--uid={user}"));
        if user != "root" {
            command.arg(format!("--setenv=XDG_RUNTIME_DIR=/run/user/{TESTER}"));
            command.args(["--working-directory=/home/tester"]);
        }
        command.args(["--setenv=SYSTEMD_PAGER=cat", "bash", "-c", script]);
        run_to_end(command)
    }

    /// A program's arguments are to follow, which run in there, below nobody.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("--all")
            .arg(format!("--target={}", self.init))
            .args(["--", "env", "-i", "LANG=C.UTF-8"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What the journal has, of everybody.
    pub(crate) fn journal(&self) -> String {
        let mut command = self.enter();
        command.args(["journalctl", "--no-pager", "--output=short-monotonic"]);
        run_to_end(command).stdout
    }
}

impl Drop for SystemdBox {
    fn drop(&mut self) {
        if thread::panicking() && self.init != 0 {
            eprintln!("--- the journal in the box ---\n{}---", self.journal());
        }
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        // Its processes take a moment to be gone.
        let give_up = Instant::now() + PATIENCE;
        while remove_cgroup(&self.cgroup).is_err() && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A cgroup that no other machine has, in the one hierarchy there is, or in the newer one of two.
fn new_cgroup() -> Result<PathBuf, String> {
    static BOOTED: AtomicU32 = AtomicU32::new(0);
    let number = BOOTED.fetch_add(1, Ordering::Relaxed);
    let both = Path::new("/sys/fs/cgroup/unified");
    let top = if both.exists() {
        both
    } else {
        Path::new("/sys/fs/cgroup")
    };
    let cgroup = top.join(format!("team-agentd-test-{}-{number}", std::process::id()));
    fs::create_dir(&cgroup).map_err(|error| format!("{}: {error}", cgroup.display()))?;
    Ok(cgroup)
}

fn remove_cgroup(cgroup: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_cgroup(&path)?;
        }
    }
    fs::remove_dir(cgroup)
}
