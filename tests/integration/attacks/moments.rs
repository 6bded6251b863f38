//! One certain moment of a wave each, and what must not be overlooked there. Nothing here is left to
//! chance: the world changes when the wave has got to that step.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use nix::unistd::{Pid, getpgid};
use team_agentd::orphan::escalation::{Failure, Outcome};
use team_agentd::orphan::victims::Why;
use tokio::runtime::Handle;

use super::ground::{
    Ground, Watched, argv, bystander_in, coordinator, coordinator_that, wait_until,
};
use crate::support::in_private_pid_namespace;

/// Long enough for something to happen between the signals, on a slow machine too.
const BETWEEN_THE_SIGNALS: Duration = Duration::from_secs(5);

fn spared(why: &str) -> Outcome {
    Outcome::Spared {
        why: why.to_owned(),
    }
}

/// Keeps a pool of one thread busy: whatever else is to run there waits for a turn of `work` first.
pub(super) fn busy_with(pool: Handle, is_over: Arc<AtomicBool>, work: Arc<dyn Fn() + Send + Sync>) {
    let next = pool.clone();
    pool.spawn_blocking(move || {
        if !is_over.load(Ordering::Relaxed) {
            busy_with(next, Arc::clone(&is_over), Arc::clone(&work));
            work();
        }
    });
}

#[test]
fn a_wave_that_was_held_up_since_its_check_checks_again_before_it_signals() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::with_blocking_threads(1);
        ground.settings.probe_timeout = Duration::from_secs(60);
        let workspace = ground.path("gone");
        let mut orphan = Watched::start(coordinator(&workspace));
        let sighting = ground.sighting_of(orphan.pid);
        // Each step of a check takes longer than half of what makes the check stale. The workspace
        // comes back when the signal is on record, just before it would be sent.
        let log = ground.path("state/events.jsonl");
        let work = move || {
            if fs::read_to_string(&log).is_ok_and(|log| log.contains("orphan.signal")) {
                fs::create_dir_all(&workspace).expect("a directory");
            }
            thread::sleep(Duration::from_millis(150));
        };
        let is_over = Arc::new(AtomicBool::new(false));
        busy_with(ground.blocking_pool(), Arc::clone(&is_over), Arc::new(work));
        let outcome = ground.end(sighting);
        is_over.store(true, Ordering::Relaxed);
        orphan.assert_untouched("an orphan whose workspace is back");
        assert_eq!(outcome, spared("workspace_alive"));
        assert_eq!(ground.recorded().len(), 1, "it was about to be signalled");
        ground.assert_survivors_untouched();
    });
}

#[test]
fn an_orphan_that_became_another_orphan_is_not_ended_for_what_it_was() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        let script = format!(
            "read line; exec -a team-agent-coordinator bash -c 'read line' --workspace {}",
            ground.path("other").display()
        );
        let mut orphan = Watched::start(coordinator_that(&script, &ground.path("gone")));
        let sighting = ground.sighting_of(orphan.pid);
        orphan.tell();
        wait_until("it has another workspace", || {
            argv(orphan.pid).ends_with(b"/other\0")
        });
        assert_eq!(ground.end(sighting), spared("program_changed"));
        orphan.assert_untouched("another orphan in the same process");
        assert_eq!(ground.recorded(), []);
        // By a scan and a verdict of its own it is one.
        let sighting = ground.sighting_of(orphan.pid);
        assert!(matches!(ground.end(sighting), Outcome::Killed { .. }));
        assert!(!orphan.is_alive());
        ground.assert_survivors_untouched();
    });
}

#[test]
fn who_joins_the_group_of_an_orphan_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        ground.settings.sigterm_wait = BETWEEN_THE_SIGNALS;
        let mut orphan = Watched::start(coordinator(&ground.path("gone")));
        let sighting = ground.sighting_of(orphan.pid);
        let asked = &orphan;
        let second_pass = Instant::now() + BETWEEN_THE_SIGNALS;
        let (ends, (mut joiner, in_time)) = ground.wave(vec![sighting], move || {
            wait_until("the orphan has SIGTERM", || {
                asked.has_received(Number::SIGTERM)
            });
            let joiner = Watched::start(bystander_in(asked.pid));
            (joiner, Instant::now() < second_pass)
        });
        joiner.assert_untouched("somebody who joined the group");
        assert!(!orphan.is_alive());
        let left = &ends[0].left_behind;
        let is_named = left
            .iter()
            .any(|one| one.pid == joiner.pid && one.why == Why::Changed);
        assert!(is_named || !in_time, "{left:?}");
        assert!(ends[0].members.is_empty(), "{:?}", ends[0].members);
        ground.assert_survivors_untouched();
    });
}

#[test]
fn a_member_that_leaves_the_group_after_its_sigterm_gets_no_sigkill() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        ground.settings.sigterm_wait = BETWEEN_THE_SIGNALS;
        let mut orphan = Watched::start(coordinator(&ground.path("gone")));
        let group = i32::try_from(orphan.pid).expect("a pid");
        let mut shell = Command::new("bash");
        shell
            .args(["-c", "read line; exec setsid sleep infinity"])
            .process_group(group);
        let mut member = Watched::start(shell);
        let sighting = ground.sighting_of(orphan.pid);
        let leaving = &mut member;
        let (ends, ()) = ground.wave(vec![sighting], move || {
            wait_until("the member has SIGTERM", || {
                leaving.has_received(Number::SIGTERM)
            });
            leaving.tell();
            let pid = Pid::from_raw(i32::try_from(leaving.pid).expect("a pid"));
            wait_until("it leads a session of its own", || {
                getpgid(Some(pid)).is_ok_and(|group| group == pid)
            });
        });
        assert!(!orphan.is_alive());
        assert!(member.is_alive(), "{:?}", ends[0]);
        let ended: Vec<(u32, &str)> = ends[0]
            .members
            .iter()
            .map(|member| (member.pid, member.outcome))
            .collect();
        assert_eq!(ended, [(member.pid, "spared")]);
        ground.assert_survivors_untouched();
    });
}

#[test]
fn without_a_record_on_disk_automatic_reaping_signals_nobody() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        let mut orphan = Watched::start(coordinator(&ground.path("gone")));
        let sighting = ground.sighting_of(orphan.pid);
        ground.directory("state/events.jsonl");
        let outcome = ground.end(sighting);
        let Outcome::Failed { error, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(error, Failure::AuditUnavailable);
        orphan.assert_untouched("an orphan of which nothing is on record");
        ground.assert_survivors_untouched();
    });
}

#[test]
fn an_orphan_above_the_daemon_is_spared() {
    in_private_pid_namespace(|| {
        let mut ground = Ground::new();
        let script = "sleep infinity & read line";
        let mut orphan = Watched::start(coordinator_that(script, &ground.path("gone")));
        wait_until("it has a child", || !orphan.children().is_empty());
        ground.own_pid = orphan.children()[0];
        let sighting = ground.sighting_of(orphan.pid);
        assert_eq!(ground.end(sighting), spared("protected_ancestor"));
        orphan.assert_untouched("an ancestor of the daemon");
        ground.assert_survivors_untouched();
    });
}
