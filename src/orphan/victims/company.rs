//! Who would end with each of several orphans, were they ended together now. Pure, and only to be shown:
//! whoever signals pins everybody and asks again.

use std::collections::{BTreeSet, HashSet};

use super::{LeftBehind, Protected, Scope, Snapshot, Victims, select};
use crate::orphan::process::{Pid, ProcessIdentity};

/// Whom an orphan would take along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// Why it would not be ended at all, in a stable word, whoever asked for it.
    pub spared: Option<String>,
    /// Ends with it, parents before children.
    pub members: Vec<Companion>,
    /// Seen and left.
    pub left_behind: Vec<LeftBehind>,
}

impl Company {
    /// Of an orphan that would not be ended, for this reason.
    #[must_use]
    pub fn of_spared(why: String) -> Self {
        Self {
            spared: Some(why),
            ..Self::default()
        }
    }
}

/// A process that would end with an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its pid.
    pub pid: Pid,
    /// Its command line.
    pub cmdline: String,
}

/// An orphan and what was found around it.
#[derive(Clone, Debug)]
pub enum Surroundings {
    /// It would not be ended, for this reason.
    Spared(String),
    /// The orphan and its relatives.
    Seen(Pid, Snapshot),
    /// They could not be looked at, or it is gone.
    Unseen,
}

/// The company of each orphan, in the same order; none where nothing could be seen.
#[must_use]
pub fn companies(
    orphans: impl Iterator<Item = Surroundings>,
    scope: Scope,
    protected: &Protected,
) -> Vec<Option<Company>> {
    // Who belongs to two orphans ends with the first.
    let mut claimed: HashSet<ProcessIdentity> = HashSet::new();
    let mut all: Vec<Option<Company>> = orphans
        .map(|orphan| match orphan {
            Surroundings::Unseen => None,
            Surroundings::Spared(why) => Some(Company::of_spared(why)),
            Surroundings::Seen(pid, snapshot) => {
                let Victims {
                    members,
                    left_behind,
                } = select(&snapshot, pid, scope, protected);
                let members = members
                    .iter()
                    .filter(|member| claimed.insert(member.identity))
                    .filter_map(|member| snapshot.get(&member.identity.pid))
                    .map(|row| Companion {
                        pid: row.identity.pid,
                        cmdline: row.cmdline.clone(),
                    })
                    .collect();
                Some(Company {
                    spared: None,
                    members,
                    left_behind,
                })
            }
        })
        .collect();
    // Who is left by one orphan and ends with another is not left behind.
    let ending: BTreeSet<Pid> = claimed.iter().map(|identity| identity.pid).collect();
    for company in all.iter_mut().flatten() {
        company.left_behind.retain(|one| !ending.contains(&one.pid));
    }
    all
}
