//! What looking costs, by how many processes there are: `cargo bench --bench scaling`.
//!
//! The daemon is the release build, with 35 healthy coordinators among 500, 5,000 and 20,000 processes.
//! Beside it, in turns: `ps`, the original's scan in a running Python, and what the kernel asks at least,
//! listing `/proc` and reading each `cmdline`. Prints Markdown; docs/performance.md says what the figures mean.
//! `-- --up-to N` stops at so many processes, `-- --plot FILE` draws the curves as SVG, `-- --idle SECONDS` looks at
//! the daemon as it is left to itself for so long, too.
#![expect(clippy::print_stdout, reason = "this program's business is a table")]
#![expect(clippy::print_stderr, reason = "and to say how far it got")]

#[path = "scaling/costs.rs"]
mod costs;
#[path = "scaling/plot.rs"]
mod plot;
#[expect(
    dead_code,
    unused_imports,
    reason = "the other benches measure with the rest"
)]
mod support;
#[path = "scaling/tables.rs"]
mod tables;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;

use self::costs::{Original, cmdlines, embedded, listing, median, ps};
use self::support::{
    Result, Spending, Stage, count_processes, cpu_of, enter, is_inside, memory, wait_until,
};

/// How many processes there are.
const SIZES: [usize; 3] = [500, 5_000, 20_000];
const COORDINATORS: usize = 35;
const ROUNDS: usize = 15;
const WARM_UP: usize = 2;
const RESCAN_INTERVAL: &str = "200ms";
/// The daemon's own, by default.
const DEFAULT_INTERVAL: &str = "5s";
/// Without a full sweep in them, but for one that the median leaves out: that comes once a minute.
const RESCAN_ROUNDS: usize = 9;
const RESCAN_ROUND: Duration = Duration::from_secs(2);
/// Whoever was started a moment ago is looked at each time.
const NOBODY_IS_YOUNG_AFTER: Duration = Duration::from_secs(20);
/// Nothing that is started in here lives longer.
const TTL_S: u32 = 900;

/// What one look takes of a CPU.
#[derive(Clone, Copy, Debug)]
struct Costs {
    processes: usize,
    rescan: Duration,
    sweep: Duration,
    embedded: Duration,
    ps: Duration,
    original: Duration,
    listing: Duration,
    cmdlines: Duration,
    /// From start to end, rather than of a CPU.
    embedded_wall: Duration,
    ps_wall: Duration,
    resident_mb: f64,
    idle: Option<Idle>,
}

/// The daemon at its default interval, while nothing happens.
#[derive(Clone, Copy, Debug)]
struct Idle {
    lasted: Duration,
    cpu: Duration,
    scans: u64,
    resident_mb: f64,
}

struct Options {
    up_to: usize,
    plot: Option<PathBuf>,
    idle: Option<Duration>,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without that word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing was measured: this is for `cargo bench --bench scaling`");
        return ExitCode::SUCCESS;
    }
    let run = || match (options(&arguments)?, is_inside(TTL_S)?) {
        (options, Some(folder)) => measure(&options, &folder),
        (_, None) => enter(&arguments),
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[OsString]) -> Result<Options> {
    let mut options = Options {
        up_to: SIZES[SIZES.len() - 1],
        plot: None,
        idle: None,
    };
    let mut arguments = arguments.iter().filter(|argument| *argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("each option takes a value")?;
        let number = || value.to_str().ok_or("that takes a number");
        match argument.to_str() {
            Some("--up-to") => options.up_to = number()?.parse()?,
            Some("--plot") => options.plot = Some(value.into()),
            Some("--idle") => options.idle = Some(Duration::from_secs(number()?.parse()?)),
            _ => {
                let those = "--up-to, --plot and --idle are";
                return Err(format!("{argument:?} is no option; {those}").into());
            }
        }
    }
    if options.up_to < SIZES[0] {
        return Err(format!("the fewest processes are {}", SIZES[0]).into());
    }
    Ok(options)
}

fn measure(options: &Options, folder: &Path) -> Result<()> {
    let wait = Duration::from_secs(3);
    let mut stage = Stage::set(folder, wait, wait, TTL_S)?;
    // With the survivor, that makes 35.
    stage.start(COORDINATORS - 1, &[("FORK", "1")])?;
    let mut original = Original::start()?;
    let mut sleepers = Vec::new();
    let mut all = Vec::new();
    for size in SIZES.into_iter().filter(|size| *size <= options.up_to) {
        sleepers.push(fill(size)?);
        let mut costs = costs(&mut stage, &mut original)?;
        costs.idle = match options.idle {
            Some(lasting) => Some(idle(&mut stage, lasting)?),
            None => None,
        };
        all.push(costs);
    }
    stage.assert_survivor()?;
    original.stop()?;
    for mut shell in sleepers {
        shell.kill()?;
        shell.wait()?;
    }
    tables::print(&all);
    if let Some(file) = &options.plot {
        plot::draw(file, &all)?;
    }
    Ok(())
}

/// Starts as many processes as are wanting: a shell and what sleeps below it.
fn fill(size: usize) -> Result<Child> {
    let missing = size.saturating_sub(count_processes()?);
    let many = r#"i=1; while [ "$i" -lt "$1" ]; do sleep "$2" & i=$((i+1)); done; wait"#;
    let shell = Command::new("sh")
        .args(["-c", many, "sh", &missing.to_string(), &TTL_S.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    wait_until("all sleep", || {
        count_processes().is_ok_and(|count| count >= size)
    })?;
    Ok(shell)
}

fn costs(stage: &mut Stage, original: &mut Original) -> Result<Costs> {
    let processes = count_processes()?;
    eprintln!("==> {processes} processes");
    thread::sleep(NOBODY_IS_YOUNG_AFTER);
    let mut rounds: [Vec<Duration>; 8] = Default::default();
    // Taken in turns, so that all share whatever else the machine does.
    for round in 0..WARM_UP + ROUNDS {
        let sweep = sweep(stage)?;
        let (embedded, ps) = (embedded(stage)?, ps()?);
        let looks = [
            sweep,
            embedded.cpu,
            ps.cpu,
            original.scan(COORDINATORS)?,
            listing()?,
            cmdlines()?,
            embedded.wall,
            ps.wall,
        ];
        if round >= WARM_UP {
            for (all, one) in rounds.iter_mut().zip(looks) {
                all.push(one);
            }
        }
    }
    let [
        sweep,
        embedded,
        ps,
        original,
        listing,
        cmdlines,
        embedded_wall,
        ps_wall,
    ] = rounds.map(median);
    Ok(Costs {
        processes,
        rescan: rescan(stage)?,
        sweep,
        embedded,
        ps,
        original,
        listing,
        cmdlines,
        embedded_wall,
        ps_wall,
        resident_mb: memory(stage.daemon, "VmRSS")?,
        idle: None,
    })
}

/// A scan that was asked for looks at everybody.
fn sweep(stage: &mut Stage) -> Result<Duration> {
    let spending = Spending::of(stage.daemon)?;
    let scan = stage.scan()?;
    let spent = spending.so_far()?;
    if scan["scanned"] != COORDINATORS || scan["orphans"] != json!([]) {
        return Err(format!("{COORDINATORS} healthy ones were to be found: {scan}").into());
    }
    Ok(spent)
}

/// What a scan takes that the daemon does by itself, again and again, while nothing changes.
fn rescan(stage: &mut Stage) -> Result<Duration> {
    stage.scan_every(Some(RESCAN_INTERVAL))?;
    let mut costs = Vec::new();
    for _ in 0..RESCAN_ROUNDS {
        let (scans, spending) = (stage.scans()?, Spending::of(stage.daemon)?);
        thread::sleep(RESCAN_ROUND);
        let spent = spending.so_far()?;
        let scans = u32::try_from(stage.scans()?.saturating_sub(scans))?;
        costs.push(spent.checked_div(scans).ok_or("it does not scan")?);
    }
    stage.scan_every(None)?;
    Ok(median(costs))
}

/// What the daemon takes when it is left to itself.
fn idle(stage: &mut Stage, lasting: Duration) -> Result<Idle> {
    eprintln!("    left to itself for {} s", lasting.as_secs());
    stage.scan_every(Some(DEFAULT_INTERVAL))?;
    // What the new configuration has it do at once is over then.
    thread::sleep(RESCAN_ROUND);
    let (scans, cpu) = (stage.scans()?, cpu_of(stage.daemon)?);
    thread::sleep(lasting);
    let idle = Idle {
        lasted: lasting,
        cpu: cpu_of(stage.daemon)?.saturating_sub(cpu),
        scans: stage.scans()?.saturating_sub(scans),
        resident_mb: memory(stage.daemon, "VmRSS")?,
    };
    stage.scan_every(None)?;
    Ok(idle)
}
