//! Values for the tests of this crate: one healthy coordinator with everything in its place, and
//! the ways to bend it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::clock::{Moment, Now};
use super::coordinator::{Coordinator, WorkspaceArgument};
use super::ephemeral::{EphemeralRoots, EphemeralRules};
use super::evidence::{
    Access, Dangling, Detachable, Evidence, FileId, Filesystem, Holding, MountKey, MountState,
    PathState, PidFile,
};
use super::judge::{explain, judge};
use super::memory::{Memory, ProvedDeletion};
use super::policy::Rules;
use super::process::{Pid, PidNamespace, ProcessIdentity, ProcessRecord, RunState};
use super::registry::{Observation, Registry, Sighting};

/// Where the coordinator works.
pub(crate) const WORKSPACE: &str = "/home/me/ws";
/// Where its workspace went, if it was moved.
pub(crate) const ELSEWHERE: &str = "/home/me/ws2";
/// A Trash, and the workspace in it.
pub(crate) const TRASH: &str = "/home/me/.local/share/Trash";
pub(crate) const IN_TRASH: &str = "/home/me/.local/share/Trash/files/ws";
/// The mount that everything is on.
pub(crate) const MOUNT: MountKey = MountKey { id: 30, device: 7 };

const LOG_IN_WORKSPACE: &str = ".team/runtime/coordinator.log";

/// The directory that the coordinator was started in.
pub(crate) const ORIGINAL: FileId = FileId {
    device: 7,
    inode: 100,
    born_ns: Some(1_000),
};
/// Its log, made in it a little later.
pub(crate) const LOG: FileId = FileId {
    device: 7,
    inode: 101,
    born_ns: Some(2_000),
};
/// What the coordinator makes at the old path after a deletion.
pub(crate) const RECREATED: FileId = FileId {
    device: 7,
    inode: 200,
    born_ns: Some(9_000),
};

/// When the coordinator was started, in a directory that was just made for it.
pub(crate) const STARTED_NS: i128 = 1_000;

/// What is seen of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The process holds nothing.
    Absent,
    /// It holds something that was never in the workspace (a cwd; a log is one by its name).
    Elsewhere,
    InPlace,
    Deleted,
    Trashed,
    Moved,
    Detached,
    /// Deleted, says a network file system.
    Unprovable,
}

/// One look at one coordinator, with what is remembered of earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) argument: WorkspaceArgument,
    pub(crate) evidence: Evidence,
    pub(crate) memory: Memory,
    pub(crate) rules: EphemeralRules,
}

/// A healthy one: cwd and log in place, the path exists, the pid file names it.
pub(crate) fn healthy() -> Case {
    Case {
        argument: WorkspaceArgument::Given(WORKSPACE.into()),
        evidence: Evidence {
            access: Access::Judged,
            workspace: Some(WORKSPACE.into()),
            relative: false,
            resolved: Some(WORKSPACE.into()),
            root: "/".into(),
            cwd: Some(holding(WORKSPACE, ORIGINAL)),
            log: Some(log_in(WORKSPACE)),
            path: exists(Some(ORIGINAL)),
            pid_file: PidFile::NamesIt,
            cwd_pid_file: PidFile::Absent,
            trashes: vec![TRASH.into()],
            process_started_ns: Some(STARTED_NS),
            mount_by_name: None,
        },
        memory: Memory::default(),
        rules: EphemeralRules {
            hints: vec!["team-agent-stage".into(), "team-agent-test-".into()],
            roots: EphemeralRoots::Below(vec!["/tmp".into()]),
        },
    }
}

/// One without any witness, at a path that exists and whose pid file is not there.
pub(crate) fn without_witness() -> Case {
    healthy()
        .cwd(Seen::Absent)
        .log(Seen::Absent)
        .pid_file(PidFile::Absent)
}

pub(crate) fn exists(directory: Option<FileId>) -> PathState {
    PathState::Exists {
        directory,
        mount: MOUNT,
    }
}

pub(crate) fn missing() -> PathState {
    PathState::Missing {
        dangling: Dangling::No,
        detachable: None,
    }
}

pub(crate) fn dangling() -> PathState {
    PathState::Missing {
        dangling: Dangling::Symlink,
        detachable: None,
    }
}

pub(crate) fn detachable(why: Detachable) -> PathState {
    PathState::Missing {
        dangling: Dangling::No,
        detachable: Some(why),
    }
}

/// Something on a local disk that is where it says.
pub(crate) fn holding(path: &str, id: FileId) -> Holding {
    Holding {
        path: path.into(),
        links: 2,
        id,
        filesystem: Filesystem::Local,
        mount: MountState::Attached,
    }
}

pub(crate) fn log_in(workspace: &str) -> Holding {
    Holding {
        links: 1,
        ..holding(&format!("{workspace}/{LOG_IN_WORKSPACE}"), LOG)
    }
}

fn bent(seen: Seen, at: impl Fn(&str) -> Holding) -> Option<Holding> {
    Some(match seen {
        Seen::Absent => return None,
        Seen::Elsewhere => at("/srv/launcher"),
        Seen::InPlace => at(WORKSPACE),
        Seen::Deleted => Holding {
            links: 0,
            ..at(WORKSPACE)
        },
        Seen::Trashed => at(IN_TRASH),
        Seen::Moved => at(ELSEWHERE),
        Seen::Detached => Holding {
            mount: MountState::Detached,
            ..at(WORKSPACE)
        },
        Seen::Unprovable => Holding {
            links: 0,
            filesystem: Filesystem::Network,
            ..at(WORKSPACE)
        },
    })
}

impl Case {
    /// A cwd with this fate. One that is elsewhere now was seen in its place before.
    pub(crate) fn cwd(mut self, seen: Seen) -> Self {
        if matches!(seen, Seen::Trashed | Seen::Moved) {
            self.memory.cwd_at_workspace = Some(ORIGINAL);
        }
        self.evidence.cwd = bent(seen, |path| holding(path, ORIGINAL));
        self
    }

    pub(crate) fn log(mut self, seen: Seen) -> Self {
        self.evidence.log = bent(seen, log_in);
        self
    }

    pub(crate) fn path(mut self, path: PathState) -> Self {
        self.evidence.path = path;
        self
    }

    pub(crate) fn pid_file(mut self, pid_file: PidFile) -> Self {
        self.evidence.pid_file = pid_file;
        self
    }

    pub(crate) fn access(mut self, access: Access) -> Self {
        self.evidence.access = access;
        self
    }

    pub(crate) fn relative(mut self) -> Self {
        self.argument = WorkspaceArgument::Given("ws".into());
        self.evidence.relative = true;
        self
    }

    /// At another path, for what is judged by its name.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.argument = WorkspaceArgument::Given(path.into());
        self.evidence.workspace = Some(path.into());
        self.evidence.resolved = Some(path.into());
        self
    }

    pub(crate) fn remembering(mut self, bend: impl FnOnce(&mut Memory)) -> Self {
        bend(&mut self.memory);
        self
    }

    pub(crate) fn with(mut self, bend: impl FnOnce(&mut Evidence)) -> Self {
        bend(&mut self.evidence);
        self
    }

    /// Its verdict and reason in the contract's words.
    pub(crate) fn verdict(&self) -> String {
        let verdict = judge(&self.argument, &self.evidence, &self.memory, &self.rules);
        let explained = explain(&self.argument, &self.evidence, &self.memory, &self.rules);
        assert_eq!(
            explained.last().and_then(|(_, verdict)| verdict.as_ref()),
            Some(&verdict),
            "explain ends with what judge says"
        );
        format!("{} {}", verdict.word(), verdict.reason())
    }

    /// Learns from this look, and looks again: at `next`, with the memory of this one.
    pub(crate) fn then(mut self, next: Self) -> Self {
        self.memory.learn(&self.evidence);
        Self {
            memory: self.memory,
            ..next
        }
    }

    /// Looks again, with what is remembered so far.
    pub(crate) fn then_without_learning(self, next: Self) -> Self {
        Self {
            memory: self.memory,
            ..next
        }
    }

    pub(crate) fn observed(self, pid: Pid) -> Observation {
        Observation {
            record: record(pid),
            coordinator: Coordinator {
                form: "team-agent".to_owned(),
                workspace: self.argument,
            },
            evidence: self.evidence,
        }
    }

    /// As a scan would have it that remembers what this case does.
    pub(crate) fn sighted(self, pid: Pid) -> Sighting {
        let (memory, rules) = (self.memory.clone(), self.rules.clone());
        let known = Sighting {
            memory,
            sightings: 0,
            ..Registry::glance(None, self.clone().observed(pid), &rules, now())
        };
        Registry::glance(Some(&known), self.observed(pid), &rules, now())
    }
}

/// A deletion that an earlier look proved by both witnesses.
pub(crate) const PROVED: ProvedDeletion = ProvedDeletion {
    of_workspace: true,
    log: Some(LOG),
};

/// The time of the tests.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

/// The clocks of the tests.
pub(crate) fn clock() -> Now {
    Now {
        wall: now(),
        moment: Moment(Duration::from_secs(5_000)),
        asleep: Duration::ZERO,
    }
}

/// Grace 60 s, three sightings, start grace 600 s, a scan every 10 s.
pub(crate) fn rules() -> Rules {
    Rules {
        confirm: true,
        reasons: ["workspace_path_missing", "workspace_replaced"]
            .map(str::to_owned)
            .into(),
        grace: Duration::from_secs(60),
        min_sightings: 3,
        start_grace: Duration::from_secs(600),
        max_per_scan: 10,
        breaker_window: Duration::from_secs(60),
        breaker_share: 0.5,
        ephemeral_min_age: Duration::from_secs(600),
        protect: vec!["/home/me/protected".into()],
        interval: Duration::from_secs(10),
        stall: Duration::from_secs(60),
    }
}

/// A coordinator process that started an hour before [`now`].
pub(crate) fn record(pid: Pid) -> ProcessRecord {
    ProcessRecord {
        identity: ProcessIdentity {
            pid,
            start: 10 * u64::from(pid),
            unique: 0,
        },
        argv: ["team-agent", "coordinator", "--workspace", WORKSPACE]
            .map(Into::into)
            .to_vec(),
        ppid: 1,
        pgid: pid,
        sid: pid,
        uid: 1000,
        other_uids: Vec::new(),
        started_at: now() - Duration::from_secs(3_600),
        rss_bytes: 10_000_000,
        cwd: Some(PathBuf::from(WORKSPACE)),
        state: RunState('S'),
        namespace: PidNamespace::Own,
    }
}
