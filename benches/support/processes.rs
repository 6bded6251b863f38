//! What is known of processes from the outside: whether they live, what they cost.

use std::ffi::OsString;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;

use nix::sys::time::TimeValLike;
use rustix::process::Pid;

use super::Result;

/// What takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > give_up {
            return Err(format!("waited in vain until {what}").into());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Whether it has exited. A zombie has.
pub(crate) fn has_exited(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it is in parentheses and may hold anything.
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

pub(crate) fn count_processes() -> Result<usize> {
    let is_pid = |name: OsString| {
        name.into_string()
            .is_ok_and(|name| name.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter(|entry| is_pid(entry.file_name())).count())
}

/// A line of `/proc/PID/status`, such as `VmRSS`, in MB.
pub(crate) fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| {
        let kilobytes = line.strip_prefix(field)?.strip_prefix(':')?;
        kilobytes.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    });
    Ok(value.ok_or_else(|| format!("no {field}"))? * 1024.0 / 1e6)
}

/// What a process spends of a CPU from a moment on, with all the threads it had meanwhile, by its CPU clock
/// (clock_getcpuclockid(3)): what `/proc/PID/stat` says comes in steps of 10 ms, too coarse for what a daemon does.
pub(crate) struct Spending {
    clock: ClockId,
    before: Duration,
}

impl Spending {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let clock = clock_of(pid)?;
        let before = clock.now()?.into();
        Ok(Self { clock, before })
    }

    /// What it was since then.
    pub(crate) fn so_far(&self) -> Result<Duration> {
        let now: Duration = self.clock.now()?.into();
        Ok(now.saturating_sub(self.before))
    }
}

#[cfg(target_os = "linux")]
fn clock_of(pid: u32) -> Result<ClockId> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
    Ok(nix::time::clock_getcpuclockid(pid)?)
}

#[cfg(not(target_os = "linux"))]
fn clock_of(_: u32) -> Result<ClockId> {
    Err("other processes have no CPU clock here".into())
}

/// The CPU time of a process and all the threads it ever had, in steps of 10 ms.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").ok_or("a stat without a name")?;
    // utime and stime, proc_pid_stat(5).
    let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
    let a_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1_000 / a_second))
}

/// The CPU time of all children that have been waited for.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}
