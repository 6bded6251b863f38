//! The file system table, fstab(5): which mount points there ought to be.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The mount points that the file system table names; none where there is no such table.
pub(super) fn fstab_points() -> io::Result<Vec<PathBuf>> {
    match std::fs::read("/etc/fstab") {
        Ok(text) => Ok(parse_fstab(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse_fstab(text: &[u8]) -> Vec<PathBuf> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .filter_map(|line| {
            line.split(u8::is_ascii_whitespace)
                .filter(|field| !field.is_empty())
                .nth(1)
        })
        .map(|point| PathBuf::from(OsStr::from_bytes(&unescaped(point))))
        .filter(|point| point.is_absolute() && point != Path::new("/"))
        .collect()
}

/// Space, tab, newline and backslash stand as `\ooo` in mountinfo and fstab.
pub(in crate::os) fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_table_gives_its_mount_points() {
        let text = b"# c\nUUID=1 / ext4 defaults 0 1\n/dev/b\t/srv/a\\040b  xfs noauto 0 0\nx none swap sw 0 0\n\n";
        assert_eq!(parse_fstab(text), [PathBuf::from("/srv/a b")]);
    }
}
