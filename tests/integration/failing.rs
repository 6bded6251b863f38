//! When it does not work: a process that outlives SIGKILL, and a disk that takes no more records.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use nix::sys::ptrace;
use nix::unistd::Pid;
use rustix::mount::{MountFlags, mount};

use serde_json::json;

use crate::support::{
    Settings, StandIn, World, entry_of, in_private_pid_namespace, pids, wait_until,
};

/// Keeps the process from ever getting further than into its own end, whatever kills it: a traced
/// process stops there, and its tracer never lets it go on.
fn make_immortal(process: &StandIn) -> Pid {
    let pid = Pid::from_raw(i32::try_from(process.pid).unwrap());
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
    pid
}

fn impatient() -> Settings {
    Settings {
        sigkill_wait: "300ms",
        ..Settings::impatient()
    }
}

#[test]
fn an_orphan_that_outlives_sigkill_is_reported_as_failed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&impatient());
        let survivors = world.survivors();
        let immortal = world.orphan("gone-1").start();
        let tracee = make_immortal(&immortal);
        let mortal = world.orphan("gone-2").start();

        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(1);
        assert_eq!(fix["ok"], false, "{fix:#}");
        assert_eq!(pids(&fix["killed"]), [mortal.pid], "{fix:#}");
        assert_eq!(pids(&fix["failed"]), [immortal.pid], "{fix:#}");
        let failed = &fix["failed"][0];
        assert_eq!(failed["status"], "failed", "{failed:#}");
        assert_eq!(failed["error"], "alive_after_sigkill", "{failed:#}");
        assert_eq!(failed["sigkill_attempted"], true, "{failed:#}");
        // Which state it is in, and who keeps it there.
        let detail = failed["error_detail"].as_str().unwrap();
        for words in ["held by a tracer", "traced by process"] {
            assert!(detail.contains(words), "{detail}");
        }
        assert!(immortal.is_alive());
        let failed = world.event_log().wait_for(immortal.pid, "orphan.failed");
        assert_eq!(failed["reason"], "workspace_path_missing", "{failed:#}");

        ptrace::detach(tracee, None).unwrap();
        wait_until("it is let go", || immortal.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn the_gate_and_the_report_tell_of_a_failed_kill() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&impatient());
        let survivors = world.survivors();
        let immortal = world.orphan("gone").start();
        let tracee = make_immortal(&immortal);

        let gate = [
            "--json",
            "doctor",
            "--gate",
            "orphans",
            "--fix",
            "--confirm",
        ];
        let gate = world.ctl(gate).json_with(1);
        assert_eq!(gate["ok"], false, "{gate:#}");
        assert_eq!(gate["status"], "failed", "{gate:#}");
        assert_eq!(gate["fix"], true, "{gate:#}");
        assert_eq!(pids(&gate["failed"]), [immortal.pid], "{gate:#}");

        // Its end has begun, but not got anywhere: it is an orphan still.
        let report = world.ctl(["fix", "--confirm"]);
        let text = report.text_with(1);
        assert!(
            text.contains("\n  killed: 0  (sigkill_required: 0)\n"),
            "{report:#?}"
        );
        assert!(text.contains("\n  failed: 1\n"), "{report:#?}");

        ptrace::detach(tracee, None).unwrap();
        wait_until("it is let go", || immortal.has_exited());
        survivors.assert_alive();
    });
}

/// Fills the file system that the event log is on, down to the last byte of its last page.
fn fill_up(event_log: &Path) {
    let mut log = File::options().append(true).open(event_log).unwrap();
    let rest = 4096 - usize::try_from(fs::metadata(event_log).unwrap().len()).unwrap() % 4096;
    let mut line = vec![b'.'; rest];
    line[rest - 1] = b'\n';
    log.write_all(&line).unwrap();
    let mut ballast = File::create(event_log.with_file_name("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
}

#[test]
fn automatic_reaping_that_cannot_be_recorded_does_not_signal_until_it_can() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let state = world.path("state");
        mount(
            "tad",
            &state,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=256k"),
        )
        .unwrap();
        let daemon = world.daemon_with(&Settings::watchful().with(
            "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"",
        ));
        let survivors = world.survivors();
        fill_up(&world.event_log().path);
        let orphan = world.orphan("gone").start();
        wait_until("a kill has failed, and no other is tried", || {
            let status = daemon.call("status", &json!({}));
            let failed = status["counters"]["failed"].as_u64();
            let held = status["policy"]["held_by"] == json!(["audit_unavailable"]);
            held && failed == Some(1)
        });
        assert!(orphan.is_alive());
        // Somebody makes room: then it can be recorded, and is done.
        fs::remove_file(world.event_log().path.with_file_name("ballast")).unwrap();
        wait_until("the orphan is reaped", || orphan.has_exited());
        assert!(daemon.stop().success());
        // The ballast in it is no JSON.
        let log = fs::read_to_string(&world.event_log().path).unwrap();
        for (event, times) in [
            ("orphan.failed", 1),
            ("orphan.signal", 1),
            ("orphan.killed", 1),
        ] {
            let found = log.matches(&format!("\"event\": \"{event}\"")).count();
            assert_eq!(found, times, "{event}");
        }
        survivors.assert_alive();
    });
}

#[test]
fn who_joined_what_the_daemon_cannot_record_gets_it_and_is_told_so() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let state = world.path("state");
        mount(
            "tad",
            &state,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=256k"),
        )
        .unwrap();
        let mut settings = Settings::watchful().with(
            "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"",
        );
        settings.sigterm_wait = "4s";
        let daemon = world.daemon_with(&settings);
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        fill_up(&world.event_log().path);
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert!(
            killed.to_string().contains("audit_unavailable"),
            "{killed:#}"
        );
        assert!(orphan.has_exited());
        assert_eq!(daemon.call("status", &json!({}))["counters"]["failed"], 0);
        assert!(daemon.stop().success());
        survivors.assert_alive();
    });
}

#[test]
fn a_fix_that_cannot_be_recorded_goes_on_and_says_so() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let state = world.path("state");
        mount(
            "tad",
            &state,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=256k"),
        )
        .unwrap();
        let daemon = world.daemon_with(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        fill_up(&world.event_log().path);
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert!(
            killed.to_string().contains("audit_unavailable"),
            "{killed:#}"
        );
        assert!(orphan.has_exited());
        assert!(daemon.stop().success());
        survivors.assert_alive();
    });
}
