//! What tells of the daemon, of one process or of the past, to the letter.

use serde_json::{Value, json};

use super::super::{events, explain, reloaded, status};
use super::{assert_lines, lines_on_terminal, piped, samples, view};

#[test]
fn a_status_tells_of_the_daemon_and_what_it_has_in_view() {
    let lines = lines_on_terminal(100, |view| status(&samples::status(), view));
    assert_lines(
        &lines,
        &[
            "team-agentd 0.1.0, pid 812, up 3h 5m",
            "  socket:     /run/user/1000/team-agentd/control.sock",
            "  config:     none, the built-in defaults hold",
            "  policy:     watches; ends orphans only on request",
            "  last scan:  2026-05-26 14:04:58, 2s ago; 4 coordinators, 1 orphan; took 3 ms",
            "  counters:   120 scans, 3 detected, 1 cleared, 2 killed, 0 failed, 0 spared, 1 failed scans",
            "",
            "STATE       PID    AGE  MEMORY   NEXT  WORKSPACE               REASON",
            "suspected  4242  2h 5m   29 MB  in 1m  /home/me/projects/shop  workspace_path_missing",
        ],
    );
    let text = status(&samples::status(), &piped());
    assert_lines(
        &text.lines().skip(7).map(str::to_owned).collect::<Vec<_>>(),
        &[
            "1 orphan in view",
            "    PID 4242 etime=02:05:10 state=suspected workspace=/home/me/projects/shop reason=workspace_path_missing next=2026-05-26T12:06:00.000000+00:00",
        ],
    );
}

#[test]
fn a_policy_says_what_it_does_and_what_holds_it() {
    let of = |policy: Value| {
        let text = status(&json!({"policy": policy}), &piped());
        text.lines().nth(3).unwrap_or_default().to_owned()
    };
    for (policy, line) in [
        (
            json!({"confirm": true, "reasons": ["a", "b"]}),
            "  policy:     ends orphans by itself (a, b)",
        ),
        (
            json!({"confirm": false, "automatic": false}),
            "  policy:     watches; ends orphans only on request",
        ),
        (
            json!({"confirm": true, "reasons": [], "suspended": true, "paused_until": "2026-05-26T13:00:00Z"}),
            "  policy:     ends orphans by itself (); suspended (team-agentctl resume); paused until 2026-05-26 15:00:00",
        ),
        (
            json!({"confirm": true, "reasons": ["a"], "suspended": true, "suspended_why": "5 of 6", "paused": true}),
            "  policy:     ends orphans by itself (a); suspended: 5 of 6 (team-agentctl resume); paused (team-agentctl resume)",
        ),
        (
            json!({"confirm": true, "reasons": ["a"], "held_by": ["view_obstructed", "audit_unavailable"]}),
            "  policy:     ends orphans by itself (a); held: it does not see everything there is; held: the event log cannot be written",
        ),
        (
            json!({"confirm": true, "reasons": ["a"], "held_by": ["paused"], "paused": true}),
            "  policy:     ends orphans by itself (a); paused (team-agentctl resume)",
        ),
        (
            json!({"suspended": "breaker"}),
            "  policy:     watches; ends orphans only on request; suspended: breaker",
        ),
        (json!(null), "  policy:     ?"),
    ] {
        assert_eq!(of(policy), line);
    }
}

#[test]
fn an_explanation_reads_like_a_letter() {
    let lines = lines_on_terminal(100, |view| explain(&samples::explanation(), view));
    assert_lines(
        &lines,
        &[
            "Process 4242 is a coordinator",
            "  verdict    orphan, workspace_path_missing",
            "  because    its workspace is gone, and nothing speaks against a deletion",
            "  workspace  /home/me/projects/shop",
            "  running    for 2h 5m, holding 29 MB",
            "  form       python-module",
            "  cmdline    python3 -m team_agent.coordinator --workspace /home/me/projects/shop",
            "  family     uid 1000, parent 1, group 4242, session 4242",
            "  in view    since 2026-05-26 14:00:00, 5m ago, seen 7 times",
            "",
            "What was checked",
            "  is_coordinator          yes",
            "  workspace_moved         does not apply",
            "  workspace_path_missing  orphan: workspace_path_missing",
            "",
            "What was found",
            "  access     may be looked into",
            "  workspace  nothing is at its path",
            "  cwd        /home/me/projects/shop, a witness: it was deleted (links: 0; inode 77 on device 2049)",
            "  log        none that could be a witness",
            "  pid file   there is no coordinator.pid",
            "",
            "What would happen",
            "  it would be ended by `team-agentctl fix --confirm`: it is an orphan (workspace_path_missing)",
        ],
    );
}

#[test]
fn a_stranger_is_explained_too() {
    let result = json!({
        "pid": 7,
        "is_coordinator": false,
        "rules": [{"rule": "is_coordinator", "result": "no", "evidence": {"argv": ["vim", "x\ny"]}}],
        "would": "never be ended for itself: not a coordinator: argv of \"vim\" has none of the known forms",
    });
    assert_eq!(
        explain(&result, &piped()),
        "Process 7 is not a coordinator\n  \
           argv  vim x\\ny\n\n\
         What was checked\n  \
           is_coordinator  no\n\n\
         What would happen\n  \
           it would never be ended for itself: not a coordinator: argv of \"vim\" has none of the known forms"
    );
}

#[test]
fn an_event_is_a_line() {
    let text = events(&samples::events(), &piped());
    assert_lines(
        &text.lines().map(str::to_owned).collect::<Vec<_>>(),
        &[
            "2026-05-26 14:00:00  daemon.started      812      0.1.0  /s",
            "2026-05-26 14:03:12  orphan.detected     4242     workspace_path_missing  /w",
            "2026-05-26 14:03:12  orphan.signal       4242     workspace_path_missing  /w  SIGTERM  by itself",
            "2026-05-26 14:03:12  orphan.signal       4250     workspace_path_missing  /w  SIGKILL  with 4242  asked by uid 1000, pid 77",
            "2026-05-26 14:03:12  orphan.killed       4242     workspace_path_missing  /w  by SIGKILL in 3.1 s",
            "2026-05-26 14:03:12  orphan.killed       4242     workspace_path_missing  /w  was gone already",
            "2026-05-26 14:03:12  orphan.failed       4242     workspace_path_missing  /w  permission_denied: EPERM",
            "2026-05-26 14:03:12  orphan.cleared      4242     workspace_path_missing  /w  verdict_changed  now workspace_alive",
            "2026-05-26 14:03:12  orphan.spared       4242     workspace_path_missing  /w  workspace_moved",
            "2026-05-26 14:03:12  orphan.interrupted  4242     workspace_path_missing  /w  SIGTERM without an outcome",
            "2026-05-26 14:04:00  config.rejected     problem=line 2",
            "half a li",
        ],
    );
    assert_eq!(events(&json!({"events": []}), &piped()), "");
    assert_eq!(events(&json!({"events": []}), &view(true, 80)), "no events");
}

#[test]
fn a_reload_names_the_file() {
    assert_eq!(
        reloaded(&json!({"ok": true, "config": "/etc/c.toml"})),
        "the configuration was read again from /etc/c.toml"
    );
    assert_eq!(
        reloaded(&json!({"ok": true, "config": null})),
        "the configuration was read again: no file, the built-in defaults hold"
    );
}
