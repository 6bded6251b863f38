//! Where what the owner said is kept over a restart: one small file of the state directory.

use crate::text::in_line;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::event::{Event, Ticket};
use crate::orphan::event::{Event as Fact, HeldBy};
use crate::orphan::steering::{Steering, Suspension};
use crate::os::files::{open_regular, replace};
use crate::os::host::boot_id;
use crate::wire;

/// How long whoever has said something waits for the disk.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
const NO_ANSWER: &str = "the disk gave no answer in time";
const NAME: &str = "steering.json";
/// What cannot be understood is left there, for its owner.
const SET_ASIDE: &str = "steering.json.bad";
/// More than [`Keeps::MOST`] processes, and [`Keeps::MOST_BYTES`] of paths, each byte escaped.
///
/// [`Keeps::MOST`]: crate::orphan::steering::Keeps::MOST
/// [`Keeps::MOST_BYTES`]: crate::orphan::steering::Keeps::MOST_BYTES
const LIMIT_BYTES: u64 = 16 << 20;

/// What the owner said before, or nothing. A file that cannot be understood may have held a pause:
/// then automatic reaping is suspended until somebody resumes it. Changes nothing. Blocking.
#[must_use]
pub fn load(state_dir: &Path) -> Steering {
    read(&state_dir.join(NAME)).unwrap_or_else(|problem| lost(&problem))
}

/// As [`load`], for the daemon that writes the file from now on: one that cannot be understood is set
/// aside, and the suspension takes its place. Gives what is to be recorded of that. Blocking.
#[must_use]
pub fn take_over(state_dir: &Path) -> (Steering, Option<Fact>) {
    let path = state_dir.join(NAME);
    let steering = match read(&path) {
        Ok(steering) => return (steering, None),
        Err(problem) => lost(&problem),
    };
    let aside = state_dir.join(SET_ASIDE);
    // A second name first: at no time there is none, which would mean that nothing was said.
    let set_aside = link_anew(&path, &aside).map_err(|error| error.to_string());
    if let Err(problem) = set_aside.and_then(|()| write(&path, &steering)) {
        tracing::warn!(%problem, file = %in_line(path), "the unreadable file stays where it is");
    }
    let why = steering.suspension.as_ref();
    let why = why.map(|suspension| suspension.why.clone());
    let suspended = Fact::ReapSuspended {
        by: HeldBy::LostSteering,
        why: why.unwrap_or_default(),
    };
    (steering, Some(suspended))
}

/// What is assumed where what was said cannot be read.
fn lost(problem: &str) -> Steering {
    tracing::error!(
        %problem,
        "what was paused or kept is not known: nothing is ended until `team-agentctl resume`; \
         keep what is to be kept again before"
    );
    Steering {
        suspension: Some(Suspension {
            since: SystemTime::now(),
            why: format!("what was paused or kept is not known: {problem}"),
        }),
        is_unknown: true,
        ..Steering::default()
    }
}

fn link_anew(path: &Path, name: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::hard_link(path, name),
    }
}

fn write(path: &Path, steering: &Steering) -> Result<(), String> {
    let mut text = wire::steering::to_json(steering, &boot_id()).to_string();
    text.push('\n');
    replace(path, text.as_bytes()).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Steering, String> {
    use std::io::Read;
    let words = |error: std::io::Error| format!("{}: {error}", in_line(path));
    let file = match open_regular(path, std::fs::OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Steering::default());
        }
        Err(error) => return Err(words(error)),
    };
    let mut text = Vec::new();
    file.take(LIMIT_BYTES)
        .read_to_end(&mut text)
        .map_err(words)?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", in_line(path)))?;
    wire::steering::from_json(&value, &boot_id())
        .map_err(|problem| format!("{}: {problem}", in_line(path)))
}

/// Who is told when what the owner said is on disk, and what.
type Waiting = (Ticket, Value);

/// What is to be written next: all of what the owner said last, and who waits for it.
#[derive(Debug, Default)]
struct Next {
    steering: Option<Arc<Steering>>,
    waiting: Vec<Waiting>,
}

/// The way to the writer of the file. What was said meanwhile takes the place of what it has not begun
/// with yet: however much is said while a disk takes its time, only the last of it waits.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    next: Arc<Mutex<Next>>,
    said: Arc<Notify>,
}

impl Writer {
    /// Has this written. It comes back as [`Event::Kept`] for whoever waits for it.
    pub fn write(&self, steering: Arc<Steering>, answer: Option<Waiting>) {
        let mut next = self.next();
        next.steering = Some(steering);
        next.waiting.extend(answer);
        drop(next);
        self.said.notify_one();
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was said, one after the other, for as long as there is somebody to tell.
    async fn run<W>(self, write: W, events: mpsc::UnboundedSender<Event>)
    where
        W: Fn(&Steering) -> Result<(), String> + Clone + Send + 'static,
    {
        let tell = |waiting: Vec<Waiting>, result: Result<(), String>| {
            if let Err(problem) = &result {
                tracing::error!(%problem, "what the owner said is not kept over a restart");
            }
            // The supervisor itself learns of it in any case.
            let nobody = waiting.is_empty().then_some(None);
            for answer in waiting.into_iter().map(Some).chain(nobody) {
                let result = result.clone();
                let _ = events.send(Event::Kept { answer, result });
            }
        };
        while !events.is_closed() {
            let Next { steering, waiting } = std::mem::take(&mut *self.next());
            let Some(steering) = steering else {
                self.said.notified().await;
                continue;
            };
            let mut waiting = waiting;
            let write = write.clone();
            let mut writing = tokio::task::spawn_blocking(move || write(&steering));
            let written = loop {
                if let Ok(written) = timeout(WRITE_LIMIT, &mut writing).await {
                    break written.unwrap_or_else(|lost| Err(lost.to_string()));
                }
                // Nothing else is begun while it hangs, and nobody is kept waiting.
                waiting.append(&mut self.next().waiting);
                if !waiting.is_empty() {
                    tell(std::mem::take(&mut waiting), Err(NO_ANSWER.to_owned()));
                }
            };
            tell(waiting, written);
        }
    }
}

/// Starts the one writer of the file.
#[must_use]
pub fn start_writer(state_dir: &Path, events: mpsc::UnboundedSender<Event>) -> Writer {
    let writer = Writer::default();
    let path = state_dir.join(NAME);
    let write = move |steering: &Steering| write(&path, steering);
    tokio::task::spawn(writer.clone().run(write, events));
    writer
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::orphan::process::{Pid, ProcessIdentity};
    use crate::orphan::steering::Keeps;

    #[test]
    fn a_file_that_cannot_be_understood_suspends() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()), Steering::default());
        for text in ["", "{", "{}", "null"] {
            fs::write(dir.path().join(NAME), text).unwrap();
            let steering = load(dir.path());
            assert!(
                steering.suspension.is_some() && steering.is_unknown,
                "{text:?}"
            );
        }
        fs::remove_file(dir.path().join(NAME)).unwrap();
        fs::create_dir(dir.path().join(NAME)).unwrap();
        assert!(load(dir.path()).suspension.is_some(), "a directory");
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_set_aside_and_said_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "{").unwrap();
        fs::write(dir.path().join(SET_ASIDE), "an older one").unwrap();
        let (steering, said) = take_over(dir.path());
        assert!(steering.suspension.is_some() && steering.is_unknown);
        assert!(
            matches!(&said, Some(Fact::ReapSuspended { by: HeldBy::LostSteering, why }) if why.contains("steering.json")),
            "{said:?}"
        );
        assert_eq!(fs::read_to_string(dir.path().join(SET_ASIDE)).unwrap(), "{");
        let (again, said) = take_over(dir.path());
        assert!(
            again.suspension.is_some() && again.is_unknown,
            "it holds on"
        );
        assert_eq!(said, None);
    }

    #[test]
    fn what_cannot_be_set_aside_stays_and_suspends_each_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(NAME)).unwrap();
        for _ in 0..2 {
            let (steering, said) = take_over(dir.path());
            assert!(steering.suspension.is_some() && steering.is_unknown);
            assert!(said.is_some());
        }
    }

    #[test]
    fn as_much_as_may_be_kept_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut steering = Steering::default();
        // The longest in JSON: each byte becomes six.
        let path = |number: usize| PathBuf::from(format!("/{number:03}{}", "\u{1}".repeat(4092)));
        let longest = Keeps::MOST_BYTES / 4096;
        for number in 0..longest {
            steering.keeps.add_path(path(number), Vec::new()).unwrap();
        }
        assert!(steering.keeps.add_path("/".into(), Vec::new()).is_err());
        let process = |pid| ProcessIdentity {
            pid,
            start: u64::MAX,
            unique: u64::MAX,
        };
        for pid in 1..=Pid::try_from(Keeps::MOST).unwrap() {
            steering.keeps.add_process(process(pid)).unwrap();
        }
        assert!(steering.keeps.add_process(process(9999)).is_err());
        write(&dir.path().join(NAME), &steering).unwrap();
        assert!(load(dir.path()) == steering);
        // As many short ones.
        let mut steering = Steering::default();
        for number in 0..Keeps::MOST {
            let path = format!("/{number}");
            steering.keeps.add_path(path.into(), Vec::new()).unwrap();
        }
        assert!(steering.keeps.add_path("/".into(), Vec::new()).is_err());
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_the_answer_comes_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (events, mut incoming) = mpsc::unbounded_channel();
        let writer = start_writer(dir.path(), events);
        let mut steering = Steering::default();
        let led_to = ["/data/ws".into()].into();
        steering.keeps.paths.insert("/home/me/ws".into(), led_to);
        let say = |ticket| {
            writer.write(Arc::new(steering.clone()), Some((ticket, Value::Null)));
        };
        say(1);
        let Some(Event::Kept {
            answer: Some((1, _)),
            result: Ok(()),
        }) = incoming.recv().await
        else {
            panic!("no answer");
        };
        assert_eq!(load(dir.path()), steering);
        fs::remove_dir_all(dir.path()).unwrap();
        say(2);
        let Some(Event::Kept {
            answer: Some((2, _)),
            result: Err(_),
        }) = incoming.recv().await
        else {
            panic!("no error");
        };
    }

    /// What comes back of these until nobody of them waits any more: who was told, and whether it is written.
    async fn told(
        incoming: &mut mpsc::UnboundedReceiver<Event>,
        many: usize,
    ) -> Vec<(Ticket, bool)> {
        let mut told = Vec::new();
        while told.len() < many {
            if let Some(Event::Kept {
                answer: Some((ticket, _)),
                result,
            }) = incoming.recv().await
            {
                told.push((ticket, result.is_ok()));
            }
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_keeps_nobody_waiting_and_gets_the_last_of_what_was_said_meanwhile() {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let may_go_on = Arc::new(Mutex::new(may_go_on));
        let written = Arc::new(Mutex::new(Vec::new()));
        let disk = Arc::clone(&written);
        let write = move |steering: &Steering| {
            // Until the other end is dropped.
            let _ = may_go_on.lock().unwrap().recv();
            disk.lock().unwrap().push(steering.keeps.paths.len());
            Ok(())
        };
        let writer = Writer::default();
        tokio::spawn(writer.clone().run(write, events));
        let mut steering = Steering::default();
        for ticket in 1..=50 {
            let path = format!("/kept/{ticket}").into();
            steering.keeps.add_path(path, Vec::new()).unwrap();
            writer.write(Arc::new(steering.clone()), Some((ticket, Value::Null)));
            tokio::task::yield_now().await;
        }
        tokio::time::advance(WRITE_LIMIT).await;
        let in_vain = told(&mut incoming, 50).await;
        assert!(
            in_vain.iter().all(|(_, is_written)| !is_written),
            "{in_vain:?}"
        );
        writer.write(Arc::new(steering), Some((51, Value::Null)));
        drop(go_on);
        assert_eq!(told(&mut incoming, 1).await, [(51, true)]);
        assert_eq!(
            *written.lock().unwrap(),
            [1, 50],
            "the first, and the last that was said"
        );
    }
}
