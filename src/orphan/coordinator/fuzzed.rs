//! What must hold for every argv and every path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::{CustomForm, WorkspaceArgument, may_be_coordinator, recognise};
use crate::orphan::ephemeral::{EphemeralRoots, EphemeralRules};

/// An argv, its elements ended by NUL.
pub fn argv(data: &[u8]) {
    let argv: Vec<OsString> = data
        .split(|byte| *byte == 0)
        .map(|element| OsStr::from_bytes(element).to_owned())
        .collect();
    let form = CustomForm {
        name: "own".to_owned(),
        program: "my*".to_owned(),
        args: vec!["run".to_owned()],
        workspace_flag: "--ws".to_owned(),
    };
    for custom in [&[][..], &[form]] {
        let found = recognise(&argv, custom);
        assert_eq!(found, recognise(&argv, custom), "the same argv twice");
        let Some(found) = found else { continue };
        // The sieve sees an argv that may have lost its empty elements.
        let kept: Vec<OsString> = argv.iter().filter(|one| !one.is_empty()).cloned().collect();
        for argv in [&argv, &kept] {
            assert!(may_be_coordinator(
                argv.iter().map(OsString::as_os_str),
                custom
            ));
        }
        let flag = if found.form == "own" {
            "--ws"
        } else {
            "--workspace"
        };
        if let WorkspaceArgument::Given(workspace) = &found.workspace {
            let workspace = workspace.as_os_str().as_bytes();
            assert!(!workspace.is_empty());
            // Python takes what is not ambiguous for the whole flag.
            let is_flag = |word: &[u8]| word.len() > 2 && flag.as_bytes().starts_with(word);
            let is_its_value = argv
                .windows(2)
                .any(|pair| is_flag(pair[0].as_bytes()) && pair[1].as_bytes() == workspace);
            let is_joined = argv.iter().any(|one| {
                let one = one.as_bytes();
                let at = one.len().checked_sub(workspace.len() + 1);
                at.is_some_and(|at| {
                    one[at] == b'=' && is_flag(&one[..at]) && &one[at + 1..] == workspace
                })
            });
            assert!(is_its_value || is_joined, "{:?}", found.workspace);
        }
        // A word in front makes another program of it.
        let mut echoed = vec![OsString::from("/bin/echo")];
        echoed.extend(argv.iter().cloned());
        assert_eq!(recognise(&echoed, custom), None, "{echoed:?}");
        // Who has the same words in one element is none either: an editor, a search.
        let joined = [OsString::from("vim"), argv.join(OsStr::new(" "))];
        assert_eq!(recognise(&joined, custom), None, "{joined:?}");
    }
}

/// A path that a workspace led to.
pub fn workspace(data: &[u8]) {
    let path = Path::new(OsStr::from_bytes(data));
    let hints = ["team-agent-test-".to_owned(), "gap".to_owned()];
    let rules = |roots| EphemeralRules {
        hints: hints.to_vec(),
        roots,
    };
    let roots = ["/tmp", "/var/tmp", "/"];
    for root in roots {
        let found = rules(EphemeralRoots::Below(vec![root.into()]));
        let Some(hint) = found.hint_in(path) else {
            continue;
        };
        // By words, not by components: an independent way to say it.
        let text = path.to_string_lossy();
        let mut parts = text.split('/').filter(|part| !part.is_empty());
        for word in root.split('/').filter(|part| !part.is_empty()) {
            let part = parts.by_ref().find(|part| *part != ".");
            assert_eq!(part, Some(word), "{path:?} is not below {root}");
        }
        assert!(path.is_absolute(), "{path:?}");
        assert!(
            parts.any(|part| part.contains(hint)),
            "{path:?} has no {hint}"
        );
        let anywhere = rules(EphemeralRoots::Anywhere);
        assert!(anywhere.hint_in(path).is_some(), "{path:?}");
    }
    let names_a_hint = path.components().any(|component| match component {
        Component::Normal(name) => {
            let name = name.to_string_lossy();
            hints.iter().any(|hint| name.contains(hint))
        }
        _ => false,
    });
    let anywhere = rules(EphemeralRoots::Anywhere);
    assert_eq!(anywhere.hint_in(path).is_some(), names_a_hint, "{path:?}");
    assert_eq!(rules(EphemeralRoots::default()).hint_in(path), None);
}
