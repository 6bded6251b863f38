//! argv → [`Coordinator`]: recognises a coordinator by the argument vector the kernel holds.
//!
//! Text that merely mentions a coordinator is not one: every rule here compares whole elements at
//! the place where the program itself would read them. Knows nothing of why one may be orphaned.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use memchr::memmem;
use wildmatch::WildMatch;

use super::python::{PythonCommand, PythonTarget, is_python_interpreter};

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
pub fn may_be_coordinator<'a>(
    argv: impl IntoIterator<Item = &'a OsStr>,
    custom: &[CustomForm],
) -> bool {
    let mut argv = argv.into_iter().peekable();
    let Some(program) = argv.peek().map(|program| basename(program)) else {
        return false;
    };
    if custom.iter().any(|form| program_matches(form, program)) {
        return true;
    }
    // A program and its interpreter's options come first; prompts and payloads come later, but a
    // fixed window would miss an interpreter with many options.
    argv.any(|argument| {
        let bytes = argument.as_bytes();
        memmem::find(bytes, b"team_agent").is_some() || memmem::find(bytes, b"team-agent").is_some()
    })
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

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
#[cfg(test)]
mod tests;
