//! Turns at looking at single processes, and at the blocking pool: nobody waits for longer than there is patience.

use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many single processes are looked at at the same time, in waves of whatever size. The time limits begin
/// with the turn.
pub(super) const LOOKS_AT_ONCE: usize = 16;
/// So many more of them than there are processors work at the same time: more would only take the processors
/// from the one that answers …
const MORE_THAN_PROCESSORS: usize = 1;
/// … unless one takes longer than this: it waits for a disk, and no longer stands in another's way.
pub(super) const LOOK_IS_WORK_FOR: Duration = Duration::from_millis(50);

/// Turns at looking at a single process.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    all: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            all: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            at_work: Arc::new(Semaphore::new(processors + MORE_THAN_PROCESSORS)),
        }
    }
}

impl Looks {
    /// Looks when it is its turn.
    pub(super) async fn take<T>(&self, look: impl Future<Output = T>) -> T {
        // Nobody closes them.
        let _turn = self.all.acquire().await;
        let working = self.at_work.acquire().await;
        let mut look = pin!(look);
        if let Ok(seen) = timeout(LOOK_IS_WORK_FOR, &mut look).await {
            return seen;
        }
        drop(working);
        look.await
    }
}

/// Runs `work` where it may block. No answer in time, or a panic, is `None`: never a statement.
pub(in crate::supervisor) async fn on_blocking_pool<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(panicked)) => {
            tracing::error!(error = %panicked, "a probe panicked");
            None
        }
        Err(_) => None,
    }
}
