//! The subscription, over restarts of the daemon.

use std::path::Path;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::model::{Ask, Input};
use crate::cli::failure::Failure;
use crate::control::client::{Client, Way};
use crate::control::notifications::{Notification, Notifications};

/// How many of the last records it begins with.
const LAST: usize = 100;
/// How long until the daemon is looked for again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long what is shown may be what was, before it is said.
const UNSAID: Duration = Duration::from_secs(2);

/// What a subscription begins with.
type Begun = (Vec<Value>, Notifications);

/// A line to the daemon that is taken up again when it breaks.
pub(super) struct Line {
    /// To the daemon that was found first, and whoever comes after it there.
    way: Way,
    state: State,
}

enum State {
    Live(Notifications),
    Trying {
        begun: LocalBoxFuture<'static, Begun>,
        /// When it is to be said that nothing is heard; none if it was.
        say_by: Option<Instant>,
    },
}

impl Line {
    /// Subscribes.
    ///
    /// # Errors
    /// If there is no daemon, or it does not tell.
    pub(super) async fn open(socket: Option<&Path>) -> Result<(Vec<Value>, Self), Failure> {
        let client = Client::connect(socket).await?;
        let way = client.way();
        let (last, told) = Notifications::subscribe(client, LAST, true).await?;
        let state = State::Live(told);
        Ok((last, Self { way, state }))
    }

    /// By which something else is asked.
    pub(super) fn way(&self) -> Way {
        self.way.clone()
    }

    /// The next thing heard. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            match &mut self.state {
                State::Live(told) => match told.next().await {
                    // What was missed is in the last records of a new subscription.
                    Ok(Notification::Lagged(_)) => self.try_again(Some(Instant::now() + UNSAID)),
                    Ok(told) => return Input::Told(told),
                    Err(_) => {
                        self.try_again(None);
                        return Input::Lost;
                    }
                },
                State::Trying { begun, say_by } => {
                    let (last, told) = match *say_by {
                        None => begun.await,
                        Some(due) => match timeout_at(due, &mut *begun).await {
                            Ok(begun) => begun,
                            Err(_) => {
                                *say_by = None;
                                return Input::Lost;
                            }
                        },
                    };
                    self.state = State::Live(told);
                    return Input::Linked(last);
                }
            }
        }
    }

    fn try_again(&mut self, say_by: Option<Instant>) {
        let way = self.way.clone();
        let begun = Box::pin(async move {
            loop {
                if let Ok(begun) = subscribe(&way).await {
                    return begun;
                }
                sleep(PAUSE).await;
            }
        });
        self.state = State::Trying { begun, say_by };
    }
}

async fn subscribe(way: &Way) -> Result<Begun, Failure> {
    let client = way.connect().await?;
    Ok(Notifications::subscribe(client, LAST, true).await?)
}

/// Asks the daemon something, on a line of its own.
pub(super) async fn ask(way: Way, ask: Ask) -> Input {
    let request = ask.request();
    let answer = async {
        let mut client = way.connect().await?;
        Ok(client.call(request.method, request.params).await?)
    };
    let answer = answer.await.map_err(|failure: Failure| failure.message);
    Input::Answered(ask, answer)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    /// Answers a subscription, and goes on with these lines.
    async fn serve(stream: UnixStream, then: &str) -> BufReader<UnixStream> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await.unwrap();
        let request: Value = serde_json::from_str(&request).unwrap();
        assert_eq!(request["method"], "subscribe");
        let id = &request["id"];
        let answer = format!("{{\"id\":{id},\"result\":{{\"events\":[]}}}}\n{then}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test(start_paused = true)]
    async fn who_lags_sees_old_data_as_old_if_the_daemon_does_not_answer_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let accept = async || listener.accept().await.unwrap().0;
        let lagged = "{\"method\":\"lagged\",\"params\":{\"missed\":3}}\n";

        let (opened, first) = tokio::join!(Line::open(Some(&socket)), async {
            serve(accept().await, lagged).await
        });
        let (_, mut line) = opened.unwrap();
        // It takes the connection, and says nothing.
        let soon = timeout_at(Instant::now() + 2 * UNSAID, line.next());
        let (input, silent) = tokio::join!(soon, accept());
        assert!(matches!(input, Ok(Input::Lost)), "{input:?}");
        drop((first, silent));
        let (input, _second) =
            tokio::join!(line.next(), async { serve(accept().await, lagged).await });
        assert!(matches!(input, Input::Linked(_)), "{input:?}");
        // One that answers at once leaves nothing to be said.
        let (input, _third) = tokio::join!(line.next(), async { serve(accept().await, "").await });
        assert!(matches!(input, Input::Linked(_)), "{input:?}");
    }
}
