//! Where a pid may mean one process to `/proc` and another to the kernel, or where there is no handle
//! on a process, nothing can be judged or signalled safely: neither daemon nor client begins.

use std::process::Command;

use crate::support::{
    Daemon, World, ctl_command, failed_start, in_private_pid_namespace, is_alive, run_ctl, skip,
};

/// `command`, started by another program that changes what it finds.
fn by(starter: &[&str], command: &Command) -> Command {
    let mut started = Command::new(starter[0]);
    started
        .args(&starter[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => started.env(name, value),
            None => started.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        started.current_dir(directory);
    }
    started
}

#[track_caller]
fn assert_nothing_begins(world: &World, starter: &[&str], complaint: &str) {
    let orphan = world.orphan("gone").start();
    let survivors = world.survivors();
    let daemon = by(starter, &Daemon::command(world));
    let (status, errors) = failed_start(daemon, &world.path(""));
    assert!(!status.success(), "{status}");
    assert!(errors.contains(complaint), "{errors}");
    for arguments in [&["scan"][..], &["fix", "--confirm"]] {
        let answer = run_ctl(by(starter, &ctl_command(world, arguments)));
        assert!(answer.stderr.contains(complaint), "{answer:#?}");
    }
    assert!(orphan.is_alive());
    world.event_log().assert_never_signalled(orphan.pid);
    assert!(is_alive(survivors.coordinator()));
    survivors.assert_alive();
}

#[test]
fn with_the_process_table_of_another_pid_namespace_nothing_begins() {
    in_private_pid_namespace(|| {
        let world = World::new();
        // A pid namespace of its own, and still the /proc of the one outside.
        let starter = ["unshare", "--pid", "--fork", "--kill-child"];
        assert_nothing_begins(&world, &starter, "/proc shows another pid namespace");
    });
}

/// Lets pidfd_open(2), number 434 everywhere, fail with ENOSYS, like before Linux 5.3 or in a sandbox.
const WITHOUT_PIDFD: &str = r#"
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 434), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn where_the_kernel_gives_no_handles_on_processes_nothing_begins() {
    in_private_pid_namespace(|| {
        let starter = ["python3", "-c", WITHOUT_PIDFD];
        match by(&starter, &Command::new("/bin/true")).status() {
            Ok(status) if status.success() => {}
            _ => return skip("python3 and seccomp"),
        }
        let world = World::new();
        let complaint = "the kernel gives no process handle";
        assert_nothing_begins(&world, &starter, complaint);
    });
}
