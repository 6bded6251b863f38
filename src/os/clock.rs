//! The clocks of this machine, read together.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::orphan::clock::{Moment, Now};

/// Goes on while the machine is awake. On Linux clock_gettime(2)'s `CLOCK_MONOTONIC`.
#[cfg(target_os = "linux")]
const AWAKE: ClockId = ClockId::CLOCK_MONOTONIC;
/// Goes on while it is suspended, too.
#[cfg(target_os = "linux")]
const WHOLE: ClockId = ClockId::CLOCK_BOOTTIME;

/// As `mach_absolute_time`.
#[cfg(target_os = "macos")]
const AWAKE: ClockId = ClockId::from_raw(libc::CLOCK_UPTIME_RAW);
/// As `mach_continuous_time`.
#[cfg(target_os = "macos")]
const WHOLE: ClockId = ClockId::from_raw(libc::CLOCK_MONOTONIC_RAW);

/// What all clocks show now.
#[must_use]
pub fn now() -> Now {
    // Neither can fail: both ids are the system's own.
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order: a reading in between makes the sleep a little longer, never negative.
    let awake = read(AWAKE);
    let whole = read(WHOLE);
    Now {
        wall: SystemTime::now(),
        moment: Moment(awake),
        asleep: whole.saturating_sub(awake),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_go_forward_together() {
        let earlier = now();
        std::thread::sleep(Duration::from_millis(2));
        let later = now();
        assert!(later.moment > earlier.moment);
        assert!(later.moment.since(earlier.moment) >= Duration::from_millis(2));
        // Nobody suspends the machine in between.
        assert!(later.asleep.abs_diff(earlier.asleep) < Duration::from_secs(1));
    }
}
