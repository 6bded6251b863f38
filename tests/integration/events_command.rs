//! `events`: the event log through the client.

use std::fs::File;
use std::io::Write;

use serde_json::{Value, json};

use crate::support::{Answer, Settings, World, in_private_pid_namespace};

/// The events of a `--json` answer: a list, a list under `events`, or one a line.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.code, Some(0), "{answer:#?}");
    match serde_json::from_str(&answer.stdout) {
        Ok(Value::Array(events)) => events,
        Ok(Value::Object(mut object)) if object.contains_key("events") => object["events"]
            .as_array_mut()
            .expect("a list of events")
            .drain(..)
            .collect(),
        Ok(event) => vec![event],
        Err(_) => answer
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect(),
    }
}

fn command(world: &World, arguments: &[&str]) -> Vec<Value> {
    events(&world.ctl(["--json", "events"].iter().chain(arguments)))
}

/// What `seq` and the like add is welcome; what the log says has to be there as it stands there.
#[track_caller]
fn assert_same(found: &[Value], logged: &[Value]) {
    assert_eq!(found.len(), logged.len(), "{found:#?}\n{logged:#?}");
    for (found, logged) in found.iter().zip(logged) {
        for (key, value) in logged.as_object().unwrap() {
            assert_eq!(found[key], *value, "{found:#}");
        }
    }
}

/// Ends so many orphans, one request each, and returns their pids.
fn end_orphans(world: &World, many: usize) -> Vec<u32> {
    let mut pids = Vec::new();
    for number in 0..many {
        let orphan = world.orphan(format!("gone-{number}")).start();
        let pid = orphan.pid.to_string();
        assert_eq!(world.ctl(["fix", "--confirm", "--pid", &pid]).code, Some(0));
        assert!(orphan.has_exited());
        pids.push(orphan.pid);
    }
    pids
}

#[test]
fn the_last_events_are_shown_newest_last() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        end_orphans(&world, 10);
        let logged = world.event_log().events();
        assert!(logged.len() > 20, "{logged:#?}");
        assert_same(&command(&world, &[]), &logged[logged.len() - 20..]);
        assert_same(
            &command(&world, &["--limit", "3"]),
            &logged[logged.len() - 3..],
        );
        assert_same(&command(&world, &["--limit", "1000"]), &logged);
        survivors.assert_alive();
    });
}

#[test]
fn the_events_of_one_process_are_its_own() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let ended = end_orphans(&world, 3);
        let mut logged = world.event_log().events();
        logged.retain(|event| event["pid"] == ended[1]);
        assert!(!logged.is_empty());
        assert_same(&command(&world, &["--pid", &ended[1].to_string()]), &logged);
        assert_same(&command(&world, &["--pid", "4000000"]), &[]);
        survivors.assert_alive();
    });
}

#[test]
fn events_since_a_time_are_those_from_then_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        end_orphans(&world, 3);
        let logged = world.event_log().events();
        let middle = logged.len() / 2;
        let since = logged[middle]["ts"].as_str().unwrap();
        let found = command(&world, &["--since", since]);
        // Whether that moment itself is part of it is left open.
        assert!(!found.is_empty());
        for event in &found {
            assert!(event["ts"].as_str().unwrap() >= since, "{event:#}");
        }
        assert_same(&found[found.len() - 1..], &logged[logged.len() - 1..]);
        assert_same(
            &command(&world, &["--since", "2999-01-01T00:00:00+00:00"]),
            &[],
        );
        survivors.assert_alive();
    });
}

#[test]
fn earlier_segments_are_shown_on_request() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let small = Settings::default().with("[events]\nrotate_bytes = 4096\nkeep = 3");
        let _daemon = world.daemon_with(&small);
        let survivors = world.survivors();
        let earlier = world.state_dir().join("events.jsonl.1");
        let mut ended = 0;
        while !earlier.exists() {
            ended += end_orphans(&world, 4).len();
            assert!(ended < 200, "4096 bytes were to be reached by now");
        }
        let current = world.event_log().events();
        let from = |found: &[Value], name: &str| found.iter().any(|event| event["event"] == name);
        let found = command(&world, &["--limit", "1000"]);
        assert_same(&found, &current);
        assert!(!from(&found, "daemon.started"), "{found:#?}");
        let all = command(&world, &["--limit", "1000", "--all"]);
        assert!(from(&all, "daemon.started"), "{all:#?}");
        assert!(all.len() > current.len());
        assert_same(&all[all.len() - current.len()..], &current);
        survivors.assert_alive();
    });
}

#[test]
fn a_line_that_is_not_json_comes_as_it_is() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let mut log = File::options()
            .append(true)
            .open(world.event_log().path)
            .unwrap();
        log.write_all(b"half a li\n").unwrap();
        let found = command(&world, &["--limit", "1"]);
        assert_eq!(found[0]["raw"], json!("half a li"), "{found:#?}");
    });
}
