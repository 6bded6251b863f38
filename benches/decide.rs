//! What deciding takes, without the kernel: `cargo bench --bench decide`.
//!
//! Beside what a look costs (`scaling`) none of it counts; it is here so that it stays so.

use std::collections::BTreeSet;
use std::ffi::OsString;

use divan::{Bencher, black_box};
use team_agentd::orphan::coordinator::{WorkspaceArgument, recognise};
use team_agentd::orphan::ephemeral::{EphemeralRoots, EphemeralRules};
use team_agentd::orphan::evidence::{
    Access, Evidence, FileId, Filesystem, Holding, MountKey, MountState, PathState, PidFile,
};
use team_agentd::orphan::judge::judge;
use team_agentd::orphan::memory::Memory;
use team_agentd::orphan::verdict::Verdict;
use team_agentd::orphan::victims::{Family, Kin};

fn main() {
    divan::main();
}

fn argv(words: &str) -> Vec<OsString> {
    words.split(' ').map(OsString::from).collect()
}

/// Whether a command line is a coordinator's.
#[divan::bench(args = [
    "sleep 900",
    "/usr/lib/firefox/firefox -contentproc -childID 7 -isForBrowser -prefsLen 31000 tab",
    "python3 -m team_agent.coordinator --workspace /home/me/work/shop",
    "team-agent coordinator --workspace /home/me/work/shop",
])]
fn recognising(bencher: Bencher<'_, '_>, words: &str) {
    let argv = argv(words);
    bencher.bench(|| recognise(black_box(&argv), &[]));
}

/// The verdict on a healthy one: every rule is tried.
#[divan::bench]
fn judging(bencher: Bencher<'_, '_>) {
    let directory = FileId {
        device: 1,
        inode: 2,
        born_ns: Some(3),
    };
    let workspace = "/home/me/work/shop";
    let argument = WorkspaceArgument::Given(workspace.into());
    let mount = MountKey { id: 1, device: 1 };
    let path = PathState::Exists {
        directory: Some(directory),
        mount,
    };
    let mut evidence = Evidence::not_probed(Access::Judged, &argument, path);
    evidence.resolved = Some(workspace.into());
    evidence.pid_file = PidFile::NamesIt;
    evidence.cwd = Some(Holding {
        path: workspace.into(),
        links: 3,
        id: directory,
        filesystem: Filesystem::Local,
        mount: MountState::Attached,
    });
    let rules = EphemeralRules {
        hints: vec!["team-agent-stage".to_owned(), "team-agent-test-".to_owned()],
        roots: EphemeralRoots::Below(vec!["/tmp".into(), "/var/tmp".into()]),
    };
    let mut memory = Memory::default();
    memory.learn(&evidence);
    assert_eq!(judge(&argument, &evidence, &memory, &rules), Verdict::Alive);
    bencher.bench(|| judge(black_box(&argument), &evidence, &memory, &rules));
}

/// So many processes, each below one of a hundred shells, each shell in a group of its own.
fn family(count: u32) -> Family {
    let row = |pid: u32| {
        let shell = 2 + pid % 100;
        match pid {
            0 | 1 => (pid, Kin { ppid: 0, pgid: pid }),
            _ if pid == shell => (pid, Kin { ppid: 1, pgid: pid }),
            _ => (
                pid,
                Kin {
                    ppid: shell,
                    pgid: shell,
                },
            ),
        }
    };
    (0..count).map(row).collect()
}

/// Who has to do with each of a hundred orphans, in a table of so many processes.
#[divan::bench(args = [500, 5_000, 20_000])]
fn finding_relatives(bencher: Bencher<'_, '_>, count: u32) {
    let family = family(count);
    bencher.bench(|| -> Vec<BTreeSet<u32>> {
        let orphans = count - 100..count;
        orphans
            .map(|pid| family.relatives(black_box(pid), false))
            .collect()
    });
}
