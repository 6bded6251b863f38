//! Hints: a name below a temporary root, and only that.

use crate::orphan::ephemeral::EphemeralRoots;
use crate::orphan::fixtures::*;

const EPHEMERAL: &str = "orphan ephemeral_tempdir_pattern:team-agent-stage";
const ALIVE: &str = "alive workspace_alive";

#[test]
fn a_hint_counts_only_below_a_temporary_root() {
    for (path, verdict) in [
        ("/tmp/team-agent-stage-1/ws", EPHEMERAL),
        ("/tmp/pytest-of-me/xteam-agent-stage", EPHEMERAL),
        ("/home/me/team-agent-staged-rollout", ALIVE),
        ("/home/me/tmp/team-agent-stage-1", ALIVE),
        ("/tmp/ws", ALIVE),
        ("/tmp", ALIVE),
    ] {
        assert_eq!(without_witness().at(path).verdict(), verdict, "{path}");
    }
}

#[test]
fn a_hint_counts_where_the_workspace_really_is() {
    let case = |workspace: &str, resolved: &str| {
        without_witness().at(workspace).with(|evidence| {
            evidence.resolved = Some(resolved.into());
        })
    };
    let linked_out = case("/tmp/team-agent-stage-1", "/home/me/project");
    assert_eq!(linked_out.verdict(), ALIVE);
    let linked_in = case("/home/me/project", "/tmp/team-agent-stage-1");
    assert_eq!(linked_in.verdict(), EPHEMERAL);
}

#[test]
fn an_ephemeral_workspace_with_all_witnesses_in_place_is_an_orphan_by_its_name_alone() {
    let path = "/tmp/team-agent-stage-1/ws";
    let case = healthy().at(path).with(|evidence| {
        evidence.cwd = Some(holding(path, ORIGINAL));
        evidence.log = Some(log_in(path));
    });
    assert_eq!(case.verdict(), EPHEMERAL);
}

#[test]
fn the_first_hint_of_the_configuration_is_the_one_named() {
    let mut case = without_witness().at("/tmp/team-agent-test-1/team-agent-stage");
    assert_eq!(case.verdict(), EPHEMERAL);
    case.rules.hints.reverse();
    assert_eq!(
        case.verdict(),
        "orphan ephemeral_tempdir_pattern:team-agent-test-"
    );
    case.rules.hints.clear();
    assert_eq!(case.verdict(), ALIVE);
}

#[test]
fn anywhere_is_anywhere() {
    let mut case = without_witness().at("/home/me/team-agent-staged-rollout");
    case.rules.roots = EphemeralRoots::Anywhere;
    assert_eq!(case.verdict(), EPHEMERAL);
}
