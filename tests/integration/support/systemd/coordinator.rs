//! Coordinators on a machine of its own: stand-ins, each in a unit of its own, run by somebody who is
//! not root.

use std::fs;

use super::SystemdBox;
use crate::support::wait::wait_for;

/// Where they report that they are up.
const READY: &str = "/run/stand-ins";

impl SystemdBox {
    /// Starts one on a workspace, which is made first if it is to be `real`: it keeps its files in there
    /// then, and works there. Returns its pid in there.
    pub(crate) fn coordinator(&self, workspace: &str, is_real: bool) -> u32 {
        self.coordinator_with(workspace, is_real, "")
    }

    /// The same with more of the stand-in's variables, as in `STAND_IN_IGNORE_TERM=1`.
    pub(crate) fn coordinator_with(&self, workspace: &str, is_real: bool, more: &str) -> u32 {
        let name = workspace.replace('/', "-");
        let name = name.trim_start_matches('-');
        let mut variables = format!("STAND_IN_READY={READY}/{name} {more}");
        let mut before = format!("install -d -m 1777 {READY}");
        if is_real {
            variables += " STAND_IN_REAL=1 STAND_IN_TICK_MS=0 STAND_IN_CHDIR=1";
            before += &format!("; install -d -o tester -g tester {workspace}");
        }
        self.sh(&format!(
            "{before}; systemd-run --quiet --collect --unit={name} --uid=tester \
             env {variables} bash -c 'exec -a python3 /opt/team-agentd/examples/stand_in \
             -m team_agent.coordinator --workspace {workspace}'"
        ));
        let ready = self.path(&format!("{READY}/{name}"));
        wait_for("the stand-in is up", || {
            fs::read_to_string(&ready)
                .ok()?
                .lines()
                .next()?
                .parse()
                .ok()
        })
    }

    /// Whether a process in there runs, by its pid in there.
    pub(crate) fn is_alive(&self, pid: u32) -> bool {
        let stat = fs::read_to_string(self.path(&format!("/proc/{pid}/stat"))).unwrap_or_default();
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next());
        !matches!(state, None | Some("Z" | "X"))
    }
}
