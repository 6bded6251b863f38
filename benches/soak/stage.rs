//! What the soak has at hand, and how it begins: folders, the volume, bystanders, coordinators.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::mount::{MountFlags, mount, mount_bind};

use super::actions::Action;
use super::cast::{Actor, Micros, Role, Truth, now};
use super::daemon::{Daemon, configure};

use super::model::Model;
use super::tally::Tally;
use crate::support::namespace::programs;
use crate::support::{Dice, EventLog, Result};

/// How many coordinators there are at least and at most.
const FEWEST: usize = 14;
pub(crate) const MOST: usize = 38;
/// How many of the last actions a violation shows.
const REMEMBERED: usize = 40;

pub(crate) struct Soak {
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) folder: PathBuf,
    pub(crate) daemon: Daemon,
    pub(crate) log: EventLog,
    pub(crate) model: Model,
    pub(crate) is_mounted: bool,
    /// Until when the daemon stands still.
    pub(crate) frozen_until: Option<Instant>,
    pub(crate) may_restart: bool,
    /// When a suspension is resumed.
    pub(crate) resume_at: Option<Instant>,
    pub(crate) variant: u64,
    pub(crate) lives: usize,
    pub(crate) recent: VecDeque<String>,
    pub(crate) looked: Looked,
    /// Threads and descriptors of the daemon when it had nothing left to do.
    pub(crate) rested: [f64; 2],
    programs: PathBuf,
    ttl_s: u32,
    started: usize,
}

/// When something was last looked at.
pub(crate) struct Looked {
    pub(crate) at_all: Instant,
    pub(crate) at_status: Instant,
    pub(crate) for_strays: Instant,
    pub(crate) scanning: Instant,
    /// Scans of this life by then.
    pub(crate) scans: u64,
}

impl Looked {
    pub(crate) fn now() -> Self {
        let at = Instant::now();
        Self {
            at_all: at,
            at_status: at,
            for_strays: at,
            scanning: at,
            scans: 0,
        }
    }
}

impl Soak {
    pub(crate) fn set(folder: &Path, seed: u64, ttl_s: u32) -> Result<Self> {
        let programs = programs()?;
        for below in [
            "work/volume",
            "master",
            "ready",
            "home/.local/share/Trash/files",
        ] {
            fs::create_dir_all(folder.join(below))?;
        }
        // What the volume holds stays, mounted or not.
        mount(
            "tad",
            folder.join("master"),
            "tmpfs",
            MountFlags::empty(),
            None,
        )?;
        configure(folder, 0)?;
        let life_began = now();
        let daemon = Daemon::start(&programs, folder)?;
        let mut soak = Self {
            seed,
            dice: Dice::new(seed),
            folder: folder.to_owned(),
            daemon,
            log: EventLog::new(&folder.join("state")),
            model: Model::new(),
            is_mounted: false,
            frozen_until: None,
            may_restart: true,
            resume_at: None,
            variant: 0,
            lives: 1,
            recent: VecDeque::new(),
            looked: Looked::now(),
            rested: [0.0; 2],
            programs,
            ttl_s,
            started: 0,
        };
        soak.model.life_began = life_began;
        soak.mount_volume()?;
        soak.start_bystanders()?;
        soak.populate()?;
        Ok(soak)
    }

    pub(crate) fn mount_volume(&mut self) -> Result<()> {
        mount_bind(self.folder.join("master"), self.folder.join("work/volume"))?;
        self.is_mounted = true;
        Ok(())
    }

    fn start_bystanders(&mut self) -> Result<()> {
        let gone = self.folder.join("work/nobodys");
        let gone = gone.to_string_lossy().into_owned();
        let form = "python3 -m team_agent.coordinator --workspace";
        let argvs: [&[&str]; 6] = [
            &[
                "vim",
                "team_agent/coordinator/__main__.py",
                "--workspace",
                &gone,
            ],
            &["grep", "-r", form, &gone],
            &["bash", "-c", &format!("{form} {gone}")],
            &["python3", "-m", "team_agent.worker", "--workspace", &gone],
            &[
                "python3",
                &format!("-m team_agent.coordinator --workspace {gone}"),
            ],
            &[
                "tmux",
                "new-session",
                "team-agent",
                "coordinator",
                "--workspace",
                &gone,
            ],
        ];
        for argv in argvs {
            let role = Role {
                argv: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
                children: 1,
                ..Role::default()
            };
            self.start(gone.clone().into(), Truth::Bystander, role)?;
        }
        // A coordinator without a workspace, where nobody asked the daemon to look.
        let outside = self.folder.join("outside");
        self.start(outside, Truth::Bystander, Role::default())?;
        Ok(())
    }

    pub(crate) fn start(&mut self, workspace: PathBuf, truth: Truth, role: Role) -> Result<usize> {
        self.started += 1;
        let number = (self.started, self.ttl_s);
        let actor = Actor::start(&self.programs, &self.folder, number, workspace, truth, role)?;
        Ok(self.model.add(actor))
    }

    /// A path that was never used before.
    pub(crate) fn new_path(&self, below: &str) -> PathBuf {
        self.folder.join(format!("{below}-{}", self.started + 1))
    }

    /// A healthy coordinator of any kind.
    pub(crate) fn start_healthy(&mut self) -> Result<usize> {
        let is_real = !self.dice.one_in(3);
        let is_on_volume = self.is_mounted && is_real && self.dice.one_in(5);
        let is_follower = self.dice.one_in(8);
        let role = Role {
            is_real,
            tick: (is_real && self.dice.one_in(2)).then(|| self.dice.between(100, 1500)),
            has_cwd: is_real || self.dice.one_in(2),
            is_stubborn: self.dice.one_in(4),
            children: if !is_follower && self.dice.one_in(4) {
                2
            } else {
                0
            },
            is_follower,
            ..Role::default()
        };
        let below = if is_on_volume {
            "work/volume/ws"
        } else {
            "work/ws"
        };
        let workspace = self.new_path(below);
        fs::create_dir(&workspace)?;
        let which = self.start(workspace, Truth::Healthy, role)?;
        self.model.actors[which].is_on_volume = is_on_volume;
        Ok(which)
    }

    /// Keeps the number of coordinators within its bounds, and starts one more now and then.
    pub(crate) fn populate(&mut self) -> Result<()> {
        let count = self.coordinators();
        if count < FEWEST {
            self.start_healthy()?;
            self.start_healthy()?;
        } else if count < MOST && self.dice.one_in(3) {
            self.start_healthy()?;
        }
        Ok(())
    }

    pub(crate) fn coordinators(&self) -> usize {
        let actors = self.model.actors.iter();
        actors
            .filter(|actor| actor.is_alive() && actor.is_coordinator())
            .count()
    }

    /// One of those for which this holds.
    pub(crate) fn any(&mut self, wanted: impl Fn(&Actor) -> bool) -> Option<usize> {
        let actors = self.model.actors.iter().enumerate();
        let fit: Vec<usize> = actors
            .filter(|(_, actor)| actor.is_alive() && !actor.is_dismissed && wanted(actor))
            .map(|(which, _)| which)
            .collect();
        self.dice.pick(&fit)
    }

    pub(crate) fn act(&mut self, action: &Action) -> Result<bool> {
        let at = now();
        let is_done = (action.perform)(self)?;
        if is_done {
            self.model.tally.did(action.name);
            self.remember(at, action.name.to_owned());
        }
        Ok(is_done)
    }

    pub(crate) fn remember(&mut self, at: Micros, what: String) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(format!("{at} {what}"));
    }

    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.model.tally
    }
}
