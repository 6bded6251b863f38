//! Where a process hangs that does not end: what each of its threads does, in which function of the
//! kernel it waits, who traces it, and whether its cgroup is frozen. For people; nothing is decided
//! by it.

use std::collections::BTreeMap;
use std::fs;

use super::linux::Stat;
use crate::orphan::process::{Pid, RunState};

/// The words for a process that is still there; none if it is not.
pub(super) fn why_it_stays(pid: Pid) -> Option<String> {
    let own = Stat::read_at(&format!("/proc/{pid}")).ok()?;
    // A leader that has exited is a zombie as long as others of its threads live: they matter.
    let mut threads: BTreeMap<String, usize> = BTreeMap::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    for task in tasks.flatten() {
        let task = task.path();
        let Ok(stat) = Stat::read_at(&task.to_string_lossy()) else {
            continue;
        };
        if !matches!(stat.state, 'Z' | 'X' | 'x') {
            let wchan = fs::read_to_string(task.join("wchan")).unwrap_or_default();
            *threads.entry(words(stat.state, &wchan)).or_default() += 1;
        }
    }
    let mut said: Vec<String> = threads
        .iter()
        .map(|(words, count)| match count {
            1 => words.clone(),
            _ => format!("{words} ({count} threads)"),
        })
        .collect();
    if said.is_empty() {
        said.push(words(own.state, ""));
    }
    if own.state == 'Z' && !threads.is_empty() {
        said.push("its first thread has exited".to_owned());
    }
    said.extend(tracer(pid).map(|tracer| format!("traced by process {tracer}")));
    said.extend(frozen(pid).map(|cgroup| format!("frozen in the cgroup {cgroup}")));
    Some(said.join(", "))
}

/// The state, and the function of the kernel, proc_pid_wchan(5): 0 for one that does not wait, or for
/// those who may not know.
fn words(state: char, wchan: &str) -> String {
    let state = RunState(state).describe();
    match wchan {
        "" | "0" => state.to_owned(),
        function => format!("{state} in {function}"),
    }
}

fn tracer(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|tracer| *tracer != 0)
}

/// The cgroup of version 1 that its freezer has stopped: not even SIGKILL gets through there.
fn frozen(pid: Pid) -> Option<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = cgroups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers
            .split(',')
            .any(|name| name == "freezer")
            .then_some(path)
    })?;
    let state = fs::read_to_string(format!("/sys/fs/cgroup/freezer{path}/freezer.state")).ok()?;
    (state.trim() != "THAWED").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_waits_says_where_if_the_kernel_says_it() {
        assert_eq!(
            words('D', "nfs_wait"),
            "in uninterruptible sleep in nfs_wait"
        );
        assert_eq!(words('T', "0"), "stopped");
        assert_eq!(words('t', ""), "held by a tracer");
    }

    #[test]
    fn this_process_says_what_its_threads_do_and_a_missing_one_says_nothing() {
        let words = why_it_stays(std::process::id()).unwrap();
        assert!(words.contains("running"), "{words}");
        assert_eq!(why_it_stays(u32::MAX), None);
    }
}
