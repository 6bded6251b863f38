//! Who dies with an orphan, who is left behind and why: a pure function over one snapshot.
//!
//! Doubt leaves a process behind. Knows nothing of handles: whoever signals pins each member and
//! asks [`still_belongs`] again under its handle.

mod company;
mod descent;
mod family;

use std::collections::{BTreeMap, BTreeSet};

pub use self::company::{Companion, Company, Surroundings, companies};
pub use self::descent::with_all_below;
pub use self::family::{Family, Kin};
use super::process::{Pid, ProcessIdentity};

/// How far termination reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// The orphan alone.
    Process,
    /// And the members of its process group, when it leads that group.
    #[default]
    Group,
    /// And its other descendants.
    Tree,
}

impl Scope {
    /// The configuration's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Group => "group",
            Self::Tree => "tree",
        }
    }

    /// Whether the members of the orphan's group end with it.
    #[must_use]
    pub fn reaches_group(self) -> bool {
        self != Self::Process
    }

    /// Whether its other descendants do.
    #[must_use]
    pub fn reaches_descendants(self) -> bool {
        self == Self::Tree
    }
}

/// What a process is, as far as it may have to be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing special.
    Ordinary,
    /// A coordinator.
    Coordinator,
    /// A terminal multiplexer's server: every session of a user may live in it.
    Multiplexer,
    /// sshd or one of its sessions.
    Sshd,
    /// init, systemd, launchd, …
    ServiceManager,
    /// It could not be looked into: it may be anything, and anybody's.
    Unreadable,
}

/// One process of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which process.
    pub identity: ProcessIdentity,
    /// Its parent.
    pub ppid: Pid,
    /// Its process group.
    pub pgid: Pid,
    /// Its user ids, all of them.
    pub uids: Vec<u32>,
    /// Whether it has a controlling terminal.
    pub on_terminal: bool,
    /// The systemd unit or scope it runs in, where there is one.
    pub unit: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Its command line, for reports.
    pub cmdline: String,
}

/// The processes around one or more orphans, by pid.
pub type Snapshot = BTreeMap<Pid, Row>;

/// The daemon or a peer, and everybody above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Those that are known.
    pub pids: BTreeSet<Pid>,
    /// Where the chain broke, at a process that is gone or hidden: the start of the last one that
    /// was seen. Whoever is above started no later.
    pub open_above: Option<u64>,
}

impl Lineage {
    /// The lineage of somebody of whom nothing is known: anybody may belong to it.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            pids: BTreeSet::new(),
            open_above: Some(u64::MAX),
        }
    }

    /// This one and another.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.pids.extend(&other.pids);
        self.open_above = self.open_above.max(other.open_above);
        self
    }

    /// Whether this process belongs to it, or may.
    #[must_use]
    pub fn may_hold(&self, process: &ProcessIdentity) -> bool {
        self.pids.contains(&process.pid)
            || self.open_above.is_some_and(|start| process.start <= start)
    }
}

/// Who must not be touched, whatever the snapshot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// The daemon, the requesting peer, and the ancestors of both.
    pub lineage: Lineage,
    /// Kept by their owner.
    pub kept: BTreeSet<Pid>,
    /// Coordinators that this wave ends: other coordinators are protected.
    pub targets: BTreeSet<Pid>,
}

/// Why a process that was seen is not signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Pid 1.
    Init,
    /// The daemon, the peer or an ancestor of one of them.
    ProtectedAncestor,
    /// Another user's.
    OtherUid,
    /// A coordinator that is not to end now.
    Coordinator,
    /// A terminal multiplexer's server.
    Multiplexer,
    /// sshd.
    Sshd,
    /// A service manager.
    ServiceManager,
    /// Kept.
    Kept,
    /// Below a process that is protected.
    BelowProtected,
    /// Outside the orphan's group, on a controlling terminal.
    ControllingTerminal,
    /// Outside the orphan's group, in another systemd unit or scope.
    AnotherUnit,
    /// Started before its parent: not the process that the snapshot took it for.
    OlderThanParent,
    /// Not within the configured scope.
    OutOfScope,
    /// When it was pinned it was another process, or did not belong any more.
    Changed,
    /// It could not be looked into.
    Unreadable,
}

impl Why {
    /// The word in results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::ProtectedAncestor => "protected_ancestor",
            Self::OtherUid => "other_uid",
            Self::Coordinator => "coordinator",
            Self::Multiplexer => "terminal_multiplexer",
            Self::Sshd => "sshd",
            Self::ServiceManager => "service_manager",
            Self::Kept => "kept",
            Self::BelowProtected => "below_protected",
            Self::ControllingTerminal => "controlling_terminal",
            Self::AnotherUnit => "another_unit",
            Self::OlderThanParent => "older_than_parent",
            Self::OutOfScope => "out_of_scope",
            Self::Changed => "changed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How a member belongs to the orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// In the process group that the orphan leads.
    Group,
    /// A descendant outside that group.
    Descendant,
}

/// A process that ends with the orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which process.
    pub identity: ProcessIdentity,
    /// Its parent in the snapshot.
    pub ppid: Pid,
    /// How it belongs.
    pub relation: Relation,
}

/// A process that was seen and is not signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// Its pid.
    pub pid: Pid,
    /// Its command line.
    pub cmdline: String,
    /// Why not.
    pub why: Why,
}

impl LeftBehind {
    /// This process, left for this reason.
    #[must_use]
    pub fn new(row: &Row, why: Why) -> Self {
        Self {
            pid: row.identity.pid,
            cmdline: row.cmdline.clone(),
            why,
        }
    }
}

/// Who dies with an orphan, and who does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victims {
    /// Ends with it, parents before children.
    pub members: Vec<Member>,
    /// Seen and left.
    pub left_behind: Vec<LeftBehind>,
}

/// Sorts the relatives of `orphan` in `snapshot` into members and left-behind ones.
///
/// `snapshot` holds the orphan and its [`Family::relatives`]. Whether the orphan itself may be signalled
/// is the caller's to know.
#[must_use]
pub fn select(snapshot: &Snapshot, orphan: Pid, scope: Scope, protected: &Protected) -> Victims {
    let Some(leader) = snapshot.get(&orphan) else {
        return Victims::default();
    };
    let mut victims = Victims::default();
    let mut barred: BTreeSet<Pid> = BTreeSet::new();
    let (in_order, circular) = parents_first(snapshot, orphan);
    for row in in_order {
        let pid = row.identity.pid;
        // One that ends in the same wave ends by its own escalation, not as a member.
        if row.kind == Kind::Coordinator && protected.targets.contains(&pid) {
            if barred.contains(&row.ppid) {
                barred.insert(pid);
            }
            continue;
        }
        let relation = if leader.pgid == orphan && row.pgid == orphan {
            Relation::Group
        } else {
            Relation::Descendant
        };
        match why_not(row, relation, leader, scope, protected, &barred, snapshot) {
            None => victims.members.push(Member {
                identity: row.identity,
                ppid: row.ppid,
                relation,
            }),
            Some(why) => {
                if why.bars_what_is_below() {
                    barred.insert(row.identity.pid);
                }
                victims.left_behind.push(LeftBehind::new(row, why));
            }
        }
    }
    let unclear = circular
        .into_iter()
        .map(|row| LeftBehind::new(row, Why::Changed));
    victims.left_behind.extend(unclear);
    victims
}

impl Why {
    /// "Nor anything below them": protection is inherited, a scope is not.
    fn bars_what_is_below(self) -> bool {
        match self {
            Self::OutOfScope => false,
            Self::Init
            | Self::ProtectedAncestor
            | Self::OtherUid
            | Self::Coordinator
            | Self::Multiplexer
            | Self::Sshd
            | Self::ServiceManager
            | Self::Kept
            | Self::BelowProtected
            | Self::ControllingTerminal
            | Self::AnotherUnit
            | Self::OlderThanParent
            | Self::Changed
            | Self::Unreadable => true,
        }
    }
}

fn why_not(
    row: &Row,
    relation: Relation,
    leader: &Row,
    scope: Scope,
    protected: &Protected,
    barred: &BTreeSet<Pid>,
    snapshot: &Snapshot,
) -> Option<Why> {
    let pid = row.identity.pid;
    if pid == 1 {
        return Some(Why::Init);
    }
    if protected.lineage.may_hold(&row.identity) {
        return Some(Why::ProtectedAncestor);
    }
    if row.kind == Kind::Unreadable {
        return Some(Why::Unreadable);
    }
    if row.uids.iter().any(|uid| *uid != leader.uids[0]) {
        return Some(Why::OtherUid);
    }
    if protected.kept.contains(&pid) {
        return Some(Why::Kept);
    }
    match row.kind {
        Kind::Ordinary | Kind::Unreadable => {}
        Kind::Coordinator => return Some(Why::Coordinator),
        Kind::Multiplexer => return Some(Why::Multiplexer),
        Kind::Sshd => return Some(Why::Sshd),
        Kind::ServiceManager => return Some(Why::ServiceManager),
    }
    if barred.contains(&row.ppid) {
        return Some(Why::BelowProtected);
    }
    if let Some(parent) = snapshot.get(&row.ppid)
        && row.identity.start < parent.identity.start
    {
        return Some(Why::OlderThanParent);
    }
    if relation == Relation::Descendant {
        if row.on_terminal {
            return Some(Why::ControllingTerminal);
        }
        if row.unit != leader.unit {
            return Some(Why::AnotherUnit);
        }
    }
    // Last, because it protects nobody below.
    let in_scope = match (scope, relation) {
        (Scope::Tree, _) | (Scope::Group, Relation::Group) => true,
        (Scope::Process, _) | (Scope::Group, Relation::Descendant) => false,
    };
    if !in_scope {
        return Some(Why::OutOfScope);
    }
    None
}

/// The relatives in an order in which each parent comes before its children, so that protection
/// is known before it is inherited; and those whose parents go round in a circle, which only
/// recycled pids can bring about: nobody among them is what the snapshot says.
fn parents_first(snapshot: &Snapshot, orphan: Pid) -> (Vec<&Row>, Vec<&Row>) {
    let mut order = Vec::new();
    let mut placed = BTreeSet::from([orphan]);
    let mut waiting: Vec<&Row> = snapshot
        .values()
        .filter(|row| row.identity.pid != orphan)
        .collect();
    loop {
        let (ready, rest): (Vec<&Row>, Vec<&Row>) = waiting
            .into_iter()
            .partition(|row| placed.contains(&row.ppid) || !snapshot.contains_key(&row.ppid));
        if ready.is_empty() {
            return (order, rest);
        }
        placed.extend(ready.iter().map(|row| row.identity.pid));
        order.extend(ready);
        waiting = rest;
    }
}

/// Whether a pinned process is still the member that the snapshot showed: same owner, and still
/// in the orphan's group or below a pinned parent (or adopted, after that parent's exit).
#[must_use]
pub fn still_belongs(
    member: &Member,
    orphan: Pid,
    orphan_uid: u32,
    now: &Row,
    pinned: &BTreeSet<Pid>,
) -> bool {
    let same_owner = now.uids.iter().all(|uid| *uid == orphan_uid);
    let same_place = match member.relation {
        Relation::Group => now.pgid == orphan,
        Relation::Descendant => pinned.contains(&member.ppid),
    };
    same_owner && same_place && now.kind == Kind::Ordinary && now.identity == member.identity
}

#[cfg(test)]
mod tests;
