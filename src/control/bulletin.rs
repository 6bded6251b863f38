//! The state in words, made once for all who are told of it, and only while somebody waits for it.
//!
//! Must not know who they are, nor how lines are written.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::peers::Peers;
use super::state::State;
use crate::supervisor::feed::Changes;
use crate::supervisor::run::Asked;

/// The least time between two issues: at most four a second, however many are told.
const PAUSE: Duration = Duration::from_millis(250);

/// Where the state is heard of.
#[derive(Clone, Debug)]
pub struct Bulletin {
    wanted: Arc<Notify>,
    issues: watch::Receiver<Issue>,
}

/// What the state was.
#[derive(Clone, Debug, Default)]
struct Issue {
    /// It has every change in it up to this one.
    changes: u64,
    /// The notification, as a line.
    line: Arc<str>,
}

/// What issues are made of.
#[derive(Debug)]
pub struct Press {
    wanted: Arc<Notify>,
    issues: watch::Sender<Issue>,
}

/// A bulletin, and what it is made by.
#[must_use]
pub fn bulletin() -> (Bulletin, Press) {
    let wanted = Arc::new(Notify::new());
    let (sender, issues) = watch::channel(Issue::default());
    let press = Press {
        wanted: Arc::clone(&wanted),
        issues: sender,
    };
    (Bulletin { wanted, issues }, press)
}

impl Press {
    /// Makes an issue whenever one is wanted, until nobody can be asked any more.
    pub async fn run(
        self,
        requests: mpsc::WeakSender<Asked>,
        state: State,
        peers: Arc<Peers>,
        mut changes: Changes,
    ) {
        loop {
            self.wanted.notified().await;
            let Some(asking) = requests.upgrade() else {
                return;
            };
            // Before it is asked for: what changes meanwhile may not be in it.
            let before = *changes.borrow_and_update();
            let state = state.text(&asking, &peers).await;
            drop(asking);
            if let Ok(state) = state {
                // Who has wanted it by now hears this one, and says so again if that is not enough.
                let _ = self.wanted.notified().now_or_never();
                self.issues.send_replace(Issue {
                    changes: before,
                    line: notification("status", &state).into(),
                });
            }
            sleep_until(Instant::now() + PAUSE).await;
        }
    }
}

/// One who is told of the state: at once for the first time, and then whenever it may have changed.
#[derive(Debug)]
pub(super) struct Reader {
    bulletin: Bulletin,
    changes: Changes,
    /// What is to be in the next issue that is told; nothing, while nothing has changed.
    due: Option<u64>,
}

impl Reader {
    pub(super) fn new(mut bulletin: Bulletin, mut changes: Changes) -> Self {
        // What was issued before is not the state any more.
        bulletin.issues.mark_unchanged();
        let due = Some(*changes.borrow_and_update());
        Self {
            bulletin,
            changes,
            due,
        }
    }

    /// The next notification, as a line; none ever when the daemon has ended. Nothing is
    /// lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Arc<str> {
        loop {
            let Some(due) = self.due else {
                if self.changes.changed().await.is_err() {
                    return pending().await;
                }
                self.due = Some(*self.changes.borrow_and_update());
                continue;
            };
            self.bulletin.wanted.notify_one();
            if self.bulletin.issues.changed().await.is_err() {
                return pending().await;
            }
            let issue = self.bulletin.issues.borrow_and_update().clone();
            if issue.changes >= due {
                // Whatever has changed since comes with the next one.
                let seen = *self.changes.borrow_and_update();
                self.due = (seen > issue.changes).then_some(seen);
                return issue.line;
            }
        }
    }
}

/// A notification as a line; `params` is JSON.
pub(super) fn notification(method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::supervisor::request::Request;
    use crate::supervisor::run::Requests;

    /// A supervisor that counts how often it was asked, and changes when it is told to.
    struct Desk {
        bulletin: Bulletin,
        changes: watch::Sender<u64>,
        asked: mpsc::Receiver<Asked>,
        _requests: Requests,
    }

    fn desk() -> Desk {
        let (bulletin, press) = bulletin();
        let (requests, asked) = mpsc::channel(8);
        let (changes, changed) = watch::channel(0);
        tokio::spawn(press.run(
            requests.downgrade(),
            State::default(),
            Peers::new(8),
            changed,
        ));
        Desk {
            bulletin,
            changes,
            asked,
            _requests: requests,
        }
    }

    impl Desk {
        fn reader(&self) -> Reader {
            Reader::new(self.bulletin.clone(), self.changes.subscribe())
        }

        fn change(&self) {
            self.changes.send_modify(|changes| *changes += 1);
        }

        async fn answer(&mut self, text: &str) {
            let asked = self.asked.recv().await.unwrap();
            assert_eq!(asked.request, Request::Status);
            asked.answer.send(Ok(json!({"is": text}).into())).unwrap();
        }
    }

    fn state(line: &str) -> Value {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["method"], "status");
        assert_eq!(line["params"]["peers"]["max_connections"], 8);
        line["params"]["is"].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_are_told_it_is_asked_for_once() {
        let mut desk = desk();
        let mut readers: Vec<Reader> = (0..30).map(|_| desk.reader()).collect();
        for round in ["one", "two", "three"] {
            let told = futures_util::future::join_all(readers.iter_mut().map(Reader::next));
            let (told, ()) = tokio::join!(told, desk.answer(round));
            assert!(told.iter().all(|line| state(line) == round), "{told:?}");
            // Nobody is told again of the same.
            let again = futures_util::future::select_all(
                readers.iter_mut().map(|one| Box::pin(one.next())),
            );
            let quiet = tokio::time::timeout(Duration::from_secs(60), again).await;
            assert!(quiet.is_err());
            assert!(desk.asked.try_recv().is_err());
            desk.change();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_while_it_is_asked_for_is_told_of_next_and_not_at_once() {
        let mut desk = desk();
        let mut reader = desk.reader();
        let began = Instant::now();
        let changes = desk.changes.clone();
        let answer = async {
            let asked = desk.asked.recv().await.unwrap();
            changes.send_modify(|changes| *changes += 1);
            asked.answer.send(Ok(json!({"is": "old"}).into())).unwrap();
        };
        let (first, ()) = tokio::join!(reader.next(), answer);
        assert_eq!(state(&first), "old");
        let (second, ()) = tokio::join!(reader.next(), desk.answer("new"));
        assert_eq!(state(&second), "new");
        assert_eq!(began.elapsed(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_is_told_of_the_state_as_it_is_then() {
        let mut desk = desk();
        let mut first = desk.reader();
        let (told, ()) = tokio::join!(first.next(), desk.answer("then"));
        assert_eq!(state(&told), "then");
        let mut second = desk.reader();
        let (told, ()) = tokio::join!(second.next(), desk.answer("now"));
        assert_eq!(state(&told), "now");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_listen_holds_nobody_up_and_hears_the_newest() {
        let mut desk = desk();
        let (mut idle, mut reader) = (desk.reader(), desk.reader());
        // It has asked, and does not wait.
        assert!(idle.next().now_or_never().is_none());
        for round in ["one", "two"] {
            let (told, ()) = tokio::join!(reader.next(), desk.answer(round));
            assert_eq!(state(&told), round);
            desk.change();
        }
        let told = idle.next().await;
        assert_eq!(state(&told), "two");
    }
}
