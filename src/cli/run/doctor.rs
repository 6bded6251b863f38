//! `doctor` by itself: who can say how the daemon is, and what the client sees of it.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::{Session, UseDaemon, notice};
use crate::cli::ExitStatus;
use crate::cli::doctor::{Heard, compose, look_above, look_around};
use crate::cli::engines::Engines;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::request::Request;
use crate::control::client::{CallError, ConnectError};

/// How long the daemon may take for its answer: longer than all that it looks at may take together.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

impl<N: Engines, O: Write, E: Write> Session<'_, N, O, E> {
    pub(super) async fn check_up(&mut self) -> Result<ExitStatus, Failure> {
        // First: whoever connects to a place that hangs hangs there with all of this process.
        let around = look_around(self.socket.clone()).await;
        let (result, heard) = match around {
            Some(_) => self.hear().await?,
            None => (
                self.prospect().await?,
                Heard::Silent("where it listens, nothing answers in time".to_owned()),
            ),
        };
        let directory = look_above(&result, around.as_ref()).await;
        let result = compose(result, &heard, around.as_ref(), directory);
        self.print(&result, |view| render::doctor(&result, view))?;
        Ok(ExitStatus::of_doctor(&result))
    }

    /// What the daemon says of itself; or what one would find here, and why it was not the daemon.
    async fn hear(&mut self) -> Result<(Value, Heard), Failure> {
        if self.use_daemon == UseDaemon::Never {
            return Ok((self.prospect().await?, Heard::NotAsked));
        }
        let request = Request::doctor();
        let asked = self.engines.daemon(self.socket.as_deref(), &request);
        let why = match timeout(ANSWER_LIMIT, asked).await {
            Ok(Ok(Ok(result))) => return Ok((result, Heard::Daemon)),
            Ok(Ok(Err(CallError::Answer { kind, .. }))) if kind == "method_not_found" => {
                let version = self.version_of_the_daemon().await;
                return Ok((self.prospect().await?, Heard::TooOld(version)));
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) if self.use_daemon == UseDaemon::Always => return Err(error.into()),
            Ok(Err(ConnectError::NoDaemon { tried })) => {
                self.output.note(&notice(&tried, "checking from"));
                return Ok((self.prospect().await?, Heard::Nobody(tried)));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "it takes the connection and gives no answer within {} s",
                ANSWER_LIMIT.as_secs()
            ),
        };
        Ok((self.prospect().await?, Heard::Silent(why)))
    }

    async fn prospect(&mut self) -> Result<Value, Failure> {
        Ok(self.engines.embedded(&Request::doctor()).await?)
    }

    async fn version_of_the_daemon(&mut self) -> Option<String> {
        let request = Request::version();
        let asked = self.engines.daemon(self.socket.as_deref(), &request);
        let answer = timeout(ANSWER_LIMIT, asked).await.ok()?.ok()?.ok()?;
        Some(answer["version"].as_str()?.to_owned())
    }
}
