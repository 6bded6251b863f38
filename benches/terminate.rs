//! How long orphans take to end, and answers to come: `cargo bench --bench terminate`.
//!
//! The daemon is the release build, asked through its socket. Beside it, on stand-ins of the same
//! kind, what the original does about it: one orphan after the other, with a poll every 0.1 s, and
//! a process table from `ps`. Prints Markdown; docs/performance.md says what the figures mean.
//! `-- --only NAME` measures one part of [`PARTS`].
#![expect(clippy::print_stdout, reason = "this program's business is a table")]
#![expect(clippy::print_stderr, reason = "and to say how far it got")]

#[path = "terminate/answers.rs"]
mod answers;
#[expect(
    dead_code,
    unused_imports,
    reason = "the other benches measure with the rest"
)]
mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use self::support::{Coordinator, Result, Stage, TTL_S, enter, has_exited, is_inside, memory};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

type Part = fn(&mut Stage) -> Result<Vec<String>>;

/// What can be measured: the name that `--only` takes, the head of its table, the measurement.
const PARTS: [(&str, &str, Part); 10] = [
    ("stubborn", ENDING, |stage| ending(stage, &STUBBORN)),
    ("thousand", ENDING, |stage| ending(stage, &THOUSAND)),
    ("obedient", ENDING, |stage| ending(stage, &OBEDIENT)),
    ("families", ENDING, |stage| ending(stage, &FAMILIES)),
    ("reaction", FIGURES, answers::reaction),
    ("noticed", FIGURES, answers::noticed),
    ("version", FIGURES, answers::version),
    ("events", FIGURES, answers::last_events),
    ("start", FIGURES, answers::start),
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
    let mut stage = Stage::set(folder, SIGTERM_WAIT, SIGKILL_WAIT, TTL_S)?;
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
