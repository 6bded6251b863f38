//! A small world, drawn at random, and who may be signalled in it by the contract: its sentences
//! one by one, with no order and no bookkeeping, from what was drawn and not from what is seen.

use std::collections::BTreeSet;

use team_agentd::orphan::victims::Scope;

use super::ground::Dice;

/// Which process: its place in the plan.
pub(crate) type Id = usize;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A program like any other.
    Ordinary,
    /// One that mentions a coordinator and a missing workspace in its argv.
    LookAlike(&'static str),
    /// One that other people's sessions may live in, by its name.
    Server(&'static str),
    /// A coordinator, with what became of its workspace.
    Coordinator(Fate),
}

/// What became of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Alive,
    /// It never was there.
    Missing,
    /// The same, below a path that is never to be touched.
    MissingBelowProtected,
    /// Deleted and made again.
    Replaced,
    /// The same, and the pid file in the new one names the coordinator.
    NamedByThePidFile,
    /// Moved, with the log that the coordinator still holds.
    Moved,
}

/// In which group a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In that of who starts it.
    Inherited,
    /// In one that it leads.
    Leads,
    /// In one that it leads, in a session of its own.
    LeadsASession,
    /// In that of another one that is no relative.
    Joins(Id),
}

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Who starts it; nobody in the plan if it is none of them.
    pub(crate) starter: Option<Id>,
    /// Whether it is left to init at once.
    pub(crate) is_adopted: bool,
    pub(crate) place: Place,
    /// Whether it changes to another uid; who is started by such a one has it too.
    pub(crate) changes_uid: bool,
    pub(crate) role: Role,
}

/// A world, and what is asked for in it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) scope: Scope,
    /// The orphans that are to be ended, if not all.
    pub(crate) named: Option<BTreeSet<Id>>,
}

fn one_of<T: Copy>(dice: &mut Dice, all: &[T]) -> T {
    let length = u64::try_from(all.len()).expect("a few");
    all[usize::try_from(dice.throw(length)).expect("one of them")]
}

impl Role {
    fn draw(dice: &mut Dice) -> Self {
        use Fate::{Alive, Missing, MissingBelowProtected, Moved, NamedByThePidFile, Replaced};
        match dice.throw(10) {
            0 => Self::LookAlike(one_of(dice, &["vim", "grep", "claude", "ssh"])),
            1..=2 => Self::Server(one_of(dice, &["tmux", "SCREEN", "sshd: me", "systemd"])),
            3..=6 => Self::Coordinator(one_of(
                dice,
                &[
                    Missing,
                    Missing,
                    Missing,
                    Replaced,
                    Replaced,
                    Alive,
                    Moved,
                    NamedByThePidFile,
                    MissingBelowProtected,
                ],
            )),
            _ => Self::Ordinary,
        }
    }
}

impl Node {
    fn draw(dice: &mut Dice, before: &[Self], uids_can_change: bool) -> Self {
        // Mostly below each other: what is protected protects those below it.
        let starter = match dice.throw(6) {
            0 => None,
            1..=3 => before.len().checked_sub(1),
            _ if before.is_empty() => None,
            _ => {
                let number = dice.throw(before.len() as u64);
                Some(usize::try_from(number).expect("a few"))
            }
        };
        let role = Role::draw(dice);
        let leaders: Vec<Id> = (0..before.len())
            .filter(|id| before[*id].starter.is_none() && before[*id].place == Place::Leads)
            .collect();
        let more_often_leads = u64::from(matches!(role, Role::Coordinator(_))) * 5;
        let place = match dice.throw(10) {
            0..=2 if starter.is_none() && !leaders.is_empty() => {
                Place::Joins(one_of(dice, &leaders))
            }
            3 => Place::LeadsASession,
            throw if throw > 3 && throw <= 4 + more_often_leads => Place::Leads,
            _ => Place::Inherited,
        };
        Self {
            starter,
            is_adopted: starter.is_some() && dice.throw(6) == 0,
            place,
            changes_uid: uids_can_change && dice.throw(12) == 0,
            role,
        }
    }
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice, uids_can_change: bool) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..5 + dice.throw(11) {
            nodes.push(Node::draw(dice, &nodes, uids_can_change));
        }
        let mut plan = Self {
            nodes,
            scope: one_of(
                dice,
                &[
                    Scope::Process,
                    Scope::Group,
                    Scope::Group,
                    Scope::Tree,
                    Scope::Tree,
                ],
            ),
            named: None,
        };
        for id in plan.ids() {
            let starter = plan.nodes[id].starter;
            if starter.is_some_and(|starter| plan.is_foreign(starter)) {
                // Only root changes its uid.
                plan.nodes[id].changes_uid = false;
            }
            if plan.is_foreign(id)
                && let Role::Coordinator(_) = plan.nodes[id].role
            {
                // It may not enter the directories of the others.
                plan.nodes[id].role = Role::Coordinator(Fate::Missing);
            }
        }
        if !plan.ids().any(|id| plan.is_doomed(id)) {
            plan.nodes[0].role = Role::Coordinator(Fate::Missing);
            plan.nodes[0].changes_uid = false;
        }
        if dice.throw(4) == 0 {
            let orphans = plan.ids().filter(|id| plan.is_orphan(*id));
            plan.named = Some(orphans.filter(|_| dice.throw(2) == 0).collect());
        }
        plan
    }

    pub(crate) fn ids(&self) -> std::ops::Range<Id> {
        0..self.nodes.len()
    }

    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        self.nodes[id]
            .starter
            .filter(|_| !self.nodes[id].is_adopted)
    }

    /// Who leads its group, if that is one of them.
    pub(crate) fn group(&self, id: Id) -> Option<Id> {
        match self.nodes[id].place {
            Place::Leads | Place::LeadsASession => Some(id),
            Place::Joins(leader) => Some(leader),
            Place::Inherited => self.group(self.nodes[id].starter?),
        }
    }

    pub(crate) fn is_foreign(&self, id: Id) -> bool {
        let node = &self.nodes[id];
        node.changes_uid || node.starter.is_some_and(|starter| self.is_foreign(starter))
    }

    /// Whether a scan is to call it an orphan.
    pub(crate) fn is_orphan(&self, id: Id) -> bool {
        let gone = [Fate::Missing, Fate::MissingBelowProtected, Fate::Replaced];
        let is_gone = gone.map(Role::Coordinator).contains(&self.nodes[id].role);
        is_gone && !self.is_foreign(id)
    }

    /// Whether it is to be ended for itself.
    pub(crate) fn is_doomed(&self, id: Id) -> bool {
        self.is_orphan(id)
            && self.nodes[id].role != Role::Coordinator(Fate::MissingBelowProtected)
            && self.named.as_ref().is_none_or(|named| named.contains(&id))
    }

    fn is_protected(&self, id: Id) -> bool {
        let special = matches!(self.nodes[id].role, Role::Server(_) | Role::Coordinator(_));
        !self.is_doomed(id) && (special || self.is_foreign(id))
    }

    fn ancestors(&self, id: Id) -> Vec<Id> {
        std::iter::successors(self.parent(id), |id| self.parent(*id)).collect()
    }

    fn in_group_of(&self, id: Id, orphan: Id) -> bool {
        id != orphan && self.group(orphan) == Some(orphan) && self.group(id) == Some(orphan)
    }

    fn is_relative(&self, id: Id, orphan: Id) -> bool {
        let above = self.ancestors(id);
        id != orphan
            && (above.contains(&orphan)
                || self.in_group_of(id, orphan)
                || above.iter().any(|one| self.in_group_of(*one, orphan)))
    }

    /// Below a protected relative, that is: the orphan itself may well live below tmux.
    fn is_below_protected(&self, id: Id, orphan: Id) -> bool {
        self.ancestors(id)
            .into_iter()
            .take_while(|ancestor| *ancestor != orphan)
            .any(|ancestor| self.is_relative(ancestor, orphan) && self.is_protected(ancestor))
    }

    fn dies_with(&self, id: Id, orphan: Id) -> bool {
        let in_scope = match self.scope {
            Scope::Process => false,
            Scope::Group => self.in_group_of(id, orphan),
            Scope::Tree => self.is_relative(id, orphan),
        };
        in_scope && !self.is_protected(id) && !self.is_below_protected(id, orphan)
    }

    /// Everybody who is to be signalled, and nobody else is.
    pub(crate) fn victims(&self) -> BTreeSet<Id> {
        let doomed: Vec<Id> = self.ids().filter(|id| self.is_doomed(*id)).collect();
        let dies = |id: &Id| {
            doomed.contains(id) || doomed.iter().any(|orphan| self.dies_with(*id, *orphan))
        };
        self.ids().filter(dies).collect()
    }
}
