//! What scripts get, held to the examples in `tests/data/results`. The errors, some of which take more luck than a
//! test has, are held to theirs in `src/control/protocol/tests.rs`.

use nix::sys::ptrace;
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;

use crate::support::{
    Connection, Settings, StandIn, World, assert_as_frozen, ctl_command, delete_workspace,
    in_a_systemd_box, in_private_pid_namespace, lookalike, run_ctl, wait_until,
    wait_until_made_again,
};

/// Ends orphans by itself, only not yet: so that they have standings.
fn settings() -> Settings {
    Settings {
        sigterm_wait: "1s",
        sigkill_wait: "300ms",
        ..Settings::watchful()
    }
    .with("[reap]\nconfirm = true\ngrace = \"1h\"\nbreaker_share = 1.0")
}

/// What the examples are about, and what is asked of it.
struct Scene<'a> {
    world: &'a World,
    connection: Connection,
}

impl Scene<'_> {
    fn frozen(&self, name: &str, result: &Value) {
        let here = self.world.path("");
        assert_as_frozen(name, result, here.to_str().unwrap());
    }

    fn call(&mut self, name: &str, method: &str, params: &Value) -> Value {
        let result = self.connection.call(method, params);
        self.frozen(name, &result);
        result
    }

    /// The client's answer.
    fn ctl(&self, name: &str, words: &[&str], code: i32) {
        let words = ["--json"].iter().chain(words);
        self.frozen(name, &self.world.ctl(words).json_with(code));
    }
}

/// Comes no further than into its own end, whatever kills it.
fn make_immortal(process: &StandIn) {
    let pid = Pid::from_raw(i32::try_from(process.pid).unwrap());
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
}

#[test]
fn results_are_as_they_were() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon_with(&settings());
        let connection = daemon.connect();
        let mut scene = Scene {
            world: &world,
            connection,
        };
        scene.call("version", "version", &json!({}));
        scene.call("gate-passed", "gate", &json!({}));
        scene.call("fix-refused", "fix", &json!({}));
        scene.call("gate-refused", "gate", &json!({"fix": true}));

        let healthy = world.healthy("work/shop").real().start();
        let recreated = world.healthy("work/blog").real().start();
        let stubborn = world
            .orphan("work/old")
            .stubborn()
            .with("CHILDREN", 1)
            .start();
        let leaving = world
            .orphan("work/left")
            .with("CHILDREN", 1)
            .with("CHILD_SETSID", 1)
            .start();
        let immortal = world.orphan("work/stuck").start();
        let stranger = lookalike(&world, &["sleep", "infinity"]);
        let unparsed = lookalike(&world, &["team-agent", "coordinator"]);
        delete_workspace(&world.path("work/blog"));
        wait_until_made_again(&world.path("work/blog"));
        let kept = json!({"pid": leaving.pid});
        scene.call("keep-process", "keep", &kept);
        let path = json!({"path": world.path("work/shop")});
        scene.call("keep-path", "keep", &path);
        wait_until("all are seen", || {
            let status = daemon.call("status", &json!({}));
            let orphans = status["orphans"].as_array().unwrap();
            orphans.len() == 4
                && orphans
                    .iter()
                    .all(|one| one["sightings"].as_u64() > Some(3))
        });

        scene.call("scan", "scan", &json!({}));
        scene.call("gate-failed", "gate", &json!({}));
        scene.call("explain-orphan", "explain", &json!({"pid": recreated.pid}));
        scene.call("explain-healthy", "explain", &json!({"pid": healthy.pid}));
        scene.call("explain-stranger", "explain", &json!({"pid": stranger.pid}));
        scene.call("explain-unparsed", "explain", &json!({"pid": unparsed.pid}));
        scene.call("status-orphans", "status", &json!({}));
        scene.call("unkeep-process", "unkeep", &kept);
        scene.call("unkeep-path", "unkeep", &path);
        scene.call("pause", "pause", &json!({"for": "1h"}));
        scene.call("status-paused", "status", &json!({}));
        scene.call("resume", "resume", &json!({}));
        scene.call("reload", "reload", &json!({}));

        let mut told = daemon.connect();
        let subscribed = told.call("subscribe", &json!({"limit": 2, "status": true}));
        scene.frozen("subscribe", &subscribed);

        make_immortal(&immortal);
        let pids = [
            &recreated, &stubborn, &leaving, &immortal, &healthy, &stranger,
        ];
        let pids: Vec<_> = pids.iter().map(|one| one.pid).collect();
        scene.call("fix", "fix", &json!({"confirm": true, "pids": pids}));
        assert!(recreated.has_exited() && stubborn.has_exited() && healthy.is_alive());
        scene.call(
            "gate-fix-failed",
            "gate",
            &json!({"fix": true, "confirm": true}),
        );
        scene.call("status-after-a-fix", "status", &json!({}));
        scene.call("events", "events", &json!({"limit": 1000}));
        for method in ["event", "status"] {
            let mut notification = Value::Null;
            wait_until("it is told", || {
                notification = told.read().expect("a notification");
                notification["method"] == method
            });
            scene.frozen(&format!("notification-{method}"), &notification);
        }
        let pid = Pid::from_raw(i32::try_from(immortal.pid).unwrap());
        ptrace::detach(pid, None).unwrap();
    });
}

#[test]
fn the_clients_own_results_are_as_they_were() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _healthy = world.healthy("work/shop").start();
        let _orphan = world.orphan("work/old").start();
        let mut scene = Scene {
            world: &world,
            connection: {
                // Nobody answers yet: what is asked first is not asked of it.
                let daemon = world.daemon();
                daemon.connect()
            },
        };
        scene.ctl("scan-embedded", &["--embedded", "scan"], 0);
        scene.ctl("client-no-daemon", &["status"], 4);
        scene.ctl("client-usage", &["fix", "--pid", "no"], 2);
        scene.ctl("client-refused", &["fix"], 3);
        scene.ctl("config-show", &["config", "show"], 0);
        scene.ctl("config-check", &["config", "check"], 0);
        let wrong = world.path("wrong.toml");
        fs::write(&wrong, "[scan]\nintervall = \"5s\"\n").unwrap();
        let wrong = wrong.to_str().unwrap();
        scene.ctl("config-check-failed", &["config", "check", wrong], 2);
        scene.ctl("completions", &["completions", "fish"], 0);
        let pages = world.path("pages");
        scene.ctl("man-written", &["man", "--to", pages.to_str().unwrap()], 0);

        let daemon = world.daemon();
        scene.connection = daemon.connect();
        scene.ctl("client-daemon-error", &["explain", "4000000"], 5);
        let locked = ["--embedded", "fix", "--confirm"];
        scene.ctl("client-locked", &locked, 5);
        let mut command = ctl_command(&world, ["--json", "config", "check"]);
        command.env("TEAM_AGENTD_CONFIG", world.path("nothing.toml"));
        scene.frozen("client-config", &run_ctl(command).json_with(2));
    });
}

#[test]
fn the_services_results_are_as_they_were() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        let json = |words: &str, code| {
            let command = format!("team-agentctl --json service {words}");
            machine.try_sh_as_tester(&command).json_with(code)
        };
        let frozen = |name, result: &Value| assert_as_frozen(name, result, "");
        frozen("service-status-absent", &json("status", 4));
        frozen("service-print", &json("print", 0));
        frozen("service-install", &json("install", 0));
        frozen("service-status", &json("status", 0));
        frozen("service-uninstall", &json("uninstall", 0));
    });
}
