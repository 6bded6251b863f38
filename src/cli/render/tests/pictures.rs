//! What each command shows, as whole pictures: on narrow, usual and wide terminals, with and without
//! colours, and through a pipe. They lie in `tests/data/pictures`; `INSTA_UPDATE=always cargo test`
//! draws them anew, and git shows what that changes.

use std::fmt::Write;

use serde_json::json;

use super::super::*;
use super::{plain, samples, view};
use crate::cli::args::{ForceArgs, ServiceCommand};
use crate::wire::results;

const NEXT: &str = "team-agentctl fix --confirm";
const ALL: ScanAsked<'_> = ScanAsked {
    workspace: None,
    next: NEXT,
};
const WIDTHS: [usize; 3] = [60, 80, 140];

/// Compares what is shown with the picture of that name.
#[track_caller]
fn assert_picture(name: &str, render: impl Fn(&View) -> String) {
    let mut picture = String::new();
    for width in WIDTHS {
        let view = view(true, width);
        let text = view.folded(&render(&view));
        for line in plain(&text).lines() {
            let taken = line.chars().count();
            // A command that is to be typed, and a single word, stay whole.
            let is_command = line.contains("  team-agentctl ");
            let is_word = !line.trim_start().contains(' ');
            assert!(
                taken <= width || is_command || is_word,
                "{name}: {taken} of {width} columns: {line}"
            );
        }
        let _ = writeln!(picture, "──── {width} columns\n{}", plain(&text));
        let _ = writeln!(
            picture,
            "──── {width} columns, in colour\n{}",
            in_marks(&text)
        );
    }
    let piped = render(&view(false, 80));
    assert!(!piped.contains('\u{1b}'), "{name}: colours in a pipe");
    let _ = writeln!(picture, "──── in a pipe\n{piped}");
    assert_drawn(name, &picture);
}

#[track_caller]
fn assert_drawn(name: &str, picture: &str) {
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pictures"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, picture);
    });
}

/// Colours as text that can be read: `‹1;31›`.
fn in_marks(text: &str) -> String {
    let mut marked = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        let (code, after) = after.split_once('m').expect("a colour");
        let _ = write!(marked, "{before}‹{code}›");
        rest = after;
    }
    marked + rest
}

#[test]
fn scans_and_fixes() {
    assert_picture("scan", |view| scan(&samples::scan(), view, &ALL));
    let with_members = samples::scan_with_members();
    assert_picture("scan-members", |view| scan(&with_members, view, &ALL));
    let nothing = samples::empty_scan();
    assert_picture("scan-nothing", |view| scan(&nothing, view, &ALL));
    assert_picture("fix", |view| fix(&samples::fix(), view));
    let mut nothing = samples::empty_scan();
    nothing["dry_run"] = false.into();
    assert_picture("fix-nothing", |view| fix(&nothing, view));
    let refused = results::fix_refused();
    assert_picture("fix-refused", |view| {
        let scan = samples::scan_with_members();
        let preview = Preview {
            scan: &scan,
            named: &[],
        };
        refusal(&refused, Some(&preview), view, NEXT)
    });
    let passed = samples::gate(samples::empty_scan(), true);
    assert_picture("gate-passed", |view| gate(&passed, view));
    let failed = samples::gate(samples::scan(), false);
    assert_picture("gate-failed", |view| gate(&failed, view));
}

#[test]
fn the_daemon_and_what_it_has_in_view() {
    assert_picture("status", |view| status(&samples::status(), view));
    assert_picture("status-busy", |view| status(&samples::busy_status(), view));
    assert_picture("events", |view| events(&samples::events(), view));
    let none = json!({"events": []});
    assert_picture("events-none", |view| events(&none, view));
    let reload = json!({"ok": true, "config": "/etc/team-agentd/team-agentd.toml"});
    assert_picture("reload", |_| reloaded(&reload));
}

#[test]
fn letters() {
    assert_picture("explain-orphan", |view| {
        explain(&samples::explanation(), view)
    });
    assert_picture("explain-held", |view| {
        explain(&samples::held_explanation(), view)
    });
    assert_picture("explain-healthy", |view| {
        explain(&samples::healthy_explanation(), view)
    });
    let stranger = json!({
        "pid": 7,
        "is_coordinator": false,
        "rules": [{
            "rule": "is_coordinator",
            "result": "no",
            "evidence": {"argv": ["vim", "coordinator.py", "--workspace", "/home/me/projects/shop"]},
        }],
        "would": "never be ended for itself: not a coordinator: argv of \"vim\" has none of the known forms",
    });
    assert_picture("explain-stranger", |view| explain(&stranger, view));
}

#[test]
fn what_the_owner_says() {
    let until = json!({"paused_until": "2026-05-26T13:00:00Z", "changed": true});
    assert_picture("pause", |view| paused(&until, view));
    let over = json!({"was_held": true, "lifted": ["paused", "suspended"], "suspended_why": "5 of 6 coordinators turned orphan within 60 s", "held_by": ["view_obstructed"], "confirm": true});
    assert_picture("resume", |view| resumed(&over, view));
    let path = json!({"ok": true, "path": "/home/me/projects/shop", "kept": true});
    assert_picture("keep", |view| kept(&path, view));
    let pid = json!({"ok": true, "pid": 4242, "kept": false});
    assert_picture("unkeep", |view| kept(&pid, view));
}

#[test]
fn the_service() {
    let install = ServiceCommand::Install(ForceArgs::default());
    let installed = samples::installed();
    assert_picture("service-install", |view| {
        service(&install, &installed, view)
    });
    let uninstall = ServiceCommand::Uninstall(ForceArgs::default());
    let uninstalled = samples::uninstalled();
    assert_picture("service-uninstall", |view| {
        service(&uninstall, &uninstalled, view)
    });
    for (name, result) in samples::service_statuses() {
        assert_picture(name, |view| service(&ServiceCommand::Status, &result, view));
    }
}

#[test]
fn what_goes_wrong() {
    let failure = samples::failure();
    assert_picture("failure", |view| match view.terminal.is_terminal {
        true => super::super::failure(&failure),
        false => plain(&super::super::failure(&failure)),
    });
}

#[test]
fn the_configuration() {
    let values = json!({
        "scan": {"interval": "5s"},
        "coordinator": {"workspace_roots": ["/home/me/work", "/srv/builds/of/the/whole/team/and/its/many/agents"]},
        "reap": {"confirm": true, "reasons": ["workspace_path_missing", "workspace_replaced"]},
    });
    let origin = "/home/me/.config/team-agentd/team-agentd.toml:3";
    let origins = [("reap.confirm".to_owned(), origin.to_owned())].into();
    let shown = |is_terminal, width| {
        let view = view(is_terminal, width);
        in_marks(&config(
            &values,
            Some("/home/me/.config/team-agentd/team-agentd.toml"),
            &origins,
            &view,
        ))
    };
    // It may be meant for a file: no terminal breaks its lines.
    assert_eq!(shown(true, 60), shown(true, 140));
    assert_drawn(
        "config-show",
        &format!(
            "──── on a terminal\n{}\n──── in a pipe\n{}\n",
            shown(true, 80),
            shown(false, 80),
        ),
    );
}
