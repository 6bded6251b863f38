//! Files of `/proc`, which are made up as they are read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::io::retry_on_intr;

/// Nearly all of them fit into this. It is what the kernel makes up at a time, too.
const PAGE_BYTES: usize = 4096;

/// All of a file of `/proc`. In one piece, if it fits into a page: `std::fs::read`, told by such files that
/// they are empty, begins with 32 bytes and takes eight reads for a `stat`.
///
/// # Errors
/// As the system has it; `ESRCH`, too, for a process that ends meanwhile.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    // Through a bound, so that nobody asks how long it is.
    File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One of those that hold one record: a process's `stat`, `status`, `cgroup`, or `/proc/loadavg`.
///
/// # Errors
/// See [`read`].
pub(super) fn read_record(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    read_record_into(&mut bytes, path, usize::MAX)?;
    Ok(bytes)
}

/// The first `limit` bytes of one that holds one record, or of a `cmdline`, in place of what `bytes` held.
///
/// The kernel gives as much of those as there is room for (`seq_read_iter` of one record, `get_mm_cmdline`), so that
/// where room was left over there is no more: nobody has to ask once more whether that was all. Where none was left, it
/// is read anew with more room: each read asks anew whose memory it is, and what was read in two pieces may be the
/// arguments of two programs, if the process has called exec(2) in between.
///
/// # Errors
/// See [`read`].
pub(super) fn read_record_into(
    bytes: &mut Vec<u8>,
    path: impl AsRef<Path>,
    limit: usize,
) -> io::Result<()> {
    let file = File::open(path)?;
    let mut wanted = PAGE_BYTES;
    loop {
        bytes.clear();
        bytes.reserve_exact(wanted);
        let room = bytes.capacity();
        let read = retry_on_intr(|| rustix::io::pread(&file, spare_capacity(bytes), 0))?;
        if read < room || room >= limit {
            break;
        }
        wanted = room.saturating_mul(4);
    }
    bytes.truncate(limit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whether_it_fits_into_a_page_or_not() {
        for path in [
            "/proc/self/stat",
            "/proc/self/environ",
            "/proc/self/auxv",
            "/proc/kallsyms",
        ] {
            let Ok(expected) = std::fs::read(path) else {
                continue;
            };
            let found = read(path).unwrap();
            // Its own times go on.
            assert_eq!(found.len() / 64, expected.len() / 64, "{path}");
        }
        assert_eq!(
            read("/proc/version").unwrap(),
            std::fs::read("/proc/version").unwrap()
        );
        assert_eq!(read("/proc/0").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_record_is_read_whole_however_long_it_is_and_up_to_its_limit() {
        use std::process::{Command, Stdio};
        let version = std::fs::read("/proc/version").unwrap();
        assert_eq!(read_record("/proc/version").unwrap(), version);
        assert_eq!(
            read_record("/proc/0").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let mut bytes = b"before".to_vec();
        // `sleep` takes the sum of its arguments.
        for length in [
            1,
            PAGE_BYTES - 9,
            PAGE_BYTES - 8,
            PAGE_BYTES - 7,
            3 * PAGE_BYTES,
            100_000,
        ] {
            let long = &format!("{}9", "0".repeat(length - 1));
            let mut child = Command::new("sleep")
                .arg(long)
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let path = format!("/proc/{}/cmdline", child.id());
            let expected = format!("sleep\0{long}\0").into_bytes();
            // The kernel lets the parent go on before the new program's argv is in place.
            while std::fs::read(&path).unwrap().is_empty() {
                std::thread::yield_now();
            }
            let read = read_record_into(&mut bytes, &path, usize::MAX);
            let in_part: Vec<_> = [0, 1, 5, PAGE_BYTES, PAGE_BYTES + 1]
                .into_iter()
                .map(|limit| {
                    let mut bytes = Vec::new();
                    read_record_into(&mut bytes, &path, limit).unwrap();
                    (limit, bytes)
                })
                .collect();
            child.kill().unwrap();
            child.wait().unwrap();
            read.unwrap();
            assert_eq!(bytes, expected);
            for (limit, found) in in_part {
                assert_eq!(found, expected[..limit.min(expected.len())], "{limit}");
            }
        }
    }
}
