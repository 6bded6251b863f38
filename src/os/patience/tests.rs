//! Who hangs, who is passed over, and which thread looks.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

const BRIEF: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);

/// One of the test's own: what hangs there is in nobody else's way.
fn patience(each: Duration, long: Duration) -> &'static Patience {
    leaked(Patience {
        each,
        then: BRIEF,
        long,
        left_behind_at_most: 2,
        stack_bytes: PATIENCE.stack_bytes,
        hang: Mutex::new(Vec::new()),
    })
}

fn leaked(patience: Patience) -> &'static Patience {
    Box::leak(Box::new(patience))
}

/// Hangs from some pid on until the other end is dropped; and how often that was tried.
fn hanging_from(
    first: Pid,
) -> (
    Arc<impl Fn(Pid) -> Pid + Send + Sync>,
    Sender<()>,
    Arc<AtomicUsize>,
) {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let look = move |pid: Pid| {
        if pid >= first {
            counted.fetch_add(1, Ordering::SeqCst);
            // Each that waits holds the lock: the others wait for that.
            let _ = lock(&may_go_on).recv();
        }
        pid * 2
    };
    (Arc::new(look), go_on, count)
}

fn wait_until(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < give_up, "it never comes back");
        thread::yield_now();
    }
}

#[test]
fn whoever_hangs_is_passed_over_and_not_looked_at_again_until_it_goes_on() {
    let patience = patience(Duration::from_secs(2), LONG);
    let (look, go_on, count) = hanging_from(9);
    let looks = || {
        let look = Arc::clone(&look);
        patience.at_each(vec![1, 9, 2], move |pid| look(pid))
    };
    for _ in 0..10 {
        assert_eq!(looks(), [Ok(2), Err(NoAnswer::Hangs), Ok(4)]);
        assert_eq!(*lock(&patience.hang), [9]);
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "one thread waits for it");
    drop(go_on);
    wait_until(|| lock(&patience.hang).is_empty());
    assert_eq!(looks(), [Ok(2), Ok(18), Ok(4)]);
}

#[test]
fn where_many_are_slow_there_is_less_patience_with_each() {
    let patience = patience(LONG, Duration::ZERO);
    let (look, go_on, _) = hanging_from(9);
    let (tell, told) = channel();
    thread::spawn(move || tell.send(patience.at_each(vec![9], move |pid| look(pid))));
    let answers = told.recv_timeout(Duration::from_secs(60));
    assert_eq!(answers.unwrap(), [Err(NoAnswer::Hangs)]);
    drop(go_on);
}

#[test]
fn no_more_threads_are_left_behind_than_may_be() {
    let patience = patience(BRIEF, LONG);
    let (look, go_on, count) = hanging_from(9);
    let again = Arc::clone(&look);
    let hang = || Err(NoAnswer::Hangs);
    let is_too_much = || Err(NoAnswer::TooManyHang);
    let answers = patience.at_each(vec![9, 10, 11, 12], move |pid| look(pid));
    assert_eq!(answers, [hang(), hang(), is_too_much(), is_too_much()]);
    let answers = patience.at_each(vec![9, 1], move |pid| again(pid));
    assert_eq!(answers, [hang(), is_too_much()]);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    drop(go_on);
}

#[test]
fn where_there_is_no_other_thread_this_one_looks() {
    // No machine has so much.
    let patience = leaked(Patience {
        each: LONG,
        then: LONG,
        long: LONG,
        left_behind_at_most: 2,
        stack_bytes: 1 << 60,
        hang: Mutex::new(vec![2]),
    });
    let here = thread::current().id();
    let answers = patience.at_each(vec![1, 2, 3], |_| thread::current().id());
    assert_eq!(answers, [Ok(here), Err(NoAnswer::Hangs), Ok(here)]);
    assert!(LOOKS_ITSELF.take().is_none());
}

#[test]
fn who_was_slow_is_passed_over_where_nobody_waits_with_a_limit() {
    let (look, go_on, _) = hanging_from(9);
    let slow = slow_ones(vec![1, 9], move |pid| look(pid));
    assert_eq!(slow, [9].into());
    drop(go_on);
    wait_until(|| !hanging().contains(&9));
    let looks = || at_each(vec![1, 9, 2], |pid| pid);
    let passed_over = [Ok(1), Err(NoAnswer::Hangs), Ok(2)];
    assert_eq!(without_limit_but(&slow, looks), passed_over);
    assert_eq!(without_limit(looks), [Ok(1), Ok(9), Ok(2)]);
    // Where not all together are slow nobody is.
    let nap = |_| thread::sleep(PATIENCE.then * 2);
    assert_eq!(slow_ones(vec![1], nap), [].into());
    let naps: Vec<Pid> = (1..=11).collect();
    assert_eq!(slow_ones(naps.clone(), nap), naps.into_iter().collect());
}

#[test]
fn one_that_panics_says_so_and_the_others_are_looked_at() {
    let look = |pid: Pid| {
        assert_ne!(pid, 2);
        pid
    };
    let expected = [Ok(1), Err(NoAnswer::Panicked), Ok(3)];
    assert_eq!(at_each(vec![1, 2, 3], look), expected);
    assert_eq!(at_each(Vec::new(), look), []);
}

#[test]
fn who_may_hang_looks_itself() {
    let here = thread::current().id();
    let who = |_: Pid| thread::current().id();
    assert_eq!(without_limit(|| at_each(vec![1], who)), [Ok(here)]);
    assert_eq!(without_limit(|| at_one(1, who)), Ok(here));
    assert_ne!(at_one(1, who), Ok(here));
    let nested = move |pid: Pid| (thread::current().id(), at_one(pid, who));
    let (outer, inner) = at_one(1, nested).unwrap();
    assert_eq!(inner, Ok(outer));
}

#[test]
fn looks_in_place_end_with_what_they_are_for_whatever_happens() {
    let passed_over = BTreeSet::from([2]);
    let look = |pid: Pid| pid;
    without_limit_but(&passed_over, || {
        // What is passed over outside is so inside, too.
        without_limit(|| assert_eq!(at_one(2, look), Err(NoAnswer::Hangs)));
        assert_eq!(at_one(2, look), Err(NoAnswer::Hangs));
    });
    let panics = || without_limit_but(&passed_over, || panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(without_limit(|| at_one(2, look)), Ok(2));
}
