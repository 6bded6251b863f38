//! Which processes may belong to coordinators.
//!
//! A sieve, not a judgement: what passes here is read again, exactly and under a handle, before anything
//! is made of it. On Linux `sieve` finds them at the price of what has changed; everywhere else, and
//! where `/proc` is another namespace's, sysinfo goes through all there are.

#[cfg(target_os = "linux")]
mod sieve;

use std::collections::BTreeSet;
use std::time::Instant;

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::orphan::coordinator::{CustomForm, may_be_coordinator};
use crate::orphan::process::Pid;

#[cfg(target_os = "linux")]
pub use self::sieve::Seen;

/// Nothing is remembered between two looks: each goes through all processes.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {}

#[cfg(not(target_os = "linux"))]
impl Seen {
    /// Nobody: the whole look hangs, if one does.
    #[must_use]
    pub fn passed_over(&self) -> &BTreeSet<Pid> {
        const NOBODY: &BTreeSet<Pid> = &BTreeSet::new();
        NOBODY
    }
}

/// Why the process table could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// sysinfo cannot work on this machine.
    #[error(transparent)]
    Sysinfo(#[from] sysinfo::Error),
    /// The system said no.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// How much of the process table is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// All of it.
    Full,
    /// Who is new, young or known; all of it, if that was not done for long.
    WhatChanged,
}

/// What a look at the process table gave.
#[derive(Debug)]
pub struct Candidates {
    /// The pids of all processes that may be coordinators, in ascending order; of those that are neither
    /// new nor young nor known perhaps only after a minute.
    pub pids: Vec<Pid>,
    /// For the next look, if something was made of this one.
    pub seen: Seen,
}

/// Looks for processes that may be coordinators. `known` ones pass in any case; `seen` is what an earlier
/// look gave, under the same `forms`.
///
/// Blocking: reads command lines.
///
/// # Errors
/// See [`ListError`].
pub fn candidates(
    seen: &Seen,
    sweep: Sweep,
    known: &BTreeSet<Pid>,
    forms: &[CustomForm],
) -> Result<Candidates, ListError> {
    #[cfg(target_os = "linux")]
    if sieve::sees_its_own_namespace() {
        return Ok(sieve::candidates(
            seen,
            sweep,
            known,
            forms,
            Instant::now(),
        )?);
    }
    let _ = (seen, sweep, known, Instant::now());
    Ok(Candidates {
        pids: all(forms)?,
        seen: Seen::default(),
    })
}

/// Those that sysinfo finds. Its argv lacks empty elements and may be older than an exec.
fn all(forms: &[CustomForm]) -> Result<Vec<Pid>, ListError> {
    // A fresh table each time: a kept one would hold argvs from before an exec.
    let mut system = System::new()?;
    let wanted = ProcessRefreshKind::nothing()
        .with_cmd(UpdateKind::Always)
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, false, wanted);
    let mut pids: Vec<Pid> = system
        .processes()
        .values()
        // A zombie's argv is gone, but its threads may live on.
        .filter(|process| {
            let argv = process.cmd().iter().map(|argument| argument.as_os_str());
            may_be_coordinator(argv, forms) || process.status() == ProcessStatus::Zombie
        })
        .map(|process| process.pid().as_u32())
        .collect();
    // sysinfo leaves out what it cannot open, for want of descriptors too: whoever /proc lists
    // beside its table is looked at closely, and there a shortage is an error.
    let table = system.processes();
    pids.extend(
        listed()?
            .into_iter()
            .filter(|pid| !table.contains_key(&sysinfo::Pid::from_u32(*pid))),
    );
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(target_os = "linux")]
use self::sieve::listed;

#[cfg(not(target_os = "linux"))]
fn listed() -> std::io::Result<Vec<Pid>> {
    Ok(Vec::new())
}
