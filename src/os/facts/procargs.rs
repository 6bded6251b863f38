//! The argument area of a process as `sysctl(KERN_PROCARGS2)` of macOS gives it.
//!
//! An `int` with the number of arguments, the path that was executed, NULs up to a multiple of eight
//! bytes (`exec_extract_strings` in xnu), then the arguments and the environment, each ended by NUL.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What the kernel aligns the first argument to, counted from the start of the executed path.
const ALIGNMENT: usize = 8;

/// The argument vector in an argument area. Nothing if it is cut short, or if it cannot be told where
/// the first argument starts: a first argument without any text looks like more alignment.
pub(super) fn argv(area: &[u8]) -> Option<Vec<OsString>> {
    let (count, strings) = area.split_first_chunk()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    if count == 0 {
        return Some(Vec::new());
    }
    let path_end = strings.iter().position(|byte| *byte == 0)?;
    let start = path_end + strings[path_end..].iter().position(|byte| *byte != 0)?;
    if start > (path_end + 1).next_multiple_of(ALIGNMENT) {
        return None;
    }
    let mut rest = &strings[start..];
    let mut argv = Vec::new();
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == 0)?;
        argv.push(OsStr::from_bytes(&rest[..end]).to_owned());
        rest = &rest[end + 1..];
    }
    Some(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(count: i32, path: &str, rest: &[u8]) -> Vec<u8> {
        let mut strings = path.as_bytes().to_vec();
        strings.push(0);
        strings.resize(strings.len().next_multiple_of(8), 0);
        [&count.to_ne_bytes(), strings.as_slice(), rest].concat()
    }

    fn words(area: &[u8]) -> Option<Vec<String>> {
        let argv = argv(area)?;
        Some(
            argv.iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        )
    }

    #[test]
    fn the_arguments_end_where_the_environment_begins() {
        for path in [
            "/usr/bin/python3",
            "/bin/zsh",
            "/a/six7",
            "/opt/homebrew/bin/x",
        ] {
            let area = area(3, path, b"python3\0-m\0a b\n\0HOME=/x\0PATH=/y\0\0\0");
            assert_eq!(words(&area).unwrap(), ["python3", "-m", "a b\n"], "{path}");
        }
    }

    #[test]
    fn empty_arguments_are_kept_but_for_an_empty_first_one() {
        assert_eq!(
            words(&area(4, "/bin/a", b"a\0\0\0b\0X=1\0")).unwrap(),
            ["a", "", "", "b"]
        );
        // Its NUL cannot be told from the alignment: the environment would be taken for arguments.
        assert_eq!(words(&area(2, "/bin/a", b"\0b\0X=1\0")), None);
    }

    #[test]
    fn what_was_cut_short_says_nothing() {
        let whole = area(2, "/bin/a", b"a\0--workspace\0");
        assert_eq!(words(&whole).unwrap(), ["a", "--workspace"]);
        for length in 0..whole.len() {
            assert_eq!(words(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(words(&area(-1, "/bin/a", b"a\0")), None);
        assert_eq!(words(&area(i32::MAX, "/bin/a", b"a\0")), None);
        assert_eq!(words(&area(0, "/bin/a", b"X=1\0")).unwrap(), [""; 0]);
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let argv = argv(&area(1, "/bin/a", b"\xff\xfe\0")).unwrap();
        assert_eq!(argv[0].as_bytes(), b"\xff\xfe");
    }
}
