//! Evidence on macOS: the vnodes that a process holds, proc_pidinfo(PROC_PIDVNODEPATHINFO) and
//! proc_pidfdinfo(PROC_PIDFDVNODEPATHINFO), with their link counts (`vst_nlink`).
//!
//! A deleted working directory is not told at all: APFS and HFS+ answer ENOENT for it. Then the log
//! is the witness. A file system that was torn away answers EBADF for what was on it.

use std::io;
use std::path::{Path, PathBuf};

use libc::proc_vnodepathinfo;
use rustix::io::Errno;

use super::mounts::MountTable;
use super::node::Node;
use super::probe::{absolute, find_nothing, look_elsewhere, resolve};
use super::{LOG_FILE, Remembered, Stage};
use crate::orphan::evidence::{
    Evidence, FileId, Holding, MountState, PathState, seen_from_outside,
};
use crate::orphan::process::{Pid, ProcessRecord};
use crate::os::errno::errno_name;
use crate::os::libproc::{Vnode, pid_info, vnode_of_fd, vnode_outputs};

/// Fails only where the process itself may not be looked into.
pub(super) fn look(
    record: &ProcessRecord,
    workspace: &Path,
    remembered: Remembered,
    stage: &Stage,
    evidence: &mut Evidence,
) -> io::Result<()> {
    let pid = record.identity.pid;
    let directories = Directories::of(pid)?;
    evidence.root.clone_from(&directories.root);
    // Witnesses before the mount table: what is unmounted in between is then missing from it,
    // and counts as detached.
    let log = Log::of(pid)?;
    let mounts = MountTable::of(&evidence.root)?;
    evidence.cwd = directories.cwd.as_ref().map(|cwd| describe(cwd, &mounts));
    let mut doubt = directories.doubt;
    match log {
        Log::Open(log) => evidence.log = Some(describe(&log, &mounts)),
        Log::None => {}
        Log::Unclear(errno) => doubt = Some(errno),
    }

    let cwd_path = evidence.cwd.as_ref().map(|cwd| cwd.path.as_path());
    evidence.workspace = match cwd_path {
        Some(cwd) => Some(absolute(workspace, cwd, &evidence.root)),
        None => Some(workspace.to_path_buf()).filter(|path| path.is_absolute()),
    };
    let cwd_is_deleted = evidence.cwd.as_ref().is_none_or(|cwd| cwd.links == 0);
    let absolute = match evidence.workspace.clone() {
        Some(absolute)
            if workspace.is_absolute() || !cwd_is_deleted || names_its_cwd(evidence, &absolute) =>
        {
            absolute
        }
        _ => {
            find_nothing(evidence);
            return Ok(());
        }
    };
    let root = Node::at(evidence.root.clone())?;
    stage.set(true);
    resolve(root, &absolute, remembered, record, &mounts, evidence)?;
    stage.set(false);
    spell_as_the_kernel_does(evidence);
    let cwd = evidence.cwd.as_ref().and_then(node_of);
    look_elsewhere(record, cwd.as_ref(), &mounts, evidence)?;

    // Missing without a witness would be an orphan: not if one may only have become unreadable.
    if let PathState::Missing {
        detachable: None, ..
    } = evidence.path
        && evidence.log.is_none()
        && let Some(errno) = doubt
    {
        evidence.path = PathState::Failed(errno);
    }
    Ok(())
}

/// The daemon's own mount table.
pub(super) fn own_mounts() -> Option<MountTable> {
    MountTable::of(Path::new("/")).ok()
}

fn names_its_cwd(evidence: &Evidence, absolute: &Path) -> bool {
    let outside = seen_from_outside(&evidence.root, absolute);
    evidence.cwd.as_ref().is_some_and(|cwd| cwd.path == outside)
}

/// The directories that a process has by itself.
struct Directories {
    /// Its working directory, unless that was deleted and nothing is told of it.
    cwd: Option<Vnode>,
    root: PathBuf,
    /// Why its working directory may be elsewhere than its name says.
    doubt: Option<&'static str>,
}

impl Directories {
    fn of(pid: Pid) -> io::Result<Self> {
        let held: proc_vnodepathinfo = match pid_info(pid) {
            Ok(held) => held,
            // Its own root is not told either then; hardly any process has one.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {
                return Ok(Self {
                    cwd: None,
                    root: PathBuf::from("/"),
                    doubt: None,
                });
            }
            Err(error) => return Err(error),
        };
        let cwd = Vnode::from(&held.pvi_cdir);
        let root = Vnode::from(&held.pvi_rdir);
        if root.is_some() && !root.path.is_absolute() {
            // A chroot that cannot be named: no path of this process can be resolved.
            return Err(Errno::STALE.into());
        }
        let doubt = (cwd.links > 0 && !is_where_its_name_says(&cwd)).then_some("ESTALE");
        Ok(Self {
            // One without a name is no witness.
            cwd: Some(cwd).filter(|cwd| cwd.path.is_absolute()),
            root: if root.is_some() {
                root.path
            } else {
                PathBuf::from("/")
            },
            doubt,
        })
    }
}

/// What a process's outputs tell about its log.
enum Log {
    /// One of them is a coordinator's log by its name.
    Open(Vnode),
    /// None of them is.
    None,
    /// One of them may be, on a file system that was torn away or without a name that holds.
    Unclear(&'static str),
}

impl Log {
    /// The coordinator's log: fd 1 or 2, if it is one by its name.
    fn of(pid: Pid) -> io::Result<Self> {
        let mut log = Self::None;
        for fd in vnode_outputs(pid)? {
            match vnode_of_fd(pid, fd) {
                Ok(file) if !file.is_regular_file() => {}
                Ok(file) if file.path.ends_with(LOG_FILE) => return Ok(Self::Open(file)),
                Ok(file) if file.links > 0 && !is_where_its_name_says(&file) => {
                    log = Self::Unclear("ESTALE");
                }
                Ok(_) => {}
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::PERM | Errno::ACCESS | Errno::SRCH) => return Err(error),
                    // A vnode that is not one any more: torn away, or closed since it was listed.
                    _ => log = Self::Unclear(errno_name(&error)),
                },
            }
        }
        Ok(log)
    }
}

/// The kernel's name cache gives the end of a path if it has lost the rest: a name counts for a file
/// that still has one only if the file is found there, or if nobody lets us look.
fn is_where_its_name_says(file: &Vnode) -> bool {
    match Node::at(file.path.clone()) {
        Ok(node) => node.is_file(file.device, file.inode),
        Err(error) => matches!(
            Errno::from_io_error(&error),
            Some(Errno::PERM | Errno::ACCESS)
        ),
    }
}

fn describe(file: &Vnode, mounts: &MountTable) -> Holding {
    let filesystem = mounts.filesystem(file.device);
    Holding {
        path: file.path.clone(),
        links: file.links,
        id: FileId {
            device: file.device,
            inode: file.inode,
            born_ns: file.born_ns.filter(|_| filesystem.identifies_files()),
        },
        filesystem,
        mount: if mounts.has(file.device) {
            MountState::Attached
        } else {
            MountState::Detached
        },
    }
}

/// The directory that is at the path of a held one, if it is that one.
fn node_of(held: &Holding) -> Option<Node> {
    Node::at(held.path.clone())
        .ok()
        .filter(|node| node.is_file(held.id.device, held.id.inode))
}

/// A path in the argv may spell a name in another letter case than the disk does, or come in by
/// another way (`/System/Volumes/Data/Users` is `/Users`); the kernel names what is held by one
/// spelling. Where that leads to the very directory that was found, it is the workspace's place.
fn spell_as_the_kernel_does(evidence: &mut Evidence) {
    let PathState::Exists {
        directory: Some(found),
        ..
    } = evidence.path
    else {
        return;
    };
    let around_log = evidence
        .log
        .as_ref()
        .and_then(|log| log.path.ancestors().nth(3));
    let held = [
        evidence.cwd.as_ref().map(|cwd| cwd.path.as_path()),
        around_log,
    ];
    let spelled = held.into_iter().flatten().find(|path| {
        Node::at(path.to_path_buf()).is_ok_and(|node| node.is_file(found.device, found.inode))
    });
    let inside = spelled.and_then(|path| path.strip_prefix(&evidence.root).ok());
    if let Some(inside) = inside {
        evidence.resolved = Some(Path::new("/").join(inside));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn after_a_deletion_the_log_has_no_links_and_the_cwd_is_not_told() {
        let home = tempfile::tempdir().unwrap();
        let workspace = home.path().canonicalize().unwrap().join("ws");
        let log = workspace.join(LOG_FILE);
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&log).unwrap();
        let mut child = Command::new("/bin/sleep")
            .arg("60")
            .current_dir(&workspace)
            .stdout(Stdio::from(file))
            .spawn()
            .unwrap();

        let links = || match Log::of(child.id()) {
            Ok(Log::Open(log)) => Some((log.links, log.path)),
            _ => None,
        };
        let cwd = || Directories::of(child.id()).unwrap().cwd;
        assert_eq!(links(), Some((1, log.clone())));
        assert_eq!(cwd().map(|cwd| cwd.path), Some(workspace.clone()));

        let moved = workspace.with_file_name("moved");
        std::fs::rename(&workspace, &moved).unwrap();
        assert_eq!(links(), Some((1, moved.join(LOG_FILE))));
        assert_eq!(cwd().map(|cwd| cwd.path), Some(moved.clone()));

        std::fs::remove_dir_all(&moved).unwrap();
        assert_eq!(links().map(|(links, _)| links), Some(0));
        assert!(cwd().is_none_or(|cwd| cwd.links == 0));

        child.kill().unwrap();
        child.wait().unwrap();
    }
}
