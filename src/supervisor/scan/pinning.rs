//! The coordinators that a scan holds at a time: pinned and recognised, without touching a workspace. Blocking.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ScanError;
use super::lanes::PROBES_AT_ONCE;
use crate::orphan::coordinator::{Coordinator, recognise};
use crate::orphan::process::Pid;
use crate::orphan::registry::Unread;
use crate::os::errno::errno_name;
use crate::os::evidence::workspace_path;
use crate::os::facts::{self, PinError, Pinned};
use crate::os::host::open_file_limit;
use crate::os::patience::{self, NoAnswer};
use crate::supervisor::settings::Settings;

/// So many of the files that may be open are there for each one that a scan holds at the same time.
const SHARE_OF_DESCRIPTORS: u64 = 4;

/// Processes that may be coordinators, and are to be pinned.
pub(super) struct Suspects {
    pids: std::vec::IntoIter<Pid>,
    known: BTreeSet<Pid>,
    settings: Arc<Settings>,
}

/// What a scan holds at a time.
pub(super) struct Held {
    pub(super) found: Vec<(Pinned, Coordinator)>,
    /// Of those that could not be read those that are known, and whoever hangs.
    pub(super) unread: Vec<Unread>,
    /// Whose turn comes when those were looked at.
    pub(super) rest: Suspects,
}

impl Suspects {
    pub(super) fn new(pids: Vec<Pid>, known: BTreeSet<Pid>, settings: Arc<Settings>) -> Self {
        Self {
            pids: pids.into_iter(),
            known,
            settings,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pids.len() == 0
    }

    /// Pins and recognises as many of them as a scan may hold.
    pub(super) fn pin_some(mut self) -> Result<Held, ScanError> {
        let pids: Vec<Pid> = self.pids.by_ref().take(held_at_once()).collect();
        let settings = Arc::clone(&self.settings);
        let looks = patience::at_each(pids.clone(), move |pid| pin_coordinator(pid, &settings));
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for (pid, look) in pids.into_iter().zip(looks) {
            match look {
                Ok(Ok(one)) => found.extend(one),
                Ok(Err(error)) => unread.extend(self.unread(pid, &error)?),
                Err(none) => {
                    unread.extend(self.unread(pid, &PinError::Unreadable(none.into()))?);
                }
            }
        }
        let rest = self;
        Ok(Held {
            found,
            unread,
            rest,
        })
    }

    /// What is said of one that could not be pinned and read.
    fn unread(&self, pid: Pid, error: &PinError) -> Result<Option<Unread>, ScanError> {
        if matches!(error, PinError::Gone) {
            return Ok(None);
        }
        tracing::debug!(pid, %error, "a process that may be a coordinator cannot be read");
        // What we did not see for want of descriptors is not gone.
        let shortage = |error: &PinError| ScanError::Shortage(error.to_string());
        if error.is_shortage() {
            return Err(shortage(error));
        }
        if !self.known.contains(&pid) && !error.hangs() {
            return Ok(None);
        }
        let identity = match facts::identify(pid) {
            Ok((_, identity)) => Some(identity),
            Err(PinError::Gone) => return Ok(None),
            Err(error) if error.is_shortage() => return Err(shortage(&error)),
            // It may be the one that was known.
            Err(_) => None,
        };
        let errno = error.errno_name();
        Ok(Some(Unread {
            pid,
            identity,
            errno,
        }))
    }
}

/// How many processes a scan holds at the same time: each takes a descriptor, and others need some.
fn held_at_once() -> usize {
    let share = open_file_limit().unwrap_or_default() / SHARE_OF_DESCRIPTORS;
    let share = usize::try_from(share).unwrap_or(usize::MAX);
    // Whole rounds of probes.
    (share / PROBES_AT_ONCE)
        .max(1)
        .saturating_mul(PROBES_AT_ONCE)
}

fn pin_coordinator(
    pid: Pid,
    settings: &Settings,
) -> Result<Option<(Pinned, Coordinator)>, PinError> {
    let pinned = facts::pin(pid)?;
    let Some(coordinator) = recognise(&pinned.record.argv, &settings.forms) else {
        return Ok(None);
    };
    let workspace = workspace_path(&pinned.record, &coordinator);
    Ok(settings
        .covers(workspace.as_deref())
        .then_some((pinned, coordinator)))
}

/// What is said of one that hangs, and was passed over.
pub(super) fn hangs(pid: Pid) -> Unread {
    Unread {
        pid,
        identity: None,
        errno: errno_name(&NoAnswer::Hangs.into()),
    }
}
