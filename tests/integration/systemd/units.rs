//! The units by themselves: what systemd thinks of them.

use crate::support::in_a_systemd_box;

const VERIFY: &str = "systemd-analyze verify --recursive-errors=one";

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    in_a_systemd_box(|machine| {
        machine.install_units();
        machine.start_tester();
        let unit = "/usr/lib/systemd/system/team-agentd";
        let answer = machine.try_sh(&format!("{VERIFY} {unit}.service {unit}.socket"));
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
        let unit = "/usr/lib/systemd/user/team-agentd";
        let verify = format!("{VERIFY} --user {unit}.service {unit}.socket");
        let answer = machine.try_sh_as_tester(&verify);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));

        // It would have said so: with a word that no unit knows it does.
        let wrong = machine.sh(&format!("cat {unit}.service")) + "[Service]\nPrivateLemon=yes\n";
        machine.write("/home/tester/team-agentd.service", &wrong);
        let verify = format!("{VERIFY} --user /home/tester/team-agentd.service");
        let answer = machine.try_sh_as_tester(&verify);
        assert!(answer.stderr.contains("PrivateLemon"), "{answer:#?}");
        assert_ne!(answer.code, Some(0));
    });
}

#[test]
fn the_system_unit_gives_little_away() {
    in_a_systemd_box(|machine| {
        machine.install_units();
        let unit = "/usr/lib/systemd/system/team-agentd.service";
        machine.sh(&format!(
            "systemd-analyze security --offline=true --threshold=25 {unit}"
        ));
    });
}

#[test]
fn systemd_finds_the_units_where_a_package_puts_them() {
    in_a_systemd_box(|machine| {
        machine.install_units();
        machine.start_tester();
        let list = "list-unit-files --no-legend 'team-agentd.*'";
        let system = machine.sh(&format!("systemctl {list}"));
        let user = machine.sh_as_tester(&format!("systemctl --user {list}"));
        for found in [system, user] {
            let names: Vec<_> = found
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .collect();
            assert_eq!(names, ["team-agentd.service", "team-agentd.socket"]);
        }
    });
}
