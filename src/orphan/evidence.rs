//! What the disk and the kernel said about one coordinator and its workspace.
//!
//! Raw facts, and what a single fact means by itself. What they mean together is the verdict's.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::coordinator::WorkspaceArgument;

/// A file or directory as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number of the file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Birth time in nanoseconds since the epoch, where the file system records one that can be
    /// trusted (not overlay, FUSE or network file systems).
    pub born_ns: Option<i128>,
}

/// What kind of file system something lives on, as far as evidence goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// A disk or memory file system whose link counts, inode numbers and birth times hold.
    Local,
    /// overlayfs, FAT: link counts hold, inode numbers and birth times do not.
    Unsteady,
    /// A network file system: proves no deletion.
    Network,
    /// A FUSE server: proves no deletion.
    Fuse,
    /// An automount point that nothing is mounted on yet.
    Autofs,
    /// One that nobody vouched for: nothing on it is believed.
    Other,
}

impl Filesystem {
    /// Whether a link count of zero on it means that the thing was deleted.
    #[must_use]
    pub fn proves_deletion(self) -> bool {
        matches!(self, Self::Local | Self::Unsteady)
    }

    /// Whether inode numbers and birth times on it identify a file.
    #[must_use]
    pub fn identifies_files(self) -> bool {
        self == Self::Local
    }

    /// Whether it is a disk or memory of this machine: to look something up on it asks nobody else, and mounts nothing.
    #[must_use]
    pub fn is_of_this_machine(self) -> bool {
        matches!(self, Self::Local | Self::Unsteady)
    }

    /// Whether what lies on it may come and go as a whole.
    #[must_use]
    pub fn comes_and_goes(self) -> bool {
        matches!(self, Self::Network | Self::Fuse | Self::Autofs)
    }
}

/// Something the process has held on to since it was started: its cwd or its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its path as the kernel gives it now, or last knew it (without "(deleted)").
    pub path: PathBuf,
    /// How many links it has: 0 = deleted.
    pub links: u64,
    /// Which file it is.
    pub id: FileId,
    /// What it lives on.
    pub filesystem: Filesystem,
    /// Whether its mount is in the process's mount table.
    pub mount: MountState,
}

/// Whether a mount is still part of the tree that a process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountState {
    /// It is in the process's mount table.
    Attached,
    /// It is not: unmounted lazily, or outside the process's root.
    Detached,
}

/// What became of the original that a witness holds on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Linked where the workspace is.
    InPlace,
    /// Link count zero, on a file system that can be believed.
    Deleted,
    /// Linked only below a Trash directory.
    Trashed,
    /// Linked at another path.
    Moved,
    /// On a mount that is not in the process's mount table.
    Detached,
    /// Link count zero on a network or FUSE file system, which proves nothing.
    Unprovable,
}

/// What resolving the workspace's path gave, done as the process itself would do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Nobody looked: the argv has no path or the process may not be looked into.
    NotProbed,
    /// There is something at the path.
    Exists {
        /// What it is, if it is a directory on a file system that identifies files.
        directory: Option<FileId>,
        /// Which mount it is on.
        mount: MountKey,
    },
    /// ENOENT or ENOTDIR.
    Missing {
        /// Whether the missing part was named by a symbolic link.
        dangling: Dangling,
        /// Why the path may come back although it is missing now, if anything says so.
        detachable: Option<Detachable>,
    },
    /// Any other answer: the name of the errno.
    Failed(&'static str),
    /// No answer within the time limit.
    TimedOut,
}

/// Whether a missing path is missing because a symbolic link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dangling {
    /// The missing component was written in the path itself.
    No,
    /// The missing component came from a symbolic link's target.
    Symlink,
}

/// Why a missing path may be an unmounted volume rather than a deleted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detachable {
    /// Its deepest existing ancestor is on autofs, a network file system or FUSE.
    Ancestor(Filesystem),
    /// It lies below a directory where volumes are mounted.
    MountArea(PathBuf),
    /// A mount point of the file system table on the way is not mounted.
    Fstab(PathBuf),
    /// The mount on which the daemon saw the workspace is gone.
    RememberedMount,
    /// The mount above the path is gone, on which it gave no answer before it was ever seen.
    HungMount,
}

impl Detachable {
    /// Why the path may come back, for people.
    #[must_use]
    pub fn describe(&self) -> Cow<'static, str> {
        match self {
            Self::Ancestor(filesystem) => {
                format!("its deepest existing ancestor is on a {filesystem:?} file system").into()
            }
            Self::MountArea(area) => format!(
                "it lies below {}, where volumes are mounted",
                area.display()
            )
            .into(),
            Self::Fstab(point) => format!(
                "{} of the file system table is not mounted",
                point.display()
            )
            .into(),
            Self::RememberedMount => "the mount it was seen on is gone".into(),
            Self::HungMount => "the mount on which it gave no answer is gone".into(),
        }
    }
}

/// A mount as one process's mount table numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountKey {
    /// The mount id (unique where the kernel has such; the file-system id on macOS).
    pub id: u64,
    /// The device mounted there, where mount ids are reused.
    pub device: u64,
}

/// What `.team/runtime/coordinator.pid` in some directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidFile {
    /// It holds this process's pid.
    NamesIt,
    /// It holds another valid pid.
    NamesAnother(u32),
    /// It is not there.
    Absent,
    /// It is there but says nothing: empty, no number, a link, a FIFO, unreadable.
    Unclear,
}

impl PidFile {
    /// Only "not there" or another valid number counts as not naming the process.
    #[must_use]
    pub fn names_somebody_else(self) -> bool {
        matches!(self, Self::Absent | Self::NamesAnother(_))
    }
}

/// Whether the process may be judged at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Judged,
    /// Its uid is not among the configured ones.
    ForeignUid,
    /// It lives in another pid namespace.
    ForeignNamespace,
    /// The kernel did not let us look: the name of the errno.
    Unreadable(&'static str),
}

/// Everything that was found out about one coordinator in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Whether it may be judged.
    pub access: Access,
    /// The workspace as an absolute path in the process's own view, if it can be told.
    pub workspace: Option<PathBuf>,
    /// Whether its argv gave a relative path.
    pub relative: bool,
    /// Where the workspace is or would be: links followed, in the process's own view.
    pub resolved: Option<PathBuf>,
    /// The process's root in the daemon's view; `/` for most.
    pub root: PathBuf,
    /// Its working directory.
    pub cwd: Option<Holding>,
    /// Its log, `…/.team/runtime/coordinator.log` as fd 1 or 2.
    pub log: Option<Holding>,
    /// What is at the path.
    pub path: PathState,
    /// What the pid file at the path says.
    pub pid_file: PidFile,
    /// What the pid file in its working directory says, where that is elsewhere.
    pub cwd_pid_file: PidFile,
    /// Directories that are a Trash in the daemon's view.
    pub trashes: Vec<PathBuf>,
    /// When the process was started, in nanoseconds since the epoch by today's clock.
    pub process_started_ns: Option<i128>,
    /// The number of the mount above the path, by its name alone: of a workspace that gave no answer.
    pub mount_by_name: Option<u64>,
}

impl Evidence {
    /// Evidence of a process that was not looked into.
    #[must_use]
    pub fn not_probed(access: Access, argument: &WorkspaceArgument, path: PathState) -> Self {
        let given = match argument {
            WorkspaceArgument::Given(path) => Some(path),
            WorkspaceArgument::Unusable => None,
        };
        Self {
            access,
            workspace: given.filter(|path| path.is_absolute()).cloned(),
            relative: given.is_some_and(|path| path.is_relative()),
            resolved: None,
            root: PathBuf::from("/"),
            cwd: None,
            log: None,
            path,
            pid_file: PidFile::Unclear,
            cwd_pid_file: PidFile::Unclear,
            trashes: Vec::new(),
            process_started_ns: None,
            mount_by_name: None,
        }
    }

    /// Whether the process could not be read.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self.access, Access::Unreadable(_))
    }

    /// Whether this directory was there when the process was started, by a clock that nobody has set since. A start
    /// is known to a clock tick, and rounded to one.
    #[must_use]
    pub fn is_older_than_the_process(&self, directory: &FileId) -> bool {
        const TWO_TICKS_NS: i128 = 20_000_000;
        matches!(
            (directory.born_ns, self.process_started_ns),
            (Some(born), Some(started)) if born <= started + TWO_TICKS_NS
        )
    }

    /// Whether `path`, as the kernel names it for the daemon, is this workspace.
    #[must_use]
    pub fn is_workspace(&self, path: &Path) -> bool {
        self.is_workspace_of_any(|workspace| workspace == path)
    }

    /// Whether a path that this is true of, as the kernel names it for the daemon, is this workspace.
    pub fn is_workspace_of_any(&self, is_one: impl Fn(&Path) -> bool) -> bool {
        [&self.workspace, &self.resolved]
            .into_iter()
            .flatten()
            .any(|workspace| is_one(&seen_from_outside(&self.root, workspace)))
    }

    /// The cwd, if it is linked where the workspace is, and could be known again.
    #[must_use]
    pub fn cwd_at_workspace(&self) -> Option<FileId> {
        self.cwd
            .as_ref()
            .filter(|cwd| {
                cwd.filesystem.identifies_files() && cwd.links > 0 && self.is_workspace(&cwd.path)
            })
            .map(|cwd| cwd.id)
    }

    /// What became of the cwd, if it is a witness: its path is the workspace, or it was when
    /// the daemon saw it before.
    #[must_use]
    pub fn cwd_fate(&self, seen_at_workspace: Option<FileId>) -> Option<Fate> {
        let cwd = self.cwd.as_ref()?;
        let in_place = self.is_workspace(&cwd.path);
        let seen_before = cwd.filesystem.identifies_files() && seen_at_workspace == Some(cwd.id);
        (in_place || seen_before).then(|| self.fate(cwd, in_place))
    }

    /// What became of the log, if the process has one.
    #[must_use]
    pub fn log_fate(&self) -> Option<Fate> {
        let log = self.log.as_ref()?;
        // With links left, the kernel's mark "(deleted)" is part of the name: that name is gone,
        // another link is not.
        let in_place = log.path.file_name() == Some("coordinator.log".as_ref())
            && log
                .path
                .ancestors()
                .nth(3)
                .is_some_and(|directory| self.is_workspace(directory));
        match self.fate(log, in_place) {
            // A file may have further links: only one in the Trash alone is thrown away.
            Fate::Trashed if log.links > 1 => Some(Fate::Moved),
            fate => Some(fate),
        }
    }

    fn fate(&self, holding: &Holding, in_place: bool) -> Fate {
        // A detached mount comes first: nothing on it tells of a deletion in the visible tree.
        if holding.mount == MountState::Detached {
            Fate::Detached
        } else if holding.links == 0 && holding.filesystem.proves_deletion() {
            Fate::Deleted
        } else if holding.links == 0 {
            Fate::Unprovable
        } else if in_place {
            Fate::InPlace
        } else if self
            .trashes
            .iter()
            .any(|trash| holding.path.starts_with(trash))
        {
            Fate::Trashed
        } else {
            Fate::Moved
        }
    }
}

/// A path of a process's own view, as the daemon names it: below that process's root.
#[must_use]
pub fn seen_from_outside(root: &Path, path: &Path) -> PathBuf {
    if root == Path::new("/") {
        return path.to_path_buf();
    }
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// `path` without `.` and with each `..` taken back, by its text alone.
#[must_use]
pub fn normalised(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
