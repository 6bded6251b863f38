//! A bench runs in a process table of its own: whatever is ended in there, it is nobody's.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, getppid};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Result;

/// The bench's directory, and the sign that it runs inside.
const INSIDE: &str = "TEAM_AGENTD_BENCH_INSIDE";

/// Where the bench's directory is, if this is the inside; outside there is none yet. Inside, the bench
/// ends after `ttl_s` seconds, whatever it hangs in.
pub(crate) fn is_inside(ttl_s: u32) -> Result<Option<PathBuf>> {
    let Some(folder) = env::var_os(INSIDE) else {
        return Ok(None);
    };
    // A stray variable must not be enough: in here pids are signalled by number.
    let init = fs::read("/proc/1/cmdline")?;
    if getppid() != Some(Pid::INIT) || !init.starts_with(b"bash\0-c\0") {
        return Err(format!("{INSIDE} is set outside of a private pid namespace").into());
    }
    nix::unistd::alarm::set(ttl_s);
    Ok(Some(folder.into()))
}

/// Builds the programs and starts this one again, inside.
pub(crate) fn enter(arguments: &[OsString]) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let refusal = match unshare().args(["bash", "-c", "exit 0"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = refusal {
        let why = why.trim_end();
        return Err(format!("NOTHING WAS MEASURED: no private pid namespace here ({why})").into());
    }
    build()?;
    let folder = tempfile::Builder::new().prefix("tad-bench-").tempdir()?;
    // bash is pid 1 in there: it reaps at once whoever is left to it.
    let mut inside = unshare()
        .args(["bash", "-c", r#""$@"; exit $?"#, "bash"])
        .arg(env::current_exe()?)
        .args(arguments)
        .env(INSIDE, folder.path().canonicalize()?)
        .stdin(Stdio::null())
        .spawn()?;
    loop {
        match inside.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("the bench ended with {status}").into()),
            None => {}
        }
        if interrupted.load(Ordering::Relaxed) {
            inside.kill()?;
            inside.wait()?;
            return Err("interrupted".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// However this program ends, unshare ends with it, and everything in there with unshare.
fn unshare() -> Command {
    let mut unshare = Command::new("setpriv");
    unshare.args(["--pdeathsig", "KILL", "unshare"]);
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !nix::unistd::getuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
}

/// The directory of the build that this bench belongs to, which is in `deps` in it: the release build,
/// or with `cargo bench --profile dev` the one that the tests use.
pub(crate) fn programs() -> Result<PathBuf> {
    let me = env::current_exe()?;
    let programs = me.parent().and_then(Path::parent);
    Ok(programs
        .ok_or("this program is not in cargo's target directory")?
        .to_owned())
}

fn build() -> Result<()> {
    let cargo = env::var_os("CARGO").ok_or("start this with `cargo bench`")?;
    let programs = programs()?;
    let target = programs.parent().ok_or("cargo's target directory is odd")?;
    let profile = match programs.file_name() {
        Some(name) if name == "debug" => "dev",
        _ => "release",
    };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--bins"])
        .args(["--example", "stand_in", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()?;
    for program in ["team-agentd", "team-agentctl", "examples/stand_in"] {
        if !status.success() || !programs.join(program).exists() {
            return Err(format!("cargo did not build {program} ({status})").into());
        }
    }
    Ok(())
}
