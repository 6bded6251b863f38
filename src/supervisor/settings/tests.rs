//! Which workspaces are the daemon's business, and which are never to be touched.

use std::os::unix::fs::symlink;

use std::collections::BTreeMap;

use super::*;
use crate::orphan::fixtures::*;

fn settings(bend: impl FnOnce(&mut Config)) -> Settings {
    let mut config = Config::default();
    bend(&mut config);
    Settings::new(&config, &|_| None, 1000)
}

fn protecting(path: impl Into<PathBuf>) -> Settings {
    settings(|config| config.orphan.protect = vec![path.into()])
}

fn below(root: &str) -> Settings {
    settings(|config| config.coordinator.workspace_roots = vec![root.into()])
}

/// The workspace as the argv gives it and where that leads, with nothing held.
fn leading(workspace: &str, resolved: Option<&str>) -> Evidence {
    let case = without_witness().with(|evidence| {
        evidence.workspace = Some(workspace.into());
        evidence.resolved = resolved.map(PathBuf::from);
    });
    case.evidence
}

#[test]
fn where_a_protected_path_leads_by_now_is_protected_beside_where_it_led() {
    let leads = |name: &str, real: &str| Followed {
        leads: BTreeMap::from([(name.into(), real.into())]),
        ..Followed::default()
    };
    let settings = protecting("/current");
    assert!(
        settings
            .protecting(&leads("/other", "/release/1"))
            .is_none()
    );
    let settings = settings
        .protecting(&leads("/current", "/release/1"))
        .unwrap();
    assert!(
        settings
            .protecting(&leads("/current", "/release/1"))
            .is_none()
    );
    // It is no name itself.
    assert!(settings.protecting(&leads("/release/1", "/x")).is_none());
    let settings = settings
        .protecting(&leads("/current", "/release/2"))
        .unwrap();
    for workspace in ["/current/ws", "/release/1/ws", "/release/2/ws"] {
        assert!(settings.protects(&leading(workspace, None)), "{workspace}");
    }
    assert!(!settings.protects(&leading("/release/3/ws", None)));
    let mut settings = settings;
    for number in 3..=1_002 {
        let release = format!("/release/{number}");
        settings = settings.protecting(&leads("/current", &release)).unwrap();
    }
    assert_eq!(
        settings.reap.protect.len(),
        settings.protected_as_read + 1_000
    );
    assert!(!settings.protects(&leading("/release/2", None)));
    assert!(settings.protects(&leading("/release/3", None)));
    assert!(settings.protects(&leading("/current", None)));
}

#[test]
fn as_long_as_it_is_not_known_where_protected_paths_lead_everything_is_protected() {
    let mut unknown = protecting("/current");
    unknown.is_protection_unknown = true;
    unknown.reap.protect.push("/".into());
    assert!(unknown.protects(&leading("/elsewhere/ws", None)));
    let names = unknown.protected_names().iter().cloned().collect();
    let followed = |leads: &[(&str, &str)]| Followed {
        names,
        leads: leads
            .iter()
            .map(|(name, real)| (name.into(), real.into()))
            .collect(),
    };
    // What is known of others, of an earlier configuration say, changes nothing.
    for of_others in [
        Followed::default(),
        Followed {
            names: ["/other".into()].into(),
            leads: BTreeMap::from([("/other".into(), "/x".into())]),
        },
    ] {
        assert!(unknown.protecting(&of_others).is_none());
    }
    let elsewhere = unknown
        .protecting(&followed(&[("/current", "/release/1")]))
        .unwrap();
    assert!(!elsewhere.protects(&leading("/elsewhere/ws", None)));
    for workspace in ["/current/ws", "/release/1/ws"] {
        assert!(elsewhere.protects(&leading(workspace, None)));
    }
    assert!(elsewhere.protecting(&Followed::default()).is_none());
}

#[test]
fn a_look_for_where_paths_lead_is_not_waited_for_longer_than_its_time() {
    let (go_on, may_go_on) = channel::<()>();
    let hangs = move || may_go_on.recv().is_ok();
    assert_eq!(followed_within(Duration::from_millis(20), hangs), None);
    drop(go_on);
    let patience = Duration::from_secs(60);
    assert_eq!(followed_within(patience, || 7), Some(7));
}

#[test]
fn a_temporary_root_that_is_a_link_means_where_it_leads() {
    let place = tempfile::tempdir().unwrap();
    let top = place.path().canonicalize().unwrap();
    std::fs::create_dir(top.join("real")).unwrap();
    symlink("real", top.join("link")).unwrap();
    let env = |name: &str| (name == "TMPDIR").then(|| top.join("link").into());
    let settings = Settings::new(&Config::default(), &env, 1000);
    let EphemeralRoots::Below(roots) = settings.ephemeral.roots else {
        panic!("not everywhere");
    };
    for root in ["link", "real"] {
        assert!(roots.contains(&top.join(root)), "{root}: {roots:?}");
    }
    // Not everything, because somebody's TMPDIR leads there.
    for everything in ["/tmp/..", "/proc/self/root"] {
        let env = |name: &str| (name == "TMPDIR").then(|| everything.into());
        let settings = Settings::new(&Config::default(), &env, 1000);
        let EphemeralRoots::Below(roots) = settings.ephemeral.roots else {
            panic!("not everywhere");
        };
        assert!(
            !roots.contains(&PathBuf::from("/")),
            "{everything}: {roots:?}"
        );
    }
}

#[test]
fn a_workspace_at_or_below_a_protected_path_is_protected_by_its_name() {
    let settings = protecting("/precious");
    for workspace in ["/precious", "/precious/ws", "/other/../precious/ws"] {
        assert!(settings.protects(&leading(workspace, None)), "{workspace}");
    }
    for workspace in ["/", "/precious-not", "/other", "/precious/../other"] {
        assert!(!settings.protects(&leading(workspace, None)), "{workspace}");
    }
}

#[test]
fn it_is_protected_by_where_its_links_lead() {
    let settings = protecting("/precious");
    assert!(settings.protects(&leading("/link/ws", Some("/precious/ws"))));
    assert!(settings.protects(&leading("/link/../ws", Some("/precious/ws"))));
    assert!(!settings.protects(&leading("/link/ws", Some("/other/ws"))));
    // And one that leads out of there is protected all the same.
    assert!(settings.protects(&leading("/precious/link", Some("/other/ws"))));
}

#[test]
fn it_is_protected_by_where_what_the_process_holds_was_last_seen() {
    let settings = protecting("/precious");
    let holding_there = holding("/precious/ws", ORIGINAL);
    let evidence = leading("/link/ws", None);
    assert!(!settings.protects(&evidence));
    assert!(settings.protects(&Evidence {
        cwd: Some(holding_there),
        ..evidence.clone()
    }));
    assert!(settings.protects(&Evidence {
        log: Some(log_in("/precious/ws")),
        ..evidence
    }));
}

#[test]
fn in_a_chroot_a_protected_path_is_meant_from_inside_and_from_outside() {
    let inside = |protect: &str| {
        let evidence = Evidence {
            root: "/jail".into(),
            ..leading("/link/ws", Some("/home/ws"))
        };
        protecting(protect).protects(&evidence)
    };
    assert!(inside("/jail/home"));
    assert!(inside("/home"));
    assert!(!inside("/jail/other"));
}

#[test]
fn a_protected_path_that_is_a_link_protects_what_it_leads_to_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (target, link) = (folder.join("target"), folder.join("link"));
    std::fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    let settings = protecting(&link);
    for below in [&target, &link] {
        let workspace = below.join("ws");
        assert!(settings.protects(&leading(workspace.to_str().unwrap(), None)));
    }
    let beside = folder.join("other");
    assert!(!settings.protects(&leading(beside.to_str().unwrap(), None)));
}

#[test]
fn without_roots_every_workspace_is_covered() {
    let settings = settings(|_| {});
    assert!(settings.covers_evidence(&leading("/a/../b", None)));
    assert!(settings.covers_evidence(&leading("/a", Some("/b"))));
}

#[test]
fn a_workspace_that_climbs_is_covered_by_where_it_leads() {
    let settings = below("/home");
    for (workspace, resolved, covered) in [
        // By its name, wherever a link in it leads.
        ("/home/ws", Some("/home/ws"), true),
        ("/home/link", Some("/srv/ws"), true),
        ("/home/ws", None, true),
        ("/srv/link", Some("/home/ws"), false),
        // Behind a link, `..` is another directory than its name says.
        ("/home/link/../ws", Some("/home/ws"), true),
        ("/home/link/../ws", Some("/srv/ws"), false),
        ("/home/link/../ws", None, false),
    ] {
        assert_eq!(
            settings.covers_evidence(&leading(workspace, resolved)),
            covered,
            "{workspace} → {resolved:?}"
        );
    }
}

#[test]
fn what_is_protected_is_so_by_where_it_would_lead() {
    let place = tempfile::tempdir().unwrap();
    let top = place.path().canonicalize().unwrap();
    std::fs::create_dir(top.join("y")).unwrap();
    symlink("y", top.join("x")).unwrap();
    symlink("y/gone", top.join("gone")).unwrap();
    for (path, leads) in [
        ("x/w", "y/w"),
        ("gone/w", "y/gone/w"),
        // What is not there cannot be taken back, but by its text.
        ("x/gone/../w", "y/w"),
    ] {
        assert_eq!(real_path(&top.join(path)), Some(top.join(leads)), "{path}");
    }
}
