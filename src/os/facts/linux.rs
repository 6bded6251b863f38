//! Facts on Linux: `/proc/PID/{stat,status,cmdline,cwd,cgroup}`, proc_pid_stat(5) and friends.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{command_line, kind};
use crate::orphan::coordinator::CustomForm;
use crate::orphan::process::{Pid, PidNamespace, ProcessIdentity, ProcessRecord, RunState};
use crate::orphan::victims::{Family, Kin, Row};
use crate::os::errno::is_shortage;
use crate::os::{patience, proc_file};

/// The largest argv that is read, in bytes: more than the kernel lets exec pass (6 MiB).
const ARGV_LIMIT_BYTES: usize = 8 << 20;

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    comm: String,
    pub(super) state: char,
    ppid: Pid,
    pgid: Pid,
    sid: Pid,
    tty: i64,
    start_ticks: u64,
    rss_pages: u64,
}

impl Stat {
    fn read(pid: Pid) -> io::Result<Self> {
        Self::read_at(&format!("/proc/{pid}"))
    }

    /// Of a process, or of one of its threads.
    pub(super) fn read_at(place: &str) -> io::Result<Self> {
        let text = proc_file::read_record(format!("{place}/stat"))?;
        Self::parse(&text).ok_or_else(|| malformed("stat"))
    }

    /// The name is in parentheses and may hold any byte, parentheses and newlines too: what
    /// follows the last `)` is numbers.
    fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            comm,
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            pgid: group(fields.get(2)?)?,
            sid: group(fields.get(3)?)?,
            tty: fields.get(4)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
            rss_pages: fields.get(21)?.parse().ok()?,
        })
    }
}

/// A group or session id: -1 or 0 means one outside this namespace, or none.
fn group(field: &str) -> Option<Pid> {
    let id: i64 = field.parse().ok()?;
    Some(Pid::try_from(id).unwrap_or(0))
}

/// The fields of `/proc/PID/status` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    uids: Vec<u32>,
    namespaces: usize,
}

impl Status {
    fn read(pid: Pid) -> io::Result<Self> {
        let text = proc_file::read_record(format!("/proc/{pid}/status"))?;
        Self::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| malformed("status"))
    }

    /// The name line comes first and is escaped by the kernel: no later line can be forged.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let uids = field("Uid")?
            .split_ascii_whitespace()
            .map(|uid| uid.parse().ok())
            .collect::<Option<Vec<u32>>>()?;
        if uids.is_empty() {
            return None;
        }
        Some(Self {
            uids,
            // One number a namespace, from the reader's downwards. Absent before Linux 4.1.
            namespaces: field("NSpid").map_or(1, |ids| ids.split_ascii_whitespace().count()),
        })
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed /proc/PID/{what}"),
    )
}

pub(super) fn record(pid: Pid, unique: u64) -> io::Result<ProcessRecord> {
    let stat = Stat::read(pid)?;
    let status = Status::read(pid)?;
    let uid = status.uids[0];
    Ok(ProcessRecord {
        identity: ProcessIdentity {
            pid,
            start: stat.start_ticks,
            unique,
        },
        argv: argv(pid)?,
        ppid: stat.ppid,
        pgid: stat.pgid,
        sid: stat.sid,
        uid,
        other_uids: status
            .uids
            .into_iter()
            .filter(|other| *other != uid)
            .collect(),
        started_at: wall_clock(stat.start_ticks),
        rss_bytes: stat.rss_pages * rustix::param::page_size() as u64,
        cwd: fs::read_link(format!("{}/cwd", place(pid, RunState(stat.state))?))
            .ok()
            .map(without_deleted_mark),
        state: RunState(stat.state),
        namespace: if status.namespaces > 1 {
            PidNamespace::Foreign
        } else {
            PidNamespace::Own
        },
    })
}

/// For showing only: what the mark means, the link count says.
fn without_deleted_mark(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(stem) => PathBuf::from(OsStr::from_bytes(stem)),
        None => path,
    }
}

/// When a process that started `ticks` after boot was started, by today's clock. As fine as a tick: two clocks
/// that are read one after the other are never the same time apart.
fn wall_clock(ticks: u64) -> SystemTime {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let tick = u128::from(1_000_000_000 / per_second).max(1);
    let started = u64::try_from(u128::from(ticks) * tick).unwrap_or(0);
    let started = Duration::from_nanos(started);
    // BOOTTIME, as `stat` counts: it goes on during suspend.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    );
    let age = now.saturating_sub(started);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = since_epoch.unwrap_or_default().saturating_sub(age);
    let at = (at.as_nanos() + tick / 2) / tick * tick;
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(at).unwrap_or(0))
}

/// Where a thread waits that may not hang, its memory map may be locked for no longer than others have patience.
pub(super) fn argv(pid: Pid) -> io::Result<Vec<OsString>> {
    patience::at_one(pid, argv_now)?
}

fn argv_now(pid: Pid) -> io::Result<Vec<OsString>> {
    let argv = argv_below(&format!("/proc/{pid}"))?;
    if !argv.is_empty() {
        return Ok(argv);
    }
    // A leader that has exited while its threads live on is a zombie without an argv. What the
    // threads hold is the process's.
    match place_of_live_thread(pid)? {
        Some(place) => argv_below(&place),
        None => Ok(argv),
    }
}

fn argv_below(place: &str) -> io::Result<Vec<OsString>> {
    let mut bytes = Vec::new();
    proc_file::read_record_into(&mut bytes, format!("{place}/cmdline"), ARGV_LIMIT_BYTES)?;
    Ok(split_argv(&bytes))
}

/// The directory of `/proc` that shows what a process in this state holds: its own, or a live thread's if the
/// leader has exited before it.
pub(super) fn place(pid: Pid, state: RunState) -> io::Result<String> {
    let live = match state {
        RunState('Z') => patience::at_one(pid, place_of_live_thread)??,
        _ => None,
    };
    Ok(live.unwrap_or_else(|| format!("/proc/{pid}")))
}

/// None if there is none. That we could not look, for want of descriptors or memory, does not say so.
fn place_of_live_thread(pid: Pid) -> io::Result<Option<String>> {
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if is_shortage(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    let threads = threads
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<Pid>().ok())
        .filter(|thread| *thread != pid);
    for thread in threads {
        let place = format!("/proc/{pid}/task/{thread}");
        match argv_below(&place) {
            Ok(argv) if !argv.is_empty() => return Ok(Some(place)),
            Err(error) if is_shortage(&error) => return Err(error),
            // It has exited, too.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

pub(super) fn is_zombie(pid: Pid) -> io::Result<bool> {
    Stat::read(pid).map(|stat| stat.state == 'Z')
}

pub(super) fn parent_and_start(pid: Pid) -> io::Result<(Pid, u64)> {
    Stat::read(pid).map(|stat| (stat.ppid, stat.start_ticks))
}

/// The kernel ends each element with NUL. Text without a final NUL was written over the argv by the
/// process itself: it is one element, whatever it looks like.
fn split_argv(bytes: &[u8]) -> Vec<OsString> {
    match bytes.split_last() {
        None => Vec::new(),
        Some((0, elements)) => elements
            .split(|byte| *byte == 0)
            .map(|element| OsStr::from_bytes(element).to_owned())
            .collect(),
        Some(_) => vec![OsStr::from_bytes(bytes).to_owned()],
    }
}

pub(super) fn row(pid: Pid, unique: u64, forms: &[CustomForm]) -> io::Result<Row> {
    let stat = Stat::read(pid)?;
    let status = Status::read(pid)?;
    let argv = argv(pid)?;
    Ok(Row {
        identity: ProcessIdentity {
            pid,
            start: stat.start_ticks,
            unique,
        },
        ppid: stat.ppid,
        pgid: stat.pgid,
        uids: status.uids,
        on_terminal: stat.tty != 0,
        unit: unit(pid)?,
        kind: kind(&stat.comm, &argv, forms),
        cmdline: if argv.is_empty() {
            format!("[{}]", stat.comm)
        } else {
            command_line(&argv)
        },
    })
}

/// The systemd unit or scope of a process: the part of its cgroup path up to the last `.service` or
/// `.scope`, cgroups(7). None where there are no cgroups; one that cannot be read may be any.
fn unit(pid: Pid) -> io::Result<Option<String>> {
    let text = match proc_file::read_record(format!("/proc/{pid}/cgroup")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text);
    let path = text.lines().find_map(|line| {
        line.strip_prefix("0::")
            .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
    });
    Ok(path.and_then(unit_of_cgroup))
}

fn unit_of_cgroup(path: &str) -> Option<String> {
    let end = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()])
        .filter(|end| path[..*end].ends_with(".service") || path[..*end].ends_with(".scope"))
        .max()?;
    Some(path[..end].to_owned())
}

pub(super) fn family_table() -> io::Result<Family> {
    let mut table = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<Pid>().ok()) else {
            continue;
        };
        match Stat::read(pid) {
            Ok(stat) => {
                let (ppid, pgid) = (stat.ppid, stat.pgid);
                table.push((pid, Kin { ppid, pgid }));
            }
            // Out of descriptors or memory: a table with holes would protect nobody in them.
            Err(error) if is_shortage(&error) => return Err(error),
            // One that is gone by now, or hidden, has no row.
            Err(_) => {}
        }
    }
    Ok(table.into_iter().collect())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let text =
            b"42 (a) R 1 (\n)) S 7 42 42 34816 42 0 0 0 0 0 0 0 0 0 20 0 1 0 5555 1000 30 0\n";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.comm, "a) R 1 (\n)");
        assert_eq!(
            (stat.state, stat.ppid, stat.pgid, stat.sid),
            ('S', 7, 42, 42)
        );
        assert_eq!(
            (stat.tty, stat.start_ticks, stat.rss_pages),
            (34816, 5555, 30)
        );
        assert_eq!(Stat::parse(b"42 (x"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn status_gives_all_uids_and_the_depth_of_namespaces() {
        let text = "Name:\tx\\nUid: 0\nUid:\t1000\t0\t0\t1000\nNSpid:\t812\t7\n";
        assert_eq!(
            Status::parse(text),
            Some(Status {
                uids: vec![1000, 0, 0, 1000],
                namespaces: 2
            })
        );
        assert_eq!(Status::parse("Uid:\tx\n"), None);
    }

    #[test]
    fn an_argv_keeps_empty_elements_and_overwritten_text_stays_one_element() {
        let words = |bytes: &[u8]| -> Vec<String> {
            split_argv(bytes)
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(words(b"a\0\0b \0"), ["a", "", "b "]);
        assert_eq!(words(b"python3 -m x\0\0"), ["python3 -m x", ""]);
        assert_eq!(words(b"a\0b"), ["a\0b"]);
        assert!(words(b"").is_empty());
    }

    #[test]
    fn the_unit_is_the_innermost_service_or_scope() {
        assert_eq!(
            unit_of_cgroup("/user.slice/user-1.slice/user@1.service/app.slice/x.scope/sub"),
            Some("/user.slice/user-1.slice/user@1.service/app.slice/x.scope".into())
        );
        assert_eq!(
            unit_of_cgroup("/system.slice/a.service"),
            Some("/system.slice/a.service".into())
        );
        assert_eq!(unit_of_cgroup("/"), None);
    }
}
