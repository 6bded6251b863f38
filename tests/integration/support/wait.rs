//! Waiting on a condition, never for a time: how long a loaded machine takes is nobody's business.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; a test that fails waits this long, one that passes does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, and panics with `what` if it never does.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// The same for a condition that yields something.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < give_up, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
