//! Fifty daemons that start at the same time on the same socket and state directory.

use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::Row;
use super::ground::Ground;
use super::records::Records;
use crate::support::{Daemon, Result, daemon_command, wait_until};

const MANY: usize = 50;

pub(crate) fn run(ground: &mut Ground, races: usize) -> Result<Vec<Row>> {
    ground.configure("[scan]\ninterval = \"1h\"")?;
    ground.add_bystanders(2)?;
    let mut lost = 0;
    for race in 0..races {
        let mut racing = (0..MANY)
            .map(|_| {
                let mut command = daemon_command(&ground.programs, &ground.folder)?;
                Ok(command.stderr(Stdio::piped()).spawn()?)
            })
            .collect::<Result<Vec<Child>>>()?;
        let mut losers: Vec<Child> = Vec::new();
        wait_until("all but one have given up", || {
            let mut at = 0;
            while at < racing.len() {
                match racing[at].try_wait() {
                    Ok(Some(_)) => losers.push(racing.swap_remove(at)),
                    _ => at += 1,
                }
            }
            losers.len() >= MANY - 1
        })?;
        let Some(winner) = racing.pop() else {
            return Err("none runs".into());
        };
        for mut loser in losers {
            let status = loser.wait()?;
            let mut words = String::new();
            if let Some(mut stderr) = loser.stderr.take() {
                stderr.read_to_string(&mut words)?;
            }
            // The one says so of the socket, the other of the state directory.
            if status.code() != Some(1) || !words.contains("another team-agentd") {
                return Err(format!("one gave up with {status}: {words}").into());
            }
            lost += 1;
        }
        let mut winner = Daemon::adopt(&ground.programs, &ground.folder, winner)?;
        let status = winner.call("status", &serde_json::json!({}))?;
        if status["daemon"]["pid"] != winner.id() {
            return Err(format!("somebody else answers: {status}").into());
        }
        // What a killed one leaves behind must not keep the next fifty from starting, nor let two in.
        match race % 4 {
            3 => winner.stop()?,
            _ => {
                winner.signal(Signal::KILL)?;
                winner.crash()?;
            }
        }
    }
    let records = Records::read(&ground.state_dir())?;
    let started = records.named("daemon.started");
    if started != races {
        return Err(format!("{started} said that they had started").into());
    }
    ground.assert_unharmed()?;
    Ok(vec![(
        format!(
            "{MANY} starts at once on one socket, {races} races, most over what `kill -9` left"
        ),
        format!("1 runs and answers each time, {lost} ended with status 1 and said why"),
    )])
}
