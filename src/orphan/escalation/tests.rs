//! Every path through the state machine, and the short ones by name.

use super::*;

const TERM: Signal = Signal::Term;
const KILL: Signal = Signal::Kill;

fn every_input() -> Vec<Input> {
    vec![
        Input::CheckPassed,
        Input::CheckFailed {
            why: "workspace_alive".into(),
        },
        Input::CheckUnavailable {
            detail: "process_unreadable".into(),
        },
        Input::Gone,
        Input::Recorded,
        Input::NotRecorded,
        Input::Sent,
        Input::Refused {
            detail: "EPERM".into(),
        },
        Input::WaitOver,
    ]
}

fn walk(audit: Audit, inputs: &[Input]) -> Escalation {
    let mut escalation = Escalation::new(audit);
    for input in inputs {
        escalation.advance(input.clone());
    }
    escalation
}

#[test]
fn an_obedient_process_gets_one_signal_after_check_and_record() {
    let escalation = walk(
        Audit::Required,
        &[
            Input::CheckPassed,
            Input::Recorded,
            Input::Sent,
            Input::Gone,
        ],
    );
    assert_eq!(
        escalation.outcome(),
        Some(&Outcome::Killed {
            sigkill_required: false
        })
    );
}

#[test]
fn a_stubborn_process_is_checked_and_recorded_again_before_sigkill() {
    let mut escalation = walk(
        Audit::Required,
        &[
            Input::CheckPassed,
            Input::Recorded,
            Input::Sent,
            Input::WaitOver,
        ],
    );
    assert_eq!(escalation.step(), Step::Check);
    escalation.advance(Input::CheckPassed);
    assert_eq!(escalation.step(), Step::Record(KILL));
    escalation.advance(Input::Recorded);
    assert_eq!(escalation.step(), Step::Send(KILL));
    escalation.advance(Input::Sent);
    assert_eq!(escalation.step(), Step::Await(KILL));
    escalation.advance(Input::Gone);
    assert_eq!(
        escalation.outcome(),
        Some(&Outcome::Killed {
            sigkill_required: true
        })
    );
}

/// What a path through the machine has seen so far.
#[derive(Clone, Copy, Default)]
struct Seen {
    checks: usize,
    answered: Option<Signal>,
    sent: [usize; 2],
}

/// Every path there is: each input in each state, followed as long as something changes. A
/// signal is asked for only after a check for it and an answer about its record, TERM before
/// KILL, each at most once; nothing follows an outcome; every path ends.
#[test]
fn no_order_of_inputs_reaches_a_signal_without_its_check_and_record() {
    fn explore(at: &Escalation, seen: Seen, depth: usize, paths: &mut usize) {
        assert!(depth < 10, "an escalation without an end: {at:?}");
        for input in every_input() {
            let mut next = at.clone();
            next.advance(input.clone());
            if next == *at {
                continue;
            }
            assert_eq!(at.outcome(), None, "something follows an outcome");
            let mut seen = seen;
            match next.step() {
                Step::Record(_) => {
                    assert_eq!((at.step(), &input), (Step::Check, &Input::CheckPassed));
                    seen.checks += 1;
                    seen.answered = None;
                }
                Step::Send(signal) => {
                    assert_eq!(at.step(), Step::Record(signal));
                    let written = input == Input::Recorded;
                    let goes_on = input == Input::NotRecorded && at.audit == Audit::Wanted;
                    assert!(
                        written || goes_on,
                        "sent without a record: {at:?} {input:?}"
                    );
                    seen.answered = Some(signal);
                }
                Step::Await(signal) => {
                    assert_eq!(seen.answered, Some(signal));
                    let order = usize::from(signal == KILL);
                    assert_eq!(seen.sent, [order, 0], "out of order or twice");
                    assert_eq!(seen.checks, order + 1, "not checked for this signal");
                    seen.sent[order] += 1;
                }
                Step::Check | Step::Finish(_) => {}
            }
            if matches!(next.step(), Step::Finish(_)) {
                *paths += 1;
            }
            explore(&next, seen, depth + 1, paths);
        }
    }
    for (audit, expected) in [(Audit::Required, 25), (Audit::Wanted, 52)] {
        let mut paths = 0;
        explore(&Escalation::new(audit), Seen::default(), 0, &mut paths);
        assert_eq!(paths, expected, "{audit:?}");
    }
}

#[test]
fn without_a_record_automatic_reaping_does_not_signal() {
    let failed = Outcome::Failed {
        error: Failure::AuditUnavailable,
        detail: None,
        sigkill_attempted: false,
    };
    let first = [Input::CheckPassed, Input::NotRecorded];
    assert_eq!(walk(Audit::Required, &first).outcome(), Some(&failed));
    assert_eq!(walk(Audit::Wanted, &first).step(), Step::Send(TERM));
    let between = [
        Input::CheckPassed,
        Input::Recorded,
        Input::Sent,
        Input::WaitOver,
        Input::CheckPassed,
        Input::NotRecorded,
    ];
    assert_eq!(walk(Audit::Required, &between).outcome(), Some(&failed));
}

#[test]
fn a_process_that_went_by_itself_is_missing() {
    for inputs in [
        vec![Input::Gone],
        vec![Input::CheckPassed, Input::Recorded, Input::Gone],
    ] {
        assert_eq!(
            walk(Audit::Required, &inputs).outcome(),
            Some(&Outcome::Missing)
        );
    }
}

#[test]
fn a_refusal_tells_which_signals_were_tried() {
    let refused = || Input::Refused {
        detail: "EPERM".into(),
    };
    let failed = |sigkill_attempted| Outcome::Failed {
        error: Failure::PermissionDenied,
        detail: Some("EPERM".into()),
        sigkill_attempted,
    };
    let first = [Input::CheckPassed, Input::Recorded, refused()];
    assert_eq!(
        walk(Audit::Required, &first).outcome(),
        Some(&failed(false))
    );
    let second = [
        Input::CheckPassed,
        Input::Recorded,
        Input::Sent,
        Input::WaitOver,
        Input::CheckPassed,
        Input::Recorded,
        refused(),
    ];
    assert_eq!(
        walk(Audit::Required, &second).outcome(),
        Some(&failed(true))
    );
}

#[test]
fn a_doubt_lets_it_go_as_long_as_the_signal_is_not_out() {
    let doubt = || Input::CheckFailed {
        why: "protected".into(),
    };
    let spared = Outcome::Spared {
        why: "protected".into(),
    };
    let way = [
        Input::CheckPassed,
        Input::Recorded,
        Input::Sent,
        Input::WaitOver,
        Input::CheckPassed,
        Input::Recorded,
        Input::Sent,
    ];
    for done in 0..=way.len() {
        let mut escalation = walk(Audit::Required, &way[..done]);
        let before = escalation.clone();
        escalation.advance(doubt());
        match before.step() {
            Step::Await(_) => assert_eq!(escalation, before, "too late to change anything"),
            step => assert_eq!(escalation.outcome(), Some(&spared), "{step:?}"),
        }
    }
}
