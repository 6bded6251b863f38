//! Kept and protected: whatever is judged, it is not touched.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::{Settings, World, entry_of, in_private_pid_namespace, is_alive, pids};

#[test]
fn a_kept_process_is_spared_until_it_is_unkept() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let kept = world.orphan("gone-kept").start();
        let other = world.orphan("gone").start();
        let pid = kept.pid.to_string();
        assert_eq!(world.ctl(["keep", &pid]).code, Some(0));
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(pids(&fix["killed"]), [other.pid], "{fix:#}");
        let named = world
            .ctl(["--json", "fix", "--confirm", "--pid", &pid])
            .json_with(1);
        entry_of(&named["spared"], kept.pid);
        assert!(kept.is_alive());
        world.event_log().assert_never_signalled(kept.pid);

        assert_eq!(world.ctl(["unkeep", &pid]).code, Some(0));
        let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
        assert_eq!(pids(&fix["killed"]), [kept.pid], "{fix:#}");
        assert!(kept.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_kept_path_is_kept_over_a_restart() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let path = world.path("gone");
        let path = path.to_str().unwrap();
        assert_eq!(world.ctl(["keep", path]).code, Some(0));
        let orphan = world.orphan("gone").start();
        assert_eq!(daemon.fix()["killed"], json!([]));
        assert!(daemon.stop().success());

        let daemon = world.daemon();
        assert_eq!(daemon.fix()["killed"], json!([]));
        assert!(orphan.is_alive());
        assert_eq!(world.ctl(["unkeep", path]).code, Some(0));
        assert_eq!(pids(&daemon.fix()["killed"]), [orphan.pid]);
        assert!(orphan.has_exited());
        survivors.assert_alive();
    });
}

#[test]
fn a_kept_member_outlives_the_orphan_whose_group_it_is_in() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let orphan = world.orphan("gone").with("CHILDREN", 2).start();
        let (kept, other) = (orphan.children[0], orphan.children[1]);
        daemon.call("keep", &json!({"pid": kept}));
        let fix = daemon.fix();
        let killed = entry_of(&fix["killed"], orphan.pid);
        entry_of(&killed["left_behind"], kept);
        assert!(orphan.has_exited());
        assert!(is_alive(kept));
        assert!(!is_alive(other));
        survivors.assert_alive();
    });
}

#[test]
fn a_protected_path_is_never_touched() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let protected = world.path("protected");
        let daemon = world.daemon_with(
            &Settings::default().with(&format!("[orphan]\nprotect = [{protected:?}]")),
        );
        let survivors = world.survivors();
        let inside = world.orphan("protected/gone").start();
        let beside = world.orphan("protected-not/gone").start();
        assert_eq!(pids(&daemon.fix()["killed"]), [beside.pid]);
        let pid = inside.pid.to_string();
        let named = world
            .ctl(["--json", "fix", "--confirm", "--pid", &pid])
            .json_with(1);
        assert_eq!(named["killed"], json!([]), "{named:#}");
        assert!(inside.is_alive());
        world.event_log().assert_never_signalled(inside.pid);
        survivors.assert_alive();
    });
}

#[test]
fn nobody_keeps_a_process_that_does_not_exist() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let reply = daemon.connect().reply("keep", &json!({"pid": 4_000_000}));
        assert_ne!(reply["error"], Value::Null, "{reply:#}");
        assert_eq!(world.ctl(["keep", "4000000"]).code, Some(5));
    });
}

#[test]
fn when_what_was_kept_is_not_known_nobody_is_ended_until_somebody_resumes() {
    in_private_pid_namespace(|| {
        let world = World::new();
        fs::create_dir_all(world.state_dir()).unwrap();
        fs::write(world.state_dir().join("steering.json"), "{").unwrap();
        let orphan = world.orphan("gone").start();
        // Neither by the client itself nor by the daemon.
        let spared = |world: &World| {
            let fix = world.ctl(["--json", "fix", "--confirm"]).json_with(0);
            entry_of(&fix["spared"], orphan.pid)["why"].clone()
        };
        assert_eq!(spared(&world), "keeps_unknown");
        let daemon = world.daemon();
        assert_eq!(spared(&world), "keeps_unknown");
        assert_eq!(
            daemon.call("status", &json!({}))["policy"]["suspended"],
            true
        );
        let log = world.event_log();
        log.assert_never_signalled(orphan.pid);
        assert_eq!(log.named("reap.suspended")[0]["by"], "unreadable_state");
        let aside = fs::read_to_string(world.state_dir().join("steering.json.bad"));
        assert_eq!(aside.unwrap(), "{");
        let explained = world.ctl(["explain", &orphan.pid.to_string()]);
        let said = explained.text_with(0).replace('\n', " ");
        assert!(
            said.contains("what was paused or kept is not known"),
            "{said}"
        );
        // A restart alone makes nothing known, and is not told a second time.
        assert!(daemon.stop().success());
        let daemon = world.daemon();
        assert_eq!(spared(&world), "keeps_unknown");
        assert_eq!(world.event_log().named("reap.suspended").len(), 1);
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        assert_eq!(pids(&daemon.fix()["killed"]), [orphan.pid]);
    });
}

/// A directory `real`, and `link` to it.
fn linked(world: &World) {
    world.directory("real");
    std::os::unix::fs::symlink(world.path("real"), world.path("link")).unwrap();
}

#[test]
fn a_path_is_kept_also_by_where_its_links_lead() {
    in_private_pid_namespace(|| {
        for kept in ["link/ws", "link/../real/ws"] {
            let world = World::new();
            linked(&world);
            let daemon = world.daemon();
            let orphan = world.orphan("real/ws").start();
            let path = world.path(kept);
            let path = path.to_str().unwrap();
            assert_eq!(world.ctl(["keep", path]).code, Some(0));
            assert_eq!(daemon.fix()["killed"], json!([]), "{kept}");
            assert_eq!(world.ctl(["unkeep", path]).code, Some(0));
            assert_eq!(pids(&daemon.fix()["killed"]), [orphan.pid], "{kept}");
        }
    });
}

#[test]
fn what_a_protected_or_kept_link_leads_to_by_now_is_not_touched() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let link_to = |name: &str, target: &str| {
            let link = world.path(name);
            let _ = fs::remove_file(&link);
            symlink(world.path(target), &link).unwrap();
            link
        };
        for name in ["protected/1", "protected/2", "kept/1", "kept/2", "other"] {
            world.directory(name);
        }
        let path = link_to("protected-link", "protected/1");
        let settings = Settings::default().with(&format!("[orphan]\nprotect = [{path:?}]"));
        let daemon = world.daemon_with(&settings);
        let path = link_to("kept-link", "kept/1");
        assert_eq!(world.ctl(["keep", path.to_str().unwrap()]).code, Some(0));
        link_to("protected-link", "protected/2");
        link_to("kept-link", "kept/2");
        let orphans = ["protected/1", "protected/2", "kept/1", "kept/2", "other"];
        let orphans = orphans.map(|name| world.orphan(format!("{name}/ws")).start());
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [orphans[4].pid], "{fix:#}");
        for (orphan, why) in orphans
            .iter()
            .zip(["protected", "protected", "kept", "kept"])
        {
            assert_eq!(entry_of(&fix["spared"], orphan.pid)["why"], why, "{fix:#}");
            assert!(orphan.is_alive());
        }
        // Who only looks writes nothing down, in whatever directory it finds that.
        let kept = world.state_dir().join("steering.json");
        let before = fs::read(&kept).unwrap();
        link_to("kept-link", "other");
        world.ctl(["--embedded", "--json", "scan"]).json_with(0);
        assert_eq!(fs::read(&kept).unwrap(), before);
        link_to("kept-link", "kept/2");
        // Until it is not kept any more, under any name.
        assert_eq!(world.ctl(["unkeep", path.to_str().unwrap()]).code, Some(0));
        let mut killed = pids(&daemon.fix()["killed"]);
        killed.sort_unstable();
        assert_eq!(killed, [orphans[2].pid, orphans[3].pid]);
        assert!(orphans[0].is_alive() && orphans[1].is_alive());
    });
}

#[test]
fn what_is_protected_or_kept_by_a_link_straight_to_it_is_so_after_it_was_deleted() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let orphans = ["protected", "kept", "other"].map(|name| {
            let orphan = world.healthy(name).real_without_ticks().start();
            symlink(world.path(name), world.path(format!("link-to-{name}"))).unwrap();
            fs::remove_dir_all(world.path(name)).unwrap();
            orphan
        });
        let [protected, kept, other] = orphans;
        let path = world.path("link-to-protected");
        let settings = Settings::default().with(&format!("[orphan]\nprotect = [{path:?}]"));
        let daemon = world.daemon_with(&settings);
        daemon.call("keep", &json!({"path": world.path("link-to-kept")}));
        let fix = daemon.fix();
        assert_eq!(pids(&fix["killed"]), [other.pid], "{fix:#}");
        for spared in [&protected, &kept] {
            assert!(spared.is_alive());
            world.event_log().assert_never_signalled(spared.pid);
        }
    });
}

#[test]
fn what_is_protected_through_a_link_is_so_after_it_was_deleted() {
    in_private_pid_namespace(|| {
        let world = World::new();
        linked(&world);
        let protected = world.path("link/ws");
        let settings = Settings::default().with(&format!("[orphan]\nprotect = [{protected:?}]"));
        let orphan = world.healthy("real/ws").real_without_ticks().start();
        fs::remove_dir_all(world.path("real/ws")).unwrap();
        // It reads its configuration when there is nothing at that path any more.
        let daemon = world.daemon_with(&settings);
        assert_eq!(daemon.fix()["killed"], json!([]));
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
    });
}
