//! What came about, and the table of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Counts for the table.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) actions: BTreeMap<&'static str, usize>,
    pub(crate) trips: usize,
    pub(crate) trips_wanted: usize,
    pub(crate) spared: usize,
    pub(crate) interrupted: usize,
    pub(crate) back_offs: usize,
    pub(crate) refused: usize,
    pub(crate) verdicts: usize,
    pub(crate) scans: u64,
    /// From the deletion to the record of the end: where nothing held it back, and all others.
    undisturbed: Vec<Duration>,
    disturbed: Vec<Duration>,
}

impl Tally {
    pub(crate) fn did(&mut self, what: &'static str) {
        *self.actions.entry(what).or_default() += 1;
    }

    pub(crate) fn reaped(&mut self, latency: Duration, is_undisturbed: bool) {
        if is_undisturbed {
            self.undisturbed.push(latency);
        } else {
            self.disturbed.push(latency);
        }
    }

    pub(crate) fn reaped_in_all(&self) -> usize {
        self.undisturbed.len() + self.disturbed.len()
    }

    pub(crate) fn latencies(&mut self) -> [(&'static str, String); 2] {
        [
            ("nothing held it back", spread(&mut self.undisturbed)),
            (
                "held back by a pause, a suspension, a keep, a restart, a stop or the trash",
                spread(&mut self.disturbed),
            ),
        ]
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return "none".to_owned();
    };
    let [median, p99, most] = [last / 2, last * 99 / 100, last].map(|at| times[at].as_secs_f64());
    format!(
        "median {median:.2} s, p99 {p99:.2} s, max {most:.2} s ({} of them)",
        last + 1
    )
}
