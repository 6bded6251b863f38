//! A coordinator, before it is probed and while it is.

use std::ffi::OsString;
use std::sync::Arc;

use super::ScanError;
use super::lanes::Answer;
use super::probes::{Coordinating, Disk};
use crate::orphan::coordinator::{Coordinator, WorkspaceArgument};
use crate::orphan::evidence::{Access, Evidence, PathState};
use crate::orphan::process::ProcessRecord;
use crate::orphan::registry::Observation;
use crate::os::errno::is_shortage;
use crate::os::evidence::{
    Remembered, Stage, gather, mount_by_name, without_answer, without_probing, workspace_path,
};
use crate::os::facts::{self, Pinned};
use crate::os::handle::ProcessHandle;
use crate::os::patience;
use crate::supervisor::settings::Settings;

/// A coordinator that is to be probed.
pub(super) struct Subject {
    pub(super) pinned: Pinned,
    pub(super) coordinator: Coordinator,
    pub(super) remembered: Remembered,
}

impl Subject {
    /// What is known without probing, and what has to be done for the rest, and then the argv once more. Both may hang:
    /// on the workspace's file system, or on a process that waits for one with its memory map locked.
    pub(super) fn begin(
        self,
        settings: &Settings,
    ) -> (Probe, impl FnOnce() -> Option<Found> + Send + use<>) {
        let Subject {
            pinned: Pinned { handle, record },
            coordinator,
            remembered,
        } = self;
        let known = without_probing(&record, &coordinator, &settings.judged);
        let workspace = match &coordinator.workspace {
            WorkspaceArgument::Given(workspace) => Some(workspace.clone()),
            WorkspaceArgument::Unusable => None,
        };
        let stage = Arc::new(Stage::default());
        let walking = Arc::clone(&stage);
        let (process, already) = (record.clone(), known.clone());
        let work = move || {
            let evidence = match (already, workspace) {
                (Some(known), _) => known,
                (None, Some(workspace)) => gather(&process, &workspace, remembered, &walking),
                (None, None) => return None,
            };
            let pid = process.identity.pid;
            // Whoever waits for this thread leaves it behind if it hangs.
            Some((evidence, patience::without_limit(|| facts::argv(pid))))
        };
        let workspace = workspace_path(&record, &coordinator);
        let named = || workspace.as_deref().and_then(mount_by_name);
        let what = Coordinating {
            process: record.identity,
            disk: remembered
                .mount
                .map_or_else(|| Disk::Named(named()), Disk::Seen),
            workspace,
            stage,
        };
        let probe = Probe {
            handle,
            record,
            coordinator,
            known,
            what,
        };
        (probe, work)
    }
}

/// What a probe finds: evidence, and the argv that the process has after that was gathered.
pub(super) type Found = (Evidence, std::io::Result<Vec<OsString>>);

/// A coordinator that is being probed.
pub(super) struct Probe {
    handle: ProcessHandle,
    record: ProcessRecord,
    coordinator: Coordinator,
    known: Option<Evidence>,
    what: Coordinating,
}

impl Probe {
    /// By what it is told from others while it is under way.
    pub(super) fn what(&self) -> Coordinating {
        self.what.clone()
    }

    /// What is concluded from the answer, or from there being none in time.
    pub(super) fn end(
        self,
        answer: Answer<Option<Found>>,
    ) -> (Result<Option<Observation>, ScanError>, ProcessHandle) {
        let Self {
            handle,
            record,
            coordinator,
            known,
            what,
        } = self;
        let path = match &answer {
            Answer::NotBegun => PathState::NotProbed,
            Answer::Given(_) | Answer::Awaited => PathState::TimedOut,
        };
        let (evidence, is_unchanged) = match answer.given().flatten() {
            Some((evidence, Ok(argv))) => (evidence, argv == record.argv),
            Some((_, Err(error))) if is_shortage(&error) => {
                return (Err(ScanError::Shortage(error.to_string())), handle);
            }
            Some((evidence, Err(_))) => (evidence, false),
            // Whatever it is by now: nothing is concluded from what gave no answer.
            None => {
                let mount_by_name = match what.disk {
                    Disk::Named(number) => number,
                    Disk::Seen(_) => None,
                };
                let unanswered = || Evidence {
                    mount_by_name,
                    ..without_answer(&record, &coordinator, path)
                };
                (known.unwrap_or_else(unanswered), true)
            }
        };
        // A verdict that rests on our own want of something would be about us.
        if let Some(errno) = shortage_in(&evidence) {
            return (Err(ScanError::Shortage(errno.to_owned())), handle);
        }
        let seen = (is_unchanged && handle.is_alive()).then_some(Observation {
            record,
            coordinator,
            evidence,
        });
        (Ok(seen), handle)
    }
}

fn shortage_in(evidence: &Evidence) -> Option<&'static str> {
    let errno = match (evidence.access, &evidence.path) {
        (Access::Unreadable(errno), _) | (_, &PathState::Failed(errno)) => errno,
        _ => return None,
    };
    ["EMFILE", "ENFILE", "ENOMEM"]
        .contains(&errno)
        .then_some(errno)
}
