//! `subscribe`: what happens, as it happens, over the socket.

use std::thread;

use serde_json::{Value, json};

use crate::support::{
    Connection, Daemon, Settings, World, entry_of, in_private_pid_namespace, try_entry_of,
};

/// A connection that subscribed, and the answer to that.
fn subscribed(daemon: &Daemon, params: &Value) -> (Connection, Value) {
    let mut connection = daemon.connect();
    let result = connection.call("subscribe", params);
    (connection, result)
}

/// The params of the next notification, which has to be this one.
#[track_caller]
fn next(connection: &mut Connection, method: &str) -> Value {
    let mut told = connection.read().expect("a notification");
    assert_eq!(told["method"], method, "{told:#}");
    assert_eq!(told["jsonrpc"], "2.0");
    assert!(told.get("id").is_none(), "{told:#}");
    told["params"].take()
}

/// Reads on until a notification of that kind fits, past all others.
fn wait_for(connection: &mut Connection, method: &str, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let mut told = connection.read().expect("the daemon goes on telling");
        if told["method"] == method && fits(&told["params"]) {
            return told["params"].take();
        }
    }
}

#[test]
fn a_subscriber_gets_the_last_records_and_then_every_one_as_it_stands_in_the_log() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        for _ in 0..5 {
            daemon.call("reload", &json!({}));
        }
        let logged = world.event_log().events();
        let (mut connection, result) = subscribed(&daemon, &json!({"limit": 3}));
        assert_eq!(result["events"], json!(logged[logged.len() - 3..]));
        let mut seq = result["seq"].as_u64().unwrap();
        assert_eq!(
            seq,
            logged.len() as u64,
            "it counts from the daemon's start"
        );

        let orphan = world.orphan("gone").start();
        daemon.fix();
        assert!(orphan.has_exited());
        let since = world.event_log().events().split_off(logged.len());
        assert!(since.len() >= 3, "{since:#?}");
        for record in since {
            let told = next(&mut connection, "event");
            seq += 1;
            assert_eq!(told, json!({"seq": seq, "event": record}));
        }
        survivors.assert_alive();
    });
}

#[test]
fn nothing_is_missing_and_nothing_comes_twice_when_one_subscribes_while_records_pour_in() {
    in_private_pid_namespace(|| {
        const SUBSCRIBERS: u64 = 12;
        const EACH: u64 = 60;
        let world = World::new();
        let daemon = world.daemon();
        let before = world.event_log().lines().len() as u64;
        let expected = before + SUBSCRIBERS * EACH;
        let connections: Vec<_> = (0..SUBSCRIBERS)
            .map(|_| {
                let (mut asking, mut telling) = (daemon.connect(), daemon.connect());
                thread::spawn(move || {
                    for _ in 0..EACH / 2 {
                        asking.call("reload", &json!({}));
                    }
                    let begun = telling.call("subscribe", &json!({"limit": 1000}));
                    for _ in EACH / 2..EACH {
                        asking.call("reload", &json!({}));
                    }
                    (telling, begun)
                })
            })
            .collect();
        let mut begun: Vec<_> = connections
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let logged = world.event_log().events();
        assert_eq!(logged.len() as u64, expected);
        for (connection, result) in &mut begun {
            let mut seen = result["events"].as_array().unwrap().clone();
            let mut seq = result["seq"].as_u64().unwrap();
            assert_eq!(seen.len() as u64, seq);
            while seq < expected {
                let mut told = next(connection, "event");
                seq += 1;
                assert_eq!(told["seq"], seq);
                seen.push(told["event"].take());
            }
            assert!(seen == logged, "{seen:#?}\n{logged:#?}");
        }
    });
}

#[test]
fn a_subscription_leaves_room_for_requests_and_there_is_one_a_connection() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let (mut connection, _) = subscribed(&daemon, &json!({"limit": 0}));
        assert_eq!(connection.refusal("subscribe", &json!({})), -32602);
        assert_eq!(connection.call("version", &json!({}))["protocol"], 1);
        let reload = connection.request("reload", &json!({}));
        let (mut answered, mut told) = (false, false);
        while !(answered && told) {
            let line = connection.read().unwrap();
            answered |= line["id"] == reload;
            told |= line["params"]["event"]["event"] == "config.reloaded";
        }
        // It ends with the peer's last word.
        connection.stop_writing();
        assert_eq!(connection.read(), None);
    });
}

#[test]
fn who_wants_it_is_told_of_the_state_whenever_it_changed() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        let healthy = world.healthy("shop").start();
        let (mut connection, _) = subscribed(&daemon, &json!({"status": true}));
        let first = next(&mut connection, "status");
        assert_eq!(first["daemon"]["pid"], daemon.pid());
        assert_eq!(first["orphans"], json!([]));

        let orphan = world.orphan("gone").start();
        daemon.scan();
        let state = wait_for(&mut connection, "status", |state| {
            try_entry_of(&state["orphans"], orphan.pid).is_some()
        });
        let in_short = entry_of(&state["coordinators"], healthy.pid);
        assert_eq!(in_short["verdict"], "alive");
        assert_eq!(in_short["kept"], false);

        daemon.call("keep", &json!({"pid": orphan.pid}));
        wait_for(&mut connection, "status", |state| {
            entry_of(&state["coordinators"], orphan.pid)["kept"] == true
        });
        daemon.call("pause", &json!({}));
        wait_for(&mut connection, "status", |state| {
            state["policy"]["paused"] == true
        });
        daemon.call("unkeep", &json!({"pid": orphan.pid}));
        daemon.fix();
        wait_for(&mut connection, "status", |state| {
            try_entry_of(&state["coordinators"], orphan.pid).is_none()
        });
        assert!(healthy.is_alive());
        survivors.assert_alive();
    });
}

/// Makes each reload end with a record so long that what is between two ends is full soon.
fn with_long_records(world: &World) {
    let long = "x".repeat(3_000);
    world.configure(&Settings::default().with(&format!("[scan.{long}]")));
}

/// Lets so much happen; `reads` reads all the while.
fn pour(daemon: &Daemon, reads: &mut Connection, many: u64) {
    let mut asking = daemon.connect();
    for _ in 0..many {
        asking.refusal("reload", &json!({}));
        next(reads, "event");
    }
}

#[test]
fn a_subscriber_that_does_not_read_misses_records_is_told_so_and_holds_nobody_up() {
    in_private_pid_namespace(|| {
        const MANY: u64 = 1_600;
        let world = World::new();
        let daemon = world.daemon();
        with_long_records(&world);
        // A daemon hangs up on who does not read for ten seconds; a slow machine may take longer.
        let missed = (0..5).find_map(|_| {
            let (mut sleeper, begun) = subscribed(&daemon, &json!({"limit": 0}));
            let (mut reader, _) = subscribed(&daemon, &json!({"limit": 0}));
            pour(&daemon, &mut reader, MANY);
            let mut seq = begun["seq"].as_u64().unwrap();
            let mut missed = 0;
            let until = seq + MANY;
            while seq < until {
                let told = sleeper.read()?;
                if told["method"] == "lagged" {
                    let now = told["params"]["missed"].as_u64().unwrap();
                    assert!(now > 0);
                    missed += now;
                    seq += now;
                } else {
                    seq += 1;
                    assert_eq!(
                        told["params"]["seq"], seq,
                        "a gap of which nothing was said"
                    );
                }
            }
            assert_eq!(seq, until);
            Some(missed)
        });
        assert!(missed.expect("a machine fast enough for this") > 0);
        assert_eq!(daemon.call("version", &json!({}))["protocol"], 1);
    });
}

#[test]
fn when_the_daemon_stops_subscribers_hear_of_it_and_those_who_do_not_read_do_not_hold_it_up() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let mut daemon = world.daemon();
        let (_sleeper, _) = subscribed(&daemon, &json!({"limit": 0, "status": true}));
        let (mut reader, _) = subscribed(&daemon, &json!({"limit": 0}));
        with_long_records(&world);
        pour(&daemon, &mut reader, 300);
        let (mut listener, _) = subscribed(&daemon, &json!({"limit": 0, "status": true}));
        daemon.ask_to_stop();
        wait_for(&mut listener, "event", |params| {
            params["event"]["event"] == "daemon.stopped"
        });
        while listener.read().is_some() {}
        assert!(daemon.wait().success());
    });
}
