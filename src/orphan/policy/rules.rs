//! What the configuration says of automatic reaping, as values.

use std::path::PathBuf;
use std::time::Duration;

/// What the configuration says of automatic reaping.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Whether orphans are ended automatically at all.
    pub confirm: bool,
    /// For which kinds of reasons.
    pub reasons: Vec<String>,
    /// How long one must have been an orphan without a break.
    pub grace: Duration,
    /// How often it must have been seen so.
    pub min_sightings: u32,
    /// The grace of those that were orphans when the daemon started.
    pub start_grace: Duration,
    /// How many are ended after one scan.
    pub max_per_scan: usize,
    /// The window of the breaker.
    pub breaker_window: Duration,
    /// Which share of the coordinators may turn orphan within it.
    pub breaker_share: f64,
    /// Ephemeral orphans with a younger process are spared.
    pub ephemeral_min_age: Duration,
    /// Workspaces at or below these are never touched.
    pub protect: Vec<PathBuf>,
    /// How often is looked.
    pub interval: Duration,
    /// When nobody has looked for this long, patience starts over.
    pub stall: Duration,
}

impl Rules {
    /// Whether orphans for this kind of reason are ended.
    #[must_use]
    pub fn is_listed(&self, kind: &str) -> bool {
        self.reasons.iter().any(|listed| listed == kind)
    }
}
