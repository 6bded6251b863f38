//! Who is taken in, kept and let go, each decision by itself. Nobody is signalled here: the processes
//! are this one and children that end by themselves.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::config::Config;
use crate::orphan::victims::Kin;

const LEADER: Pid = 100;
const PARENT: Pid = 101;
const NEWCOMER: Pid = 102;

fn member(identity: ProcessIdentity, ppid: Pid, relation: Relation) -> Member {
    Member {
        identity,
        ppid,
        relation,
    }
}

fn newcomer() -> Member {
    let identity = ProcessIdentity {
        pid: NEWCOMER,
        start: 1,
        unique: 1,
    };
    member(identity, PARENT, Relation::Group)
}

fn settings() -> Settings {
    let mut config = Config::default();
    config.coordinator.workspace_roots = vec!["/nowhere".into()];
    Settings::new(&config, &|_| None, 0)
}

/// A child that has exited and is not waited for: its pid is still its own.
struct Exited {
    child: Child,
    handle: ProcessHandle,
}

impl Exited {
    fn leading_its_group() -> Self {
        let child = Command::new("true").process_group(0).spawn().unwrap();
        let handle = ProcessHandle::open(child.id()).unwrap();
        let give_up = Instant::now() + Duration::from_secs(60);
        while handle.is_alive() {
            assert!(Instant::now() < give_up, "it never ends");
            std::thread::yield_now();
        }
        Self { child, handle }
    }

    fn row(&self) -> Row {
        facts::zombie_row(&self.handle, self.child.id(), &[]).unwrap()
    }

    fn reap(mut self) -> Pid {
        self.child.wait().unwrap();
        self.child.id()
    }
}

fn victim(pid: Pid, member: Option<Member>) -> Victim {
    Victim::new(ProcessHandle::open(pid).unwrap(), pid, member)
}

fn myself() -> (Pid, Row) {
    let pid = std::process::id();
    let handle = ProcessHandle::open(pid).unwrap();
    (pid, facts::pinned_row(&handle, pid, &[]).unwrap())
}

fn case(identity: ProcessIdentity, victims: Vec<Victim>, leader_row: Option<Row>) -> GatheringCase {
    GatheringCase {
        identity,
        pinned: victims.iter().map(|victim| victim.pid).collect(),
        victims,
        leader_row,
        starter: None,
        left_before: Vec::new(),
        left_behind: Vec::new(),
        spare: None,
    }
}

#[test]
fn before_sigterm_everybody_who_belongs_is_taken_in() {
    for living in [BTreeSet::new(), BTreeSet::from([LEADER, PARENT])] {
        for left_before in [BTreeSet::new(), BTreeSet::from([NEWCOMER])] {
            assert!(is_taken_in(
                &newcomer(),
                Newcomers::WhoeverBelongs,
                &living,
                &left_before
            ));
        }
    }
}

#[test]
fn before_sigkill_only_a_child_of_a_living_member_is_taken_in() {
    let nobody = BTreeSet::new();
    let taken_in = |living: &[Pid]| {
        let living = living.iter().copied().collect();
        is_taken_in(&newcomer(), Newcomers::Children, &living, &nobody)
    };
    assert!(taken_in(&[PARENT]));
    assert!(taken_in(&[LEADER, PARENT]));
    assert!(!taken_in(&[]));
    assert!(!taken_in(&[LEADER]), "somebody else's child");
    assert!(!taken_in(&[NEWCOMER]), "nobody is its own parent");
}

#[test]
fn before_sigkill_nobody_is_taken_in_who_was_left_behind_before_sigterm() {
    let living = BTreeSet::from([PARENT]);
    let taken_in = |left_before: &[Pid]| {
        let left_before = left_before.iter().copied().collect();
        is_taken_in(&newcomer(), Newcomers::Children, &living, &left_before)
    };
    assert!(taken_in(&[PARENT]));
    assert!(!taken_in(&[NEWCOMER]));
}

fn listing(rows: &[(Pid, Pid, Pid)]) -> Family {
    let rows = rows.iter();
    rows.map(|&(pid, ppid, pgid)| (pid, Kin { ppid, pgid }))
        .collect()
}

#[test]
fn the_pid_of_an_exited_leader_is_its_own_while_nobody_or_its_zombie_has_it() {
    let leader = Exited::leading_its_group();
    let row = leader.row();
    let pid = row.identity.pid;
    let listed = listing(&[(pid, row.ppid, row.pgid)]);
    assert_eq!(
        pid_is_still_its_own(&row, &listed, &settings()),
        row.identity.unique != 0,
        "certain only where the kernel numbers processes"
    );
    assert!(pid_is_still_its_own(&row, &Family::default(), &settings()));
    leader.reap();
    assert!(
        !pid_is_still_its_own(&row, &listed, &settings()),
        "listed, and gone by now: who knows"
    );
}

#[test]
fn the_pid_of_an_exited_leader_that_a_stranger_has_is_not_its_own() {
    let (pid, mut row) = myself();
    let listed = listing(&[(pid, row.ppid, row.pgid)]);
    row.identity.unique += 1;
    assert!(!pid_is_still_its_own(&row, &listed, &settings()));
    row.identity.unique = 0;
    assert!(!pid_is_still_its_own(&row, &listed, &settings()));
}

#[test]
fn below_an_exited_leader_whose_pid_a_stranger_has_nobody_is_looked_for() {
    let leader = Exited::leading_its_group();
    let (pid, own) = myself();
    let zombie = leader.row();
    // The table says that this process is in the group of the exited one.
    let group = zombie.identity.pid;
    let family = listing(&[(group, 1, group), (pid, 1, group)]);
    let seen_with = |row: Row| {
        let victims = vec![victim(group, None)];
        let mut case = case(row.identity, victims, Some(row));
        take_in(
            &mut case,
            Newcomers::Children,
            &family,
            &Protected::default(),
            &settings(),
            &mut HashSet::new(),
        );
        let members = case.victims.iter().map(|victim| victim.pid);
        assert_eq!(members.collect::<Vec<_>>(), [group]);
        case.left_behind.iter().map(|one| one.pid).collect()
    };
    let nobody: [Pid; 0] = [];
    let looked_at: Vec<Pid> = seen_with(zombie.clone());
    if zombie.identity.unique != 0 {
        assert_eq!(looked_at, [pid], "who is listed in its group is looked at");
    }
    let mut stranger = zombie.clone();
    stranger.identity.unique += 1;
    let looked_at: Vec<Pid> = seen_with(stranger);
    assert_eq!(looked_at, nobody);
    let mut elsewhere = zombie;
    elsewhere.pgid = own.pgid;
    let looked_at: Vec<Pid> = seen_with(elsewhere);
    assert_eq!(looked_at, nobody, "it leads no group");
}

#[test]
fn a_member_is_pinned_only_if_it_is_still_the_one_that_was_seen() {
    let (pid, row) = myself();
    let uid = row.uids[0];
    let pinned = BTreeSet::from([row.ppid]);
    let pin = |member: &Member, uid| pin_member(member, row.pgid, uid, &pinned, &settings());
    for relation in [Relation::Group, Relation::Descendant] {
        let seen = member(row.identity, row.ppid, relation);
        assert!(matches!(pin(&seen, Some(uid)), Ok(Some(_))), "{relation:?}");
        assert_eq!(pin(&seen, None).unwrap_err(), Why::Changed, "whose?");
        assert_eq!(pin(&seen, Some(uid + 1)).unwrap_err(), Why::Changed);
        let mut another = seen;
        another.identity.unique += 1;
        assert_eq!(pin(&another, Some(uid)).unwrap_err(), Why::Changed);
    }
    let elsewhere = member(row.identity, row.ppid, Relation::Group);
    let in_another_group = pin_member(&elsewhere, pid + 1, Some(uid), &pinned, &settings());
    assert_eq!(in_another_group.unwrap_err(), Why::Changed);
    let gone = Exited::leading_its_group();
    let seen = member(gone.row().identity, row.ppid, Relation::Descendant);
    assert!(matches!(pin(&seen, Some(uid)), Ok(None)));
}

#[test]
fn a_member_that_changed_since_it_was_pinned_is_let_go() {
    let (pid, row) = myself();
    let recheck = |bend: fn(&mut Member, &mut Row)| {
        let mut member = member(row.identity, row.ppid, Relation::Group);
        let mut leader = row.clone();
        leader.identity.pid = row.pgid;
        bend(&mut member, &mut leader);
        let victims = vec![victim(pid, None), victim(pid, Some(member))];
        let mut case = case(leader.identity, victims, Some(leader));
        recheck_members(
            &mut case,
            &Keeps::default(),
            &Lineage::default(),
            &settings(),
        );
        assert!(!case.victims[0].spared, "the orphan itself is no member");
        case.victims[1].spared
    };
    assert!(!recheck(|_, _| {}));
    assert!(recheck(|member, _| member.identity.unique += 1));
    assert!(
        recheck(|_, leader| leader.identity.pid += 1),
        "another group"
    );
    assert!(recheck(|_, leader| leader.uids = vec![77]), "another owner");
}

#[test]
fn a_member_that_is_gone_when_it_is_looked_at_again_has_exited() {
    let gone = Exited::leading_its_group();
    let row = gone.row();
    let (_, leader) = myself();
    let member = member(row.identity, row.ppid, Relation::Group);
    let victims = vec![
        victim(leader.identity.pid, None),
        victim(row.identity.pid, Some(member)),
    ];
    let mut case = case(leader.identity, victims, Some(leader));
    recheck_members(
        &mut case,
        &Keeps::default(),
        &Lineage::default(),
        &settings(),
    );
    assert!(case.victims[1].exited && !case.victims[1].spared);
}

/// Who stays of those just pinned (this process), with these pinned before.
fn kept_beside(before: Vec<Victim>, just_pinned: Member) -> bool {
    let (pid, row) = myself();
    let pinned_before = before.len();
    let mut victims = before;
    victims.push(victim(pid, Some(just_pinned)));
    let mut case = case(row.identity, victims, None);
    drop_strangers(&mut case, LEADER, pinned_before);
    let left: Vec<(Pid, Why)> = case
        .left_behind
        .iter()
        .map(|one| (one.pid, one.why))
        .collect();
    match case.victims.len() - pinned_before {
        0 => assert_eq!(left, [(pid, Why::Changed)]),
        _ => assert_eq!(left, []),
    }
    case.victims.len() > pinned_before
}

#[test]
fn whoever_was_pinned_in_a_group_stays_only_while_somebody_has_held_its_number() {
    let (pid, row) = myself();
    let gone = Exited::leading_its_group();
    let group = gone.child.id();
    let in_group = member(row.identity, row.ppid, Relation::Group);
    let outside = member(row.identity, row.ppid, Relation::Descendant);
    assert!(kept_beside(vec![victim(pid, None)], in_group), "the leader");
    let other_member = || victim(pid, Some(in_group));
    assert!(kept_beside(
        vec![victim(group, None), other_member()],
        in_group
    ));
    assert!(!kept_beside(vec![victim(group, None)], in_group));
    let descendant = victim(pid, Some(outside));
    assert!(!kept_beside(
        vec![victim(group, None), descendant],
        in_group
    ));
    assert!(!kept_beside(Vec::new(), in_group));
}

#[test]
fn whoever_was_pinned_below_a_parent_stays_only_while_that_parent_lives() {
    let (pid, row) = myself();
    let gone = Exited::leading_its_group();
    let parent = gone.child.id();
    let below = |ppid| member(row.identity, ppid, Relation::Descendant);
    assert!(kept_beside(vec![victim(pid, None)], below(pid)));
    let pinned = || vec![victim(pid, None), victim(parent, None)];
    assert!(!kept_beside(pinned(), below(parent)), "it has exited");
    assert!(!kept_beside(pinned(), below(NEWCOMER)), "it is not pinned");
}

/// A process in a group that ends by itself when this is dropped.
struct Waiting(Child);

impl Waiting {
    fn in_group(group: Pid) -> Self {
        let mut cat = Command::new("cat");
        let group = i32::try_from(group).unwrap();
        cat.process_group(group).stdin(Stdio::piped());
        Self(cat.spawn().unwrap())
    }

    fn row(&self) -> Row {
        let handle = ProcessHandle::open(self.0.id()).unwrap();
        facts::pinned_row(&handle, self.0.id(), &[]).unwrap()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn in_the_group_of_an_exited_leader_only_a_living_member_vouches_for_another() {
    let leader = Exited::leading_its_group();
    let row = leader.row();
    let orphan = row.identity.pid;
    let [known, other] = [(); 2].map(|()| Waiting::in_group(orphan));
    let (known, other) = (known.row(), other.row());
    let family = facts::family_table().unwrap();
    let taken_in = |signal, vouched_for: bool| {
        let mut victims = vec![victim(orphan, None)];
        if vouched_for {
            let member = member(known.identity, known.ppid, Relation::Group);
            victims.push(victim(known.identity.pid, Some(member)));
        }
        let mut case = case(row.identity, victims, Some(row.clone()));
        take_in(
            &mut case,
            signal,
            &family,
            &Protected::default(),
            &settings(),
            &mut HashSet::new(),
        );
        let mut pids: Vec<Pid> = case.victims.iter().map(|victim| victim.pid).collect();
        pids.sort_unstable();
        pids
    };
    let sorted = |mut pids: Vec<Pid>| {
        pids.sort_unstable();
        pids
    };
    let (known, other) = (known.identity.pid, other.identity.pid);
    assert_eq!(taken_in(Newcomers::WhoeverBelongs, false), [orphan]);
    let pinned = sorted(vec![orphan, known]);
    let all = sorted(vec![orphan, known, other]);
    // Where the kernel does not number processes nobody is looked for at all.
    let is_numbered = row.identity.unique != 0;
    let expected = if is_numbered { &all } else { &pinned };
    assert_eq!(&taken_in(Newcomers::WhoeverBelongs, true), expected);
    // Neither is a child of the other.
    assert_eq!(taken_in(Newcomers::Children, true), pinned);
}

#[test]
fn a_lineage_spares_who_belongs_to_it_or_may() {
    let (_, row) = myself();
    let spared_by = |lineage| {
        let cases = vec![case(row.identity, Vec::new(), None)];
        gather_all(
            cases,
            &mut BTreeSet::new(),
            lineage,
            &Keeps::default(),
            Newcomers::Children,
            &settings(),
        )[0]
        .spare
    };
    let known = Lineage {
        pids: BTreeSet::from([row.identity.pid]),
        open_above: None,
    };
    assert_eq!(spared_by(known), Some("protected_ancestor"));
    assert_eq!(spared_by(Lineage::unknown()), Some("lineage_unknown"));
    assert_eq!(spared_by(Lineage::default()), None);
}
