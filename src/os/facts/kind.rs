//! What kind of process something is: some are ended with nobody, because they hold what belongs to others.

use std::ffi::OsString;

use crate::orphan::coordinator::{CustomForm, recognise};
use crate::orphan::victims::Kind;

/// The beginnings of the names of programs that run scripts.
const INTERPRETERS: [&str; 7] = ["python", "pypy", "perl", "ruby", "sh", "bash", "node"];

/// What kind of process this is, by its name and argv.
pub(super) fn kind(comm: &str, argv: &[OsString], forms: &[CustomForm]) -> Kind {
    if recognise(argv, forms).is_some() {
        return Kind::Coordinator;
    }
    let program = argv
        .first()
        .map(|program| program.to_string_lossy().into_owned())
        .unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let named = |names: &[&str]| {
        names.iter().any(|name| {
            comm == *name || program == *name || program.trim_start_matches('-') == *name
        })
    };
    // `tmux: client` is a short-lived question to the server, not the server.
    if comm.starts_with("tmux: client") {
        return Kind::Ordinary;
    }
    let multiplexers = [
        "tmux",
        "tmate",
        "screen",
        "SCREEN",
        "zellij",
        "dtach",
        "abduco",
        "wezterm-mux-server",
        "mosh-server",
        "shpool",
    ];
    if comm.starts_with("tmux") || named(&multiplexers) {
        return Kind::Multiplexer;
    }
    if comm.starts_with("sshd") || program.starts_with("sshd") || named(&["dropbear"]) {
        return Kind::Sshd;
    }
    let managers = [
        "systemd",
        "init",
        "launchd",
        "(sd-pam)",
        "runit",
        "runsvdir",
        "runsv",
        "s6-svscan",
        "s6-supervise",
        "supervisord",
        "openrc-init",
        "dinit",
        "tini",
        "dumb-init",
        "catatonit",
        "containerd-shim",
        "conmon",
        "docker-init",
    ];
    // supervisord and its like are scripts: the interpreter has their name behind its options, and what those take.
    let words = argv.iter().skip(1).map(|word| word.to_string_lossy());
    let words = words.filter(|word| !word.starts_with('-'));
    let is_interpreter = INTERPRETERS.iter().any(|name| program.starts_with(name));
    let runs_one = words.take(if is_interpreter { 4 } else { 1 }).any(|word| {
        let script = word.rsplit('/').next().unwrap_or_default();
        managers.contains(&script)
    });
    if named(&managers) || runs_one || comm.starts_with("containerd-shim") {
        return Kind::ServiceManager;
    }
    Kind::Ordinary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(comm: &str, argv: &[&str]) -> Kind {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        kind(comm, &argv, &[])
    }

    #[test]
    fn servers_that_hold_other_peoples_sessions_are_known() {
        assert_eq!(
            kind_of("tmux: server", &["tmux", "new-session"]),
            Kind::Multiplexer
        );
        assert_eq!(kind_of("tmux: client", &["tmux", "ls"]), Kind::Ordinary);
        assert_eq!(kind_of("screen", &["SCREEN", "-S", "x"]), Kind::Multiplexer);
        assert_eq!(kind_of("sshd-session", &["sshd-session: me"]), Kind::Sshd);
        assert_eq!(
            kind_of("systemd", &["/usr/lib/systemd/systemd", "--user"]),
            Kind::ServiceManager
        );
        assert_eq!(
            kind_of(
                "python3",
                &[
                    "python3",
                    "-m",
                    "team_agent.coordinator",
                    "--workspace",
                    "/w"
                ]
            ),
            Kind::Coordinator
        );
        assert_eq!(kind_of("bash", &["bash"]), Kind::Ordinary);
    }
}
