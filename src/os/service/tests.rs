//! What arrives at the one who listens in a service manager's place.

use std::path::Path;

use super::*;

fn manager(place: &Path) -> ServiceManager {
    ServiceManager::at(place, None)
}

fn listener(place: &Path) -> std::os::unix::net::UnixDatagram {
    let listener = std::os::unix::net::UnixDatagram::bind(place).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// The messages that have arrived.
fn read(listener: &std::os::unix::net::UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| {
        let length = listener.recv(&mut buffer).ok()?;
        Some(str::from_utf8(&buffer[..length]).unwrap().to_owned())
    })
    .collect()
}

#[test]
fn each_thing_is_said_in_the_words_of_sd_notify() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("notify");
    let listener = listener(&place);
    let mut manager = manager(&place);
    manager.status("looking");
    manager.status("looking");
    manager.ready();
    manager.alive();
    manager.takes(Duration::from_secs(3));
    manager.stopping(Duration::from_millis(1));
    manager.status("two\nREADY=1\u{1b}[1m");
    assert_eq!(
        read(&listener),
        [
            "STATUS=looking",
            "READY=1",
            "WATCHDOG=1",
            "EXTEND_TIMEOUT_USEC=3000000",
            "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000",
            "STATUS=two READY=1 [1m",
        ]
    );
    manager.status(&"a".repeat(2 * LONGEST_STATUS));
    assert_eq!(read(&listener)[0].len(), "STATUS=".len() + LONGEST_STATUS);
}

#[test]
fn one_that_does_not_read_holds_nobody_up_and_hears_the_rest_later() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("notify");
    let listener = listener(&place);
    let mut manager = manager(&place);
    // More than any system lets wait in a mailbox.
    for _ in 0..100_000 {
        manager.alive();
    }
    manager.status("busy");
    manager.ready();
    manager.status("done");
    assert!(manager.is_owed());
    assert!(read(&listener).iter().all(|said| said == "WATCHDOG=1"));
    manager.alive();
    assert!(!manager.is_owed());
    assert_eq!(read(&listener), ["STATUS=done\nREADY=1\nWATCHDOG=1"]);
}

#[test]
fn one_that_was_started_anew_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("notify");
    let mut manager = manager(&place);
    manager.ready();
    assert!(manager.is_owed(), "nobody is there");
    let first = listener(&place);
    manager.alive();
    assert_eq!(read(&first), ["READY=1\nWATCHDOG=1"]);
    drop(first);
    std::fs::remove_file(&place).unwrap();
    manager.stopping(Duration::ZERO);
    assert!(manager.is_owed());
    let second = listener(&place);
    manager.status("leaving");
    assert_eq!(read(&second), ["STATUS=leaving\nSTOPPING=1"]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_abstract_name_is_one_too() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("team-agentd-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    manager(Path::new(&format!("@{name}"))).ready();
    assert_eq!(read(&listener), ["READY=1"]);
}

#[test]
fn without_a_service_manager_nothing_is_owed_to_anybody() {
    let mut nobody = ServiceManager::with(None, Some(Duration::from_secs(1)));
    assert_eq!(nobody.watchdog(), None);
    nobody.ready();
    nobody.status("looking");
    assert!(!nobody.is_owed());
}
