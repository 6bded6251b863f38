//! What must hold whatever stands in a mount table or a pid file.

use std::path::Path;

use super::mounts::MountTable;
use super::parse_pid_file;

pub(crate) fn mounts(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').count();
    let table = MountTable::parse(data);
    assert!(table.points().count() <= lines);
    // What is strange beside it takes no line away.
    let honest = [b"36 35 98:0 / /a\\040b rw - ext4 /dev/sda rw\n", data].concat();
    let is_taken_over = table.get(36).is_some();
    let table = MountTable::parse(&honest);
    assert!(is_taken_over || table.is_mount_point(Path::new("/a b")));
}

pub(crate) fn pid_file(data: &[u8]) {
    if let Some(pid) = parse_pid_file(data) {
        let text = String::from_utf8_lossy(data);
        let digits = text.trim_ascii().trim_start_matches('0');
        assert_eq!(digits, pid.to_string());
        assert!(pid > 0 && data.len() <= 32);
    }
}
