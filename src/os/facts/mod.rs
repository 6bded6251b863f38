//! Exact facts about one process, and the snapshot of processes around an orphan.
//!
//! What is read here belongs to a process only if its handle was opened before and is still alive
//! after: [`pinned_record`] keeps that order.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use super::handle::{OpenError, ProcessHandle};
use crate::orphan::coordinator::CustomForm;
#[cfg(target_os = "linux")]
use crate::orphan::process::RunState;
use crate::orphan::process::{Pid, ProcessIdentity, ProcessRecord};
use crate::orphan::termination::Starter;
use crate::orphan::victims::{Family, Kin, Kind, Lineage, Row, Snapshot};
use crate::os::errno::{errno_name, is_shortage, no_answer};
use crate::os::patience::{self, NoAnswer};

mod kind;
use kind::kind;

#[cfg(target_os = "linux")]
mod hanging;
#[cfg(target_os = "linux")]
use hanging::why_it_stays as platform_why_it_stays;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(all(target_os = "linux", any(test, fuzzing)))]
pub(crate) use linux::fuzzed;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(target_os = "macos")]
use macos::why_it_stays as platform_why_it_stays;
#[cfg(any(target_os = "macos", test))]
mod procargs;

/// Why a process could not be pinned and read.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It is gone.
    #[error("the process is gone")]
    Gone,
    /// It is there, but cannot be read.
    #[error("cannot read process: {0}")]
    Unreadable(#[source] io::Error),
    /// The kernel gives no handle.
    #[error(transparent)]
    NoHandle(OpenError),
}

impl PinError {
    /// Whether this says something about us rather than about the process, see [`is_shortage`]. Then
    /// nothing that was not seen is gone.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        self.error().is_some_and(is_shortage)
    }

    /// Whether it gave no answer.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.error().and_then(no_answer) == Some(NoAnswer::Hangs)
    }

    /// See [`errno_name`].
    #[must_use]
    pub fn errno_name(&self) -> &'static str {
        self.error().map_or("ESRCH", errno_name)
    }

    fn error(&self) -> Option<&io::Error> {
        match self {
            Self::Unreadable(error) | Self::NoHandle(OpenError::Unavailable(error)) => Some(error),
            Self::Gone | Self::NoHandle(OpenError::Gone) => None,
        }
    }
}

/// A process, pinned, with facts that are certainly its own.
#[derive(Debug)]
pub struct Pinned {
    /// Signals exactly this process.
    pub handle: ProcessHandle,
    /// What was read between opening the handle and finding it alive.
    pub record: ProcessRecord,
}

/// Pins the process that has `pid` now and reads its facts.
///
/// # Errors
/// See [`PinError`]: a process that exits meanwhile is gone, not an error to report.
pub fn pin(pid: Pid) -> Result<Pinned, PinError> {
    let handle = open(pid)?;
    let record = pinned_record(&handle, pid)?;
    Ok(Pinned { handle, record })
}

fn open(pid: Pid) -> Result<ProcessHandle, PinError> {
    ProcessHandle::open(pid).map_err(|error| match error {
        OpenError::Gone => PinError::Gone,
        other @ OpenError::Unavailable(_) => PinError::NoHandle(other),
    })
}

/// Pins the process that has `pid` now, and says only which one it is: for that nobody has to look into its memory.
///
/// # Errors
/// See [`PinError`].
pub fn identify(pid: Pid) -> Result<(ProcessHandle, ProcessIdentity), PinError> {
    let handle = open(pid)?;
    let found = platform::parent_and_start(pid);
    if !handle.is_alive() {
        return Err(PinError::Gone);
    }
    let (_, start) = found.map_err(PinError::Unreadable)?;
    let unique = handle.unique();
    Ok((handle, ProcessIdentity { pid, start, unique }))
}

/// Reads the facts of a pinned process afresh.
///
/// # Errors
/// See [`PinError`].
pub fn pinned_record(handle: &ProcessHandle, pid: Pid) -> Result<ProcessRecord, PinError> {
    let record = platform::record(pid, handle.unique());
    if !handle.is_alive() {
        return Err(PinError::Gone);
    }
    record.map_err(PinError::Unreadable)
}

/// The argument vector as the kernel holds it now.
///
/// # Errors
/// If the process is gone or may not be read.
pub fn argv(pid: Pid) -> io::Result<Vec<OsString>> {
    platform::argv(pid)
}

/// Whether its main thread has exited and was not reaped: others of its threads may live on.
///
/// # Errors
/// If the process is gone or may not be read.
#[cfg(target_os = "linux")]
pub(super) fn is_zombie(pid: Pid) -> io::Result<bool> {
    linux::is_zombie(pid)
}

/// One row of the snapshot, read afresh for a pinned process.
///
/// # Errors
/// See [`PinError`].
pub fn pinned_row(handle: &ProcessHandle, pid: Pid, forms: &[CustomForm]) -> Result<Row, PinError> {
    let row = platform::row(pid, handle.unique(), forms);
    if !handle.is_alive() {
        return Err(PinError::Gone);
    }
    row.map_err(PinError::Unreadable)
}

/// One row of a pinned process that has exited and was not reaped yet: its handle keeps telling
/// which process it was.
///
/// # Errors
/// If it was reaped, or may not be read.
pub fn zombie_row(handle: &ProcessHandle, pid: Pid, forms: &[CustomForm]) -> io::Result<Row> {
    platform::row(pid, handle.unique(), forms)
}

/// A light look at the whole process table: each pid with its parent and group.
///
/// # Errors
/// If the table cannot be listed at all.
pub fn family_table() -> io::Result<Family> {
    platform::family_table()
}

/// The rows of `orphan` and of all its relatives in `family`, with those of its group if it `leads` one. One that vanished meanwhile is left
/// out; one that cannot be read is in it as another user's, which protects it.
#[must_use]
pub fn snapshot_around(
    orphan: Pid,
    leads: bool,
    family: &Family,
    forms: &[CustomForm],
) -> Snapshot {
    let mut pids = family.relatives(orphan, leads);
    pids.insert(orphan);
    let row = |pid| pinned_row(&open(pid)?, pid, forms);
    pids.into_iter()
        .filter_map(|pid| match row(pid) {
            Ok(row) => Some((pid, row)),
            Err(PinError::Gone) => None,
            Err(_) => Some((pid, opaque_row(pid, family.get(pid)?))),
        })
        .collect()
}

/// Who of these does not let its arguments be read, all of them asked within one time limit: whoever passes over those
/// ([`patience::without_limit_but`]) need not send another thread for each of the others.
#[must_use]
pub fn slow_ones(pids: BTreeSet<Pid>) -> BTreeSet<Pid> {
    patience::slow_ones(pids.into_iter().collect(), argv)
}

/// A process that cannot be looked into: nobody's uid, so that it and what is below it are left.
fn opaque_row(pid: Pid, kin: Kin) -> Row {
    Row {
        identity: ProcessIdentity {
            pid,
            start: 0,
            unique: 0,
        },
        ppid: kin.ppid,
        pgid: kin.pgid,
        uids: vec![u32::MAX],
        on_terminal: true,
        unit: None,
        kind: Kind::Unreadable,
        cmdline: String::new(),
    }
}

/// `pid`, its parent, that one's parent and so on, up to pid 1 or the edge of this pid namespace, or
/// to where a process is gone or hidden.
#[must_use]
pub fn lineage(pid: Pid) -> Lineage {
    let mut found = Lineage::default();
    let mut next = pid;
    let mut last_start = u64::MAX;
    while next != 0 && found.pids.insert(next) && next != 1 {
        match platform::parent_and_start(next) {
            Ok((parent, start)) => (next, last_start) = (parent, start),
            Err(_) => {
                found.open_above = Some(last_start);
                return found;
            }
        }
    }
    found
}

/// Where `/proc` shows what a process in this state holds.
///
/// # Errors
/// If we are out of descriptors or memory.
#[cfg(target_os = "linux")]
pub(super) fn place(pid: Pid, state: RunState) -> io::Result<String> {
    platform::place(pid, state)
}

/// Who started a process, as far as its parent still tells: for reports, never for a decision.
#[must_use]
pub fn starter(row: &Row) -> Starter {
    let cmdline = platform::argv(row.ppid).map(|argv| command_line(&argv));
    Starter {
        pid: row.ppid,
        cmdline: cmdline.unwrap_or_default(),
        unit: row.unit.clone(),
    }
}

/// How many live threads a process has, what each waits for, where the system tells: for the
/// answer about one that does not end.
#[must_use]
pub fn why_it_stays(pid: Pid) -> Option<String> {
    platform_why_it_stays(pid)
}

/// An argv as one line, for reports.
pub(crate) fn command_line(argv: &[OsString]) -> String {
    let words: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_process_is_read_as_itself() {
        let pinned = pin(std::process::id()).unwrap();
        assert_eq!(pinned.record.identity.pid, std::process::id());
        let own: Vec<OsString> = std::env::args_os().collect();
        assert_eq!(pinned.record.argv, own);
        assert!(pinned.record.started_at <= std::time::SystemTime::now());
        assert!(pinned.record.rss_bytes > 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_read_of_a_process_that_exited_meanwhile_is_not_believed() {
        use std::time::{Duration, Instant};
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let handle = ProcessHandle::open(pid).unwrap();
        let give_up = Instant::now() + Duration::from_secs(60);
        while handle.is_alive() {
            assert!(Instant::now() < give_up, "it never ends");
            std::thread::yield_now();
        }
        // Nobody has waited for it: there is still something to be read under its pid.
        assert!(platform::record(pid, handle.unique()).is_ok());
        assert!(zombie_row(&handle, pid, &[]).is_ok());
        assert!(matches!(pin(pid), Err(PinError::Gone)));
        let record = pinned_record(&handle, pid);
        assert!(matches!(record, Err(PinError::Gone)), "{record:?}");
        let row = pinned_row(&handle, pid, &[]);
        assert!(matches!(row, Err(PinError::Gone)), "{row:?}");
        child.wait().unwrap();
    }

    #[test]
    fn a_lineage_goes_up_to_the_first_process_or_is_open_above() {
        let whole = lineage(std::process::id());
        assert!(whole.pids.contains(&std::process::id()));
        assert!(whole.pids.contains(&1) || whole.open_above.is_some());
        // Pids end at 2^22.
        let nobody = (1 << 22) + 1;
        let broken = lineage(nobody);
        assert_eq!(broken.pids, [nobody].into());
        assert_eq!(broken.open_above, Some(u64::MAX), "anybody may be above");
    }

    #[test]
    fn a_process_that_cannot_be_looked_into_belongs_to_nobody_and_is_no_member() {
        use crate::orphan::victims::{Protected, Scope, Why, select};
        let (orphan, hidden, below) = (100, 101, 102);
        let row = |pid, ppid| Row {
            uids: vec![1000],
            on_terminal: false,
            kind: Kind::Ordinary,
            ..opaque_row(pid, Kin { ppid, pgid: orphan })
        };
        let rows = [
            row(orphan, 1),
            opaque_row(
                hidden,
                Kin {
                    ppid: orphan,
                    pgid: orphan,
                },
            ),
            row(below, hidden),
        ];
        let snapshot = rows.map(|row| (row.identity.pid, row)).into();
        let victims = select(&snapshot, orphan, Scope::Tree, &Protected::default());
        assert_eq!(victims.members, []);
        let left: Vec<(Pid, Why)> = victims
            .left_behind
            .iter()
            .map(|one| (one.pid, one.why))
            .collect();
        assert_eq!(
            left,
            [(hidden, Why::Unreadable), (below, Why::BelowProtected)]
        );
    }
}
