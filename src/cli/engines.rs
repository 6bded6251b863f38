//! The two that can answer a request: a daemon, and the same engine in this process.
//!
//! Must not know which one is to be asked.

use std::path::Path;

use serde_json::Value;

use super::request::Request;
use crate::control::client::{CallError, Client, ConnectError};
use crate::control::embedded::{self, EmbeddedError};
use crate::control::telling::{self, Tell};

/// Both engines, or what stands in for them.
pub(super) trait Engines {
    /// Asks the daemon: on this socket, or on the usual ones. The outer error says that there is
    /// nobody to ask.
    async fn daemon(
        &mut self,
        socket: Option<&Path>,
        request: &Request,
    ) -> Result<Result<Value, CallError>, ConnectError>;

    /// Asks the engine in this process.
    async fn embedded(&mut self, request: &Request) -> Result<Value, EmbeddedError>;

    /// As [`Engines::daemon`], and tells what happens meanwhile.
    async fn daemon_telling(
        &mut self,
        socket: Option<&Path>,
        request: &Request,
        _: &Tell,
    ) -> Result<Result<Value, CallError>, ConnectError> {
        self.daemon(socket, request).await
    }

    /// As [`Engines::embedded`], and tells what happens meanwhile.
    async fn embedded_telling(
        &mut self,
        request: &Request,
        _: &Tell,
    ) -> Result<Value, EmbeddedError> {
        self.embedded(request).await
    }
}

/// The real ones.
pub(super) struct RealEngines;

impl Engines for RealEngines {
    async fn daemon(
        &mut self,
        socket: Option<&Path>,
        request: &Request,
    ) -> Result<Result<Value, CallError>, ConnectError> {
        let mut client = Client::connect(socket).await?;
        Ok(client.call(request.method, request.params.clone()).await)
    }

    async fn embedded(&mut self, request: &Request) -> Result<Value, EmbeddedError> {
        embedded::call(request.method, request.params.clone(), None).await
    }

    async fn daemon_telling(
        &mut self,
        socket: Option<&Path>,
        request: &Request,
        tell: &Tell,
    ) -> Result<Result<Value, CallError>, ConnectError> {
        telling::daemon(socket, request.method, request.params.clone(), tell).await
    }

    async fn embedded_telling(
        &mut self,
        request: &Request,
        tell: &Tell,
    ) -> Result<Value, EmbeddedError> {
        let (method, params, tell) = (request.method, request.params.clone(), tell.clone());
        // On a thread of its own: what is shown meanwhile may wait for who reads it, a fix may not.
        let engine = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| EmbeddedError::Failed(error.to_string()))?;
            let answer = runtime.block_on(embedded::call(method, params, Some(&tell)));
            // What hangs is not waited for.
            runtime.shutdown_background();
            answer
        });
        engine
            .await
            .unwrap_or_else(|error| Err(EmbeddedError::Failed(error.to_string())))
    }
}
