//! What ends processes, `fix` and the original's spellings of it: refused or done, and told meanwhile.

use std::io::Write;

use serde_json::Value;

use super::{FIXING, SCANNING, Session, UseDaemon, notice};
use crate::cli::ExitStatus;
use crate::cli::args::{DoctorArgs, FixArgs};
use crate::cli::engines::Engines;
use crate::cli::failure::Failure;
use crate::cli::progress::{self, About};
use crate::cli::render::{self, Preview, ScanAsked};
use crate::cli::request::Request;
use crate::cli::selection::Selection;
use crate::control::client::ConnectError;
use crate::control::telling::{self, Word};
use crate::orphan::process::Pid;
use crate::wire::results;

impl<N: Engines, O: Write, E: Write> Session<'_, N, O, E> {
    pub(super) async fn fix(&mut self, args: FixArgs) -> Result<ExitStatus, Failure> {
        let is_confirmed = args.confirm;
        let selection = Selection::new(args)?;
        if is_confirmed {
            return self.fix_confirmed(&selection).await;
        }
        self.refuse(&results::fix_refused(), &selection, &selection.command())
            .await
    }

    async fn fix_confirmed(&mut self, selection: &Selection) -> Result<ExitStatus, Failure> {
        let about = match selection.is_everything() {
            true => About::All,
            false => About::These(selection.pids.clone()),
        };
        let result = self.ask_for_end(&Request::fix(selection), &about).await?;
        self.print(&result, |view| render::fix(&result, view))?;
        self.remark(&result, &selection.pids);
        self.tell_of_the_unknown(&result);
        Ok(ExitStatus::of_fix(&result, &selection.pids))
    }

    pub(super) async fn doctor(&mut self, args: &DoctorArgs) -> Result<ExitStatus, Failure> {
        if args.gate.is_none() && !args.cleanup_orphans {
            return self.check_up().await;
        }
        let everything = Selection::default();
        if args.cleanup_orphans {
            return if args.confirm {
                self.fix_confirmed(&everything).await
            } else {
                let asked = ScanAsked {
                    workspace: None,
                    next: "team-agentctl doctor --cleanup-orphans --confirm",
                };
                self.scan(&Request::scan(None), &asked).await
            };
        }
        if args.fix && !args.confirm {
            return self
                .refuse(&results::gate_refused(), &everything, render::GATE_FIX)
                .await;
        }
        let request = Request::gate(args.fix);
        let result = match args.fix {
            true => self.ask_for_end(&request, &About::All).await?,
            false => self.ask(&request, SCANNING).await?,
        };
        self.print(&result, |view| render::gate(&result, view))?;
        self.tell_of_the_unknown(&result);
        if args.fix {
            self.remark(&result, &[]);
        }
        Ok(ExitStatus::of_gate(&result))
    }

    /// Refuses for want of `--confirm`. Who looks at a terminal is shown what it would be about;
    /// that it cannot be shown does not change the refusal.
    async fn refuse(
        &mut self,
        refusal: &Value,
        selection: &Selection,
        command: &str,
    ) -> Result<ExitStatus, Failure> {
        let mut scan = None;
        if self.view.terminal.is_terminal && !self.json {
            match self.preview(selection).await {
                Ok(result) => scan = Some(selection.cut(result)),
                Err(failure) => self.output.note(&render::failure(&failure)),
            }
        }
        let preview = scan.as_ref().map(|scan| Preview {
            scan,
            named: &selection.pids,
        });
        self.print(refusal, |view| {
            render::refusal(refusal, preview.as_ref(), view, command)
        })?;
        self.tell_of_the_unknown(scan.as_ref().unwrap_or(&Value::Null));
        Ok(ExitStatus::Refused)
    }

    /// A scan with who would end by such a fix; without, of a daemon that does not know of that.
    async fn preview(&mut self, selection: &Selection) -> Result<Value, Failure> {
        let scan = Request::scan(None);
        let preview = scan.clone().with_members_of(selection);
        match self.ask(&preview, SCANNING).await {
            Err(failure) if failure.kind == "invalid_params" => self.ask(&scan, SCANNING).await,
            asked => asked,
        }
    }

    /// The answer to a fix. People are told what happens meanwhile.
    async fn ask_for_end(&mut self, request: &Request, about: &About) -> Result<Value, Failure> {
        if self.json {
            return self.ask(request, FIXING).await;
        }
        let (tell, told) = telling::channel();
        let (engines, socket) = (&mut self.engines, self.socket.as_deref());
        let use_daemon = self.use_daemon;
        let answer = async move {
            if use_daemon == UseDaemon::Never {
                return Ok(engines.embedded_telling(request, &tell).await?);
            }
            match engines.daemon_telling(socket, request, &tell).await {
                Ok(answer) => Ok(answer?),
                Err(ConnectError::NoDaemon { tried }) if use_daemon == UseDaemon::IfThere => {
                    tell.say(Word::Notice(notice(&tried, "fixing in")));
                    Ok(engines.embedded_telling(request, &tell).await?)
                }
                Err(error) => Err(error.into()),
            }
        };
        progress::alongside(answer, told, about, self.output, &self.view).await
    }

    /// What the piped report has no words for. On a terminal, and in JSON, it is all there.
    fn remark(&mut self, result: &Value, named: &[Pid]) {
        if !self.json && !self.view.terminal.is_terminal {
            for remark in render::remarks(result, named) {
                self.output.note(&remark);
            }
        }
    }
}
