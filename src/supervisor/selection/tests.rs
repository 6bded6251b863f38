//! Which orphans a fix is about, and what becomes of the others.

use super::*;
use crate::orphan::evidence::PathState;
use crate::orphan::fixtures::*;

const MIN_AGE: Duration = Duration::from_secs(600);

fn alive(pid: Pid) -> Sighting {
    healthy().sighted(pid)
}

fn unknown(pid: Pid) -> Sighting {
    healthy().path(PathState::TimedOut).sighted(pid)
}

fn missing_at(path: &str, pid: Pid) -> Sighting {
    without_witness().at(path).path(missing()).sighted(pid)
}

fn gone(pid: Pid) -> Sighting {
    missing_at(WORKSPACE, pid)
}

fn new_there(pid: Pid) -> Sighting {
    without_witness().cwd(Seen::Deleted).sighted(pid)
}

fn of_age(mut sighting: Sighting, age: Duration) -> Sighting {
    sighting.observation.record.started_at = now() - age;
    sighting
}

fn ephemeral(pid: Pid, age: Duration) -> Sighting {
    let sighting = without_witness()
        .at("/tmp/team-agent-test-1/ws")
        .sighted(pid);
    of_age(sighting, age)
}

/// Who is to end, and who is spared why.
fn chosen(all: &[Sighting], selection: &Selection) -> (Vec<Pid>, Vec<(Pid, String)>) {
    let choice = choose(all.iter(), selection, MIN_AGE, now());
    let targets = choice.targets.iter().map(|one| one.identity().pid);
    let spared = choice.spared.into_iter();
    let spared = spared.map(|Spared { sighting, why }| (sighting.identity().pid, why));
    let strangers = choice.strangers.into_iter();
    let strangers = strangers.map(|pid| (pid, "a stranger".to_owned()));
    (targets.collect(), spared.chain(strangers).collect())
}

fn everything() -> Selection {
    Selection::default()
}

fn pids(pids: &[Pid]) -> Selection {
    Selection {
        pids: pids.to_vec(),
        ..everything()
    }
}

fn reasons(reasons: &[&str]) -> Selection {
    Selection {
        reasons: reasons.iter().map(ToString::to_string).collect(),
        ..everything()
    }
}

fn workspaces(workspaces: &[&str]) -> Selection {
    Selection {
        workspaces: workspaces.iter().map(Into::into).collect(),
        ..everything()
    }
}

fn spared(list: &[(Pid, &str)]) -> Vec<(Pid, String)> {
    list.iter()
        .map(|(pid, why)| (*pid, (*why).to_owned()))
        .collect()
}

#[test]
fn without_a_selection_every_orphan_is_meant_and_nobody_else() {
    let all = [alive(10), gone(11), unknown(12), new_there(13)];
    let chosen = chosen(&all, &everything());
    assert_eq!(chosen, (vec![11, 13], vec![]));
}

#[test]
fn an_ephemeral_one_that_is_young_is_spared() {
    let second = Duration::from_secs(1);
    let all = [
        ephemeral(10, second),
        ephemeral(11, MIN_AGE - second),
        ephemeral(12, MIN_AGE),
        ephemeral(13, MIN_AGE * 9),
        // Youth protects nobody whose workspace is gone.
        of_age(gone(14), second),
        of_age(new_there(15), second),
    ];
    let young = "younger_than_ephemeral_min_age";
    assert_eq!(
        chosen(&all, &everything()),
        (vec![12, 13, 14, 15], spared(&[(10, young), (11, young)]))
    );
}

#[test]
fn a_start_in_the_future_is_young() {
    let mut sighting = ephemeral(10, Duration::ZERO);
    sighting.observation.record.started_at = now() + MIN_AGE;
    assert!(sighting.is_young_ephemeral(MIN_AGE, now()));
    assert_eq!(chosen(&[sighting], &everything()).0, [0; 0]);
}

#[test]
fn a_young_ephemeral_one_is_meant_when_its_reason_or_its_pid_is_named() {
    let all = [ephemeral(10, Duration::ZERO), gone(11)];
    for selection in [
        pids(&[10]),
        reasons(&["ephemeral_tempdir_pattern"]),
        reasons(&["ephemeral_tempdir_pattern:team-agent-test-"]),
    ] {
        assert_eq!(
            chosen(&all, &selection),
            (vec![10], vec![]),
            "{selection:?}"
        );
    }
    // Its workspace does not name it clearly enough, nor does another hint.
    let workspace = workspaces(&["/tmp/team-agent-test-1/ws"]);
    let young = spared(&[(10, "younger_than_ephemeral_min_age")]);
    assert_eq!(chosen(&all, &workspace), (vec![], young));
    let other = reasons(&["ephemeral_tempdir_pattern:team-agent-stage"]);
    assert_eq!(chosen(&all, &other), (vec![], vec![]));
}

#[test]
fn a_pid_selects_that_orphan_alone() {
    let all = [gone(10), gone(11), alive(12)];
    assert_eq!(chosen(&all, &pids(&[11])), (vec![11], vec![]));
    assert_eq!(chosen(&all, &pids(&[11, 10, 11])), (vec![10, 11], vec![]));
}

#[test]
fn a_named_pid_that_is_no_orphans_is_spared_with_its_verdict() {
    let all = [alive(10), unknown(11), gone(12)];
    assert_eq!(
        chosen(&all, &pids(&[10, 11, 99, 1])),
        (
            vec![],
            spared(&[
                (10, "workspace_alive"),
                (11, "workspace_timeout"),
                (1, "a stranger"),
                (99, "a stranger"),
            ])
        )
    );
}

#[test]
fn a_reason_selects_by_kind_or_as_a_whole() {
    let all = [gone(10), new_there(11), ephemeral(12, MIN_AGE), alive(13)];
    for (wanted, meant) in [
        (vec!["workspace_path_missing"], vec![10]),
        (vec!["workspace_replaced"], vec![11]),
        (vec!["ephemeral_tempdir_pattern"], vec![12]),
        (
            vec!["workspace_replaced", "workspace_path_missing"],
            vec![10, 11],
        ),
        (vec!["workspace_trashed"], vec![]),
        (vec!["workspace_alive"], vec![]),
        (vec!["workspace"], vec![]),
        (vec!["ephemeral_tempdir_pattern:"], vec![]),
    ] {
        let chosen = chosen(&all, &reasons(&wanted));
        assert_eq!(chosen, (meant, vec![]), "{wanted:?}");
    }
}

#[test]
fn a_workspace_selects_exactly_that_one() {
    let linked = without_witness()
        .path(missing())
        .with(|evidence| evidence.resolved = Some("/data/ws".into()))
        .sighted(13);
    let all = [
        gone(10),
        missing_at("/home/me/ws/inner", 11),
        missing_at("/home/me/ws2", 12),
        linked,
    ];
    for (wanted, meant) in [
        (vec!["/home/me/ws"], vec![10, 13]),
        (vec!["/home/me/ws/"], vec![10, 13]),
        (vec!["/home/me/./ws/."], vec![10, 13]),
        // What `..` takes back may be a link, to somewhere else.
        (vec!["/home/me/x/../ws"], vec![]),
        (vec!["/data/ws"], vec![13]),
        (vec!["/home/me"], vec![]),
        (vec!["ws"], vec![]),
        (vec!["/home/me/ws2", "/home/me/ws/inner"], vec![11, 12]),
    ] {
        let chosen = chosen(&all, &workspaces(&wanted));
        assert_eq!(chosen, (meant, vec![]), "{wanted:?}");
    }
}

#[test]
fn all_lists_that_are_not_empty_must_match() {
    let all = [gone(10), gone(11), new_there(12)];
    let both = Selection {
        pids: vec![10, 12],
        reasons: vec!["workspace_path_missing".to_owned()],
        workspaces: vec![WORKSPACE.into()],
    };
    // Named by its pid, excluded by its reason: it is told so.
    assert_eq!(
        chosen(&all, &both),
        (vec![10], spared(&[(12, "not_selected")]))
    );
    let elsewhere = Selection {
        workspaces: vec![ELSEWHERE.into()],
        ..reasons(&["workspace_path_missing"])
    };
    assert_eq!(chosen(&all, &elsewhere), (vec![], vec![]));
}

#[test]
fn a_scan_of_one_workspace_shows_all_of_its_coordinators() {
    let all = [alive(10), gone(11), missing_at(ELSEWHERE, 12), unknown(13)];
    let of = |workspaces: &[&str]| -> Vec<Pid> {
        let workspaces = workspaces.iter().map(PathBuf::from).collect();
        of_workspaces(all.iter(), workspaces)
            .map(|one| one.identity().pid)
            .collect()
    };
    assert_eq!(of(&[]), [10, 11, 12, 13]);
    assert_eq!(of(&[WORKSPACE]), [10, 11, 13]);
    assert_eq!(of(&["/nowhere", ELSEWHERE]), [12]);
    assert_eq!(of(&["/nowhere"]), [0; 0]);
}
