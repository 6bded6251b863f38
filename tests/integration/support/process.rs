//! Single processes by pid. Only to be used inside the private namespace, where pids do not come
//! round again within a test.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Whether the process has exited. A zombie has: it runs nothing and holds nothing.
pub(crate) fn has_exited(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The name before it is in parentheses and may hold anything, parentheses too.
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    matches!(state, Some("Z" | "X"))
}

pub(crate) fn is_alive(pid: u32) -> bool {
    !has_exited(pid)
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let known = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a pid");
    kill_process(known, signal).unwrap_or_else(|error| panic!("signalling {pid}: {error}"));
}

/// For cleaning up: the process may be gone already.
pub(crate) fn kill_if_there(pid: u32) {
    if is_alive(pid) {
        let known = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a pid");
        let _ = kill_process(known, Signal::KILL);
    }
}
