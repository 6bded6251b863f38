//! The daemon as a service on a machine of its own: the system's, or that of a user who is not root.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{
    Answer, EventLog, SystemdBox, in_a_systemd_box_named, name_of_test, wait_until,
};

/// Only what is in the box is looked at, whatever goes wrong.
pub(super) const ROOTS: &str =
    "[coordinator]\nuids = \"all\"\nworkspace_roots = [\"/tmp\", \"/home\"]\n";
/// The daemon of the user judges its own user's.
const OWN: &str = "[coordinator]\nuids = \"own\"\nworkspace_roots = [\"/tmp\", \"/home\"]\n";

/// Whose systemd runs the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    System,
    User,
}

/// The service as one of them runs it.
pub(super) struct Service<'a> {
    pub(super) machine: &'a SystemdBox,
    whose: Whose,
}

/// Runs `body` for the system's service and for a user's, each on a machine of its own, with the units
/// that ship installed and a configuration that looks at nothing outside.
pub(super) fn for_both<F: Fn(&Service<'_>)>(body: F) {
    for_one(Whose::System, &body);
    for_one(Whose::User, &body);
}

/// The same for the system's alone.
pub(super) fn for_system<F: Fn(&Service<'_>)>(body: F) {
    for_one(Whose::System, &body);
}

/// The same for a user's alone.
pub(super) fn for_user<F: Fn(&Service<'_>)>(body: F) {
    for_one(Whose::User, &body);
}

fn for_one<F: Fn(&Service<'_>)>(whose: Whose, body: &F) {
    in_a_systemd_box_named(name_of_test::<F>(), |machine| {
        machine.install_units();
        if whose == Whose::User {
            machine.start_tester();
        }
        let service = Service { machine, whose };
        service.configure("");
        body(&service);
    });
}

impl Service<'_> {
    pub(super) fn is_systems(&self) -> bool {
        self.whose == Whose::System
    }

    /// Runs a script as whoever owns the service, who has to succeed.
    #[track_caller]
    pub(super) fn sh(&self, script: &str) -> String {
        let answer = self.try_sh(script);
        assert_eq!(answer.code, Some(0), "{script}: {answer:#?}");
        answer.stdout
    }

    pub(super) fn try_sh(&self, script: &str) -> Answer {
        match self.whose {
            Whose::System => self.machine.try_sh(script),
            Whose::User => self.machine.try_sh_as_tester(script),
        }
    }

    fn command(&self, arguments: &str) -> String {
        let user = if self.is_systems() { "" } else { "--user " };
        format!("systemctl {user}{arguments}")
    }

    #[track_caller]
    pub(super) fn systemctl(&self, arguments: &str) -> String {
        self.sh(&self.command(arguments))
    }

    pub(super) fn try_systemctl(&self, arguments: &str) -> Answer {
        self.try_sh(&self.command(arguments))
    }

    #[track_caller]
    pub(super) fn start(&self) {
        self.systemctl("start team-agentd.service");
    }

    /// A property of the service.
    pub(super) fn property(&self, name: &str) -> String {
        let value = self.systemctl(&format!(
            "show --value --property={name} team-agentd.service"
        ));
        value.trim_end().to_owned()
    }

    /// Waits until it runs and is ready, as another process than this one.
    pub(super) fn wait_until_it_is_another_than(&self, pid: &str) {
        wait_until("it was started anew", || {
            let show = "show --property=ActiveState,MainPID team-agentd.service";
            let shown = self.systemctl(show);
            let now: Vec<_> = shown.lines().collect();
            now.contains(&"ActiveState=active") && !now.contains(&format!("MainPID={pid}").as_str())
        });
    }

    /// Writes the configuration, with these lines after what keeps it in the box.
    pub(super) fn configure(&self, more: &str) {
        let (file, scope) = match self.whose {
            Whose::System => ("/etc/team-agentd/team-agentd.toml", ROOTS),
            Whose::User => ("/home/tester/.config/team-agentd/team-agentd.toml", OWN),
        };
        self.machine.write(file, &format!("{scope}{more}"));
    }

    /// Adds lines to the `[Service]` section of the unit.
    pub(super) fn drop_in(&self, lines: &str) {
        let kind = if self.is_systems() { "system" } else { "user" };
        let file = format!("/etc/systemd/{kind}/team-agentd.service.d/test.conf");
        self.machine.write(&file, &format!("[Service]\n{lines}\n"));
        self.systemctl("daemon-reload");
    }

    /// What the client says, who has to succeed and to have asked the daemon.
    #[track_caller]
    pub(super) fn ctl(&self, arguments: &str) -> Value {
        let answer = self.try_ctl(arguments);
        answer.json_with(0)
    }

    pub(super) fn try_ctl(&self, arguments: &str) -> Answer {
        self.try_sh(&format!(
            "team-agentctl --json --require-daemon {arguments}"
        ))
    }

    pub(super) fn event_log(&self) -> EventLog {
        let path = match self.whose {
            Whose::System => "/var/lib/team-agentd/events.jsonl",
            Whose::User => "/home/tester/.local/state/team-agentd/events.jsonl",
        };
        EventLog {
            path: self.machine.path(path),
        }
    }

    /// The socket, as it is named in there.
    pub(super) fn socket(&self) -> &'static str {
        match self.whose {
            Whose::System => "/run/team-agentd/control.sock",
            Whose::User => "/run/user/54321/team-agentd/control.sock",
        }
    }

    /// The same file, as it is named out here.
    pub(super) fn socket_file(&self) -> PathBuf {
        self.machine.path(self.socket())
    }
}
