//! What the owner has said beyond the configuration: pauses, keeps, and the breaker's suspension,
//! which only the owner lifts. Survives a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::clock::{Moment, Now};
use super::evidence::{Evidence, normalised, seen_from_outside};
use super::process::{Pid, ProcessIdentity};

/// Everything that was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Automatic reaping is held.
    pub pause: Option<Pause>,
    /// Automatic reaping is suspended until somebody resumes it.
    pub suspension: Option<Suspension>,
    /// What is never touched.
    pub keeps: Keeps,
    /// What was said before cannot be read any more: anything may have been kept.
    pub is_unknown: bool,
}

/// A hold on automatic reaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Until when; until it is resumed, if nothing is said.
    pub until: Option<SystemTime>,
    /// The same by the clock that nobody sets; not known after a restart.
    pub not_before: Option<Moment>,
}

impl Pause {
    /// Whether it holds. A clock that is set forward does not end it.
    #[must_use]
    pub fn holds(&self, now: Now) -> bool {
        let by_the_wall = self.until.is_none_or(|until| now.wall < until);
        let by_the_moment = self.not_before.is_some_and(|moment| now.moment < moment);
        by_the_wall || by_the_moment
    }

    /// Whichever lasts longer, by each clock: a hold is not shortened by another one.
    #[must_use]
    pub fn or_longer(self, other: Self) -> Self {
        match (self.until, other.until) {
            (Some(until), Some(others)) => Self {
                until: Some(until.max(others)),
                not_before: self.not_before.max(other.not_before),
            },
            _ => Self {
                until: None,
                not_before: None,
            },
        }
    }
}

/// Why automatic reaping suspended itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub since: SystemTime,
    /// What happened, for people.
    pub why: String,
}

/// What a `resume` ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifted {
    /// A pause.
    pub pause: bool,
    /// A suspension.
    pub suspension: Option<Suspension>,
}

impl Lifted {
    /// Whether there was anything to end.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.pause || self.suspension.is_some()
    }
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The process that has this pid, until it ends.
    Process(Pid),
    /// Whatever works at or below this path.
    Path(PathBuf),
}

impl fmt::Display for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(formatter, "process {pid}"),
            Self::Path(path) => write!(formatter, "{path:?}"),
        }
    }
}

/// There is no room for what is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Workspaces at or below these: each path by its name, with where it led when that was said.
    pub paths: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// These processes, until they end.
    pub processes: BTreeMap<Pid, ProcessIdentity>,
    /// Where some of the paths led at the last scan. It is found out anew after a restart.
    pub leads: BTreeMap<PathBuf, PathBuf>,
}

impl Keeps {
    /// So many processes are kept at most, and so many paths, each with where it led: more is a script
    /// that went wrong, and would have to be read at the next start.
    pub const MOST: usize = 4096;
    /// The paths among them are so long at most, all together: they are in every `status`.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Keeps a process, until it ends.
    ///
    /// # Errors
    /// [`Full`], if it is not kept already.
    pub fn add_process(&mut self, process: ProcessIdentity) -> Result<(), Full> {
        let is_new = !self.processes.contains_key(&process.pid);
        if is_new && self.processes.len() >= Self::MOST {
            return Err(Full);
        }
        self.processes.insert(process.pid, process);
        Ok(())
    }

    /// Keeps what is at or below a path, and where that leads.
    ///
    /// # Errors
    /// [`Full`], if not all of that is kept already.
    pub fn add_path(&mut self, name: PathBuf, leads_to: Vec<PathBuf>) -> Result<(), Full> {
        let led_to = self.paths.get(&name);
        let is_kept = |path: &PathBuf| led_to.is_some_and(|led_to| led_to.contains(path));
        let new_ones: BTreeSet<&PathBuf> = leads_to.iter().filter(|path| !is_kept(path)).collect();
        let more = usize::from(led_to.is_none()) + new_ones.len();
        let kept = || {
            self.paths
                .iter()
                .flat_map(|(name, led_to)| iter::once(name).chain(led_to))
        };
        let long = |path: &PathBuf| path.as_os_str().len();
        let longer: usize = iter::once(&name).chain(&leads_to).map(long).sum();
        let is_full = kept().count() + more > Self::MOST
            || kept().map(long).sum::<usize>() + longer > Self::MOST_BYTES;
        if more > 0 && is_full {
            return Err(Full);
        }
        self.paths.entry(name).or_default().extend(leads_to);
        Ok(())
    }

    /// Keeps what is where kept paths lead by now, beside where they led when that was said. Whether that is another place
    /// than before. One of which nothing is said leads where it led.
    pub fn follow(&mut self, leads: &BTreeMap<PathBuf, PathBuf>) -> bool {
        let mut is_another = false;
        for (name, real) in leads {
            if self.paths.contains_key(name) && self.leads.get(name) != Some(real) {
                self.leads.insert(name.clone(), real.clone());
                is_another = true;
            }
        }
        let paths = &self.paths;
        self.leads.retain(|name, _| paths.contains_key(name));
        is_another
    }

    /// Whether something was kept by exactly this name.
    #[must_use]
    pub fn names(&self, what: &Kept) -> bool {
        match what {
            Kept::Process(pid) => self.processes.contains_key(pid),
            Kept::Path(path) => self.paths.contains_key(path),
        }
    }

    /// Whether this coordinator is kept, itself or by its workspace.
    #[must_use]
    pub fn hold(&self, process: &ProcessIdentity, evidence: &Evidence) -> bool {
        let paths = self.paths.iter().flat_map(|(name, led_to)| {
            // By its name, too: where a link leads may have changed.
            let now = self.leads.get(name);
            iter::once(name).chain(led_to).chain(now)
        });
        self.processes.get(&process.pid) == Some(process)
            || (!self.paths.is_empty() && concerns(evidence, paths))
    }
}

impl Steering {
    /// Whether automatic reaping is held by the owner, or by itself.
    #[must_use]
    pub fn holds_reaping(&self, now: Now) -> bool {
        self.suspension.is_some() || self.pause.is_some_and(|pause| pause.holds(now))
    }
}

/// Whether this workspace is at or below one of these paths: by its name, by where its links lead,
/// or by where what the process holds was last seen.
#[must_use]
pub fn concerns<'a>(
    evidence: &Evidence,
    paths: impl IntoIterator<Item = &'a PathBuf> + Clone,
) -> bool {
    let inside = [&evidence.workspace, &evidence.resolved]
        .into_iter()
        .flatten();
    let outside = inside
        .clone()
        .map(|path| seen_from_outside(&evidence.root, path));
    let held = [&evidence.cwd, &evidence.log].into_iter().flatten();
    inside
        .cloned()
        .chain(outside)
        .chain(held.map(|holding| holding.path.clone()))
        .any(|path| is_below_any(&path, paths.clone()))
}

/// Whether `path` is one of these or below one, by its text.
#[must_use]
pub fn is_below_any<'a>(path: &Path, paths: impl IntoIterator<Item = &'a PathBuf>) -> bool {
    let path = normalised(path);
    paths.into_iter().any(|root| path.starts_with(root))
}
