//! Who is below whom among the members of an orphan.

use std::collections::BTreeSet;

use super::Member;
use crate::orphan::process::Pid;

/// These, and all members that are below one of them, however deep.
#[must_use]
pub fn with_all_below(mut above: BTreeSet<Pid>, members: &[Member]) -> BTreeSet<Pid> {
    // Members come in the order in which they were pinned, which need not be that of descent.
    loop {
        let below: Vec<Pid> = members
            .iter()
            .filter(|member| above.contains(&member.ppid))
            .map(|member| member.identity.pid)
            .filter(|pid| !above.contains(pid))
            .collect();
        if below.is_empty() {
            return above;
        }
        above.extend(below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orphan::process::ProcessIdentity;
    use crate::orphan::victims::Relation;

    #[test]
    fn whatever_is_below_is_found_in_any_order() {
        let member = |pid, ppid| Member {
            identity: ProcessIdentity {
                pid,
                start: 1,
                unique: 1,
            },
            ppid,
            relation: Relation::Group,
        };
        // 5 → 4 → 3, and 6 beside them; 7 is its own parent, as in no table that was read at once.
        let members = [
            member(3, 4),
            member(6, 2),
            member(4, 5),
            member(5, 2),
            member(7, 7),
        ];
        let of = |above: &[Pid]| with_all_below(above.iter().copied().collect(), &members);
        assert_eq!(of(&[5]), [3, 4, 5].into());
        assert_eq!(of(&[4]), [3, 4].into());
        assert_eq!(of(&[2]), [2, 3, 4, 5, 6].into());
        assert_eq!(of(&[7, 99]), [7, 99].into());
        assert_eq!(of(&[]), [].into());
    }
}
