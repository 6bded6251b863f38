//! What made an orphan of a coordinator is undone: its workspace is back, or its own again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::changes::Subject;
use super::ground::{Ground, Watched, coordinator};

/// How a workspace comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// The directory is moved back to where it was; nothing witnessed that it had gone.
    MovedBack,
    /// Its log is deleted, but the directory itself is moved back.
    MovedBackWithoutItsLog,
    /// Out of the Trash, with the cwd and the log that the coordinator still holds.
    OutOfTheTrash,
    /// It was deleted and made again, and the pid file in the new one names the coordinator.
    NamedByThePidFile,
    /// The volume it is on was lazily unmounted, and is mounted again.
    MountedAgain,
}

pub(crate) const ALL: [Return; 5] = [
    Return::MovedBack,
    Return::MovedBackWithoutItsLog,
    Return::OutOfTheTrash,
    Return::NamedByThePidFile,
    Return::MountedAgain,
];

const LOG: &str = ".team/runtime/coordinator.log";

fn make(directory: PathBuf) -> PathBuf {
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// A coordinator that has its log as its output, and perhaps its workspace as its cwd.
fn with_log(workspace: &Path) -> Command {
    let log = fs::File::create(workspace.join(LOG)).expect("a log");
    let mut command = coordinator(workspace);
    command.stdout(log);
    command
}

impl Return {
    /// An orphan to which this can happen, in a place of its own.
    pub(crate) fn subject(self, ground: &Ground, place: &str) -> Subject {
        let place = make(ground.path(place));
        let workspace = place.join("workspace");
        let orphan = self.orphan(ground, &place, &workspace);
        Subject {
            name: format!("{self:?}"),
            orphan,
            change: Box::new(move |orphan| {
                self.happen(&place, &workspace, orphan.pid);
                true
            }),
            why: "workspace_alive",
        }
    }

    fn orphan(self, ground: &Ground, place: &Path, workspace: &Path) -> Watched {
        let away = place.join("away");
        make(workspace.join(".team/runtime"));
        match self {
            Self::MovedBack => {
                fs::rename(workspace, away).expect("moved");
                Watched::start(coordinator(workspace))
            }
            Self::MovedBackWithoutItsLog => {
                let orphan = Watched::start(with_log(workspace));
                fs::remove_file(workspace.join(LOG)).expect("deleted");
                fs::rename(workspace, away).expect("moved");
                orphan
            }
            Self::OutOfTheTrash => {
                mount_tmpfs(place);
                make(workspace.join(".team/runtime"));
                let mut command = with_log(workspace);
                command.current_dir(workspace);
                let orphan = Watched::start(command);
                let trash = make(trash(place));
                fs::rename(workspace, trash.join("workspace")).expect("moved");
                orphan
            }
            Self::NamedByThePidFile => {
                let mut command = with_log(workspace);
                command.current_dir(workspace);
                let orphan = Watched::start(command);
                fs::remove_dir_all(workspace).expect("deleted");
                make(workspace.join(".team/runtime"));
                orphan
            }
            Self::MountedAgain => {
                let store = make(ground.path("store"));
                make(store.join("workspace"));
                mount_bind(&store, place).expect("mounted");
                unmount(place, UnmountFlags::DETACH).expect("unmounted");
                fs::remove_dir_all(workspace).expect("what was below the volume");
                Watched::start(coordinator(workspace))
            }
        }
    }

    fn happen(self, place: &Path, workspace: &Path, pid: u32) {
        match self {
            Self::MovedBack | Self::MovedBackWithoutItsLog => {
                fs::rename(place.join("away"), workspace).expect("moved back");
            }
            Self::OutOfTheTrash => {
                fs::rename(trash(place).join("workspace"), workspace).expect("moved back");
            }
            Self::NamedByThePidFile => {
                let unfinished = workspace.join(".team/runtime/unfinished");
                fs::write(&unfinished, pid.to_string()).expect("written");
                let pid_file = workspace.join(".team/runtime/coordinator.pid");
                fs::rename(unfinished, pid_file).expect("in place");
            }
            Self::MountedAgain => {
                mount_bind(place.with_file_name("store"), place).expect("mounted again");
            }
        }
    }
}

fn mount_tmpfs(on: &Path) {
    mount("tad", on, "tmpfs", MountFlags::empty(), None).expect("a tmpfs");
}

/// At the top of a volume.
fn trash(volume: &Path) -> PathBuf {
    let uid = nix::unistd::getuid();
    volume.join(format!(".Trash-{uid}/files"))
}

/// Clears the place of a subject for the next one.
pub(crate) fn clear(ground: &Ground, place: &str) {
    let place = ground.path(place);
    // Most of them are no mount points.
    let _ = unmount(&place, UnmountFlags::DETACH);
    fs::remove_dir_all(place).expect("a place to clear");
}
