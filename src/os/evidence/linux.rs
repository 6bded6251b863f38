//! Evidence on Linux: `/proc/PID/{cwd,root,fd,mountinfo}`, link counts by statx(2).
//!
//! The text "(deleted)" proves nothing here; the link count does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mounts::MountTable;
use super::node::{Node, kernel_link, last_known};
use super::own_mounts;
use super::probe::{absolute, find_nothing, look_elsewhere, resolve};
use super::{LOG_FILE, Remembered, Stage};
use crate::orphan::evidence::{Evidence, Holding, MountState, seen_from_outside};
use crate::orphan::process::ProcessRecord;
use crate::os::facts::place;

/// Fails only where the process itself may not be looked into.
pub(super) fn look(
    record: &ProcessRecord,
    workspace: &Path,
    remembered: Remembered,
    stage: &Stage,
    evidence: &mut Evidence,
) -> io::Result<()> {
    let pid = record.identity.pid;
    let place = place(pid, record.state)?;
    evidence.root = kernel_link(&format!("{place}/root"))?;
    let root = Node::open_magic(&format!("{place}/root"))?;
    // Witnesses before the mount table: what is unmounted in between is then missing from it,
    // and counts as detached.
    let cwd = Held::open(&format!("{place}/cwd"))?;
    let log = open_log(&place)?;
    let mounts = match own_mounts::of(pid, &root) {
        Some(table) => table,
        None => Arc::new(MountTable::of(pid, &place, &evidence.root)?),
    };
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
        find_nothing(evidence);
        return Ok(());
    }
    stage.set(true);
    resolve(root, &absolute, remembered, record, &mounts, evidence)?;
    stage.set(false);
    look_elsewhere(record, Some(&cwd.node), &mounts, evidence)
}

/// The daemon's own mount table.
pub(super) fn own_mounts() -> Option<Arc<MountTable>> {
    let root = Node::open_magic("/proc/self/root").ok()?;
    own_mounts::of(std::process::id(), &root)
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
        let links = self.node.links();
        Holding {
            path: last_known(self.text.clone(), links),
            links,
            id: self.node.id(filesystem),
            filesystem,
            mount: if self.node.is_mounted(mounts) {
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
            Ok(held) if held.node.is_regular_file() => return Ok(Some(held)),
            // Closed or replaced in the meantime.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
