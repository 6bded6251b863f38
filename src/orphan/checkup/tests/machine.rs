//! What the daemon sees, the kernel, the descriptors.

use super::*;
use crate::orphan::view::Obstacle;

#[test]
fn what_hides_something_is_a_problem_and_what_was_not_compared_a_doubt() {
    assert_finds(&view(Some(&[])), Finding::Ok, &[]);
    assert_finds(&view(None), Finding::Warning, &["could not be compared"]);
    let late = view(Some(&[Obstacle::NotCompared]));
    assert_finds(&late, Finding::Warning, &["no answer in time"]);
    for (obstacle, remedy) in [
        (
            Obstacle::HiddenPath {
                path: "/tmp".into(),
                compared_with: 1,
            },
            "PrivateTmp=",
        ),
        (
            Obstacle::AnotherRoot { compared_with: 1 },
            "outside of the chroot",
        ),
        (
            Obstacle::FilteredProcesses {
                option: "hidepid=2".to_owned(),
            },
            "ProtectProc=",
        ),
        (Obstacle::UserNamespace, "PrivateUsers="),
    ] {
        let found = view(Some(&[Obstacle::NotCompared, obstacle.clone()]));
        assert_finds(
            &found,
            Finding::Problem,
            &[&obstacle.to_string(), "nothing is ended automatically"],
        );
        assert!(found.remedy.unwrap().contains(remedy));
    }
}

fn modern() -> Kernel {
    Kernel {
        name: "Linux 6.9".to_owned(),
        fitness: Ok(()),
        signals: Ok(()),
        mount_ids: Some(MountIds::Unique),
        has_unique_numbers: true,
    }
}

#[test]
fn a_kernel_without_handles_or_signals_is_a_problem() {
    assert_finds(
        &kernel(&modern()),
        Finding::Ok,
        &["Linux 6.9 gives everything"],
    );
    let unfit = Kernel {
        fitness: Err("no pidfd_open".to_owned()),
        ..modern()
    };
    let words = ["nothing can be judged", "no pidfd_open", "Linux 5.3"];
    assert_finds(&kernel(&unfit), Finding::Problem, &words);
    let mute = Kernel {
        signals: Err("EPERM".to_owned()),
        ..modern()
    };
    let words = ["watched but not ended", "EPERM", "seccomp"];
    assert_finds(&kernel(&mute), Finding::Problem, &words);
}

#[test]
fn what_an_older_kernel_lacks_is_said_with_what_it_costs() {
    for (mount_ids, has_unique_numbers, costs) in [
        (MountIds::Reused, true, &["6.8"][..]),
        (MountIds::FromText, true, &["5.8"]),
        (MountIds::Unique, false, &["6.9", "start time"]),
        (MountIds::FromText, false, &["5.8", "6.9"]),
    ] {
        let older = Kernel {
            mount_ids: Some(mount_ids),
            has_unique_numbers,
            ..modern()
        };
        assert_finds(&kernel(&older), Finding::Ok, costs);
    }
    let elsewhere = Kernel {
        mount_ids: None,
        ..modern()
    };
    assert!(kernel(&elsewhere).says.ends_with("everything that is used"));
}

#[test]
fn too_few_descriptors_for_a_thousand_kills_are_said() {
    let judge = |soft, standpoint| {
        let found = Descriptors {
            soft,
            hard: 4_096,
            open: Some(14),
        };
        descriptors(&found, standpoint)
    };
    for (soft, finding) in [
        (u64::MAX, Finding::Ok),
        (2_300, Finding::Ok),
        (2_299, Finding::Warning),
        (100, Finding::Warning),
        (99, Finding::Problem),
        (0, Finding::Problem),
    ] {
        assert_finds(
            &judge(soft, Standpoint::Daemon),
            finding,
            &["2300", "14 are"],
        );
    }
    assert_finds(
        &judge(1_024, Standpoint::Client),
        Finding::Warning,
        &["1024 files", "LimitNOFILE=", "the limit is 4096"],
    );
}
