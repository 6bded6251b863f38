//! Usual results of scans and fixes, to the letter.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{GATE_FIX, Preview, ScanAsked, fix, gate, refusal, remarks, scan};
use super::{assert_lines, lines_on_terminal, piped, samples, view};
use crate::wire::results;

const NEXT: &str = "team-agentctl fix --confirm";
const ALL: ScanAsked<'_> = ScanAsked {
    workspace: None,
    next: NEXT,
};

#[test]
fn a_scan_through_a_pipe_is_the_report_of_the_original_tool() {
    assert_eq!(
        scan(&samples::scan(), &piped(), &ALL),
        "Coordinator orphan scan @ 2026-05-26T12:03:12.123456+00:00\n  \
           scanned: 4 coordinator processes\n  \
           orphans: 2\n  \
           mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)\n    \
             PID 4242 etime=02:05:10 workspace=/home/me/projects/shop reason=workspace_path_missing\n    \
             PID 4243 etime=02:05:10 workspace=/tmp/team-agent-watcher-dedupe-x7k2p9/workspace \
             reason=ephemeral_tempdir_pattern:team-agent-watcher-dedupe-"
    );
}

#[test]
fn a_fix_through_a_pipe_is_the_report_of_the_original_tool() {
    let text = fix(&samples::fix(), &piped());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "Coordinator orphan scan @ 2026-05-26T12:03:12.123456+00:00",
            "  scanned: 4 coordinator processes",
            "  orphans: 2",
            "  killed: 3  (sigkill_required: 1)",
            "  failed: 1",
        ]
    );
    assert_eq!(lines.len(), 7);
    assert!(lines[5].starts_with("    PID 4242 etime="), "{text}");
}

#[test]
fn a_scan_on_a_terminal_is_a_table_that_fits() {
    let on = |width| lines_on_terminal(width, |view| scan(&samples::scan(), view, &ALL));
    let head = [
        "Coordinator orphan scan @ 2026-05-26T12:03:12.123456+00:00",
        "  scanned: 4 coordinator processes",
        "  orphans: 2",
        "  mode: DRY-RUN (no SIGTERM sent; re-run with --confirm)",
        "",
    ];
    let foot = [
        "",
        "2 orphans of 4 coordinators, holding 58 MB",
        "  why:          team-agentctl explain 4242",
        "  why unknown:  team-agentctl explain 900",
        "  to end them:  team-agentctl fix --confirm",
    ];
    for (width, table) in [
        (
            140,
            &[
                "VERDICT   PID    AGE  MEMORY  WORKSPACE                                        REASON",
                "orphan   4242  2h 5m   29 MB  /home/me/projects/shop                           workspace_path_missing",
                "orphan   4243  2h 5m   29 MB  /tmp/team-agent-watcher-dedupe-x7k2p9/workspace  ephemeral_tempdir_pattern:team-agent-watcher-dedupe-",
                "unknown   900  2h 5m   29 MB  ?                                                cmdline_unparsed",
                "alive      31  2h 5m   29 MB  /home/me/projects/blog                           workspace_alive",
            ][..],
        ),
        (
            80,
            &[
                "VERDICT   PID    AGE  MEMORY  WORKSPACE             REASON",
                "orphan   4242  2h 5m   29 MB  /home/…projects/shop  workspace_path_missing",
                "orphan   4243  2h 5m   29 MB  /tmp/t…2p9/workspace  ephemeral_tempdir_pattern:",
                "                                                    team-agent-watcher-dedupe-",
                "unknown   900  2h 5m   29 MB  ?                     cmdline_unparsed",
                "alive      31  2h 5m   29 MB  /home/…projects/blog  workspace_alive",
            ],
        ),
        (
            60,
            &[
                "VERDICT   PID    AGE  MEMORY  WORKSPACE       REASON",
                "orphan   4242  2h 5m   29 MB  /hom…ects/shop  workspace_",
                "                                              path_missing",
                "orphan   4243  2h 5m   29 MB  /tmp…workspace  ephemeral_",
                "                                              tempdir_",
                "                                              pattern:",
                "                                              team-agent-",
                "                                              watcher-",
                "                                              dedupe-",
                "unknown   900  2h 5m   29 MB  ?               cmdline_",
                "                                              unparsed",
                "alive      31  2h 5m   29 MB  /hom…ects/blog  workspace_",
                "                                              alive",
            ],
        ),
    ] {
        let lines = on(width);
        let expected: Vec<&str> = head.iter().chain(table).chain(&foot).copied().collect();
        assert_lines(&lines, &expected);
    }
}

#[test]
fn nothing_found_is_said_in_one_friendly_line() {
    let lines = lines_on_terminal(80, |view| scan(&samples::empty_scan(), view, &ALL));
    assert_lines(
        &lines[4..],
        &["", "no coordinators are running: all is tidy"],
    );
    let asked = ScanAsked {
        workspace: Some(Path::new("/home/me/sh\u{1b}op")),
        next: NEXT,
    };
    let lines = lines_on_terminal(80, |view| scan(&samples::empty_scan(), view, &asked));
    assert_lines(
        &lines[4..],
        &["", "no coordinator of /home/me/sh\\x1bop is running"],
    );
    let mut healthy = samples::empty_scan();
    healthy["coordinators"] = json!([samples::entry(31, "alive", "/w", "workspace_alive")]);
    let lines = lines_on_terminal(80, |view| scan(&healthy, view, &ALL));
    assert_lines(
        &lines[5..],
        &[
            "VERDICT  PID    AGE  MEMORY  WORKSPACE  REASON",
            "alive     31  2h 5m   29 MB  /w         workspace_alive",
            "",
            "no orphans among 1 coordinator: all is tidy",
        ],
    );
}

#[test]
fn verdicts_have_colours_on_a_terminal_and_none_in_a_pipe() {
    let coloured = scan(&samples::scan(), &view(true, 80), &ALL);
    assert!(
        coloured.contains("\n\u{1b}[1m\u{1b}[31morphan\u{1b}[0m   4242"),
        "{coloured:?}"
    );
    assert!(!scan(&samples::scan(), &piped(), &ALL).contains('\u{1b}'));
}

#[test]
fn a_fix_on_a_terminal_tells_how_each_orphan_ended() {
    let lines = lines_on_terminal(100, |view| fix(&samples::fix(), view));
    assert_lines(
        &lines[3..],
        &[
            "  killed: 3  (sigkill_required: 1)",
            "  failed: 1",
            "",
            "killed   4242  /home/me/projects/shop  workspace_path_missing",
            "         gone after 120 ms, by SIGTERM",
            "         took along 4250, 4251",
            "         did not take along 4252 (permission_denied)",
            "         left 4260 (tmux new -s work) behind: it is a terminal multiplexer, and other sessions may live in it",
            "killed   4244  /tmp/b  workspace_replaced",
            "         gone after 3.1 s, by SIGKILL",
            "         not recorded: the event log could not be written",
            "missing  4245  /tmp/c  workspace_replaced",
            "         was gone before the first signal",
            "failed   4246  /mnt/dead/d  workspace_path_missing",
            "         still there after 5.0 s: alive_after_sigkill: pid 4246 is in uninterruptible sleep",
            "         it is stuck in the kernel, usually on a disk or a network mount; it ends as soon as that answers or is detached",
            "spared   4243  /tmp/team-…upe-x7k2p9/workspace  ephemeral_tempdir_pattern:team-agent-watcher-dedupe-",
            "         it is young, and a test may still be using it: --pid ends it all the same (younger_than_ephemeral_min_age)",
            "",
            "3 orphans ended, which held 87 MB; 1 could not be ended; 1 spared",
        ],
    );
}

#[test]
fn a_fix_without_orphans_says_so() {
    let mut result = samples::empty_scan();
    result["dry_run"] = false.into();
    let lines = lines_on_terminal(80, |view| fix(&result, view));
    assert_lines(
        &lines[2..],
        &[
            "  orphans: 0",
            "  killed: 0  (sigkill_required: 0)",
            "  failed: 0",
            "",
            "nothing to end: all is tidy",
        ],
    );
}

#[test]
fn many_members_and_bystanders_are_counted_rather_than_listed() {
    let mut result = samples::fix();
    let pids = 5000..5020;
    let killed = &mut result["killed"][0];
    killed["members"] = pids
        .clone()
        .map(|pid| json!({"pid": pid, "outcome": "exited"}))
        .collect();
    killed["left_behind"] = pids
        .map(|pid| json!({"pid": pid, "cmdline": "x", "why": "other_uid"}))
        .collect();
    let lines = lines_on_terminal(100, |view| fix(&result, view));
    let took = "         took along 5000, 5001, 5002, 5003, 5004, 5005, 5006, 5007 and 12 more";
    assert_eq!(lines[8], took);
    assert_eq!(
        lines[9],
        "         left 5000 (x) behind: it belongs to another user"
    );
    assert_eq!(
        lines[17],
        "         left 12 more behind (--json lists them)"
    );
}

#[test]
fn what_the_piped_report_leaves_out_is_remarked() {
    let result = samples::fix();
    assert_lines(
        &remarks(&result, &[]),
        &[
            "failed to end 4246: alive_after_sigkill: pid 4246 is in uninterruptible sleep (it is stuck in the \
             kernel, usually on a disk or a network mount; it ends as soon as that answers or is detached)",
            "ended 4244 without a record: the event log could not be written",
        ],
    );
    let named = remarks(&result, &[4243, 1]);
    let spared = "spared 4243: it is young, and a test may still be using it: --pid ends it all the same \
                  (younger_than_ephemeral_min_age)";
    assert_eq!(named[1], spared);
    assert_eq!(named.len(), 3);
    assert_lines(
        &remarks(&json!({"failed": [], "spared": [{"pid": 7}]}), &[7]),
        &["spared 7: ?"],
    );
}

#[test]
fn a_gate_ends_with_whether_it_passed() {
    let failed = samples::gate(samples::scan(), false);
    let text = gate(&failed, &piped());
    assert_eq!(
        text,
        format!(
            "{}\n  gate: orphans failed (re-run with --gate orphans --fix --confirm)",
            scan(&samples::scan(), &piped(), &ALL)
        )
    );
    let passed = samples::gate(samples::empty_scan(), true);
    assert_eq!(
        gate(&passed, &piped()).lines().last(),
        Some("  gate: orphans passed")
    );

    let lines = lines_on_terminal(140, |view| gate(&failed, view));
    let foot = &lines[lines.len() - 3..];
    assert_lines(
        foot,
        &[
            &format!("  to end them:  {GATE_FIX}"),
            "",
            "gate: orphans failed",
        ],
    );
    let fixed = samples::gate(samples::fix(), false);
    assert!(gate(&fixed, &piped()).contains("\n  failed: 1\n"));
}

#[test]
fn a_refusal_is_short_in_a_pipe_and_shows_what_it_is_about_on_a_terminal() {
    let refused = results::fix_refused();
    assert_eq!(
        refusal(&refused, None, &piped(), NEXT),
        "refused: nothing was signalled (re-run with --confirm)"
    );
    assert_eq!(
        refusal(&results::gate_refused(), None, &piped(), NEXT),
        "refused: nothing was signalled (re-run with --gate orphans --fix --confirm)"
    );
    let about = |scan: &Value, named: &[u32]| {
        let preview = Preview { scan, named };
        lines_on_terminal(140, |view| refusal(&refused, Some(&preview), view, NEXT))
    };
    assert_lines(
        &about(&samples::scan(), &[]),
        &[
            "VERDICT   PID    AGE  MEMORY  WORKSPACE                                        REASON",
            "orphan   4242  2h 5m   29 MB  /home/me/projects/shop                           workspace_path_missing",
            "orphan   4243  2h 5m   29 MB  /tmp/team-agent-watcher-dedupe-x7k2p9/workspace  ephemeral_tempdir_pattern:team-agent-watcher-dedupe-",
            "",
            "2 orphans, holding 58 MB",
            "",
            "refused: without --confirm nothing is signalled. To end them, type",
            "  team-agentctl fix --confirm",
        ],
    );
    let mut unknown = samples::scan_with_members();
    let orphans = unknown["orphans"].as_array_mut().unwrap();
    orphans.truncate(1);
    assert_lines(
        &about(&unknown, &[])[..9],
        &[
            "VERDICT   PID    AGE  MEMORY  WORKSPACE               REASON",
            "orphan   4242  2h 5m   29 MB  /home/me/projects/shop  workspace_path_missing",
            "         ends with it: 4250  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4251  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4252  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4253  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4254  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4255  python3 -m team_agent.worker --task build-everything-again",
            "         ends with it: 4256  python3 -m team_agent.worker --task build-everything-again",
        ],
    );
    let lines = about(&unknown, &[]);
    assert_lines(
        &lines[9..16],
        &[
            "         ends with it: 4257  python3 -m team_agent.worker --task build-everything-again",
            "         and 2 more (--json scan --members lists them)",
            "         left behind:  4301  tmux: server new-session -s work (it is a terminal multiplexer, and other sessions may live in it)",
            "         left behind:  4302  evil\\x1b[2J (a_word_of_tomorrow)",
            "",
            "1 orphan, holding 29 MB; 10 other processes would end with them",
            "",
        ],
    );
    let mut young = samples::scan_with_members();
    let orphans = young["orphans"].as_array_mut().unwrap();
    orphans.remove(0);
    orphans[0]["members"] = json!([]);
    orphans[0]["would_spare"] = "younger_than_ephemeral_min_age".into();
    assert_lines(
        &about(&young, &[])[1..],
        &[
            "orphan   4243  2h 5m   29 MB  /tmp/team-agent-watcher-dedupe-x7k2p9/workspace  ephemeral_tempdir_pattern:team-agent-watcher-dedupe-",
            "         would be spared: it is young, and a test may still be using it: --pid ends it all the same (younger_than_ephemeral_min_age)",
            "",
            "0 orphans; 1 would be spared",
            "",
            "refused without --confirm; but there is nothing to end",
        ],
    );
    for name in ["members", "left_behind", "would_spare"] {
        unknown["orphans"][0][name] = serde_json::Value::Null;
    }
    let lines = about(&unknown, &[]);
    assert_eq!(
        lines[2],
        "         who would end with it could not be found out"
    );
    assert_lines(
        &about(&samples::empty_scan(), &[77]),
        &[
            "77 is no orphan that this fix selects, and will be spared",
            "",
            "refused without --confirm; but there is nothing to end",
        ],
    );
    let lines = lines_on_terminal(80, |view| refusal(&refused, None, view, NEXT));
    assert_lines(
        &lines,
        &[
            "refused: without --confirm nothing is signalled. To end them, type",
            "  team-agentctl fix --confirm",
        ],
    );
}
