//! What takes a thread of the blocking pool for whoever asks: so many at a time, the others wait for
//! their turn. However much is asked, threads are left for scans and kills.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::request::Refusal;

/// How many requests may read the event log at the same time. Each may read megabytes.
const EVENT_READS: usize = 4;
/// How many may read it to begin to follow.
const BEGINNINGS: usize = 2;
/// How many may look at one process.
const EXPLANATIONS: usize = 4;
/// How many may look up who would end with an orphan. Each looks at every process there is.
const SURVEYS: usize = 2;
/// How many may look up what is to be kept: each path may lie on a disk that gives no answer.
const IDENTIFICATIONS: usize = 2;
/// How many may look where the paths lead by which workspaces are named.
const WAYS: usize = 8;
/// How long a turn is waited for. Those before it may be held up by a disk.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Turns at one of these.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    what: &'static str,
    free: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn of_event_reads() -> Self {
        Self::new("reads of the event log", EVENT_READS)
    }

    pub(super) fn of_beginnings() -> Self {
        Self::new("who begins to follow", BEGINNINGS)
    }

    pub(super) fn of_explanations() -> Self {
        Self::new("looks at a process", EXPLANATIONS)
    }

    pub(super) fn of_surveys() -> Self {
        Self::new("looks at who would end", SURVEYS)
    }

    pub(super) fn of_identifications() -> Self {
        Self::new("looks for what is to be kept", IDENTIFICATIONS)
    }

    pub(super) fn of_ways() -> Self {
        Self::new("looks for a workspace", WAYS)
    }

    fn new(what: &'static str, at_once: usize) -> Self {
        let free = Arc::new(Semaphore::new(at_once));
        Self { what, free }
    }

    /// A turn, first come, first served; it ends when what this gives is dropped.
    ///
    /// # Errors
    /// `TooBusy`, if none comes within [`TURN_LIMIT`].
    pub(super) async fn next(self) -> Result<OwnedSemaphorePermit, Refusal> {
        let turn = tokio::time::timeout(TURN_LIMIT, self.free.acquire_owned()).await;
        turn.ok()
            .and_then(Result::ok)
            .ok_or(Refusal::TooBusy(self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_taken_one_after_the_other_and_not_waited_for_without_end() {
        let turns = Turns::new("looks", 1);
        let first = turns.clone().next().await.unwrap();
        let second = tokio::spawn(turns.clone().next());
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap().unwrap();
        // Time passes by itself as soon as there is nothing else to do.
        let third = turns.clone().next().await;
        assert_eq!(third.unwrap_err(), Refusal::TooBusy("looks"));
        drop(second);
        assert!(turns.next().await.is_ok());
    }
}
