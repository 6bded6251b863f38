//! `kill -9` of the daemon at each recorded step of an escalation, in the middle of rotations, and at
//! any other time. The next daemon has to finish what the last one began, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Row;
use super::ground::Ground;
use super::records::{Records, segment};
use crate::support::{Coordinator, Daemon, EventLog, Result, has_exited, wait_until};

/// What a stubborn orphan gets to end by itself.
const SIGTERM_WAIT: Duration = Duration::from_millis(60);
/// So many archives that none of a round is dropped; with each rotation all of them are renamed.
const KEEP: usize = 40;
/// A moment that has not come after this long does not come.
const NEVER: Duration = Duration::from_secs(10);

/// When the daemon is killed.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// As soon as there are orphans, or a while later.
    AnyTime,
    /// When this record is there: its name, and its signal if it is about one.
    Record(&'static str, Option<&'static str>),
    /// A second time: when the next daemon has recorded that an escalation was cut off.
    Interrupted,
    /// After SIGTERM; and before the next daemon starts, the workspace is there again.
    BackMeanwhile,
    /// Once the archives begin to move.
    Rotation,
    /// While the records of many orphans are written.
    Crowd,
}

const STEPS: [(&str, Moment); 10] = [
    ("any time", Moment::AnyTime),
    ("`orphan.detected`", Moment::Record("orphan.detected", None)),
    (
        "`orphan.signal` SIGTERM",
        Moment::Record("orphan.signal", Some("SIGTERM")),
    ),
    (
        "`orphan.signal` SIGKILL",
        Moment::Record("orphan.signal", Some("SIGKILL")),
    ),
    ("`orphan.killed`", Moment::Record("orphan.killed", None)),
    ("`orphan.spared`", Moment::Record("orphan.spared", None)),
    ("`orphan.interrupted`, after SIGTERM", Moment::Interrupted),
    (
        "`orphan.signal` SIGTERM, the workspace back before the restart",
        Moment::BackMeanwhile,
    ),
    ("a rotation", Moment::Rotation),
    ("the records of 40 orphans", Moment::Crowd),
];

/// What came of the rounds of one step.
#[derive(Default)]
struct Tally {
    rounds: usize,
    /// Nothing was recorded between the step and the end, or the rotation was half done.
    in_time: usize,
    cut_off: usize,
    orphans: usize,
}

/// One orphan of a round.
struct Subject {
    coordinator: Coordinator,
    /// Its workspace is there again: from then on it must not be ended.
    is_back: bool,
    /// How many crashes cut its end off.
    interrupted: usize,
}

struct Round<'ground> {
    ground: &'ground mut Ground,
    daemon: &'ground mut Daemon,
    subjects: Vec<Subject>,
    /// Lines that were torn on disk when the daemon was gone; the next one has to see to them.
    torn_on_disk: usize,
}

pub(crate) fn run(ground: &mut Ground, rounds: usize) -> Result<Vec<Row>> {
    ground.configure(&format!(
        "[scan]\ninterval = \"100ms\"\n\
         [terminate]\nsigterm_wait = \"{}ms\"\nsigkill_wait = \"60s\"\n\
         [events]\nrotate_bytes = 4096\nkeep = {KEEP}\n\
         [reap]\nconfirm = true\nmin_sightings = 1\ngrace = \"50ms\"\nstart_grace = \"0s\"\n\
         max_per_scan = 100\nbreaker_share = 1.0",
        SIGTERM_WAIT.as_millis()
    ))?;
    let mut daemon = ground.daemon()?;
    ground.add_bystanders(6)?;
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    let mut torn_on_disk = 0;
    for number in 0..rounds {
        let step = number % STEPS.len();
        let (name, moment) = STEPS[step];
        let mut round = Round {
            ground,
            daemon: &mut daemon,
            subjects: Vec::new(),
            torn_on_disk: 0,
        };
        let tally = tallies.entry(step).or_default();
        let in_time = round
            .play(moment)
            .map_err(|error| format!("round {number}, {name}: {error}"))?;
        tally.rounds += 1;
        tally.in_time += usize::from(in_time);
        tally.orphans += round.subjects.len();
        tally.cut_off += round
            .subjects
            .iter()
            .map(|subject| subject.interrupted)
            .sum::<usize>();
        torn_on_disk += round.torn_on_disk;
        round.dismiss()?;
        ground.assert_unharmed()?;
        if number % 50 == 49 {
            eprintln!("    {} of {rounds} rounds", number + 1);
        }
    }
    daemon.stop()?;
    let mut rows = vec![(
        format!("`kill -9` in {rounds} rounds"),
        format!(
            "0 wrong kills, 0 torn lines to be read ({torn_on_disk} cut short on disk), 0 unfinished orphans"
        ),
    )];
    rows.extend(tallies.into_iter().map(|(step, tally)| {
        let (what, figure) = (STEPS[step].0, &tally);
        (
            format!("… at {what}"),
            format!(
                "{} rounds ({} before anything else was recorded), {} orphans, {} of them cut off and told of",
                figure.rounds, figure.in_time, figure.orphans, figure.cut_off
            ),
        )
    }));
    Ok(rows)
}

impl Round<'_> {
    /// From the orphans to their end by the next daemon. Whether the moment was met.
    fn play(&mut self, moment: Moment) -> Result<bool> {
        let mut log = EventLog::new(&self.ground.state_dir());
        while log.next_line()?.is_some() {}
        let oldest = self.oldest_archive();
        let count = match moment {
            Moment::Crowd | Moment::Rotation => 40,
            Moment::Record("orphan.spared", _) | Moment::BackMeanwhile => 1,
            _ => self.ground.dice.between(1, 4) as usize,
        };
        self.add_orphans(count, moment)?;
        let in_time = self.meet(moment, &mut log, oldest)?;
        self.crash()?;
        let in_time = in_time && self.is_just_then(moment, &mut log)?;
        if moment == Moment::Interrupted {
            self.daemon.launch_again()?;
            if self.await_record(&mut log, "orphan.interrupted", None)? {
                self.crash()?;
            } else {
                self.daemon.crash()?;
            }
        }
        if moment == Moment::BackMeanwhile {
            self.bring_back()?;
        }
        self.daemon.start_again()?;
        self.await_ends()?;
        self.judge()?;
        Ok(in_time)
    }

    fn add_orphans(&mut self, count: usize, moment: Moment) -> Result<()> {
        let comes_back = matches!(
            moment,
            Moment::Record("orphan.spared", _) | Moment::BackMeanwhile
        );
        let is_stubborn = comes_back
            || matches!(
                moment,
                Moment::Record(_, Some("SIGKILL")) | Moment::Interrupted
            )
            || self.ground.dice.one_in(2);
        let mut traits = vec![("FORK", "1"), ("TELL_TERM", "1")];
        if is_stubborn {
            traits.push(("IGNORE_TERM", "1"));
        }
        if comes_back {
            // It keeps nothing that would prove a deletion, so that a directory of that name is its own.
            traits.extend([("REAL", "0"), ("CHDIR", "0")]);
        } else if count < 10 && self.ground.dice.one_in(3) {
            traits.push(("CHILDREN", "2"));
        }
        let orphans = self.ground.cast.orphans(count, &traits)?;
        self.subjects = orphans
            .into_iter()
            .map(|coordinator| Subject {
                coordinator,
                is_back: false,
                interrupted: 0,
            })
            .collect();
        Ok(())
    }

    /// Waits for the moment, and a little longer in half of the rounds. False if it does not come.
    fn meet(
        &mut self,
        moment: Moment,
        log: &mut EventLog,
        oldest: Option<(usize, u64)>,
    ) -> Result<bool> {
        let dice = &mut self.ground.dice;
        let late = match dice.one_in(2) {
            true => Duration::ZERO,
            false => Duration::from_micros(dice.between(0, 2000)),
        };
        let any_time = Duration::from_micros(dice.between(0, 200_000));
        let within = Duration::from_micros(dice.between(0, 400));
        match moment {
            Moment::AnyTime => {
                thread::sleep(any_time);
                return Ok(true);
            }
            Moment::Rotation => {
                // Those of the detections, or those of the signals.
                let mut oldest = oldest;
                if late.is_zero() {
                    self.await_record(log, "orphan.signal", Some("SIGTERM"))?;
                    oldest = self.oldest_archive();
                }
                let began = Instant::now();
                while self.oldest_archive() == oldest && began.elapsed() < NEVER / 10 {
                    std::hint::spin_loop();
                }
                spin(within);
                return Ok(true);
            }
            Moment::Crowd => {
                let is_there = self.await_record(log, "orphan.detected", None)?;
                thread::sleep(any_time);
                return Ok(is_there);
            }
            Moment::Record("orphan.spared", _) => {
                if !self.await_record(log, "orphan.signal", Some("SIGTERM"))? {
                    return Ok(false);
                }
                self.bring_back()?;
                if !self.await_record(log, "orphan.spared", None)? {
                    return Ok(false);
                }
            }
            Moment::Interrupted | Moment::BackMeanwhile => {
                return self.await_record(log, "orphan.signal", Some("SIGTERM"));
            }
            Moment::Record(event, signal) => {
                if !self.await_record(log, event, signal)? {
                    return Ok(false);
                }
            }
        }
        spin(late);
        Ok(true)
    }

    /// Follows the log until a record of that name about one of the orphans is there; false if all of
    /// them have ended without it.
    fn await_record(&self, log: &mut EventLog, event: &str, signal: Option<&str>) -> Result<bool> {
        let give_up = Instant::now() + NEVER;
        while Instant::now() < give_up {
            match log.next_line()? {
                // What is no JSON is found by everybody who reads, below.
                Some(line) => {
                    let record: Value = serde_json::from_str(&line).unwrap_or_default();
                    let is_about_one = self
                        .subjects
                        .iter()
                        .any(|subject| record["pid"] == subject.coordinator.pid.as_raw_pid());
                    let is_it = record["event"] == event
                        && signal.is_none_or(|signal| record["signal"] == signal);
                    if is_it && is_about_one {
                        return Ok(true);
                    }
                }
                None if self.subjects.iter().all(Subject::has_ended_for_sure) => {
                    thread::sleep(Duration::from_millis(20));
                    if log.next_line()?.is_none() {
                        return Ok(false);
                    }
                }
                None => thread::sleep(Duration::from_micros(20)),
            }
        }
        Ok(false)
    }

    /// Kills the daemon, and notes whose end that cuts off.
    fn crash(&mut self) -> Result<()> {
        self.daemon.crash()?;
        let records = Records::read(&self.ground.state_dir())?;
        self.torn_on_disk += usize::from(records.is_cut_off);
        for subject in &mut self.subjects {
            let pid = subject.coordinator.pid.as_raw_pid();
            let told = records.about(pid, "orphan.interrupted");
            if told > subject.interrupted {
                return Err(format!("{pid} was told of {told} times").into());
            }
            // One that nobody got to tell of yet is still to be told of, once.
            subject.interrupted = told + usize::from(records.is_open(pid));
        }
        Ok(())
    }

    /// Whether nothing more had come of it when the daemon was gone.
    fn is_just_then(&self, moment: Moment, log: &mut EventLog) -> Result<bool> {
        match moment {
            Moment::Rotation => Ok(Records::read(&self.ground.state_dir())?.has_gap),
            _ => Ok(log.next_line()?.is_none()),
        }
    }

    /// Its number and its inode.
    fn oldest_archive(&self) -> Option<(usize, u64)> {
        let state_dir = self.ground.state_dir();
        // The highest number is the first to move.
        let oldest = (1..=KEEP).rev();
        let mut found = oldest.filter_map(|number| {
            Some((
                number,
                fs::metadata(segment(&state_dir, number)).ok()?.ino(),
            ))
        });
        found.next()
    }

    fn bring_back(&mut self) -> Result<()> {
        for subject in &mut self.subjects {
            fs::create_dir(&subject.coordinator.workspace)?;
            subject.is_back = true;
        }
        Ok(())
    }

    /// Waits until all that is due has ended and is recorded.
    fn await_ends(&self) -> Result<()> {
        let due = || self.subjects.iter().filter(|subject| !subject.is_back);
        let ended = wait_until("UNFINISHED: every orphan has ended", || {
            due().all(|subject| subject.coordinator.is_gone())
        });
        if let Err(unfinished) = ended {
            let left = due().filter(|subject| !subject.coordinator.is_gone());
            let why: Vec<String> = left
                .map(|subject| {
                    let pid = subject.coordinator.pid.as_raw_pid();
                    let explained = self.daemon.call("explain", &json!({"pid": pid}));
                    format!("{pid}: {explained:?}")
                })
                .collect();
            let status = self.daemon.call("status", &json!({}));
            return Err(format!("{unfinished}\n{why:#?}\n{status:?}").into());
        }
        // Automatic reaping has had its time with those whose workspace is back.
        self.daemon.call("scan", &json!({}))?;
        let state_dir = self.ground.state_dir();
        wait_until("every end is recorded, and what was cut off", || {
            Records::read(&state_dir).is_ok_and(|records| {
                let mut all = self.subjects.iter();
                !all.any(|subject| records.is_open(subject.coordinator.pid.as_raw_pid()))
            })
        })
    }

    /// Looks at all that was recorded, and at everybody who may be asked for it.
    fn judge(&self) -> Result<()> {
        let records = Records::read(&self.ground.state_dir())?;
        if !records.torn.is_empty() || records.is_cut_off {
            return Err(format!("TORN LINES: {:?}", records.torn).into());
        }
        let asked = self
            .daemon
            .call("events", &json!({"all": true, "limit": 1000}))?;
        let given = asked["events"].as_array().or(asked.as_array());
        let given = given.ok_or_else(|| format!("no events: {asked}"))?;
        if let Some(raw) = given.iter().find(|record| record.get("raw").is_some()) {
            return Err(format!("TORN LINE: {raw}").into());
        }
        for subject in &self.subjects {
            subject.judge(&records)?;
        }
        for record in &records.all {
            let pid = record["pid"]
                .as_i64()
                .and_then(|pid| i32::try_from(pid).ok());
            let pid = pid.and_then(rustix::process::Pid::from_raw);
            if record["event"] == "orphan.signal"
                && pid.is_some_and(|pid| self.ground.is_bystander(pid))
            {
                return Err(format!("WRONG KILL: {record}").into());
            }
        }
        Ok(())
    }

    /// Ends those whose workspace is back.
    fn dismiss(self) -> Result<()> {
        for subject in self.subjects.iter().filter(|subject| subject.is_back) {
            let pid = subject.coordinator.pid;
            if !has_exited(pid) {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            }
        }
        Ok(())
    }
}

impl Subject {
    fn has_ended_for_sure(&self) -> bool {
        self.coordinator.is_gone()
    }

    fn judge(&self, records: &Records) -> Result<()> {
        let coordinator = &self.coordinator;
        let pid = coordinator.pid.as_raw_pid();
        let [sigterms, sigkills] =
            ["SIGTERM", "SIGKILL"].map(|signal| records.signals(pid, signal));
        let wrong = |what: String| -> Result<()> {
            let story = records
                .all
                .iter()
                .filter(|record| record["pid"] == pid || record["orphan_pid"] == pid);
            let story: Vec<String> = story
                .map(|record| format!("{} {} {}", record["ts"], record["event"], record["signal"]))
                .collect();
            Err(format!("{what}, about {pid}: {story:#?}").into())
        };
        if coordinator.sigterms() > sigterms {
            return wrong("WRONG KILL: more SIGTERMs than were recorded".to_owned());
        }
        if self.is_back && (coordinator.is_gone() || sigkills > 0) {
            return wrong("WRONG KILL: its workspace is back".to_owned());
        }
        if !self.is_back && sigterms == 0 {
            return wrong("WRONG KILL: it ended without a record".to_owned());
        }
        let told = records.about(pid, "orphan.interrupted");
        if told != self.interrupted {
            return wrong(format!(
                "cut off {} times, and told of {told} times",
                self.interrupted
            ));
        }
        Ok(())
    }
}

/// Waits without giving up the processor: what comes next is a matter of microseconds.
fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}
