//! The socket as a file: who may have it, who may come in, and what is in its way.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use serde_json::{Value, json};

use crate::support::{
    Connection, Daemon, Settings, World, ctl_command, failed_start, in_private_pid_namespace,
    run_ctl, skip, wait_until, we_are_really_root,
};

/// Users who are nobody here.
const STRANGER: u32 = 54_321;
const ANOTHER_STRANGER: u32 = 54_322;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_socket_and_its_directory_are_for_their_owner_alone() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let _daemon = world.daemon();
        let socket = world.socket();
        assert!(
            fs::symlink_metadata(&socket)
                .unwrap()
                .file_type()
                .is_socket()
        );
        assert_eq!(mode(&socket), 0o600);
        assert_eq!(mode(socket.parent().unwrap()), 0o700);
    });
}

#[test]
fn the_modes_do_not_depend_on_the_umask() {
    in_private_pid_namespace(|| {
        let world = World::new();
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        let _daemon = world.daemon();
        assert_eq!(mode(&world.socket()), 0o600);
        assert_eq!(mode(world.socket().parent().unwrap()), 0o700);
        assert_eq!(mode(&world.event_log().path) & 0o077, 0, "the event log");
    });
}

#[test]
fn a_second_daemon_on_the_same_socket_gives_up_and_the_first_goes_on() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let mut connection = daemon.connect();
        let state_dir = world.path("state/second");
        let second = Daemon::command_on(&world, &world.socket(), &state_dir);
        let (status, errors) = failed_start(second, &world.path(""));
        assert!(!status.success(), "{status}");
        assert!(
            errors.contains(world.socket().to_str().unwrap()),
            "{errors}"
        );

        // The same connection, and a new one.
        connection.call("version", &json!({}));
        let status = daemon.call("status", &json!({}));
        assert_eq!(status["daemon"]["pid"], daemon.pid(), "{status:#}");
    });
}

#[test]
fn two_daemons_do_not_share_a_state_directory() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        let socket = world.path("run-second/control.sock");
        let second = Daemon::command_on(&world, &socket, &world.state_dir());
        let (status, errors) = failed_start(second, &world.path(""));
        assert!(!status.success(), "{status}");
        assert!(
            errors.contains(world.state_dir().to_str().unwrap()),
            "{errors}"
        );
        daemon.call("version", &json!({}));
    });
}

#[test]
fn a_socket_file_that_nobody_listens_on_any_more_is_replaced() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.directory("run");
        fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        drop(UnixListener::bind(world.socket()).unwrap());
        assert!(world.socket().exists());
        let daemon = world.daemon();
        daemon.call("version", &json!({}));
        daemon.crash();
        assert!(world.socket().exists(), "a crash leaves its socket file");
        world.daemon().call("version", &json!({}));
    });
}

#[test]
fn a_file_in_the_place_of_the_socket_is_not_deleted() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.directory("run");
        fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(world.socket(), "precious").unwrap();
        let (status, errors) = failed_start(Daemon::command(&world), &world.path(""));
        assert!(!status.success(), "{status}");
        assert!(
            errors.contains(world.socket().to_str().unwrap()),
            "{errors}"
        );
        assert_eq!(fs::read_to_string(world.socket()).unwrap(), "precious");
    });
}

/// Has a daemon start with its socket in `directory`, which it must not like, and leave all as it is.
fn assert_refused(world: &World, directory: &Path, why: &str) {
    let socket = directory.join("control.sock");
    let command = Daemon::command_on(world, &socket, &world.state_dir());
    let (status, errors) = failed_start(command, &world.path(""));
    assert!(!status.success(), "{status}");
    for word in [directory.to_str().unwrap(), why] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
}

#[test]
fn a_directory_in_which_others_decide_what_a_name_means_is_refused() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::default());
        let directory = world.directory("elsewhere");
        for bits in [0o777, 0o770, 0o702] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(bits)).unwrap();
            assert_refused(&world, &directory, &format!("mode {bits:04o}"));
            assert_eq!(mode(&directory), bits, "it is the owner's to mend");
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let link = world.path("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        assert_refused(&world, &link, "symbolic link");
        if we_are_really_root() {
            std::os::unix::fs::chown(&directory, Some(STRANGER), None).unwrap();
            assert_refused(&world, &directory, &format!("owned by uid {STRANGER}"));
        } else {
            skip("only root can give a directory away");
        }

        // With one of its own it is content.
        world.daemon().call("version", &json!({}));
    });
}

#[test]
fn the_daemon_takes_its_socket_file_with_it() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let daemon = world.daemon();
        assert!(daemon.stop().success());
        assert!(!world.socket().exists());
    });
}

/// Connects as another user. Credentials belong to threads, as far as the kernel is concerned, so
/// one of our own will do.
fn as_somebody_else<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        act()
    })
    .join()
    .unwrap()
}

#[test]
fn another_user_is_refused_whatever_the_modes() {
    in_private_pid_namespace(|| {
        if !we_are_really_root() {
            return skip("root");
        }
        let world = World::new();
        world.open_to_everybody();
        let daemon = world.daemon();
        let orphan = world.orphan("gone").start();
        let socket = world.socket();

        let path = socket.clone();
        let error = as_somebody_else(move || Connection::open(&path).err().unwrap());
        assert_eq!(
            error.kind(),
            ErrorKind::PermissionDenied,
            "the modes say no: {error}"
        );

        let everybody = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(socket.parent().unwrap(), everybody(0o777)).unwrap();
        fs::set_permissions(&socket, everybody(0o666)).unwrap();
        for (method, params) in [
            ("version", json!({})),
            ("scan", json!({})),
            ("fix", json!({"confirm": true})),
        ] {
            let path = socket.clone();
            let reply = as_somebody_else(move || {
                let mut connection = Connection::open(&path).expect("the modes allow it");
                let request =
                    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                connection.try_send(format!("{request}\n").as_bytes());
                connection.read()
            });
            let reply = reply.expect("a refusal, not only a hang-up");
            assert_eq!(reply["error"]["code"], -32001, "{reply:#}");
            assert_ne!(reply["error"]["data"]["kind"], Value::Null, "{reply:#}");
            assert!(reply.get("result").is_none(), "{reply:#}");
        }
        assert!(orphan.is_alive());
        world.event_log().assert_never_signalled(orphan.pid);
        daemon.call("version", &json!({}));
    });
}

#[test]
fn a_daemon_that_is_somebody_elses_is_not_believed_unless_root_names_it() {
    in_private_pid_namespace(|| {
        if !we_are_really_root() {
            return skip("root");
        }
        let world = World::new();
        world.configure(&Settings::default());
        world.open_to_everybody();
        let directory = world.directory("run");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let socket = world.socket();
        let listener = as_somebody_else(move || UnixListener::bind(&socket).unwrap());
        fs::set_permissions(world.socket(), fs::Permissions::from_mode(0o777)).unwrap();
        for words in [&["status"][..], &["scan"], &["fix", "--confirm"]] {
            let mut ctl = ctl_command(&world, ["--json"].iter().chain(words));
            ctl.uid(ANOTHER_STRANGER).gid(ANOTHER_STRANGER);
            let answer = run_ctl(ctl).json_with(5);
            assert_eq!(answer["error"]["kind"], "foreign_daemon", "{answer:#}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(&STRANGER.to_string()), "{message}");
        }
        // Root asks whom it names.
        let answering = thread::spawn(move || {
            for peer in listener.incoming() {
                let mut peer = peer.unwrap();
                // The others have left without a word.
                if BufReader::new(&peer).read_line(&mut String::new()).unwrap() > 0 {
                    return peer.write_all(b"{\"id\": 1, \"result\": {\"whose\": \"theirs\"}}\n");
                }
            }
            Ok(())
        });
        let answer = world.ctl(["--json", "status"]).json_with(0);
        assert_eq!(answer["whose"], "theirs");
        answering.join().unwrap().unwrap();
    });
}

#[test]
fn of_fifty_that_start_at_once_one_runs() {
    in_private_pid_namespace(|| {
        const MANY: usize = 50;
        let world = World::new();
        world.configure(&Settings::default());
        // The second time over what the first one left when it was killed.
        for _ in 0..2 {
            let mut racing: Vec<_> = (0..MANY)
                .map(|_| {
                    let mut command = Daemon::command(&world);
                    command.stderr(Stdio::null()).spawn().unwrap()
                })
                .collect();
            let mut lost = 0;
            wait_until("all but one have given up", || {
                racing.retain_mut(|one| match one.try_wait().unwrap() {
                    Some(status) => {
                        assert_eq!(status.code(), Some(1), "{status}");
                        lost += 1;
                        false
                    }
                    None => true,
                });
                lost == MANY - 1
            });
            let mut winner = racing.pop().unwrap();
            wait_until("it answers", || Connection::open(&world.socket()).is_ok());
            let mut connection = Connection::open(&world.socket()).unwrap();
            let status = connection.call("status", &json!({}));
            assert_eq!(status["daemon"]["pid"], winner.id(), "{status:#}");
            winner.kill().unwrap();
            winner.wait().unwrap();
        }
        // Nobody else got as far as to say that it had started.
        assert_eq!(world.event_log().named("daemon.started").len(), 2);
    });
}
