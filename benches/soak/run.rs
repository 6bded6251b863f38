//! From the arguments to the end: how long, with which seed, and what happens next.

mod actions;
mod cast;
mod daemon;
mod model;
mod records;
mod requests;
mod stage;
mod tally;
mod watch;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::actions::ACTIONS;
use self::stage::Soak;
use crate::support::{Result, enter, is_inside};

const USUALLY: Duration = Duration::from_mins(30);
/// How much longer everything may take in all: the end has to wait for the last orphans.
const AFTERWARDS_S: u32 = 600;

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without that word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing was soaked: this is for `cargo bench --bench soak`");
        return ExitCode::SUCCESS;
    }
    let run = || {
        let (length, seed) = wanted(&arguments)?;
        let ttl_s = u32::try_from(length.as_secs())? + AFTERWARDS_S;
        match is_inside(ttl_s)? {
            Some(folder) => soak(Soak::set(&folder, seed, ttl_s)?, length),
            None => enter(&[arguments.clone(), seeded(&arguments, seed)].concat()),
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How long, and the seed: the one that was given, or a new one.
fn wanted(arguments: &[OsString]) -> Result<(Duration, u64)> {
    let mut length = USUALLY;
    let mut seed = u64::from(std::process::id()) ^ u64::try_from(cast::now())?;
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(word) = words.next() {
        match word {
            "--bench" => {}
            "--seed" => seed = words.next().ok_or("--seed takes a number")?.parse()?,
            word => length = duration(word)?,
        }
    }
    Ok((length, seed))
}

/// The inside has to have the seed that was printed outside.
fn seeded(arguments: &[OsString], seed: u64) -> Vec<OsString> {
    if arguments.iter().any(|argument| argument == "--seed") {
        return Vec::new();
    }
    vec!["--seed".into(), seed.to_string().into()]
}

fn duration(word: &str) -> Result<Duration> {
    let wrong = || format!("{word:?} is no time such as 60s or 30m");
    let unit = word.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = word.split_at(unit);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong().into()),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * seconds))
}

fn soak(mut soak: Soak, length: Duration) -> Result<()> {
    eprintln!("==> {length:?} with seed {}", soak.seed);
    let result = run(&mut soak, length);
    if let Err(error) = &result {
        soak.show_what_led_to(&error.to_string());
        return Err(format!("{error}\n(seed {}, {length:?})", soak.seed).into());
    }
    println!("{}", soak.table(length));
    Ok(())
}

fn run(soak: &mut Soak, length: Duration) -> Result<()> {
    let began = Instant::now();
    // Each once, then as chance has it.
    let mut first: Vec<usize> = (0..ACTIONS.len()).collect();
    soak.dice.shuffle(&mut first);
    let total: u64 = ACTIONS.iter().map(|action| action.weight).sum();
    let mut last_minute = 0;
    while began.elapsed() < length {
        // The second half is one life, in which growth shows.
        soak.may_restart = began.elapsed() < length / 2;
        // In turns with others, which may make room for one that is not possible yet.
        let first_one = first.last().copied().filter(|_| soak.dice.one_in(2));
        let which = first_one.unwrap_or_else(|| {
            let mut at = soak.dice.between(0, total);
            let chosen = ACTIONS.iter().position(|action| {
                let is_it = at < action.weight;
                at = at.saturating_sub(action.weight);
                is_it
            });
            chosen.unwrap_or(0)
        });
        let action = &ACTIONS[which];
        let is_done = soak.act(action)?;
        if first_one.is_some() {
            first.pop();
            if !is_done && began.elapsed() < length / 3 {
                // Not possible yet.
                first.insert(0, which);
            }
        }
        soak.populate()?;
        let pause = Duration::from_millis(soak.dice.between(20, 300));
        soak.watch_for(pause)?;
        let minute = began.elapsed().as_secs() / 60;
        if minute != last_minute {
            last_minute = minute;
            soak.say_how_far();
        }
    }
    soak.settle()
}
