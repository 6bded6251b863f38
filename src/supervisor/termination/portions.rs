//! A large wave goes out in portions, so that each signal follows soon upon its checks.
//!
//! Whoever has to do with another orphan of the wave is in the same portion: who ends with whom is decided
//! as if there were no portions.

use std::collections::HashMap;

use super::SNAPSHOT_LIMIT;
use crate::orphan::process::Pid;
use crate::orphan::registry::Sighting;
use crate::os::facts;
use crate::supervisor::scan::on_blocking_pool;

/// As many orphans make a portion, unless more of them have to do with each other. To check them takes some
/// 0.1 s; a smaller one would have the process table read more often.
const PORTION: usize = 200;

/// Each of the targets in one of the portions. In one portion, if it cannot be found out who has to do with whom.
pub(super) async fn portions(targets: Vec<Sighting>) -> Vec<Vec<Sighting>> {
    if targets.len() <= PORTION {
        return vec![targets];
    }
    let family = on_blocking_pool(SNAPSHOT_LIMIT, facts::family_table).await;
    let Some(Ok(family)) = family else {
        return vec![targets];
    };
    let pids = targets.iter().map(|target| target.identity().pid);
    let packed = pack(family.unrelated(pids), PORTION);
    let mut portions: Vec<Vec<Sighting>> = packed.iter().map(|_| Vec::new()).collect();
    let packed = packed.into_iter().enumerate();
    let portion_of: HashMap<Pid, usize> = packed
        .flat_map(|(portion, pids)| pids.into_iter().map(move |pid| (pid, portion)))
        .collect();
    for target in targets {
        portions[portion_of[&target.identity().pid]].push(target);
    }
    portions
}

/// Puts whole sets together, as long as there are fewer than so many.
fn pack(sets: Vec<Vec<Pid>>, enough: usize) -> Vec<Vec<Pid>> {
    let mut packed: Vec<Vec<Pid>> = Vec::new();
    for set in sets {
        match packed.last_mut() {
            Some(last) if last.len() + set.len() <= enough => last.extend(set),
            _ => packed.push(set),
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_filled_with_whole_sets() {
        let sets = |sizes: &[usize]| -> Vec<Vec<Pid>> {
            let sizes = sizes.iter();
            sizes.map(|size| vec![7; *size]).collect()
        };
        let packed = |sizes: &[usize]| -> Vec<usize> {
            let packed = pack(sets(sizes), 4);
            packed.iter().map(Vec::len).collect()
        };
        assert_eq!(packed(&[1, 1, 1, 1, 1, 1]), [4, 2]);
        assert_eq!(packed(&[3, 2, 2, 1]), [3, 4, 1]);
        assert_eq!(packed(&[1, 9, 1]), [1, 9, 1]);
        assert_eq!(packed(&[]), [0; 0]);
    }
}
