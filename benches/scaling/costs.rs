//! What each of them takes of a CPU for one look at all processes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::support::{Result, Stage, cpu_of_children};

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What a program takes from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// As the original does, short of reading through the lines.
pub(crate) fn ps() -> Result<Run> {
    run(Command::new("ps").args(["-Awwo", "pid=,etime=,command="]))
}

/// The same engine in the client.
pub(crate) fn embedded(stage: &Stage) -> Result<Run> {
    let mut command = Command::new(stage.release.join("team-agentctl"));
    command
        .args(["--embedded", "--json", "scan"])
        .env("TEAM_AGENTD_CONFIG", &stage.config);
    run(&mut command)
}

fn run(command: &mut Command) -> Result<Run> {
    let (before, began) = (cpu_of_children()?, Instant::now());
    let output = command.stdin(Stdio::null()).output()?;
    let wall = began.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(before);
    if !output.status.success() || output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} ended with {}: {said}", output.status).into());
    }
    Ok(Run { cpu, wall })
}

/// Without this nobody knows who is there.
pub(crate) fn listing() -> Result<Duration> {
    of_this_thread(|| pids().map(drop))
}

/// Without this nobody knows who is a coordinator: each argv into one buffer.
pub(crate) fn cmdlines() -> Result<Duration> {
    of_this_thread(|| {
        let mut buffer = Vec::new();
        for pid in pids()? {
            // Who is gone by now has none.
            if let Ok(mut file) = File::open(format!("/proc/{pid}/cmdline")) {
                buffer.clear();
                let _ = file.read_to_end(&mut buffer);
            }
        }
        Ok(())
    })
}

fn pids() -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

fn of_this_thread(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let spent = || -> Result<Duration> {
        let clock = clock_gettime(ClockId::ThreadCPUTime);
        Ok(Duration::try_from(clock)?)
    };
    let before = spent()?;
    work()?;
    Ok(spent()?.saturating_sub(before))
}

/// The original's scan, in a Python that stays.
pub(crate) struct Original {
    process: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Original {
    pub(crate) fn start() -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scaling/original.py");
        let mut process = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asked = process.stdin.take().ok_or("no standard input")?;
        let answers = process.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            process,
            asked,
            answers: BufReader::new(answers),
        })
    }

    /// What one scan takes that has to find so many coordinators.
    pub(crate) fn scan(&mut self, coordinators: usize) -> Result<Duration> {
        self.asked.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (count, spent) = line
            .trim_end()
            .split_once(' ')
            .ok_or_else(|| format!("the original's scan answers {line:?}"))?;
        if count.parse() != Ok(coordinators) {
            return Err(format!("the original's scan finds {count}, not {coordinators}").into());
        }
        Ok(Duration::from_secs_f64(spent.parse::<f64>()? / 1e3))
    }

    pub(crate) fn stop(self) -> Result<()> {
        let Self {
            mut process, asked, ..
        } = self;
        drop(asked);
        process.wait()?;
        Ok(())
    }
}
