//! Who is whose parent, and in whose group, among all processes that there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::orphan::process::Pid;

/// The table of all processes, made for asking about many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    rows: BTreeMap<Pid, Kin>,
    children: HashMap<Pid, Vec<Pid>>,
    groups: HashMap<Pid, Vec<Pid>>,
}

/// Whom a process has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Its parent.
    pub ppid: Pid,
    /// Its process group.
    pub pgid: Pid,
}

impl FromIterator<(Pid, Kin)> for Family {
    fn from_iter<T: IntoIterator<Item = (Pid, Kin)>>(rows: T) -> Self {
        let rows: BTreeMap<Pid, Kin> = rows.into_iter().collect();
        let mut family = Self::default();
        for (pid, kin) in &rows {
            family.children.entry(kin.ppid).or_default().push(*pid);
            family.groups.entry(kin.pgid).or_default().push(*pid);
        }
        Self { rows, ..family }
    }
}

impl Family {
    /// The row of this process.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<Kin> {
        self.rows.get(&pid).copied()
    }

    /// Whether it leads its process group.
    #[must_use]
    pub fn leads(&self, pid: Pid) -> bool {
        self.get(pid).is_some_and(|kin| kin.pgid == pid)
    }

    /// Every process that has to do with `orphan`: its descendants, and if it `leads` a group, that group with
    /// its descendants.
    #[must_use]
    pub fn relatives(&self, orphan: Pid, leads: bool) -> BTreeSet<Pid> {
        let members = self.groups.get(&orphan).filter(|_| leads);
        let mut found: BTreeSet<Pid> = members.into_iter().flatten().copied().collect();
        found.insert(orphan);
        let mut queue: Vec<Pid> = found.iter().copied().collect();
        while let Some(parent) = queue.pop() {
            for child in self.children.get(&parent).into_iter().flatten() {
                if found.insert(*child) {
                    queue.push(*child);
                }
            }
        }
        found.remove(&orphan);
        found
    }

    /// Sorts processes into as many sets as there can be, so that those of different sets have nothing to do with
    /// each other, nor with the same third one. In their order, each set where its first one was.
    #[must_use]
    pub fn unrelated(&self, pids: impl IntoIterator<Item = Pid>) -> Vec<Vec<Pid>> {
        // What each set became a part of; itself, if of none.
        let mut part_of: Vec<usize> = Vec::new();
        let whole = |part_of: &[usize], mut set: usize| {
            while part_of[set] != set {
                set = part_of[set];
            }
            set
        };
        let mut set_of: HashMap<Pid, usize> = HashMap::new();
        let pids: Vec<Pid> = pids.into_iter().collect();
        for &pid in &pids {
            let mut related = self.relatives(pid, self.leads(pid));
            related.insert(pid);
            let known = related.iter().filter_map(|one| set_of.get(one));
            let known: BTreeSet<usize> = known.map(|set| whole(&part_of, *set)).collect();
            let set = known.first().copied().unwrap_or(part_of.len());
            if set == part_of.len() {
                part_of.push(set);
            }
            for other in known {
                part_of[other] = set;
            }
            set_of.extend(related.into_iter().map(|one| (one, set)));
        }
        let mut sets = vec![Vec::new(); part_of.len()];
        for pid in pids {
            sets[whole(&part_of, set_of[&pid])].push(pid);
        }
        sets.retain(|set| !set.is_empty());
        sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(rows: &[(Pid, Pid, Pid)]) -> Family {
        let rows = rows.iter();
        rows.map(|&(pid, ppid, pgid)| (pid, Kin { ppid, pgid }))
            .collect()
    }

    #[test]
    fn whoever_has_to_do_with_another_is_in_the_same_set() {
        let family = family(&[
            (1, 0, 1),
            // 10, its child 11, and 12, a grandchild in a group of its own.
            (10, 1, 10),
            (11, 10, 10),
            (12, 11, 12),
            // 21 is in 20's group and nobody's child; 22 is below it.
            (20, 1, 20),
            (21, 1, 20),
            (22, 21, 22),
            // In one group, which neither of them leads.
            (30, 1, 99),
            (31, 1, 99),
            (40, 1, 40),
            // 52 is below 51 and in the group of 50.
            (50, 1, 50),
            (51, 1, 51),
            (52, 51, 50),
        ]);
        let sets = |pids: &[Pid]| family.unrelated(pids.iter().copied());
        assert_eq!(
            sets(&[40, 12, 22, 10, 20, 31, 30, 999]),
            [
                vec![40],
                vec![12, 10],
                vec![22, 20],
                vec![31],
                vec![30],
                vec![999]
            ]
        );
        // Two that know nothing of each other, and then who is above both.
        assert_eq!(
            sets(&[11, 22, 40, 999, 1]),
            [vec![11, 22, 40, 1], vec![999]]
        );
        // Who is above two that are one set already.
        assert_eq!(sets(&[12, 10, 21, 1]), [vec![12, 10, 21, 1]]);
        // A third one has to do with both.
        assert_eq!(sets(&[51, 40, 50]), [vec![51, 50], vec![40]]);
        assert_eq!(sets(&[]), Vec::<Vec<Pid>>::new());
    }
}
