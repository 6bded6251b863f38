//! What holds for every combination of evidence and memory, likely or not.

use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::orphan::coordinator::WorkspaceArgument;
use crate::orphan::evidence::{
    Access, Dangling, Detachable, Evidence, Fate, FileId, Filesystem, Holding, MountState,
    PathState, PidFile,
};
use crate::orphan::fixtures::*;
use crate::orphan::judge::{explain, judge};
use crate::orphan::memory::{Home, Memory, ProvedDeletion};
use crate::orphan::verdict::{OrphanReason, UnknownReason, Verdict};

const EPHEMERAL: &str = "/tmp/team-agent-test-7/ws";
const PLACES: [&str; 6] = [
    WORKSPACE,
    ELSEWHERE,
    IN_TRASH,
    EPHEMERAL,
    "/srv/jail/home/me/ws",
    "/",
];

/// Few enough that the same one comes up in several places.
fn file_id() -> impl Strategy<Value = FileId> {
    let nameless = FileId {
        born_ns: None,
        ..ORIGINAL
    };
    let on_another_device = FileId {
        device: 8,
        ..RECREATED
    };
    prop_oneof![
        3 => select(vec![ORIGINAL, RECREATED]),
        1 => select(vec![LOG, nameless, on_another_device]),
    ]
}

fn filesystem() -> impl Strategy<Value = Filesystem> {
    prop_oneof![
        4 => Just(Filesystem::Local),
        1 => select(vec![
            Filesystem::Unsteady,
            Filesystem::Network,
            Filesystem::Fuse,
            Filesystem::Autofs,
            Filesystem::Other,
        ]),
    ]
}

fn held(suffix: &'static str) -> impl Strategy<Value = Option<Holding>> {
    let mount = prop_oneof![
        6 => Just(MountState::Attached),
        1 => Just(MountState::Detached),
    ];
    let holding = (
        select(PLACES.to_vec()),
        0..3_u64,
        file_id(),
        filesystem(),
        mount,
    )
        .prop_map(move |(place, links, id, filesystem, mount)| Holding {
            path: PathBuf::from(place).join(suffix),
            links,
            id,
            filesystem,
            mount,
        });
    option::of(holding)
}

fn path_state() -> impl Strategy<Value = PathState> {
    let missing = (
        select(vec![Dangling::No, Dangling::Symlink]),
        option::weighted(
            0.2,
            select(vec![
                Detachable::Ancestor(Filesystem::Network),
                Detachable::RememberedMount,
                Detachable::HungMount,
            ]),
        ),
    )
        .prop_map(|(dangling, detachable)| PathState::Missing {
            dangling,
            detachable,
        });
    prop_oneof![
        4 => option::weighted(0.8, file_id()).prop_map(exists),
        4 => missing,
        1 => Just(PathState::Failed("EACCES")),
        1 => Just(PathState::TimedOut),
        1 => Just(PathState::NotProbed),
    ]
}

fn pid_file() -> impl Strategy<Value = PidFile> {
    prop_oneof![
        3 => Just(PidFile::Absent),
        1 => Just(PidFile::NamesAnother(7)),
        1 => Just(PidFile::NamesIt),
        1 => Just(PidFile::Unclear),
    ]
}

fn place() -> impl Strategy<Value = Option<PathBuf>> {
    option::weighted(0.9, select(PLACES.to_vec()).prop_map(PathBuf::from))
}

prop_compose! {
    fn evidence()(
        access in prop_oneof![
            9 => Just(Access::Judged),
            1 => select(vec![
                Access::ForeignUid,
                Access::ForeignNamespace,
                Access::Unreadable("EPERM"),
            ]),
        ],
        (workspace, resolved, relative) in (place(), place(), any::<bool>()),
        root in select(vec!["/", "/", "/", "/srv/jail"]),
        cwd in held(""),
        log in held(".team/runtime/coordinator.log"),
        path in path_state(),
        (pid_file, cwd_pid_file) in (pid_file(), pid_file()),
    ) -> Evidence {
        Evidence {
            access,
            workspace,
            relative,
            resolved,
            root: root.into(),
            cwd,
            log,
            path,
            pid_file,
            cwd_pid_file,
            trashes: vec![TRASH.into()],
            process_started_ns: None,
            mount_by_name: None,
        }
    }
}

prop_compose! {
    fn memory()(
        cwd_at_workspace in option::of(file_id()),
        original in option::of(file_id()),
        home in option::of((file_id(), place(), any::<bool>())),
        deletion in option::weighted(0.3, (any::<bool>(), option::of(file_id()))),
        mount in option::weighted(0.7, Just(MOUNT)),
    ) -> Memory {
        Memory {
            cwd_at_workspace,
            original,
            mount,
            home: home.map(|(directory, at, is_deleted)| Home { directory, at, is_deleted }),
            deletion: deletion.map(|(of_workspace, log)| ProvedDeletion { of_workspace, log }),
            discredited_log: None,
            hung_on: None,
        }
    }
}

prop_compose! {
    fn case()(
        usable in prop::bool::weighted(0.95),
        evidence in evidence(),
        memory in memory(),
    ) -> Case {
        Case {
            argument: if usable {
                WorkspaceArgument::Given(WORKSPACE.into())
            } else {
                WorkspaceArgument::Unusable
            },
            evidence,
            memory,
            rules: healthy().rules,
        }
    }
}

impl Case {
    fn judged(&self) -> Verdict {
        judge(&self.argument, &self.evidence, &self.memory, &self.rules)
    }

    fn fates(&self) -> Vec<Fate> {
        [
            self.evidence.cwd_fate(self.memory.cwd_at_workspace),
            self.memory.log_fate(&self.evidence),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether anything, now or earlier, says that the original was deleted.
    fn knows_of_a_deletion(&self) -> bool {
        self.fates().contains(&Fate::Deleted) || self.memory.knows_of_a_deletion()
    }
}

fn is_deletion(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Orphan(OrphanReason::PathMissing | OrphanReason::Replaced)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn judging_is_deterministic_and_explain_ends_with_its_verdict(case in case()) {
        let verdict = case.judged();
        prop_assert_eq!(&case.judged(), &verdict);
        let tried = explain(&case.argument, &case.evidence, &case.memory, &case.rules);
        let (last, before) = tried.split_last().unwrap();
        prop_assert_eq!(last.1.as_ref(), Some(&verdict));
        prop_assert!(before.iter().all(|(_, said)| said.is_none()));
    }

    #[test]
    fn nobody_is_an_orphan_who_may_not_be_judged_or_names_no_workspace(case in case()) {
        if case.evidence.access != Access::Judged || case.argument == WorkspaceArgument::Unusable {
            prop_assert_eq!(case.judged().word(), "unknown");
        }
    }

    #[test]
    fn a_deletion_is_never_contradicted_by_a_witness(case in case()) {
        if is_deletion(&case.judged()) {
            for fate in case.fates() {
                prop_assert!(
                    matches!(fate, Fate::Deleted | Fate::Unprovable),
                    "{:?}", fate
                );
            }
            prop_assert_ne!(case.evidence.cwd_pid_file, PidFile::NamesIt);
        }
    }

    #[test]
    fn a_path_that_gave_no_clear_answer_makes_no_orphan(case in case()) {
        let unclear = matches!(
            case.evidence.path,
            PathState::Failed(_) | PathState::TimedOut | PathState::NotProbed
        );
        if unclear {
            match case.judged() {
                // A witness in the Trash says it all, whatever the path says.
                Verdict::Orphan(OrphanReason::Trashed) => {
                    prop_assert!(case.fates().contains(&Fate::Trashed));
                }
                verdict => prop_assert_eq!(verdict.word(), "unknown"),
            }
        }
    }

    #[test]
    fn missing_is_said_of_a_missing_path_alone(case in case()) {
        if case.judged() == Verdict::Orphan(OrphanReason::PathMissing) {
            let PathState::Missing { dangling, detachable } = &case.evidence.path else {
                return Err(TestCaseError::fail("the path is not missing"));
            };
            if !case.knows_of_a_deletion() {
                prop_assert_eq!(case.fates(), vec![]);
                prop_assert_eq!(*dangling, Dangling::No);
                prop_assert_eq!(detachable, &None);
                prop_assert!(!case.evidence.relative);
                prop_assert!(case.evidence.cwd_pid_file.names_somebody_else());
            }
        }
    }

    #[test]
    fn replaced_is_said_only_of_a_proved_deletion_that_the_pid_file_does_not_deny(case in case()) {
        if case.judged() == Verdict::Orphan(OrphanReason::Replaced) {
            prop_assert!(case.knows_of_a_deletion());
            prop_assert!(matches!(
                case.evidence.pid_file,
                PidFile::Absent | PidFile::NamesAnother(_)
            ));
            let is_there = matches!(case.evidence.path, PathState::Exists { .. });
            prop_assert!(is_there);
        }
    }

    #[test]
    fn trashed_is_said_only_of_witnesses_that_are_nowhere_else(case in case()) {
        if case.judged() == Verdict::Orphan(OrphanReason::Trashed) {
            let fates = case.fates();
            prop_assert!(fates.contains(&Fate::Trashed));
            prop_assert!(!fates.contains(&Fate::InPlace));
            prop_assert!(!fates.contains(&Fate::Moved));
            prop_assert!(!fates.contains(&Fate::Detached));
        }
    }

    #[test]
    fn ephemeral_is_said_only_of_a_path_that_exists_below_a_temporary_root(case in case()) {
        if matches!(case.judged(), Verdict::Orphan(OrphanReason::Ephemeral(_))) {
            prop_assert_eq!(case.evidence.resolved, Some(EPHEMERAL.into()));
            let is_there = matches!(case.evidence.path, PathState::Exists { .. });
            prop_assert!(is_there);
        }
    }

    #[test]
    fn a_detached_witness_is_never_an_orphans(case in case()) {
        let verdict = case.judged();
        if case.fates().contains(&Fate::Detached) {
            prop_assert_eq!(verdict.word(), "unknown");
        } else if verdict == Verdict::Unknown(UnknownReason::Moved) {
            let fates = case.fates();
            prop_assert!(
                fates.contains(&Fate::Moved)
                    || fates.contains(&Fate::Trashed)
                    || case.evidence.cwd_pid_file == PidFile::NamesIt
                    || case.evidence.cwd_pid_file == PidFile::Unclear
            );
        }
    }

    #[test]
    fn what_no_file_system_vouches_for_proves_nothing(mut case in case()) {
        case.memory.deletion = None;
        case.memory.home = None;
        for held in [&mut case.evidence.cwd, &mut case.evidence.log].into_iter().flatten() {
            held.filesystem = Filesystem::Network;
        }
        match case.judged() {
            Verdict::Orphan(OrphanReason::Replaced) => prop_assert!(false, "replaced"),
            Verdict::Orphan(OrphanReason::PathMissing) => {
                prop_assert_eq!(case.fates(), vec![]);
            }
            _ => {}
        }
    }

    #[test]
    fn a_second_look_that_shows_the_same_gives_the_same_verdict(mut case in case()) {
        let verdict = case.judged();
        case.memory.learn(&case.evidence);
        prop_assert_eq!(case.judged(), verdict);
    }

    #[test]
    fn a_proof_is_lost_only_to_the_original_or_to_the_pid_file(mut case in case()) {
        let before = case.memory.clone();
        let knew = case.knows_of_a_deletion();
        case.memory.learn(&case.evidence);
        if knew && !case.memory.knows_of_a_deletion() {
            // Home takes back only what was seen of home.
            let was_held = before.deletion.is_some() || case.fates().contains(&Fate::Deleted);
            let home = before.home.map(|home| home.directory).filter(|_| !was_held);
            let is_back = matches!(
                &case.evidence.path,
                PathState::Exists { directory: Some(now), .. }
                    if [before.cwd_at_workspace, before.original, home].contains(&Some(*now))
            );
            prop_assert!(is_back || case.evidence.pid_file == PidFile::NamesIt);
        }
        prop_assert!(knew || !case.memory.knows_of_a_deletion());
    }
}
