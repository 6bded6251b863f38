//! A daemon with a configuration of its own: its lives, and requests to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Result;
use super::processes::wait_until;

/// How long the daemon may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one, on the `team-agentd.toml` in its folder.
pub(crate) struct Daemon {
    programs: PathBuf,
    folder: PathBuf,
    process: Child,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(programs: &Path, folder: &Path) -> Result<Self> {
        Self::adopt(programs, folder, command(programs, folder)?.spawn()?)
    }

    /// One that was started elsewhere, when it is ready.
    pub(crate) fn adopt(programs: &Path, folder: &Path, process: Child) -> Result<Self> {
        let mut daemon = Self {
            programs: programs.to_owned(),
            folder: folder.to_owned(),
            process,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Starts it again, after it has ended.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.launch_again()?;
        self.wait_until_ready()
    }

    /// The same, without waiting for anything.
    pub(crate) fn launch_again(&mut self) -> Result<()> {
        self.process = command(&self.programs, &self.folder)?.spawn()?;
        Ok(())
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let mut ended = None;
        wait_until("the daemon has done its first scan", || {
            ended = self.process.try_wait().ok().flatten();
            let status = self.call("status", &json!({}));
            ended.is_some() || status.is_ok_and(|status| status["last_scan"].is_object())
        })?;
        match ended {
            Some(status) => {
                let log = fs::read_to_string(self.folder.join("team-agentd.log"))?;
                Err(format!("the daemon ended at once, {status}: {log}").into())
            }
            None => Ok(()),
        }
    }

    /// Its pid, as a number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    fn pid(&self) -> Result<Pid> {
        let pid = i32::try_from(self.process.id())?;
        Ok(Pid::from_raw(pid).ok_or("the daemon has no pid")?)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// SIGTERM, to its end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.process.try_wait()? {
                let how = format!("the daemon was told to stop, and ended with {status}");
                return status.success().then_some(()).ok_or(how.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the daemon does not stop".into())
    }

    /// SIGKILL.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// It must never end by itself.
    pub(crate) fn assert_running(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => Err(format!("the daemon ended by itself, {status}").into()),
            None => Ok(()),
        }
    }

    /// The result of one request, or the error, on a connection of its own.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value> {
        call_on(&UnixStream::connect(self.socket())?, method, params)
    }
}

/// The result of one request on a connection on which nothing else is under way, or the error.
pub(crate) fn call_on(mut stream: &UnixStream, method: &str, params: &Value) -> Result<Value> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let mut reply: Value = serde_json::from_str(&line)?;
    let result = reply.get_mut("result").map(Value::take);
    result.ok_or_else(|| format!("{method} {params} failed: {line}").into())
}

/// How it is started: all it has is below `folder`.
pub(crate) fn command(programs: &Path, folder: &Path) -> Result<Command> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("team-agentd.log"))?;
    let mut daemon = Command::new(programs.join("team-agentd"));
    daemon
        .args([
            "--config".as_ref(),
            folder.join("team-agentd.toml").as_os_str(),
        ])
        .args(["--socket".as_ref(), socket(folder).as_os_str()])
        .args(["--state-dir".as_ref(), folder.join("state").as_os_str()])
        .env_clear()
        .env("HOME", folder.join("home"))
        .stdin(Stdio::null())
        .stderr(log);
    Ok(daemon)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("run/control.sock")
}
