//! The subscription, over restarts of the daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::model::{Ask, Input};
use crate::cli::failure::Failure;
use crate::control::client::Client;
use crate::control::notifications::{Notification, Notifications};

/// How many of the last records it begins with.
const LAST: usize = 100;
/// How long until the daemon is looked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// What a subscription begins with.
type Begun = (Vec<Value>, Notifications);

/// A line to the daemon that is taken up again when it breaks.
pub(super) struct Line {
    socket: Option<PathBuf>,
    state: State,
}

enum State {
    Live(Notifications),
    Trying(LocalBoxFuture<'static, Begun>),
}

impl Line {
    /// Subscribes.
    ///
    /// # Errors
    /// If there is no daemon, or it does not tell.
    pub(super) async fn open(socket: Option<&Path>) -> Result<(Vec<Value>, Self), Failure> {
        let (last, told) = subscribe(socket).await?;
        let line = Self {
            socket: socket.map(Path::to_path_buf),
            state: State::Live(told),
        };
        Ok((last, line))
    }

    /// The next thing heard. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            match &mut self.state {
                State::Live(told) => match told.next().await {
                    // What was missed is in the last records of a new subscription.
                    Ok(Notification::Lagged(_)) => self.try_again(),
                    Ok(told) => return Input::Told(told),
                    Err(_) => {
                        self.try_again();
                        return Input::Lost;
                    }
                },
                State::Trying(subscribed) => {
                    let (last, told) = subscribed.await;
                    self.state = State::Live(told);
                    return Input::Linked(last);
                }
            }
        }
    }

    fn try_again(&mut self) {
        let socket = self.socket.clone();
        self.state = State::Trying(Box::pin(async move {
            loop {
                if let Ok(begun) = subscribe(socket.as_deref()).await {
                    return begun;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }
}

async fn subscribe(socket: Option<&Path>) -> Result<Begun, Failure> {
    let client = Client::connect(socket).await?;
    Ok(Notifications::subscribe(client, LAST, true).await?)
}

/// Asks the daemon something, on a line of its own.
pub(super) async fn ask(socket: Option<PathBuf>, ask: Ask) -> Input {
    let request = ask.request();
    let answer = async {
        let mut client = Client::connect(socket.as_deref()).await?;
        Ok(client.call(request.method, request.params).await?)
    };
    let answer = answer.await.map_err(|failure: Failure| failure.message);
    Input::Answered(ask, answer)
}
