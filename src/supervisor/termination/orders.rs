//! What a wave is to do, and what holds at any moment while it does.

use std::sync::Arc;

use tokio::sync::watch;

use crate::orphan::event::Actor;
use crate::orphan::process::Pid;
use crate::orphan::registry::Sighting;
use crate::orphan::steering::Steering;
use crate::supervisor::selection::Demand;
use crate::supervisor::settings::Settings;

/// What a wave is to do.
#[derive(Debug)]
pub struct Wave {
    /// The orphans, as the scan saw them.
    pub targets: Vec<Sighting>,
    /// Who began it.
    pub actor: Actor,
    /// The daemon's own pid: it and its ancestors are protected.
    pub own_pid: Pid,
    /// What holds at any moment.
    pub orders: watch::Receiver<Arc<Orders>>,
    /// The configuration it runs under to its end.
    pub settings: Arc<Settings>,
}

/// What holds at this moment, for waves under way as well.
#[derive(Clone, Debug)]
pub struct Orders {
    /// What the owner says beyond the configuration.
    pub steering: Arc<Steering>,
    /// The configuration: what it forbids by now.
    pub settings: Arc<Settings>,
    /// Whether something hides processes or paths from the daemon.
    pub is_view_obstructed: bool,
    /// The fixes that wait for an end: for whom an orphan is ended, and who must not be touched.
    pub demands: Vec<Arc<Demand>>,
}

impl Orders {
    /// Whether nothing that holds is different.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.settings, &other.settings)
            && self.steering == other.steering
            && self.is_view_obstructed == other.is_view_obstructed
            && self.demands == other.demands
    }

    /// Whether what these need no new look for is all that is different: whatever is said of an orphan, or of
    /// who is kept, is heeded for each signal. Who belongs to it is another question only under another
    /// configuration, and beside somebody else who must not be touched.
    pub(super) fn ask_the_same_as(&self, other: &Self) -> bool {
        let lineages = |orders: &Self| -> Vec<_> {
            let demands = orders.demands.iter();
            demands
                .map(|demand| Arc::clone(&demand.peer.lineage))
                .collect()
        };
        Arc::ptr_eq(&self.settings, &other.settings)
            && self.steering.keeps == other.steering.keeps
            && lineages(self)
                .iter()
                .all(|lineage| lineages(other).contains(lineage))
    }
}
