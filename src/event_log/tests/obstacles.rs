//! Full disks, limits and forbidden directories, for real. Each test runs itself again in a place
//! that is made hostile (a file size limit, a tiny tmpfs in a mount namespace of its own, another
//! uid) and says so aloud when the system does not let it.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::EventLogError;
use super::*;

const DIRECTORY_VARIABLE: &str = "TEAM_AGENTD_TEST_STATE_DIR";

/// The directory the hostile place is in, or nothing for who runs all the ignored tests.
fn hostile_directory() -> Option<PathBuf> {
    env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from)
}

/// Runs the ignored `test` behind `script`, which gets it as its arguments, and a directory.
fn behind(command: &[&str], script: &str, test: &str) {
    let root = TempDir::new().unwrap();
    let mut command = match command {
        [] => Command::new("sh"),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg("sh");
            command
        }
    };
    command
        .args(["-c", script, "sh"])
        .env(DIRECTORY_VARIABLE, root.path());
    run_again(
        &mut command,
        &env::current_exe().unwrap(),
        module_path!(),
        test,
    );
}

/// Runs the ignored `test` on a tmpfs mounted with `options`, out of everybody else's sight.
fn on_tmpfs(options: &str, test: &str) {
    let unshare: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--mount", "--"],
        false => &["unshare", "--user", "--map-root-user", "--mount", "--"],
    };
    let probe = Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("true")
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip(&format!("{test}: no mount namespace to be had"));
    }
    let script = format!(
        "mount -t tmpfs -o mode=0700,{options} tmpfs \"${DIRECTORY_VARIABLE}\" || exit {CANNOT_SET_UP}; exec \"$@\""
    );
    behind(unshare, &script, test);
}

/// Appends until nothing goes in any more; what went in.
fn fill(directory: &Path, log: &mut EventLog) -> Vec<Record> {
    let mut records: Vec<_> = (0..200).map(|number| record_of(1500, number)).collect();
    let mut accepted = 0;
    for some in records.chunks(3) {
        match log.append(some) {
            Ok(()) => accepted += some.len(),
            Err(EventLogError::Append { recorded, .. }) => {
                assert!(recorded < some.len());
                accepted += recorded;
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((3..190).contains(&accepted), "{accepted}");
    records.truncate(accepted);
    assert_eq!(read_all(directory), values(&records));
    assert!(
        current(directory).ends_with('\n'),
        "nothing of the line that did not fit"
    );

    let refused = log.append(&[record_of(1_000_000, 0)]);
    assert!(
        matches!(refused, Err(EventLogError::Append { recorded: 0, .. })),
        "{refused:?}"
    );
    assert_eq!(read_all(directory), values(&records));
    records
}

/// Appends once more, now that there is room, and finds everything.
fn resume(directory: &Path, log: &mut EventLog, mut records: Vec<Record>) {
    records.push(record_of(400, 999));
    log.append(&records[records.len() - 1..]).unwrap();
    log.sync().unwrap();
    assert_eq!(read_all(directory), values(&records));
}

#[test]
fn a_record_past_the_file_size_limit_leaves_nothing_behind() {
    // Blocks of 512 or 1024 bytes, by the shell. The signal would kill; ignored it becomes EFBIG.
    behind(
        &[],
        "trap '' XFSZ; ulimit -f 65 || exit 77; exec \"$@\"",
        "within_a_file_size_limit",
    );
}

#[test]
#[ignore = "run by a_record_past_the_file_size_limit_leaves_nothing_behind"]
fn within_a_file_size_limit() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let mut log = EventLog::open(
        &directory,
        Rotation {
            rotate_bytes: 1 << 20,
            keep: 5,
        },
    )
    .unwrap();
    let records = fill(&directory, &mut log);
    // A new segment has room again.
    log.set_rotation(Rotation {
        rotate_bytes: 4096,
        keep: 5,
    });
    resume(&directory, &mut log, records);
}

#[test]
fn a_full_disk_leaves_no_half_line_and_recording_resumes_with_room() {
    on_tmpfs("size=64k", "on_a_disk_that_fills_up");
}

#[test]
#[ignore = "run by a_full_disk_leaves_no_half_line_and_recording_resumes_with_room"]
fn on_a_disk_that_fills_up() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let ballast = directory.join("ballast");
    fs::write(&ballast, [b'x'; 16 * 1024]).unwrap();
    let mut log = EventLog::open(&directory, ROOMY).unwrap();
    let records = fill(&directory, &mut log);
    fs::remove_file(&ballast).unwrap();
    resume(&directory, &mut log, records);
}

#[test]
fn a_half_line_that_cannot_be_taken_back_is_closed_by_the_next_append() {
    on_tmpfs("size=64k", "on_a_full_disk_with_an_append_only_log");
}

#[test]
#[ignore = "run by a_half_line_that_cannot_be_taken_back_is_closed_by_the_next_append"]
fn on_a_full_disk_with_an_append_only_log() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let ballast = directory.join("ballast");
    fs::write(&ballast, [b'x'; 16 * 1024]).unwrap();
    let mut log = EventLog::open(
        &directory,
        Rotation {
            rotate_bytes: 4096,
            keep: 5,
        },
    )
    .unwrap();
    let set = Command::new("chattr")
        .arg("+a")
        .arg(directory.join("events.jsonl"))
        .status();
    if !set.is_ok_and(|status| status.success()) {
        return skip("no append-only files on this tmpfs");
    }
    let first = record_of(5000, 1);
    log.append(std::slice::from_ref(&first)).unwrap();
    let refused = log.append(&[record_of(100_000, 2)]);
    assert!(
        matches!(refused, Err(EventLogError::Append { recorded: 0, .. })),
        "{refused:?}"
    );
    assert!(
        !current(&directory).ends_with('\n'),
        "the half line is there: nothing can be taken from this file"
    );
    fs::remove_file(&ballast).unwrap();
    let last = record_of(300, 3);
    log.append(std::slice::from_ref(&last)).unwrap();
    let found = read_all(&directory);
    assert_eq!(
        (&found[0], &found[2], found.len()),
        (&first.to_value(), &last.to_value(), 3)
    );
    assert!(found[1]["raw"].is_string());
    // Nor could it be renamed, being append-only, although it was full.
    assert!(matches!(
        log.rotation_failure(),
        Some(EventLogError::Rotate { .. })
    ));
}

#[test]
fn without_room_for_a_new_segment_the_old_one_is_continued_under_its_name() {
    on_tmpfs(
        "size=1m,nr_inodes=3",
        "on_a_disk_without_room_for_another_file",
    );
}

#[test]
#[ignore = "run by without_room_for_a_new_segment_the_old_one_is_continued_under_its_name"]
fn on_a_disk_without_room_for_another_file() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let mut log = EventLog::open(
        &directory,
        Rotation {
            rotate_bytes: 4096,
            keep: 5,
        },
    )
    .unwrap();
    fs::write(directory.join("last"), "").unwrap();
    fs::write(directory.join("one more"), "").expect_err("the file system was to be full of files");
    let records: Vec<_> = (0..4).map(|number| record_of(5000, number)).collect();
    log.append(&records[..2]).unwrap();
    log.append(&records[2..3]).unwrap();
    assert!(
        matches!(log.rotation_failure(), Some(EventLogError::Open { .. })),
        "{log:?}"
    );
    assert_eq!(names(&directory), ["events.jsonl", "last"]);
    assert_eq!(read_all(&directory), values(&records[..3]));

    fs::remove_file(directory.join("last")).unwrap();
    log.append(&records[3..]).unwrap();
    assert!(log.rotation_failure().is_none());
    assert_eq!(names(&directory), ["events.jsonl", "events.jsonl.1"]);
    assert_eq!(read_all(&directory), values(&records));
}

#[test]
fn a_rotation_stuck_half_way_loses_no_archive_however_often_it_is_tried() {
    on_tmpfs("size=1m", "with_an_archive_that_cannot_be_moved");
}

#[test]
#[ignore = "run by a_rotation_stuck_half_way_loses_no_archive_however_often_it_is_tried"]
fn with_an_archive_that_cannot_be_moved() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let mut log = EventLog::open(
        &directory,
        Rotation {
            rotate_bytes: 4096,
            keep: 5,
        },
    )
    .unwrap();
    let records: Vec<_> = (0..20).map(|number| record_of(5000, number)).collect();
    log.append(&records[..6]).unwrap(); // 0 in .5 … 5 in the current one
    let stuck = directory.join("events.jsonl.3");
    // A mount point cannot be renamed.
    let mount = |arguments: &[&str]| {
        let status = Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&stuck)
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    mount(&["mount", "--bind", stuck.to_str().unwrap()]);
    for record in &records[6..12] {
        log.append(std::slice::from_ref(record)).unwrap();
        let failure = log.rotation_failure();
        assert!(
            matches!(failure, Some(EventLogError::Rotate { path, .. }) if *path == stuck),
            "{failure:?}"
        );
    }
    // The first try dropped the oldest and moved .4; .3 stayed, and all the others with it.
    assert_eq!(read_all(&directory), values(&records[1..12]));
    mount(&["umount"]);
    log.append(&records[12..13]).unwrap();
    assert!(log.rotation_failure().is_none());
    assert_eq!(
        read_all(&directory),
        values(&records[1..13]),
        "the place left free was filled"
    );
    log.append(&records[13..14]).unwrap();
    assert_eq!(
        read_all(&directory),
        values(&records[2..14]),
        "and then one went for one that came"
    );
}

#[test]
fn a_read_only_directory_stops_rotation_but_not_recording() {
    let root = TempDir::new().unwrap();
    let state_dir = root.path().join("state");
    fs::create_dir(&state_dir).unwrap();
    // Nothing is forbidden to root: somebody else has to try, with a program they can reach.
    let executable = root.path().join("test");
    fs::copy(env::current_exe().unwrap(), &executable).unwrap();
    let mut command = Command::new("env");
    if rustix::process::geteuid().is_root() {
        let nobody = 65534;
        chown(&state_dir, Some(nobody), Some(nobody)).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(nobody).gid(nobody);
    }
    command
        .current_dir(root.path())
        .env(DIRECTORY_VARIABLE, &state_dir);
    run_again(
        &mut command,
        &executable,
        module_path!(),
        "in_a_directory_made_read_only",
    );
}

#[test]
#[ignore = "run by a_read_only_directory_stops_rotation_but_not_recording"]
fn in_a_directory_made_read_only() {
    let Some(directory) = hostile_directory() else {
        return;
    };
    let allow = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    let records: Vec<_> = (0..3).map(|number| record_of(5000, number)).collect();
    let rotation = Rotation {
        rotate_bytes: 4096,
        keep: 5,
    };
    allow(0o500);
    let error = EventLog::open(&directory, rotation).unwrap_err();
    assert!(matches!(error, EventLogError::Open { .. }), "{error:?}");
    let error = EventLog::open(&directory.join("below"), rotation).unwrap_err();
    assert!(
        matches!(error, EventLogError::CreateDirectory { .. }),
        "{error:?}"
    );

    allow(0o700);
    let mut log = EventLog::open(&directory, rotation).unwrap();
    log.append(&records[..1]).unwrap();
    allow(0o500);
    log.append(&records[1..2]).unwrap();
    log.sync().unwrap();
    assert!(
        matches!(log.rotation_failure(), Some(EventLogError::Rotate { .. })),
        "{log:?}"
    );
    assert_eq!(names(&directory), ["events.jsonl"]);

    // Deleted, and not to be replaced: that is an error, not a record nobody will find.
    allow(0o700);
    fs::rename(directory.join("events.jsonl"), directory.join("aside")).unwrap();
    allow(0o500);
    let error = log.append(&records[2..]).unwrap_err();
    assert!(matches!(error, EventLogError::Open { .. }), "{error:?}");
    allow(0o700);
    fs::rename(directory.join("aside"), directory.join("events.jsonl")).unwrap();
    log.append(&records[2..]).unwrap();
    assert_eq!(names(&directory), ["events.jsonl", "events.jsonl.1"]);
    assert_eq!(read_all(&directory), values(&records));

    fs::set_permissions(
        directory.join("events.jsonl"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    let error = super::super::read(&directory, 5, &Query::default()).unwrap_err();
    assert!(matches!(error, EventLogError::Read { .. }), "{error:?}");
    assert_eq!(
        json!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777),
        json!(0o700)
    );
}
