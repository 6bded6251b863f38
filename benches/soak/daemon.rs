//! The daemon under test: its configuration, and what it costs.

use std::fmt::Write as _;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::{Duration, Instant};

use super::model::{BREAKER_WINDOW, GRACE, START_GRACE};
use crate::support::{Daemon as Process, Result, memory};

/// What comes before is its warm-up.
const WARM_UP: Duration = Duration::from_secs(10);
/// How much more may be in use at the end of a life than at its beginning, at rest. Descriptors are
/// counted; memory is what glibc has not given back, which goes up and down. Threads of the pool stay
/// while they get something to do every 10 s, and with so many scans all of them do: that they go
/// shows when the scans cease. The pool itself has 80 at most.
const MORE_FDS: f64 = 4.0;
const MORE_THREADS: f64 = 80.0;
/// As many handles on processes as it may have, in waves too: more than there are processes in here.
const MOST_HANDLES: usize = 300;
/// What a daemon with nothing to do has at most: as many threads, as many descriptors.
const RESTING: [f64; 2] = [8.0, 24.0];
const RESTS_WITHIN: Duration = Duration::from_secs(60);
const MORE_MB: f64 = 6.0;
const MORE_MB_SHARE: f64 = 0.25;
/// In a shorter life the pool of threads has not seen its busiest moment yet: then so much more of all.
const LONG_LIFE: Duration = Duration::from_mins(4);
const SHORT_LIFE_FACTOR: f64 = 4.0;

/// What the daemon had in use at one time.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    /// MB, descriptors, threads.
    used: [f64; 3],
}

pub(crate) struct Daemon {
    process: Process,
    samples: Vec<Sample>,
}

impl Deref for Daemon {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(programs: &Path, folder: &Path) -> Result<Self> {
        Ok(Self {
            process: Process::start(programs, folder)?,
            samples: Vec::new(),
        })
    }

    /// Starts it again, after it has ended.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.samples.clear();
        self.process.start_again()
    }

    /// Notes what it has in use.
    pub(crate) fn sample(&mut self) -> Result<()> {
        let (at, used) = (Instant::now(), self.used()?);
        self.samples.push(Sample { at, used });
        Ok(())
    }

    fn used(&self) -> Result<[f64; 3]> {
        let pid = self.process.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
        // Those on coordinators come and go with them, and are bounded.
        let is_handle = |entry: &fs::DirEntry| {
            let leads = fs::read_link(entry.path()).unwrap_or_default();
            leads.to_string_lossy().contains("pidfd")
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd"))?.filter_map(std::io::Result::ok);
        let (handles, others): (Vec<_>, Vec<_>) = files.partition(is_handle);
        if handles.len() > MOST_HANDLES {
            let handles = handles.len();
            return Err(format!("GROWTH: handles on {handles} processes").into());
        }
        let resident = memory(pid, "VmRSS")?;
        Ok([resident, others.len() as f64, tasks.count() as f64])
    }

    /// Waits until it has nothing left of all it did, now that it does not scan any more. Gives how many
    /// threads and descriptors that are.
    pub(crate) fn rest(&mut self) -> Result<[f64; 2]> {
        let give_up = Instant::now() + RESTS_WITHIN;
        loop {
            let [_, fds, threads] = self.used()?;
            let left = [threads, fds];
            if left.iter().zip(RESTING).all(|(left, most)| *left <= most) {
                return Ok(left);
            }
            if Instant::now() > give_up {
                return Err(format!(
                    "GROWTH: with nothing to do it still has {threads} threads and {fds} descriptors"
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How this life went: a row for each thing in use, and the first that has grown too much. At rest
    /// is the least of many samples: scans and kills come on top of it and go.
    pub(crate) fn growth(&self) -> (Vec<String>, Option<String>) {
        let warm = self.samples.first().map(|first| first.at + WARM_UP);
        let warm: Vec<Sample> = self
            .samples
            .iter()
            .filter(|sample| warm.is_some_and(|warm| sample.at >= warm))
            .copied()
            .collect();
        let third = warm.len() / 3;
        let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
            return (Vec::new(), None);
        };
        let length = last.at.duration_since(first.at);
        let factor = if length < LONG_LIFE {
            SHORT_LIFE_FACTOR
        } else {
            1.0
        };
        if third < 3 {
            return (Vec::new(), None);
        }
        let mut rows = Vec::new();
        let mut problem = None;
        let limits = [
            ("resident MB", MORE_MB),
            ("descriptors", MORE_FDS),
            ("threads", MORE_THREADS),
        ];
        for (which, (what, more)) in limits.into_iter().enumerate() {
            let least = |samples: &[Sample]| {
                let used = samples.iter().map(|sample| sample.used[which]);
                used.fold(f64::INFINITY, f64::min)
            };
            let most = warm
                .iter()
                .map(|sample| sample.used[which])
                .fold(0.0, f64::max);
            let begin = least(&warm[..third]);
            let end = least(&warm[warm.len() - third..]);
            let share = if which == 0 { MORE_MB_SHARE } else { 0.0 };
            let allowed = (more + begin * share) * factor;
            let slope = slope(&warm, which) * 3600.0;
            let mut row = String::new();
            let _ = write!(
                row,
                "| {what}, at rest | {begin:.1} → {end:.1} (most {most:.1}; {slope:+.1} an hour over {:.0} min; allowed: +{allowed:.1}) |",
                length.as_secs_f64() / 60.0
            );
            if end > begin + allowed {
                problem = Some(format!("GROWTH: {row}"));
            }
            rows.push(row);
        }
        (rows, problem)
    }
}

/// By least squares, a second.
fn slope(samples: &[Sample], which: usize) -> f64 {
    let count = samples.len() as f64;
    let point = |sample: &Sample| {
        let x = sample.at.duration_since(samples[0].at).as_secs_f64();
        (x, sample.used[which])
    };
    let (sum_x, sum_y) = samples
        .iter()
        .map(point)
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (over, under) = samples
        .iter()
        .map(point)
        .fold((0.0, 0.0), |(a, b), (x, y)| {
            (a + (x - mean_x) * (y - mean_y), b + (x - mean_x).powi(2))
        });
    if under > 0.0 { over / under } else { 0.0 }
}

/// What it runs on. `variant` changes something that does not matter here.
pub(crate) fn configure(folder: &Path, variant: u64) -> Result<()> {
    write_config(folder, "200ms", variant, [GRACE, START_GRACE], "")
}

/// The same with one unknown key, and with what would make it kill at once if anything of it were
/// taken in.
pub(crate) fn misconfigure(folder: &Path, variant: u64) -> Result<()> {
    write_config(
        folder,
        "200ms",
        variant,
        [Duration::ZERO; 2],
        "patience = 0\n",
    )
}

/// The same for a daemon that does not scan by itself any more.
pub(crate) fn lull(folder: &Path, variant: u64) -> Result<()> {
    write_config(folder, "24h", variant, [GRACE, START_GRACE], "")
}

fn write_config(
    folder: &Path,
    interval: &str,
    variant: u64,
    graces: [Duration; 2],
    last: &str,
) -> Result<()> {
    let max_per_scan = 5 + variant % 2;
    let [grace, start_grace, window] =
        [graces[0], graces[1], BREAKER_WINDOW].map(|time| time.as_millis());
    let text = format!(
        "[scan]\ninterval = \"{interval}\"\nprobe_timeout = \"30s\"\n\
         [coordinator]\nworkspace_roots = {:?}\n\
         [orphan]\nephemeral_roots = {:?}\nephemeral_min_age = \"0s\"\n\
         [terminate]\nsigterm_wait = \"500ms\"\nsigkill_wait = \"60s\"\n\
         [events]\nrotate_bytes = 262144\nkeep = 100\n\
         [reap]\nconfirm = true\nmin_sightings = 3\nmax_per_scan = {max_per_scan}\n\
         grace = \"{grace}ms\"\nstart_grace = \"{start_grace}ms\"\nbreaker_window = \"{window}ms\"\n{last}",
        [folder.join("work")],
        [folder],
    );
    fs::write(folder.join("team-agentd.toml"), text)?;
    Ok(())
}
