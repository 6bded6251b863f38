//! argv → [`Coordinator`]: recognises a coordinator by the argument vector the kernel holds.
//!
//! Text that merely mentions a coordinator is not one: every rule here compares whole elements at
//! the place where the program itself would read them. Knows nothing of why one may be orphaned.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use wildmatch::WildMatch;

/// A form from the configuration, `[[coordinator.form]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomForm {
    /// How entries name it.
    pub name: String,
    /// A glob (`*`, `?`) on the program's basename.
    pub program: String,
    /// The arguments that follow the program (for a Python interpreter: its options are skipped).
    pub args: Vec<String>,
    /// The flag that carries the workspace.
    pub workspace_flag: String,
}

/// A recognised coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    /// The name of the form: `python-module`, `console-script`, `team-agent` or a configured one.
    pub form: String,
    /// The workspace as its argv names it.
    pub workspace: WorkspaceArgument,
}

/// What the argv says about the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkspaceArgument {
    /// The value of the last workspace flag, as it stands.
    Given(PathBuf),
    /// No flag, no value, an empty one, or one that the program itself would refuse.
    Unusable,
}

const PYTHON_MODULES: [&str; 2] = ["team_agent.coordinator", "team_agent.coordinator.__main__"];
const PYTHON_SCRIPT: &str = "team_agent/coordinator/__main__.py";
const CONSOLE_SCRIPT: &str = "team-agent-coordinator";
const WORKSPACE_FLAG: &str = "--workspace";

/// The names of the built-in forms.
pub const BUILT_IN_FORMS: [&str; 3] = ["python-module", "console-script", "team-agent"];

/// Recognises a coordinator in `argv`, or says that it is none.
#[must_use]
pub fn recognise(argv: &[OsString], custom: &[CustomForm]) -> Option<Coordinator> {
    let (program, arguments) = argv.split_first()?;
    let program = basename(program);
    let python = is_python_interpreter(program)
        .then(|| PythonCommand::parse(arguments))
        .flatten();
    built_in(program, arguments, python.as_ref()).or_else(|| {
        custom
            .iter()
            .find_map(|form| configured(form, program, arguments, python.as_ref()))
    })
}

/// Whether an argument vector, perhaps a lossy one that lost empty elements, might belong to a
/// coordinator: never false for one that [`recognise`] would accept. Cheap, for a first sieve.
#[must_use]
pub fn may_be_coordinator(argv: &[OsString], custom: &[CustomForm]) -> bool {
    let Some(program) = argv.first() else {
        return false;
    };
    let mentions = |argument: &OsString| {
        let bytes = argument.as_bytes();
        contains(bytes, b"team_agent") || contains(bytes, b"team-agent")
    };
    // A program and its interpreter's options come first; prompts and payloads come later, but a
    // fixed window would miss an interpreter with many options.
    argv.iter().any(mentions)
        || custom
            .iter()
            .any(|form| program_matches(form, basename(program)))
}

fn built_in(
    program: &OsStr,
    arguments: &[OsString],
    python: Option<&PythonCommand<'_>>,
) -> Option<Coordinator> {
    let found = |form: &str, rest: &[OsString], flags: FlagSyntax| {
        Some(Coordinator {
            form: form.to_owned(),
            workspace: workspace_argument(rest, WORKSPACE_FLAG, flags),
        })
    };
    match python {
        Some(PythonCommand {
            target: PythonTarget::Module(module),
            rest,
        }) if PYTHON_MODULES
            .iter()
            .any(|known| *module == OsStr::new(known)) =>
        {
            return found("python-module", rest, FlagSyntax::Argparse);
        }
        Some(PythonCommand {
            target: PythonTarget::Script(script),
            rest,
        }) => {
            if ends_with_path(script, PYTHON_SCRIPT) {
                return found("python-module", rest, FlagSyntax::Argparse);
            }
            if basename(script) == CONSOLE_SCRIPT {
                return found("console-script", rest, FlagSyntax::Argparse);
            }
        }
        _ => {}
    }
    if program == CONSOLE_SCRIPT {
        return found("console-script", arguments, FlagSyntax::Argparse);
    }
    match arguments.split_first() {
        Some((first, rest)) if program == "team-agent" && first == "coordinator" => found(
            "team-agent",
            rest,
            FlagSyntax::Exact {
                takes_value: &["--team", "--tick-interval"],
            },
        ),
        _ => None,
    }
}

fn configured(
    form: &CustomForm,
    program: &OsStr,
    arguments: &[OsString],
    python: Option<&PythonCommand<'_>>,
) -> Option<Coordinator> {
    if !program_matches(form, program) {
        return None;
    }
    let rest = after_prefix(arguments, &form.args).or_else(|| {
        // `python3 -u -m my.coordinator`: the interpreter's own options do not count.
        let python = python?;
        let mut wanted = form.args.iter();
        let target = match python.target {
            PythonTarget::Module(module) if wanted.next()? == "-m" => module,
            PythonTarget::Script(script) => script,
            PythonTarget::Module(_) => return None,
        };
        (target == OsStr::new(wanted.next()?)).then_some(())?;
        after_prefix(python.rest, wanted.as_slice())
    })?;
    Some(Coordinator {
        form: form.name.clone(),
        workspace: workspace_argument(
            rest,
            &form.workspace_flag,
            FlagSyntax::Exact { takes_value: &[] },
        ),
    })
}

fn program_matches(form: &CustomForm, program: &OsStr) -> bool {
    WildMatch::new(&form.program).matches(&program.to_string_lossy())
}

fn after_prefix<'a>(arguments: &'a [OsString], prefix: &[String]) -> Option<&'a [OsString]> {
    let head = arguments.get(..prefix.len())?;
    head.iter()
        .zip(prefix)
        .all(|(have, want)| have == OsStr::new(want))
        .then(|| &arguments[prefix.len()..])
}

/// `python`, `python3`, `python3.11`, `python3.13t`, `python3-dbg`, `Python`, `pypy3`, …
fn is_python_interpreter(program: &OsStr) -> bool {
    let Some(name) = program.to_str() else {
        return false;
    };
    let Some(version) = ["python", "Python", "pypy"]
        .iter()
        .find_map(|stem| name.strip_prefix(stem))
    else {
        return false;
    };
    let version = version.strip_suffix("-dbg").unwrap_or(version);
    let version = version.strip_suffix("-intel64").unwrap_or(version);
    // ABI flags (PEP 3149; `t` is the free-threaded build), and `w` of macOS's pythonw.
    version
        .trim_end_matches(['d', 'm', 't', 'u', 'w'])
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// What a Python command line runs, read as CPython's own getopt reads it.
struct PythonCommand<'a> {
    target: PythonTarget<'a>,
    rest: &'a [OsString],
}

enum PythonTarget<'a> {
    Module(&'a OsStr),
    Script(&'a OsStr),
}

impl<'a> PythonCommand<'a> {
    fn parse(arguments: &'a [OsString]) -> Option<Self> {
        let mut index = 0;
        while let Some(argument) = arguments.get(index) {
            let bytes = argument.as_bytes();
            index += 1;
            if bytes == b"--" {
                break;
            }
            if let Some(long) = bytes.strip_prefix(b"--") {
                match long {
                    b"check-hash-based-pycs" | b"jit" => index += 1,
                    b"help" | b"version" => return None,
                    _ => {}
                }
                continue;
            }
            let Some(flags) = bytes.strip_prefix(b"-").filter(|flags| !flags.is_empty()) else {
                // A script, or `-` for standard input, whose text nobody can see.
                index -= 1;
                break;
            };
            for (position, flag) in flags.iter().enumerate() {
                let attached = &flags[position + 1..];
                match flag {
                    b'm' => {
                        let module = if attached.is_empty() {
                            index += 1;
                            arguments.get(index - 1)?.as_os_str()
                        } else {
                            OsStr::from_bytes(attached)
                        };
                        return Some(Self {
                            target: PythonTarget::Module(module),
                            rest: arguments.get(index..)?,
                        });
                    }
                    b'c' | b'h' | b'V' | b'?' => return None,
                    b'W' | b'X' => {
                        if attached.is_empty() {
                            index += 1;
                        }
                        break;
                    }
                    _ => {}
                }
            }
        }
        let script = arguments.get(index)?;
        (script != "-").then_some(Self {
            target: PythonTarget::Script(script),
            rest: &arguments[index + 1..],
        })
    }
}

/// How a program reads its long flags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FlagSyntax {
    /// argparse: unambiguous abbreviations count, `--` ends the flags.
    Argparse,
    /// Only the flag as it is spelled; these other flags swallow the next word, whatever it is.
    Exact {
        /// Flags whose value is a word of its own.
        takes_value: &'static [&'static str],
    },
}

/// The value of the last workspace flag in `arguments`.
///
/// A separate value that begins with `-` is refused by argparse, and a directory of such a name is
/// more likely a flag that swallowed another: nothing is made of it.
fn workspace_argument(arguments: &[OsString], flag: &str, syntax: FlagSyntax) -> WorkspaceArgument {
    let mut found = WorkspaceArgument::Unusable;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        match syntax {
            FlagSyntax::Argparse if bytes == b"--" => break,
            FlagSyntax::Exact { takes_value }
                if takes_value.iter().any(|flag| argument == flag) =>
            {
                arguments.next();
                continue;
            }
            _ => {}
        }
        let (name, attached) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        let is_flag = match syntax {
            FlagSyntax::Exact { .. } => name == flag.as_bytes(),
            FlagSyntax::Argparse => name.len() >= 3 && flag.as_bytes().starts_with(name),
        };
        if !is_flag {
            continue;
        }
        let value = match attached {
            Some(value) => value,
            None => match arguments.next() {
                Some(value) if !value.as_bytes().starts_with(b"-") => value.as_bytes(),
                _ => return WorkspaceArgument::Unusable,
            },
        };
        found = if value.is_empty() {
            WorkspaceArgument::Unusable
        } else {
            WorkspaceArgument::Given(PathBuf::from(OsStr::from_bytes(value)))
        };
    }
    found
}

fn basename(path: &OsStr) -> &OsStr {
    let bytes = path.as_bytes();
    let start = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    OsStr::from_bytes(&bytes[start..])
}

fn ends_with_path(path: &OsStr, suffix: &str) -> bool {
    path.as_bytes()
        .strip_suffix(suffix.as_bytes())
        .is_some_and(|head| head.is_empty() || head.ends_with(b"/"))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn recognised(words: &[&str]) -> Option<(String, Option<String>)> {
        recognise(&argv(words), &[]).map(|found| {
            let workspace = match found.workspace {
                WorkspaceArgument::Given(path) => Some(path.to_string_lossy().into_owned()),
                WorkspaceArgument::Unusable => None,
            };
            (found.form, workspace)
        })
    }

    #[test]
    fn every_built_in_form_is_recognised_with_its_workspace() {
        let module = "team_agent.coordinator";
        for (form, words) in [
            (
                "python-module",
                vec!["python3", "-m", module, "--workspace", "/w"],
            ),
            (
                "python-module",
                vec!["/usr/bin/python3.11", "-u", "-m", module, "--workspace=/w"],
            ),
            (
                "python-module",
                vec!["Python", "-W", "-c", "-m", module, "--work", "/w", "--once"],
            ),
            (
                "python-module",
                vec!["pypy3", "-Xdev", "-Bm", module, "--w=/w"],
            ),
            (
                "python-module",
                vec!["python", "-mteam_agent.coordinator", "--workspace", "/w"],
            ),
            (
                "python-module",
                vec![
                    "python3.13t",
                    "-X",
                    "dev",
                    "-m",
                    "team_agent.coordinator.__main__",
                    "--workspace",
                    "/x",
                    "--workspace",
                    "/w",
                ],
            ),
            (
                "python-module",
                vec![
                    "python3",
                    "/s/team_agent/coordinator/__main__.py",
                    "--workspace",
                    "/w",
                ],
            ),
            (
                "python-module",
                vec![
                    "python3",
                    "--",
                    "team_agent/coordinator/__main__.py",
                    "--workspace",
                    "/w",
                ],
            ),
            (
                "console-script",
                vec!["python3", "/b/team-agent-coordinator", "--workspace", "/w"],
            ),
            (
                "console-script",
                vec!["/b/team-agent-coordinator", "--workspac", "/w"],
            ),
            (
                "team-agent",
                vec![
                    "/opt/team-agent",
                    "coordinator",
                    "--team",
                    "k",
                    "--workspace",
                    "/w",
                ],
            ),
        ] {
            assert_eq!(
                recognised(&words),
                Some((form.into(), Some("/w".into()))),
                "{words:?}"
            );
            assert!(may_be_coordinator(&argv(&words), &[]), "{words:?}");
        }
    }

    #[test]
    fn text_that_mentions_a_coordinator_is_not_one() {
        for words in [
            vec!["vim", "-m", "team_agent.coordinator", "--workspace", "/w"],
            vec!["grep", "python3 -m team_agent.coordinator --workspace /w"],
            vec![
                "bash",
                "-c",
                "python3 -m team_agent.coordinator --workspace /w",
            ],
            vec![
                "ssh",
                "host",
                "python3",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec!["python3 -m team_agent.coordinator --workspace /w"],
            vec![
                "python3",
                "-c",
                "x",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec![
                "python3",
                "-",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec![
                "python3",
                "run.py",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec![
                "python3",
                "-X",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec![
                "python3",
                "-m",
                "team_agent.coordinatorx",
                "--workspace",
                "/w",
            ],
            vec!["python3", "-m", "team_agent.worker", "--workspace", "/w"],
            vec![
                "python3",
                "xteam_agent/coordinator/__main__.py",
                "--workspace",
                "/w",
            ],
            vec![
                "python3-config",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec!["team-agent", "--workspace", "/w", "coordinator"],
            vec!["team-agentd", "coordinator", "--workspace", "/w"],
            vec![
                "claude",
                "-p",
                "python3",
                "-m",
                "team_agent.coordinator",
                "--workspace",
                "/w",
            ],
            vec!["python3", "-m"],
            vec![],
        ] {
            assert_eq!(recognised(&words), None, "{words:?}");
        }
    }

    #[test]
    fn a_workspace_that_the_program_would_refuse_is_unusable() {
        let start = ["python3", "-m", "team_agent.coordinator"];
        for rest in [
            vec![],
            vec!["--workspace"],
            vec!["--workspace", ""],
            vec!["--workspace="],
            vec!["--workspace", "--once"],
            vec!["--workspace", "/w", "--workspace", "-x"],
            vec!["--", "--workspace", "/w"],
            vec!["--", "/w"],
            vec!["--workspaces", "/w"],
        ] {
            let words: Vec<&str> = start.iter().copied().chain(rest).collect();
            assert_eq!(
                recognised(&words),
                Some(("python-module".into(), None)),
                "{words:?}"
            );
        }
        for rest in [["--work", "/w"], ["--team", "--workspace"]] {
            let words: Vec<&str> = ["team-agent", "coordinator"]
                .into_iter()
                .chain(rest)
                .chain(["/w"])
                .collect();
            assert_eq!(
                recognised(&words),
                Some(("team-agent".into(), None)),
                "{words:?}"
            );
        }
    }

    #[test]
    fn a_configured_form_matches_its_program_and_arguments_only() {
        let form = CustomForm {
            name: "mine".into(),
            program: "python*".into(),
            args: vec!["-m".into(), "my.coordinator".into()],
            workspace_flag: "--root".into(),
        };
        let find = |words: &[&str]| {
            recognise(&argv(words), std::slice::from_ref(&form)).map(|found| found.workspace)
        };
        let given = Some(WorkspaceArgument::Given("/w".into()));
        assert_eq!(
            find(&["python3", "-m", "my.coordinator", "--root", "/w"]),
            given
        );
        assert_eq!(
            find(&["/b/python3.12", "-u", "-m", "my.coordinator", "--root=/w"]),
            given
        );
        assert_eq!(find(&["python3", "-m", "other", "--root", "/w"]), None);
        assert_eq!(find(&["python3", "my.coordinator", "--root", "/w"]), None);
        assert_eq!(
            find(&["ruby", "-m", "my.coordinator", "--root", "/w"]),
            None
        );
        assert_eq!(
            find(&["python3", "-m", "my.coordinator", "--roo", "/w"]),
            Some(WorkspaceArgument::Unusable)
        );
    }
}
