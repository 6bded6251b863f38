//! A life under systemd: started, asked, killed, stopped, and what the service manager hears of it.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::service::for_both;
use crate::support::{entry_of, wait_until};

#[test]
fn it_is_ready_once_it_has_looked_and_answers_on_the_socket_it_inherited() {
    for_both(|service| {
        let tmp = service.machine.coordinator("/tmp/live", true);
        let home = service.machine.coordinator("/home/tester/live", true);
        service.start();
        // Whoever waited for the start finds a daemon that knows everybody.
        let status = service.ctl("status");
        assert_eq!(status["last_scan"]["scanned"], 2, "{status:#}");
        assert_eq!(status["daemon"]["socket"], service.socket());
        assert_eq!(
            status["daemon"]["pid"].to_string(),
            service.property("MainPID")
        );
        assert_eq!(status["view"], json!({"clear": true, "obstacles": []}));
        assert_eq!(
            service.property("StatusText"),
            "2 coordinators, 0 orphans; automatic reaping off"
        );
        let scan = service.ctl("scan");
        assert_eq!(scan["source"], "daemon");
        for pid in [tmp, home] {
            assert_eq!(entry_of(&scan["coordinators"], pid)["verdict"], "alive");
        }

        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        let socket = service.socket_file();
        assert_eq!(mode(&socket), 0o600);
        assert_eq!(mode(socket.parent().unwrap()), 0o700);
        let beside = std::fs::read_dir(socket.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "no lock beside a socket that is not its own");
        let state = service.event_log().path;
        assert_eq!(mode(state.parent().unwrap()), 0o700);
        assert_eq!(service.property("LimitNOFILE"), "524288");
    });
}

#[test]
fn the_status_line_follows_what_it_sees() {
    for_both(|service| {
        service.configure("[scan]\ninterval = \"200ms\"\n[reap]\nconfirm = true\n");
        service.start();
        let line = || service.property("StatusText");
        assert_eq!(line(), "0 coordinators, 0 orphans; automatic reaping on");
        service.machine.coordinator("/tmp/gone", false);
        wait_until("the new orphan is in the status line", || {
            line() == "1 coordinator, 1 orphan; automatic reaping on"
        });
        service.ctl("pause");
        wait_until("the pause is in the status line", || {
            line() == "1 coordinator, 1 orphan; automatic reaping paused"
        });
    });
}

#[test]
fn who_connects_starts_it() {
    for_both(|service| {
        let pid = service.machine.coordinator("/tmp/gone", false);
        service.systemctl("start team-agentd.socket");
        assert_eq!(service.property("ActiveState"), "inactive");
        let scan = service.ctl("scan");
        assert_eq!(scan["source"], "daemon");
        assert_eq!(entry_of(&scan["orphans"], pid)["verdict"], "orphan");
        assert_eq!(service.property("ActiveState"), "active");

        // The socket belongs to systemd: it is there without a daemon, and starts the next one.
        service.systemctl("stop team-agentd.service");
        assert!(service.socket_file().exists());
        service.ctl("scan");
        service.systemctl("stop team-agentd.socket");
        assert_eq!(
            service.property("ActiveState"),
            "inactive",
            "both are stopped"
        );
        assert!(!service.socket_file().exists());
    });
}

#[test]
fn one_that_is_killed_is_started_again() {
    for_both(|service| {
        service.start();
        let first = service.property("MainPID");
        service.sh(&format!("kill -9 {first}"));
        service.wait_until_it_is_another_than(&first);
        assert_eq!(service.property("NRestarts"), "1");
        assert_eq!(service.ctl("status")["last_scan"]["scanned"], 0);
    });
}

#[test]
fn one_that_stands_still_is_started_again() {
    for_both(|service| {
        service.start();
        assert_eq!(service.property("WatchdogUSec"), "1min", "as it ships");
        service.systemctl("stop team-agentd.service");
        // Long enough for a slow machine, and a hundred times shorter than what stopping it may take.
        service.drop_in("WatchdogSec=3\nTimeoutStopSec=300\nTimeoutAbortSec=300");
        service.start();
        let first = service.property("MainPID");
        let scans = |status: &Value| status["counters"]["scans"].as_u64().unwrap();
        wait_until("it was fed longer than it may go without", || {
            let status = service.ctl("status");
            assert_eq!(service.property("MainPID"), first, "{}", scans(&status));
            status["daemon"]["uptime_s"].as_u64() > Some(5)
        });
        service.sh(&format!("kill -STOP {first}"));
        service.wait_until_it_is_another_than(&first);
        assert_eq!(service.property("NRestarts"), "1");
        assert!(service.machine.journal().contains("Watchdog timeout"));
        service.ctl("status");
    });
}

#[test]
fn a_reload_with_a_bad_file_fails_and_it_goes_on_as_it_was() {
    for_both(|service| {
        service.start();
        let pid = service.property("MainPID");
        service.configure("[reap]\nconfirm = true\ngarce = \"1s\"\n");
        let reload = service.try_systemctl("reload team-agentd");
        assert_ne!(reload.code, Some(0), "{reload:#?}");
        assert_eq!(service.property("ActiveState"), "active");
        assert_eq!(service.property("MainPID"), pid);
        assert_eq!(service.ctl("status")["policy"]["confirm"], false);
        assert!(service.machine.journal().contains("garce"));

        service.configure("[reap]\nconfirm = true\ngrace = \"1h\"\n");
        service.systemctl("reload team-agentd");
        assert_eq!(service.ctl("status")["policy"]["confirm"], true);
        assert_eq!(service.property("MainPID"), pid);
    });
}

#[test]
fn a_configuration_that_is_refused_is_not_tried_again() {
    for_both(|service| {
        service.configure("[reap]\nconfirm = \"perhaps\"\n");
        let start = service.try_systemctl("start team-agentd");
        assert_ne!(start.code, Some(0), "{start:#?}");
        assert_eq!(service.property("ActiveState"), "failed");
        assert_eq!(service.property("ExecMainStatus"), "78");
        assert_eq!(service.property("NRestarts"), "0");
        let line = service.property("StatusText");
        assert!(line.contains("reap.confirm"), "{line}");
        assert!(service.machine.journal().contains("confirm"));
        service.configure("");
        service.start();
        service.ctl("status");
    });
}

#[test]
fn who_connects_to_one_that_cannot_start_is_not_left_waiting() {
    for_both(|service| {
        service.configure("[reap]\nconfirm = \"perhaps\"\n");
        service.systemctl("start team-agentd.socket");
        let answer = service.try_ctl("status");
        assert_ne!(answer.code, Some(0), "{answer:#?}");
        let socket = service.systemctl("show --value --property=Result team-agentd.socket");
        assert_eq!(socket.trim(), "service-start-limit-hit");

        service.configure("");
        service.systemctl("reset-failed team-agentd.service team-agentd.socket");
        service.start();
        service.ctl("status");
    });
}

#[test]
fn a_fix_ends_the_orphan_in_tmp_and_nobody_who_lives_there_or_at_home() {
    for_both(|service| {
        let machine = service.machine;
        machine.sh("install -d -m 700 -o tester -g tester /home/tester/private");
        let living = [
            machine.coordinator("/tmp/live", true),
            machine.coordinator("/home/tester/private/live", true),
        ];
        let gone = machine.coordinator("/tmp/gone", true);
        machine.sh("rm -rf /tmp/gone");
        service.start();
        let fix = service.ctl("fix --confirm");
        assert_eq!(
            entry_of(&fix["killed"], gone)["reason"],
            "workspace_path_missing"
        );
        assert_eq!(fix["killed"].as_array().unwrap().len(), 1, "{fix:#}");
        assert_eq!(fix["spared"], json!([]));
        assert!(!machine.is_alive(gone));
        for pid in living {
            assert!(machine.is_alive(pid));
            service.event_log().assert_never_signalled(pid);
        }
        assert_eq!(service.event_log().signals(gone, "SIGTERM").len(), 1);
        let scan = service.ctl("scan");
        for pid in living {
            assert_eq!(entry_of(&scan["coordinators"], pid)["verdict"], "alive");
        }
    });
}

#[test]
fn a_stop_during_a_kill_lets_it_finish_however_long_it_takes() {
    for_both(|service| {
        service.configure("[terminate]\nsigterm_wait = \"4s\"\n");
        // Less than the kill takes: it has to ask for more.
        service.drop_in("TimeoutStopSec=1");
        let stubborn =
            service
                .machine
                .coordinator_with("/tmp/gone", false, "STAND_IN_IGNORE_TERM=1");
        let living = service.machine.coordinator("/tmp/live", true);
        service.start();
        service.sh(
            "systemd-run --quiet --user --unit=fix team-agentctl fix --confirm 2>/dev/null || \
                    systemd-run --quiet --unit=fix team-agentctl fix --confirm",
        );
        service.event_log().wait_for_signal(stubborn, "SIGTERM");
        service.systemctl("stop team-agentd.service");
        assert_eq!(service.property("Result"), "success");
        assert_eq!(service.property("ActiveState"), "inactive");
        assert!(!service.machine.is_alive(stubborn));
        assert!(service.machine.is_alive(living));
        let log = service.event_log();
        assert_eq!(log.about(stubborn, "orphan.killed").len(), 1);
        assert_eq!(log.named("daemon.stopped").len(), 1);
    });
}
