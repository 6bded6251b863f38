//! The Debian package on a machine with a real systemd. `.ci/package` builds it; its name comes in a variable.

use std::env;
use std::fs;
use std::path::Path;

use crate::support::{in_a_systemd_box, say_aloud};

/// Names the package that is to be tried.
const PACKAGE: &str = "TEAM_AGENTD_DEB";

#[test]
fn the_package_brings_a_service_that_its_owner_switches_on() {
    let Some(package) = env::var_os(PACKAGE) else {
        return say_aloud(&format!(
            "SKIPPED (needs a package, named by {PACKAGE}): package"
        ));
    };
    in_a_systemd_box(|machine| {
        fs::copy(Path::new(&package), machine.path("/var/tmp/package.deb")).unwrap();
        machine.sh("dpkg -i /var/tmp/package.deb");
        let state = "systemctl show --property=ActiveState,UnitFileState team-agentd.service";
        assert_eq!(
            machine.sh(state),
            "ActiveState=inactive\nUnitFileState=disabled\n"
        );

        machine.sh("systemctl enable --now --quiet team-agentd");
        assert_eq!(
            machine.sh(state),
            "ActiveState=active\nUnitFileState=enabled\n"
        );
        let scan = machine.sh("team-agentctl --json --require-daemon scan");
        assert!(scan.contains("\"source\":\"daemon\""), "{scan}");
        let status = machine.sh("team-agentctl --json status");
        assert!(
            status.contains("\"config\":\"/etc/team-agentd/team-agentd.toml\""),
            "{status}"
        );

        // An upgrade hands over to the new program.
        let pid = "systemctl show --property=MainPID --value team-agentd";
        let before = machine.sh(pid);
        machine.sh("dpkg -i /var/tmp/package.deb");
        assert_ne!(machine.sh(pid), before);
        assert_eq!(
            machine.sh(state),
            "ActiveState=active\nUnitFileState=enabled\n"
        );

        // Users have it by the same programs.
        machine.start_tester();
        machine.sh_as_tester("team-agentctl service install");
        let own = machine.sh_as_tester("team-agentctl service status");
        assert!(own.contains("/usr/bin/team-agentd ("), "{own}");
        machine.sh_as_tester("team-agentctl service uninstall");

        machine.sh("dpkg -r team-agentd");
        let running = machine.sh("systemctl list-units --all --no-legend 'team-agentd*'");
        assert_eq!(running, "");
        machine.sh("dpkg -P team-agentd");
        let left = machine.sh("find /etc /usr /var/lib -path '*team-agent*'");
        assert_eq!(left, "");
    });
}
