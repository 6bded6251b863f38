//! What is at the workspace's path, and whether its parts are elsewhere: the part of the look that is
//! the same on every platform.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::fstab::fstab_points;
use super::mounts::MountTable;
use super::node::Node;
use super::walk::{Walk, walk};
use super::{MOUNT_AREAS, PID_FILE, Remembered, parse_pid_file, trashes};
use crate::orphan::evidence::{
    Dangling, Detachable, Evidence, Filesystem, Holding, PathState, PidFile, seen_from_outside,
};
use crate::orphan::process::ProcessRecord;
use crate::os::errno::is_shortage;
use crate::os::facts::argv;

/// A relative workspace is meant from the cwd; both in the process's own view.
pub(super) fn absolute(workspace: &Path, cwd: &Path, root: &Path) -> PathBuf {
    if workspace.is_absolute() {
        return workspace.to_path_buf();
    }
    let inside = Path::new("/").join(cwd.strip_prefix(root).unwrap_or(cwd));
    // `.` and `./` are dropped, `..` stays: what it leads to, the walk finds out.
    inside.join(workspace).components().collect()
}

/// What a process finds that asks for a relative path in a deleted directory: nothing.
pub(super) fn find_nothing(evidence: &mut Evidence) {
    evidence.resolved.clone_from(&evidence.workspace);
    evidence.path = PathState::Missing {
        dangling: Dangling::No,
        detachable: None,
    };
    evidence.pid_file = PidFile::Absent;
}

/// Looks at what is at the workspace's path, as the process itself resolves it.
///
/// # Errors
/// Only if we ran out of something: see [`read_pid_file`].
pub(super) fn resolve(
    root: Node,
    absolute: &Path,
    remembered: Remembered,
    record: &ProcessRecord,
    mounts: &MountTable,
    evidence: &mut Evidence,
) -> io::Result<()> {
    match walk(root, absolute, mounts) {
        Walk::Found { node, resolved } => {
            let filesystem = node.filesystem(mounts);
            let is_directory = node.is_directory();
            evidence.resolved = Some(resolved);
            evidence.path = PathState::Exists {
                directory: (is_directory && node.links() > 0 && filesystem.identifies_files())
                    .then(|| node.id(filesystem)),
                mount: node.mount(),
            };
            evidence.pid_file = if is_directory {
                read_pid_file(&node, mounts)?.of(record, || true)
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
            let was_elsewhere = remembered
                .mount
                .is_some_and(|mount| mount != ancestor.mount());
            let hung_elsewhere = remembered
                .hung_on
                .is_some_and(|number| number != ancestor.mount_number());
            let gone = match (was_elsewhere, hung_elsewhere) {
                (true, _) => Some(Detachable::RememberedMount),
                (false, true) => Some(Detachable::HungMount),
                (false, false) => None,
            };
            evidence.path = PathState::Missing {
                dangling,
                detachable: gone.or_else(|| detachable(&resolved, filesystem, mounts)),
            };
            evidence.resolved = Some(resolved);
            evidence.pid_file = PidFile::Absent;
        }
        Walk::Failed { errno } => evidence.path = PathState::Failed(errno),
    }
    Ok(())
}

fn detachable(missing: &Path, ancestor: Filesystem, mounts: &MountTable) -> Option<Detachable> {
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
///
/// `cwd` is the process's working directory, where it can be looked into.
///
/// # Errors
/// Only if we ran out of something: see [`read_pid_file`].
pub(super) fn look_elsewhere(
    record: &ProcessRecord,
    cwd: Option<&Node>,
    mounts: &MountTable,
    evidence: &mut Evidence,
) -> io::Result<()> {
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
        evidence.cwd_pid_file = match cwd {
            // Another coordinator may have started this one in its workspace.
            Some(cwd) => read_pid_file(cwd, mounts)?.of(record, || is_forked(record)),
            None => PidFile::Unclear,
        };
    }
    // Whose owner's home is where is asked of whatever keeps the users: seldom at hand.
    let perhaps_trashed = [&evidence.cwd, &evidence.log]
        .into_iter()
        .flatten()
        .any(|holding| may_be_in_a_trash(&holding.path));
    if (cwd_elsewhere || log_elsewhere) && perhaps_trashed {
        let points: Vec<PathBuf> = mounts
            .points()
            .map(|point| seen_from_outside(&evidence.root, point))
            .collect();
        evidence.trashes = trashes(record.uid, &points);
    }
    Ok(())
}

/// Whether a path has a part by which every Trash is known.
fn may_be_in_a_trash(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().as_bytes();
        name == b"Trash" || name.starts_with(b".Trash")
    })
}

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Pid(u32),
    Absent,
    Unclear,
}

impl Named {
    /// What that means for this process. A worker that a coordinator forked has its argv: its parent's name is no denial.
    fn of(self, record: &ProcessRecord, is_worker: impl FnOnce() -> bool) -> PidFile {
        match self {
            Self::Pid(pid) if pid == record.identity.pid => PidFile::NamesIt,
            Self::Pid(pid) if pid == record.ppid && is_worker() => PidFile::Unclear,
            Self::Pid(pid) => PidFile::NamesAnother(pid),
            Self::Absent => PidFile::Absent,
            Self::Unclear => PidFile::Unclear,
        }
    }
}

/// Whether its parent is the same program: it was forked, and has called no exec(2) since.
fn is_forked(record: &ProcessRecord) -> bool {
    // One that cannot be read may be.
    argv(record.ppid).map_or(true, |parents| parents == record.argv)
}

/// Reads the pid file in `directory` without following links, without blocking, 32 bytes at most.
///
/// # Errors
/// Only if we are out of descriptors or memory, which says nothing of the file.
fn read_pid_file(directory: &Node, mounts: &MountTable) -> io::Result<Named> {
    let [team, runtime, name] = PID_FILE.map(OsStr::new);
    let found = directory
        .lookup_below([team, runtime], mounts)
        .and_then(|runtime| {
            let place = runtime.lookup(name)?;
            Ok((runtime, place))
        });
    let (runtime, place) = match found {
        Ok(found) => found,
        Err(error) if is_shortage(&error) => return Err(error),
        Err(error) => {
            return Ok(match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => Named::Absent,
                // A link or a file where a directory should be: no statement either way.
                _ => Named::Unclear,
            });
        }
    };
    if !place.is_regular_file() {
        return Ok(Named::Unclear);
    }
    match runtime.read_start(name) {
        Ok(bytes) => Ok(parse_pid_file(&bytes).map_or(Named::Unclear, Named::Pid)),
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(Named::Unclear),
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::orphan::fixtures;

    type Make = fn(&Path);

    /// What the pid file of a workspace says of process 4242, child of 1, made like this.
    fn said_by(make: impl FnOnce(&Path)) -> PidFile {
        let workspace = tempfile::tempdir().unwrap();
        make(workspace.path());
        let node = Node::open_magic(workspace.path().to_str().unwrap()).unwrap();
        // In one step, and one after the other.
        let own = super::super::platform::own_mounts().unwrap();
        let said = read_pid_file(&node, &own).unwrap();
        let strange = MountTable::default();
        assert_eq!(read_pid_file(&node, &strange).unwrap(), said);
        said.of(&fixtures::record(4242), || true)
    }

    fn with_text(text: &str) -> PidFile {
        said_by(|workspace| {
            let runtime = workspace.join(".team/runtime");
            fs::create_dir_all(&runtime).unwrap();
            fs::write(runtime.join("coordinator.pid"), text).unwrap();
        })
    }

    #[test]
    fn a_pid_file_names_the_process_or_another_or_says_nothing() {
        assert_eq!(with_text("4242"), PidFile::NamesIt);
        assert_eq!(with_text("4243\n"), PidFile::NamesAnother(4243));
        for nothing in [
            "",
            "1",
            "pid",
            "42 42",
            "0000000000000000000000000000004243",
        ] {
            assert_eq!(with_text(nothing), PidFile::Unclear, "{nothing:?}");
        }
    }

    #[test]
    fn the_name_of_its_parent_denies_it_unless_it_is_a_worker() {
        let record = fixtures::record(4242);
        let named = Named::Pid(record.ppid);
        assert_eq!(named.of(&record, || true), PidFile::Unclear);
        let another = PidFile::NamesAnother(record.ppid);
        assert_eq!(named.of(&record, || false), another);
        let own = crate::os::facts::pin(std::process::id()).unwrap().record;
        let child = |argv: &[OsString]| ProcessRecord {
            ppid: own.identity.pid,
            argv: argv.to_vec(),
            ..fixtures::record(4242)
        };
        assert!(is_forked(&child(&own.argv)));
        assert!(!is_forked(&child(&["another".into()])));
    }

    #[test]
    fn a_pid_file_is_absent_only_if_it_or_its_directory_is_not_there() {
        let nothing: Make = |_| {};
        for make in [
            nothing,
            |workspace| fs::create_dir(workspace.join(".team")).unwrap(),
            |workspace| fs::create_dir_all(workspace.join(".team/runtime")).unwrap(),
        ] {
            assert_eq!(said_by(make), PidFile::Absent);
        }
        let in_the_way: [(&str, Make); 5] = [
            ("a file for .team", |workspace| {
                fs::write(workspace.join(".team"), "").unwrap();
            }),
            ("a file for runtime", |workspace| {
                fs::create_dir(workspace.join(".team")).unwrap();
                fs::write(workspace.join(".team/runtime"), "").unwrap();
            }),
            ("a link for .team", |workspace| {
                fs::create_dir_all(workspace.join("team/runtime")).unwrap();
                symlink("team", workspace.join(".team")).unwrap();
            }),
            ("a link that leads nowhere", |workspace| {
                fs::create_dir_all(workspace.join(".team/runtime")).unwrap();
                let file = workspace.join(".team/runtime/coordinator.pid");
                symlink("nothing", file).unwrap();
            }),
            ("a directory", |workspace| {
                let file = workspace.join(".team/runtime/coordinator.pid");
                fs::create_dir_all(file).unwrap();
            }),
        ];
        for (what, make) in in_the_way {
            assert_eq!(said_by(make), PidFile::Unclear, "{what}");
        }
    }

    #[test]
    fn below_what_comes_and_goes_a_missing_path_may_come_back() {
        // No volume is mounted there, and no fstab names it.
        let path = Path::new("/proc/nothing/ws");
        let nothing = MountTable::default();
        let why = |ancestor| detachable(path, ancestor, &nothing);
        for ancestor in [Filesystem::Network, Filesystem::Fuse, Filesystem::Autofs] {
            assert_eq!(why(ancestor), Some(Detachable::Ancestor(ancestor)));
        }
        for ancestor in [Filesystem::Local, Filesystem::Unsteady, Filesystem::Other] {
            assert_eq!(why(ancestor), None, "{ancestor:?}");
        }
    }

    #[test]
    fn below_a_place_where_volumes_are_mounted_a_missing_path_may_come_back() {
        let nothing = MountTable::default();
        for (path, area) in [
            ("/mnt/disk/ws", Some("/mnt")),
            ("/run/media/me/disk/ws", Some("/run/media")),
            ("/media/ws", Some("/media")),
            ("/net/host/ws", Some("/net")),
            ("/mntx/ws", None),
            ("/proc/mnt/ws", None),
        ] {
            let why = detachable(Path::new(path), Filesystem::Local, &nothing);
            let expected = area.map(|area| Detachable::MountArea(area.into()));
            assert_eq!(why, expected, "{path}");
        }
    }
}
