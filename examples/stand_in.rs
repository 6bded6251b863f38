//! Something that looks like a coordinator, to try team-agentd without one.
//!
//! The caller chooses what it looks like, program name included; it does nothing but wait:
//!
//! ```text
//! $ cargo build --example stand_in
//! $ (exec -a python3 target/debug/examples/stand_in -m team_agent.coordinator --workspace /tmp/x)
//! ```
//!
//! Without further word it ends at SIGTERM, and by itself after [`DEFAULT_TTL_S`] seconds, so that
//! none is ever left behind. The environment makes it misbehave ("on" is anything but empty or 0):
//!
//! | variable | effect |
//! |---|---|
//! | `STAND_IN_IGNORE_TERM` | on: SIGTERM changes nothing |
//! | `STAND_IN_TELL_TERM` | on: each SIGTERM adds a byte to the file `$STAND_IN_READY.term` |
//! | `STAND_IN_EXIT_MS` | exit this long after SIGTERM |
//! | `STAND_IN_LEAVE_THREAD` | on: at SIGTERM only the main thread exits, another lives on (Linux) |
//! | `STAND_IN_SETSID` | on: lead a session and group of its own |
//! | `STAND_IN_CHROOT` | a directory that becomes the root (and the cwd) first of all |
//! | `STAND_IN_CHDIR` | on: the workspace becomes the cwd |
//! | `STAND_IN_FORK` | on: start a copy and exit, which leaves the copy to init |
//! | `STAND_IN_PDEATHSIG` | on: die with the parent (Linux) |
//! | `STAND_IN_TTL` | exit after this many seconds |
//! | `STAND_IN_READY` | a file for the pid and, below it, the children's, once all of them are up |
//! | `STAND_IN_CHILDREN` | start so many children: `python3 -m team_agent.worker …` |
//! | `STAND_IN_CHILD_ARGV` | what they call themselves instead, one argument a line |
//! | `STAND_IN_CHILD_SETSID` | on: each child leads a session of its own |
//! | `STAND_IN_CHILD_IGNORE_TERM` | on: SIGTERM changes nothing for them |
//! | `STAND_IN_CHILD_FORK` | on: the children are left to init |
//! | `STAND_IN_CHILD_EXEC` | `STAND_IN_EXEC` for them |
//! | `STAND_IN_CHILD_LOCK_MAP_ON_TERM` | `STAND_IN_LOCK_MAP_ON_TERM` for them |
//! | `STAND_IN_GRANDCHILDREN` | each child starts so many of its own |
//! | `STAND_IN_GRANDCHILD_IGNORE_TERM` | on: SIGTERM changes nothing for those |
//! | `STAND_IN_CHILD_ON_TERM` | on: start one more child when SIGTERM arrives; its ready file is `$STAND_IN_READY.late` |
//! | `STAND_IN_EXEC` | at SIGUSR1 become this instead, one argument a line |
//! | `STAND_IN_LOCK_MAP` | a file on a disk that writes nothing: at SIGUSR1 a thread locks the memory map with it (Linux) |
//! | `STAND_IN_LOCK_MAP_ON_TERM` | on: at SIGTERM, too |
//! | `STAND_IN_ASK` | a daemon's socket: at SIGUSR1 a child asks it for a fix and hangs up at once |
//! | `STAND_IN_REAL` | on: keep files as a real coordinator does, see [`keep_files`] |
//! | `STAND_IN_TICK_MS` | how often it writes them (200); 0: never again |
//! | `STAND_IN_WORKSPACE` | the workspace, if not that of the last `--workspace` argument |

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

const DEFAULT_TTL_S: u32 = 300;
const DEFAULT_TICK: Duration = Duration::from_millis(200);
const PREFIX: &str = "STAND_IN_";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Not `eprintln!`: by now stderr may be the log that stands in for a coordinator's.
            let _ = io::stderr().write_all(format!("stand_in: {error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<ExitCode> {
    if on("FORK") {
        again(env::args_os())?.env_remove(name("FORK")).spawn()?;
        return Ok(ExitCode::SUCCESS);
    }
    if on("ASKING") {
        return ask_and_hang_up();
    }
    nix::unistd::alarm::set(number("TTL")?.unwrap_or(DEFAULT_TTL_S));
    if on("SETSID") {
        rustix::process::setsid()?;
    }
    take_name_and_fate()?;
    if let Some(root) = env::var_os(name("CHROOT")) {
        nix::unistd::chroot(root.as_os_str())?;
        env::set_current_dir("/")?;
    }

    // Blocked, not handled: every one is taken from the queue in `wait_for_signals`.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;

    let workspace = workspace();
    if on("REAL") {
        for folder in [".team/runtime", ".team/logs"] {
            fs::create_dir_all(workspace.join(folder))?;
        }
    }
    if on("CHDIR") {
        env::set_current_dir(&workspace)?;
    }
    let ready = env::var_os(name("READY")).map(PathBuf::from);
    let (mut children, family) = start_children(ready.as_deref(), &workspace)?;
    if on("REAL") {
        keep_files(workspace.clone())?;
    }
    if let Some(ready) = &ready {
        announce(ready, &family)?;
    }
    wait_for_signals(&signals, &mut children, ready.as_deref(), &workspace)
}

fn wait_for_signals(
    signals: &SigSet,
    children: &mut Vec<Child>,
    ready: Option<&Path>,
    workspace: &Path,
) -> io::Result<ExitCode> {
    let mut late_child_is_due = on("CHILD_ON_TERM");
    loop {
        match signals.wait()? {
            Signal::SIGTERM => {
                if let Some(file) = env::var_os(name("LOCK_MAP")).filter(|_| on("LOCK_MAP_ON_TERM"))
                {
                    lock_map(Path::new(&file))?;
                }
                if let Some(ready) = ready.filter(|_| on("TELL_TERM")) {
                    let mut told = OpenOptions::new();
                    told.create(true).append(true);
                    told.open(beside(ready, "term"))?.write_all(b".")?;
                }
                if late_child_is_due {
                    late_child_is_due = false;
                    let ready = ready.map(|ready| beside(ready, "late"));
                    children.push(child(0, ready.as_deref(), workspace)?.spawn()?);
                }
                if on("IGNORE_TERM") {
                    continue;
                }
                if on("LEAVE_THREAD") {
                    leave_thread()?;
                }
                thread::sleep(Duration::from_millis(
                    number("EXIT_MS")?.unwrap_or(0).into(),
                ));
                return Ok(ExitCode::SUCCESS);
            }
            Signal::SIGUSR1 => {
                if let Some(file) = env::var_os(name("LOCK_MAP")) {
                    lock_map(Path::new(&file))?;
                    continue;
                }
                if env::var_os(name("ASK")).is_some() {
                    let mut client = again(["client".into()])?;
                    client.env(name("ASKING"), "1").status()?;
                    continue;
                }
                if let Some(argv) = lines("EXEC") {
                    let mut other = again(argv)?;
                    for (key, _) in env::vars_os() {
                        let mine = key.as_bytes().starts_with(PREFIX.as_bytes());
                        if mine && key != name("IGNORE_TERM").as_str() {
                            other.env_remove(key);
                        }
                    }
                    return Err(other.exec());
                }
            }
            _ => children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_)))),
        }
    }
}

/// Asks for a fix once the daemon has seen who asks, and does not wait for the answer.
fn ask_and_hang_up() -> io::Result<ExitCode> {
    let socket = env::var_os(name("ASK")).unwrap_or_default();
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}\n")?;
    BufReader::new(&stream).read_line(&mut String::new())?;
    let fix = br#"{"jsonrpc":"2.0","id":2,"method":"fix","params":{"confirm":true}}"#;
    stream.write_all(&[fix, &b"\n"[..]].concat())?;
    Ok(ExitCode::SUCCESS)
}

/// Exits the calling thread alone: the process stays, as a zombie with a thread that lives.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only the system call ends one thread of many")]
fn leave_thread() -> io::Result<()> {
    use nix::libc;
    thread::Builder::new().spawn(|| {
        loop {
            thread::park();
        }
    })?;
    // SAFETY: the thread ends in the call; what it holds is never looked at again, and nobody
    // waits for it.
    unsafe {
        libc::syscall(libc::SYS_exit, 0);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn leave_thread() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes to a mapping of `file`, and has a thread put another one in its place. Before that goes away the kernel writes
/// back what was written, and holds the lock on the memory map for as long as that takes.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "this is about the memory map")]
fn lock_map(file: &Path) -> io::Result<()> {
    use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};
    const LENGTH: usize = 4096;
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    // The kernel asks for its length now, and believes that it has so much.
    file.metadata()?;
    let both = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: it lies where nothing is, and whoever knows of it is in this function.
    let mapped = unsafe {
        let shared = mmap(
            std::ptr::null_mut(),
            LENGTH,
            both,
            MapFlags::SHARED,
            &file,
            0,
        )?;
        shared.cast::<u8>().write_volatile(1);
        shared as usize
    };
    thread::Builder::new().spawn(move || {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: what lies there is this function's own, and is not looked at again.
        let _ = unsafe { mmap_anonymous(mapped as *mut _, LENGTH, both, flags) };
    })?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn lock_map(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a coordinator writes: its pid file and its log once, the log being its fd 1 and 2, and at
/// every tick, for ever, the folders and `state.json`. That brings a deleted workspace back,
/// without the pid file: exactly what real ones do.
fn keep_files(workspace: PathBuf) -> io::Result<()> {
    let runtime = workspace.join(".team/runtime");
    fs::write(
        runtime.join("coordinator.pid"),
        std::process::id().to_string(),
    )?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(runtime.join("coordinator.log"))?;
    nix::unistd::dup2_stdout(&log)?;
    nix::unistd::dup2_stderr(&log)?;
    let tick = number("TICK_MS")?.map_or(DEFAULT_TICK, |ms| Duration::from_millis(ms.into()));
    if tick.is_zero() {
        return Ok(());
    }
    thread::Builder::new()
        .name("tick".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            for count in 0_u64.. {
                // A real one goes on when a write fails, and so does this one.
                let _ = fs::create_dir_all(&runtime);
                let _ = fs::create_dir_all(workspace.join(".team/logs"));
                let _ = fs::write(runtime.join("state.json"), format!("{{\"tick\": {count}}}"));
                thread::sleep(tick);
            }
        })?;
    Ok(())
}

/// The children that were asked for, and the pids of all of them and their own.
fn start_children(ready: Option<&Path>, workspace: &Path) -> io::Result<(Vec<Child>, Vec<String>)> {
    let count = number("CHILDREN")?.unwrap_or(0);
    let mut children = Vec::new();
    let mut reports = Vec::new();
    for id in 0..count {
        let report = match ready {
            Some(ready) => beside(ready, &id.to_string()),
            None => env::temp_dir().join(format!("stand-in-{}-{id}", std::process::id())),
        };
        children.push(child(id, Some(&report), workspace)?.spawn()?);
        reports.push(report);
    }
    let mut family = Vec::new();
    for report in reports {
        while !report.exists() {
            thread::sleep(Duration::from_millis(2));
        }
        family.extend(fs::read_to_string(&report)?.lines().map(str::to_owned));
        fs::remove_file(&report)?;
    }
    Ok((children, family))
}

fn child(id: u32, ready: Option<&Path>, workspace: &Path) -> io::Result<Command> {
    let argv = lines("CHILD_ARGV").unwrap_or_else(|| {
        let id = id.to_string();
        let start = ["python3", "-m", "team_agent.worker", "--workspace"];
        let mut argv: Vec<OsString> = start.map(OsString::from).into();
        argv.extend([workspace.into(), "--id".into(), id.into()]);
        argv
    });
    let mut command = again(argv)?;
    // What is the coordinator's own does not go on to its children; the rest, the TTL say, does.
    for own in [
        "CHDIR",
        "CHILD_ARGV",
        "CHILD_EXEC",
        "CHILD_FORK",
        "CHILD_IGNORE_TERM",
        "CHILD_ON_TERM",
        "CHILD_SETSID",
        "CHILDREN",
        "EXEC",
        "EXIT_MS",
        "GRANDCHILDREN",
        "GRANDCHILD_IGNORE_TERM",
        "IGNORE_TERM",
        "LEAVE_THREAD",
        "LOCK_MAP_ON_TERM",
        "READY",
        "REAL",
        "SETSID",
    ] {
        command.env_remove(name(own));
    }
    for (from, to) in [
        ("CHILD_SETSID", "SETSID"),
        ("CHILD_IGNORE_TERM", "IGNORE_TERM"),
        ("CHILD_FORK", "FORK"),
        ("CHILD_EXEC", "EXEC"),
        ("CHILD_LOCK_MAP_ON_TERM", "LOCK_MAP_ON_TERM"),
        ("GRANDCHILDREN", "CHILDREN"),
        ("GRANDCHILD_IGNORE_TERM", "CHILD_IGNORE_TERM"),
    ] {
        if let Some(value) = env::var_os(name(from)) {
            command.env(name(to), value);
        }
    }
    if let Some(ready) = ready {
        command.env(name("READY"), ready);
    }
    Ok(command)
}

/// Tells that this process and `family` are up: all at once, so that no reader sees half of it.
fn announce(ready: &Path, family: &[String]) -> io::Result<()> {
    let unfinished = beside(ready, "unfinished");
    let mut pids = vec![std::process::id().to_string()];
    pids.extend_from_slice(family);
    fs::write(&unfinished, pids.join("\n"))?;
    fs::rename(&unfinished, ready)
}

/// This same program, started as `argv`.
fn again(argv: impl IntoIterator<Item = OsString>) -> io::Result<Command> {
    let mut argv = argv.into_iter();
    let mut command = Command::new(env::current_exe()?);
    command
        .arg0(argv.next().unwrap_or_default())
        .args(argv)
        .stdin(Stdio::null());
    Ok(command)
}

/// The short name that `ps` shows, as if this were the program it calls itself; and, if wanted, the
/// parent's death as its own.
#[cfg(target_os = "linux")]
fn take_name_and_fate() -> io::Result<()> {
    let argv0 = env::args_os().next().unwrap_or_default();
    let basename = argv0.as_bytes().rsplit(|byte| *byte == b'/').next();
    if let Some(Ok(short)) = basename.map(CString::new) {
        nix::sys::prctl::set_name(&short)?;
    }
    if on("PDEATHSIG") {
        let kill = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(kill)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn take_name_and_fate() -> io::Result<()> {
    // Elsewhere the name is the file's, and only the TTL ends what its parent forgot.
    let _ = CString::default();
    Ok(())
}

fn workspace() -> PathBuf {
    if let Some(workspace) = env::var_os(name("WORKSPACE")) {
        return workspace.into();
    }
    let arguments: Vec<OsString> = env::args_os().collect();
    let separate = |pair: &[OsString]| (pair[0] == "--workspace").then(|| pair[1].clone());
    let joined = |argument: &OsString| {
        let value = argument.as_bytes().strip_prefix(b"--workspace=")?;
        Some(OsStr::from_bytes(value).to_owned())
    };
    arguments
        .windows(2)
        .filter_map(separate)
        .next_back()
        .or_else(|| arguments.iter().filter_map(joined).next_back())
        .unwrap_or_default()
        .into()
}

fn name(variable: &str) -> String {
    format!("{PREFIX}{variable}")
}

fn on(variable: &str) -> bool {
    env::var_os(name(variable)).is_some_and(|value| !value.is_empty() && value != "0")
}

fn number(variable: &str) -> io::Result<Option<u32>> {
    let Some(value) = env::var_os(name(variable)) else {
        return Ok(None);
    };
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    parsed.map(Some).ok_or_else(|| {
        let message = format!("{} is not a number: {value:?}", name(variable));
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

fn lines(variable: &str) -> Option<Vec<OsString>> {
    let value = env::var_os(name(variable))?.into_vec();
    let line = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Some(value.split(|byte| *byte == b'\n').map(line).collect())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".");
    beside.push(suffix);
    beside.into()
}
