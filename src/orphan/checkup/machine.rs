//! What the daemon sees, what the kernel gives it, how much it may open.

use super::{Check, Standpoint};
use crate::orphan::view::Obstacle;

/// Whether the daemon sees what others see. None: comparing took too long.
#[must_use]
pub fn view(obstacles: Option<&[Obstacle]>) -> Check {
    const VIEW: &str = "view";
    const HELD: &str = "nothing is ended automatically meanwhile";
    let Some(obstacles) = obstacles else {
        return Check::warning(
            VIEW,
            "what is seen here could not be compared with what others see",
            "something there hangs: ask again, and see the daemon's log",
        );
    };
    let says: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    let says = says.join("; ");
    match obstacles.iter().find(|one| **one != Obstacle::NotCompared) {
        None if obstacles.is_empty() => Check::ok(
            VIEW,
            "it sees the same mounts, root and processes as who started it",
        ),
        None => Check::warning(
            VIEW,
            format!("{says}; {HELD}"),
            "ask again; see the daemon's log if it stays",
        ),
        Some(worst) => Check::problem(VIEW, format!("{says}; {HELD}"), against(worst)),
    }
}

fn against(obstacle: &Obstacle) -> &'static str {
    match obstacle {
        Obstacle::HiddenPath { .. } => {
            "take PrivateTmp=, ProtectHome=, InaccessiblePaths= and the like out of its unit, and restart it"
        }
        Obstacle::AnotherRoot { .. } => "run it outside of the chroot or container",
        Obstacle::FilteredProcesses { .. } => {
            "take ProtectProc= out of its unit, or let its user into the group of /proc's gid= option, and restart it"
        }
        Obstacle::UserNamespace => {
            "take PrivateUsers= out of its unit, and restart it; in a user's unit mount options imply it"
        }
        Obstacle::NotCompared => "ask again",
    }
}

/// How mounts are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountIds {
    /// By numbers that are never given twice.
    Unique,
    /// By numbers that a later mount may get.
    Reused,
    /// By numbers that are read from text, one file at a time.
    FromText,
}

/// What the kernel gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name and version.
    pub name: String,
    /// Whether there are handles on processes and a process table of our own; or what is wrong.
    pub fitness: Result<(), String>,
    /// Whether a handle can be signalled; or what the system says.
    pub signals: Result<(), String>,
    /// How mounts are told apart; none where that is not asked.
    pub mount_ids: Option<MountIds>,
    /// Whether processes have numbers that are never given twice.
    pub has_unique_numbers: bool,
}

/// Whether the kernel gives what is needed, and what each thing costs that it does not.
#[must_use]
pub fn kernel(kernel: &Kernel) -> Check {
    const KERNEL: &str = "kernel";
    let name = &kernel.name;
    if let Err(problem) = &kernel.fitness {
        return Check::problem(
            KERNEL,
            format!("{name}: nothing can be judged or ended: {problem}"),
            "run it on Linux 5.3 or later, with a /proc of its own pid namespace, and let a seccomp filter allow \
             pidfd_open and pidfd_send_signal",
        );
    }
    if let Err(problem) = &kernel.signals {
        return Check::problem(
            KERNEL,
            format!(
                "{name}: processes can be watched but not ended: pidfd_send_signal says {problem}"
            ),
            "let the seccomp filter (of a container, or SystemCallFilter= of its unit) allow pidfd_send_signal",
        );
    }
    // What is missing here is done without, at a price; only a newer kernel has it.
    let mut costs = Vec::new();
    match kernel.mount_ids {
        Some(MountIds::Unique) | None => {}
        Some(MountIds::Reused) => costs.push(
            "no unique mount ids (Linux 6.8): a volume that took another's place may be taken for it, \
             if it is on the same device",
        ),
        Some(MountIds::FromText) => costs.push(
            "no mount ids by statx (Linux 5.8): they are read from /proc, which is slower",
        ),
    }
    if !kernel.has_unique_numbers {
        costs.push(
            "no numbers of processes (pidfs, Linux 6.9): one that was kept is known again by pid and start time",
        );
    }
    let says = match costs.is_empty() {
        true => format!("{name} gives everything that is used"),
        false => format!("{name} gives what is needed; {}", costs.join("; ")),
    };
    Check::ok(KERNEL, says)
}

/// How much this process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit that holds.
    pub soft: u64,
    /// What it can be raised to.
    pub hard: u64,
    /// How many are open now.
    pub open: Option<u64>,
}

/// What ending a thousand orphans at once takes: a handle each, another one while a scan beside that looks
/// at them too, and room for peers, probes and the event log.
const FOR_A_THOUSAND_KILLS: u64 = 2 * 1_000 + 300;
/// What a scan of a usual machine, its probes and a few peers take.
const FOR_ANYTHING: u64 = 100;

/// Whether as much may be open as a thousand kills at once need.
#[must_use]
pub fn descriptors(found: &Descriptors, standpoint: Standpoint) -> Check {
    const DESCRIPTORS: &str = "descriptors";
    let limit = match found.soft {
        u64::MAX => "any number of files may be open".to_owned(),
        soft => format!("{soft} files may be open"),
    };
    let limit = match found.open {
        Some(open) => format!("{limit}, {open} are"),
        None => limit,
    };
    let remedy = || {
        let who = match standpoint {
            Standpoint::Daemon => "the daemon",
            Standpoint::Client => "what is run here",
        };
        format!(
            "give {who} a higher hard limit (LimitNOFILE= in a unit, ulimit -Hn in a shell, limits.conf for a login), \
             and start it again; the limit is {}",
            found.hard
        )
    };
    if found.soft >= FOR_A_THOUSAND_KILLS {
        return Check::ok(
            DESCRIPTORS,
            format!("{limit}; a thousand kills at once need {FOR_A_THOUSAND_KILLS}"),
        );
    }
    let says = format!(
        "{limit}; a thousand kills at once need {FOR_A_THOUSAND_KILLS}: with many orphans a scan fails as a whole"
    );
    if found.soft >= FOR_ANYTHING {
        Check::warning(DESCRIPTORS, says, remedy())
    } else {
        Check::problem(DESCRIPTORS, says, remedy())
    }
}
