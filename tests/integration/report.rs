//! The text reports, as they come through a pipe: the seed's lines to the letter, and nothing from
//! other processes that a terminal could take for an order.

use crate::support::{Answer, Settings, World, in_private_pid_namespace};

/// `Coordinator orphan scan @ 2026-01-02T03:04:05.678901+00:00`
#[track_caller]
fn assert_headline(line: &str) {
    let at = line
        .strip_prefix("Coordinator orphan scan @ ")
        .unwrap_or_default();
    let shape: String = at
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert!(shape.starts_with("0000-00-00T00:00:00"), "{line:?}");
    assert!(shape.ends_with("+00:00"), "{line:?}");
}

/// `    PID 4242 etime=01:02 workspace=… reason=…`, whatever the time.
#[track_caller]
fn assert_orphan_line(line: &str, pid: u32, rest: &str) {
    let etime = line
        .strip_prefix(&format!("    PID {pid} etime="))
        .unwrap_or_default();
    let (etime, found) = etime.split_once(' ').unwrap_or_default();
    assert!(etime.contains(':'), "{line:?}");
    assert_eq!(found, rest, "{line:?}");
}

#[test]
fn a_scan_prints_the_lines_of_the_original_tool() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let _healthy = world.healthy("workspace").start();
        let orphan = world.orphan("gone").start();
        for arguments in [&["scan"][..], &["doctor", "--cleanup-orphans"]] {
            let answer = world.ctl(arguments);
            let lines: Vec<_> = answer.text_with(0).lines().collect();
            assert_eq!(lines.len(), 5, "{answer:#?}");
            assert_headline(lines[0]);
            assert_eq!(lines[1], "  scanned: 2 coordinator processes");
            assert_eq!(lines[2], "  orphans: 1");
            assert_eq!(
                lines[3],
                "  mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)"
            );
            let gone = world.path("gone");
            let rest = format!("workspace={} reason=workspace_path_missing", gone.display());
            assert_orphan_line(lines[4], orphan.pid, &rest);
            assert_eq!(answer.stderr, "", "{answer:#?}");
        }
        assert!(orphan.is_alive());
    });
}

#[test]
fn a_fix_prints_how_many_were_killed_and_how() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon_with(&Settings {
            sigterm_wait: "5s",
            ..Settings::default()
        });
        let survivors = world.survivors();
        let obedient = world.orphan("gone-1").start();
        let stubborn = world.orphan("gone-2").stubborn().start();
        let answer = world.ctl(["fix", "--confirm"]);
        let lines: Vec<_> = answer.text_with(0).lines().collect();
        assert_eq!(lines.len(), 7, "{answer:#?}");
        assert_headline(lines[0]);
        assert_eq!(lines[1], "  scanned: 3 coordinator processes");
        assert_eq!(lines[2], "  orphans: 2");
        assert_eq!(lines[3], "  killed: 2  (sigkill_required: 1)");
        assert_eq!(lines[4], "  failed: 0");
        for orphan in [&obedient, &stubborn] {
            assert!(orphan.has_exited());
            let mine = format!("    PID {} etime=", orphan.pid);
            assert!(
                lines[5..].iter().any(|line| line.starts_with(&mine)),
                "{answer:#?}"
            );
        }
        survivors.assert_alive();
    });
}

/// No character in it that a terminal obeys, or that reorders what is read.
#[track_caller]
fn assert_harmless(text: &str, answer: &Answer) {
    let harmful = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(
                *c,
                '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{61c}'
            )
            || matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(text.chars().find(harmful), None, "{answer:#?}");
}

#[test]
fn names_that_other_processes_chose_are_never_printed_raw() {
    in_private_pid_namespace(|| {
        const NAMES: [&str; 7] = [
            "esc-\u{1b}[2J\u{1b}]0;owned\u{7}",
            "line\n    PID 1 etime=99:99 workspace=/ reason=workspace_path_missing",
            "return\r  orphans: 0",
            "bidi-\u{202e}txt.exe\u{2066}",
            "c1-\u{9b}31m",
            "separator-\u{2028}-\u{2029}",
            "delete-\u{7f}\u{8}\u{8}",
        ];
        let world = World::new();
        let _daemon = world.daemon();
        let survivors = world.survivors();
        let orphans: Vec<_> = NAMES
            .iter()
            .map(|name| world.orphan(name).start())
            .collect();

        let scan = world.ctl(["scan"]);
        assert_harmless(scan.text_with(0), &scan);
        assert_eq!(scan.stdout.lines().count(), 4 + NAMES.len(), "{scan:#?}");
        for orphan in &orphans {
            let explained = world.ctl(["explain", &orphan.pid.to_string()]);
            assert_harmless(explained.text_with(0), &explained);
        }
        let fix = world.ctl(["fix", "--confirm"]);
        assert_harmless(fix.text_with(0), &fix);
        let killed = format!("  killed: {}  (sigkill_required: 0)", NAMES.len());
        assert!(fix.stdout.lines().any(|line| line == killed), "{fix:#?}");
        for command in ["events", "status"] {
            let answer = world.ctl([command]);
            assert_harmless(answer.text_with(0), &answer);
        }
        assert!(orphans.iter().all(|orphan| orphan.has_exited()));
        survivors.assert_alive();
    });
}

#[test]
fn a_gate_that_fails_shows_the_report_and_the_way_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let answer = world.ctl(["doctor", "--gate", "orphans"]);
        let text = answer.text_with(1);
        assert!(text.contains("  orphans: 1\n"), "{answer:#?}");
        assert!(
            text.contains(&format!("    PID {} etime=", orphan.pid)),
            "{answer:#?}"
        );
        let both = format!("{text}{}", answer.stderr);
        assert!(
            both.contains("--gate orphans --fix --confirm"),
            "{answer:#?}"
        );
    });
}
