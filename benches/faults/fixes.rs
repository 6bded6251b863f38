//! A hundred who ask for the end of one orphan.

use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::Row;
use super::ground::Ground;
use super::records::Records;
use crate::support::{Result, call_on};

const MANY: usize = 100;
const SIGTERM_WAIT: Duration = Duration::from_secs(1);

pub(crate) fn run(ground: &mut Ground, rounds: usize) -> Result<Vec<Row>> {
    ground.configure(&format!(
        "[scan]\ninterval = \"1h\"\n[terminate]\nsigterm_wait = \"{}ms\"\nsigkill_wait = \"60s\"",
        SIGTERM_WAIT.as_millis()
    ))?;
    let mut daemon = ground.daemon()?;
    ground.add_bystanders(2)?;
    let mut answers = 0;
    for _ in 0..rounds {
        let traits = [("FORK", "1"), ("IGNORE_TERM", "1"), ("TELL_TERM", "1")];
        let orphan = ground.cast.orphans(1, &traits)?.remove(0);
        let pid = orphan.pid.as_raw_pid();
        let fix = json!({"confirm": true, "pids": [pid]});
        // Half of them at the same time, the others while the orphan has its time to end.
        let delays: Vec<Duration> = (0..MANY)
            .map(|number| match number % 2 {
                0 => Duration::ZERO,
                _ => SIGTERM_WAIT.mul_f64(ground.dice.between(0, 500) as f64 / 1000.0),
            })
            .collect();
        let ready = Barrier::new(MANY);
        let ask = |delay: Duration| -> std::result::Result<Value, String> {
            let connection = UnixStream::connect(daemon.socket());
            ready.wait();
            thread::sleep(delay);
            let connection = connection.map_err(|error| error.to_string())?;
            call_on(&connection, "fix", &fix).map_err(|error| error.to_string())
        };
        let ends: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = delays
                .into_iter()
                .map(|delay| scope.spawn(move || ask(delay)))
                .collect();
            asking.into_iter().map(|one| one.join()).collect()
        });
        for end in ends {
            let end = end.map_err(|_| "somebody who asked panicked")??;
            let killed = &end["killed"][0];
            if killed["pid"] != pid || killed["sigkill_required"] != true || end["ok"] != true {
                return Err(format!("not the end that it was: {end}").into());
            }
            answers += 1;
        }
        let records = Records::read(&ground.state_dir())?;
        let told = [
            records.signals(pid, "SIGTERM"),
            records.signals(pid, "SIGKILL"),
            records.about(pid, "orphan.killed"),
            orphan.sigterms(),
        ];
        if told != [1; 4] || !orphan.is_gone() {
            return Err(format!(
                "SIGTERMs and SIGKILLs recorded, ends, SIGTERMs received: {told:?}"
            )
            .into());
        }
    }
    ground.assert_unharmed()?;
    daemon.stop()?;
    Ok(vec![(
        format!("{MANY} concurrent `fix` on one stubborn orphan, {rounds} rounds"),
        format!("1 SIGTERM and 1 SIGKILL each, {answers} times the same answer"),
    )])
}
