//! sysinfo → the pids that may belong to coordinators.
//!
//! A sieve, not a judgement: sysinfo's argv lacks empty elements and may be older than an exec, so
//! what passes here is read again, exactly and under a handle, before anything is made of it.

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::orphan::coordinator::{CustomForm, may_be_coordinator};
use crate::orphan::process::Pid;

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

/// The pids of all processes that may be coordinators, in ascending order.
///
/// Blocking: reads the command line of every process.
///
/// # Errors
/// See [`ListError`].
pub fn candidates(forms: &[CustomForm]) -> Result<Vec<Pid>, ListError> {
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
            may_be_coordinator(process.cmd(), forms) || process.status() == ProcessStatus::Zombie
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
fn listed() -> std::io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        pids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<Pid>().ok()),
        );
    }
    Ok(pids)
}

#[cfg(not(target_os = "linux"))]
fn listed() -> std::io::Result<Vec<Pid>> {
    Ok(Vec::new())
}
