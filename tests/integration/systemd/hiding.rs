//! Units that hide something from the daemon: it says so from the start, and ends nothing by itself.

use serde_json::{Value, json};

use super::service::{Service, for_both, for_system, for_user};
use crate::support::{entry_of, wait_until};

/// Ends an orphan at the first sight, if anything may be ended.
const AT_ONCE: &str = "[scan]\ninterval = \"200ms\"\n[reap]\nconfirm = true\ngrace = \"0s\"\n\
                       min_sightings = 1\nstart_grace = \"0s\"\n";

/// Starts it with these lines in the unit, and an orphan that it sees. Returns the orphan and its status.
fn started_with(service: &Service<'_>, lines: &str, orphan: &str) -> (u32, Value) {
    service.configure(AT_ONCE);
    service.drop_in(lines);
    let orphan = service.machine.coordinator(orphan, false);
    service.start();
    (orphan, service.ctl("status"))
}

/// What hides something is in its status as `kind`, and it reaps nothing for as long as it would have
/// reaped six times over.
fn assert_holds_back(service: &Service<'_>, lines: &str, kind: &str, orphan: &str) -> Value {
    let (orphan, status) = started_with(service, lines, orphan);
    let view = &status["view"];
    assert_eq!(view["clear"], false, "{lines}: {view:#}");
    assert_eq!(view["obstacles"][0]["kind"], kind, "{lines}: {view:#}");
    assert_eq!(status["policy"]["held_by"], json!(["view_obstructed"]));
    wait_until("it has looked often enough", || {
        service.ctl("status")["counters"]["scans"].as_u64() >= Some(7)
    });
    // Where it cannot be looked into, or is not even seen, it is no orphan.
    if kind == "hidden_path" {
        let status = service.ctl("status");
        let standing = entry_of(&status["orphans"], orphan);
        assert_eq!(standing["state"], "confirmed", "{standing:#}");
        let hold = &standing["holds"][0]["hold"];
        assert_eq!(hold, "view_obstructed", "{standing:#}");
    }
    assert!(service.machine.is_alive(orphan));
    service.event_log().assert_never_signalled(orphan);
    let line = service.property("StatusText");
    assert!(line.contains("does not see everything"), "{line}");
    let journal = service.machine.journal();
    assert!(
        journal.contains("the daemon does not see everything"),
        "{journal}"
    );
    view.clone()
}

/// Starts it anew with one kind of lines after the other.
fn assert_each_holds_back(service: &Service<'_>, units: &[(&str, &str, Option<&str>)]) {
    for (number, (lines, kind, path)) in units.iter().enumerate() {
        let view = assert_holds_back(service, lines, kind, &format!("/tmp/gone-{number}"));
        if let Some(path) = path {
            assert_eq!(view["obstacles"][0]["path"], *path, "{lines}: {view:#}");
        }
        service.systemctl("stop team-agentd.service");
    }
}

#[test]
fn what_hides_workspaces_or_processes_is_said_and_holds_automatic_reaping() {
    for_system(|service| {
        let of_tester = "/home/tester";
        let units = [
            ("PrivateTmp=yes", "hidden_path", Some("/tmp")),
            ("ProtectHome=yes", "hidden_path", Some("/home")),
            ("ProtectHome=tmpfs", "hidden_path", Some("/home")),
            (
                "TemporaryFileSystem=/home/tester",
                "hidden_path",
                Some(of_tester),
            ),
            (
                "InaccessiblePaths=/home/tester",
                "hidden_path",
                Some(of_tester),
            ),
            ("PrivateUsers=yes", "user_namespace", None),
            (
                "ProtectProc=invisible\nCapabilityBoundingSet=~CAP_SYS_PTRACE",
                "filtered_processes",
                None,
            ),
        ];
        assert_each_holds_back(service, &units);
    });
}

/// Newer versions of systemd add `PrivateUsers=` by themselves; older ones leave the rest out without.
#[test]
fn what_gives_a_user_unit_mounts_of_its_own_holds_automatic_reaping() {
    for_user(|service| {
        // Made for the first service of the system that has mounts of its own: here there is none.
        service.machine.sh("mkdir -p /run/systemd/unit-root");
        let units = [
            ("PrivateUsers=yes", "user_namespace", None),
            ("PrivateUsers=yes\nPrivateTmp=yes", "user_namespace", None),
            (
                "PrivateUsers=yes\nProtectSystem=strict",
                "user_namespace",
                None,
            ),
        ];
        assert_each_holds_back(service, &units);
    });
}

#[test]
fn a_volume_that_comes_and_goes_is_seen_to_do_so_behind_the_units_own_mounts() {
    for_system(|service| {
        let machine = service.machine;
        service.start();
        machine.sh("mkdir /home/volume && mount -t tmpfs tmpfs /home/volume");
        let living = machine.coordinator("/home/volume/live", true);
        let verdict_of = |reason: &str| {
            let scan = service.ctl("scan");
            let entry = entry_of(&scan["coordinators"], living);
            assert_eq!(entry["reason"], reason, "{entry:#}");
            let view = &service.ctl("status")["view"];
            assert_eq!(*view, json!({"clear": true, "obstacles": []}));
        };
        verdict_of("workspace_alive");
        machine.sh("umount --lazy /home/volume");
        verdict_of("workspace_unmounted");
        let fix = service.ctl("fix --confirm");
        assert_eq!(fix["killed"], json!([]));
        assert!(machine.is_alive(living));
    });
}

#[test]
fn the_units_as_they_ship_hide_nothing_and_hold_nothing_back() {
    for_both(|service| {
        let living = service.machine.coordinator("/home/tester/live", true);
        let (orphan, status) = started_with(service, "", "/tmp/gone");
        assert_eq!(status["view"], json!({"clear": true, "obstacles": []}));
        assert_eq!(status["policy"]["automatic"], true);
        wait_until("the orphan is reaped", || !service.machine.is_alive(orphan));
        assert!(service.machine.is_alive(living));
    });
}
