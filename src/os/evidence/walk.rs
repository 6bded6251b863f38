//! Resolves a path as one process would: from its root, component by component.
//!
//! A walk over directory descriptors is `openat2(RESOLVE_IN_ROOT)` made by hand: `..` and absolute
//! links stay below the root. It knows each directory's mount before it asks that mount anything,
//! so it stops before it would trigger an automount, and it never follows a magic link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::mounts::MountTable;
use super::node::{Node, PATH_LIMIT_BYTES, SYMLINK_LIMIT};
use crate::orphan::evidence::{Dangling, Filesystem};
use crate::os::errno::errno_name;

/// What resolving a path gave.
pub(super) enum Walk {
    /// Something is there.
    Found { node: Box<Node>, resolved: PathBuf },
    /// A component is missing, or not a directory.
    Missing {
        /// Where the path would be.
        resolved: PathBuf,
        /// Whether a symbolic link named the missing component.
        dangling: Dangling,
        /// The deepest existing ancestor.
        ancestor: Box<Node>,
    },
    /// Any other answer.
    Failed { errno: &'static str },
}

/// A component that is still to be walked, and where it came from.
struct Ahead {
    name: OsString,
    from: Dangling,
}

/// Resolves the absolute `path` below `root`, following every symbolic link.
pub(super) fn walk(root: Node, path: &Path, mounts: &MountTable) -> Walk {
    if path.as_os_str().len() >= PATH_LIMIT_BYTES {
        return Walk::Failed {
            errno: "ENAMETOOLONG",
        };
    }
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if path.components().all(is_plain)
        && let Some(node) = root.in_one_step(path, mounts)
    {
        return Walk::Found {
            node: Box::new(node),
            resolved: path.components().collect(),
        };
    }
    let mut ahead: VecDeque<Ahead> = components(path, Dangling::No).collect();
    let mut resolved = PathBuf::from("/");
    let mut above: Vec<Node> = Vec::new();
    let mut here = root;
    let mut links_followed = 0;
    while let Some(Ahead { name, from }) = ahead.pop_front() {
        if name == ".." {
            if let Some(parent) = above.pop() {
                here = parent;
                resolved.pop();
            }
            continue;
        }
        let filesystem = here.filesystem(mounts);
        // Looking further would mount something for a process that may be an orphan.
        let covered = || mounts.is_mount_point(&resolved.join(&name));
        if filesystem == Filesystem::Autofs && !covered() {
            return missing(here, remaining(&resolved, &name, &ahead), from);
        }
        if here.is_on_procfs(mounts) {
            // `/proc/self` is somebody else to each reader.
            return Walk::Failed { errno: "EXDEV" };
        }
        let next = match here.lookup(&name) {
            Ok(next) => next,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR) => {
                    return missing(here, remaining(&resolved, &name, &ahead), from);
                }
                _ => {
                    return Walk::Failed {
                        errno: errno_name(&error),
                    };
                }
            },
        };
        if !next.is_symlink() {
            above.push(std::mem::replace(&mut here, next));
            resolved.push(&name);
            continue;
        }
        links_followed += 1;
        if links_followed > SYMLINK_LIMIT {
            return Walk::Failed { errno: "ELOOP" };
        }
        let target = match next.link_target() {
            Ok(target) => target,
            Err(error) => {
                return Walk::Failed {
                    errno: errno_name(&error),
                };
            }
        };
        if target.is_absolute() && !above.is_empty() {
            here = above.swap_remove(0);
            above.clear();
        }
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        for part in components(&target, Dangling::Symlink)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            ahead.push_front(part);
        }
    }
    Walk::Found {
        node: Box::new(here),
        resolved,
    }
}

fn components(path: &Path, from: Dangling) -> impl Iterator<Item = Ahead> + '_ {
    path.components().filter_map(move |component| {
        match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        }
        .map(|name| Ahead { name, from })
    })
}

fn missing(ancestor: Node, resolved: PathBuf, dangling: Dangling) -> Walk {
    Walk::Missing {
        resolved,
        dangling,
        ancestor: Box::new(ancestor),
    }
}

/// Where a path would be whose component `name` is missing below `resolved`.
fn remaining(resolved: &Path, name: &OsStr, ahead: &VecDeque<Ahead>) -> PathBuf {
    let mut path = resolved.join(name);
    for Ahead { name, .. } in ahead {
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolve(root: &Path, path: &str) -> Walk {
        #[cfg(target_os = "linux")]
        let (mounts, root) = (
            MountTable::of(std::process::id(), "/proc/self", Path::new("/")),
            Node::open_magic(root.to_str().unwrap()),
        );
        #[cfg(target_os = "macos")]
        let (mounts, root) = (MountTable::of(Path::new("/")), Node::at(root.to_owned()));
        walk(root.unwrap(), Path::new(path), &mounts.unwrap())
    }

    fn found(root: &Path, path: &str) -> Option<PathBuf> {
        match resolve(root, path) {
            Walk::Found { resolved, .. } => Some(resolved),
            Walk::Missing { .. } | Walk::Failed { .. } => None,
        }
    }

    #[test]
    fn links_and_dots_stay_below_the_process_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("home/me/ws")).unwrap();
        symlink("/home/me", root.path().join("abs")).unwrap();
        symlink("../../home/me/ws", root.path().join("home/me/rel")).unwrap();
        symlink("/../../../home", root.path().join("up")).unwrap();
        symlink("/abs", root.path().join("home/me/down")).unwrap();
        for path in [
            "/home/me/ws",
            "/abs/ws",
            "/home/me/rel",
            "/up/me/ws",
            "/home/me/down/ws",
            "/home/me/down/down/../me/ws",
            "/../home/./me/ws/",
        ] {
            assert_eq!(
                found(root.path(), path),
                Some("/home/me/ws".into()),
                "{path}"
            );
        }
        assert_eq!(found(root.path(), "/"), Some("/".into()));
    }

    #[test]
    fn a_missing_path_says_where_it_would_be_and_whether_a_link_named_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("private/tmp")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        symlink("private/tmp", root.path().join("tmp")).unwrap();
        symlink("/gone/ws", root.path().join("dangling")).unwrap();
        for (path, expected, link) in [
            ("/tmp/ws/x", "/private/tmp/ws/x", Dangling::No),
            ("/dangling", "/gone/ws", Dangling::Symlink),
            ("/dangling/sub", "/gone/ws/sub", Dangling::Symlink),
            ("/file/sub", "/file/sub", Dangling::No),
        ] {
            match resolve(root.path(), path) {
                Walk::Missing {
                    resolved,
                    dangling,
                    ancestor,
                } => {
                    assert_eq!((resolved.to_str().unwrap(), dangling), (expected, link));
                    assert_eq!(ancestor.is_directory(), path != "/file/sub");
                }
                _ => panic!("{path} is missing"),
            }
        }
    }

    #[test]
    fn whatever_is_not_a_missing_component_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let long = format!("/{}", "x".repeat(300));
        let longer = "/x".repeat(2100);
        for (path, name) in [
            ("/a/ws", "ELOOP"),
            (&long, "ENAMETOOLONG"),
            (&longer, "ENAMETOOLONG"),
        ] {
            match resolve(root.path(), path) {
                Walk::Failed { errno } => assert_eq!(errno, name),
                _ => panic!("{name} expected"),
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn in_one_step_the_same_is_found_or_nothing_is_said() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("home/me/ws")).unwrap();
        std::fs::write(root.join("home/file"), "").unwrap();
        symlink("me/ws", root.join("home/link")).unwrap();
        symlink("me", root.join("home/other")).unwrap();
        let mounts = MountTable::of(std::process::id(), "/proc/self", Path::new("/")).unwrap();
        let node = || Node::open_magic(root.to_str().unwrap()).unwrap();
        let is_local = node().filesystem(&mounts).is_of_this_machine();
        for (path, is_found) in [
            ("/home/me/ws", true),
            ("/home/me/ws/", true),
            ("/home/file", true),
            ("/home/link", false),
            ("/home/other/ws", false),
            ("/home/me/gone", false),
            ("/home/file/ws", false),
            ("/", false),
        ] {
            let path = Path::new(path);
            let found = node().in_one_step(path, &mounts);
            assert_eq!(found.is_some(), is_found && is_local, "{path:?}");
            // By whatever way, it is the same.
            let strange = MountTable::default();
            assert!(node().in_one_step(path, &strange).is_none());
            let (Some(found), Walk::Found { node, .. }) = (found, walk(node(), path, &strange))
            else {
                continue;
            };
            assert!(found.is_the_same_place_as(&node), "{path:?}");
        }
        let proc = Node::open_magic("/").unwrap();
        assert!(proc.in_one_step(Path::new("/proc/self"), &mounts).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_looked_up_where_that_would_mount_something() {
        let folder = tempfile::tempdir().unwrap();
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        // The same mounts, and all of them would mount whatever is asked of them.
        let automounts: Vec<String> = table
            .lines()
            .map(|line| {
                let (place, how) = line.split_once(" - ").unwrap();
                let (_, what) = how.split_once(' ').unwrap();
                format!("{place} - autofs {what}")
            })
            .collect();
        let mounts = MountTable::parse(automounts.join("\n").as_bytes());
        let walk_to = |path: &Path| walk(Node::open_magic("/").unwrap(), path, &mounts);
        let existing = folder.path();
        let Walk::Missing {
            resolved, ancestor, ..
        } = walk_to(existing)
        else {
            panic!("it was looked up");
        };
        assert_eq!(resolved, existing);
        assert_eq!(ancestor.filesystem(&mounts), Filesystem::Autofs);
        // Where something is mounted on it already, nothing more is mounted by looking.
        assert!(matches!(walk_to(Path::new("/proc")), Walk::Found { .. }));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_looked_up_on_procfs() {
        assert!(matches!(
            resolve(Path::new("/"), "/proc/self/cwd"),
            Walk::Failed { errno: "EXDEV" }
        ));
    }
}
