//! A reader that goes away early has read what it wanted: every command ends in silence, with a status that
//! does not depend on how far it got.

use std::io::Read;
use std::process::Stdio;

use crate::support::{World, ctl_command, in_private_pid_namespace, wait_until};

/// As `COMMAND | head -c1`: its exit status once nobody reads any more, and what it complained of.
fn cut_off(world: &World, words: &[&str], read: usize) -> (Option<i32>, String) {
    let mut child = ctl_command(world, words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut first = vec![0; read];
    let _ = output.read(&mut first).unwrap();
    drop(output);
    let mut complaints = String::new();
    wait_until("the client ends", || child.try_wait().unwrap().is_some());
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut complaints).unwrap();
    (child.wait().unwrap().code(), complaints)
}

#[test]
fn every_command_ends_in_silence_when_its_reader_goes_away() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let survivors = world.survivors();
        // More than any pipe holds.
        let orphans: Vec<_> = (0..60)
            .map(|number| {
                let name = format!("gone-{number}-{}", "long-".repeat(40));
                world.orphan(name).start()
            })
            .collect();
        let healthy = survivors.coordinator().to_string();
        assert_eq!(daemon.scan()["orphans"].as_array().unwrap().len(), 60);
        let commands: &[(&[&str], i32)] = &[
            (&["scan"], 0),
            (&["fix"], 3),
            (&["doctor", "--gate", "orphans"], 1),
            (&["doctor", "--gate", "orphans", "--fix"], 3),
            (&["doctor", "--cleanup-orphans"], 0),
            (&["status"], 0),
            (&["explain", &healthy], 0),
            (&["events", "--limit", "1000"], 0),
            (&["events", "--limit", "1000", "--follow"], 0),
            (&["keep", &healthy], 0),
            (&["unkeep", &healthy], 0),
            (&["pause"], 0),
            (&["resume"], 0),
            (&["reload"], 0),
            (&["config", "show"], 0),
            (&["config", "check"], 0),
            (&["completions", "bash"], 0),
            (&["man"], 0),
            (&["--help"], 0),
            (&["--version"], 0),
            (&["fix", "--confirm"], 0),
        ];
        for (words, status) in commands {
            let begun = ["--json"].iter().chain(*words).copied().collect::<Vec<_>>();
            // What is done once.
            let is_once = words.contains(&"unkeep") || words.ends_with(&["fix", "--confirm"]);
            for words in [&begun[..], words].into_iter().skip(usize::from(is_once)) {
                let (code, complaints) = cut_off(&world, words, 1);
                assert_eq!(code, Some(*status), "{words:?}: {complaints}");
                // What a fix does is told beside its report.
                let mut complaints = complaints.lines().filter(|line| !line.contains(" pid "));
                assert_eq!(complaints.next(), None, "{words:?}");
            }
        }
        // What was asked for is done, whoever reads of it.
        assert!(orphans.iter().all(|orphan| orphan.has_exited()));
        survivors.assert_alive();
    });
}

#[test]
fn a_reader_that_was_never_there_changes_no_status() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        for (words, status) in [
            (&["scan"][..], 0),
            (&["status"], 0),
            (&["fix"], 3),
            (&["events", "--follow"], 0),
            (&["completions", "zsh"], 0),
            (&["nonsense"], 2),
            (&["explain", "4000000"], 5),
        ] {
            let mut command = ctl_command(&world, words);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.stdin(Stdio::null()).stdout(writer);
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            drop(command);
            wait_until("the client ends", || child.try_wait().unwrap().is_some());
            assert_eq!(child.wait().unwrap().code(), Some(status), "{words:?}");
        }
    });
}
