//! Which programs the service runs: those of the installation that this client belongs to.

use crate::text::in_line;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::failure::Failure;

/// The name of the daemon's program.
const DAEMON: &str = "team-agentd";
/// The name of the client's.
const CLIENT: &str = "team-agentctl";

/// The two programs of one installation, by absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) daemon: PathBuf,
    pub(super) client: PathBuf,
}

impl Binaries {
    /// Those of the installation that the running client `own` belongs to.
    ///
    /// They stand beside `own`. Where that directory is not on the search path `path`, but names on it lead
    /// to the same files, those names are taken: behind links, package managers change the
    /// directory with each version.
    ///
    /// # Errors
    ///
    /// If there is no daemon to be run there.
    pub(super) fn of(own: &Path, path: &OsStr) -> Result<Self, Failure> {
        // A link is followed to where the two are installed together.
        let real = fs::canonicalize(own).unwrap_or_else(|_| own.to_path_buf());
        let beside = real.parent().unwrap_or(Path::new("/"));
        let found = Self::in_directory(beside);
        if !is_executable(&found.daemon) {
            return Err(Failure::service(
                "no_daemon_program",
                format!("there is no program {}", in_line(&found.daemon)),
            )
            .with_remedy("install team-agentd and team-agentctl in the same directory"));
        }
        let directories: Vec<PathBuf> = std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .collect();
        if directories.iter().any(|directory| directory == beside) {
            return Ok(found);
        }
        let named = directories
            .iter()
            .map(|directory| Self::in_directory(directory))
            .find(|named| leads_to(&named.daemon, &found.daemon) && leads_to(&named.client, &real));
        Ok(named.unwrap_or(found))
    }

    fn in_directory(directory: &Path) -> Self {
        Self {
            daemon: directory.join(DAEMON),
            client: directory.join(CLIENT),
        }
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn leads_to(name: &Path, file: &Path) -> bool {
    match (fs::canonicalize(name), fs::canonicalize(file)) {
        (Ok(name), Ok(file)) => name == file,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn program(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A real directory (its own name may lead through links) with both programs in `v1`.
    fn installed() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        program(&root.join("v1/team-agentd"), 0o755);
        program(&root.join("v1/team-agentctl"), 0o755);
        (folder, root)
    }

    #[test]
    fn the_daemon_is_the_one_beside_the_client() {
        let (_folder, root) = installed();
        program(&root.join("other/team-agentd"), 0o755);
        program(&root.join("other/team-agentctl"), 0o755);
        let own = root.join("v1/team-agentctl");
        let path = std::env::join_paths([root.join("other"), root.join("v1")]).unwrap();
        let found = Binaries::of(&own, &path).unwrap();
        assert_eq!(
            (found.daemon, found.client),
            (root.join("v1/team-agentd"), own)
        );
    }

    #[test]
    fn a_stable_name_on_the_search_path_is_taken() {
        let (_folder, root) = installed();
        fs::create_dir(root.join("bin")).unwrap();
        for name in ["team-agentd", "team-agentctl"] {
            symlink(root.join("v1").join(name), root.join("bin").join(name)).unwrap();
        }
        let path = std::env::join_paths([Path::new("."), &root.join("bin")]).unwrap();
        for own in ["v1/team-agentctl", "bin/team-agentctl"] {
            let found = Binaries::of(&root.join(own), &path).unwrap();
            assert_eq!(found.daemon, root.join("bin/team-agentd"), "{own}");
            assert_eq!(found.client, root.join("bin/team-agentctl"), "{own}");
        }
        let found = Binaries::of(&root.join("bin/team-agentctl"), OsStr::new("")).unwrap();
        assert_eq!(found.daemon, root.join("v1/team-agentd"));
    }

    #[test]
    fn without_a_daemon_there_is_nothing_to_install() {
        let (_folder, root) = installed();
        let own = root.join("v1/team-agentctl");
        let no_daemon = |why: &str| {
            let failure = Binaries::of(&own, OsStr::new("")).unwrap_err();
            assert_eq!(failure.kind, "no_daemon_program", "{why}");
            assert!(failure.message.contains("v1/team-agentd"), "{failure:?}");
        };
        program(&root.join("v1/team-agentd"), 0o644);
        no_daemon("it cannot be run");
        fs::remove_file(root.join("v1/team-agentd")).unwrap();
        no_daemon("it is not there");
        fs::create_dir(root.join("v1/team-agentd")).unwrap();
        no_daemon("it is a directory");
    }
}
