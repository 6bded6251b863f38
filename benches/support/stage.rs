//! A private daemon, and one coordinator that must not come to harm.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::Result;
use super::cast::{Cast, Coordinator};
use super::namespace::programs;
use super::processes::{memory, wait_until};

/// An interval that is not over before the bench is.
const NEVER: &str = "1h";
/// How long the daemon may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Where everything takes place. It ends with the namespace.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) release: PathBuf,
    /// The daemon's pid.
    pub(crate) daemon: u32,
    pub(crate) config: PathBuf,
    /// Its resident memory in MB, and when it was that.
    pub(crate) resident: Vec<(String, f64)>,
    connection: BufReader<UnixStream>,
    cast: Cast,
    survivor: Option<Coordinator>,
}

impl Stage {
    /// Starts the daemon, with these waits, and the survivor. No coordinator lives longer than `ttl_s`, in seconds.
    pub(crate) fn set(
        folder: &Path,
        sigterm_wait: Duration,
        sigkill_wait: Duration,
        ttl_s: u32,
    ) -> Result<Self> {
        let release = programs()?;
        let config = folder.join("team-agentd.toml");
        let roots = [folder];
        // It scans when it is asked to, and takes no temporary directory for a test's leftovers.
        let text = format!(
            "[scan]\ninterval = \"{NEVER}\"\n[coordinator]\nworkspace_roots = {roots:?}\n\
             [orphan]\nephemeral_roots = []\n\
             [terminate]\nsigterm_wait = \"{}ms\"\nsigkill_wait = \"{}ms\"\n",
            sigterm_wait.as_millis(),
            sigkill_wait.as_millis()
        );
        fs::write(&config, text)?;
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
            folder: folder.to_owned(),
            cast: Cast::new(&release, folder, ttl_s)?,
            release,
            daemon: daemon.id(),
            config,
            resident: Vec::new(),
            connection: BufReader::new(connection),
            survivor: None,
        };
        stage.scan()?;
        stage.note_memory("after its first scan, no coordinator")?;
        stage.survivor = stage.start(1, &[("FORK", "1")])?.pop();
        Ok(stage)
    }

    /// Has the daemon scan by itself, so often; and then, for `None`, only when it is asked to again.
    pub(crate) fn scan_every(&mut self, interval: Option<&str>) -> Result<()> {
        let text = fs::read_to_string(&self.config)?;
        let rest = text.split_once("[coordinator]").map(|(_, rest)| rest);
        let rest = rest.ok_or("the configuration is another one")?;
        let interval = interval.unwrap_or(NEVER);
        let text = format!("[scan]\ninterval = \"{interval}\"\n[coordinator]{rest}");
        fs::write(&self.config, text)?;
        self.call("reload", &json!({})).map(drop)
    }

    /// How many scans the daemon has done.
    pub(crate) fn scans(&mut self) -> Result<u64> {
        let status = self.call("status", &json!({}))?;
        let scans = status["counters"]["scans"].as_u64();
        scans.ok_or_else(|| format!("no count of scans: {status}").into())
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

    /// A connection on which the daemon tells what happens from now on, a line each.
    pub(crate) fn follow(&self) -> Result<BufReader<UnixStream>> {
        let address = self.connection.get_ref().peer_addr()?;
        let socket = address
            .as_pathname()
            .ok_or("the daemon's socket has no name")?;
        let mut told = BufReader::new(UnixStream::connect(socket)?);
        told.get_ref().set_read_timeout(Some(ANSWER_LIMIT))?;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe"});
        told.get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        told.read_line(&mut String::new())?;
        Ok(told)
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

    /// [`Cast::start`].
    pub(crate) fn start(
        &mut self,
        count: usize,
        traits: &[(&str, &str)],
    ) -> Result<Vec<Coordinator>> {
        self.cast.start(count, traits)
    }

    /// [`Cast::orphans`].
    pub(crate) fn orphans(
        &mut self,
        count: usize,
        traits: &[(&str, &str)],
    ) -> Result<Vec<Coordinator>> {
        self.cast.orphans(count, traits)
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
