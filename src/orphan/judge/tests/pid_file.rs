//! The pid file: who is named in it, at the path and in the cwd.

use crate::orphan::evidence::PidFile;
use crate::orphan::fixtures::*;

const ALL: [PidFile; 4] = [
    PidFile::NamesIt,
    PidFile::NamesAnother(7),
    PidFile::Absent,
    PidFile::Unclear,
];

#[test]
fn only_an_absent_pid_file_or_another_number_lets_a_workspace_be_replaced() {
    let replaced = || {
        without_witness()
            .cwd(Seen::Deleted)
            .log(Seen::Deleted)
            .path(exists(Some(RECREATED)))
    };
    let by_log = || replaced().cwd(Seen::Absent);
    let kept = || {
        without_witness()
            .path(exists(Some(RECREATED)))
            .remembering(|memory| memory.deletion = Some(PROVED))
    };
    for case in [replaced(), by_log(), kept()] {
        for pid_file in ALL {
            let verdict = match pid_file {
                PidFile::NamesIt | PidFile::Unclear => "alive workspace_alive",
                PidFile::Absent | PidFile::NamesAnother(_) => "orphan workspace_replaced",
            };
            assert_eq!(
                case.clone().pid_file(pid_file).verdict(),
                verdict,
                "{pid_file:?}"
            );
        }
    }
}

#[test]
fn only_an_absent_pid_file_or_another_number_makes_a_doubt() {
    for pid_file in ALL {
        let verdict = match pid_file {
            PidFile::NamesIt | PidFile::Unclear => "alive workspace_alive",
            PidFile::Absent | PidFile::NamesAnother(_) => "unknown workspace_maybe_replaced",
        };
        let case = without_witness()
            .pid_file(pid_file)
            .path(exists(Some(RECREATED)))
            .remembering(|memory| memory.original = Some(ORIGINAL));
        assert_eq!(case.verdict(), verdict, "{pid_file:?}");
    }
}

#[test]
fn no_pid_file_makes_a_healthy_coordinator_an_orphan() {
    for pid_file in ALL {
        let verdict = healthy().pid_file(pid_file).verdict();
        assert_eq!(verdict, "alive workspace_alive", "{pid_file:?}");
        let verdict = without_witness().pid_file(pid_file).verdict();
        assert_eq!(verdict, "alive workspace_alive", "{pid_file:?}");
    }
}

#[test]
fn a_pid_file_in_the_cwd_that_names_it_or_nobody_may_be_that_of_a_moved_workspace() {
    for pid_file in ALL {
        let case = |path| {
            without_witness()
                .cwd(Seen::Elsewhere)
                .path(path)
                .with(|evidence| evidence.cwd_pid_file = pid_file)
        };
        let (at_missing, at_recreated) = match pid_file {
            PidFile::NamesIt => ("unknown workspace_moved", "unknown workspace_moved"),
            // It speaks for nobody else, and where the workspace is says nothing of it.
            PidFile::Unclear => ("unknown workspace_moved", "alive workspace_alive"),
            _ => ("orphan workspace_path_missing", "alive workspace_alive"),
        };
        assert_eq!(case(missing()).verdict(), at_missing, "{pid_file:?}");
        let recreated = exists(Some(RECREATED));
        assert_eq!(case(recreated).verdict(), at_recreated, "{pid_file:?}");
        // Against a proof only its name counts.
        let proved = case(missing()).log(Seen::Deleted).verdict();
        match pid_file {
            PidFile::NamesIt => assert_eq!(proved, "unknown workspace_moved"),
            _ => assert_eq!(proved, "orphan workspace_path_missing", "{pid_file:?}"),
        }
    }
}
