//! Files of `/proc`, which are made up as they are read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Nearly all of them fit into this. It is what the kernel makes up at a time, too.
const PAGE_BYTES: usize = 4096;

/// All of a file of `/proc`. In one piece, if it fits into a page: `std::fs::read`, told by such files that
/// they are empty, begins with 32 bytes and takes eight reads for a `stat`.
///
/// # Errors
/// As the system has it; `ESRCH`, too, for a process that ends meanwhile.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_at_most(path, u64::MAX)
}

/// The first `limit` bytes of a file of `/proc`.
///
/// # Errors
/// See [`read`].
pub(super) fn read_at_most(path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    // Through a bound, so that nobody asks how long it is.
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
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
        assert_eq!(read_at_most("/proc/version", 5).unwrap(), b"Linux");
        assert_eq!(read("/proc/0").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
