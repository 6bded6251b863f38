//! What a daemon has in use after many scans and kills.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Row;
use super::ground::{Ground, count_of};
use crate::support::{Coordinator, Daemon, Result, memory};

const HEALTHY: usize = 20;
/// How many orphans one fix ends.
const BATCH: usize = 25;
/// One kill for so many scans.
const SCANS_A_KILL: usize = 10;
/// Each kill is remembered for a minute: who comes again at once is noticed by that. Before the count begins,
/// this memory is as full as it gets.
const REMEMBERED: Duration = Duration::from_secs(75);
/// How often is looked at what is in use.
const LOOKS: usize = 10;
/// What may be more in the end than after the first tenth.
const MORE_KIB: f64 = 256.0;
/// A shorter run is still warming up in the end.
const LONG: usize = 50_000;
/// So many threads has a daemon with nothing to do.
const RESTING: usize = 4;
const RESTS_WITHIN: Duration = Duration::from_secs(30);

/// What it has in use with nothing to do: KiB, descriptors, threads.
struct Used {
    resident: f64,
    descriptors: usize,
    threads: usize,
}

pub(crate) fn run(ground: &mut Ground, scans: usize) -> Result<Vec<Row>> {
    ground.configure(
        "[scan]\ninterval = \"24h\"\n[terminate]\nsigterm_wait = \"60s\"\nsigkill_wait = \"60s\"",
    )?;
    let mut daemon = ground.daemon()?;
    ground.add_bystanders(HEALTHY)?;
    let batches = (scans / SCANS_A_KILL / BATCH).max(1);
    let began = Instant::now();
    while scans >= LONG && began.elapsed() < REMEMBERED {
        work(ground, &daemon, BATCH * SCANS_A_KILL)?;
    }
    let mut used = Vec::new();
    let mut killed = 0;
    let mut scanned = 0;
    for batch in 1..=batches {
        let many = scans * batch / batches - scanned;
        work(ground, &daemon, many)?;
        scanned += many;
        killed += BATCH;
        if batch * LOOKS / batches != (batch - 1) * LOOKS / batches {
            let now = look(&daemon, scans < LONG)?;
            eprintln!(
                "    {scanned} scans, {killed} kills: {} KiB, {} descriptors, {} threads",
                now.resident, now.descriptors, now.threads
            );
            used.push(now);
        }
    }
    ground.assert_unharmed()?;
    let most = memory(daemon.id(), "VmHWM")? * 1e6 / 1024.0;
    daemon.stop()?;
    let (Some(first), Some(last)) = (used.first(), used.last()) else {
        return Err("nobody looked".into());
    };
    let growth = last.resident - first.resident;
    let row = format!(
        "RSS {:.0} → {:.0} KiB ({growth:+.0}; at most {most:.0}), descriptors {} → {}, threads {} → {}",
        first.resident,
        last.resident,
        first.descriptors,
        last.descriptors,
        first.threads,
        last.threads
    );
    if last.descriptors > first.descriptors {
        return Err(format!("GROWTH: {row}").into());
    }
    if used.len() == LOOKS && scans >= LONG && growth > MORE_KIB {
        return Err(format!("GROWTH: {row}").into());
    }
    Ok(vec![(
        format!("{scanned} scans and {killed} kills, from the first tenth to the end"),
        row,
    )])
}

/// So many scans, and one fix of several orphans.
fn work(ground: &mut Ground, daemon: &Daemon, scans: usize) -> Result<()> {
    for _ in 0..scans {
        let scan = daemon.call("scan", &json!({}))?;
        if scan["scanned"] != HEALTHY {
            return Err(format!("{HEALTHY} were to be seen: {scan}").into());
        }
    }
    let orphans = ground.cast.orphans(BATCH, &[("FORK", "1")])?;
    let fix = daemon.call("fix", &json!({"confirm": true}))?;
    let ended = fix["killed"].as_array().map_or(0, Vec::len);
    if ended != BATCH || !orphans.iter().all(Coordinator::is_gone) {
        return Err(format!("{BATCH} were to end: {fix}").into());
    }
    Ok(())
}

/// The least within a second, at rest: threads that have nothing to do end after 10 s, and with them goes
/// what they use. A short run does not wait for that.
fn look(daemon: &Daemon, is_short: bool) -> Result<Used> {
    let give_up = Instant::now() + RESTS_WITHIN;
    while !is_short && count_of(daemon.id(), "task")? > RESTING && Instant::now() < give_up {
        thread::sleep(Duration::from_millis(50));
    }
    let mut used = Used {
        resident: f64::INFINITY,
        descriptors: usize::MAX,
        threads: usize::MAX,
    };
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(100));
        let resident = memory(daemon.id(), "VmRSS")? * 1e6 / 1024.0;
        used.resident = used.resident.min(resident);
        used.descriptors = used.descriptors.min(count_of(daemon.id(), "fd")?);
        used.threads = used.threads.min(count_of(daemon.id(), "task")?);
    }
    Ok(used)
}
