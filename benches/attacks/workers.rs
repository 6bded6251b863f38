//! Many attackers at the same time, each in a process table of its own, and one that counts.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// What the first argument of a worker is.
const WORKER: &str = "--worker";
const BETWEEN_WORDS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    Reuse,
    World,
}

impl Attack {
    const ALL: [Self; 2] = [Self::Reuse, Self::World];

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attack| attack.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::World => "world",
        }
    }

    fn full_length(self) -> usize {
        match self {
            Self::Reuse => 100_000,
            Self::World => 10_000,
        }
    }
}

/// What one worker is to do.
pub(crate) struct Share {
    pub(crate) attack: Attack,
    pub(crate) times: usize,
    pub(crate) seed: u64,
}

/// The share of this process, if it is a worker.
pub(crate) fn share_of_a_worker(arguments: &[String]) -> Option<Share> {
    let [worker, attack, times, seed] = arguments else {
        return None;
    };
    (worker == WORKER).then(|| Share {
        attack: Attack::named(attack).expect("an attack"),
        times: times.parse().expect("a number"),
        seed: seed.parse().expect("a seed"),
    })
}

/// A worker's word on how far it is.
pub(crate) fn report(came_about: usize, trials: usize) {
    println!("{came_about} {trials}");
}

/// All that is asked for.
pub(crate) struct Campaign {
    attacks: Vec<(Attack, usize)>,
    workers: usize,
    seed: u64,
}

impl Campaign {
    pub(crate) fn from_arguments(arguments: &[String]) -> Result<Self, String> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut campaign = Self {
            attacks: Vec::new(),
            workers: 4 * thread::available_parallelism().map_or(1, usize::from),
            seed: since_1970.map_or(1, |now| now.as_secs()),
        };
        let mut words = arguments.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let mut number = |what: &str| -> Result<u64, String> {
                let number = words.next_if(|next| next.parse::<u64>().is_ok());
                number
                    .and_then(|number| number.parse().ok())
                    .ok_or_else(|| format!("{what} wants a number"))
            };
            match (word, Attack::named(word)) {
                // What cargo adds.
                ("--bench", _) => {}
                ("--workers", _) => campaign.workers = number(word)?.clamp(1, 256) as usize,
                ("--seed", _) => campaign.seed = number(word)?,
                (_, Some(attack)) => {
                    let times = number(word).map_or(attack.full_length(), |times| times as usize);
                    campaign.attacks.push((attack, times));
                }
                _ => return Err(format!("what is {word:?}?")),
            }
        }
        if campaign.attacks.is_empty() {
            let all = Attack::ALL.map(|attack| (attack, attack.full_length()));
            campaign.attacks = all.to_vec();
        }
        Ok(campaign)
    }

    pub(crate) fn run(&self) -> ExitCode {
        let rows: Vec<Row> = self
            .attacks
            .iter()
            .map(|(attack, times)| self.attack(*attack, *times))
            .collect();
        println!(
            "{:<8} {:>8} {:>11} {:>12} {:>8}  seed",
            "attack", "trials", "came about", "wrong kills", "wall"
        );
        for row in &rows {
            println!(
                "{:<8} {:>8} {:>11} {:>12} {:>7.1}s  {}",
                row.attack.word(),
                row.trials,
                row.came_about,
                // A worker that fails says on stderr what it found.
                if row.failed { "FAILED" } else { "0" },
                row.wall.as_secs_f64(),
                self.seed
            );
        }
        if rows.iter().any(|row| row.failed) {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    fn attack(&self, attack: Attack, times: usize) -> Row {
        let started = Instant::now();
        let workers = self.workers.min(times).max(1);
        let (said, words) = mpsc::channel();
        let mut children: Vec<Child> = (0..workers)
            .map(|number| {
                let share = Share {
                    attack,
                    times: times / workers + usize::from(number < times % workers),
                    // Far enough apart for draws that never meet.
                    seed: self.seed.wrapping_add((number as u64) << 40),
                };
                start(number, &share, said.clone())
            })
            .collect();
        drop(said);
        let mut counts = vec![(0, 0); workers];
        let mut failed = false;
        let mut next_word = started + BETWEEN_WORDS;
        loop {
            match words.recv_timeout(BETWEEN_WORDS) {
                Ok((number, Word::Counts(came_about, trials))) => {
                    counts[number] = (came_about, trials);
                }
                Ok((number, Word::End)) => {
                    let status = children[number].wait().expect("a worker");
                    let came_about = counts[number].0;
                    if !status.success() && !failed {
                        failed = true;
                        eprintln!("worker {number} failed after {came_about}: {status}");
                        for child in &mut children {
                            // One that is gone already is gone.
                            let _ = child.kill();
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_word {
                next_word = Instant::now() + BETWEEN_WORDS;
                let done: usize = counts.iter().map(|(came_about, _)| came_about).sum();
                let seconds = started.elapsed().as_secs();
                eprintln!("{}: {done} of {times} after {seconds} s", attack.word());
            }
        }
        Row {
            attack,
            trials: counts.iter().map(|(_, trials)| trials).sum(),
            came_about: counts.iter().map(|(came_about, _)| came_about).sum(),
            failed,
            wall: started.elapsed(),
        }
    }
}

/// A line of the table.
struct Row {
    attack: Attack,
    trials: usize,
    came_about: usize,
    failed: bool,
    wall: Duration,
}

enum Word {
    Counts(usize, usize),
    End,
}

/// bash is pid 1 in there and reaps. Nothing out here can be seen from within, or be signalled; and
/// however this program ends, unshare ends with it, and everything in there with unshare.
fn start(number: usize, share: &Share, said: Sender<(usize, Word)>) -> Child {
    let mut unshare = Command::new("setpriv");
    unshare.args(["--pdeathsig", "KILL", "unshare"]);
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !nix::unistd::getuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let mut child = unshare
        .args(["bash", "-c", r#""$@"; exit $?"#, "bash"])
        .arg(env::current_exe().expect("this program"))
        .args([WORKER, share.attack.word()])
        .args([share.times.to_string(), share.seed.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let stdout = child.stdout.take().expect("a pipe");
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let counts = line.split_once(' ').and_then(|(came_about, trials)| {
                Some((came_about.parse().ok()?, trials.parse().ok()?))
            });
            if let Some((came_about, trials)) = counts {
                let _ = said.send((number, Word::Counts(came_about, trials)));
            }
        }
        let _ = said.send((number, Word::End));
    });
    child
}
