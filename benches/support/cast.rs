//! Stand-ins for coordinators.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use super::Result;
use super::processes::{has_exited, wait_until};

/// A running stand-in.
pub(crate) struct Coordinator {
    pub(crate) pid: Pid,
    pub(crate) children: Vec<Pid>,
    /// What was started: it itself, or with `FORK` who left it to pid 1.
    pub(crate) process: Child,
    pub(crate) workspace: PathBuf,
    ready: PathBuf,
}

impl Coordinator {
    /// Whether it and the children it started with have exited.
    pub(crate) fn is_gone(&self) -> bool {
        has_exited(self.pid) && self.children.iter().copied().all(has_exited)
    }

    /// How many SIGTERMs it took, if it is one that tells (`TELL_TERM`).
    pub(crate) fn sigterms(&self) -> usize {
        let mut told = self.ready.clone().into_os_string();
        told.push(".term");
        fs::metadata(told).map_or(0, |told| told.len() as usize)
    }
}

/// Starts them, each on a workspace of its own below one folder.
pub(crate) struct Cast {
    programs: PathBuf,
    folder: PathBuf,
    /// None of them lives longer.
    ttl_s: u32,
    started: usize,
}

impl Cast {
    pub(crate) fn new(programs: &Path, folder: &Path, ttl_s: u32) -> Result<Self> {
        fs::create_dir_all(folder.join("ready"))?;
        Ok(Self {
            programs: programs.to_owned(),
            folder: folder.to_owned(),
            ttl_s,
            started: 0,
        })
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
            let mut command = Command::new(self.programs.join("examples/stand_in"));
            command
                .arg0("python3")
                .args(["-m", "team_agent.coordinator", "--workspace"])
                .arg(&workspace)
                .env("STAND_IN_READY", &ready)
                .env("STAND_IN_TTL", self.ttl_s.to_string())
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
                ready,
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
}
