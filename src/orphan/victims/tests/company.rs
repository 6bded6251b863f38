//! Who would end with each of several orphans.

use super::*;

fn protected(targets: impl IntoIterator<Item = Pid>) -> Protected {
    Protected {
        targets: targets.into_iter().collect(),
        ..Protected::default()
    }
}

fn shown(company: Option<&Company>) -> (Vec<Pid>, Vec<(Pid, Why)>) {
    let company = company.expect("it was seen");
    assert_eq!(company.spared, None);
    (
        company.members.iter().map(|one| one.pid).collect(),
        company
            .left_behind
            .iter()
            .map(|one| (one.pid, one.why))
            .collect(),
    )
}

#[test]
fn a_company_is_whom_a_kill_would_select_with_their_command_lines() {
    let seen = snapshot([orphan(), row(101, 100, 100), row(102, 101, 102)]);
    let all = companies(
        std::iter::once(Surroundings::Seen(ORPHAN, seen.clone())),
        Scope::Group,
        &protected([ORPHAN]),
    );
    let selected = select(&seen, ORPHAN, Scope::Group, &protected([ORPHAN]));
    assert_eq!(
        shown(all[0].as_ref()),
        (members(&selected), left(&selected))
    );
    assert_eq!(shown(all[0].as_ref()).0, [101]);
    assert_eq!(shown(all[0].as_ref()).1, [(102, Why::OutOfScope)]);
    let company = all[0].as_ref().unwrap();
    assert_eq!(company.members[0].cmdline, "process 101");
}

#[test]
fn who_belongs_to_two_orphans_is_shown_once_and_left_by_none() {
    // 200 is an orphan below the first, and 201 is in its group.
    let other = Row {
        kind: Kind::Coordinator,
        ..row(200, 100, 200)
    };
    let below = row(201, 200, 200);
    let seen = snapshot([orphan(), other.clone(), below.clone()]);
    for scope in [Scope::Group, Scope::Tree] {
        let all = companies(
            [
                Surroundings::Seen(ORPHAN, seen.clone()),
                Surroundings::Seen(200, snapshot([other.clone(), below.clone()])),
            ]
            .into_iter(),
            scope,
            &protected([ORPHAN, 200]),
        );
        let mut taken: Vec<Pid> = Vec::new();
        for company in &all {
            let (members, left) = shown(company.as_ref());
            assert_eq!(left, [], "{scope:?}");
            taken.extend(members);
        }
        assert_eq!(taken, [201], "{scope:?}");
    }
}

#[test]
fn who_is_spared_or_unseen_takes_nobody_along() {
    let all = companies(
        [
            Surroundings::Spared("kept".to_owned()),
            Surroundings::Unseen,
        ]
        .into_iter(),
        Scope::Tree,
        &Protected::default(),
    );
    let spared = Company {
        spared: Some("kept".to_owned()),
        ..Company::default()
    };
    assert_eq!(all, [Some(spared), None]);
}
