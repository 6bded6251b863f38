//! A private daemon, stand-ins for coordinators, and one of these that must not come to harm.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use serde_json::{Value, json};

use super::namespace::programs;
use super::processes::{has_exited, memory, wait_until};
use super::{Result, TTL_S};

/// How long the daemon may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A running stand-in.
pub(crate) struct Coordinator {
    pub(crate) pid: Pid,
    pub(crate) children: Vec<Pid>,
    /// What was started: it itself, or with `FORK` who left it to pid 1.
    pub(crate) process: Child,
    workspace: PathBuf,
}

impl Coordinator {
    /// Whether it and the children it started with have exited.
    pub(crate) fn is_gone(&self) -> bool {
        has_exited(self.pid) && self.children.iter().copied().all(has_exited)
    }
}

/// Where everything takes place. It ends with the namespace.
pub(crate) struct Stage {
    pub(crate) release: PathBuf,
    /// The daemon's pid.
    pub(crate) daemon: u32,
    /// Its resident memory in MB, and when it was that.
    pub(crate) resident: Vec<(String, f64)>,
    folder: PathBuf,
    connection: BufReader<UnixStream>,
    started: usize,
    survivor: Option<Coordinator>,
}

impl Stage {
    /// Starts the daemon, with these waits, and the survivor.
    pub(crate) fn set(
        folder: &Path,
        sigterm_wait: Duration,
        sigkill_wait: Duration,
    ) -> Result<Self> {
        let release = programs()?;
        let config = folder.join("team-agentd.toml");
        let roots = [folder];
        // It scans when it is asked to, and takes no temporary directory for a test's leftovers.
        let text = format!(
            "[scan]\ninterval = \"1h\"\n[coordinator]\nworkspace_roots = {roots:?}\n\
             [orphan]\nephemeral_roots = []\n\
             [terminate]\nsigterm_wait = \"{}ms\"\nsigkill_wait = \"{}ms\"\n",
            sigterm_wait.as_millis(),
            sigkill_wait.as_millis()
        );
        fs::write(&config, text)?;
        fs::create_dir(folder.join("ready"))?;
        let socket = folder.join("run/control.sock");
        let daemon = Command::new(release.join("team-agentd"))
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--socket".as_ref(), socket.as_os_str()])
            .args(["--state-dir".as_ref(), folder.join("state").as_os_str()])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(File::create(folder.join("team-agentd.log"))?)
            .spawn()?;
        wait_until("the daemon listens", || {
            UnixStream::connect(&socket).is_ok()
        })?;
        let connection = UnixStream::connect(&socket)?;
        connection.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut stage = Self {
            release,
            daemon: daemon.id(),
            resident: Vec::new(),
            folder: folder.to_owned(),
            connection: BufReader::new(connection),
            started: 0,
            survivor: None,
        };
        stage.scan()?;
        stage.note_memory("after its first scan, no coordinator")?;
        stage.survivor = stage.start(1, &[("FORK", "1")])?.pop();
        Ok(stage)
    }

    /// The result of one request. The connection stays the same all the time.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut line = format!("{request}\n");
        self.connection.get_mut().write_all(line.as_bytes())?;
        line.clear();
        self.connection.read_line(&mut line)?;
        let mut reply: Value = serde_json::from_str(&line)?;
        let result = reply.get_mut("result").map(Value::take);
        result.ok_or_else(|| format!("{method} failed: {line}").into())
    }

    pub(crate) fn scan(&mut self) -> Result<Value> {
        self.call("scan", &json!({}))
    }

    pub(crate) fn fix(&mut self) -> Result<Value> {
        self.call("fix", &json!({"confirm": true}))
    }

    /// Looks at the daemon's memory now, for the table of sizes.
    pub(crate) fn note_memory(&mut self, when: &str) -> Result<()> {
        let resident = memory(self.daemon, "VmRSS")?;
        self.resident.push((when.to_owned(), resident));
        Ok(())
    }

    /// Starts coordinators that live in their workspaces and write to them every 5 s, as real ones
    /// do, and waits until all are up. `traits` are the stand-in's variables.
    pub(crate) fn start(
        &mut self,
        count: usize,
        traits: &[(&str, &str)],
    ) -> Result<Vec<Coordinator>> {
        let mut starting = Vec::new();
        for _ in 0..count {
            self.started += 1;
            let workspace = self.folder.join(format!("workspace-{}", self.started));
            let ready = self.folder.join(format!("ready/{}", self.started));
            fs::create_dir(&workspace)?;
            let mut command = Command::new(self.release.join("examples/stand_in"));
            command
                .arg0("python3")
                .args(["-m", "team_agent.coordinator", "--workspace"])
                .arg(&workspace)
                .env("STAND_IN_READY", &ready)
                .env("STAND_IN_TTL", TTL_S.to_string())
                .stdin(Stdio::null());
            let usual = [
                ("REAL", "1"),
                ("CHDIR", "1"),
                ("SETSID", "1"),
                ("TICK_MS", "5000"),
            ];
            for (name, value) in usual.iter().chain(traits) {
                command.env(format!("STAND_IN_{name}"), value);
            }
            starting.push((command.spawn()?, ready, workspace));
        }
        let up = |(mut process, ready, workspace): (Child, PathBuf, PathBuf)| {
            wait_until("a stand-in is up", || ready.exists())?;
            let report = fs::read_to_string(&ready)?;
            let mut pids = report
                .lines()
                .filter_map(|line| Pid::from_raw(line.parse().ok()?));
            let pid = pids.next().ok_or("a stand-in without a pid")?;
            if process.id() != pid.as_raw_pid().unsigned_abs() {
                // It has left the stand-in to pid 1, and is not to stay as a zombie.
                process.wait()?;
            }
            Ok(Coordinator {
                pid,
                children: pids.collect(),
                process,
                workspace,
            })
        };
        starting.into_iter().map(up).collect()
    }

    /// Coordinators whose workspaces have been deleted, and stay so.
    pub(crate) fn orphans(
        &mut self,
        count: usize,
        traits: &[(&str, &str)],
    ) -> Result<Vec<Coordinator>> {
        let traits = [&[("TICK_MS", "0")], traits].concat();
        let orphans = self.start(count, &traits)?;
        for orphan in &orphans {
            fs::remove_dir_all(&orphan.workspace)?;
        }
        Ok(orphans)
    }

    /// The bench is worth nothing if the daemon ended, or would end, the wrong one.
    pub(crate) fn assert_survivor(&mut self) -> Result<()> {
        let scan = self.scan()?;
        let Some(survivor) = &self.survivor else {
            return Err("there is no survivor".into());
        };
        let pid = survivor.pid.as_raw_pid();
        let coordinators = scan["coordinators"].as_array();
        let is_healthy = coordinators.is_some_and(|entries| {
            let mut own = entries.iter().filter(|entry| entry["pid"] == pid);
            own.any(|entry| entry["verdict"] == "alive")
        });
        if survivor.is_gone() || !is_healthy {
            return Err(format!("the survivor, {pid}, has come to harm: {scan}").into());
        }
        Ok(())
    }
}
