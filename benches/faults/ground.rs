//! What each part stands on: a folder, a daemon, those who have to die and those who must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::namespace::programs;
use crate::support::{Cast, Coordinator, Daemon, Dice, Result, has_exited};

pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) programs: PathBuf,
    pub(crate) cast: Cast,
    pub(crate) dice: Dice,
    bystanders: Vec<Coordinator>,
}

impl Ground {
    pub(crate) fn new(folder: PathBuf, ttl_s: u32, dice: Dice) -> Result<Self> {
        let programs = programs()?;
        Ok(Self {
            cast: Cast::new(&programs, &folder, ttl_s)?,
            folder,
            programs,
            dice,
            bystanders: Vec::new(),
        })
    }

    /// Writes the configuration of daemons started from now on: below this folder alone they look.
    pub(crate) fn configure(&self, sections: &str) -> Result<()> {
        let roots = [&self.folder];
        let text = format!(
            "{sections}\n[coordinator]\nworkspace_roots = {roots:?}\n[orphan]\nephemeral_roots = []\n"
        );
        Ok(fs::write(self.folder.join("team-agentd.toml"), text)?)
    }

    pub(crate) fn daemon(&self) -> Result<Daemon> {
        Daemon::start(&self.programs, &self.folder)
    }

    /// Healthy coordinators, every other one with a child, that ignore SIGTERM and tell if they get one.
    pub(crate) fn add_bystanders(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let children = (number % 2).to_string();
            let traits = [
                ("FORK", "1"),
                ("TELL_TERM", "1"),
                ("IGNORE_TERM", "1"),
                ("CHILDREN", &*children),
            ];
            self.bystanders.extend(self.cast.start(1, &traits)?);
        }
        Ok(())
    }

    /// The first of them: somebody to ask about.
    pub(crate) fn bystander(&self) -> Result<Pid> {
        let first = self.bystanders.first().ok_or("there is no bystander")?;
        Ok(first.pid)
    }

    pub(crate) fn is_bystander(&self, pid: Pid) -> bool {
        self.bystanders
            .iter()
            .any(|bystander| bystander.pid == pid || bystander.children.contains(&pid))
    }

    /// Fails if anybody who must not come to harm has.
    pub(crate) fn assert_unharmed(&self) -> Result<()> {
        for bystander in &self.bystanders {
            let family = [&bystander.children[..], &[bystander.pid]].concat();
            if family.into_iter().any(has_exited) || bystander.sigterms() > 0 {
                return Err(format!("WRONG KILL: {} has come to harm", bystander.pid).into());
            }
        }
        Ok(())
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Ends the bystanders, and removes the folder as far as possible.
    pub(crate) fn clear(self) -> Result<()> {
        for bystander in self.bystanders {
            for pid in [&bystander.children[..], &[bystander.pid]].concat() {
                if !has_exited(pid) {
                    kill_process(pid, Signal::KILL)?;
                }
            }
        }
        // A bystander may just write into it; all of it goes with the bench's own folder.
        let _ = fs::remove_dir_all(&self.folder);
        Ok(())
    }
}

/// The value below which `share` of them lie.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Median, p99 and worst of them.
pub(crate) fn latencies(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let [median, p99, worst] =
        [0.5, 0.99, 1.0].map(|share| quantile(&times, share).as_secs_f64() * 1e3);
    format!("median {median:.2} ms, p99 {p99:.2} ms, max {worst:.2} ms")
}

/// How many entries `/proc/PID/what` has.
pub(crate) fn count_of(pid: u32, what: &str) -> Result<usize> {
    let path = Path::new("/proc").join(pid.to_string()).join(what);
    Ok(fs::read_dir(path)?.count())
}
