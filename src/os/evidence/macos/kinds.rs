//! macOS file systems by the names that statfs(2) gives.

use crate::orphan::evidence::Filesystem;

/// What kind of file system this is, as far as evidence goes. What is not known here is not believed.
pub(super) fn classify(kind: &str) -> Filesystem {
    match kind {
        "apfs" | "hfs" => Filesystem::Local,
        "autofs" => Filesystem::Autofs,
        "nfs" | "smbfs" | "cifs" | "afpfs" | "webdav" | "ftp" | "acfs" | "virtiofs"
        | "virtio-fs" | "AppleVirtIOFS" | "vmhgfs" | "prl_fs" => Filesystem::Network,
        // File systems of the FSKit kind are served by a process too.
        "lifs" => Filesystem::Fuse,
        fuse if ["fuse", "macfuse", "osxfuse"]
            .iter()
            .any(|stem| fuse.starts_with(stem)) =>
        {
            Filesystem::Fuse
        }
        _ => Filesystem::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_systems_own_disks_are_believed() {
        for (kind, expected) in [
            ("apfs", Filesystem::Local),
            ("hfs", Filesystem::Local),
            ("autofs", Filesystem::Autofs),
            ("nfs", Filesystem::Network),
            ("smbfs", Filesystem::Network),
            ("afpfs", Filesystem::Network),
            ("webdav", Filesystem::Network),
            ("macfuse", Filesystem::Fuse),
            ("osxfusefs", Filesystem::Fuse),
            ("fuse-t", Filesystem::Fuse),
            ("lifs", Filesystem::Fuse),
            ("msdos", Filesystem::Other),
            ("exfat", Filesystem::Other),
            ("devfs", Filesystem::Other),
            ("", Filesystem::Other),
        ] {
            assert_eq!(classify(kind), expected, "{kind}");
        }
    }
}
