//! Readings of the clocks: one for people, one that nothing moves, and how long the machine slept.

use std::time::{Duration, SystemTime};

/// A point in time that no step of the clock moves: for how long the machine had been awake then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long ago `earlier` was; nothing, if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This long after it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// One reading of all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What a clock on the wall shows: for people and records, never to measure patience with.
    pub wall: SystemTime,
    /// What patience is measured with.
    pub moment: Moment,
    /// For how long the machine has been suspended since it booted.
    pub asleep: Duration,
}

impl Now {
    /// What the clock on the wall will have shown at `moment`, if nobody sets it.
    #[must_use]
    pub fn wall_at(&self, moment: Moment) -> SystemTime {
        self.wall
            .checked_add(moment.since(self.moment))
            .and_then(|later| later.checked_sub(self.moment.since(moment)))
            .unwrap_or(self.wall)
    }
}
