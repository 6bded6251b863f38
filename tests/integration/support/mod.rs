//! What the tests stand on: a private process table, a world of temporary directories, the daemon
//! and the client in it, and stand-ins for coordinators. Knows nothing of the project's own code:
//! everything here goes through the binaries, the socket and the files, as a user would.

mod ctl;
mod daemon;
mod event_log;
mod frozen;
mod namespace;
mod process;
mod pty;
mod rpc;
mod silence;
mod stand_in;
mod systemd;
mod unwritten;
mod wait;
mod world;

pub(crate) use ctl::{Answer, command as ctl_command, run as run_ctl};
pub(crate) use daemon::{Daemon, failed_start};
pub(crate) use event_log::{EventLog, in_the_original_form};
pub(crate) use frozen::assert_as_frozen;
pub(crate) use namespace::{
    in_private_pid_namespace, name_of_test, say_aloud, skip, we_are_really_root,
};
pub(crate) use process::{
    has_exited, is_alive, pids_can_be_chosen, signal, state, through, with_pid,
};
pub(crate) use pty::Pty;
pub(crate) use rpc::Connection;
pub(crate) use silence::Silence;
pub(crate) use stand_in::{
    Recipe, StandIn, delete_workspace, lookalike, stand_in_program, wait_until_made_again,
};
pub(crate) use systemd::{SystemdBox, in_a_systemd_box, in_a_systemd_box_named};
pub(crate) use unwritten::Unwritten;
pub(crate) use wait::{wait_for, wait_until};
pub(crate) use world::{Settings, World};

use serde_json::Value;

/// The pids of a list of entries, in the order they stand in.
pub(crate) fn pids(entries: &Value) -> Vec<u32> {
    let entries = entries.as_array().expect("a list of entries");
    entries
        .iter()
        .map(|entry| {
            let pid = entry["pid"].as_u64();
            u32::try_from(pid.expect("an entry has a pid")).unwrap()
        })
        .collect()
}

/// The same, sorted, for comparing sets.
pub(crate) fn sorted_pids(entries: &Value) -> Vec<u32> {
    let mut pids = pids(entries);
    pids.sort_unstable();
    pids
}

/// The entry about `pid` in a list of entries.
pub(crate) fn entry_of(entries: &Value, pid: u32) -> &Value {
    try_entry_of(entries, pid).unwrap_or_else(|| panic!("no entry for pid {pid} in {entries:#}"))
}

/// The same, if there is one.
pub(crate) fn try_entry_of(entries: &Value, pid: u32) -> Option<&Value> {
    let entries = entries.as_array().expect("a list of entries");
    entries.iter().find(|entry| entry["pid"] == pid)
}
