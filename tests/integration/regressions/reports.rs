//! What the tool before this one said of a kill, and what was so.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Daemon, Settings, World, entry_of, in_private_pid_namespace, pids, signal, skip, wait_until,
    we_are_really_root,
};

/// Somebody whose processes root may signal only with a capability that can be taken from it.
const SOMEBODY: u32 = 54_321;

#[test]
fn the_original_reported_a_process_that_it_was_not_allowed_to_signal_as_killed() {
    in_private_pid_namespace(|| {
        if !we_are_really_root() {
            return skip("root");
        }
        let world = World::new();
        world.open_to_everybody();
        world.configure(&Settings {
            uids: "[54321]",
            ..Settings::impatient()
        });
        let without = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];
        let _daemon = Daemon::start_through(&world, &without);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with_uid(SOMEBODY).start();
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(1);
        assert_eq!(fix["ok"], false, "{fix:#}");
        assert_eq!(fix["killed"], json!([]), "{fix:#}");
        assert_eq!(pids(&fix["failed"]), [orphan.pid], "{fix:#}");
        let failed = &fix["failed"][0];
        assert_eq!(failed["error"], "permission_denied", "{failed:#}");
        assert!(orphan.is_alive());
        let event = world.event_log().wait_for(orphan.pid, "orphan.failed");
        assert_eq!(event["error"], "permission_denied", "{event:#}");
        survivors.assert_alive();
    });
}

fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[test]
fn the_original_reported_an_exited_process_that_nobody_waited_for_as_alive() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        // Its parent, this test, does not wait for it: until then it stays in the process table.
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(state(orphan.pid), Some('Z'));
        assert_eq!(fix["failed"], json!([]), "{fix:#}");
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["status"], "killed", "{killed:#}");
        assert_eq!(killed["sigkill_required"], false, "{killed:#}");
        survivors.assert_alive();
    });
}

/// How many threads of a process have not exited.
fn live_threads(pid: u32) -> usize {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok())
        .filter(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
        .count()
}

#[test]
fn the_original_reported_a_leader_of_which_a_thread_lives_on_as_exited() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let process = world
            .healthy("workspace")
            .with("CHDIR", 1)
            .with("LEAVE_THREAD", 1)
            // Whatever becomes of this test: nobody takes a zombie for alive.
            .with("TTL", 90)
            .start();
        signal(process.pid, Signal::TERM);
        wait_until("its main thread has exited", || process.has_exited());
        assert_eq!(live_threads(process.pid), 1);
        let scan = daemon.scan();
        let entry = entry_of(&scan["coordinators"], process.pid);
        assert_eq!(entry["verdict"], "alive", "{entry:#}");

        fs::remove_dir(world.path("workspace")).unwrap();
        let scan = daemon.scan();
        let entry = entry_of(&scan["orphans"], process.pid);
        assert_eq!(entry["reason"], "workspace_path_missing", "{entry:#}");
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], process.pid);
        assert_eq!(killed["sigkill_required"], true, "{killed:#}");
        assert_eq!(live_threads(process.pid), 0);
        survivors.assert_alive();
    });
}
