//! A terminal of its own for a program: what it shows is read like a screen, keys are pressed.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::wait::wait_for;

/// A program on a terminal. Dropping it ends the program.
pub(crate) struct Pty {
    child: Child,
    /// The program, if the child is the shell above it.
    job: Option<u32>,
    master: File,
    slave: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    before: Termios,
}

impl Pty {
    /// Starts the program on a terminal of that size, which it controls.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let ends = openpty(&size, None).expect("a pseudo-terminal");
        let before = tcgetattr(&ends.slave).unwrap();
        // It takes its standard input as its terminal and becomes the program.
        let mut outer = super::process::through(&["setsid", "--ctty"], command);
        let stdio = || ends.slave.try_clone().unwrap();
        outer.stdin(stdio()).stdout(stdio()).stderr(stdio());
        outer.env_remove("NO_COLOR");
        if command.get_envs().all(|(name, _)| name != "TERM") {
            outer.env("TERM", "xterm-256color");
        }
        let child = outer.spawn().expect("setsid starts");
        drop(outer);
        let master = File::from(ends.master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            NonZero::new(rows).unwrap(),
            NonZero::new(columns).unwrap(),
            0,
        )));
        let (shown, mut source) = (Arc::clone(&screen), master.try_clone().unwrap());
        let raw = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&raw);
        // It ends with the test.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(many @ 1..) = source.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..many]);
                shown.lock().unwrap().process(&bytes[..many]);
            }
        });
        Self {
            child,
            job: None,
            master,
            slave: ends.slave,
            screen,
            raw,
            before,
        }
    }

    /// The same below a shell that has the terminal while the program is stopped, and gives it back to it at
    /// [`Pty::bring_back`].
    pub(crate) fn start_as_job(command: &Command, columns: u16, rows: u16) -> Self {
        const SHELL: &str = r#"
            trap go=1 USR1
            # No loop: bash leaves those in which a job is stopped.
            go_on() {
                # By SIGSTOP or SIGTSTP.
                if [ $1 -ne 147 ] && [ $1 -ne 148 ]; then exit $1; fi
                while [ -z "$go" ]; do sleep 0.05; done
                go=
                fg %1 > /dev/null
                go_on $?
            }
            "$@"
            go_on $?"#;
        let shell = super::process::through(&["bash", "-mc", SHELL, "bash"], command);
        let mut pty = Self::start(&shell, columns, rows);
        pty.job = Some(super::wait::wait_for("the program starts", || {
            super::process::children_of(pty.child.id()).first().copied()
        }));
        pty
    }

    /// Has a job that was stopped go on, with the terminal.
    pub(crate) fn bring_back(&self) {
        super::process::signal(self.child.id(), rustix::process::Signal::USR1);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.job.unwrap_or(self.child.id())
    }

    /// What is on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Every byte that the program has sent so far.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    /// Waits until this is on the screen.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(text, |screen| screen.contains(text));
    }

    /// Waits until the screen fits; `what` is for who reads the failure.
    pub(crate) fn wait_until(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let give_up = std::time::Instant::now() + super::wait::PATIENCE;
        while !fits(&self.text()) {
            assert!(
                std::time::Instant::now() < give_up,
                "waited in vain for {what:?} on the screen:\n{}",
                self.text()
            );
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes the window another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap());
        let mut size = rustix::termios::tcgetwinsize(&self.master).unwrap();
        (size.ws_col, size.ws_row) = (columns, rows);
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// Whether the program has the whole screen now, and is told what is pasted.
    pub(crate) fn is_taken(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        screen.screen().alternate_screen() && screen.screen().bracketed_paste()
    }

    /// Makes the terminal what it was before the program had it, as a shell does that gets it back.
    pub(crate) fn take_back(&self) {
        tcsetattr(&self.slave, SetArg::TCSANOW, &self.before).unwrap();
    }

    /// Whether the program gets each key as it is pressed.
    pub(crate) fn is_raw(&self) -> bool {
        let local = tcgetattr(&self.slave).unwrap().local_flags;
        !local.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Waits until the terminal is as it was before the program had it.
    pub(crate) fn wait_until_given_back(&self) {
        super::wait::wait_until("the terminal is given back", || {
            let screen = self.screen.lock().unwrap();
            let screen = screen.screen();
            let is_left =
                !(screen.alternate_screen() || screen.hide_cursor() || screen.bracketed_paste());
            is_left && tcgetattr(&self.slave).unwrap() == self.before
        });
    }

    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the program on the terminal ends", || {
            self.child.try_wait().unwrap()
        })
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the screen ---\n{}\n---", self.text());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
