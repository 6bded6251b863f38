//! Panics are errors of ours: each is logged where it happened and counted, wherever it is caught.

use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// From now on each panic of this process is logged, in one line, and counted.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current();
        tracing::error!(
            message = panic.payload_as_str().unwrap_or("without a message"),
            location = panic.location().map(ToString::to_string),
            thread = thread.name(),
            "a panic, which is an error in team-agentd"
        );
    }));
}

/// How many there were since [`watch`].
#[must_use]
pub fn count() -> u64 {
    PANICS.load(Ordering::Relaxed)
}
