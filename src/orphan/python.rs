//! What a Python command line runs: the interpreter's name and its options, as CPython reads them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// `python`, `python3`, `python3.11`, `python3.13t`, `python3-dbg`, `Python`, `pypy3`, …
pub(super) fn is_python_interpreter(program: &OsStr) -> bool {
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
pub(super) struct PythonCommand<'a> {
    /// The module or script.
    pub(super) target: PythonTarget<'a>,
    /// Its arguments.
    pub(super) rest: &'a [OsString],
}

/// A module or a script.
pub(super) enum PythonTarget<'a> {
    Module(&'a OsStr),
    Script(&'a OsStr),
}

impl<'a> PythonCommand<'a> {
    pub(super) fn parse(arguments: &'a [OsString]) -> Option<Self> {
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
