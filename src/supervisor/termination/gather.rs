//! Who dies with each orphan: the snapshot, the pinning, the checks under each handle. Blocking.

use std::collections::{BTreeSet, HashSet};

use super::case::{Case, Victim};
use super::owner::protected_by;
use crate::orphan::escalation::Input;
use crate::orphan::process::{Pid, ProcessIdentity};
use crate::orphan::steering::Keeps;
use crate::orphan::termination::Starter;
use crate::orphan::victims::{
    Family, LeftBehind, Lineage, Member, Protected, Relation, Row, Victims, Why, select,
    still_belongs,
};
use crate::os::facts;
use crate::os::handle::{OpenError, ProcessHandle};
use crate::os::patience;
use crate::supervisor::settings::Settings;

/// Who may be taken in that was not pinned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newcomers {
    /// Before SIGTERM.
    WhoeverBelongs,
    /// Before SIGKILL: children that pinned members have started meanwhile.
    Children,
    /// Who is pinned is only checked again.
    Nobody,
}

/// The part of a case that goes to the blocking pool.
pub(super) struct GatheringCase {
    identity: ProcessIdentity,
    victims: Vec<Victim>,
    leader_row: Option<Row>,
    starter: Option<Starter>,
    pinned: BTreeSet<Pid>,
    left_before: Vec<LeftBehind>,
    left_behind: Vec<LeftBehind>,
    spare: Option<&'static str>,
}

impl GatheringCase {
    pub(super) fn take(case: &mut Case) -> Self {
        Self {
            identity: case.identity(),
            pinned: case.pinned(),
            victims: std::mem::take(&mut case.victims),
            leader_row: case.leader_row.take(),
            starter: case.starter.take(),
            left_before: case.left_behind.clone(),
            left_behind: Vec::new(),
            spare: None,
        }
    }

    pub(super) fn give_back(self, case: &mut Case) {
        case.victims = self.victims;
        case.leader_row = self.leader_row;
        case.starter = self.starter;
        if !self.left_behind.is_empty() || case.left_behind.is_empty() {
            case.left_behind = self.left_behind;
        }
        case.escalation.advance(match self.spare {
            Some(why) => Input::CheckFailed {
                why: why.to_owned(),
            },
            None if case.is_gone() => Input::Gone,
            None => Input::CheckPassed,
        });
    }
}

/// Finds and pins the victims of all cases on one look at the process table. Blocking. Whoever does not let itself be
/// read soon is `slow` from now on, and not read again.
pub(super) fn gather_all(
    mut cases: Vec<GatheringCase>,
    slow: &mut BTreeSet<Pid>,
    lineage: Lineage,
    keeps: &Keeps,
    newcomers: Newcomers,
    settings: &Settings,
) -> Vec<GatheringCase> {
    let Ok(family) = facts::family_table() else {
        for case in &mut cases {
            case.spare = Some("process_table_unreadable");
        }
        return cases;
    };
    let mut around = around(&cases, &family);
    around.retain(|pid| !slow.contains(pid));
    slow.extend(facts::slow_ones(around));
    // Who begins to hang only now keeps this thread, and is known the next time.
    patience::without_limit_but(slow, || {
        gather(cases, &family, lineage, keeps, newcomers, settings)
    })
}

/// Whoever is read for these cases.
fn around(cases: &[GatheringCase], family: &Family) -> BTreeSet<Pid> {
    let mut pids = BTreeSet::new();
    for case in cases {
        let orphan = case.identity.pid;
        pids.insert(orphan);
        pids.extend(case.victims.iter().map(|victim| victim.pid));
        // Its group has its number, whether it lives or not.
        pids.extend(family.relatives(orphan, true));
        // Who started it, for the report.
        pids.extend(family.get(orphan).map(|kin| kin.ppid));
    }
    pids
}

fn gather(
    mut cases: Vec<GatheringCase>,
    family: &Family,
    lineage: Lineage,
    keeps: &Keeps,
    newcomers: Newcomers,
    settings: &Settings,
) -> Vec<GatheringCase> {
    for case in &mut cases {
        if lineage.may_hold(&case.identity) {
            case.spare = Some(protected_by(&lineage, &case.identity));
        }
    }
    // One that is spared is a coordinator like any other: protected, with all that is below it.
    let ending = cases.iter().filter(|case| case.spare.is_none());
    let targets = ending.map(|case| case.identity.pid).collect();
    let protected = protection(targets, keeps, lineage);
    // Who belongs to two orphans ends with the first.
    let mut claimed: HashSet<ProcessIdentity> = cases
        .iter()
        .flat_map(|case| &case.victims)
        .filter_map(|victim| victim.member.map(|member| member.identity))
        .collect();
    for case in cases.iter_mut().filter(|case| case.spare.is_none()) {
        recheck_members(case, keeps, &protected.lineage, settings);
        take_in(case, newcomers, family, &protected, settings, &mut claimed);
        if case.starter.is_none() {
            case.starter = case.leader_row.as_ref().map(facts::starter);
        }
    }
    // Who is left by one orphan and ends with another was not left behind.
    let ending: BTreeSet<Pid> = cases
        .iter()
        .filter(|case| case.spare.is_none())
        .flat_map(|case| &case.victims)
        .filter(|victim| victim.is_open())
        .map(|victim| victim.pid)
        .collect();
    for case in &mut cases {
        case.left_behind.retain(|one| !ending.contains(&one.pid));
    }
    cases
}

/// Who must not be touched when these orphans are ended together.
pub(super) fn protection(targets: BTreeSet<Pid>, keeps: &Keeps, lineage: Lineage) -> Protected {
    Protected {
        kept: keeps.processes.keys().copied().collect(),
        targets,
        lineage,
    }
}

/// Members that were pinned before: still the same owner, still nothing to be protected.
fn recheck_members(
    case: &mut GatheringCase,
    keeps: &Keeps,
    lineage: &Lineage,
    settings: &Settings,
) {
    let orphan = case.identity.pid;
    let Some(uid) = case
        .leader_row
        .as_ref()
        .and_then(|row| row.uids.first().copied())
    else {
        return;
    };
    let pinned = case.pinned.clone();
    let is_barred = |identity: &ProcessIdentity| {
        keeps.processes.get(&identity.pid) == Some(identity) || lineage.may_hold(identity)
    };
    for victim in &mut case.victims {
        let Some(member) = victim.member else {
            continue;
        };
        match facts::pinned_row(&victim.handle, victim.pid, &settings.forms) {
            // Its parent may have exited since, of the same signal: that one was pinned, so being
            // adopted by somebody else is no change.
            Ok(row) => {
                // Whoever was let go before had no SIGTERM perhaps: it stays let go.
                victim.spared |= is_barred(&member.identity)
                    || !still_belongs(&member, orphan, uid, &row, &pinned);
            }
            Err(facts::PinError::Gone) => victim.exited = true,
            Err(_) => victim.spared = true,
        }
    }
}

/// Pins whoever belongs to the orphan now, is not pinned yet, and is to be taken in.
fn take_in(
    case: &mut GatheringCase,
    newcomers: Newcomers,
    family: &Family,
    protected: &Protected,
    settings: &Settings,
    claimed: &mut HashSet<ProcessIdentity>,
) {
    let orphan = case.identity.pid;
    let leader_is_alive = case
        .victims
        .first()
        .is_some_and(|victim| victim.handle.is_alive());
    let leads = if leader_is_alive {
        family.leads(orphan)
    } else {
        // Its group is still there, and has its number.
        match &case.leader_row {
            Some(row) if row.pgid == orphan => pid_is_still_its_own(row, family, settings),
            _ => false,
        }
    };
    if !leader_is_alive && !leads {
        return;
    }
    let mut snapshot = facts::snapshot_around(orphan, leads, family, &settings.forms);
    match (&case.leader_row, leader_is_alive) {
        (Some(row), false) => {
            snapshot.insert(orphan, row.clone());
        }
        // It may have gone while the table was read: what was known of it still tells who belongs.
        _ => case.leader_row = snapshot.get(&orphan).cloned().or(case.leader_row.take()),
    }
    let Victims {
        members,
        left_behind,
    } = select(&snapshot, orphan, settings.scope, protected);
    let left: BTreeSet<Pid> = left_behind.iter().map(|one| one.pid).collect();
    for victim in case.victims.iter_mut().skip(1) {
        // Pinned before, and by now it is protected, or below somebody who is.
        victim.spared |= left.contains(&victim.pid);
    }
    let left_before: BTreeSet<Pid> = case.left_before.iter().map(|one| one.pid).collect();
    let still_there: BTreeSet<Pid> = case
        .victims
        .iter()
        .filter(|victim| victim.is_open() && victim.handle.is_alive())
        .map(|victim| victim.pid)
        .collect();
    case.left_behind = left_behind;
    let uid = case
        .leader_row
        .as_ref()
        .and_then(|row| row.uids.first().copied());
    let mut pinned = case.pinned.clone();
    let mut parents = still_there;
    let pinned_before = case.victims.len();
    for member in members {
        let pid = member.identity.pid;
        if pinned.contains(&pid) || claimed.contains(&member.identity) {
            continue;
        }
        if !is_taken_in(&member, newcomers, &parents, &left_before) {
            if let Some(row) = snapshot.get(&pid) {
                case.left_behind.push(LeftBehind::new(row, Why::Changed));
            }
            continue;
        }
        match (
            pin_member(&member, orphan, uid, &pinned, settings),
            snapshot.get(&pid),
        ) {
            (Ok(Some(handle)), _) => {
                pinned.insert(pid);
                parents.insert(pid);
                case.victims.push(Victim::new(handle, pid, Some(member)));
            }
            (Err(why), Some(row)) => case.left_behind.push(LeftBehind {
                pid,
                cmdline: row.cmdline.clone(),
                why,
            }),
            (Ok(None), _) | (Err(_), None) => {}
        }
    }
    drop_strangers(case, orphan, pinned_before);
    // Only now: who could not be pinned as a member of this one, because it is below another orphan
    // say, may well be a member of that one.
    let members = case.victims.iter().filter_map(|victim| victim.member);
    claimed.extend(members.map(|member| member.identity));
    case.pinned = case.victims.iter().map(|victim| victim.pid).collect();
}

/// Whether somebody who belongs to the orphan and is not pinned yet ends with it by this signal.
///
/// Before SIGKILL only children that living members have started meanwhile are new: whoever else
/// turns up has had no SIGTERM, and was perhaps left behind before it.
fn is_taken_in(
    member: &Member,
    newcomers: Newcomers,
    living: &BTreeSet<Pid>,
    left_before: &BTreeSet<Pid>,
) -> bool {
    match newcomers {
        Newcomers::WhoeverBelongs => true,
        Newcomers::Children => {
            living.contains(&member.ppid) && !left_before.contains(&member.identity.pid)
        }
        Newcomers::Nobody => false,
    }
}

/// Lets go of those just pinned whose place was perhaps a stranger's: the table and the rows were
/// read one after the other, and meanwhile a group can be emptied and its number taken, or a
/// parent's. Whoever still lives now has had its pid all the while, and so has a group its number.
fn drop_strangers(case: &mut GatheringCase, orphan: Pid, pinned_before: usize) {
    let lives = |pid: Pid, victims: &[Victim]| {
        victims
            .iter()
            .any(|victim| victim.pid == pid && victim.handle.is_alive())
    };
    let group_holds = case.victims[..pinned_before.min(case.victims.len())]
        .iter()
        .any(|victim| {
            let is_in_group = victim
                .member
                .is_none_or(|member| member.relation == Relation::Group);
            is_in_group && victim.handle.is_alive()
        });
    let mut index = pinned_before;
    while index < case.victims.len() {
        let is_ours = case.victims[index]
            .member
            .is_some_and(|member| match member.relation {
                Relation::Group => group_holds,
                Relation::Descendant => lives(member.ppid, &case.victims),
            });
        if is_ours {
            index += 1;
        } else {
            let stranger = case.victims.remove(index);
            tracing::debug!(
                pid = stranger.pid,
                orphan,
                "not certainly a member: left behind"
            );
            case.left_behind.push(LeftBehind {
                pid: stranger.pid,
                cmdline: String::new(),
                why: Why::Changed,
            });
        }
    }
}

/// Whether the pid of an exited group leader still means its group: nobody has it (while a group has
/// members, its leader's pid is given to nobody else), or its own zombie does.
fn pid_is_still_its_own(leader: &Row, family: &Family, settings: &Settings) -> bool {
    let pid = leader.identity.pid;
    if family.get(pid).is_none() {
        return true;
    }
    let Ok(handle) = ProcessHandle::open(pid) else {
        return false;
    };
    facts::zombie_row(&handle, pid, &settings.forms)
        .is_ok_and(|row| row.identity.is_certainly(&leader.identity))
}

/// A handle on a member that is certainly still the one of the snapshot; none if it is gone.
fn pin_member(
    member: &Member,
    orphan: Pid,
    uid: Option<u32>,
    pinned: &BTreeSet<Pid>,
    settings: &Settings,
) -> Result<Option<ProcessHandle>, Why> {
    let pid = member.identity.pid;
    let handle = match ProcessHandle::open(pid) {
        Ok(handle) => handle,
        Err(OpenError::Gone) => return Ok(None),
        Err(OpenError::Unavailable(_)) => return Err(Why::Unreadable),
    };
    match facts::pinned_row(&handle, pid, &settings.forms) {
        Ok(row) if uid.is_some_and(|uid| still_belongs(member, orphan, uid, &row, pinned)) => {
            Ok(Some(handle))
        }
        Ok(_) => Err(Why::Changed),
        Err(facts::PinError::Gone) => Ok(None),
        Err(_) => Err(Why::Unreadable),
    }
}

#[cfg(test)]
mod tests;
