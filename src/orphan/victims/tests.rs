//! Who dies with an orphan: the scopes, the protections, and both against a naive model.

mod company;
mod forest;
mod lineage;
mod protections;
mod scopes;
mod still_belongs;

use super::*;

/// The orphan in all of these: it leads its own group.
const ORPHAN: Pid = 100;
const UID: u32 = 1000;

/// An ordinary process that started after every one with a smaller pid.
fn row(pid: Pid, ppid: Pid, pgid: Pid) -> Row {
    Row {
        identity: ProcessIdentity {
            pid,
            start: u64::from(pid),
            unique: 0,
        },
        ppid,
        pgid,
        uids: vec![UID],
        on_terminal: false,
        unit: Some("session-1.scope".to_owned()),
        kind: Kind::Ordinary,
        cmdline: format!("process {pid}"),
    }
}

fn orphan() -> Row {
    Row {
        kind: Kind::Coordinator,
        ..row(ORPHAN, 1, ORPHAN)
    }
}

fn snapshot(rows: impl IntoIterator<Item = Row>) -> Snapshot {
    rows.into_iter()
        .map(|row| (row.identity.pid, row))
        .collect()
}

fn members(victims: &Victims) -> Vec<Pid> {
    victims
        .members
        .iter()
        .map(|member| member.identity.pid)
        .collect()
}

fn left(victims: &Victims) -> Vec<(Pid, Why)> {
    victims
        .left_behind
        .iter()
        .map(|one| (one.pid, one.why))
        .collect()
}

fn targets(pids: &[Pid]) -> Protected {
    Protected {
        targets: pids.iter().copied().chain([ORPHAN]).collect(),
        ..Protected::default()
    }
}

fn nothing_special() -> Protected {
    targets(&[])
}
