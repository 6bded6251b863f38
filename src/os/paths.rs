//! Where paths lead.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a path leads, or would lead if what is missing were there; nothing, if it takes back (`..`) something
/// that is not there. Blocking.
#[must_use]
pub fn leads_to(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..=MOST_LINKS {
        if let Ok(real) = path.canonicalize() {
            return Some(real);
        }
        let (real, rest) = path
            .ancestors()
            .find_map(|one| Some((one.canonicalize().ok()?, path.strip_prefix(one).ok()?)))?;
        let mut missing = rest.components();
        let link = real.join(missing.next()?);
        let Ok(target) = fs::read_link(link) else {
            let takes_back = |part| part == Component::ParentDir;
            return (!rest.components().any(takes_back)).then(|| real.join(rest));
        };
        // A link to what is not there: to a workspace that was deleted, say.
        path = real.join(target).join(missing.as_path());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_where_a_deleted_workspace_was() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        let at = |path: &str| top.join(path);
        fs::create_dir_all(at("x")).unwrap();
        fs::create_dir_all(at("y/sub")).unwrap();
        symlink(at("y/sub"), at("x/link")).unwrap();
        symlink("../y/gone", at("x/dangling")).unwrap();
        symlink("dangling", at("x/again")).unwrap();
        symlink("loop", at("x/loop")).unwrap();
        for (path, leads) in [
            ("x", Some("x")),
            ("x/./gone//further", Some("x/gone/further")),
            ("x/link/w", Some("y/sub/w")),
            // As the kernel does it, not by the text.
            ("x/link/../w", Some("y/w")),
            ("x/dangling", Some("y/gone")),
            ("x/again/w", Some("y/gone/w")),
            // What is not there cannot be taken back.
            ("x/dangling/../w", None),
            ("x/loop/../w", None),
            ("x/gone/../w", None),
            ("x/loop", None),
        ] {
            assert_eq!(leads_to(&at(path)), leads.map(at), "{path}");
        }
        assert_eq!(leads_to(Path::new("/../..")), Some("/".into()));
    }
}
