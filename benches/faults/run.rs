//! From the arguments to the table: which parts, how long each, with which seed.

mod fixes;
mod flood;
mod ground;
mod growth;
mod kill9;
mod kills;
mod records;
mod starts;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use self::ground::Ground;
use crate::support::{Dice, Result, enter, is_inside};

/// Everything together may take no longer.
const TTL_S: u32 = 3 * 3600;
const SHORT_TTL_S: u32 = 300;

/// One thing to be shown: gives rows of the table.
struct Part {
    name: &'static str,
    /// How often, at full length and in short.
    full: usize,
    short: usize,
    run: fn(&mut Ground, usize) -> Result<Vec<Row>>,
}

/// What was measured, and what came of it.
type Row = (String, String);

const PARTS: [Part; 6] = [
    // Rounds.
    Part {
        name: "fixes",
        full: 20,
        short: 1,
        run: fixes::run,
    },
    // Races.
    Part {
        name: "starts",
        full: 20,
        short: 2,
        run: starts::run,
    },
    // Crashes.
    Part {
        name: "kill9",
        full: 500,
        short: 11,
        run: kill9::run,
    },
    // Scans, with a tenth as many kills.
    Part {
        name: "growth",
        full: 100_000,
        short: 500,
        run: growth::run,
    },
    // Requests.
    Part {
        name: "flood",
        full: 1_000_000,
        short: 3_200,
        run: flood::run,
    },
    // Orphans.
    Part {
        name: "kills",
        full: 1_000,
        short: 100,
        run: kills::run,
    },
];

/// What was asked for.
struct Wanted {
    parts: Vec<(&'static Part, usize)>,
    is_short: bool,
    seed: u64,
}

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without that word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing was tried: this is for `cargo bench --bench faults`");
        return ExitCode::SUCCESS;
    }
    let run = || {
        let wanted = Wanted::from(&arguments)?;
        let ttl_s = if wanted.is_short { SHORT_TTL_S } else { TTL_S };
        match is_inside(ttl_s)? {
            Some(folder) => wanted.run(&folder, ttl_s),
            None => enter(
                &[
                    &arguments[..],
                    &["--seed".into(), wanted.seed.to_string().into()],
                ]
                .concat(),
            ),
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Wanted {
    fn from(arguments: &[OsString]) -> Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut wanted = Self {
            parts: Vec::new(),
            is_short: arguments.iter().any(|argument| argument == "short"),
            seed: u64::try_from(now.as_micros())?,
        };
        let mut seeds = 0;
        let mut words = arguments
            .iter()
            .filter_map(|argument| argument.to_str())
            .peekable();
        while let Some(word) = words.next() {
            match word {
                "--bench" | "short" => {}
                "--seed" => {
                    let seed = words.next().ok_or("--seed takes a number")?.parse()?;
                    // The one that was given, before the one that the outside adds.
                    if seeds == 0 {
                        wanted.seed = seed;
                    }
                    seeds += 1;
                }
                word => {
                    let part = PARTS.iter().find(|part| part.name == word);
                    let part = part.ok_or_else(|| {
                        let names = PARTS.each_ref().map(|part| part.name).join(", ");
                        format!("{word:?} is none of {names}, short, --seed N")
                    })?;
                    let times = words.next_if(|next| next.parse::<usize>().is_ok());
                    let times = times.map(str::parse).transpose()?;
                    wanted
                        .parts
                        .push((part, times.unwrap_or(wanted.length_of(part))));
                }
            }
        }
        if wanted.parts.is_empty() {
            wanted.parts = PARTS
                .iter()
                .map(|part| (part, wanted.length_of(part)))
                .collect();
        }
        Ok(wanted)
    }

    fn length_of(&self, part: &Part) -> usize {
        if self.is_short { part.short } else { part.full }
    }

    fn run(&self, folder: &std::path::Path, ttl_s: u32) -> Result<()> {
        let mut table = Vec::new();
        for (part, times) in &self.parts {
            eprintln!("==> {} {times}, seed {}", part.name, self.seed);
            let folder = folder.join(part.name);
            fs::create_dir(&folder)?;
            let mut ground = Ground::new(folder, ttl_s, Dice::new(self.seed))?;
            let began = Instant::now();
            let rows = (part.run)(&mut ground, *times)
                .map_err(|error| format!("{} {times}, seed {}: {error}", part.name, self.seed))?;
            eprintln!("    {:.1} s", began.elapsed().as_secs_f64());
            table.extend(rows);
            // What still runs of it would only be in the way of the next part.
            ground.clear()?;
        }
        println!("| what | |\n|---|---|");
        for (what, figure) in table {
            println!("| {what} | {figure} |");
        }
        Ok(())
    }
}
