//! Names that other processes chose, before every command: in a pipe, with `--json` and on a terminal. Nothing of
//! them that a terminal obeys, that turns what is read round or that nobody sees is ever printed as it is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use rustix::process::Signal;

use crate::support::{
    Daemon, Pty, Recipe, Settings, StandIn, World, ctl_command, in_private_pid_namespace, signal,
    through, wait_until,
};

/// A colour that the programs never use: where it comes out, a name brought it in.
const COLOUR: &str = "\x1b[38;5;123m";

/// What is in every name here.
const MARK: &str = "chosen";

/// A name with everything in it that is not to be printed, and what makes it another one.
fn hostile(number: usize) -> OsString {
    let text = format!(
        "{MARK}{number}-{COLOUR}\x1b[2J\x1b]0;title\x07\r\n    PID 1 etime=1 workspace=.\t\x08\x7f\u{9b}31m\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}"
    );
    OsString::from_vec([text.as_bytes(), b"\xff\xfe"].concat())
}

/// Where the program prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Pipe,
    Json,
    Terminal,
}

/// What somebody reads of a run, both of its outputs.
fn read_of(mut command: Command, to: To) -> Vec<u8> {
    if to == To::Terminal {
        let (mut child, mut terminal) = on_terminal(&command, 100);
        let mut said = Vec::new();
        let mut bytes = [0; 4096];
        // It ends with an error once nobody has the other end any more.
        while let Ok(many @ 1..) = terminal.read(&mut bytes) {
            said.extend_from_slice(&bytes[..many]);
        }
        child.wait().unwrap();
        return said;
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    [output.stdout, b"\n".to_vec(), output.stderr].concat()
}

fn on_terminal(command: &Command, columns: u16) -> (Child, File) {
    let size = Winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let ends = openpty(&size, None).unwrap();
    let mut outer = through(&["setsid", "--ctty"], command);
    let stdio = || ends.slave.try_clone().unwrap();
    outer.stdin(stdio()).stdout(stdio()).stderr(stdio());
    outer.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let child = outer.spawn().unwrap();
    (child, File::from(ends.master))
}

/// What is in there that is more than text: on a terminal colours of the program's own, and its line ends, are text.
fn harm(said: &[u8], to: To) -> Option<String> {
    let Ok(text) = std::str::from_utf8(said) else {
        return Some(format!("not UTF-8: {}", said.escape_ascii()));
    };
    let plain = if to == To::Terminal {
        // What is drawn anew, a fix's progress, begins with an empty line; no name holds that.
        let text = text.replace("\r\n", "\n").replace("\r\x1b[2K", "");
        without_colours(&text)
    } else {
        text.to_owned()
    };
    let is_harmful = |char: &char| {
        (char.is_control() && *char != '\n')
            || matches!(
                *char,
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            )
    };
    // What stands after a line feed in a name begins no line.
    let is_forged = plain.lines().any(|line| line.starts_with("    PID 1 "));
    let is_coloured = text.contains(COLOUR);
    (is_forged || is_coloured || plain.chars().any(|char| is_harmful(&char)))
        .then(|| format!("{text:?}"))
}

#[track_caller]
fn assert_harmless(said: &[u8], to: To, what: &str) {
    let harm = harm(said, to);
    assert!(harm.is_none(), "{what}: {}", harm.unwrap_or_default());
}

/// Without `ESC [ … m`, and `ESC [ … A`, which goes back up to the first line of what is drawn anew.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(['m', 'A']) {
            Some((codes, rest)) if codes.bytes().all(|b| b.is_ascii_digit() || b == b';') => {
                plain.push_str(rest);
            }
            _ => plain = plain + "\x1b[" + part,
        }
    }
    plain
}

fn args(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// `words`, and a hostile one at their end.
fn and(words: &[&str], last: impl AsRef<OsStr>) -> Vec<OsString> {
    let mut words = args(words);
    words.push(last.as_ref().to_owned());
    words
}

/// A coordinator that has a name of that kind wherever it can.
fn coordinator(world: &World, workspace: &Path, number: usize) -> StandIn {
    let start = ["python3", "-m", "team_agent.coordinator", "--workspace"];
    let mut argv: Vec<OsString> = start.map(OsString::from).into();
    argv.push(workspace.into());
    argv.push(hostile(number));
    let child = hostile(number).into_vec();
    let child: Vec<u8> = child.into_iter().filter(|byte| *byte != b'\n').collect();
    Recipe::new(world, argv)
        .with("SETSID", 1)
        .with("CHILDREN", 1)
        .with("CHILD_SETSID", 1)
        .with("CHILD_ARGV", String::from_utf8_lossy(&child))
        .start()
}

/// The configuration, where its own name and what stands in it are hostile.
fn configuration(world: &World) -> PathBuf {
    let folder = world.directory(hostile(100));
    let file = folder.join("team-agentd.toml");
    let protected = "/srv/\\u001b[2J\\u202e\\nx";
    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(
        &file,
        format!("{text}[orphan]\nprotect = [\"{protected}\"]\n"),
    )
    .unwrap();
    file
}

/// The commands that change nothing that the next ones need.
fn commands(world: &World, coordinators: &[StandIn], stranger: u32) -> Vec<Vec<OsString>> {
    let gone = world.path(hostile(0));
    let wrong = world.path(hostile(101));
    fs::write(&wrong, "[reap]\n\"\\u001b[2J\" = 1\ngrace = \"\\u202e\"\n").unwrap();
    let broken = world.path(hostile(102));
    fs::write(&broken, b"[reap]\n\x1b[2J = \xff\n").unwrap();
    let nowhere = world.path(hostile(103)).join("nothing");
    let mut all = vec![
        args(&["scan"]),
        and(&["scan", "--workspace"], &gone),
        args(&["fix"]),
        and(&["fix", "--workspace"], &gone),
        and(&["fix", "--confirm", "--workspace"], &nowhere),
        args(&["status"]),
        args(&["events"]),
        args(&["events", "--all", "--limit", "1000"]),
        args(&["doctor", "--gate", "orphans"]),
        args(&["doctor", "--gate", "orphans", "--fix"]),
        args(&["doctor", "--cleanup-orphans"]),
        and(&["keep"], &gone),
        and(&["keep"], &nowhere),
        args(&["status"]),
        and(&["unkeep"], &gone),
        and(&["unkeep"], &gone),
        args(&["reload"]),
        args(&["config", "show"]),
        args(&["config", "check"]),
        and(&["config", "check"], &wrong),
        and(&["config", "check"], &broken),
        and(&["config", "check"], &nowhere),
        and(&["config", "check"], world.path(hostile(100))),
        args(&["service", "print"]),
        args(&["service", "status"]),
        args(&["man", "team-agentd"]),
        and(&["man", "--to"], &wrong),
        and(&["man", "--to"], world.path(hostile(104))),
        // What is said of mistakes.
        and(&[], hostile(0)),
        and(&["scan"], hostile(0)),
        and(&["scan", "--workspace", "a"], "--\x1b[2J\u{202e}"),
        and(&["explain"], hostile(0)),
        and(&["explain"], "7\x1b[2J\u{202e}"),
        and(&["fix", "--pid"], "7\x1b[2J\u{202e}"),
        and(&["fix", "--reason"], hostile(0)),
        and(&["fix", "--reason"], "ephemeral_\x1b[2J\u{202e}"),
        and(&["doctor", "--gate"], "\x1b[2J\u{202e}"),
        and(&["events", "--since"], "\x1b[2J\u{202e}"),
        and(&["events", "--limit"], hostile(0)),
        and(&["pause", "--for"], "\x1b[2J\u{202e}"),
        and(&["completions"], "\x1b[2J\u{202e}"),
        and(&["man"], "\x1b[2J\u{202e}"),
        and(&["config"], "\x1b[2J\u{202e}"),
        and(&["--socket"], &nowhere),
        [args(&["--socket"]), and(&[], &nowhere), args(&["status"])].concat(),
        [args(&["--socket"]), and(&[], &nowhere), args(&["scan"])].concat(),
        [
            args(&["--socket"]),
            and(&[], &nowhere),
            args(&["doctor", "--gate", "orphans"]),
        ]
        .concat(),
        [
            args(&["--socket"]),
            and(&[], wrong.join("x")),
            args(&["resume"]),
        ]
        .concat(),
        [args(&["--socket"]), and(&[], &wrong), args(&["resume"])].concat(),
        args(&["--embedded", "scan"]),
        args(&["--embedded", "fix", "--confirm", "--pid", "1"]),
    ];
    for one in coordinators {
        let pid = one.pid.to_string();
        all.push(args(&["explain", &pid]));
        all.push(args(&["--embedded", "explain", &pid]));
        all.push(args(&["events", "--pid", &pid]));
        all.push(args(&["keep", &pid]));
        all.push(args(&["fix", "--confirm", "--pid", &pid]));
        all.push(args(&["unkeep", &pid]));
        all.push(args(&["explain", &one.children[0].to_string()]));
    }
    all.push(args(&["explain", &stranger.to_string()]));
    for shell in ["bash", "zsh", "fish"] {
        for words in [
            &["explain", ""][..],
            &["fix", "--workspace", ""],
            &["unkeep", ""],
        ] {
            let start = args(&["__complete", shell, "", "team-agentctl"]);
            all.push([start, args(words)].concat());
        }
    }
    all
}

/// The client, in surroundings whose names are hostile, too.
fn client(world: &World, config: &Path, words: &[OsString], to: To) -> Command {
    // A question of a shell's is first, and no option belongs to it.
    let is_question = words.first().is_some_and(|word| word == "__complete");
    let mut command = if is_question {
        let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
        world.confine(&mut command);
        command
            .args(words)
            .env("TEAM_AGENTD_SOCKET", world.socket());
        command
    } else if words
        .iter()
        .any(|word| word == "--socket" || word == "service")
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentctl"));
        world.confine(&mut command);
        command
            .args((to == To::Json).then_some("--json"))
            .args(words);
        command
    } else {
        let json = (to == To::Json).then_some(OsString::from("--json"));
        ctl_command(world, json.iter().chain(words))
    };
    command.env("TEAM_AGENTD_CONFIG", config);
    if words.first().is_some_and(|word| word == "service") {
        for name in [
            "HOME",
            "XDG_CONFIG_HOME",
            "XDG_RUNTIME_DIR",
            "XDG_STATE_HOME",
        ] {
            command.env(name, world.path(hostile(105)));
        }
    }
    command
}

/// The orphans and the others, each with hostile names: two orphans, one that was made again, one that lives
/// and has a pid file of that kind.
fn coordinators(world: &World) -> Vec<StandIn> {
    let healthy = world.directory(hostile(3));
    fs::create_dir_all(healthy.join(".team/runtime")).unwrap();
    fs::write(
        healthy.join(".team/runtime/coordinator.pid"),
        b"\x1b[2J\xff7\n",
    )
    .unwrap();
    vec![
        coordinator(world, &world.path(hostile(0)), 0),
        coordinator(world, &world.path(hostile(1)), 1),
        coordinator(world, &healthy, 3),
    ]
}

fn daemon(world: &World, config: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentd"));
    world.confine(&mut command);
    command
        .arg("--socket")
        .arg(world.socket())
        .arg("--state-dir")
        .arg(world.state_dir())
        .arg("--config")
        .arg(config)
        .env("TEAM_AGENTD_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Daemon::start_by(world, command)
}

fn before_every_command(to: To) {
    let world = World::new();
    world.configure(&Settings::watchful());
    let config = configuration(&world);
    let daemon = daemon(&world, &config);
    let survivors = world.survivors();
    let coordinators = coordinators(&world);
    let stranger = Recipe::new(&world, and(&["sleep"], hostile(9))).start();
    wait_until("all are seen", || daemon.scan()["scanned"] == 4);

    let mut harmed = Vec::new();
    for words in commands(&world, &coordinators, stranger.pid) {
        let mut said = read_of(client(&world, &config, &words, to), to);
        if words[0] == "__complete" {
            // It parts a candidate from what that is about.
            said.retain(|byte| *byte != b'\t');
        }
        harmed.extend(harm(&said, to).map(|harm| format!("{words:?}: {harm}")));
    }
    assert!(harmed.is_empty(), "{}", harmed.join("\n\n"));
    let words = args(&["fix", "--confirm"]);
    let said = read_of(client(&world, &config, &words, to), to);
    assert_harmless(&said, to, "fix --confirm");
    assert!(
        said.escape_ascii().to_string().contains(MARK),
        "{}",
        said.escape_ascii()
    );
    assert!(coordinators[..2].iter().all(|orphan| orphan.has_exited()));
    assert!(coordinators[2].is_alive());
    // And once more, with what has happened by now.
    for words in [
        &["events", "--all"][..],
        &["status"],
        &["scan"],
        &["events", "--follow"],
    ] {
        let follows = words.contains(&"--follow");
        let command = client(&world, &config, &args(words), to);
        let said = if follows {
            followed(command, to)
        } else {
            read_of(command, to)
        };
        assert_harmless(&said, to, &format!("{words:?}"));
    }
    // What the daemon itself says of all that.
    fs::write(&config, "[reap]\n\"\\u001b[2J\\u202e\" = 1\n").unwrap();
    let said = read_of(client(&world, &config, &args(&["reload"]), to), to);
    assert_harmless(&said, to, "reload");
    assert!(daemon.log().contains(MARK), "{}", daemon.log());
    assert_harmless(daemon.log().as_bytes(), To::Pipe, "the daemon's log");
    survivors.assert_alive();
}

/// The first lines of something that goes on, which is then ended.
fn followed(mut command: Command, to: To) -> Vec<u8> {
    let (mut child, output): (Child, Box<dyn Read>) = if to == To::Terminal {
        let (child, terminal) = on_terminal(&command, 100);
        (child, Box::new(terminal))
    } else {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        (child, Box::new(output))
    };
    let mut said = Vec::new();
    let mut lines = BufReader::new(output);
    while said.iter().filter(|byte| **byte == b'\n').count() < 8 {
        assert_ne!(lines.read_until(b'\n', &mut said).unwrap(), 0);
    }
    // Not SIGINT: where the tests run in the background, that is ignored from the beginning.
    signal(child.id(), Signal::TERM);
    child.wait().unwrap();
    said
}

#[test]
fn hostile_names_come_harmless_through_a_pipe_from_every_command() {
    in_private_pid_namespace(|| before_every_command(To::Pipe));
}

#[test]
fn hostile_names_come_harmless_as_json_from_every_command() {
    in_private_pid_namespace(|| before_every_command(To::Json));
}

#[test]
fn hostile_names_come_harmless_to_a_terminal_from_every_command() {
    in_private_pid_namespace(|| before_every_command(To::Terminal));
}

#[test]
fn watch_gives_a_terminal_no_order_that_a_name_holds() {
    in_private_pid_namespace(|| {
        let world = World::new();
        world.configure(&Settings::watchful());
        let config = configuration(&world);
        let daemon = daemon(&world, &config);
        let coordinators = coordinators(&world);
        wait_until("all are seen", || daemon.scan()["scanned"] == 3);
        let mut pty = Pty::start(&ctl_command(&world, ["watch"]), 200, 40);
        pty.wait_for(MARK);
        // What has happened may be on the screen before who is there.
        pty.wait_for("suspected");
        pty.press("g\r");
        pty.wait_for("is a coordinator");
        pty.press("q");
        pty.press("f");
        pty.wait_for("y");
        pty.press("y");
        wait_until("one is ended", || {
            coordinators.iter().any(StandIn::has_exited)
        });
        pty.wait_for("orphan.killed");
        pty.press("q");
        pty.wait();
        let said = pty.raw();
        let text = String::from_utf8(said).expect("UTF-8");
        for order in [
            COLOUR, "\x1b]", "\x07", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200b}", "\x7f",
        ] {
            assert!(!text.contains(order), "{order:?} in {text:?}");
        }
    });
}

/// A daemon that cannot start says why, and no more.
#[test]
fn a_daemon_that_cannot_start_names_what_is_hostile_in_harmless_words() {
    in_private_pid_namespace(|| {
        let world = World::new();
        let file = world.path(hostile(0));
        fs::write(&file, "[reap]\n\"\\u001b[2J\" = 1\n").unwrap();
        let nowhere = file.join("nothing");
        for (option, value) in [
            ("--config", &file),
            ("--config", &nowhere),
            ("--socket", &nowhere),
            ("--state-dir", &file),
            ("--state-dir", &nowhere),
            ("--nonsense", &file),
        ] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_team-agentd"));
            world.confine(&mut command);
            command.args(["--socket"]).arg(world.socket());
            if option == "--socket" {
                command = Command::new(env!("CARGO_BIN_EXE_team-agentd"));
                world.confine(&mut command);
            }
            command.arg(option).arg(value);
            for to in [To::Pipe, To::Terminal] {
                let mut again = through(&["env"], &command);
                again.stdout(Stdio::piped());
                let said = read_of(again, to);
                assert_harmless(&said, to, &format!("{option} {}", said.escape_ascii()));
                assert!(
                    said.windows(6)
                        .any(|six| six == b"chosen" || six == b"error:"),
                    "{option}"
                );
            }
        }
    });
}
