//! Who is looked at, and that nobody is missed for longer than is said.

use std::process::{Child, Command, Stdio};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn given(after: Pid, up_to: Pid) -> Given {
    Given { after, up_to }
}

#[test]
fn pids_are_given_in_ascending_order_round_and_round() {
    for (between, pid, expected) in [
        (given(10, 20), 10, false),
        (given(10, 20), 11, true),
        (given(10, 20), 20, true),
        (given(10, 20), 21, false),
        (given(10, 10), 10, false),
        (given(10, 10), 11, false),
        // Past the end of the round.
        (given(32_000, 400), 32_001, true),
        (given(32_000, 400), 301, true),
        (given(32_000, 400), 401, false),
        (given(32_000, 400), 32_000, false),
    ] {
        assert_eq!(between.includes(pid), expected, "{pid} in {between:?}");
    }
}

/// What a daemon that looks once in `interval` has seen after so many looks, the first of them full. A
/// hundred processes are started in a second.
fn looks(interval: Duration, many: u32, mut at_each: impl FnMut(&Seen, Duration, Option<Pid>)) {
    let start = Instant::now();
    let mut seen = Seen::default();
    for look in 0..many {
        let since = interval * look;
        let now = start + since;
        let young = seen.young_after(now);
        at_each(&seen, since, young);
        let last_pid = pid_at(since);
        seen = seen.after_look(now, last_pid, young.is_none());
    }
}

fn pid_at(since_start: Duration) -> Pid {
    u32::try_from(since_start.as_millis() / 10).unwrap() + 1_000
}

#[test]
fn whoever_is_young_or_new_is_looked_at() {
    for interval in [SECOND / 5, SECOND, SECOND * 5, SECOND * 7, SECOND * 20] {
        looks(interval, 2_000, |seen, since, young| {
            let Some(after) = young else { return };
            // Older by what lies between two looks and two marks, at most.
            let youngest = since.saturating_sub(YOUNG_FOR);
            let oldest = since.saturating_sub(YOUNG_FOR + interval * 2 + BETWEEN_MARKS * 2);
            assert!(after <= pid_at(youngest), "{interval:?} {since:?}");
            assert!(after >= pid_at(oldest), "{interval:?} {since:?}");
            assert!(seen.marks.len() <= 18, "{}", seen.marks.len());
        });
    }
}

#[test]
fn nobody_hides_for_more_than_a_minute() {
    for interval in [1, 2, 5, 7, 20, 29, 30, 31, 40, 59, 60, 61, 300].map(|n| SECOND * n) {
        let mut swept = Duration::ZERO;
        let mut sweeps = 0;
        looks(interval, 500, |_, since, young| {
            if young.is_none() {
                assert!(
                    since - swept <= HIDES_AT_MOST.max(interval),
                    "{interval:?}: {:?}",
                    since - swept
                );
                swept = since;
                sweeps += 1;
            }
        });
        let wanted = interval * 500 / 60;
        assert!(
            SECOND * sweeps >= wanted.min(SECOND * 499),
            "{interval:?}: {sweeps}"
        );
    }
}

/// Ends with the test.
struct Ending(Child);

impl Ending {
    /// A shell that becomes something of this name when it is told a line.
    fn to_exec(name: &str) -> Self {
        let child = Command::new("bash")
            .args(["-c", "read line; exec -a \"$NAME\" sleep 60"])
            .env("NAME", name)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn go_on(&mut self) {
        use std::io::Write as _;
        writeln!(self.0.stdin.as_mut().unwrap()).unwrap();
        let cmdline = format!("/proc/{}/cmdline", self.0.id());
        while !std::fs::read(&cmdline).unwrap().starts_with(b"team-agent") {
            std::thread::yield_now();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a look that many seconds after the first finds this process.
struct Looking {
    start: Instant,
    seen: Seen,
}

impl Looking {
    fn begun() -> Self {
        let mut looking = Self {
            start: Instant::now(),
            seen: Seen::default(),
        };
        looking.finds(0, u32::MAX, Sweep::WhatChanged);
        looking
    }

    fn finds(&mut self, second: u32, pid: Pid, sweep: Sweep) -> bool {
        let now = self.start + SECOND * second;
        let found = candidates(&self.seen, sweep, &BTreeSet::new(), &[], now).unwrap();
        self.seen = found.seen;
        found.pids.contains(&pid)
    }
}

#[test]
fn an_exec_soon_after_the_start_is_seen_at_once_and_a_late_one_within_a_minute() {
    // Started before the first look: older than can be told of those that are new.
    let mut late = Ending::to_exec("team-agent");
    let pid_of_late = late.0.id();
    let mut looking = Looking::begun();
    let of_what_changed = Sweep::WhatChanged;
    assert!(!looking.finds(5, pid_of_late, of_what_changed));
    late.go_on();
    assert!(!looking.finds(25, pid_of_late, of_what_changed));
    assert!(
        looking.finds(26, pid_of_late, Sweep::Full),
        "who asks sees it"
    );
    assert!(!looking.finds(30, pid_of_late, of_what_changed));
    let found = (7..=17).find(|step| looking.finds(step * 5, pid_of_late, of_what_changed));
    assert_eq!(found, Some(17), "a minute after the last full sweep");

    let mut new = Ending::to_exec("team-agent");
    let pid = new.0.id();
    assert!(!looking.finds(90, pid, of_what_changed));
    new.go_on();
    assert!(looking.finds(95, pid, of_what_changed), "it is young");
    assert!(looking.finds(100, pid, of_what_changed));
}

#[test]
fn a_known_one_passes_however_old_it_is() {
    let pid = std::process::id();
    let mut seen = Seen::default();
    let start = Instant::now();
    for second in [0, 5, 20, 25] {
        let known = BTreeSet::from([pid]);
        let now = start + SECOND * second;
        let found = candidates(&seen, Sweep::WhatChanged, &known, &[], now).unwrap();
        assert!(found.pids.contains(&pid));
        seen = found.seen;
    }
}

#[test]
fn a_full_sweep_lets_through_whatever_sysinfo_does() {
    let mut coordinator = Ending::to_exec("team-agent");
    coordinator.go_on();
    let pid = coordinator.0.id();
    let forms = [CustomForm {
        name: "shells".to_owned(),
        program: "*sh".to_owned(),
        args: Vec::new(),
        workspace_flag: "--workspace".to_owned(),
    }];
    for forms in [&[][..], &forms] {
        // Those that one sweep does not let through, though sysinfo does before and after it.
        let missed = || -> BTreeSet<Pid> {
            let before = super::super::all(forms).unwrap();
            let swept = candidates(
                &Seen::default(),
                Sweep::Full,
                &BTreeSet::new(),
                forms,
                Instant::now(),
            )
            .unwrap()
            .pids;
            let after = super::super::all(forms).unwrap();
            assert!(swept.contains(&pid));
            let found = before.into_iter().filter(|pid| after.contains(pid));
            found.filter(|pid| !swept.contains(pid)).collect()
        };
        // One that calls exec(2) shows no argv for a moment, but not again and again.
        let mut always = missed();
        for _ in 0..20 {
            let again = missed();
            always.retain(|pid| again.contains(pid));
        }
        assert!(always.is_empty(), "{always:?}");
    }
}

#[test]
fn a_thread_is_no_process_whether_pids_are_tried_or_listed() {
    // The name of this very program lets it pass.
    let own = std::process::id();
    let seen = candidates(
        &Seen::default(),
        Sweep::Full,
        &BTreeSet::new(),
        &[],
        Instant::now(),
    );
    let seen = seen.unwrap();
    assert!(seen.pids.contains(&own));
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (name, named) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        name.send(rustix::thread::gettid().as_raw_nonzero().get())
            .unwrap();
        let _ = told.recv();
    });
    let thread_pid = Pid::try_from(named.recv().unwrap()).unwrap();
    assert!(may_be(thread_pid, &[]).unwrap(), "it shows the argv");
    assert!(!may_be_process(thread_pid) && may_be_process(own));
    assert!(!may_be_process(0) && !may_be_process(u32::MAX));
    for after in [thread_pid - 1, thread_pid.saturating_sub(FEW + 1)] {
        let young = given(after, thread_pid);
        assert!(!young.pids().unwrap().contains(&thread_pid), "{young:?}");
    }
    assert_eq!(given(own - 1, own).pids().unwrap(), [own]);
    drop(tell);
    thread.join().unwrap();
}

proptest! {
    #[test]
    fn whoever_was_started_since_is_between_the_marks(
        first in 1..5_000u32,
        started in 0..4_000u32,
        last in 0..4_000u32,
    ) {
        const ROUND: u32 = 5_000;
        let pid = |count: u32| (first + count - 1) % ROUND + 1;
        let (started, last) = (started.min(last), last);
        prop_assume!(started > 0 && last < ROUND);
        let between = given(pid(0), pid(last));
        prop_assert!(between.includes(pid(started)));
    }
}
