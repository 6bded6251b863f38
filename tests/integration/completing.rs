//! Completions in real shells, each on a terminal: what a key press brings into the line, to the letter.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{
    Daemon, Pty, Settings, World, in_private_pid_namespace, run_ctl, skip, wait_until,
};

/// Names that a shell must not take for anything but names. Where it stands, each would leave a file `owned`.
const NAMES: [&str; 13] = [
    "a plain one",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned;",
    "& touch owned &",
    "'; touch owned; '",
    "\"; touch owned; \"",
    "> owned",
    "*?[a]{b,c}~",
    "!x ^y #z",
    "\\",
    "in:parts=of",
    "$HOME-%s-é",
];

/// Names that cannot be shown as they are, and so are not offered.
const UNSEEN: [&[u8]; 5] = [
    b"line\ntouch owned\n",
    b"\x1b[2J\x1b]0;owned\x07",
    "\u{202e}txt".as_bytes(),
    b"tab\there",
    b"\xff\xfe",
];

/// A shell on a terminal, in which `team-agentctl` completes.
struct Shell {
    pty: Pty,
    answer: PathBuf,
}

impl Shell {
    /// bash or zsh; none if it is not here.
    fn start(world: &World, program: &str) -> Option<Self> {
        let answer = world.path("answer");
        let mut command = shell(world, program)?;
        command.env("ANSWER", &answer).env("PS1", "ready> ");
        let script = world.path(format!("completions.{program}"));
        let told = world.ctl(["completions", program]);
        fs::write(&script, told.text_with(0)).unwrap();
        let begin = match program {
            "bash" => {
                command.args(["--norc", "--noprofile", "-i"]);
                ""
            }
            _ => {
                command.args(["-f", "-i"]);
                "autoload -U compinit && compinit -u -D; "
            }
        };
        let mut pty = Pty::start(&command, 250, 50);
        pty.wait_for("ready> ");
        pty.press(&format!(
            "{begin}source {}; args() {{ printf '%s\\0' \"$@\" > $ANSWER.new; mv $ANSWER.new $ANSWER; }}; PS1='is so> '\r",
            script.display()
        ));
        pty.wait_until("is so>", |screen| {
            screen.matches("is so> ").count() > 0 && screen.trim_end().ends_with("is so>")
        });
        Some(Self { pty, answer })
    }

    /// What the line says once the key is pressed at its end; the program's name first.
    fn complete(&mut self, line: &str) -> Vec<String> {
        self.pty.press(&format!("{line}\t"));
        // To the line's beginning, and an order that tells what it was given.
        self.pty.press("\x01args \r");
        let mut said = Vec::new();
        wait_until(&format!("the shell has understood {line:?}"), || {
            said = fs::read(&self.answer).unwrap_or_default();
            !said.is_empty()
        });
        fs::remove_file(&self.answer).unwrap();
        let words = said.split(|byte| *byte == 0);
        let mut words: Vec<String> = words
            .map(|word| String::from_utf8(word.to_vec()).expect("UTF-8"))
            .collect();
        assert_eq!(words.pop().as_deref(), Some(""));
        words
    }

    /// The last word of it.
    fn last(&mut self, line: &str) -> String {
        self.complete(line).pop().expect("a word")
    }
}

/// The shell with the client in its path and the world's socket; none, and that said, if it is not here.
fn shell(world: &World, program: &str) -> Option<Command> {
    let mut probe = Command::new(program);
    probe.args(["-c", "exit 0"]).stdin(Stdio::null());
    if probe.output().is_err() {
        skip(program);
        return None;
    }
    let mut command = Command::new(program);
    world.confine(&mut command);
    let client = Path::new(env!("CARGO_BIN_EXE_team-agentctl"));
    let mut path = client.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("TEAM_AGENTD_SOCKET", world.socket());
    Some(command)
}

/// Every key press finds what is there at that moment, and nothing else.
fn completes_what_is_there(program: &str) {
    let world = World::new();
    let Some(mut shell) = Shell::start(&world, program) else {
        return;
    };
    // Without a daemon, what is known without one.
    assert_eq!(shell.last("team-agentctl service un"), "uninstall");
    assert_eq!(
        shell.last("team-agentctl fix --reason workspace_p"),
        "workspace_path_missing"
    );

    let daemon = world.daemon_with(&Settings::watchful());
    let healthy = world.healthy("shop").start();
    let orphan = world.orphan("gone").start();
    let two_are_seen = |daemon: &Daemon| {
        wait_until("both are seen", || {
            let status = daemon.call("status", &serde_json::json!({}));
            status["last_scan"]["scanned"] == 2
        });
    };
    two_are_seen(&daemon);
    let (pid, shop) = (orphan.pid.to_string(), world.path("shop"));
    assert_eq!(shell.last("team-agentctl fix --pid "), pid);
    assert_eq!(
        shell.last("team-agentctl fix --confirm --pid="),
        format!("--pid={pid}")
    );
    let gone = world.path("gone");
    let gone = gone.to_str().unwrap();
    for line in [
        "team-agentctl fix --workspace ".to_owned(),
        format!("team-agentctl fix --workspace '{}", &gone[..gone.len() - 1]),
        format!(
            "team-agentctl fix --workspace \"{}",
            &gone[..gone.len() - 1]
        ),
    ] {
        assert_eq!(shell.last(&line), gone, "{line}");
    }
    assert_eq!(
        shell.last(&format!(
            "team-agentctl fix --workspace={}",
            &gone[..gone.len() - 1]
        )),
        format!("--workspace={gone}")
    );
    let begun = format!("team-agentctl scan --workspace {}", shop.display());
    assert_eq!(
        without_slash(&shell.last(&begun[..begun.len() - 1])),
        shop.to_str().unwrap()
    );

    world.ctl(["keep", &healthy.pid.to_string()]).text_with(0);
    assert_eq!(shell.last("team-agentctl unkeep "), healthy.pid.to_string());
    // Only the orphan is not kept, and there is a file.
    fs::write(world.path("home/team-agentd.toml"), "").unwrap();
    assert_eq!(
        shell.last("team-agentctl keep ./team-a"),
        "./team-agentd.toml"
    );
    assert_eq!(
        shell.last("team-agentctl config check ./team-a"),
        "./team-agentd.toml"
    );

    // An option that names a daemon is heeded.
    let elsewhere = "team-agentctl --socket /nowhere/s fix --pid ";
    assert_ne!(shell.last(elsewhere), pid);
    // What is no question of the program's is none for it.
    assert_eq!(shell.last("team-agentctl fix --conf"), "--confirm");
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// A name is a name, whatever it holds.
fn takes_no_name_for_an_order(program: &str) {
    let world = World::new();
    let Some(mut shell) = Shell::start(&world, program) else {
        return;
    };
    let _daemon = world.daemon_with(&Settings::watchful());
    let path = |(number, name): (usize, &&str)| world.path(format!("w{number:02}-{name}"));
    let paths: Vec<_> = NAMES.iter().enumerate().map(path).collect();
    let _orphans: Vec<_> = paths
        .iter()
        .map(|path| world.orphan(path).start())
        .collect();
    let _unseen: Vec<_> = unseen().map(|name| world.orphan(name).start()).collect();
    world.ctl(["scan"]).text_with(0);
    for (number, path) in paths.iter().enumerate() {
        let begun = world.path(format!("w{number:02}-"));
        for quote in ["", "'", "\""] {
            let line = format!("team-agentctl fix --workspace {quote}{}", begun.display());
            // zsh takes an earlier line for what follows a `!` in double quotes, whoever completes it.
            if (program, quote) != ("zsh", "\"") || !path.to_str().unwrap().contains('!') {
                assert_eq!(shell.last(&line), path.to_str().unwrap(), "{line}");
            }
        }
    }
    let begun = format!(
        "team-agentctl fix --workspace {}",
        world.path("unseen").display()
    );
    assert_eq!(shell.last(&begun), world.path("unseen").to_str().unwrap());
    nothing_was_done(&world);
}

fn unseen() -> impl Iterator<Item = OsString> {
    UNSEEN
        .iter()
        .map(|name| OsString::from_vec([b"unseen-", *name].concat()))
}

fn nothing_was_done(world: &World) {
    for below in ["home/owned", "owned"] {
        assert!(!world.path(below).exists(), "a name was taken for an order");
    }
}

#[test]
fn bash_completes_what_is_there() {
    in_private_pid_namespace(|| completes_what_is_there("bash"));
}

#[test]
fn zsh_completes_what_is_there() {
    in_private_pid_namespace(|| completes_what_is_there("zsh"));
}

#[test]
fn bash_takes_no_name_for_an_order() {
    in_private_pid_namespace(|| takes_no_name_for_an_order("bash"));
}

#[test]
fn zsh_takes_no_name_for_an_order() {
    in_private_pid_namespace(|| takes_no_name_for_an_order("zsh"));
}

/// fish says by itself what it would complete, and how it would write that.
#[test]
fn fish_completes_what_is_there_and_takes_no_name_for_an_order() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let Some(_) = shell(&world, "fish") else {
            return;
        };
        let script = world.path("completions.fish");
        fs::write(&script, world.ctl(["completions", "fish"]).text_with(0)).unwrap();
        let fish = |order: &str| {
            let mut command = shell(&world, "fish").unwrap();
            let order = format!("source {}; {order}", script.display());
            command.args(["--no-config", "-c", &order]);
            let answer = run_ctl(command);
            assert_eq!(answer.stderr, "", "{order}");
            answer.stdout
        };
        let completed = |line: &str| fish(&format!("complete -C '{line}'"));
        assert!(completed("team-agentctl service un").contains("uninstall\t"));

        let _daemon = world.daemon_with(&Settings::watchful());
        let names = NAMES.map(OsString::from).into_iter();
        let orphans: Vec<_> = names
            .chain(unseen())
            .map(|name| world.orphan(name).start())
            .collect();
        let healthy = world.healthy("shop").start();
        world.ctl(["scan"]).text_with(0);

        let offered = completed("team-agentctl fix --pid ");
        let pids = |text: &str| -> Vec<String> {
            let pid = |line: &str| line.split('\t').next().unwrap().to_owned();
            let mut pids: Vec<_> = text.lines().map(pid).collect();
            pids.sort();
            pids
        };
        let mut expected: Vec<_> = orphans.iter().map(|one| one.pid.to_string()).collect();
        expected.sort();
        assert_eq!(pids(&offered), expected);
        assert!(offered.contains("\tworkspace_path_missing  "), "{offered}");
        let explained = completed("team-agentctl explain ");
        assert!(
            pids(&explained).contains(&healthy.pid.to_string()),
            "{explained}"
        );

        // As it would stand in the line, and as the shell reads it there.
        let line = "team-agentctl fix --workspace ";
        let read = fish(&format!(
            "for one in (complete --escape -C '{line}' | string split --fields 1 \\t); eval printf \"'%s\\n'\" $one; end"
        ));
        let mut read: Vec<_> = read.lines().map(OsStr::new).collect();
        read.sort();
        let mut expected: Vec<_> = NAMES.iter().map(|name| world.path(name)).collect();
        expected.sort();
        assert_eq!(read, expected);
        nothing_was_done(&world);
    });
}
