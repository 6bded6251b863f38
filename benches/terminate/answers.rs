//! How soon the daemon notices, and how soon it answers.

use std::fs;
use std::io::BufRead;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::ORPHANS;
use super::support::{Daemon, Result, Stage, call_on};

const REACTIONS: usize = 100;
const NOTICED_ROUNDS: usize = 6;
const ROUND_TRIPS: usize = 2_000;
const LAST_EVENTS: usize = 20;
const EVENTS_ROUNDS: usize = 1_000;
const STARTS: usize = 20;

/// `rotate_bytes`, as it is by default …
const SEGMENT_BYTES: u64 = 5 << 20;
/// … and room for what the daemon writes at its start, before it rotates.
const SPARE_BYTES: u64 = 4_096;
/// The segment is as full as this, at least: a story more would not fit.
const NEARLY_FULL_BYTES: u64 = 5_000_000;

/// From an orphan's exit, as a parent that waits for it sees it, to the answer on the socket.
pub(crate) fn reaction(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> from the exit to the answer");
    let mut times = Vec::new();
    for _ in 0..REACTIONS {
        // It takes its time to exit, so that the daemon has nothing else left to do.
        for mut orphan in stage.orphans(1, &[("EXIT_MS", "20")])? {
            let parent = thread::spawn(move || orphan.process.wait().map(|_| Instant::now()));
            let result = stage.fix()?;
            let answered = Instant::now();
            let exited = parent.join().map_err(|_| "the parent panicked")??;
            if result["killed"][0]["sigkill_required"] != false {
                return Err(format!("one obedient orphan was to end: {result}").into());
            }
            times.push(answered.saturating_duration_since(exited));
        }
    }
    Ok(vec![row("an orphan's exit → the result of `fix`", times)])
}

/// From the end of a deletion to the word that an orphan was detected, on the socket. The interval is an hour.
pub(crate) fn noticed(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> from a deletion to its detection");
    let mut told = stage.follow()?;
    let mut times = Vec::new();
    for _ in 0..NOTICED_ROUNDS {
        // With the survivor, that makes 35.
        let coordinators = stage.start(ORPHANS - 1, &[])?;
        stage.scan()?;
        for one in &coordinators {
            // What makes it takes its time.
            thread::sleep(Duration::from_millis(30));
            fs::remove_dir_all(&one.workspace)?;
            let deleted = Instant::now();
            let pid = format!("\"pid\":{},", one.pid.as_raw_pid());
            let mut line = String::new();
            while !(line.contains("\"orphan.detected\"") && line.contains(&pid)) {
                line.clear();
                if told.read_line(&mut line)? == 0 {
                    return Err("the daemon tells nothing any more".into());
                }
            }
            times.push(deleted.elapsed());
        }
        stage.fix()?;
        // No zombies are left for the scans to go through.
        for mut one in coordinators {
            one.process.wait()?;
        }
    }
    Ok(vec![row(
        "a workspace's deletion → `orphan.detected`",
        times,
    )])
}

pub(crate) fn version(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> round trips");
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stage.call("version", &json!({}))?;
        times.push(began.elapsed());
    }
    Ok(vec![row("a `version` round trip", times)])
}

/// The end of a segment that is as full as it gets.
pub(crate) fn last_events(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> the last {LAST_EVENTS} of a full segment");
    let folder = stage.folder.join("full");
    prepare(stage, &folder)?;
    let mut daemon = Daemon::start(&stage.release, &folder)?;
    let connection = UnixStream::connect(daemon.socket())?;
    let params = json!({"limit": LAST_EVENTS});
    let mut times = Vec::new();
    for _ in 0..EVENTS_ROUNDS {
        let began = Instant::now();
        let result = call_on(&connection, "events", &params)?;
        times.push(began.elapsed());
        if result["events"].as_array().map(Vec::len) != Some(LAST_EVENTS) {
            return Err(format!("{LAST_EVENTS} events were to come: {result}").into());
        }
    }
    let segment = fs::metadata(folder.join("state/events.jsonl"))?.len();
    if !(NEARLY_FULL_BYTES..SEGMENT_BYTES).contains(&segment) {
        return Err(format!("the segment was to be full, and has {segment} bytes").into());
    }
    daemon.stop()?;
    let what = format!("the last {LAST_EVENTS} events of a segment of {segment} bytes");
    Ok(vec![row(&what, times)])
}

/// From the start of a daemon until it is ready: its socket is there, and its first scan is done.
pub(crate) fn start(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> from the start until ready");
    let folder = stage.folder.join("started");
    prepare(stage, &folder)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut daemon = Daemon::start(&stage.release, &folder)?;
        times.push(began.elapsed());
        daemon.stop()?;
    }
    Ok(vec![row("start → ready", times)])
}

/// Makes a folder for a second daemon, which sees no workspace, and has a full segment behind it: the whole story of
/// a few orphans, again and again.
fn prepare(stage: &mut Stage, folder: &Path) -> Result<()> {
    let log = stage.folder.join("state/events.jsonl");
    let before = fs::read(&log)?.len();
    for mut orphan in stage.orphans(3, &[])? {
        stage.fix()?;
        orphan.process.wait()?;
    }
    let records = fs::read(&log)?;
    // Shorter, if the segment was rotated away meanwhile.
    let records = records.get(before..).unwrap_or(&records);

    fs::create_dir_all(folder.join("state"))?;
    let nowhere = [folder.join("nowhere")];
    let text = format!("[coordinator]\nworkspace_roots = {nowhere:?}\n");
    fs::write(folder.join("team-agentd.toml"), text)?;
    let room = usize::try_from(SEGMENT_BYTES - SPARE_BYTES)?;
    let full = records.repeat(room / records.len());
    Ok(fs::write(folder.join("state/events.jsonl"), full)?)
}

fn row(what: &str, mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let count = times.len();
    let [median, p99, worst] = [count / 2, count * 99 / 100, count - 1].map(|at| ms(times[at]));
    format!("| {what} | {median} | {p99} | {worst} | {count} |")
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
