//! What becomes of a look at a process that is another program, or gone, when the look is done.

use std::ffi::OsString;

use super::lanes::Answer;
use super::probes::{Disk, HUNG_PROBES_LIMIT, HeldUp, Probed};
use super::*;
use crate::config::Config;
use crate::orphan::coordinator::{Coordinator, WorkspaceArgument};
use crate::orphan::evidence::MountKey;
use crate::orphan::process::ProcessRecord;
use crate::os::evidence::Stage;
use crate::os::host::own_uid;

fn coordinator() -> Coordinator {
    Coordinator {
        form: "team-agent".to_owned(),
        workspace: WorkspaceArgument::Given("/".into()),
    }
}

/// Whether a look that began with these facts gives evidence.
async fn is_evidence(handle: ProcessHandle, record: ProcessRecord) -> bool {
    let mut config = Config::default();
    config.coordinator.workspace_roots = vec!["/nowhere".into()];
    let settings = Settings::new(&config, &|_| None, own_uid());
    let subject = Subject {
        pinned: Pinned { handle, record },
        coordinator: coordinator(),
        remembered: Remembered::default(),
    };
    let (look, _) = Scanner::default().observe(subject, &settings).await;
    look.unwrap().is_some()
}

#[tokio::test]
async fn evidence_about_a_process_that_became_another_program_is_dropped() {
    let own = || facts::pin(std::process::id()).unwrap();
    let Pinned { handle, record } = own();
    assert!(is_evidence(handle, record.clone()).await);
    let mut before = record.clone();
    before.argv.push(OsString::from("--workspace"));
    assert!(!is_evidence(own().handle, before).await);
    let mut before = record;
    before.argv.clear();
    assert!(!is_evidence(own().handle, before).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn evidence_about_a_process_that_exited_is_dropped() {
    use std::time::Instant;
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let handle = ProcessHandle::open(child.id()).unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    while handle.is_alive() {
        assert!(Instant::now() < give_up, "it never ends");
        std::thread::yield_now();
    }
    // Its zombie has the pid and an empty argv, as the facts say.
    let mut record = facts::pin(std::process::id()).unwrap().record;
    record.identity.pid = child.id();
    record.argv.clear();
    assert_eq!(facts::argv(child.id()).unwrap(), record.argv);
    assert!(!is_evidence(handle, record).await);
    child.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_seen_under_another_configuration_is_looked_at_again() {
    let settings = || {
        let mut config = Config::default();
        config.coordinator.workspace_roots = vec!["/nowhere".into()];
        Arc::new(Settings::new(&config, &|_| None, own_uid()))
    };
    let (settings, other) = (settings(), settings());
    let scanner = Scanner::default();
    let nobody = HashMap::new();
    assert_eq!(scanner.seen_under(&settings), Seen::default());
    // One that gives no result has seen nobody.
    let hangs = scanner.listing.lock().await;
    let failed = scanner.scan(Sweep::WhatChanged, &settings, &nobody).await;
    assert!(matches!(failed, Err(ScanError::ListingHangs)));
    drop(hangs);
    assert_eq!(scanner.seen_under(&settings), Seen::default());
    let found = scanner.scan(Sweep::WhatChanged, &settings, &nobody).await;
    assert!(found.unwrap().observations.is_empty());
    assert_ne!(scanner.seen_under(&settings), Seen::default());
    assert_eq!(scanner.seen_under(&other), Seen::default());
}

#[tokio::test]
async fn one_that_hangs_keeps_one_thread_however_often_it_is_looked_at() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    const SOON: Duration = Duration::from_millis(20);
    let probes = Arc::default();
    let begun = Arc::new(AtomicUsize::new(0));
    let (go_on, may_go_on) = channel::<()>();
    let count = Arc::clone(&begun);
    let hanging = move || {
        count.fetch_add(1, Ordering::SeqCst);
        // Until the other end is dropped.
        may_go_on.recv().is_ok()
    };
    assert_eq!(within(&probes, 7, SOON, hanging).await, Answer::Awaited);
    for _ in 0..10 {
        let count = Arc::clone(&begun);
        let again = move || count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(within(&probes, 7, SOON, again).await, Answer::Awaited);
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    let patience = Duration::from_secs(60);
    assert_eq!(
        within(&probes, 8, patience, || "another").await,
        Answer::Given("another")
    );
    drop(go_on);
    // As soon as that thread is back it is looked at again.
    let give_up = std::time::Instant::now() + patience;
    while within(&probes, 7, patience, || ()).await == Answer::Awaited {
        assert!(
            std::time::Instant::now() < give_up,
            "it is never looked at again"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn of_one_that_nobody_waits_for_any_more_it_is_known_that_it_hangs() {
    use std::sync::mpsc::channel;
    let probes = Arc::default();
    let patience = Duration::from_secs(60);
    let (begin, begun) = channel::<()>();
    let (go_on, may_go_on) = channel::<()>();
    let hanging = within(&probes, 7, patience, move || {
        let _ = begin.send(());
        let _ = may_go_on.recv();
    });
    tokio::select! {
        _ = hanging => panic!("it hangs"),
        begun = tokio::task::spawn_blocking(move || begun.recv()) => begun.unwrap().unwrap(),
    }
    assert_eq!(within(&probes, 7, patience, || ()).await, Answer::Awaited);
    drop(go_on);
}

#[tokio::test]
async fn of_several_on_one_thread_one_that_hangs_or_panics_holds_up_none_of_the_others() {
    use std::sync::mpsc::channel;
    const SOON: Duration = Duration::from_millis(50);
    type Work = Box<dyn FnOnce() -> usize + Send>;
    let probes = Arc::default();
    let (go_on, may_go_on) = channel::<()>();
    let hanging = move || {
        let _ = may_go_on.recv();
        7
    };
    let mut works: Vec<(u32, Work)> = (0..6)
        .map(|number| (number, Box::new(move || number as usize) as Work))
        .collect();
    works[2].1 = Box::new(hanging);
    // Without its hook, which takes its time for a backtrace.
    works[4].1 = Box::new(|| std::panic::resume_unwind(Box::new("on purpose")));
    let answers = each_within(&probes, SOON, works).await;
    let expected = [
        Answer::Given(0),
        Answer::Given(1),
        Answer::Awaited,
        Answer::Given(3),
        Answer::Awaited,
        Answer::Given(5),
    ];
    assert_eq!(answers, expected);
    // It is known which one hangs.
    let again = (0..6).map(|number| (number, move || number as usize));
    let answers = each_within(&probes, SOON, again.collect()).await;
    let expected = [
        Answer::Given(0),
        Answer::Given(1),
        Answer::Awaited,
        Answer::Given(3),
        Answer::Given(4),
        Answer::Given(5),
    ];
    assert_eq!(answers, expected);
    drop(go_on);
    // All together may take longer than one of them.
    let limit = Duration::from_secs(1);
    let slow = (10..14).map(|number| {
        let work = move || {
            std::thread::sleep(limit * 3 / 10);
            number
        };
        (number, work)
    });
    let answers = each_within(&probes, limit, slow.collect()).await;
    assert_eq!(answers, [10, 11, 12, 13].map(Answer::Given));
}

#[test]
fn however_many_hang_threads_are_left_for_other_work() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const THREADS: usize = PROBE_THREADS + 1;
    const MANY: u32 = 3 * THREADS as u32;
    const SOON: Duration = Duration::from_millis(20);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .unwrap();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let begun = Arc::new(AtomicUsize::new(0));
    let probes = Arc::default();
    runtime.block_on(async {
        let works = (0..MANY).map(|number| {
            let (begun, may_go_on) = (Arc::clone(&begun), Arc::clone(&may_go_on));
            let work = move || {
                begun.fetch_add(1, Ordering::SeqCst);
                let _ = may_go_on.lock().map(|waiting| waiting.recv());
            };
            (number, work)
        });
        let answers = each_within(&probes, SOON, works.collect()).await;
        let awaited = answers.iter().filter(|answer| **answer == Answer::Awaited);
        assert!(
            (HUNG_PROBES_LIMIT..=HUNG_PROBES_LIMIT + PROBES_AT_ONCE).contains(&awaited.count())
        );
        let given = answers.into_iter().filter_map(Answer::given);
        assert_eq!(given.count(), 0);
        // Nor is it tried any more.
        let answers = each_within(&probes, SOON, vec![(MANY, || ())]).await;
        assert_eq!(answers, [Answer::NotBegun]);
        let other_work = tokio::task::spawn_blocking(|| "done");
        let done = timeout(Duration::from_secs(60), other_work).await;
        assert_eq!(done.expect("a thread for it").unwrap(), "done");
    });
    assert!(begun.load(Ordering::SeqCst) <= HUNG_PROBES_LIMIT + PROBES_AT_ONCE);
    drop(go_on);
}

#[tokio::test]
async fn whoever_waits_leaves_the_rest_to_the_others_wherever_it_stands() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const WAITING: usize = PROBES_AT_ONCE + 1;
    let patience = Duration::from_secs(60);
    let begun = Arc::new(AtomicUsize::new(0));
    // Every eighth of them waits until all of those have begun.
    let works = (0..8 * WAITING).map(|number| {
        let begun = Arc::clone(&begun);
        let work = move || {
            if number % 8 > 0 {
                return true;
            }
            begun.fetch_add(1, Ordering::SeqCst);
            let give_up = std::time::Instant::now() + patience / 2;
            while begun.load(Ordering::SeqCst) < WAITING {
                if std::time::Instant::now() > give_up {
                    return false;
                }
                std::thread::yield_now();
            }
            true
        };
        (u32::try_from(number).unwrap(), work)
    });
    let answers = each_within(&Arc::default(), patience, works.collect()).await;
    assert_eq!(answers, vec![Answer::Given(true); 8 * WAITING]);
}

#[test]
fn one_disk_that_hangs_leaves_others_to_be_looked_at() {
    // A probe hangs wherever it was begun with; this is where it is at the workspace.
    let at_the_workspace = Arc::new(Stage::at_the_workspace());
    let on = |pid: Pid, workspace: &str, mount: Option<u64>| Coordinating {
        process: ProcessIdentity {
            pid,
            start: 1,
            unique: 0,
        },
        workspace: Some(workspace.into()),
        disk: match mount {
            Some(id) => Disk::Seen(MountKey { id, device: 0 }),
            None => Disk::Named(Some(1)),
        },
        stage: Arc::clone(&at_the_workspace),
    };
    let hang = |many: u32, mount: Option<u64>| -> Vec<Coordinating> {
        let each = (0..many).map(|pid| on(pid, &format!("/hangs/{pid}"), mount));
        each.collect()
    };
    let other = |mount| on(1_000, "/another", mount);
    for (hanging, probed, is_held_up) in [
        (hang(1, Some(1)), on(0, "/another", Some(2)), true),
        (hang(1, Some(1)), on(1_000, "/hangs/0", Some(2)), false),
        // Whoever comes and goes on one workspace takes no more than two threads.
        (
            vec![on(1, "/hangs", None), on(2, "/hangs", None)],
            on(3, "/hangs", None),
            true,
        ),
        (hang(7, Some(1)), other(Some(1)), false),
        (hang(8, Some(1)), other(Some(1)), true),
        (hang(60, Some(1)), other(Some(2)), false),
        (hang(60, Some(1)), other(None), false),
        (hang(31, None), other(None), false),
        (hang(32, None), other(None), true),
        (hang(60, None), other(Some(1)), false),
        (
            hang(60, None),
            Coordinating {
                disk: Disk::Named(Some(2)),
                ..other(None)
            },
            false,
        ),
    ] {
        assert_eq!(
            probed.held_up_by(hanging.iter()).is_some(),
            is_held_up,
            "{probed:?} beside {}",
            hanging.len()
        );
    }
    // What hangs at its cwd, say, says nothing of the disk of its workspace.
    let mut elsewhere = hang(60, Some(1));
    for one in &mut elsewhere {
        one.stage = Arc::default();
    }
    assert_eq!(other(Some(1)).held_up_by(elsewhere.iter()), None);
    let itself = on(0, "/hangs/0", Some(1));
    let held_up = itself.held_up_by(elsewhere.iter());
    assert_eq!(held_up, Some(HeldUp::ByItself));
}

#[tokio::test]
async fn those_that_are_mere_work_have_one_thread_and_those_that_wait_get_company() {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let probes = Arc::default();
    let patience = Duration::from_secs(60);
    let mut least = usize::MAX;
    // Where much else is going on, one thread may take long even for these.
    for _ in 0..100 {
        let works = (0..50).map(|number| (number, || std::thread::current().id()));
        let answers = each_within(&probes, patience, works.collect()).await;
        let threads: HashSet<_> = answers.into_iter().filter_map(Answer::given).collect();
        least = least.min(threads.len());
    }
    assert_eq!(least, 1);

    let begun = Arc::new(AtomicUsize::new(0));
    let works = (0..17).map(|number| {
        let begun = Arc::clone(&begun);
        // The first one waits alone, and then the others with it.
        let work = move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let give_up = std::time::Instant::now() + patience / 2;
            while begun.load(Ordering::SeqCst) < PROBES_AT_ONCE + 1 {
                if std::time::Instant::now() > give_up {
                    return false;
                }
                std::thread::yield_now();
            }
            true
        };
        (number, work)
    });
    let answers = each_within(&probes, patience, works.collect()).await;
    assert_eq!(answers, vec![Answer::Given(true); 17]);
}
