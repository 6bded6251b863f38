//! Facts on macOS: proc_pidinfo(PROC_PIDTBSDINFO), `sysctl(KERN_PROCARGS2)` and friends.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use libc::{proc_bsdinfo, proc_bsdshortinfo, proc_taskinfo, proc_vnodepathinfo};
use nix::errno::Errno;
use nix::unistd::getsid;

use super::{command_line, kind, procargs};
use crate::orphan::coordinator::CustomForm;
use crate::orphan::process::{Pid, PidNamespace, ProcessIdentity, ProcessRecord, RunState};
use crate::orphan::victims::{Family, Kin, Row};
use crate::os::errno::is_shortage;
use crate::os::libproc::{Vnode, all_pids, argument_area, pid_info, start_of, start_us, text};
use crate::os::patience;

/// `PROC_FLAG_CONTROLT` of sys/proc_info.h: has a controlling terminal.
const ON_TERMINAL: u32 = 0x80;

pub(super) fn record(pid: Pid, unique: u64) -> io::Result<ProcessRecord> {
    let info: proc_bsdinfo = pid_info(pid)?;
    let task: Option<proc_taskinfo> = pid_info(pid).ok();
    let start = start_us(&info);
    let uid = info.pbi_ruid;
    Ok(ProcessRecord {
        identity: ProcessIdentity { pid, start, unique },
        argv: argv(pid)?,
        ppid: info.pbi_ppid,
        pgid: info.pbi_pgid,
        sid: session(pid),
        uid,
        other_uids: [info.pbi_uid, info.pbi_svuid]
            .into_iter()
            .filter(|other| *other != uid)
            .collect(),
        started_at: SystemTime::UNIX_EPOCH + Duration::from_micros(start),
        rss_bytes: task.as_ref().map_or(0, |task| task.pti_resident_size),
        cwd: cwd(pid),
        state: run_state(info.pbi_status, task.as_ref()),
        namespace: PidNamespace::Own,
    })
}

/// A session id, or 0 where it is not told.
fn session(pid: Pid) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(|pid| getsid(Some(nix::unistd::Pid::from_raw(pid))).ok())
        .and_then(|sid| Pid::try_from(sid.as_raw()).ok())
        .unwrap_or(0)
}

/// For showing, and for what a relative path is meant from. A deleted directory has no name here.
fn cwd(pid: Pid) -> Option<PathBuf> {
    let held: proc_vnodepathinfo = pid_info(pid).ok()?;
    Some(Vnode::from(&held.pvi_cdir).path).filter(|path| path.is_absolute())
}

/// The kernel calls a process that sleeps running as well: its threads tell.
fn run_state(status: u32, task: Option<&proc_taskinfo>) -> RunState {
    RunState(match status {
        libc::SIDL => 'I',
        libc::SSTOP => 'T',
        libc::SZOMB => 'Z',
        _ if task.is_some_and(|task| task.pti_numrunning == 0) => 'S',
        _ => 'R',
    })
}

/// Where a thread waits that may not hang, its memory map may be locked for no longer than others have patience.
pub(super) fn argv(pid: Pid) -> io::Result<Vec<OsString>> {
    patience::at_one(pid, argv_now)?
}

fn argv_now(pid: Pid) -> io::Result<Vec<OsString>> {
    let area = argument_area(pid).map_err(|error| match error.raw_os_error() {
        // Said of another user's process; also of one that is going, which its handle tells.
        Some(libc::EINVAL) => io::Error::from(Errno::EPERM),
        _ => error,
    })?;
    procargs::argv(&area)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "malformed argument area"))
}

pub(super) fn row(pid: Pid, unique: u64, forms: &[CustomForm]) -> io::Result<Row> {
    let info: proc_bsdinfo = pid_info(pid)?;
    let argv = argv(pid)?;
    let comm = name(&info);
    Ok(Row {
        identity: ProcessIdentity {
            pid,
            start: start_us(&info),
            unique,
        },
        ppid: info.pbi_ppid,
        pgid: info.pbi_pgid,
        uids: vec![info.pbi_ruid, info.pbi_uid, info.pbi_svuid],
        on_terminal: info.pbi_flags & ON_TERMINAL != 0 && info.e_tdev != u32::MAX,
        // launchd tells no unit.
        unit: None,
        kind: kind(&comm, &argv, forms),
        cmdline: if argv.is_empty() {
            format!("[{comm}]")
        } else {
            command_line(&argv)
        },
    })
}

/// The longer of the two names that the kernel keeps, where there is one.
fn name(info: &proc_bsdinfo) -> String {
    let long = text(&info.pbi_name);
    let name = if long.is_empty() {
        text(&info.pbi_comm)
    } else {
        long
    };
    name.to_string_lossy().into_owned()
}

pub(super) fn parent_and_start(pid: Pid) -> io::Result<(Pid, u64)> {
    let info: proc_bsdshortinfo = pid_info(pid)?;
    Ok((info.pbsi_ppid, start_of(pid)?))
}

pub(super) fn family_table() -> io::Result<Family> {
    let mut table = Vec::new();
    for pid in all_pids()? {
        // The short form is told of every user's processes.
        match pid_info::<proc_bsdshortinfo>(pid) {
            Ok(info) => {
                let (ppid, pgid) = (info.pbsi_ppid, info.pbsi_pgid);
                table.push((pid, Kin { ppid, pgid }));
            }
            // Out of memory: a table with holes would protect nobody in them.
            Err(error) if is_shortage(&error) => return Err(error),
            // One that is gone by now, or a zombie, has no row.
            Err(_) => {}
        }
    }
    Ok(table.into_iter().collect())
}

pub(super) fn why_it_stays(pid: Pid) -> Option<String> {
    let info: proc_bsdshortinfo = pid_info(pid).ok()?;
    let task: Option<proc_taskinfo> = pid_info(pid).ok();
    let state = run_state(info.pbsi_status, task.as_ref()).describe();
    Some(match task {
        Some(task) => format!("{state}, {} thread(s)", task.pti_threadnum),
        None => state.to_owned(),
    })
}
