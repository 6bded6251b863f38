//! Which paths are ephemeral by their name: a test suite's directories below a temporary root.

use std::path::{Path, PathBuf};

/// What makes a path ephemeral.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EphemeralRules {
    /// Parts of directory names that test suites use.
    pub hints: Vec<String>,
    /// Where such directories count.
    pub roots: EphemeralRoots,
}

/// Where ephemeral hints count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EphemeralRoots {
    /// Only below these directories.
    Below(Vec<PathBuf>),
    /// In any path.
    Anywhere,
}

impl Default for EphemeralRoots {
    fn default() -> Self {
        Self::Below(Vec::new())
    }
}

impl EphemeralRules {
    /// The first hint that a component of `path` below a temporary root contains.
    #[must_use]
    pub fn hint_in(&self, path: &Path) -> Option<&str> {
        let below_roots: Vec<&Path> = match &self.roots {
            EphemeralRoots::Anywhere => vec![path.strip_prefix("/").unwrap_or(path)],
            EphemeralRoots::Below(roots) => roots
                .iter()
                .filter_map(|root| path.strip_prefix(root).ok())
                .collect(),
        };
        self.hints.iter().map(String::as_str).find(|hint| {
            below_roots
                .iter()
                .flat_map(|below| below.components())
                .any(|component| component.as_os_str().to_string_lossy().contains(hint))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> EphemeralRules {
        EphemeralRules {
            hints: vec!["team-agent-stage".into(), "team-agent-test-".into()],
            roots: EphemeralRoots::Below(vec!["/tmp".into(), "/var/folders".into()]),
        }
    }

    #[test]
    fn hints_count_only_in_components_below_a_temporary_root() {
        for (path, hint) in [
            ("/tmp/team-agent-test-1/ws", Some("team-agent-test-")),
            (
                "/var/folders/ab/T/xteam-agent-stage2/ws",
                Some("team-agent-stage"),
            ),
            ("/home/me/team-agent-staged-rollout", None),
            ("/tmp/ws", None),
            ("/tmp/team-agent-tes", None),
            ("/tmpteam-agent-test-1/ws", None),
            ("/tmp", None),
        ] {
            assert_eq!(rules().hint_in(Path::new(path)), hint, "{path}");
        }
    }

    #[test]
    fn anywhere_means_every_component() {
        let rules = EphemeralRules {
            roots: EphemeralRoots::Anywhere,
            ..rules()
        };
        assert_eq!(
            rules.hint_in(Path::new("/home/me/team-agent-test-x")),
            Some("team-agent-test-")
        );
        assert_eq!(rules.hint_in(Path::new("/home/me/ws")), None);
    }
}
