//! What becomes of a look at a process that is another program, or gone, when the look is done.

use std::ffi::OsString;

use super::*;
use crate::config::Config;
use crate::orphan::process::ProcessRecord;
use crate::os::host::own_uid;

fn coordinator() -> Coordinator {
    Coordinator {
        form: "team-agent".to_owned(),
        workspace: WorkspaceArgument::Given("/".into()),
    }
}

/// Whether a look that began with these facts gives evidence.
async fn is_evidence(handle: &ProcessHandle, record: ProcessRecord) -> bool {
    let mut config = Config::default();
    config.coordinator.workspace_roots = vec!["/nowhere".into()];
    let settings = Settings::new(&config, &|_| None, own_uid());
    Scanner::default()
        .observe(handle, record, coordinator(), None, &settings)
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn evidence_about_a_process_that_became_another_program_is_dropped() {
    let Pinned { handle, record } = facts::pin(std::process::id()).unwrap();
    assert!(is_evidence(&handle, record.clone()).await);
    let mut before = record.clone();
    before.argv.push(OsString::from("--workspace"));
    assert!(!is_evidence(&handle, before).await);
    let mut before = record;
    before.argv.clear();
    assert!(!is_evidence(&handle, before).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn evidence_about_a_process_that_exited_is_dropped() {
    use std::time::Instant;
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let handle = ProcessHandle::open(child.id()).unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    while handle.is_alive() {
        assert!(Instant::now() < give_up, "it never ends");
        std::thread::yield_now();
    }
    // Its zombie has the pid and an empty argv, as the facts say.
    let mut record = facts::pin(std::process::id()).unwrap().record;
    record.identity.pid = child.id();
    record.argv.clear();
    assert_eq!(facts::argv(child.id()).unwrap(), record.argv);
    assert!(!is_evidence(&handle, record).await);
    child.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_seen_under_another_configuration_is_looked_at_again() {
    let settings = || {
        let mut config = Config::default();
        config.coordinator.workspace_roots = vec!["/nowhere".into()];
        Arc::new(Settings::new(&config, &|_| None, own_uid()))
    };
    let (settings, other) = (settings(), settings());
    let scanner = Scanner::default();
    let nobody = HashMap::new();
    assert_eq!(scanner.seen_under(&settings), Seen::default());
    // One that gives no result has seen nobody.
    let hangs = scanner.listing.lock().await;
    let failed = scanner.scan(Sweep::WhatChanged, &settings, &nobody).await;
    assert!(matches!(failed, Err(ScanError::ListingHangs)));
    drop(hangs);
    assert_eq!(scanner.seen_under(&settings), Seen::default());
    let found = scanner.scan(Sweep::WhatChanged, &settings, &nobody).await;
    assert!(found.unwrap().is_empty());
    assert_ne!(scanner.seen_under(&settings), Seen::default());
    assert_eq!(scanner.seen_under(&other), Seen::default());
}
