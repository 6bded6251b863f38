//! Single processes by pid. Only to be used inside the private namespace, where pids do not come
//! round again within a test.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

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

/// The processes that this one has started.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .map(|pid| pid.parse().expect("a pid"))
        .collect()
}

/// For cleaning up: the process may be gone already.
pub(crate) fn kill_if_there(pid: u32) {
    if is_alive(pid) {
        let known = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a pid");
        let _ = kill_process(known, Signal::KILL);
    }
}

/// `command` as the last arguments of a program that becomes it in the end: `setpriv`, `unshare`.
pub(crate) fn through(program: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program[0]);
    outer.args(&program[1..]);
    outer.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        outer.current_dir(directory);
    }
    outer.stdin(Stdio::null()).stdout(Stdio::null());
    outer
}

/// Whether a test may say which pid comes next.
pub(crate) fn pids_can_be_chosen() -> bool {
    fs::read_to_string(LAST_PID).is_ok_and(|last| fs::write(LAST_PID, last.trim()).is_ok())
}

/// Calls `start` until what it starts has this pid, which has to be free: threads take pids too.
pub(crate) fn with_pid<T>(pid: u32, start: impl Fn() -> T, pid_of: impl Fn(&T) -> u32) -> T {
    for _ in 0..100 {
        fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
        let one = start();
        if pid_of(&one) == pid {
            return one;
        }
    }
    panic!("nothing gets pid {pid}");
}

/// The state of a process, by proc_pid_stat(5).
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}
