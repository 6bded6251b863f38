//! Tasks without which the daemon is of no use. When one of them ends before its time, the daemon stops
//! in good order and says so by its exit status: its service manager starts it anew.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::run::Command;

/// Those that are watched over.
#[derive(Debug)]
pub struct Vital {
    commands: mpsc::Sender<Command>,
    lost: Arc<OnceLock<&'static str>>,
    guards: JoinSet<()>,
}

impl Vital {
    /// Nothing yet. What is lost stops whoever takes these commands.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        Self {
            commands,
            lost: Arc::default(),
            guards: JoinSet::new(),
        }
    }

    /// Watches over one of them: it is lost when `end` comes.
    pub fn guard(&mut self, what: &'static str, end: impl Future<Output = ()> + Send + 'static) {
        let (commands, lost) = (self.commands.clone(), Arc::clone(&self.lost));
        self.guards.spawn(async move {
            end.await;
            tracing::error!("{what} ended, without which there is no going on");
            // The first is the cause.
            let _ = lost.set(what);
            // Whoever does not take commands any more has stopped.
            let _ = commands.send(Command::Stop(format!("{what} ended"))).await;
        });
    }

    /// Watches no more: from now on they may end. Gives what was lost.
    #[must_use]
    pub fn release(mut self) -> Option<&'static str> {
        self.guards.abort_all();
        self.lost.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_first_that_is_lost_stops_the_daemon_and_is_named() {
        let (commands, mut commanded) = mpsc::channel(4);
        let mut vital = Vital::new(commands);
        let (socket, socket_ends) = oneshot::channel::<()>();
        let (log, log_ends) = oneshot::channel::<()>();
        vital.guard("the socket", async {
            let _ = socket_ends.await;
        });
        vital.guard("the event log", async {
            let _ = log_ends.await;
        });
        // As when a task panics: what it held is dropped.
        drop(log);
        let stop = Command::Stop("the event log ended".to_owned());
        assert_eq!(commanded.recv().await, Some(stop));
        drop(socket);
        commanded.recv().await.unwrap();
        assert_eq!(vital.release(), Some("the event log"));
    }

    #[tokio::test]
    async fn what_ends_in_its_time_is_not_lost() {
        let (commands, mut commanded) = mpsc::channel(4);
        let mut vital = Vital::new(commands);
        let (socket, socket_ends) = oneshot::channel::<()>();
        vital.guard("the socket", async {
            let _ = socket_ends.await;
        });
        assert_eq!(vital.release(), None);
        drop(socket);
        assert_eq!(commanded.recv().await, None);
    }
}
