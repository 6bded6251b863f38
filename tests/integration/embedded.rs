//! The engine inside the client: the same verdicts, the same kills and the same records.

use serde_json::json;

use crate::support::{
    Settings, World, entry_of, in_private_pid_namespace, in_the_original_form, pids,
};

#[test]
fn an_embedded_fix_ends_orphans_and_writes_the_same_event_log() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 1).start();
        let answer = world.ctl(["--json", "fix", "--confirm"]);
        let fix = answer.json_with(0);
        assert_eq!(fix["source"], "embedded", "{fix:#}");
        assert_eq!(fix["ok"], true, "{fix:#}");
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert_eq!(fix["killed"][0]["signaled"], "pgid", "{fix:#}");
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:#?}");
        assert!(orphan.has_exited_with_children());

        let log = world.event_log();
        for line in log.lines() {
            assert_eq!(
                line,
                in_the_original_form(&serde_json::from_str(&line).unwrap())
            );
        }
        let story = log.story_of(orphan.pid);
        assert!(
            story.ends_with(&["orphan.signal".to_owned(), "orphan.killed".to_owned()]),
            "{story:?}"
        );
        let signal = log.about(orphan.pid, "orphan.signal").remove(0);
        assert_eq!(signal["signal"], "SIGTERM", "{signal:#}");
        assert_eq!(signal["workspace"], json!(world.path("gone")), "{signal:#}");
        assert_eq!(signal["reason"], "workspace_path_missing", "{signal:#}");
        survivors.assert_alive();
    });
}

#[test]
fn an_embedded_fix_escalates_like_the_daemon() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::impatient());
        let survivors = world.survivors();
        let orphan = world.orphan("gone").stubborn().start();
        let fix = world
            .ctl(["--json", "--embedded", "fix", "--confirm"])
            .json_with(0);
        assert_eq!(
            entry_of(&fix["killed"], orphan.pid)["sigkill_required"],
            true,
            "{fix:#}"
        );
        assert!(orphan.has_exited());
        let log = world.event_log();
        assert_eq!(log.signals(orphan.pid, "SIGTERM").len(), 1);
        assert_eq!(log.signals(orphan.pid, "SIGKILL").len(), 1);
        survivors.assert_alive();
    });
}

#[test]
fn an_embedded_fix_is_refused_while_a_daemon_holds_the_same_state() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let answer = world.ctl(["--embedded", "fix", "--confirm"]);
        assert!(answer.code.is_some_and(|code| code != 0), "{answer:#?}");
        assert_ne!(answer.stderr, "", "{answer:#?}");
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);

        // Looking is free.
        let scan = world.ctl(["--json", "--embedded", "scan"]).json_with(0);
        assert_eq!(pids(&scan["orphans"]), [orphan.pid], "{scan:#}");

        drop(daemon);
        let fix = world
            .ctl(["--json", "--embedded", "fix", "--confirm"])
            .json_with(0);
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn the_embedded_engine_obeys_the_configuration() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let inside = world.directory("inside");
        world.configure(&Settings {
            workspace_roots: Some(vec![inside]),
            scope: "process",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let ours = world.orphan("inside/gone").with("CHILDREN", 1).start();
        let outside = world.orphan("gone").start();
        let fix = world
            .ctl(["--json", "--embedded", "fix", "--confirm"])
            .json_with(0);
        assert_eq!(fix["scanned"], 1, "{fix:#}");
        assert_eq!(pids(&fix["killed"]), [ours.pid], "{fix:#}");
        assert!(ours.has_exited() && !ours.has_exited_with_children());
        assert!(outside.is_alive());
        survivors.assert_alive();
    });
}

#[test]
fn an_embedded_client_does_not_start_with_a_configuration_it_cannot_read() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let orphan = world.orphan("gone").start();
        world.configure(&Settings::default().with("[reap]\nconfrim = true"));
        let answer = world.ctl(["--embedded", "fix", "--confirm"]);
        assert!(answer.code.is_some_and(|code| code != 0), "{answer:#?}");
        assert!(answer.stderr.contains("confrim"), "{answer:#?}");
        assert!(orphan.is_alive());
    });
}
