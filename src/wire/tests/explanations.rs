//! `explain`: the rules tried, and what would be done.

use super::*;
use crate::orphan::fixtures::*;
use crate::orphan::registry::Sighting;
use crate::wire::explain::{Context, coordinator, stranger, unreadable};

const ALWAYS: [&str; 4] = ["pid", "is_coordinator", "rules", "would"];
const RULE: [&str; 3] = ["rule", "result", "evidence"];

fn explained(case: Case, held_back: Option<&'static str>) -> (Sighting, Value) {
    let (memory, rules) = (case.memory.clone(), case.rules.clone());
    let mut sighting = case.sighted(10);
    // What is remembered is from before this look.
    sighting.memory = memory.clone();
    let context = Context {
        memory: &memory,
        ephemeral: &rules,
        held_back,
        standing: None,
        now: clock(),
    };
    let result = coordinator(&sighting, &context);
    (sighting, result)
}

fn rules(result: &Value) -> &[Value] {
    result["rules"].as_array().unwrap()
}

#[test]
fn a_coordinator_is_explained_up_to_the_rule_that_applied() {
    for case in [
        healthy(),
        without_witness().path(missing()),
        without_witness().cwd(Seen::Deleted),
        without_witness().cwd(Seen::Detached),
        // Only what is remembered tells these.
        without_witness().cwd(Seen::Moved),
        without_witness()
            .path(exists(Some(RECREATED)))
            .remembering(|memory| memory.deletion = Some(PROVED)),
        without_witness().at("/tmp/team-agent-test-1/ws"),
    ] {
        let (sighting, result) = explained(case, None);
        assert_keys(&result, &[&ALWAYS, &["entry"]]);
        assert_keys(&result["entry"], &[&ENTRY]);
        assert_eq!(result["is_coordinator"], true);
        assert_eq!(result["pid"], 10);
        let rules = rules(&result);
        for rule in rules {
            assert_keys(rule, &[&RULE]);
        }
        assert_eq!(rules[0]["rule"], "is_coordinator");
        assert_eq!(rules[0]["result"], "yes");
        let (last, before) = rules.split_last().unwrap();
        let verdict = &sighting.verdict;
        let applied = format!("{}:{}", verdict.word(), verdict.reason());
        assert_eq!(last["result"], applied);
        assert_eq!(last["evidence"], result["entry"]["evidence"]);
        for rule in &before[1..] {
            assert_eq!(rule["result"], "does_not_apply");
        }
    }
}

#[test]
fn what_holds_an_orphan_back_is_the_last_rule() {
    let (_, result) = explained(without_witness().path(missing()), Some("it is kept"));
    let last = rules(&result).last().unwrap();
    assert_keys(last, &[&RULE]);
    assert_eq!(last["rule"], "held_back");
    assert_eq!(last["result"], "it is kept");
    let would = result["would"].as_str().unwrap();
    assert!(would.starts_with("be spared"), "{would}");
    assert!(would.contains("it is kept"), "{would}");
}

#[test]
fn would_says_what_would_be_done() {
    for (case, beginning) in [
        (healthy(), "be left alone"),
        (without_witness().path(dangling()), "be left alone"),
        (without_witness().path(missing()), "be ended"),
    ] {
        let (_, result) = explained(case, None);
        let would = result["would"].as_str().unwrap();
        assert!(would.starts_with(beginning), "{would}");
    }
}

#[test]
fn anybody_else_is_not_a_coordinator() {
    let mut record = record(77);
    record.argv = vec!["vim".into(), "x".repeat(9_000).into()];
    let result = stranger(&record);
    assert_keys(&result, &[&ALWAYS]);
    assert_eq!(result["pid"], 77);
    assert_eq!(result["is_coordinator"], false);
    let would = result["would"].as_str().unwrap();
    assert!(would.contains("not a coordinator"), "{would}");
    let rules = rules(&result);
    assert_keys(&rules[0], &[&RULE]);
    assert!(rules[0].to_string().len() < 4096, "a long argv is cut");
    assert_eq!(rules[0]["evidence"]["argv_truncated"], true);
    record.argv = vec!["x".repeat(256).into(); 16];
    let whole = &stranger(&record)["rules"][0]["evidence"];
    assert_eq!(whole["argv_truncated"], Value::Null);
    record.argv.push("y".into());
    let cut = &stranger(&record)["rules"][0]["evidence"];
    assert_eq!(cut["argv_truncated"], true);

    record.argv.clear();
    let kernel_thread = stranger(&record);
    assert_keys(&kernel_thread, &[&ALWAYS]);

    let unreadable = unreadable(78, "EACCES");
    assert_keys(&unreadable, &[&ALWAYS]);
    assert_eq!(unreadable["is_coordinator"], false);
}
