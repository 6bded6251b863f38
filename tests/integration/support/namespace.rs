//! Every test body runs in a process table of its own: whatever the daemon under test may do, it
//! cannot see, let alone signal, a process of the machine.

use std::any::type_name;
use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Set for the copy of the test binary that runs inside.
const INSIDE: &str = "TEAM_AGENTD_TEST_INSIDE";
/// If set, a machine that cannot make a namespace fails the tests instead of skipping them.
const REQUIRED: &str = "TEAM_AGENTD_TEST_REQUIRE_NAMESPACES";

/// Runs `body` in a private pid and mount namespace, by starting this test once more in there.
///
/// The name of the test is that of the function that `body` is written in. Were it ever wrong, the
/// copy would run no test at all, and that fails here.
pub(crate) fn in_private_pid_namespace<F: FnOnce()>(body: F) {
    if env::var_os(INSIDE).is_some() {
        assert_inside();
        // A process group that the daemon can see, and no terminal that protects anybody.
        rustix::process::setsid().unwrap();
        return body();
    }
    let name = name_of_test::<F>();
    if !namespaces_can_be_made() {
        assert!(
            env::var_os(REQUIRED).is_none(),
            "no pid namespace can be made here, and {REQUIRED} is set"
        );
        return say_aloud(&format!("SKIPPED (needs Linux pid namespaces): {name}"));
    }
    let output = unshare()
        .args(["bash", "-c", r#""$@"; exit $?"#, "bash"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    print!("{stdout}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    eprint!("{stderr}");
    for skipped in stderr.lines().filter(|line| line.starts_with("SKIPPED")) {
        say_aloud(&format!("{skipped}: {name}"));
    }
    assert!(output.status.success(), "{name} failed in its namespace");
    assert!(
        stdout.contains("test result: ok. 1 passed;"),
        "exactly one test was to run in the namespace: {name}"
    );
}

/// Says loudly that the rest of this test needs something this machine does not have.
pub(crate) fn skip(needs: &str) {
    eprintln!("SKIPPED (needs {needs})");
}

/// Not `eprintln!`, of which the test harness shows nothing when a test passes.
pub(crate) fn say_aloud(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether the root in here is the machine's, which may take any uid and mount anything.
pub(crate) fn we_are_really_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let everything = map.split_whitespace().eq(["0", "0", "4294967295"]);
    nix::unistd::getuid().is_root() && everything
}

/// bash is to be pid 1 in there, because pid 1 inherits the orphans and has to reap them. However
/// the test out here ends, unshare ends with it, and everything in there with unshare.
fn unshare() -> Command {
    let mut unshare = Command::new("setpriv");
    unshare.args(["--pdeathsig", "KILL", "unshare"]);
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !nix::unistd::getuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
}

fn namespaces_can_be_made() -> bool {
    unshare()
        .args(["bash", "-c", "exit 0"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A stray environment variable must not be enough to let a body loose on the machine.
fn assert_inside() {
    let init = fs::read("/proc/1/cmdline").unwrap();
    assert!(
        nix::unistd::getppid().as_raw() == 1 && init.starts_with(b"bash\0-c\0"),
        "{INSIDE} is set outside of a private namespace"
    );
}

/// `integration::module::name::{{closure}}` → `module::name`.
pub(crate) fn name_of_test<F>() -> &'static str {
    let path = type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_, rest)| rest);
    path.strip_suffix("::{{closure}}").unwrap_or(path)
}
