//! Who would end with each orphan, were all of them ended now: looked at, with nobody pinned beyond the
//! look and nobody signalled. Blocking.

use std::collections::BTreeSet;

use super::gather::protection;
use super::owner::{forbidden, protected_by};
use crate::orphan::process::Pid;
use crate::orphan::registry::Sighting;
use crate::orphan::steering::Steering;
use crate::orphan::victims::{Company, Family, Lineage, Surroundings, companies};
use crate::os::facts;
use crate::os::patience;
use crate::supervisor::settings::Settings;

/// The company of each of these orphans, in the same order, by the rules and the selection that a wave of
/// all of them goes by. `lineage` is whoever asks and the daemon, with all that is above them. None of
/// them if the process table cannot be read.
#[must_use]
pub fn survey(
    orphans: &[Sighting],
    lineage: Lineage,
    steering: &Steering,
    settings: &Settings,
) -> Vec<Option<Company>> {
    let Ok(family) = facts::family_table() else {
        return vec![None; orphans.len()];
    };
    let pids = orphans.iter().map(|orphan| orphan.identity().pid);
    let around = pids.flat_map(|pid| family.relatives(pid, true).into_iter().chain([pid]));
    let slow = facts::slow_ones(around.collect());
    patience::without_limit_but(&slow, || {
        companies_of(orphans, &family, lineage, steering, settings)
    })
}

fn companies_of(
    orphans: &[Sighting],
    family: &Family,
    lineage: Lineage,
    steering: &Steering,
    settings: &Settings,
) -> Vec<Option<Company>> {
    let spared: Vec<Option<&str>> = orphans
        .iter()
        .map(|orphan| {
            let identity = orphan.identity();
            let evidence = &orphan.observation.evidence;
            forbidden(&identity, evidence, settings, steering).or_else(|| {
                lineage
                    .may_hold(&identity)
                    .then(|| protected_by(&lineage, &identity))
            })
        })
        .collect();
    let all = orphans.iter().zip(&spared);
    let targets: BTreeSet<Pid> = all
        .clone()
        .filter(|(_, spared)| spared.is_none())
        .map(|(orphan, _)| orphan.identity().pid)
        .collect();
    let protected = protection(targets, &steering.keeps, lineage);
    let around = all.map(|(orphan, spared)| {
        if let Some(why) = spared {
            return Surroundings::Spared((*why).to_owned());
        }
        let identity = orphan.identity();
        let snapshot = facts::snapshot_around(
            identity.pid,
            family.leads(identity.pid),
            family,
            &settings.forms,
        );
        match snapshot.get(&identity.pid) {
            Some(row) if row.identity == identity => Surroundings::Seen(identity.pid, snapshot),
            _ => Surroundings::Unseen,
        }
    });
    companies(around, settings.scope, &protected)
}
