//! How long `status` takes while very many orphans are being ended.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Row;
use super::ground::{Ground, latencies};
use crate::support::{Coordinator, Result};

/// How long after one answer the next is asked for.
const PAUSE: Duration = Duration::from_millis(5);
const STATUS: &[u8] = b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}\n";
/// So many are started at a time: each has to come up.
const STARTED_AT_ONCE: usize = 100;

pub(crate) fn run(ground: &mut Ground, count: usize) -> Result<Vec<Row>> {
    ground.configure(
        "[scan]\ninterval = \"5s\"\n[terminate]\nsigterm_wait = \"3s\"\nsigkill_wait = \"60s\"",
    )?;
    let mut daemon = ground.daemon()?;
    ground.add_bystanders(2)?;
    let traits = [("FORK", "1"), ("IGNORE_TERM", "1")];
    let mut orphans = Vec::new();
    while orphans.len() < count {
        let some = STARTED_AT_ONCE.min(count - orphans.len());
        orphans.extend(ground.cast.orphans(some, &traits)?);
    }
    let mut asking = BufReader::new(UnixStream::connect(daemon.socket())?);
    let mut line = String::new();
    let (mut times, mut longest) = (Vec::new(), 0);
    let began = Instant::now();
    let (fix, took) = thread::scope(|scope| {
        let fixing = scope.spawn(|| {
            let fix = daemon.call("fix", &json!({"confirm": true}));
            fix.map(|fix| (fix, began.elapsed()))
                .map_err(|error| error.to_string())
        });
        while !fixing.is_finished() {
            let asked = Instant::now();
            asking.get_mut().write_all(STATUS)?;
            line.clear();
            asking.read_line(&mut line)?;
            times.push(asked.elapsed());
            longest = longest.max(line.len());
            // It tells of every orphan: to read it all through would take longer than to get it.
            if !line.starts_with(r#"{"id":1,"jsonrpc":"2.0","result":{"#) {
                return Err(format!("no status: {line}").into());
            }
            thread::sleep(PAUSE);
        }
        let fixed = fixing
            .join()
            .map_err(|_| "who asked for the fix panicked")?;
        Ok::<_, Box<dyn std::error::Error>>(fixed?)
    })?;
    let ended = fix["killed"].as_array().map_or(0, Vec::len);
    if ended != count || !orphans.iter().all(Coordinator::is_gone) {
        return Err(format!("{ended} of {count} have ended: {}", fix["failed"]).into());
    }
    ground.assert_unharmed()?;
    daemon.stop()?;
    Ok(vec![(
        format!("`status` while one `fix` ends {count} stubborn orphans"),
        format!(
            "{} ({} answers of up to {longest} bytes; the fix took {:.1} s)",
            latencies(times.clone()),
            times.len(),
            took.as_secs_f64()
        ),
    )])
}
