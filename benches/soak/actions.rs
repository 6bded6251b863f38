//! What happens to workspaces and to the daemon: everything that the soak may do at random. Each says
//! whether it could be done, and tells the model what is true from then on.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use super::cast::{Actor, Micros, Role, Truth, micros, now};
use super::model::GRACE;
use super::stage::{Looked, MOST, Soak};
use crate::support::Result;

pub(crate) struct Action {
    pub(crate) name: &'static str,
    /// How often, compared with the others.
    pub(crate) weight: u64,
    pub(crate) perform: fn(&mut Soak) -> Result<bool>,
}

const fn action(name: &'static str, weight: u64, perform: fn(&mut Soak) -> Result<bool>) -> Action {
    Action {
        name,
        weight,
        perform,
    }
}

pub(crate) const ACTIONS: [Action; 28] = [
    action("delete a workspace", 40, Soak::delete),
    action("delete what was made again", 6, Soak::delete_again),
    action(
        "move away and back within the grace",
        12,
        Soak::move_away_and_back,
    ),
    action("delete and make again", 6, Soak::delete_and_make_again),
    action("move a workspace", 10, Soak::move_away),
    action("move it back", 10, Soak::move_back),
    action("delete a moved one", 3, Soak::delete_moved),
    action("trash a workspace", 5, Soak::trash),
    action("empty the trash", 5, Soak::empty_trash),
    action("unmount the volume lazily", 4, Soak::unmount_volume),
    action("mount the volume again", 6, Soak::remount_volume),
    action("start one again on a deleted path", 12, Soak::respawn),
    action("start a test suite's", 4, Soak::start_test_suite),
    action("dismiss one", 16, Soak::dismiss),
    action("delete most workspaces at once", 2, Soak::delete_most),
    action("stop and start the daemon", 3, Soak::restart),
    action("kill -9 the daemon and start it", 3, Soak::crash),
    action("SIGSTOP the daemon for a while", 3, Soak::freeze),
    action("keep", 8, Soak::keep),
    action("unkeep", 9, Soak::unkeep),
    action("pause for a while", 4, Soak::pause_for),
    action("pause", 3, Soak::pause),
    action("resume", 12, Soak::resume),
    action("reload a good file", 3, Soak::reload),
    action("reload a bad file", 3, Soak::reload_bad),
    action("ask (scan, status, explain, events)", 20, Soak::ask),
    action("ask to end one that is none", 8, Soak::fix_refused),
    action("ask to end an orphan", 3, Soak::fix_one),
];

/// A healthy one, on whose workspace something can be done.
fn is_healthy(actor: &Actor) -> bool {
    actor.truth == Truth::Healthy
}

impl Soak {
    fn delete(&mut self) -> Result<bool> {
        let Some(which) = self.any(is_healthy) else {
            return Ok(false);
        };
        self.delete_one(which)?;
        Ok(true)
    }

    /// Deletes its workspace: of a healthy one, which becomes an orphan.
    fn delete_one(&mut self, which: usize) -> Result<()> {
        let began = now();
        let workspace = self.model.actors[which].workspace.clone();
        delete_directory(&workspace)?;
        self.model.orphaned(which, began, Truth::Orphan);
        self.remember(began, format!("  deleted {}", workspace.display()));
        Ok(())
    }

    fn delete_again(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| actor.truth == Truth::Orphan && actor.role.tick.is_some());
        let Some(which) = chosen else {
            return Ok(false);
        };
        let began = now();
        delete_directory(&self.model.actors[which].workspace.clone())?;
        // Another directory in the place of the one before: patience begins anew.
        self.model.orphaned(which, began, Truth::Orphan);
        Ok(true)
    }

    /// One without any witness is an orphan while nothing is at the path, and none when its directory is back.
    fn move_away_and_back(&mut self) -> Result<bool> {
        let Some(which) = self.without_witness() else {
            return Ok(false);
        };
        let began = now();
        let workspace = self.model.actors[which].workspace.clone();
        let mut away = workspace.clone().into_os_string();
        away.push("-away");
        fs::rename(&workspace, &away)?;
        self.model.orphaned(which, began, Truth::Orphan);
        self.wait_within_the_grace()?;
        if !self.model.actors[which].is_alive() {
            return Ok(true);
        }
        put_back(away.as_ref(), &workspace)?;
        // Too late under load, and its end may be under way: the window says so.
        let at = now();
        let was_in_time = at < began + micros(GRACE);
        let truth = if was_in_time {
            Truth::Healthy
        } else {
            Truth::Undecided
        };
        self.model.safe(which, at, truth);
        // From now on the daemon knows, and its patience begins anew.
        self.daemon.call("scan", &serde_json::json!({}))?;
        Ok(true)
    }

    /// Of one without any witness only a daemon that was told of the deletion knows that it is another directory.
    fn delete_and_make_again(&mut self) -> Result<bool> {
        let Some(which) = self.without_witness() else {
            return Ok(false);
        };
        let began = now();
        let workspace = self.model.actors[which].workspace.clone();
        delete_directory(&workspace)?;
        self.model.orphaned(which, began, Truth::Undecided);
        self.wait_within_the_grace()?;
        fs::create_dir(&workspace)?;
        Ok(true)
    }

    fn without_witness(&mut self) -> Option<usize> {
        let chosen = self.any(|actor| {
            is_healthy(actor) && !actor.role.is_real && !actor.role.has_cwd && actor.kept.is_none()
        });
        chosen.filter(|_| self.frozen_until.is_none())
    }

    fn wait_within_the_grace(&mut self) -> Result<()> {
        let longest = u64::try_from(GRACE.as_millis())? - 500;
        let pause = Duration::from_millis(self.dice.between(0, longest));
        self.watch_for(pause)
    }

    fn move_away(&mut self) -> Result<bool> {
        let Some(which) = self.any(|actor| is_healthy(actor) && actor.role.is_real) else {
            return Ok(false);
        };
        let actor = &mut self.model.actors[which];
        let mut to = actor.workspace.clone().into_os_string();
        to.push("-moved");
        fs::rename(&actor.workspace, &to)?;
        actor.elsewhere = Some(to.into());
        self.model.safe(which, now(), Truth::Moved);
        Ok(true)
    }

    fn move_back(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| matches!(actor.truth, Truth::Moved | Truth::Trashed));
        let Some(which) = chosen.filter(|_| self.frozen_until.is_none()) else {
            return Ok(false);
        };
        let actor = &mut self.model.actors[which];
        let Some(elsewhere) = actor.elsewhere.take() else {
            return Ok(false);
        };
        put_back(&elsewhere, &actor.workspace)?;
        self.model.safe(which, now(), Truth::Healthy);
        self.daemon.call("scan", &serde_json::json!({}))?;
        Ok(true)
    }

    fn delete_moved(&mut self) -> Result<bool> {
        self.delete_elsewhere(Truth::Moved)
    }

    fn trash(&mut self) -> Result<bool> {
        let chosen =
            self.any(|actor| is_healthy(actor) && actor.role.is_real && !actor.is_on_volume);
        let Some(which) = chosen else {
            return Ok(false);
        };
        let began = now();
        let actor = &mut self.model.actors[which];
        let name = actor.workspace.file_name().unwrap_or_default();
        let to = self.folder.join("home/.local/share/Trash/files").join(name);
        fs::rename(&actor.workspace, &to)?;
        actor.elsewhere = Some(to);
        // An orphan, but for a reason that is not listed.
        self.model.safe(which, began, Truth::Trashed);
        Ok(true)
    }

    fn empty_trash(&mut self) -> Result<bool> {
        self.delete_elsewhere(Truth::Trashed)
    }

    fn delete_elsewhere(&mut self, truth: Truth) -> Result<bool> {
        let Some(which) = self.any(|actor| actor.truth == truth) else {
            return Ok(false);
        };
        let began = now();
        let actor = &mut self.model.actors[which];
        let Some(elsewhere) = actor.elsewhere.take() else {
            return Ok(false);
        };
        delete_directory(&elsewhere)?;
        // A daemon that never saw the original takes what was made again for it.
        let truth = match actor.role.tick {
            Some(_) => Truth::Undecided,
            None => Truth::Orphan,
        };
        self.model.orphaned(which, began, truth);
        Ok(true)
    }

    fn unmount_volume(&mut self) -> Result<bool> {
        if !self.is_mounted {
            return Ok(false);
        }
        unmount(self.folder.join("work/volume"), UnmountFlags::DETACH)?;
        self.is_mounted = false;
        let at = now();
        for which in 0..self.model.actors.len() {
            let actor = &self.model.actors[which];
            if actor.is_alive() && actor.is_on_volume {
                self.model.safe(which, at, Truth::Unmounted);
            }
        }
        Ok(true)
    }

    fn remount_volume(&mut self) -> Result<bool> {
        if self.is_mounted {
            return Ok(false);
        }
        // What it held goes on being on the mount that is gone.
        self.mount_volume()?;
        Ok(true)
    }

    fn respawn(&mut self) -> Result<bool> {
        let number = self.dice.between(0, 3);
        let workspace = self.folder.join(format!("work/respawned-{number}"));
        let is_there = self.any(|actor| actor.workspace == workspace).is_some();
        if is_there || self.coordinators() >= MOST {
            return Ok(false);
        }
        let role = Role {
            is_respawned: true,
            is_stubborn: self.dice.one_in(4),
            ..Role::default()
        };
        let began = now();
        let which = self.start(workspace, Truth::Healthy, role)?;
        self.model.orphaned(which, began, Truth::Orphan);
        Ok(true)
    }

    fn start_test_suite(&mut self) -> Result<bool> {
        if self.coordinators() >= MOST {
            return Ok(false);
        }
        let suite = self.new_path("work/team-agent-test");
        fs::create_dir_all(suite.join("ws"))?;
        let is_real = self.dice.one_in(2);
        let role = Role {
            is_real,
            tick: is_real.then_some(300),
            ..Role::default()
        };
        self.start(suite.join("ws"), Truth::TestSuite, role)?;
        Ok(true)
    }

    /// Some of those that are left alone end by themselves, so that others find room.
    fn dismiss(&mut self) -> Result<bool> {
        let chosen = self.any(|actor| match actor.truth {
            Truth::Unmounted | Truth::TestSuite | Truth::Undecided => true,
            Truth::Moved | Truth::Trashed => actor.since < now() - 20_000_000,
            Truth::Healthy | Truth::Orphan | Truth::Bystander => false,
        });
        let is_crowded = self.coordinators() > MOST * 3 / 4;
        let chosen = chosen.or_else(|| self.any(is_healthy).filter(|_| is_crowded));
        let Some(which) = chosen else {
            return Ok(false);
        };
        self.model.actors[which].dismiss();
        Ok(true)
    }

    /// As an unmount or a script gone wrong does it. The breaker has to notice.
    fn delete_most(&mut self) -> Result<bool> {
        let healthy: Vec<usize> = (0..self.model.actors.len())
            .filter(|which| {
                let actor = &self.model.actors[*which];
                actor.is_alive() && !actor.is_dismissed && is_healthy(actor)
            })
            .collect();
        let most = self.coordinators() / 2 + 3;
        let is_possible = healthy.len() >= most.max(6);
        if !is_possible || self.frozen_until.is_some() || self.resume_at.is_some() {
            return Ok(false);
        }
        let began = Instant::now();
        for which in healthy.into_iter().take(most) {
            self.delete_one(which)?;
        }
        self.expect_trip(began)?;
        Ok(true)
    }

    fn restart(&mut self) -> Result<bool> {
        if !self.may_restart || self.frozen_until.is_some() {
            return Ok(false);
        }
        self.daemon.stop()?;
        self.read_log()?;
        self.model.daemon_ended(false);
        self.begin_life()?;
        Ok(true)
    }

    fn crash(&mut self) -> Result<bool> {
        if !self.may_restart || self.frozen_until.is_some() {
            return Ok(false);
        }
        // In the middle of an escalation, if there is one before long.
        let is_open = |actor: &Actor| actor.role.is_stubborn && !actor.signalled.is_empty();
        let give_up = Instant::now() + Duration::from_secs(2);
        while Instant::now() < give_up && self.any(is_open).is_none() {
            self.watch_for(Duration::from_millis(5))?;
        }
        self.daemon.crash()?;
        self.read_log()?;
        self.model.daemon_ended(true);
        self.begin_life()?;
        self.expect_interruptions()?;
        Ok(true)
    }

    fn begin_life(&mut self) -> Result<()> {
        self.model.life_began = now();
        self.daemon.start_again()?;
        self.lives += 1;
        self.looked = Looked {
            for_strays: self.looked.for_strays,
            ..Looked::now()
        };
        Ok(())
    }

    fn freeze(&mut self) -> Result<bool> {
        if self.frozen_until.is_some() {
            return Ok(false);
        }
        self.daemon.signal(Signal::STOP)?;
        self.model.frozen.push((now(), None));
        self.model.disturb();
        let length = Duration::from_millis(self.dice.between(300, 4000));
        self.frozen_until = Some(Instant::now() + length);
        Ok(true)
    }

    pub(crate) fn thaw(&mut self) -> Result<()> {
        if self.frozen_until.take().is_some() {
            self.daemon.signal(Signal::CONT)?;
            let at: Micros = now();
            if let Some((_, until)) = self.model.frozen.last_mut() {
                *until = Some(at);
            }
        }
        Ok(())
    }
}

/// Deletes this very directory, whatever is written into it meanwhile.
fn delete_directory(path: &Path) -> Result<()> {
    let inode = |path: &Path| {
        fs::symlink_metadata(path)
            .map(|metadata| metadata.ino())
            .ok()
    };
    let original = inode(path);
    while original.is_some() && inode(path) == original {
        match fs::remove_dir_all(path) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// In the place of what may have been made there meanwhile.
fn put_back(from: &Path, to: &Path) -> Result<()> {
    loop {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        if renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok() {
            return delete_directory(from);
        }
    }
}
