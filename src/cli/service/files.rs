//! The files of the service on disk: whether they are there, whose they are, written and removed.

use crate::text::in_line;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::MARK;
use crate::os::files::{FileError, create_private_directory, open_regular, replace};

/// More than a unit ever has.
const LIMIT_BYTES: u64 = 1 << 20;

/// A file of the service as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What is in a file's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The very same text.
    Same,
    /// Something that was written here before, for another version or place: its text.
    Other(String),
    /// Something that somebody else put there: what it is.
    Foreign(String),
}

impl Found {
    /// The stable word for it in results.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "missing",
            Self::Same => "current",
            Self::Other(_) => "outdated",
            Self::Foreign(_) => "foreign",
        }
    }
}

impl UnitFile {
    /// The file at `path`, whatever its text: it is never found to be the same.
    pub(super) fn of_any_text(path: PathBuf) -> Self {
        // No text file holds this.
        let text = "\0".to_owned();
        Self { path, text }
    }

    /// Looks at what is in its place.
    pub(super) fn look(&self) -> Found {
        let mut text = Vec::new();
        let read = open_regular(&self.path, OpenOptions::new().read(true))
            .and_then(|file| file.take(LIMIT_BYTES).read_to_end(&mut text));
        if let Err(error) = read {
            return match (error.kind(), fs::read_link(&self.path)) {
                (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => Found::Nothing,
                (_, Ok(target)) => Found::Foreign(format!("a link to {}", in_line(&target))),
                (_, Err(_)) => Found::Foreign(format!("not to be read: {error}")),
            };
        }
        if text == self.text.as_bytes() {
            return Found::Same;
        }
        match String::from_utf8(text) {
            Ok(text) if text.contains(MARK) => Found::Other(text),
            _ => Found::Foreign("not written by team-agentctl".to_owned()),
        }
    }

    /// Undoes [`UnitFile::write`]: what was `found` before is there again, if it was a text.
    pub(super) fn put_back(&self, found: &Found) -> Result<(), Failure> {
        match found {
            Found::Same => Ok(()),
            Found::Other(text) => {
                replace(&self.path, text.as_bytes()).map_err(|error| unwritable(&error))
            }
            Found::Nothing | Found::Foreign(_) => remove(&self.path).map(drop),
        }
    }

    /// Puts it in its place, all of it or nothing.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        create_private_directory(directory).map_err(|error| unwritable(&error))?;
        replace(&self.path, self.text.as_bytes()).map_err(|error| unwritable(&error))
    }
}

/// That a file of the service, or a directory for it, cannot be written.
pub(super) fn unwritable(error: &FileError) -> Failure {
    Failure::service("unwritable", error)
}

/// Refuses to touch what somebody else put in the place of one of ours.
pub(super) fn refuse_foreign(looked: &[(UnitFile, Found)]) -> Result<(), Failure> {
    let foreign: Vec<String> = looked
        .iter()
        .filter_map(|(unit, found)| match found {
            Found::Foreign(what) => Some(format!("{}: {what}", in_line(&unit.path))),
            _ => None,
        })
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Failure::service("foreign_file", foreign.join("\n"))
        .with_remedy("set it aside, or have it replaced or removed: --force"))
}

/// What is in the place of a file that a service manager can make nothing of.
fn odd(path: &Path) -> Option<fs::FileType> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    (!kind.is_file() && !kind.is_symlink()).then_some(kind)
}

/// Refuses a directory in a file's place: it cannot be replaced, and what is in it is nobody's to remove.
pub(super) fn refuse_directories(looked: &[(UnitFile, Found)]) -> Result<(), Failure> {
    let mut paths = looked.iter().map(|(unit, _)| &unit.path);
    match paths.find(|path| odd(path).is_some_and(|kind| kind.is_dir())) {
        None => Ok(()),
        Some(path) => {
            let what = format!("{}: a directory", in_line(path));
            Err(Failure::service("foreign_file", what).with_remedy("set it aside"))
        }
    }
}

/// Refuses a FIFO, device or socket in a file's place: a service manager that reads it may never return, so it
/// must not even be asked about the service.
pub(super) fn refuse_odd(looked: &[(UnitFile, Found)]) -> Result<(), Failure> {
    let mut paths = looked.iter().map(|(unit, _)| &unit.path);
    match paths.find(|path| odd(path).is_some()) {
        None => Ok(()),
        Some(path) => {
            let what = format!("{}: not a file", in_line(path));
            Err(Failure::service("foreign_file", what).with_remedy("set it aside"))
        }
    }
}

/// Removes FIFOs and the like from the places of the service's files: they hold nothing. The paths.
pub(super) fn remove_odd(looked: &[(UnitFile, Found)]) -> Result<Vec<&Path>, Failure> {
    let mut removed = Vec::new();
    for (unit, _) in looked {
        if odd(&unit.path).is_some_and(|kind| !kind.is_dir()) && remove(&unit.path)? {
            removed.push(&*unit.path);
        }
    }
    Ok(removed)
}

/// Removes a file, a link or an empty directory: whether there was one.
pub(super) fn remove(path: &Path) -> Result<bool, Failure> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_directory {
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(Failure::service(
            "unremovable",
            format!("failed to remove {}: {error}", in_line(path)),
        )),
    }
}

/// Removes `directory` and those above it, as far as they are empty and below `top`.
pub(super) fn remove_empty(directory: &Path, top: &Path) {
    for directory in directory.ancestors() {
        let is_below = directory != top && directory.starts_with(top);
        // One that is not empty is somebody else's too.
        if !is_below || fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn unit(directory: &Path) -> UnitFile {
        UnitFile {
            path: directory.join("a/b/team-agentd.service"),
            text: format!("# {MARK}\nnew\n"),
        }
    }

    #[test]
    fn a_file_is_written_whole_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let unit = unit(folder.path());
        assert_eq!(unit.look(), Found::Nothing);
        unit.write().unwrap();
        assert_eq!(unit.look(), Found::Same);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(unit.path.parent().unwrap()), 0o700);
        let beside = fs::read_dir(unit.path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");
    }

    #[test]
    fn what_somebody_else_put_there_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let unit = unit(folder.path());
        unit.write().unwrap();
        fs::write(&unit.path, format!("# {MARK}\nold\n")).unwrap();
        assert_eq!(unit.look(), Found::Other(format!("# {MARK}\nold\n")));
        fs::write(&unit.path, "[Service]\n").unwrap();
        assert_eq!(unit.look().word(), "foreign");
        fs::remove_file(&unit.path).unwrap();
        // What systemctl mask makes. Nothing is read or written through a link.
        symlink("/dev/null", &unit.path).unwrap();
        let found = unit.look();
        assert_eq!(found, Found::Foreign("a link to /dev/null".to_owned()));
        let refused = refuse_foreign(&[(unit.clone(), found)]).unwrap_err();
        assert_eq!(refused.kind, "foreign_file");
        assert!(refused.message.contains("team-agentd.service: a link to"));
        assert!(refuse_foreign(&[(unit, Found::Nothing)]).is_ok());
    }

    #[test]
    fn what_is_no_file_is_refused_and_only_what_holds_nothing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let unit = unit(folder.path());
        fs::create_dir_all(&unit.path).unwrap();
        let looked = [(unit.clone(), unit.look())];
        for refused in [refuse_directories(&looked), refuse_odd(&looked)] {
            assert_eq!(refused.unwrap_err().kind, "foreign_file");
        }
        assert!(remove_odd(&looked).unwrap().is_empty());
        assert!(unit.path.is_dir());
        fs::remove_dir(&unit.path).unwrap();

        let socket = std::os::unix::net::UnixListener::bind(&unit.path).unwrap();
        let looked = [(unit.clone(), unit.look())];
        assert!(refuse_directories(&looked).is_ok());
        assert_eq!(refuse_odd(&looked).unwrap_err().kind, "foreign_file");
        assert_eq!(remove_odd(&looked).unwrap(), [&*unit.path]);
        assert!(!unit.path.exists());
        drop(socket);

        unit.write().unwrap();
        let looked = [(unit.clone(), unit.look())];
        assert!(refuse_odd(&looked).is_ok() && remove_odd(&looked).unwrap().is_empty());
        assert_eq!(unit.look(), Found::Same);
    }

    #[test]
    fn only_empty_directories_below_the_top_go() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("top/x/y/z");
        fs::create_dir_all(&deep).unwrap();
        fs::write(folder.path().join("top/x/mine"), "").unwrap();
        remove_empty(&deep, &folder.path().join("top"));
        assert!(!folder.path().join("top/x/y").exists());
        assert!(folder.path().join("top/x/mine").exists());
        fs::remove_file(folder.path().join("top/x/mine")).unwrap();
        remove_empty(&folder.path().join("top/x"), &folder.path().join("top"));
        assert_eq!(fs::read_dir(folder.path().join("top")).unwrap().count(), 0);
        assert!(folder.path().join("top").exists());
    }

    #[test]
    fn removing_says_whether_there_was_something() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(remove(&file).unwrap());
        assert!(!remove(&file).unwrap());
        let directory = folder.path().join("directory");
        fs::create_dir_all(directory.join("full")).unwrap();
        assert_eq!(remove(&directory).unwrap_err().kind, "unremovable");
        assert!(remove(&directory.join("full")).unwrap());
        assert!(remove(&directory).unwrap());
    }
}
