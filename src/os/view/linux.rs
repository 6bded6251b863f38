//! The daemon's view on Linux, by namespaces(7), proc(5) and the mount tables of others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::tree::MountTree;
use crate::orphan::process::Pid;
use crate::orphan::view::Obstacle;
use crate::os::facts::lineage;

/// `CAP_SYS_PTRACE`, capabilities(7).
const SYS_PTRACE: u32 = 19;

pub(super) fn obstacles(targets: &[Pid]) -> Vec<Obstacle> {
    let mut found = Vec::new();
    found.extend(filtered_processes());
    // pid 1 stands where the machine was booted; who started us, where we would be by ourselves.
    let own = std::process::id();
    let above = lineage(own).pids;
    let above: Vec<Pid> = above.into_iter().filter(|pid| *pid != own).collect();
    let hidden = match above.iter().find_map(|pid| compare(*pid)) {
        Some(hidden) => hidden,
        // None of them may be looked into: in a namespace of users of our own that is why.
        None if has_own_user_namespace() => vec![Obstacle::UserNamespace],
        None => targets
            .iter()
            .filter_map(|pid| compare(*pid))
            .find(|hidden| !hidden.is_empty())
            .unwrap_or_default(),
    };
    found.extend(hidden);
    found
}

/// What `pid` sees and this process does not. None if it may not be looked into, or is gone.
fn compare(pid: Pid) -> Option<Vec<Obstacle>> {
    let theirs = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
    let ours = fs::read_link("/proc/self/ns/mnt").ok()?;
    let root = |of: &str| -> io::Result<(u64, u64)> {
        let root = fs::metadata(format!("/proc/{of}/root/"))?;
        Ok((root.dev(), root.ino()))
    };
    let (their_root, our_root) = (root(&pid.to_string()).ok()?, root("self").ok()?);
    if theirs == ours && their_root == our_root {
        return Some(Vec::new());
    }
    if their_root != our_root {
        return Some(vec![Obstacle::AnotherRoot { compared_with: pid }]);
    }
    let table = |of: &str| fs::read(format!("/proc/{of}/mountinfo")).ok();
    let theirs = MountTree::parse(&table(&pid.to_string())?);
    let ours = MountTree::parse(&table("self")?);
    let hidden = ours.differences(&theirs).into_iter();
    Some(
        hidden
            .map(|path| Obstacle::HiddenPath {
                path,
                compared_with: pid,
            })
            .collect(),
    )
}

/// Whether `/proc` is mounted so that it hides the processes of others from us.
fn filtered_processes() -> Option<Obstacle> {
    let table = fs::read("/proc/self/mountinfo").ok()?;
    let options = MountTree::parse(&table).super_options_at(Path::new("/proc"))?;
    let option = hiding_option(&options)?;
    (!may_look_into_all() && !is_exempt(&options)).then_some(Obstacle::FilteredProcesses { option })
}

/// proc(5): `hidepid=` 1 (`noaccess`), 2 (`invisible`) and 4 (`ptraceable`) hide something.
fn hiding_option(options: &str) -> Option<String> {
    options
        .split(',')
        .find(|option| {
            option
                .strip_prefix("hidepid=")
                .is_some_and(|how| !matches!(how, "0" | "off"))
        })
        .map(str::to_owned)
}

/// Whether we are in the group for which `/proc` makes an exception.
fn is_exempt(options: &str) -> bool {
    let exempt = options
        .split(',')
        .find_map(|option| option.strip_prefix("gid=")?.parse::<u32>().ok());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let groups = status
        .lines()
        .filter(|line| line.starts_with("Groups:") || line.starts_with("Gid:"))
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|word| word.parse::<u32>().ok())
        .collect::<Vec<_>>();
    // `ptraceable` knows no exception.
    let knows_exceptions =
        !options.contains("hidepid=ptraceable") && !options.contains("hidepid=4");
    knows_exceptions && exempt.is_some_and(|gid| groups.contains(&gid))
}

/// Whether we may read every process of this user namespace, which then has to be everybody's.
fn may_look_into_all() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    effective >> SYS_PTRACE & 1 == 1
}

/// user_namespaces(7): the first one maps every uid to itself.
fn has_own_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
        let words: Vec<&str> = map.split_ascii_whitespace().collect();
        words != ["0", "0", "4294967295"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_started_us_sees_what_we_see() {
        assert_eq!(obstacles(&[]), []);
        assert_eq!(compare(std::process::id()), Some(Vec::new()));
        assert_eq!(compare(u32::MAX), None, "there is no such process");
    }

    #[test]
    fn only_the_options_that_hide_processes_count() {
        for (options, option) in [
            ("rw", None),
            ("rw,hidepid=0", None),
            ("rw,hidepid=off,gid=4", None),
            ("rw,hidepid=2", Some("hidepid=2")),
            ("rw,gid=4,hidepid=invisible", Some("hidepid=invisible")),
            ("rw,hidepid=noaccess", Some("hidepid=noaccess")),
            (
                "rw,hidepid=ptraceable,subset=pid",
                Some("hidepid=ptraceable"),
            ),
        ] {
            assert_eq!(hiding_option(options).as_deref(), option, "{options}");
        }
    }
}
