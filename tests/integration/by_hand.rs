//! What docs/protocol.md shows is what happens: its session by `nc` and its client in Python, taken from the page.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Daemon, StandIn, World, in_private_pid_namespace, run_ctl, skip, wait_until};

/// The first block of that language below `## By hand`.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, chapter) = page.split_once("## By hand\n").expect("the chapter");
    let (_, block) = chapter
        .split_once(&format!("```{language}\n"))
        .expect("the block");
    block.split_once("```\n").expect("its end").0.to_owned()
}

/// A daemon where the page has it, a healthy coordinator and an orphan.
fn scene(world: &World) -> (Daemon, StandIn, StandIn) {
    let usual = world.path("xdg-runtime/team-agentd");
    std::os::unix::fs::symlink(world.path("run"), usual).unwrap();
    let daemon = world.daemon();
    let healthy = world.healthy("work/shop").start();
    let orphan = world.orphan("work/old").with("CHILDREN", 1).start();
    wait_until("both are seen", || daemon.scan()["scanned"] == 2);
    (daemon, healthy, orphan)
}

fn in_world(world: &World, program: &str) -> Command {
    let mut command = Command::new(program);
    world.confine(&mut command);
    command
}

fn is_here(program: &str, arguments: &[&str], says: &str) -> bool {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).contains(says)
    })
}

/// Numbers differ from one run to the next.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for char in text.chars() {
        if !char.is_ascii_digit() {
            plain.push(char);
        } else if !plain.ends_with('0') {
            plain.push('0');
        }
    }
    plain
}

#[test]
fn the_session_on_the_page_goes_as_it_says() {
    in_private_pid_namespace(|| {
        if !is_here("nc", &["-h"], "-U") || !is_here("nc", &["-h"], "-N") {
            return skip("nc with -U and -N");
        }
        let world = World::new();
        let (_daemon, healthy, orphan) = scene(&world);
        let session = block("console").replace("4242", &orphan.pid.to_string());
        let mut asked = 0;
        let mut lines = session.lines().peekable();
        while let Some(line) = lines.next() {
            let order = line.strip_prefix("$ ").expect("an order");
            let shown = lines.next_if(|line| !line.starts_with("$ "));
            let Some(shown) = shown else {
                continue;
            };
            asked += 1;
            let mut bash = in_world(&world, "bash");
            let order = format!("cd \"$XDG_RUNTIME_DIR/team-agentd\" && {order}");
            bash.args(["-c", &order]);
            let answer = run_ctl(bash);
            let here = world.path("");
            let here = here.to_str().unwrap().trim_end_matches('/');
            let said = without_numbers(&answer.text_with(0).replace(here, "/home/me"));
            let mut rest = &said[..];
            for part in without_numbers(shown).split('…') {
                let (_, after) = rest
                    .split_once(part)
                    .unwrap_or_else(|| panic!("{order}\nhas no {part}\nin {said}"));
                rest = after;
            }
            assert_eq!(rest, "\n", "{order}");
        }
        assert!(asked >= 5, "{asked}");
        assert!(orphan.has_exited());
        assert!(healthy.is_alive());
    });
}

#[test]
fn the_client_on_the_page_lists_orphans_and_ends_them_when_told_to() {
    in_private_pid_namespace(|| {
        if !is_here("python3", &["--version"], "Python 3") {
            return skip("python3");
        }
        let client = block("python");
        assert!(client.lines().count() <= 20, "{client}");
        let world = World::new();
        let (daemon, healthy, orphan) = scene(&world);
        let file = world.path("client.py");
        fs::write(&file, client).unwrap();
        let run = |more: &[&str]| {
            let mut python = in_world(&world, "python3");
            python.arg(&file).args(more);
            run_ctl(python).text_with(0).to_owned()
        };
        let listed = run(&[]);
        let line = format!("{} 00:", orphan.pid);
        assert!(
            listed.starts_with(&line) && listed.lines().count() == 1,
            "{listed}"
        );
        assert!(
            listed.ends_with("/work/old' workspace_path_missing\n"),
            "{listed}"
        );
        assert!(orphan.is_alive());

        let ended = run(&["--confirm"]);
        assert_eq!(
            ended.lines().last(),
            Some(&*format!("{} killed ", orphan.pid))
        );
        assert!(orphan.has_exited());
        assert_eq!(run(&["--confirm"]), "");
        assert!(healthy.is_alive());
        assert_eq!(daemon.call("status", &json!({}))["counters"]["killed"], 1);
    });
}
