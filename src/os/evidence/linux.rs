//! Evidence on Linux: `/proc/PID/{cwd,root,fd,mountinfo}`, link counts by statx(2).
//!
//! The text "(deleted)" proves nothing here; the link count does.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::mounts::{MountTable, fstab_points};
use super::walk::{Node, Walk, kernel_link, last_known, walk};
use super::{
    LOG_FILE, MOUNT_AREAS, PID_FILE, PID_FILE_LIMIT_BYTES, errno_name, parse_pid_file, trashes,
};
use crate::orphan::evidence::{
    Access, Dangling, Detachable, Evidence, Filesystem, Holding, MountKey, MountState, PathState,
    PidFile, seen_from_outside,
};
use crate::orphan::process::ProcessRecord;
use crate::os::facts::place;

pub(super) fn gather(
    record: &ProcessRecord,
    workspace: &Path,
    remembered: Option<MountKey>,
) -> Evidence {
    let mut evidence = Evidence {
        access: Access::Judged,
        workspace: None,
        relative: workspace.is_relative(),
        resolved: None,
        root: PathBuf::from("/"),
        cwd: None,
        log: None,
        path: PathState::NotProbed,
        pid_file: PidFile::Unclear,
        cwd_pid_file: PidFile::Absent,
        trashes: Vec::new(),
        process_started_ns: nanoseconds(record.started_at),
    };
    match look(record, workspace, remembered, &mut evidence) {
        Ok(()) => evidence,
        Err(error) => {
            evidence.access = Access::Unreadable(errno_name(&error));
            evidence
        }
    }
}

/// A time as nanoseconds since the epoch.
fn nanoseconds(at: SystemTime) -> Option<i128> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i128::try_from(since.as_nanos()).ok()
}

/// Fails only where the process itself may not be looked into.
fn look(
    record: &ProcessRecord,
    workspace: &Path,
    remembered: Option<MountKey>,
    evidence: &mut Evidence,
) -> io::Result<()> {
    let pid = record.identity.pid;
    let place = place(pid);
    evidence.root = kernel_link(&format!("{place}/root"))?;
    let root = Node::open_magic(&format!("{place}/root"))?;
    // Witnesses before the mount table: what is unmounted in between is then missing from it,
    // and counts as detached.
    let cwd = Held::open(&format!("{place}/cwd"))?;
    let log = open_log(&place)?;
    let mounts = MountTable::of(pid, &place, &evidence.root)?;
    let cwd_holding = cwd.describe(&mounts);

    let cwd_is_deleted = cwd_holding.links == 0;
    evidence.workspace = Some(absolute(workspace, &cwd_holding.path, &evidence.root));
    evidence.cwd = Some(cwd_holding);
    evidence.log = log.map(|log| log.describe(&mounts));

    let Some(absolute) = evidence.workspace.clone() else {
        return Ok(());
    };
    let names_its_cwd = evidence
        .cwd
        .as_ref()
        .is_some_and(|cwd| cwd.path == seen_from_outside(&evidence.root, &absolute));
    if workspace.is_relative() && cwd_is_deleted && !names_its_cwd {
        // Nothing can be found from a deleted directory: this is what the process itself gets.
        evidence.resolved = Some(absolute);
        evidence.path = PathState::Missing {
            dangling: Dangling::No,
            detachable: None,
        };
        evidence.pid_file = PidFile::Absent;
        return Ok(());
    }
    resolve(root, &absolute, remembered, record, &mounts, evidence);
    look_elsewhere(record, &cwd.node, &mounts, evidence);
    Ok(())
}

/// A relative workspace is meant from the cwd; both in the process's own view.
fn absolute(workspace: &Path, cwd: &Path, root: &Path) -> PathBuf {
    if workspace.is_absolute() {
        return workspace.to_path_buf();
    }
    let inside = Path::new("/").join(cwd.strip_prefix(root).unwrap_or(cwd));
    // `.` and `./` are dropped, `..` stays: what it leads to, the walk finds out.
    inside.join(workspace).components().collect()
}

/// A file or directory that the process holds open, with the kernel's name for it.
struct Held {
    node: Node,
    text: PathBuf,
}

impl Held {
    fn open(link: &str) -> io::Result<Self> {
        let node = Node::open_magic(link)?;
        // Named after it was opened: the name may have changed, the file has not.
        Ok(Self {
            text: kernel_link(link)?,
            node,
        })
    }

    fn describe(&self, mounts: &MountTable) -> Holding {
        let filesystem = self.node.filesystem(mounts);
        let links = u64::from(self.node.stat.stx_nlink);
        Holding {
            path: last_known(self.text.clone(), links),
            links,
            id: self.node.id(filesystem),
            filesystem,
            mount: if mounts.get(self.node.mount_id).is_some() {
                MountState::Attached
            } else {
                MountState::Detached
            },
        }
    }
}

/// The coordinator's log: fd 1 or 2, if it is one by its name.
fn open_log(place: &str) -> io::Result<Option<Held>> {
    for fd in [1, 2] {
        let link = format!("{place}/fd/{fd}");
        let text = match kernel_link(&link) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let bare = last_known(text.clone(), 0);
        if !text.ends_with(LOG_FILE) && !bare.ends_with(LOG_FILE) {
            continue;
        }
        match Held::open(&link) {
            Ok(held) if held.node.file_type() == FileType::RegularFile => return Ok(Some(held)),
            // Closed or replaced in the meantime.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn resolve(
    root: Node,
    absolute: &Path,
    remembered: Option<MountKey>,
    record: &ProcessRecord,
    mounts: &MountTable,
    evidence: &mut Evidence,
) {
    match walk(root, absolute, mounts) {
        Walk::Found { node, resolved } => {
            let filesystem = node.filesystem(mounts);
            let is_directory = node.file_type() == FileType::Directory;
            evidence.resolved = Some(resolved);
            evidence.path = PathState::Exists {
                directory: (is_directory
                    && node.stat.stx_nlink > 0
                    && filesystem.identifies_files())
                .then(|| node.id(filesystem)),
                mount: node.mount(),
            };
            evidence.pid_file = if is_directory {
                read_pid_file(&node, record)
            } else {
                // What is no directory holds no files.
                PidFile::Absent
            };
        }
        Walk::Missing {
            resolved,
            dangling,
            ancestor,
        } => {
            let filesystem = ancestor.filesystem(mounts);
            // Deleted where it was seen, or is what it was seen on not there any more?
            let remembered = remembered.filter(|mount| *mount != ancestor.mount());
            evidence.path = PathState::Missing {
                dangling,
                detachable: detachable(&resolved, filesystem, remembered, mounts),
            };
            evidence.resolved = Some(resolved);
            evidence.pid_file = PidFile::Absent;
        }
        Walk::Failed { errno } => evidence.path = PathState::Failed(errno),
    }
}

fn detachable(
    missing: &Path,
    ancestor: Filesystem,
    remembered: Option<MountKey>,
    mounts: &MountTable,
) -> Option<Detachable> {
    if remembered.is_some() {
        return Some(Detachable::RememberedMount);
    }
    if ancestor.comes_and_goes() {
        return Some(Detachable::Ancestor(ancestor));
    }
    if let Some(area) = MOUNT_AREAS.iter().find(|area| missing.starts_with(area)) {
        return Some(Detachable::MountArea(PathBuf::from(area)));
    }
    let Ok(points) = fstab_points() else {
        // Unread, it may name anything.
        return Some(Detachable::Fstab(PathBuf::from("/etc/fstab")));
    };
    points
        .into_iter()
        .find(|point| missing.starts_with(point) && !mounts.is_mount_point(point))
        .map(Detachable::Fstab)
}

/// What only matters when something is not where the workspace is: the Trash, and the pid file in
/// a cwd that may be the moved workspace.
fn look_elsewhere(
    record: &ProcessRecord,
    cwd: &Node,
    mounts: &MountTable,
    evidence: &mut Evidence,
) {
    let is_elsewhere =
        |holding: &Holding, at: &Path| holding.links > 0 && !evidence.is_workspace(at);
    let cwd_elsewhere = evidence
        .cwd
        .as_ref()
        .is_some_and(|cwd| is_elsewhere(cwd, &cwd.path));
    let log_elsewhere = evidence
        .log
        .as_ref()
        .is_some_and(|log| is_elsewhere(log, log.path.ancestors().nth(3).unwrap_or(&log.path)));
    if cwd_elsewhere {
        evidence.cwd_pid_file = read_pid_file(cwd, record);
    }
    if cwd_elsewhere || log_elsewhere {
        let points: Vec<PathBuf> = mounts
            .points()
            .map(|point| seen_from_outside(&evidence.root, point))
            .collect();
        evidence.trashes = trashes(record.uid, &points);
    }
}

/// Reads the pid file in `directory` without following links, without blocking, 32 bytes at most.
fn read_pid_file(directory: &Node, record: &ProcessRecord) -> PidFile {
    let [team, runtime, name] = PID_FILE.map(OsStr::new);
    let found = directory
        .lookup(team)
        .and_then(|team| team.lookup(runtime))
        .and_then(|runtime| {
            let place = runtime.lookup(name)?;
            Ok((runtime, place))
        });
    let (runtime, place) = match found {
        Ok(found) => found,
        Err(error) => {
            return match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => PidFile::Absent,
                // A link or a file where a directory should be: no statement either way.
                _ => PidFile::Unclear,
            };
        }
    };
    if place.file_type() != FileType::RegularFile {
        return PidFile::Unclear;
    }
    match read_start(&runtime, name) {
        Ok(bytes) => match parse_pid_file(&bytes) {
            Some(named) if named == record.identity.pid => PidFile::NamesIt,
            // A worker that a coordinator forked has its argv: the parent's name is no denial.
            Some(named) if named == record.ppid => PidFile::Unclear,
            Some(named) => PidFile::NamesAnother(named),
            None => PidFile::Unclear,
        },
        Err(_) => PidFile::Unclear,
    }
}

fn read_start(directory: &Node, name: &OsStr) -> io::Result<Vec<u8>> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.fd.as_fd(), name, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(PID_FILE_LIMIT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
