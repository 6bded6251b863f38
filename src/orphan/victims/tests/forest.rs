//! Random process forests, against a model that is too simple to be wrong.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select as one_of;

use super::*;

const FIRST: Pid = ORPHAN;

#[derive(Clone, Debug)]
struct World {
    rows: Snapshot,
    protected: Protected,
    scope: Scope,
}

/// One process: whose child it is, in whose group, and what protects it.
#[derive(Clone, Debug)]
struct Seed {
    parent: usize,
    group: usize,
    is_older_than_parent: bool,
    is_foreign: bool,
    on_terminal: bool,
    in_another_unit: bool,
    kind: Kind,
    is_target: bool,
    in_lineage: bool,
    is_kept: bool,
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.08)
}

prop_compose! {
    fn seed()(
        parent in 0..100_usize,
        group in 0..100_usize,
        (is_older_than_parent, is_foreign, on_terminal, in_another_unit) in
            (seldom(), seldom(), seldom(), seldom()),
        kind in prop_oneof![
            8 => Just(Kind::Ordinary),
            2 => one_of(vec![
                Kind::Coordinator,
                Kind::Multiplexer,
                Kind::Sshd,
                Kind::ServiceManager,
            ]),
        ],
        is_target in any::<bool>(),
        (in_lineage, is_kept) in (seldom(), seldom()),
    ) -> Seed {
        Seed {
            parent, group, is_older_than_parent, is_foreign, on_terminal, in_another_unit, kind,
            is_target, in_lineage, is_kept,
        }
    }
}

/// A forest around the orphan: some of it is related to the orphan, some is not.
fn grow(seeds: &[Seed], leads: bool, scope: Scope) -> World {
    let mut rows = snapshot([Row {
        pgid: if leads { ORPHAN } else { 7 },
        ..orphan()
    }]);
    let mut protected = nothing_special();
    for (index, seed) in seeds.iter().enumerate() {
        let pid = FIRST + 1 + Pid::try_from(index).unwrap();
        // Any earlier process or, now and then, init.
        let ppid = match seed.parent % (index + 3) {
            at if at <= index => FIRST + Pid::try_from(at).unwrap(),
            _ => 1,
        };
        // The orphan's group, the group of nobody here, the parent's, or its own.
        let pgid = match seed.group % 4 {
            0 => ORPHAN,
            1 => 7,
            2 => rows.get(&ppid).map_or(7, |parent| parent.pgid),
            _ => pid,
        };
        let mut new = Row {
            kind: seed.kind,
            on_terminal: seed.on_terminal,
            ..row(pid, ppid, pgid)
        };
        if seed.is_older_than_parent {
            new.identity.start = 1;
        }
        if seed.is_foreign {
            new.uids.push(0);
        }
        if seed.in_another_unit {
            new.unit = None;
        }
        let is_target = seed.kind == Kind::Coordinator && seed.is_target;
        if is_target {
            protected.targets.insert(pid);
        } else if seed.in_lineage {
            protected.lineage.pids.insert(pid);
        } else if seed.is_kept {
            protected.kept.insert(pid);
        }
        rows.insert(pid, new);
    }
    World {
        rows,
        protected,
        scope,
    }
}

fn world() -> impl Strategy<Value = World> {
    let scope = one_of(vec![Scope::Process, Scope::Group, Scope::Tree]);
    (vec(seed(), 0..16), prop::bool::weighted(0.8), scope)
        .prop_map(|(seeds, leads, scope)| grow(&seeds, leads, scope))
}

/// The contract's sentences, one by one, with no order and no bookkeeping.
impl World {
    fn leads(&self) -> bool {
        self.rows[&ORPHAN].pgid == ORPHAN
    }

    fn in_group(&self, pid: Pid) -> bool {
        self.leads() && self.rows[&pid].pgid == ORPHAN
    }

    fn ancestors(&self, pid: Pid) -> Vec<Pid> {
        std::iter::successors(Some(self.rows[&pid].ppid), |pid| {
            self.rows.get(pid).map(|row| row.ppid)
        })
        .take_while(|pid| *pid != ORPHAN)
        .filter(|pid| self.rows.contains_key(pid))
        .collect()
    }

    fn is_relative(&self, pid: Pid) -> bool {
        let descends = |pid: Pid| {
            std::iter::successors(Some(pid), |pid| self.rows.get(pid).map(|row| row.ppid))
                .any(|ancestor| ancestor == ORPHAN)
        };
        pid != ORPHAN
            && (descends(pid)
                || self.in_group(pid)
                || self
                    .ancestors(pid)
                    .into_iter()
                    .any(|one| self.in_group(one)))
    }

    fn is_target(&self, pid: Pid) -> bool {
        self.rows[&pid].kind == Kind::Coordinator && self.protected.targets.contains(&pid)
    }

    fn is_protected(&self, pid: Pid) -> bool {
        let row = &self.rows[&pid];
        let leader = &self.rows[&ORPHAN];
        if self.is_target(pid) {
            return false;
        }
        pid == 1
            || self.protected.lineage.pids.contains(&pid)
            || self.protected.kept.contains(&pid)
            || row.uids != leader.uids
            || row.kind != Kind::Ordinary
            || self
                .rows
                .get(&row.ppid)
                .filter(|parent| {
                    let parent = parent.identity.pid;
                    parent == ORPHAN || self.is_relative(parent)
                })
                .is_some_and(|parent| row.identity.start < parent.identity.start)
            || (!self.in_group(pid) && (row.on_terminal || row.unit != leader.unit))
    }

    /// Below a protected relative, that is: the orphan itself may well live below tmux.
    fn is_below_protected(&self, pid: Pid) -> bool {
        self.ancestors(pid)
            .into_iter()
            .any(|ancestor| self.is_relative(ancestor) && self.is_protected(ancestor))
    }

    fn in_scope(&self, pid: Pid) -> bool {
        match self.scope {
            Scope::Process => false,
            Scope::Group => self.in_group(pid),
            Scope::Tree => true,
        }
    }

    fn related(&self) -> BTreeSet<Pid> {
        self.rows
            .keys()
            .copied()
            .filter(|pid| self.is_relative(*pid))
            .collect()
    }

    /// What the caller hands over: the orphan and its relatives.
    fn around(&self) -> Snapshot {
        let related = self.related();
        snapshot(
            self.rows
                .values()
                .filter(|row| row.identity.pid == ORPHAN || related.contains(&row.identity.pid))
                .cloned(),
        )
    }

    fn victims(&self) -> Victims {
        select(&self.around(), ORPHAN, self.scope, &self.protected)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn relatives_are_those_of_the_model(world in world()) {
        let family = world
            .rows
            .iter()
            .map(|(pid, row)| (*pid, Kin { ppid: row.ppid, pgid: row.pgid }))
            .collect::<Family>();
        prop_assert_eq!(family.relatives(ORPHAN, family.leads(ORPHAN)), world.related());
    }

    #[test]
    fn no_member_is_protected_or_below_a_protected_one(world in world()) {
        for pid in members(&world.victims()) {
            prop_assert!(!world.is_protected(pid), "{} is protected", pid);
            prop_assert!(!world.is_below_protected(pid), "{} is below a protected one", pid);
            prop_assert!(world.in_scope(pid), "{} is out of scope", pid);
            prop_assert!(!world.is_target(pid), "{} has its own escalation", pid);
        }
    }

    #[test]
    fn every_relative_in_scope_that_nothing_protects_is_a_member(world in world()) {
        let members: BTreeSet<Pid> = members(&world.victims()).into_iter().collect();
        for pid in world.related() {
            let dies = world.in_scope(pid)
                && !world.is_target(pid)
                && !world.is_protected(pid)
                && !world.is_below_protected(pid);
            prop_assert_eq!(members.contains(&pid), dies, "{}", pid);
        }
    }

    #[test]
    fn everybody_but_the_targets_is_either_a_member_or_left_behind(world in world()) {
        let victims = world.victims();
        let left: Vec<Pid> = victims.left_behind.iter().map(|one| one.pid).collect();
        let mut all = members(&victims);
        all.extend(&left);
        let found: BTreeSet<Pid> = all.iter().copied().collect();
        prop_assert_eq!(found.len(), all.len(), "nobody twice");
        let expected: BTreeSet<Pid> = world
            .related()
            .into_iter()
            .filter(|pid| !world.is_target(*pid))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn each_reason_is_a_true_one(world in world()) {
        for one in world.victims().left_behind {
            let is_true = match one.why {
                Why::BelowProtected => world.is_below_protected(one.pid),
                Why::OutOfScope => !world.in_scope(one.pid),
                _ => world.is_protected(one.pid),
            };
            prop_assert!(is_true, "{:?}", one);
        }
    }

    #[test]
    fn parents_come_before_their_children(world in world()) {
        let order = members(&world.victims());
        for (at, pid) in order.iter().enumerate() {
            let parent = world.rows[pid].ppid;
            prop_assert!(!order[at..].contains(&parent));
        }
    }
}
