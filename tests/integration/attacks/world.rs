//! Worlds of real processes as a [`Plan`] has them, a real scan and a real wave in each.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill};
use team_agentd::orphan::escalation::Outcome;

use super::ground::{COORDINATOR, Dice, Ground, Watched, argv, pending, wait_until};
use super::plan::{Fate, Id, Place, Plan, Role};

/// Whose processes are not ours.
const SOMEBODY: &str = "54321";
/// Takes another name for what follows, which `setpriv` and `setsid` cannot.
const RENAME: &str = r#"exec -a "$0" bash -c "$1" "${@:2}""#;
const LOG: &str = ".team/runtime/coordinator.log";

/// A plan that came true.
struct World<'a> {
    ground: &'a Ground,
    plan: &'a Plan,
    roots: Vec<Watched>,
    /// By their place in the plan.
    pids: Vec<u32>,
}

/// One world: drawn, started, scanned and cleaned up by a wave, and compared with the plan.
pub(crate) fn round(ground: &mut Ground, dice: &mut Dice, uids_can_change: bool) {
    let plan = Plan::draw(dice, uids_can_change);
    ground.settings.scope = plan.scope;
    ground.settings.reap.protect = vec![ground.path("protected")];
    // A slow machine is no reason to spare anybody.
    ground.settings.probe_timeout = Duration::from_secs(60);
    for folder in ["workspaces", "away", "report"] {
        let _ = fs::remove_dir_all(ground.path(folder));
        ground.directory(folder);
    }
    let world = World::start(ground, &plan);
    world.assert_as_planned();
    for id in plan.ids() {
        world.decide(id);
    }
    world.end_its_orphans();
    world.clear();
    ground.forget_records();
}

/// The stat fields after the name, which may hold anything: state, parent, group.
fn stat(pid: u32) -> Option<(String, u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.to_owned();
    Some((
        state,
        fields.next()?.parse().ok()?,
        fields.next()?.parse().ok()?,
    ))
}

fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, ..)| state != "Z" && state != "X")
}

impl<'a> World<'a> {
    fn start(ground: &'a Ground, plan: &'a Plan) -> Self {
        let mut world = Self {
            ground,
            plan,
            roots: Vec::new(),
            pids: vec![0; plan.nodes.len()],
        };
        let report = world.ground.path("report/pids");
        let mut appended = fs::File::options();
        let report_file = appended.create(true).append(true).open(&report);
        let report_file = report_file.expect("a report");
        for id in plan.ids() {
            if world.has_files(id) {
                ground.directory(&format!("workspaces/{id}/.team/runtime"));
            }
        }
        for id in plan.ids().filter(|id| plan.nodes[*id].starter.is_none()) {
            let words = world.words(id);
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .stdout(report_file.try_clone().expect("a copy"));
            if words[0] == "bash" {
                command.arg0(world.name(id));
            }
            match plan.nodes[id].place {
                Place::Leads => drop(command.process_group(0)),
                Place::Joins(leader) => {
                    let group = i32::try_from(world.pids[leader]).expect("a pid");
                    command.process_group(group);
                }
                Place::Inherited | Place::LeadsASession => {}
            }
            for other in plan.ids() {
                command.env(format!("N{other}"), world.script(other));
            }
            let root = Watched::start(command);
            world.pids[id] = root.pid;
            world.roots.push(root);
        }
        wait_until("all of them are up", || {
            let report = fs::read_to_string(&report).expect("a report");
            report.lines().count() == plan.nodes.len()
        });
        for line in fs::read_to_string(&report).expect("a report").lines() {
            let (id, pid) = line.split_once(' ').expect("two numbers");
            let id: Id = id.parse().expect("a number");
            world.pids[id] = pid.parse().expect("a pid");
        }
        world
    }

    /// What it calls itself.
    fn name(&self, id: Id) -> &'static str {
        match self.plan.nodes[id].role {
            Role::Ordinary => "worker",
            Role::LookAlike(name) | Role::Server(name) => name,
            Role::Coordinator(_) => COORDINATOR,
        }
    }

    fn workspace(&self, id: Id) -> PathBuf {
        let folder = match self.plan.nodes[id].role {
            Role::Coordinator(Fate::MissingBelowProtected) => "protected",
            _ => "workspaces",
        };
        self.ground.path(folder).join(id.to_string())
    }

    /// Whether it starts in its workspace and keeps a log there.
    fn has_files(&self, id: Id) -> bool {
        let fates = [
            Fate::Replaced,
            Fate::NamedByThePidFile,
            Fate::Moved,
            Fate::Alive,
        ];
        fates
            .map(Role::Coordinator)
            .contains(&self.plan.nodes[id].role)
    }

    /// The command line that it is started by. No word holds a quote.
    fn words(&self, id: Id) -> Vec<String> {
        let node = &self.plan.nodes[id];
        let mut words: Vec<&str> = Vec::new();
        if node.changes_uid {
            words.extend([
                "setpriv",
                "--reuid",
                SOMEBODY,
                "--regid",
                SOMEBODY,
                "--clear-groups",
            ]);
        }
        if node.place == Place::LeadsASession {
            words.push("setsid");
        }
        let is_wrapped = !words.is_empty();
        words.extend(["bash", "-c"]);
        if is_wrapped {
            words.extend([RENAME, self.name(id)]);
        }
        let script = format!("eval \"$N{id}\"");
        words.push(&script);
        let workspace = self.workspace(id);
        let workspace = workspace.to_str().expect("UTF-8");
        match node.role {
            Role::Coordinator(_) => words.extend(["--workspace", workspace]),
            Role::LookAlike(_) => words.extend([COORDINATOR, "--workspace", workspace]),
            Role::Ordinary | Role::Server(_) => {}
        }
        words.into_iter().map(str::to_owned).collect()
    }

    /// What it does as a shell: starts its children, says that it is up, and waits.
    fn script(&self, id: Id) -> String {
        let mut script = String::new();
        for child in self
            .plan
            .ids()
            .filter(|child| self.plan.nodes[*child].starter == Some(id))
        {
            let words: Vec<String> = self
                .words(child)
                .iter()
                .map(|word| format!("'{word}'"))
                .collect();
            let name = match words[0].as_str() {
                "'bash'" => format!("-a '{}' ", self.name(child)),
                _ => String::new(),
            };
            let start = format!("(exec {name}{}) <&0 &", words.join(" "));
            let start = match self.plan.nodes[child].place {
                Place::Leads => format!("set -m; {start} set +m"),
                _ => start,
            };
            script += &match self.plan.nodes[child].is_adopted {
                true => format!("({start})\n"),
                false => format!("{start}\n"),
            };
        }
        if self.has_files(id) {
            let workspace = self.workspace(id);
            script += &format!("cd '{}'; exec 3>&1 >{LOG} 2>&1\n", workspace.display());
            script += &format!("echo {id} $$ >&3; exec 3>&-\n");
        } else {
            script += &format!("echo {id} $$\n");
        }
        script + "read line"
    }

    fn pid_of(&self, id: Option<Id>, otherwise: u32) -> u32 {
        id.map_or(otherwise, |id| self.pids[id])
    }

    /// That the processes are what was drawn.
    fn assert_as_planned(&self) {
        let (_, _, own_group) = stat(std::process::id()).expect("this process");
        for id in self.plan.ids() {
            let starter = match self.plan.nodes[id].is_adopted {
                true => 1,
                false => std::process::id(),
            };
            let parent = self.pid_of(self.plan.parent(id), starter);
            let group = self.pid_of(self.plan.group(id), own_group);
            let (_, real_parent, real_group) = stat(self.pids[id]).expect("it runs");
            assert_eq!(
                (real_parent, real_group),
                (parent, group),
                "{id} of {:?}",
                self.plan
            );
        }
    }

    /// Makes of its workspace what was drawn.
    fn decide(&self, id: Id) {
        let Role::Coordinator(fate) = self.plan.nodes[id].role else {
            return;
        };
        let workspace = self.workspace(id);
        match fate {
            Fate::Alive | Fate::Missing | Fate::MissingBelowProtected => {}
            Fate::Moved => {
                let away = self.ground.path("away").join(id.to_string());
                fs::rename(workspace, away).expect("moved");
            }
            Fate::Replaced | Fate::NamedByThePidFile => {
                fs::remove_dir_all(&workspace).expect("deleted");
                let runtime = workspace.join(".team/runtime");
                fs::create_dir_all(&runtime).expect("made again");
                if fate == Fate::NamedByThePidFile {
                    let pid = self.pids[id].to_string();
                    fs::write(runtime.join("coordinator.pid"), pid).expect("written");
                }
            }
        }
    }

    fn end_its_orphans(&self) {
        let plan = self.plan;
        let told = || format!("{plan:?} with the pids {:?}", self.pids);
        let registry = self.ground.scan();
        let orphans: Vec<Id> = plan
            .ids()
            .filter(|id| {
                let sighting = registry.by_pid(self.pids[*id]);
                sighting.is_some_and(|sighting| sighting.verdict.orphan_reason().is_some())
            })
            .collect();
        let expected: Vec<Id> = plan.ids().filter(|id| plan.is_orphan(*id)).collect();
        assert_eq!(orphans, expected, "the orphans of {}", told());

        let is_named = |id: &Id| plan.named.as_ref().is_none_or(|named| named.contains(id));
        let asked: Vec<Id> = orphans.into_iter().filter(is_named).collect();
        let sighting = |id: &Id| registry.by_pid(self.pids[*id]).expect("a sighting").clone();
        let (ends, ()) = self
            .ground
            .wave(asked.iter().map(sighting).collect(), || ());

        let victims = plan.victims();
        for id in plan.ids() {
            let pid = self.pids[id];
            if victims.contains(&id) {
                assert!(!is_alive(pid), "{id} outlived the wave: {}", told());
            } else {
                assert!(is_alive(pid), "{id} was ended: {}", told());
                assert_eq!(pending(pid), [0; 0], "{id} was signalled: {}", told());
            }
        }
        for signal in ["SIGTERM", "SIGKILL"] {
            let recorded = self.ground.recorded();
            let targets = recorded.iter().filter(|record| record.signal == signal);
            let targets: BTreeSet<u64> = targets.map(|record| record.target).collect();
            let pids = victims.iter().map(|id| u64::from(self.pids[*id]));
            assert_eq!(targets, pids.collect(), "{signal} on record: {}", told());
        }
        assert_eq!(ends.len(), asked.len(), "{}", told());
        for end in ends {
            let pid = end.sighting.identity().pid;
            let is_doomed = plan
                .ids()
                .any(|id| self.pids[id] == pid && plan.is_doomed(id));
            match end.outcome {
                Outcome::Killed {
                    sigkill_required: true,
                } => assert!(is_doomed, "{}", told()),
                Outcome::Spared { why } => assert!(!is_doomed, "{why}: {}", told()),
                other => panic!("{other:?}: {}", told()),
            }
        }
    }

    /// Ends whoever is left: nothing else takes pids here, so each is still what was started.
    fn clear(mut self) {
        for pid in self.pids.iter().filter(|pid| !argv(**pid).is_empty()) {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).expect("a pid"));
            let _ = kill(pid, Number::SIGKILL);
        }
        self.roots.clear();
        wait_until("all of them are reaped", || {
            self.pids.iter().all(|pid| stat(*pid).is_none())
        });
    }
}
