//! The systemd units that ship with the project, with the places of this installation in them. Pure.
//!
//! Must not know where they are written, nor what systemd makes of them.

use std::path::Path;

use super::binaries::Binaries;
use super::{MARK, UnitText};

/// Where the shipped units expect the programs.
const SHIPPED_DIRECTORY: &str = "/usr/bin/";

/// The service and the socket, as they ship.
struct Shipped {
    service: &'static str,
    socket: &'static str,
}

const OF_A_USER: Shipped = Shipped {
    service: include_str!("../../../systemd/user/team-agentd.service"),
    socket: include_str!("../../../systemd/user/team-agentd.socket"),
};
const OF_THE_SYSTEM: Shipped = Shipped {
    service: include_str!("../../../systemd/system/team-agentd.service"),
    socket: include_str!("../../../systemd/system/team-agentd.socket"),
};

/// For whom a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One user.
    User,
    /// The machine, as root.
    System,
}

/// The name of the service, as systemd knows it.
pub(super) const SERVICE: &str = "team-agentd.service";
/// The name of its socket.
pub(super) const SOCKET: &str = "team-agentd.socket";

/// The units for these programs.
///
/// # Errors
///
/// If systemd cannot run a program at such a path: says why.
pub(super) fn units(scope: Scope, binaries: &Binaries) -> Result<[UnitText; 2], String> {
    let (shipped, edit) = match scope {
        Scope::User => (&OF_A_USER, "systemctl --user edit"),
        Scope::System => (&OF_THE_SYSTEM, "systemctl edit"),
    };
    let rendered = |name: &'static str, shipped| {
        let head =
            format!("# {MARK}. It writes over changes in here;\n# make yours by: {edit} {name}\n");
        let text = head + &with_programs(shipped, binaries)?;
        Ok::<_, String>(UnitText { name, text })
    };
    Ok([
        rendered(SERVICE, shipped.service)?,
        rendered(SOCKET, shipped.socket)?,
    ])
}

fn with_programs(shipped: &str, binaries: &Binaries) -> Result<String, String> {
    let mut text = String::new();
    for line in shipped.lines() {
        match command(line) {
            Some((key, program, rest)) => {
                let path = match program {
                    "team-agentd" => &binaries.daemon,
                    _ => &binaries.client,
                };
                text += &format!("{key}={}{rest}", word(path)?);
            }
            None => text += line,
        }
        text.push('\n');
    }
    Ok(text)
}

/// A line that runs one of our programs: the key, the program's name, and what follows.
fn command(line: &str) -> Option<(&str, &str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = value.strip_prefix(SHIPPED_DIRECTORY)?;
    let end = value.find(' ').unwrap_or(value.len());
    key.starts_with("Exec")
        .then(|| (key, &value[..end], &value[end..]))
}

/// A program's path as the first word of a command line of systemd.service(5): `%` would begin a
/// specifier, and a space would end the word. `$` stands for itself there. Quotes, backslashes and control
/// characters systemd refuses in a program's path, however they are written (string_is_safe, which
/// config_parse_exec asks).
fn word(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let Some(text) = path.to_str() else {
        return Err(format!(
            "{shown}: systemd runs no program whose path is not UTF-8"
        ));
    };
    let refused = |letter: char| letter.is_control() || matches!(letter, '"' | '\'' | '\\' | '`');
    if text.contains(refused) {
        return Err(format!(
            "{shown}: systemd runs no program with quotes, backslashes or control characters in its path"
        ));
    }
    let text = text.replace('%', "%%");
    Ok(if text.contains(char::is_whitespace) {
        format!("\"{text}\"")
    } else {
        text
    })
}

/// The program that a unit file starts, as [`units`] wrote it.
pub(super) fn program_of(unit: &str) -> Option<String> {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    let word = match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => line.split_whitespace().next()?,
    };
    Some(word.replace("%%", "%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &str) -> Binaries {
        Binaries {
            daemon: Path::new(directory).join("team-agentd"),
            client: Path::new(directory).join("team-agentctl"),
        }
    }

    /// The lines that do something.
    fn settings(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .collect()
    }

    #[test]
    fn at_the_place_they_ship_for_the_units_say_what_ships() {
        for (scope, shipped) in [(Scope::User, &OF_A_USER), (Scope::System, &OF_THE_SYSTEM)] {
            let [service, socket] = units(scope, &at("/usr/bin")).unwrap();
            assert_eq!(settings(&service.text), settings(shipped.service));
            assert_eq!(settings(&socket.text), settings(shipped.socket));
            for unit in [service, socket] {
                assert!(unit.text.starts_with(&format!("# {MARK}")), "{}", unit.text);
            }
        }
    }

    #[test]
    fn every_program_is_the_installed_one() {
        for scope in [Scope::User, Scope::System] {
            let [service, _] = units(scope, &at("/home/me/.cargo/bin")).unwrap();
            let settings = settings(&service.text);
            assert!(settings.contains(&"ExecStart=/home/me/.cargo/bin/team-agentd"));
            assert!(
                settings
                    .iter()
                    .any(|line| line.starts_with("ExecReload=/home/me/.cargo/bin/team-agentctl ")),
                "{settings:#?}"
            );
            assert!(!settings.iter().any(|line| line.contains(SHIPPED_DIRECTORY)));
        }
    }

    #[test]
    fn a_path_that_systemd_reads_otherwise_is_quoted_or_refused() {
        for (directory, start) in [
            ("/opt/a b", "ExecStart=\"/opt/a b/team-agentd\""),
            ("/opt/100%h", "ExecStart=/opt/100%%h/team-agentd"),
            ("/opt/$HOME", "ExecStart=/opt/$HOME/team-agentd"),
            ("/opt/ö;#", "ExecStart=/opt/ö;#/team-agentd"),
        ] {
            let [service, _] = units(Scope::User, &at(directory)).unwrap();
            assert!(settings(&service.text).contains(&start), "{}", service.text);
            assert_eq!(
                program_of(&service.text),
                Some(format!("{directory}/team-agentd"))
            );
        }
        for directory in ["/o\"pt", "/o'pt", "/o\\pt", "/o\npt", "/o\u{7f}", "/o`"] {
            let refused = units(Scope::User, &at(directory));
            assert!(refused.is_err_and(|why| why.contains("systemd runs no program")));
        }
        use std::os::unix::ffi::OsStrExt;
        let bytes = std::ffi::OsStr::from_bytes(b"/o\xff/team-agentd");
        assert!(word(Path::new(bytes)).is_err());
    }
}
