//! `team-agentctl service` as a user has it, with a real systemd: on a machine of its own, as somebody who is
//! not root.

use serde_json::Value;

use crate::support::{Answer, SystemdBox, in_a_systemd_box};

const INSTALL: &str = "team-agentctl service install";
const UNINSTALL: &str = "team-agentctl service uninstall";
const CONFIG: &str = "/home/tester/.config/team-agentd/team-agentd.toml";

/// What `team-agentctl --json` printed when it ended with `code`.
#[track_caller]
fn json(machine: &SystemdBox, command: &str, code: i32) -> Value {
    let command = command.replacen("team-agentctl", "team-agentctl --json", 1);
    machine.try_sh_as_tester(&command).json_with(code)
}

/// Everything below the user's home and runtime directory that may be the service's.
fn files(machine: &SystemdBox) -> Vec<String> {
    // What systemd keeps of its own is not looked into.
    let found = machine.sh_as_tester(
        "find /home/tester -mindepth 1; \
         find $XDG_RUNTIME_DIR -path '*/systemd' -prune -o -path '*team-agent*' -print",
    );
    let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
    found.sort();
    found
}

fn pid(status: &Value) -> u64 {
    status["pid"]
        .as_u64()
        .unwrap_or_else(|| panic!("no pid: {status:#}"))
}

#[track_caller]
fn assert_fails(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, Some(code), "{answer:#?}");
    for word in words {
        assert!(answer.stderr.contains(word), "{word}: {answer:#?}");
    }
}

#[test]
fn a_user_installs_the_service_uses_it_and_is_rid_of_it() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        let before = files(machine);

        let said = machine.sh_as_tester(INSTALL);
        for word in [
            "wrote ",
            "enabled ",
            "started ",
            "the service is installed and runs",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let unit = "/home/tester/.config/systemd/user/team-agentd.service";
        assert!(
            machine
                .sh(&format!("cat {unit}"))
                .contains("ExecStart=/usr/bin/team-agentd\n")
        );
        let scan = machine.sh_as_tester("team-agentctl --json --require-daemon scan");
        assert!(scan.contains("\"source\":\"daemon\""), "{scan}");
        machine.sh_as_tester("systemctl --user is-enabled team-agentd.service team-agentd.socket");

        let status = json(machine, "team-agentctl service status", 0);
        assert_eq!(
            (&status["active"], &status["enabled"]),
            (&"active".into(), &true.into())
        );
        assert_eq!(status["daemon"]["pid"], status["pid"]);
        assert_eq!(status["program"], "/usr/bin/team-agentd");
        assert_eq!(status["program_version"], status["daemon"]["version"]);
        assert_eq!(status["hints"], Value::Array(vec![]));
        assert!(
            status["since"].as_str().unwrap().ends_with('Z'),
            "{status:#}"
        );

        // Nothing is to do, and nothing is done.
        let again = json(machine, INSTALL, 0);
        assert_eq!(again["changed"], false, "{again:#}");
        assert_eq!(again["daemon"]["pid"], status["pid"]);
        let printed = machine.sh_as_tester("team-agentctl service print");
        let written = machine.sh(&format!("cat {unit}"));
        assert!(
            printed.contains(&format!("# {unit}\n{written}")),
            "{printed}"
        );

        let said = machine.sh_as_tester(UNINSTALL);
        for word in [
            "stopped ",
            "disabled ",
            "removed ",
            "stays          /home/tester/.local/state/team-agentd",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let mut left = files(machine);
        left.retain(|path| !path.starts_with("/home/tester/.local"));
        assert_eq!(left, before);
        let known =
            machine.sh_as_tester("systemctl --user list-units --all --no-legend 'team-agentd*'");
        assert_eq!(known, "");
        assert_eq!(json(machine, UNINSTALL, 0)["changed"], false);
        let status = json(machine, "team-agentctl service status", 4);
        assert_eq!(status["installed"], false);
    });
}

#[test]
fn a_broken_configuration_is_refused_before_anything_is_written() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        machine.sh_as_tester(&format!(
            "mkdir -p .config/team-agentd && printf '[scan]\\nintervall = \"5s\"\\n' > {CONFIG}"
        ));
        let before = files(machine);
        let answer = machine.try_sh_as_tester(INSTALL);
        assert_fails(&answer, 2, &[&format!("{CONFIG}:2: scan.intervall")]);
        assert_eq!(files(machine), before);

        // Once it is mended it is what the daemon uses, and it stays when the service goes.
        machine.sh_as_tester(&format!("sed -i s/intervall/interval/ {CONFIG}"));
        let installed = json(machine, INSTALL, 0);
        assert_eq!(
            (&installed["config"], &installed["daemon"]["config"]),
            (&CONFIG.into(), &CONFIG.into())
        );
        machine.sh_as_tester(UNINSTALL);
        assert!(files(machine).contains(&CONFIG.to_owned()));
    });
}

#[test]
fn a_users_own_change_to_the_unit_is_heeded() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        machine.sh_as_tester(
            "mkdir -p .config/systemd/user/team-agentd.service.d && echo bad > my.toml && \
             printf '[Service]\\nEnvironment=TEAM_AGENTD_CONFIG=%%h/my.toml \"XDG_STATE_HOME=%%h/my state\"\\n' \
             > .config/systemd/user/team-agentd.service.d/my.conf",
        );
        let before = files(machine);
        assert_fails(
            &machine.try_sh_as_tester(INSTALL),
            2,
            &["/home/tester/my.toml"],
        );
        assert_eq!(files(machine), before);

        machine.sh_as_tester("echo > my.toml");
        let installed = json(machine, INSTALL, 0);
        assert_eq!(installed["config"], "/home/tester/my.toml");
        let stays = json(machine, UNINSTALL, 0)["stays"].clone();
        for path in [
            "my.toml",
            "my state/team-agentd",
            ".config/systemd/user/team-agentd.service.d/my.conf",
        ] {
            let path = Value::from(format!("/home/tester/{path}"));
            assert!(stays.as_array().unwrap().contains(&path), "{path}: {stays}");
        }
    });
}

#[test]
fn a_fifo_in_the_place_of_the_unit_holds_nobody_up() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        machine.sh_as_tester(
            "mkdir -p .config/systemd/user && mkfifo .config/systemd/user/team-agentd.service",
        );
        assert_fails(
            &machine.try_sh_as_tester("team-agentctl service status"),
            1,
            &["not a file"],
        );
        machine.sh_as_tester(&format!("timeout 120 {INSTALL} --force"));
        assert_eq!(
            json(machine, "team-agentctl service status", 0)["enabled"],
            true
        );
    });
}

#[test]
fn an_installation_of_ones_own_is_followed_wherever_it_is() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        // All that systemd lets a program's path have.
        let place = "/home/tester/a b/100%h/$HOME;#";
        let install = format!("'{place}/team-agentctl' service install --json");
        machine.sh_as_tester(&format!(
            "mkdir -p '{place}' && cp -L /usr/bin/team-agent{{d,ctl}} '{place}'"
        ));
        machine.sh_as_tester(&install);
        let status = json(machine, "team-agentctl service status", 0);
        assert_eq!(status["program"], format!("{place}/team-agentd"));
        let first = pid(&status);
        let runs = machine.sh(&format!("readlink /proc/{first}/exe"));
        assert_eq!(runs.trim(), format!("{place}/team-agentd"));
        machine.sh_as_tester("systemctl --user reload team-agentd");

        // The same version, but not the same file: it is run.
        let replace = format!("cd '{place}' && cp team-agentd new && mv new team-agentd");
        machine.sh_as_tester(&replace);
        let status = json(machine, "team-agentctl service status", 0);
        let hints = status["hints"].to_string();
        assert!(hints.contains("the program was replaced"), "{hints}");
        let said = machine.sh_as_tester(&install);
        assert!(said.contains("\"restarted\""), "{said}");
        let second = pid(&json(machine, "team-agentctl service status", 0));
        assert_ne!(first, second);

        // Another installation takes over; then there is only one all the same.
        let said = machine.sh_as_tester(INSTALL);
        assert!(
            said.contains("replaced ") && said.contains("restarted "),
            "{said}"
        );
        let status = json(machine, "team-agentctl service status", 0);
        assert_eq!(status["program"], "/usr/bin/team-agentd");
        machine.sh_as_tester(&format!("'{place}/team-agentctl' service uninstall"));

        // What systemd cannot run is not installed.
        let place = "/home/tester/it'\"'\"'s";
        machine.sh_as_tester(&format!(
            "mkdir '{place}' && cp -L /usr/bin/team-agent{{d,ctl}} '{place}'"
        ));
        let answer = machine.try_sh_as_tester(&format!("'{place}/team-agentctl' service install"));
        assert_fails(
            &answer,
            1,
            &["systemd runs no program with quotes", "another directory"],
        );
    });
}

#[test]
fn a_daemon_that_was_started_by_hand_is_in_the_way() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        machine.sh_as_tester("systemd-run --user --quiet --unit=by-hand team-agentd");
        machine.sh_as_tester("until team-agentctl --require-daemon status; do sleep 0.1; done");
        let by_hand =
            machine.sh_as_tester("systemctl --user show --property=MainPID --value by-hand");
        let before = files(machine);
        let answer = machine.try_sh_as_tester(INSTALL);
        let words = [
            &*format!("process {} is at work already", by_hand.trim()),
            "kill ",
        ];
        assert_fails(&answer, 1, &words);
        assert_eq!(files(machine), before);
        machine.sh_as_tester("systemctl --user stop by-hand");
        machine.sh_as_tester(INSTALL);
    });
}

#[test]
fn what_keeps_the_daemon_from_starting_is_said() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        machine.sh_as_tester("mkdir -p .local/state && touch .local/state/team-agentd");
        let answer = machine.try_sh_as_tester(INSTALL);
        let words = [
            "systemctl --user start",
            "before that: wrote",
            "service uninstall",
        ];
        assert_fails(&answer, 1, &words);
        let status = json(machine, "team-agentctl service status", 4);
        assert_eq!(
            (&status["installed"], &status["daemon"]),
            (&true.into(), &Value::Null)
        );
        machine.sh_as_tester("rm .local/state/team-agentd");
        machine.sh_as_tester(INSTALL);
    });
}

#[test]
fn without_a_systemd_of_the_user_it_says_where_to_go() {
    in_a_systemd_box(|machine| {
        // Nobody started the user's.
        let before =
            machine.sh("find /home/tester /root/.config -path '*systemd*' 2>/dev/null || true");
        let answer = machine.try_sh_as_tester(INSTALL);
        assert_fails(
            &answer,
            1,
            &["no systemd of user 54321 can be reached", "enable-linger"],
        );
        let answer = machine.try_sh(&format!("env -u XDG_RUNTIME_DIR HOME=/root {INSTALL}"));
        assert_fails(
            &answer,
            1,
            &["no systemd of user 0", "systemctl enable --now team-agentd"],
        );
        let after =
            machine.sh("find /home/tester /root/.config -path '*systemd*' 2>/dev/null || true");
        assert_eq!(before, after);
    });
}

#[test]
fn what_somebody_else_wrote_is_left_alone() {
    in_a_systemd_box(|machine| {
        machine.start_tester();
        let unit = ".config/systemd/user/team-agentd.service";
        let write = format!(
            "mkdir -p .config/systemd/user && printf '[Service]\\nExecStart=/bin/true\\n' > {unit}"
        );
        machine.sh_as_tester(&write);
        for command in [INSTALL, UNINSTALL] {
            let answer = machine.try_sh_as_tester(command);
            assert_fails(
                &answer,
                1,
                &[unit, "not written by team-agentctl", "--force"],
            );
        }
        assert!(
            machine
                .sh_as_tester(&format!("cat {unit}"))
                .contains("/bin/true")
        );
        machine.sh_as_tester(&format!(
            "rm {unit} && systemctl --user mask --quiet team-agentd.service"
        ));
        let answer = machine.try_sh_as_tester(INSTALL);
        assert_fails(&answer, 1, &["a link to /dev/null"]);
        machine.sh_as_tester(&format!("{INSTALL} --force"));
    });
}
