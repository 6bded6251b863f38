//! Shows team-agentd at work on three throw-away coordinators: `cargo run --example demo`.
//!
//! The daemon is a private one, with its own socket, state and configuration in a temporary
//! directory, and sees no workspace outside of it. The coordinators are stand-ins (see
//! `stand_in.rs`). Whatever happens, all of it is gone when this ends.
#![expect(clippy::print_stdout, reason = "this program's business is to tell")]
#![expect(clippy::print_stderr, reason = "and to say what went wrong")]

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    say("Building the daemon, the client and the stand-in for coordinators.");
    let programs = Programs::build()?;
    // Dropped in the opposite order: first the processes, then the directory.
    let folder = tempfile::Builder::new()
        .prefix("team-agentd-demo-")
        .tempdir()?;
    let stage = Stage {
        folder: folder.path().canonicalize()?,
        programs,
        interrupted,
    };

    say("Starting three coordinators: one to stay healthy and two to lose their workspaces.");
    let healthy = stage.coordinator("healthy", Temper::Obedient)?;
    let orphan = stage.coordinator("orphan", Temper::Obedient)?;
    let stubborn = stage.coordinator("stubborn", Temper::Stubborn)?;
    say("Deleting two of the workspaces. Their coordinators simply make them again:");
    for name in ["orphan", "stubborn"] {
        stage.delete_workspace(name)?;
        println!("      {} is back", stage.workspace(name).display());
    }

    say("Starting a private daemon.");
    let _daemon = stage.daemon()?;
    say("What does it think of them?");
    stage.ctl(&["scan"])?;
    say("Why is that one an orphan, although its workspace is there?");
    stage.ctl(&["explain", &orphan.id().to_string()])?;
    say("Ending the orphans. One of them ignores SIGTERM, which takes a second longer.");
    stage.ctl(&["fix", "--confirm"])?;
    say("And once more:");
    stage.ctl(&["scan"])?;

    for (name, mut process, expected) in [
        ("healthy", healthy, Fate::Alive),
        ("orphan", orphan, Fate::Gone),
        ("stubborn", stubborn, Fate::Gone),
    ] {
        let found = process.fate()?;
        if found != expected {
            return Err(
                format!("the coordinator \"{name}\" is {found:?}, not {expected:?}").into(),
            );
        }
    }
    say("The healthy one is still at work, the others are gone. That is all there is to it.");
    Ok(())
}

fn say(line: &str) {
    println!("\n==> {line}");
}

/// The programs that take part, built from this very source.
struct Programs {
    daemon: PathBuf,
    client: PathBuf,
    stand_in: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        let cargo = env::var_os("CARGO").ok_or("start this as `cargo run --example demo`")?;
        let me = env::current_exe()?;
        let examples = me.parent().ok_or("this program has no directory")?;
        let target = examples
            .parent()
            .ok_or("this program is not in cargo's target directory")?;
        let mut build = Command::new(cargo);
        build
            .args([
                "build",
                "--quiet",
                "--bins",
                "--example",
                "stand_in",
                "--manifest-path",
            ])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        // target/PROFILE; the profile called dev is the one with another directory.
        match target.file_name().and_then(|profile| profile.to_str()) {
            Some("debug") | None => {}
            Some(profile) => {
                build.args(["--profile", profile]);
            }
        }
        if !build.status()?.success() {
            return Err("the build failed".into());
        }
        let programs = Self {
            daemon: target.join("team-agentd"),
            client: target.join("team-agentctl"),
            stand_in: examples.join("stand_in"),
        };
        for program in [&programs.daemon, &programs.client, &programs.stand_in] {
            if !program.exists() {
                return Err(format!("cargo did not build {}", program.display()).into());
            }
        }
        Ok(programs)
    }
}

/// Where it all takes place.
struct Stage {
    folder: PathBuf,
    programs: Programs,
    interrupted: Arc<AtomicBool>,
}

/// What a coordinator does about SIGTERM.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    Obedient,
    Stubborn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Alive,
    Gone,
}

impl Stage {
    fn socket(&self) -> PathBuf {
        self.folder.join("run/control.sock")
    }

    fn workspace(&self, name: &str) -> PathBuf {
        self.folder.join("workspaces").join(name)
    }

    /// Starts a coordinator that lives in its workspace and keeps writing to it.
    fn coordinator(&self, name: &str, temper: Temper) -> Result<Process> {
        let workspace = self.workspace(name);
        let ready = self.folder.join(format!("{name}.ready"));
        fs::create_dir_all(&workspace)?;
        let mut command = Command::new(&self.programs.stand_in);
        command
            .arg0("python3")
            .args(["-m", "team_agent.coordinator", "--workspace"])
            .arg(&workspace)
            .env("STAND_IN_REAL", "1")
            .env("STAND_IN_CHDIR", "1")
            .env("STAND_IN_SETSID", "1")
            // Even if this program is killed, nothing is left behind.
            .env("STAND_IN_PDEATHSIG", "1")
            .env("STAND_IN_READY", &ready)
            .stdin(Stdio::null());
        if temper == Temper::Stubborn {
            command.env("STAND_IN_IGNORE_TERM", "1");
        }
        let process = Process(command.spawn()?);
        self.wait_until(&format!("the coordinator \"{name}\" is up"), || {
            Ok(ready.exists())
        })?;
        println!("      pid {} in {}", process.id(), workspace.display());
        Ok(process)
    }

    /// Deletes a workspace and waits until its coordinator has made it again.
    fn delete_workspace(&self, name: &str) -> Result<()> {
        let workspace = self.workspace(name);
        // It is written to all the time, so this may take more than one attempt.
        self.wait_until(&format!("{} is deleted", workspace.display()), || {
            Ok(fs::remove_dir_all(&workspace).is_ok())
        })?;
        let state = workspace.join(".team/runtime/state.json");
        self.wait_until(&format!("{} is back", workspace.display()), || {
            Ok(state.exists())
        })
    }

    fn daemon(&self) -> Result<Process> {
        let config = self.folder.join("team-agentd.toml");
        let roots = [self.folder.join("workspaces")];
        // No hints: by its name this whole demonstration might be taken for a test's leftovers.
        let text = format!(
            "[coordinator]\nworkspace_roots = {roots:?}\n\
             [orphan]\nephemeral_roots = []\n\
             [terminate]\nsigterm_wait = \"1s\"\n"
        );
        fs::write(&config, text)?;
        let log = self.folder.join("team-agentd.log");
        let mut command = Command::new(&self.programs.daemon);
        command
            .arg("--config")
            .arg(&config)
            .arg("--socket")
            .arg(self.socket())
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?);
        let mut daemon = Process(command.spawn()?);
        self.wait_until("the daemon listens", || {
            if daemon.fate()? == Fate::Gone {
                let log = fs::read_to_string(&log)?;
                return Err(format!("the daemon gave up: {}", log.trim_end()).into());
            }
            Ok(self.socket().exists())
        })?;
        Ok(daemon)
    }

    /// Runs the client as a user would, with its output where the user sees it.
    fn ctl(&self, arguments: &[&str]) -> Result<()> {
        println!("    $ team-agentctl {}", arguments.join(" "));
        let status = Command::new(&self.programs.client)
            .arg("--socket")
            .arg(self.socket())
            .arg("--require-daemon")
            .args(arguments)
            .stdin(Stdio::null())
            .status()?;
        self.check_interrupted()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("team-agentctl {} ended with {status}", arguments.join(" ")).into())
    }

    fn wait_until(&self, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !condition()? {
            self.check_interrupted()?;
            if Instant::now() > give_up {
                return Err(format!("waited in vain until {what}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        Ok(())
    }
}

/// A process started here, and ended by its own handle at the latest when this is dropped.
struct Process(Child);

impl Process {
    fn id(&self) -> u32 {
        self.0.id()
    }

    fn fate(&mut self) -> Result<Fate> {
        Ok(match self.0.try_wait()? {
            Some(_) => Fate::Gone,
            None => Fate::Alive,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody waits for it but this handle, so the pid cannot have become somebody else's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
