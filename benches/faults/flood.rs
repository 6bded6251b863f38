//! Requests by 32 clients, each of which waits for an answer before it asks again, beside others that ask
//! as much as they can, drip, or make the daemon wait for a disk that never answers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Row;
use super::ground::{Ground, latencies};
use crate::silence::Silence;
use crate::support::{Result, wait_until};

const CLIENTS: usize = 32;
const FLOODERS: usize = 32;
/// How many requests a flooder sends before it reads.
const DEPTH: u64 = 32;
const SLOW: usize = 200;
const DRIP: Duration = Duration::from_secs(1);

type Told<T> = std::result::Result<T, String>;
/// Which kind of request, and how long its answer took.
type Took = (usize, Duration);

const KINDS: [&str; 4] = ["version", "status", "explain", "events"];

/// Each kind in turn. An eighth each asks about a process and for events, which takes a thread; the flood
/// asks as much as it can of what the daemon answers by itself.
const KINDS_OF_CLIENTS: [usize; 8] = [1, 2, 3, 0, 1, 0, 1, 0];
const KINDS_OF_FLOODERS: [usize; 8] = [1, 1, 0, 0, 1, 0, 1, 0];
/// What the ids of flooders have set.
const OF_THE_FLOOD: u64 = 1 << 48;

fn kind(id: u64) -> usize {
    let kinds = match id & OF_THE_FLOOD {
        0 => KINDS_OF_CLIENTS,
        _ => KINDS_OF_FLOODERS,
    };
    kinds[(id % 8) as usize]
}

/// What the others do meanwhile.
#[derive(Default)]
struct Others {
    is_over: AtomicBool,
    /// Answers that flooders got.
    flood: AtomicU64,
    /// How often a slow one lost its place, and came again.
    displaced: AtomicU64,
}

/// What anybody asks about.
struct Subject {
    socket: PathBuf,
    daemon: u32,
    coordinator: i32,
}

pub(crate) fn run(ground: &mut Ground, requests: usize) -> Result<Vec<Row>> {
    ground.configure("[scan]\ninterval = \"5s\"\nprobe_timeout = \"2s\"")?;
    let mut daemon = ground.daemon()?;
    ground.add_bystanders(4)?;
    let hung = ground
        .cast
        .start(1, &[("FORK", "1"), ("TICK_MS", "0"), ("CHDIR", "0")])?;
    let silence = Silence::over(&hung[0].workspace);
    let probe = match &silence {
        Some(_) => {
            wait_until("a probe hangs", || {
                daemon.call("scan", &json!({})).is_ok_and(|scan| {
                    let entries = scan["coordinators"].as_array();
                    entries.is_some_and(|entries| {
                        let hung = |entry: &&Value| entry["reason"] == "workspace_timeout";
                        entries.iter().any(|entry| hung(&entry))
                    })
                })
            })?;
            "a hung probe"
        }
        None => {
            eprintln!("SKIPPED: no hung probe, a FUSE mount cannot be made here");
            "NO hung probe"
        }
    };
    let subject = Subject {
        socket: daemon.socket(),
        daemon: daemon.id(),
        coordinator: ground.bystander()?.as_raw_pid(),
    };
    let others = Others::default();
    let share = requests.div_ceil(CLIENTS);
    let began = Instant::now();
    let (times, took) = thread::scope(|scope| {
        let (subject, others) = (&subject, &others);
        let mut beside: Vec<_> = (0..FLOODERS)
            .map(|_| scope.spawn(|| flood(subject, others)))
            .collect();
        beside.push(scope.spawn(|| drip(subject, others)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || ask(subject, number, share)))
            .collect();
        let times: Vec<Told<Vec<Took>>> = clients
            .into_iter()
            .map(|client| client.join().unwrap_or(Err("a client panicked".to_owned())))
            .collect();
        let took = began.elapsed();
        others.is_over.store(true, Ordering::Relaxed);
        for other in beside {
            other.join().map_err(|_| "one of the others panicked")??;
        }
        let mut all = Vec::with_capacity(share * CLIENTS);
        for times in times {
            all.extend(times?);
        }
        Ok::<_, Box<dyn std::error::Error>>((all, took))
    })?;
    drop(silence);
    ground.assert_unharmed()?;
    let status = daemon.call("status", &json!({}))?;
    eprintln!("    {}", status["peers"]);
    daemon.stop()?;
    let mut rows = Vec::new();
    for (kind, name) in KINDS.iter().enumerate() {
        let of_kind = times.iter().filter(|(of, _)| *of == kind);
        let took: Vec<Duration> = of_kind.map(|(_, took)| *took).collect();
        let row = format!("{} ({} of them)", latencies(took.clone()), took.len());
        rows.push((format!("… `{name}`"), row));
    }
    let times: Vec<Duration> = times.into_iter().map(|(_, took)| took).collect();
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let all = (
        format!(
            "{} requests by {CLIENTS} clients in a closed loop, beside {FLOODERS} that send {DEPTH} at a time (`status`, `version`), \
             {SLOW} that drip a byte a second, and {probe}",
            times.len()
        ),
        format!(
            "none lost or misanswered, {} ({:.0} a second; {:.0} a second of the flood; \
             the slow ones lost their place {} times)",
            latencies(times.clone()),
            times.len() as f64 / took.as_secs_f64(),
            load(&others.flood) as f64 / took.as_secs_f64(),
            load(&others.displaced)
        ),
    );
    rows.insert(0, all);
    Ok(rows)
}

/// One connection, with one line in and one line out.
struct Client {
    reader: BufReader<UnixStream>,
    line: String,
}

impl Client {
    fn connect(subject: &Subject) -> Told<Self> {
        let stream = UnixStream::connect(&subject.socket).map_err(|error| error.to_string())?;
        let limit = Some(Duration::from_secs(60));
        stream
            .set_read_timeout(limit)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            reader: BufReader::new(stream),
            line: String::new(),
        })
    }

    fn send(&mut self, lines: &str) -> Told<()> {
        let sent = self.reader.get_mut().write_all(lines.as_bytes());
        sent.map_err(|error| format!("LOST: a request could not be sent: {error}"))
    }

    fn read(&mut self) -> Told<Value> {
        self.line.clear();
        let read = self.reader.read_line(&mut self.line);
        let count = read.map_err(|error| format!("LOST: an answer did not come: {error}"))?;
        if count == 0 {
            return Err("LOST: the daemon hung up".to_owned());
        }
        serde_json::from_str(&self.line).map_err(|error| format!("{error}: {}", self.line))
    }
}

/// A request of each kind in turn, and whether that is its answer.
fn request(subject: &Subject, id: u64) -> String {
    let method = KINDS[kind(id)];
    let params = match method {
        "explain" => json!({"pid": subject.coordinator}),
        "events" => json!({"limit": 3}),
        _ => json!({}),
    };
    let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    format!("{request}\n")
}

fn is_answer(subject: &Subject, id: u64, reply: &Value) -> bool {
    let result = &reply["result"];
    reply["id"] == id
        && match KINDS[kind(id)] {
            "status" => result["daemon"]["pid"] == subject.daemon && result["counters"].is_object(),
            "explain" => result["pid"] == subject.coordinator && result["is_coordinator"] == true,
            "events" => {
                let events = result["events"].as_array().or(result.as_array());
                events.is_some_and(|events| (1..=3).contains(&events.len()))
            }
            _ => result["protocol"] == 1,
        }
}

/// A measured client: how long each answer took.
fn ask(subject: &Subject, number: usize, times: usize) -> Told<Vec<Took>> {
    let mut client = Client::connect(subject)?;
    let mut took = Vec::with_capacity(times);
    // No two clients ask with the same id.
    let first = (number as u64) << 40;
    for id in first..first + times as u64 {
        let request = request(subject, id);
        let began = Instant::now();
        client.send(&request)?;
        let reply = client.read()?;
        took.push((kind(id), began.elapsed()));
        if !is_answer(subject, id, &reply) {
            return Err(format!("MISANSWERED: {} by {reply}", request.trim()));
        }
    }
    Ok(took)
}

/// Sends many, reads as many, again and again. Each has to be answered once, in any order.
fn flood(subject: &Subject, others: &Others) -> Told<()> {
    let mut client = Client::connect(subject)?;
    let mut first = OF_THE_FLOOD;
    while !others.is_over.load(Ordering::Relaxed) {
        let ids = first..first + DEPTH;
        let lines: String = ids.clone().map(|id| request(subject, id)).collect();
        client.send(&lines)?;
        let mut due: Vec<u64> = ids.collect();
        while !due.is_empty() {
            let reply = client.read()?;
            let at = due.iter().position(|id| is_answer(subject, *id, &reply));
            let at = at.ok_or_else(|| format!("MISANSWERED in the flood: {reply}"))?;
            due.swap_remove(at);
        }
        others.flood.fetch_add(DEPTH, Ordering::Relaxed);
        first += DEPTH;
    }
    Ok(())
}

/// Holds many connections, each of which says one more byte of a request every second.
fn drip(subject: &Subject, others: &Others) -> Told<()> {
    let request = request(subject, 3);
    let mut slow: Vec<Option<UnixStream>> = (0..SLOW).map(|_| None).collect();
    for byte in request.trim().bytes().cycle() {
        for place in &mut slow {
            let is_there = place
                .as_mut()
                .is_some_and(|stream| stream.write_all(&[byte]).is_ok());
            if !is_there {
                if place.is_some() {
                    others.displaced.fetch_add(1, Ordering::Relaxed);
                }
                *place = UnixStream::connect(&subject.socket).ok();
            }
        }
        let next = Instant::now() + DRIP;
        while Instant::now() < next {
            if others.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}
