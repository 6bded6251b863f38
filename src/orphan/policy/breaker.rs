//! Too many coordinators that turn orphan at once are no deletions: an unmount, a resume, a fault in
//! a namespace. A sliding window over what turned, by workspace.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use super::Rules;
use crate::orphan::clock::Moment;

/// So many may always turn orphan at once.
const ALWAYS_ALLOWED: usize = 3;

/// Which workspaces' coordinators turned orphan lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    turned: VecDeque<(Moment, PathBuf)>,
}

/// Why the breaker went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// So many turned orphan within the window …
    pub turned: usize,
    /// … of so many.
    pub of: usize,
}

impl Breaker {
    /// Takes in one that turned orphan. A respawned one is the same workspace's, and counts once.
    pub(super) fn turned(&mut self, workspace: PathBuf, now: Moment) {
        self.turned.push_back((now, workspace));
    }

    /// Whether too many turned, of those whose workspaces these are.
    pub(super) fn trip<'a>(
        &mut self,
        known: impl Iterator<Item = &'a PathBuf>,
        rules: &Rules,
        now: Moment,
    ) -> Option<Trip> {
        self.turned
            .retain(|(at, _)| now.since(*at) <= rules.breaker_window);
        let turned: BTreeSet<&PathBuf> = self.turned.iter().map(|(_, path)| path).collect();
        // Those that are gone since were coordinators too.
        let known: BTreeSet<&PathBuf> = known.collect();
        let of = known.union(&turned).count();
        let turned = turned.len();
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 coordinators")]
        let is_too_much = turned as f64 > rules.breaker_share * of as f64;
        (turned > ALWAYS_ALLOWED && is_too_much).then_some(Trip { turned, of })
    }

    /// Starts over: the owner has seen it.
    pub(super) fn reset(&mut self) {
        self.turned.clear();
    }
}
