//! How long orphans take to end, and answers to come: `cargo bench --bench terminate`.
//!
//! The daemon is the release build, asked through its socket. Beside it, on stand-ins of the same
//! kind, what the original does about it: one orphan after the other, with a poll every 0.1 s, and
//! a process table from `ps`. Prints Markdown; docs/performance.md says what the figures mean.
//! `-- --only NAME` measures one part of [`PARTS`].
#![expect(clippy::print_stdout, reason = "this program's business is a table")]
#![expect(clippy::print_stderr, reason = "and to say how far it got")]

#[expect(
    dead_code,
    unused_imports,
    reason = "the other benches measure with the rest"
)]
mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use self::support::{Coordinator, Result, Stage, TTL_S, enter, has_exited, is_inside, memory};

type Part = fn(&mut Stage) -> Result<Vec<String>>;

/// What can be measured: the name that `--only` takes, the head of its table, the measurement.
const PARTS: [(&str, &str, Part); 8] = [
    ("stubborn", ENDING, |stage| ending(stage, &STUBBORN)),
    ("thousand", ENDING, |stage| ending(stage, &THOUSAND)),
    ("obedient", ENDING, |stage| ending(stage, &OBEDIENT)),
    ("families", ENDING, |stage| ending(stage, &FAMILIES)),
    ("reaction", FIGURES, reaction),
    ("noticed", FIGURES, noticed),
    ("version", FIGURES, version),
    ("size", SIZES, sizes),
];
const ENDING: &str = "\
| orphans | ours ÷ original | ours | an orphan | original | an orphan | the original leaves |
|---|---|---|---|---|---|---|";
const FIGURES: &str = "\
| how long | median | p99 | worst | of |
|---|---|---|---|---|";
const SIZES: &str = "\
| how large | MB |
|---|---|";

const ORPHANS: usize = 35;
/// Each has to come up.
const STARTED_AT_ONCE: usize = 100;
const REACTIONS: usize = 100;
const NOTICED_ROUNDS: usize = 6;
const ROUND_TRIPS: usize = 2_000;

/// The original's waits, and the daemon's.
const SIGTERM_WAIT: Duration = Duration::from_secs(3);
const SIGKILL_WAIT: Duration = Duration::from_secs(2);
/// The original's pause between two looks.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A kind of orphan, and how many of them the original is measured on.
struct Kind {
    what: &'static str,
    count: usize,
    temper: (&'static str, &'static str),
    for_the_original: usize,
}

const STUBBORN: Kind = Kind {
    what: "ignore SIGTERM",
    count: ORPHANS,
    temper: ("IGNORE_TERM", "1"),
    // 3.1 s each.
    for_the_original: 3,
};
const THOUSAND: Kind = Kind {
    count: 1_000,
    ..STUBBORN
};
const OBEDIENT: Kind = Kind {
    what: "obey SIGTERM",
    count: ORPHANS,
    temper: ("IGNORE_TERM", "0"),
    for_the_original: ORPHANS,
};
const FAMILIES: Kind = Kind {
    what: "obey SIGTERM, each with a child in its group",
    count: ORPHANS,
    temper: ("CHILDREN", "1"),
    for_the_original: ORPHANS,
};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without that word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing was measured: this is for `cargo bench --bench terminate`");
        return ExitCode::SUCCESS;
    }
    let run = || match (wanted(&arguments)?, is_inside(TTL_S)?) {
        (parts, Some(folder)) => measure(&parts, &folder),
        (_, None) => enter(&arguments),
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("terminate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: &[OsString]) -> Result<Vec<(&'static str, Part)>> {
    let mut arguments = arguments.iter().filter(|argument| *argument != "--bench");
    let only = match arguments.next() {
        None => None,
        Some(option) if option == "--only" => Some(arguments.next().cloned().unwrap_or_default()),
        Some(other) => return Err(format!("{other:?} is no option; --only NAME is").into()),
    };
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let parts = PARTS.iter().filter(|(name, ..)| is_wanted(name));
    let parts: Vec<_> = parts.map(|(_, head, part)| (*head, *part)).collect();
    if parts.is_empty() || arguments.next().is_some() {
        let names = PARTS.map(|(name, ..)| name).join(", ");
        return Err(format!("--only takes one of {names}").into());
    }
    Ok(parts)
}

fn measure(parts: &[(&'static str, Part)], folder: &Path) -> Result<()> {
    let mut stage = Stage::set(folder, SIGTERM_WAIT, SIGKILL_WAIT)?;
    let mut tables: Vec<(&str, Vec<String>)> = Vec::new();
    for (head, part) in parts {
        let rows = part(&mut stage)?;
        match tables.last_mut() {
            Some((last, table)) if last == head => table.extend(rows),
            _ => tables.push((head, rows)),
        }
    }
    stage.assert_survivor()?;
    for (head, rows) in tables {
        println!("{head}\n{}\n", rows.join("\n"));
    }
    Ok(())
}

/// From the request to the answer, which includes a fresh scan, every check and the records, against
/// the original's loop alone.
fn ending(stage: &mut Stage, kind: &Kind) -> Result<Vec<String>> {
    let count = kind.count;
    eprintln!("==> {count} orphans that {}", kind.what);
    // Left to pid 1, which reaps them at once: for the original a zombie is alive.
    let traits = [("FORK", "1"), kind.temper];
    let mut orphans = Vec::new();
    while orphans.len() < count {
        let some = STARTED_AT_ONCE.min(count - orphans.len());
        orphans.extend(stage.orphans(some, &traits)?);
    }
    let began = Instant::now();
    let result = stage.fix()?;
    let ours = began.elapsed().as_secs_f64();
    let killed = result["killed"].as_array().map_or(0, Vec::len);
    if killed != count || !orphans.iter().all(Coordinator::is_gone) {
        return Err(format!("not all {count} have ended: {result}").into());
    }

    let fewer = kind.for_the_original;
    eprintln!("    the original's way, on {fewer} of them");
    let orphans = stage.orphans(fewer, &traits)?;
    let began = Instant::now();
    for orphan in &orphans {
        end_as_the_original(orphan.pid)?;
    }
    let original = began.elapsed().as_secs_f64() * count as f64 / fewer as f64;
    let children = orphans.iter().flat_map(|orphan| &orphan.children);
    let left: Vec<Pid> = children.copied().filter(|pid| !has_exited(*pid)).collect();
    for pid in &left {
        kill_process(*pid, Signal::KILL)?;
    }
    let note = match fewer {
        _ if fewer == count => String::new(),
        _ => format!(" ({fewer} measured, × {count}/{fewer})"),
    };
    Ok(vec![format!(
        "| {count} that {} | {:.4} | {ours:.3} s | {:.4} s | {original:.1} s{note} | {:.3} s | {} children |",
        kind.what,
        ours / original,
        ours / count as f64,
        original / count as f64,
        left.len()
    )])
}

/// A process that leads its own group is signalled alone by the original.
fn end_as_the_original(pid: Pid) -> Result<()> {
    for (signal, limit) in [(Signal::TERM, SIGTERM_WAIT), (Signal::KILL, SIGKILL_WAIT)] {
        match kill_process(pid, signal) {
            Err(Errno::SRCH) => return Ok(()),
            sent => sent?,
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if test_kill_process(pid).is_err() {
                return Ok(());
            }
            thread::sleep(POLL_PAUSE);
        }
        if test_kill_process(pid).is_err() {
            return Ok(());
        }
    }
    Err(format!("{pid} is alive after SIGKILL").into())
}

/// From an orphan's exit, as a parent that waits for it sees it, to the answer on the socket.
fn reaction(stage: &mut Stage) -> Result<Vec<String>> {
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
fn noticed(stage: &mut Stage) -> Result<Vec<String>> {
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

fn version(stage: &mut Stage) -> Result<Vec<String>> {
    eprintln!("==> round trips");
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stage.call("version", &json!({}))?;
        times.push(began.elapsed());
    }
    Ok(vec![row("a `version` round trip", times)])
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

fn sizes(stage: &mut Stage) -> Result<Vec<String>> {
    let row = |what: &str, mb: f64| format!("| {what} | {mb:.1} |");
    let resident = stage.resident.iter();
    let mut rows: Vec<_> = resident
        .map(|(when, mb)| row(&format!("the daemon's resident memory, {when}"), *mb))
        .collect();
    let most = memory(stage.daemon, "VmHWM")?;
    rows.push(row("the daemon's resident memory, at most", most));
    let now = memory(stage.daemon, "VmRSS")?;
    rows.push(row("the daemon's resident memory, in the end", now));
    for program in ["team-agentd", "team-agentctl"] {
        let size = fs::metadata(stage.release.join(program))?.len();
        rows.push(row(&format!("the binary `{program}`"), size as f64 / 1e6));
    }
    Ok(rows)
}
