//! What must hold whatever stands in a file of `/proc`.

use std::ffi::OsStr;

use super::{Stat, Status, split_argv, unit_of_cgroup};

pub(crate) fn stat(data: &[u8]) {
    if let Some(stat) = Stat::parse(data) {
        // Whatever its name holds, the numbers are those behind it.
        let mut forged = b"1 (a) S 7 7 7 (".to_vec();
        let behind = data
            .iter()
            .rposition(|byte| *byte == b')')
            .unwrap_or_default();
        forged.extend_from_slice(&data[behind..]);
        let again = Stat::parse(&forged);
        assert_eq!(again.map(|again| again.ppid), Some(stat.ppid));
    }
    let honest = [
        b"9 (",
        data,
        b") S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 55 66 77",
    ]
    .concat();
    match Stat::parse(&honest) {
        Some(stat) => {
            assert_eq!((stat.ppid, stat.pgid, stat.sid), (7, 8, 9));
            assert_eq!(
                (stat.state, stat.start_ticks, stat.rss_pages),
                ('S', 55, 77)
            );
            assert_eq!(stat.comm, String::from_utf8_lossy(data));
        }
        None => panic!("a name made it unreadable"),
    }
}

pub(crate) fn status(text: &str) {
    let status = Status::parse(text);
    assert!(status.is_none_or(|status| !status.uids.is_empty()));
    // The kernel escapes the line feeds of a name.
    let name = text.replace('\n', "\\n");
    let honest = format!("Name:\t{name}\nUmask:\t0022\nUid:\t5\t6\t7\t8\nNSpid:\t9\t1\n");
    let wanted = Status {
        uids: vec![5, 6, 7, 8],
        namespaces: 2,
    };
    assert_eq!(Status::parse(&honest), Some(wanted));
}

pub(crate) fn argv(data: &[u8]) {
    let argv = split_argv(data);
    let joined = argv.join(OsStr::new("\0"));
    let bytes = joined.as_encoded_bytes();
    match data.split_last() {
        None => assert!(argv.is_empty()),
        Some((0, elements)) => assert_eq!(bytes, elements),
        Some(_) => assert_eq!((argv.len(), bytes), (1, data)),
    }
}

pub(crate) fn unit(path: &str) {
    if let Some(unit) = unit_of_cgroup(path) {
        assert!(path.starts_with(&unit));
        assert!(unit.ends_with(".service") || unit.ends_with(".scope"));
    }
}
