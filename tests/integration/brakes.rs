//! What stops automatic reaping: its own brakes, its owner in the middle of a kill, and a workspace
//! that comes back.

use std::fs;

use nix::sys::ptrace;
use serde_json::{Value, json};

use crate::support::{
    Daemon, Settings, StandIn, World, entry_of, in_private_pid_namespace, is_alive, pids, signal,
    wait_until,
};

/// Scans all the time and reaps at once, except for what `more` says; gives SIGTERM its time.
fn eager(more: &str) -> Settings {
    let reap = "[reap]\nconfirm = true\ngrace = \"0s\"\nmin_sightings = 1\nstart_grace = \"0s\"";
    Settings::watchful().with(&format!("{reap}\nbreaker_share = 1.0\n{more}"))
}

fn status(daemon: &Daemon) -> Value {
    daemon.call("status", &json!({}))
}

/// Waits until so many more scans have been done.
fn wait_for_scans(daemon: &Daemon, more: u64) {
    let scans = || status(daemon)["counters"]["scans"].as_u64().unwrap();
    let before = scans();
    wait_until("the daemon scans", || scans() >= before + more);
}

/// A stubborn orphan to which the daemon has sent SIGTERM by itself.
fn between_the_signals(world: &World) -> StandIn {
    let orphan = world.orphan("gone").stubborn().start();
    world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
    orphan
}

fn patient() -> Settings {
    Settings {
        sigterm_wait: "2s",
        ..eager("")
    }
}

#[track_caller]
fn assert_spared(world: &World, orphan: &StandIn, why: &str) {
    let spared = world.event_log().wait_for(orphan.pid, "orphan.spared");
    assert_eq!(spared["why"], why, "{spared:#}");
    assert_eq!(spared["actor"], "auto");
    assert!(orphan.is_alive());
    let kills = world.event_log().signals(orphan.pid, "SIGKILL");
    assert_eq!(kills, [Value::Null; 0]);
}

#[test]
fn a_pause_between_the_signals_spares_what_the_daemon_ends_by_itself() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&patient());
        let orphan = between_the_signals(&world);
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        assert_spared(&world, &orphan, "reaping_held");
        wait_for_scans(&daemon, 5);
        assert!(orphan.is_alive());
    });
}

#[test]
fn a_keep_between_the_signals_spares_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&patient());
        let orphan = between_the_signals(&world);
        assert_eq!(world.ctl(["keep", &orphan.pid.to_string()]).code, Some(0));
        assert_spared(&world, &orphan, "kept");
        wait_for_scans(&daemon, 5);
        let status = status(&daemon);
        let standing = entry_of(&status["orphans"], orphan.pid);
        assert_eq!(standing["holds"][0]["hold"], "kept", "{standing:#}");
        assert_eq!(standing["next_action_at"], Value::Null);
    });
}

#[test]
fn a_workspace_that_is_back_between_the_signals_clears_the_orphan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&patient());
        let orphan = between_the_signals(&world);
        fs::create_dir(world.path("gone")).unwrap();
        assert_spared(&world, &orphan, "workspace_alive");
        let cleared = world.event_log().wait_for(orphan.pid, "orphan.cleared");
        assert_eq!(cleared["now"], "workspace_alive", "{cleared:#}");
    });
}

#[test]
fn a_workspace_that_is_back_within_the_grace_clears_the_orphan_and_it_starts_over() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = eager("")
            .more
            .replace("grace = \"0s\"\nmin", "grace = \"3s\"\nmin");
        let daemon = world.daemon_with(&Settings {
            more: settings,
            ..eager("")
        });
        let orphan = world.orphan("gone").start();
        world.event_log().wait_for(orphan.pid, "orphan.detected");
        fs::create_dir(world.path("gone")).unwrap();
        world.event_log().wait_for(orphan.pid, "orphan.cleared");
        let history = &status(&daemon)["history"];
        assert_eq!(history[0]["state"], "cleared", "{history:#}");
        fs::remove_dir(world.path("gone")).unwrap();
        world.event_log().wait_for(orphan.pid, "orphan.killed");
        assert!(orphan.has_exited());
        let events = world.event_log().story_of(orphan.pid);
        let story = [
            "orphan.detected",
            "orphan.cleared",
            "orphan.detected",
            "orphan.signal",
            "orphan.killed",
        ];
        assert_eq!(events, story);
    });
}

#[test]
fn no_more_than_so_many_are_ended_after_one_scan() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // They take their time to go, so that it can be seen how many go at once.
        let daemon = world.daemon_with(&eager("max_per_scan = 2"));
        let survivors = world.survivors();
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        let orphans: Vec<StandIn> = (0..6)
            .map(|number| world.orphan(format!("gone-{number}")).start())
            .collect();
        wait_until("all of them are tracked", || {
            pids(&status(&daemon)["orphans"]).len() == 6
        });
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        for orphan in &orphans {
            world.event_log().wait_for(orphan.pid, "orphan.killed");
            assert!(orphan.has_exited());
        }
        // Each wave is one flush: what has the same moment, within a scan, was ended together.
        let mut waves: Vec<usize> = Vec::new();
        let mut open = 0;
        for event in world.event_log().events() {
            match event["event"].as_str() {
                Some("orphan.signal") => open += 1,
                Some("orphan.killed") if open > 0 => {
                    waves.push(open);
                    open = 0;
                }
                _ => {}
            }
        }
        assert!(waves.iter().all(|wave| *wave <= 2), "{waves:?}");
        assert_eq!(waves.iter().sum::<usize>(), 6, "{waves:?}");
        survivors.assert_alive();
    });
}

#[test]
fn what_respawns_is_ended_more_and_more_seldom_and_its_parent_is_named() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&eager(""));
        let mut last = world.orphan("gone").start();
        for _ in 0..2 {
            wait_until("it is reaped", || last.has_exited());
            last = world.orphan("gone").start();
        }
        wait_until("the third is reaped", || last.has_exited());
        let fourth = world.orphan("gone").start();
        wait_until("the fourth is tracked", || {
            pids(&status(&daemon)["orphans"]) == [fourth.pid]
        });
        wait_for_scans(&daemon, 5);
        assert!(fourth.is_alive());
        let status = status(&daemon);
        let standing = entry_of(&status["orphans"], fourth.pid);
        assert_eq!(standing["holds"][0]["hold"], "respawned", "{standing:#}");
        assert!(standing["next_action_at"].is_string(), "{standing:#}");
        let respawning = &status["policy"]["respawning"][0];
        assert_eq!(respawning["kills"], 3, "{respawning:#}");
        assert_eq!(respawning["parent"], std::process::id());
        let log = daemon.log();
        assert!(log.contains("again and again"), "{log}");
        assert!(
            log.contains(&format!("parent={}", std::process::id())),
            "{log}"
        );
        // Who asks for it gets it all the same.
        assert_eq!(world.ctl(["fix", "--confirm"]).code, Some(0));
        assert!(fourth.has_exited());
    });
}

#[test]
fn a_suspension_outlives_the_daemon_until_somebody_resumes_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = || Settings {
            more: eager("")
                .more
                .replace("breaker_share = 1.0", "breaker_share = 0.5"),
            ..eager("")
        };
        let coordinators: Vec<StandIn> = (0..5)
            .map(|number| world.healthy(format!("volume/{number}")).start())
            .collect();
        let daemon = world.daemon_with(&settings());
        fs::remove_dir_all(world.path("volume")).unwrap();
        wait_until("reaping is suspended, for good", || {
            let kept = fs::read_to_string(world.state_dir().join("steering.json"));
            kept.is_ok_and(|kept| kept.contains("coordinators turned orphan"))
        });
        assert_eq!(status(&daemon)["policy"]["suspended"], true);
        daemon.crash();
        let daemon = world.daemon_with(&settings());
        wait_for_scans(&daemon, 5);
        assert_eq!(status(&daemon)["policy"]["suspended"], true);
        let text = world.ctl(["status"]);
        assert!(
            text.text_with(0).contains("team-agentctl resume"),
            "{text:#?}"
        );
        let is_alive = |one: &StandIn| one.is_alive();
        assert!(coordinators.iter().filter(|one| is_alive(one)).count() >= 4);
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        wait_until("all of them are reaped", || {
            coordinators.iter().all(StandIn::has_exited)
        });
    });
}

#[test]
fn what_survived_sigkill_is_not_signalled_again() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = Settings {
            sigterm_wait: "300ms",
            sigkill_wait: "300ms",
            ..eager("")
        };
        let daemon = world.daemon_with(&settings);
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        let immortal = world.orphan("gone").start();
        let tracee = nix::unistd::Pid::from_raw(i32::try_from(immortal.pid).unwrap());
        ptrace::seize(tracee, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
        assert_eq!(world.ctl(["resume"]).code, Some(0));
        world.event_log().wait_for(immortal.pid, "orphan.failed");
        wait_for_scans(&daemon, 8);
        let status = status(&daemon);
        let standing = entry_of(&status["orphans"], immortal.pid);
        assert_eq!(standing["state"], "failed", "{standing:#}");
        assert_eq!(standing["holds"][0]["hold"], "alive_after_sigkill");
        assert_eq!(
            world.event_log().about(immortal.pid, "orphan.signal").len(),
            2
        );
        assert_eq!(
            world.event_log().about(immortal.pid, "orphan.failed").len(),
            1
        );
        ptrace::detach(tracee, None).unwrap();
        wait_until("it is let go", || immortal.has_exited());
    });
}

#[test]
fn a_daemon_that_was_stopped_for_a_moment_goes_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let more = eager("")
            .more
            .replace("grace = \"0s\"\nmin", "grace = \"1h\"\nmin");
        let daemon = world.daemon_with(&Settings { more, ..eager("") });
        let orphan = world.orphan("gone").start();
        world.event_log().wait_for(orphan.pid, "orphan.detected");
        // Stopped for a while and woken: it goes on as if nothing had happened.
        signal(daemon.pid(), rustix::process::Signal::STOP);
        signal(daemon.pid(), rustix::process::Signal::CONT);
        wait_for_scans(&daemon, 3);
        let status = status(&daemon);
        let standing = entry_of(&status["orphans"], orphan.pid);
        assert_eq!(standing["state"], "suspected", "{standing:#}");
        assert_eq!(standing["holds"][0]["hold"], "grace", "{standing:#}");
        assert!(orphan.is_alive());
    });
}

#[test]
fn a_new_configuration_counts_the_grace_that_was_served() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let with_grace = |grace: &str| Settings {
            more: eager("")
                .more
                .replace("grace = \"0s\"\nmin", &format!("grace = \"{grace}\"\nmin")),
            ..eager("")
        };
        let daemon = world.daemon_with(&with_grace("1h"));
        let orphan = world.orphan("gone").start();
        wait_until("it has been seen ten times", || {
            let status = status(&daemon);
            let orphans = status["orphans"].as_array().unwrap();
            orphans
                .iter()
                .any(|one| one["sightings"].as_u64() >= Some(10))
        });
        let since =
            |status: &Value| entry_of(&status["orphans"], orphan.pid)["orphan_since"].clone();
        let before = since(&status(&daemon));
        // A bad one changes nothing.
        world.configure(&Settings::watchful().with("[reap]\ngrace = \"never\""));
        assert_eq!(world.ctl(["reload"]).code, Some(5));
        wait_for_scans(&daemon, 3);
        assert!(orphan.is_alive());
        assert_eq!(since(&status(&daemon)), before);
        world.configure(&with_grace("1s"));
        signal(daemon.pid(), rustix::process::Signal::HUP);
        wait_until("the orphan is reaped", || orphan.has_exited());
        assert_eq!(world.event_log().named("orphan.cleared"), [Value::Null; 0]);
        assert_eq!(world.event_log().named("config.rejected").len(), 1);
        assert_eq!(world.event_log().named("config.reloaded").len(), 1);
    });
}

#[test]
fn explain_says_what_will_happen_when_and_what_holds_it_back() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let more = eager("")
            .more
            .replace("grace = \"0s\"\nmin", "grace = \"1h\"\nmin");
        let daemon = world.daemon_with(&Settings { more, ..eager("") });
        let survivors = world.survivors();
        let orphan = world.orphan("gone").start();
        let healthy = world.healthy("workspace").start();
        let unknown = world.healthy("moved").real_without_ticks().start();
        fs::rename(world.path("moved"), world.path("moved-away")).unwrap();
        wait_for_scans(&daemon, 2);
        let by_itself = |pid: u32| {
            let explained = daemon.call("explain", &json!({"pid": pid}));
            let said = explained["by_itself"].as_str().unwrap_or_default();
            (said.to_owned(), explained["next_action_at"].is_string())
        };
        let (said, is_planned) = by_itself(orphan.pid);
        assert!(
            said.contains("not been an orphan for long enough"),
            "{said}"
        );
        assert!(is_planned);
        for pid in [healthy.pid, unknown.pid] {
            let (said, is_planned) = by_itself(pid);
            assert!(said.contains("leaves it alone"), "{said}");
            assert!(!is_planned);
        }
        assert_eq!(world.ctl(["pause", "--for", "2h"]).code, Some(0));
        let (said, is_planned) = by_itself(orphan.pid);
        assert!(said.contains("paused"), "{said}");
        assert!(is_planned);
        let text = world.ctl(["explain", &orphan.pid.to_string()]);
        assert!(text.text_with(0).contains("paused"), "{text:#?}");
        survivors.assert_alive();
    });
}

#[test]
fn once_the_orphan_itself_is_gone_its_owner_still_decides_about_who_is_left() {
    in_private_pid_namespace(|| {
        for word in ["pause", "keep"] {
            let world = World::new();
            let _daemon = world.daemon_with(&patient());
            // It obeys, and leaves a child that does not.
            let orphan = world
                .orphan("gone")
                .with("CHILDREN", 1)
                .with("CHILD_IGNORE_TERM", 1)
                .start();
            let child = orphan.children[0];
            world.event_log().wait_for_signal(child, "SIGTERM");
            wait_until("the orphan has obeyed", || orphan.has_exited());
            let path = world.path("gone");
            let said = match word {
                "pause" => world.ctl(["pause"]),
                _ => world.ctl(["keep".as_ref(), path.as_os_str()]),
            };
            assert_eq!(said.code, Some(0));
            world.event_log().wait_for(orphan.pid, "orphan.killed");
            assert!(is_alive(child), "{word}");
            let kills = world.event_log().signals(child, "SIGKILL");
            assert_eq!(kills, [Value::Null; 0], "{word}");
        }
    });
}

#[test]
fn who_joined_gets_the_members_too_although_the_orphan_is_gone_and_the_owner_pauses() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&patient());
        let orphan = world
            .orphan("gone")
            .with("EXIT_MS", 2000)
            .with("CHILDREN", 1)
            .with("CHILD_IGNORE_TERM", 1)
            .start();
        let child = orphan.children[0];
        world.event_log().wait_for_signal(child, "SIGTERM");
        let pid = orphan.pid.to_string();
        let fix = std::thread::scope(|scope| {
            let fix = scope.spawn(|| world.ctl(["--json", "fix", "--confirm", "--pid", &pid]));
            wait_for_scans(&daemon, 2);
            wait_until("the orphan has obeyed", || orphan.has_exited());
            assert_eq!(world.ctl(["pause"]).code, Some(0));
            fix.join().unwrap().json_with(0)
        });
        let killed = entry_of(&fix["killed"], orphan.pid);
        assert_eq!(killed["members"][0]["outcome"], "exited", "{killed:#}");
        assert!(!is_alive(child));
    });
}

#[test]
fn who_joined_another_ones_fix_gets_what_that_one_did_not_ask_for() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&Settings {
            sigterm_wait: "4s",
            ..Settings::watchful()
        });
        let orphan = world.orphan("team-agent-gap7/ws").stubborn().start();
        let pid = orphan.pid.to_string();
        let joined = std::thread::scope(|scope| {
            let reason = "workspace_path_missing";
            let first =
                scope.spawn(|| world.ctl(["--json", "fix", "--confirm", "--reason", reason]));
            world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
            let joined = scope.spawn(|| world.ctl(["--json", "fix", "--confirm", "--pid", &pid]));
            wait_for_scans(&daemon, 2);
            fs::create_dir_all(world.path("team-agent-gap7/ws")).unwrap();
            first.join().unwrap();
            joined.join().unwrap().json_with(0)
        });
        assert_eq!(pids(&joined["killed"]), [orphan.pid], "{joined:#}");
        assert!(orphan.has_exited());
    });
}

#[test]
fn what_a_new_configuration_forbids_holds_for_a_kill_under_way() {
    in_private_pid_namespace(|| {
        for (more, why) in [
            ("[orphan]\nprotect = [\"WORLD\"]", "protected"),
            ("[reap]\nconfirm = false", "reaping_held"),
        ] {
            let world = World::new();
            let _daemon = world.daemon_with(&patient());
            let orphan = between_the_signals(&world);
            let here = world.path("");
            let more = more.replace("WORLD", here.to_str().unwrap().trim_end_matches('/'));
            world.configure(&Settings::watchful().with(&more));
            assert_eq!(world.ctl(["reload"]).code, Some(0));
            assert_spared(&world, &orphan, why);
        }
    });
}

#[test]
fn roots_that_became_narrower_leave_the_rest_alone_at_once() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&patient());
        let orphan = between_the_signals(&world);
        let elsewhere = vec![world.directory("elsewhere")];
        world.configure(&Settings {
            workspace_roots: Some(elsewhere),
            ..eager("")
        });
        assert_eq!(world.ctl(["reload"]).code, Some(0));
        assert_spared(&world, &orphan, "outside_workspace_roots");
    });
}

#[test]
fn whoever_else_a_new_configuration_leaves_out_is_left_alone_at_once() {
    in_private_pid_namespace(|| {
        let not_listed = eager("reasons = [\"workspace_trashed\"]");
        let foreign = Settings {
            uids: "[12345]",
            ..eager("")
        };
        for (why, new) in [("reason_not_listed", not_listed), ("foreign_uid", foreign)] {
            let world = World::new();
            let _daemon = world.daemon_with(&patient());
            let orphan = between_the_signals(&world);
            world.configure(&new);
            assert_eq!(world.ctl(["reload"]).code, Some(0));
            assert_spared(&world, &orphan, why);
        }
    });
}

#[test]
fn one_that_became_an_orphan_for_a_reason_that_is_not_listed_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&patient());
        let orphan = world.orphan("team-agent-gap7/ws").stubborn().start();
        world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
        // A test suite makes its directory again.
        fs::create_dir_all(world.path("team-agent-gap7/ws")).unwrap();
        assert_spared(&world, &orphan, "reason_not_listed");
    });
}

#[test]
fn one_that_became_an_orphan_for_a_reason_nobody_asked_for_is_spared() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&Settings {
            sigterm_wait: "2s",
            ..Settings::default()
        });
        let orphan = world.orphan("team-agent-gap7/ws").stubborn().start();
        let fix = std::thread::scope(|scope| {
            let reason = "workspace_path_missing";
            let fix = scope.spawn(|| world.ctl(["--json", "fix", "--confirm", "--reason", reason]));
            world.event_log().wait_for_signal(orphan.pid, "SIGTERM");
            fs::create_dir_all(world.path("team-agent-gap7/ws")).unwrap();
            fix.join().unwrap()
        });
        let spared = entry_of(&fix.json_with(0)["spared"], orphan.pid).clone();
        assert_eq!(spared["why"], "not_selected", "{spared:#}");
        assert!(orphan.is_alive());
    });
}

#[test]
fn who_asks_for_what_the_daemon_ends_already_gets_it_although_the_owner_pauses() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&patient());
        let orphan = between_the_signals(&world);
        assert_eq!(world.ctl(["pause"]).code, Some(0));
        let pid = orphan.pid.to_string();
        let fix = world.ctl(["--json", "fix", "--confirm", "--pid", &pid]);
        let fix = fix.json_with(0);
        assert_eq!(pids(&fix["killed"]), [orphan.pid], "{fix:#}");
        assert!(orphan.has_exited());
        let actors: Vec<Value> = world
            .event_log()
            .signals(orphan.pid, "SIGKILL")
            .iter()
            .map(|kill| kill["actor"]["uid"].clone())
            .collect();
        assert_eq!(actors, [json!(0)]);
    });
}

#[test]
fn a_member_that_a_new_configuration_makes_a_coordinator_gets_no_sigkill() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let settings = |more: &str| Settings {
            sigterm_wait: "4s",
            ..eager(more)
        };
        let _daemon = world.daemon_with(&settings(""));
        let healthy = world.directory("other");
        let argv = format!("my-coordinator\nrun\n--workspace\n{}", healthy.display());
        let orphan = world
            .orphan("gone")
            .stubborn()
            .with("CHILDREN", 1)
            .with("CHILD_IGNORE_TERM", 1)
            .with("CHILD_ARGV", argv)
            .start();
        let child = orphan.children[0];
        world.event_log().wait_for_signal(child, "SIGTERM");
        let form = "[[coordinator.form]]\nname = \"mine\"\nprogram = \"my-coordinator\"\n\
                    args = [\"run\"]\nworkspace_flag = \"--workspace\"";
        world.configure(&settings(form));
        assert_eq!(world.ctl(["reload"]).code, Some(0));
        world.event_log().wait_for(orphan.pid, "orphan.killed");
        let kills = world.event_log().signals(child, "SIGKILL");
        assert_eq!(kills, [Value::Null; 0]);
        assert!(is_alive(child));
    });
}
