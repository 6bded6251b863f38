//! What the disk and the kernel say about one coordinator's workspace.
//!
//! Everything here may block for as long as a dead file server likes: it is called off the runtime
//! and under a time limit, see [`crate::supervisor::scan`]. Says what is there, not what it means.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::orphan::coordinator::{Coordinator, WorkspaceArgument};
use crate::orphan::evidence::{Access, Evidence, MountKey, PathState, PidFile};
use crate::orphan::process::{PidNamespace, ProcessRecord};
use crate::os::errno::errno_name;

mod fstab;
mod probe;
mod walk;

// What the kernel and the disk are asked differs: each platform has its own mount table, its own
// place in the tree and its own way to a process's belongings.
#[cfg_attr(target_os = "linux", path = "linux/mounts.rs")]
#[cfg_attr(target_os = "macos", path = "macos/mounts.rs")]
mod mounts;
#[cfg_attr(target_os = "linux", path = "linux/node.rs")]
#[cfg_attr(target_os = "macos", path = "macos/node.rs")]
mod node;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
#[path = "linux/own_mounts.rs"]
mod own_mounts;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(all(target_os = "linux", any(test, fuzzing)))]
#[path = "linux/fuzzed.rs"]
pub(crate) mod fuzzed;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(any(target_os = "macos", test))]
#[path = "macos/kinds.rs"]
mod kinds;

#[cfg(target_os = "linux")]
pub(in crate::os) use self::fstab::unescaped;

/// How mounts are told apart on this kernel, if that can be said. macOS knows one way only.
#[must_use]
pub fn mount_ids() -> Option<crate::orphan::checkup::MountIds> {
    #[cfg(target_os = "linux")]
    return Some(node::Node::open_magic("/").ok()?.mount_ids());
    #[cfg(not(target_os = "linux"))]
    None
}

/// The number of the mount that a path lies on by its text, in the daemon's own view: asks no disk and follows no link.
/// None if the mount table cannot be read.
#[must_use]
pub fn mount_by_name(path: &Path) -> Option<u64> {
    let mounts = platform::own_mounts()?;
    let above = mounts
        .numbered()
        .filter(|(_, point)| path.starts_with(point));
    // Of several at one point the newest is seen, as far as numbers tell.
    let deepest = above.max_by_key(|(number, point)| (point.components().count(), *number));
    deepest.map(|(number, _)| number)
}

/// What earlier looks tell of where a workspace is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remembered {
    /// The mount that it was seen on.
    pub mount: Option<MountKey>,
    /// The number of the mount that it hung on, if it was never seen.
    pub hung_on: Option<u64>,
}

/// Where a probe is. Others go by it while it hangs.
#[derive(Debug, Default)]
pub struct Stage(AtomicBool);

impl Stage {
    /// Whether it is at the path of the workspace, rather than at what else tells of it.
    #[must_use]
    pub fn is_at_the_workspace(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn at_the_workspace() -> Self {
        Self(AtomicBool::new(true))
    }

    fn set(&self, is_at_the_workspace: bool) {
        self.0.store(is_at_the_workspace, Ordering::Relaxed);
    }
}

/// Whose coordinators are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JudgedUids {
    /// Everybody's but root's.
    AllButRoot,
    /// These users'.
    Only(Vec<u32>),
}

impl JudgedUids {
    fn judges(&self, record: &ProcessRecord) -> bool {
        record.uids().all(|uid| match self {
            Self::AllButRoot => uid != 0,
            Self::Only(uids) => uids.contains(&uid),
        })
    }
}

/// The name of the file in which a workspace names its coordinator.
const PID_FILE: [&str; 3] = [".team", "runtime", "coordinator.pid"];
/// The end of the path of a coordinator's log.
const LOG_FILE: &str = ".team/runtime/coordinator.log";
/// The longest pid file that is believed, in bytes.
const PID_FILE_LIMIT_BYTES: usize = 32;
/// Where volumes are mounted and unmounted by hand or by a desktop.
const MOUNT_AREAS: [&str; 5] = ["/media", "/run/media", "/mnt", "/net", "/Volumes"];

/// Whether this process may be judged, by what is known without looking into it.
#[must_use]
pub fn access(record: &ProcessRecord, judged: &JudgedUids) -> Access {
    if !judged.judges(record) {
        Access::ForeignUid
    } else if record.namespace == PidNamespace::Foreign {
        Access::ForeignNamespace
    } else {
        Access::Judged
    }
}

/// Evidence for a coordinator that is not looked into any further, if it is such a one.
#[must_use]
pub fn without_probing(
    record: &ProcessRecord,
    coordinator: &Coordinator,
    judged: &JudgedUids,
) -> Option<Evidence> {
    let access = access(record, judged);
    let unusable = coordinator.workspace == WorkspaceArgument::Unusable;
    (unusable || access != Access::Judged).then(|| {
        let mut evidence =
            Evidence::not_probed(access, &coordinator.workspace, PathState::NotProbed);
        evidence.workspace = workspace_path(record, coordinator);
        evidence
    })
}

/// Evidence for a coordinator whose workspace gave no answer: because it did not in time, or because it was not asked.
#[must_use]
pub fn without_answer(
    record: &ProcessRecord,
    coordinator: &Coordinator,
    path: PathState,
) -> Evidence {
    let mut evidence = Evidence::not_probed(Access::Judged, &coordinator.workspace, path);
    evidence.workspace = workspace_path(record, coordinator);
    evidence
}

/// The workspace as an absolute path in the process's own view, as far as its text tells.
#[must_use]
pub fn workspace_path(record: &ProcessRecord, coordinator: &Coordinator) -> Option<PathBuf> {
    match &coordinator.workspace {
        WorkspaceArgument::Given(path) => workspace_of(record, path),
        WorkspaceArgument::Unusable => None,
    }
}

fn workspace_of(record: &ProcessRecord, argument: &Path) -> Option<PathBuf> {
    match argument.is_absolute() {
        true => Some(argument.to_path_buf()),
        false => Some(record.cwd.as_ref()?.join(argument)),
    }
}

/// Looks at everything that may tell what became of the workspace of a pinned, judged process.
///
/// Blocking, without a limit of its own: `stage` tells where it is.
#[must_use]
pub fn gather(
    record: &ProcessRecord,
    workspace: &Path,
    remembered: Remembered,
    stage: &Stage,
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
        mount_by_name: None,
    };
    match platform::look(record, workspace, remembered, stage, &mut evidence) {
        Ok(()) => evidence,
        Err(error) => {
            evidence.access = Access::Unreadable(errno_name(&error));
            // All that is known of it.
            evidence.workspace = evidence
                .workspace
                .or_else(|| workspace_of(record, workspace));
            evidence
        }
    }
}

/// A time as nanoseconds since the epoch.
fn nanoseconds(at: SystemTime) -> Option<i128> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i128::try_from(since.as_nanos()).ok()
}

/// A pid file's text: a decimal number, perhaps with white space around it.
fn parse_pid_file(bytes: &[u8]) -> Option<u32> {
    if bytes.len() > PID_FILE_LIMIT_BYTES {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_ascii();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|pid| *pid != 0)
}

/// The directories that are a Trash for `uid`: in its home, and at the top of each mount.
fn trashes(uid: u32, mount_points: &[PathBuf]) -> Vec<PathBuf> {
    let home = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map(|user| user.dir);
    let own_home = (nix::unistd::getuid().as_raw() == uid)
        .then(|| std::env::var_os("HOME").map(PathBuf::from))
        .flatten();
    let homes = home
        .into_iter()
        .chain(own_home)
        .filter(|home| home.is_absolute());
    let in_homes = homes.flat_map(|home| [home.join(".local/share/Trash"), home.join(".Trash")]);
    let on_mounts = mount_points.iter().flat_map(|point| {
        let on_linux = [point.join(".Trash"), point.join(format!(".Trash-{uid}"))];
        let on_macos = cfg!(target_os = "macos").then(|| point.join(".Trashes"));
        on_linux.into_iter().chain(on_macos)
    });
    in_homes.chain(on_mounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orphan::fixtures;

    fn access_of(uid: u32, other_uids: &[u32], judged: &JudgedUids) -> Access {
        let mut record = fixtures::record(4242);
        record.uid = uid;
        record.other_uids = other_uids.to_vec();
        access(&record, judged)
    }

    #[test]
    fn a_process_is_judged_only_if_all_of_its_uids_are() {
        let listed = JudgedUids::Only(vec![1000, 1001]);
        let everybody = JudgedUids::AllButRoot;
        for (uid, other_uids, by_listed, by_everybody) in [
            (1000, &[][..], Access::Judged, Access::Judged),
            (1000, &[1001], Access::Judged, Access::Judged),
            (1002, &[], Access::ForeignUid, Access::Judged),
            (1000, &[1002], Access::ForeignUid, Access::Judged),
            (0, &[], Access::ForeignUid, Access::ForeignUid),
            (1000, &[0], Access::ForeignUid, Access::ForeignUid),
            (0, &[1000], Access::ForeignUid, Access::ForeignUid),
        ] {
            let of = |judged| access_of(uid, other_uids, judged);
            assert_eq!(of(&listed), by_listed, "{uid} {other_uids:?}");
            assert_eq!(of(&everybody), by_everybody, "{uid} {other_uids:?}");
        }
        let root = JudgedUids::Only(vec![0]);
        assert_eq!(
            access_of(0, &[], &root),
            Access::Judged,
            "asked for by name"
        );
        assert_eq!(access_of(0, &[1000], &root), Access::ForeignUid);
    }

    #[test]
    fn a_process_of_another_pid_namespace_is_not_judged() {
        let mut record = fixtures::record(4242);
        record.namespace = PidNamespace::Foreign;
        let everybody = JudgedUids::AllButRoot;
        assert_eq!(access(&record, &everybody), Access::ForeignNamespace);
        let coordinator = Coordinator {
            form: "team-agent".to_owned(),
            workspace: WorkspaceArgument::Given("/home/me/ws".into()),
        };
        let evidence = without_probing(&record, &coordinator, &everybody).unwrap();
        assert_eq!(evidence.path, PathState::NotProbed);
        record.namespace = PidNamespace::Own;
        assert_eq!(without_probing(&record, &coordinator, &everybody), None);
    }

    #[test]
    fn who_cannot_be_looked_into_has_the_workspace_that_it_was_given() {
        // No process has such a pid.
        let mut record = fixtures::record(u32::MAX);
        record.cwd = Some("/home/me".into());
        for (argument, workspace) in [("/w/s", "/w/s"), ("s", "/home/me/s")] {
            let evidence = gather(
                &record,
                Path::new(argument),
                Remembered::default(),
                &Stage::default(),
            );
            assert!(matches!(evidence.access, Access::Unreadable(_)));
            assert_eq!(evidence.workspace.as_deref(), Some(Path::new(workspace)));
        }
    }

    #[test]
    fn a_pid_file_is_a_short_decimal_number_or_says_nothing() {
        for (text, pid) in [
            (&b"4242"[..], Some(4242)),
            (b" 4242\n", Some(4242)),
            (b"", None),
            (b"\n", None),
            (b"0", None),
            (b"-1", None),
            (b"+5", None),
            (b"12 34", None),
            (b"99999999999999999999", None),
            (b"000000000000000000000000000000042", None),
            (b"4242\xff", None),
        ] {
            assert_eq!(
                parse_pid_file(text),
                pid,
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
