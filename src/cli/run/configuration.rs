//! `config show` and `config check`, and whether the daemon that runs has read the same file.

use std::io::Write;

use serde_json::Value;

use super::Session;
use crate::cli::ExitStatus;
use crate::cli::args::ConfigCommand;
use crate::cli::config_command::{self, Answer, Places, Rejected};
use crate::cli::engines::Engines;
use crate::cli::failure::Failure;
use crate::cli::request::Request;
use crate::cli::safe_text::escape;
use crate::control::places;
use crate::os::files::Lock;
use crate::os::host::{environment, own_uid};

impl<N: Engines, O: Write, E: Write> Session<'_, N, O, E> {
    pub(super) async fn config(&mut self, command: ConfigCommand) -> Result<ExitStatus, Failure> {
        let places = Places {
            env: &environment,
            is_root: own_uid() == 0,
        };
        let is_named = matches!(&command, ConfigCommand::Check { file: Some(_) });
        let answer = match command {
            ConfigCommand::Check { file } => config_command::check(file.as_deref(), &places),
            ConfigCommand::Show => config_command::show(&places, &self.view),
        };
        match answer {
            Ok(Answer { json, text }) => {
                self.print_as_it_is(&json, |_| text)?;
                if !is_named {
                    self.tell_of_another_configuration(&json["config"]).await;
                }
                Ok(ExitStatus::Done)
            }
            Err(rejected) => {
                let Rejected { failure, json } = *rejected;
                Ok(self.failed(&failure, &json))
            }
        }
    }

    /// Says that the daemon that runs has read another file: it was started with another environment.
    async fn tell_of_another_configuration(&mut self, found_here: &Value) {
        let places = places::Surroundings {
            env: &environment,
            uid: own_uid(),
        };
        // Only one that runs is asked: a service manager would start one for who connects.
        let state_dir = places.state_dir(None);
        if !state_dir.is_some_and(|directory| Lock::is_held(&places::state_lock(&directory))) {
            return;
        }
        let socket = self.socket.clone();
        let request = Request::status();
        let asked = self.engines.daemon(socket.as_deref(), &request);
        if let Ok(Ok(status)) = asked.await
            && status["daemon"]["config"] != *found_here
        {
            let used = match status["daemon"]["config"].as_str() {
                Some(file) => escape(file).into_owned(),
                None => "the built-in defaults".to_owned(),
            };
            self.output.note(&format!(
                "the running team-agentd, process {}, uses {used}",
                status["daemon"]["pid"]
            ));
        }
    }
}
