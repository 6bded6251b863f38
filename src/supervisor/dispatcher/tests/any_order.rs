//! Whatever happens in whatever order: what must never be, and what must come in the end.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Something that may happen at any time.
#[derive(Clone, Debug)]
enum Step {
    Tick,
    /// The scan that runs ends, and has seen these as alive, orphan or not at all.
    Scanned(Vec<Option<bool>>),
    ScanFails,
    /// The workspace of all was deleted.
    Deleted,
    /// The workspaces of these may have gone.
    Touched(Vec<Pid>),
    Exited(Pid),
    /// The look that runs ends, and has seen these as alive, orphan or not at all.
    Looked(Vec<Option<bool>>),
    /// The others have had their turn.
    GoOn,
    /// Those that a fix named and no scan showed are known.
    LookedUp,
    Scan,
    Gate,
    Fix,
    FixOne(Pid),
    /// One of the terminations under way ends so.
    Ended(usize, Outcome),
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let seen = || vec(prop::option::weighted(0.9, prop::bool::weighted(0.3)), 4);
    let outcome = prop_oneof![
        Just(KILLED),
        Just(Outcome::Missing),
        Just(failed()),
        Just(spared("doubt")),
    ];
    prop_oneof![
        4 => Just(Step::Tick),
        8 => seen().prop_map(Step::Scanned),
        1 => Just(Step::ScanFails),
        2 => Just(Step::Deleted),
        3 => vec(10..14_u32, 0..3).prop_map(Step::Touched),
        4 => seen().prop_map(Step::Looked),
        1 => (10..14_u32).prop_map(Step::Exited),
        2 => Just(Step::GoOn),
        2 => Just(Step::LookedUp),
        2 => Just(Step::Scan),
        1 => Just(Step::Gate),
        3 => Just(Step::Fix),
        2 => (10..16_u32).prop_map(Step::FixOne),
        6 => (0..4_usize, outcome).prop_map(|(which, outcome)| Step::Ended(which, outcome)),
        1 => Just(Step::Stop),
    ]
}

/// The world around a dispatcher: what it asked for and has not got yet.
#[derive(Default)]
struct World {
    scans_running: usize,
    looks_running: usize,
    turns_due: usize,
    looked_up: Vec<(Ticket, BTreeSet<Pid>)>,
    under_way: Vec<Sighting>,
    asked: BTreeSet<Ticket>,
    exits: usize,
    is_stopping: bool,
    is_hurried: bool,
}

impl World {
    fn watch(&mut self, daemon: &mut Daemon, event: Event) -> Result<(), TestCaseError> {
        for effect in daemon.dispatcher.handle_event(event, clock()) {
            prop_assert_eq!(
                self.exits,
                0,
                "nothing is wanted after the exit: {:?}",
                effect
            );
            match effect {
                Effect::Scan { .. } => {
                    prop_assert!(!self.is_stopping);
                    self.scans_running += 1;
                    prop_assert_eq!(self.scans_running, 1, "two scans at once");
                    prop_assert_eq!(self.looks_running, 0, "a scan during a look");
                }
                Effect::Look(targets) => {
                    prop_assert!(!self.is_stopping);
                    prop_assert!(!targets.is_empty());
                    self.looks_running += 1;
                    prop_assert_eq!(self.looks_running, 1, "two looks at once");
                    prop_assert_eq!(self.scans_running, 0, "a look during a scan");
                }
                Effect::GoOn => self.turns_due += 1,
                Effect::LookUp { ticket, pids } => {
                    prop_assert!(!pids.is_empty());
                    self.looked_up.push((ticket, pids));
                }
                Effect::Terminate(wave) => {
                    prop_assert!(!self.is_stopping, "no new kill starts");
                    prop_assert!(!wave.targets.is_empty());
                    for target in wave.targets {
                        let is_new = self
                            .under_way
                            .iter()
                            .all(|one| one.identity() != target.identity());
                        prop_assert!(is_new, "two terminations of one process");
                        prop_assert_eq!(target.verdict.word(), "orphan");
                        self.under_way.push(target);
                    }
                }
                Effect::Answer { ticket, .. } => {
                    prop_assert!(
                        self.asked.remove(&ticket),
                        "{} twice or never asked",
                        ticket
                    );
                }
                Effect::Exit => {
                    prop_assert!(self.is_stopping);
                    let is_done = self.under_way.is_empty() || self.is_hurried;
                    prop_assert!(is_done, "kills in progress finish");
                    prop_assert!(self.asked.is_empty(), "everybody is answered");
                    self.exits += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, step: Step, ticket: Ticket) -> Option<Event> {
        let request = match step {
            Step::Tick => return Some(Event::Tick),
            Step::Scanned(_) | Step::ScanFails if self.scans_running == 0 => return None,
            Step::Exited(pid) => return Some(Event::Exited(alive(pid).record.identity)),
            Step::Looked(_) if self.looks_running == 0 => return None,
            Step::GoOn if self.turns_due == 0 => return None,
            Step::GoOn => {
                self.turns_due -= 1;
                return Some(Event::GoOn);
            }
            Step::LookedUp => {
                let (ticket, pids) = self.looked_up.pop()?;
                let strangers = pids.into_iter().map(Stranger::Nobody).collect();
                return Some(Event::LookedUp { ticket, strangers });
            }
            Step::Deleted => return Some(Event::Deleted(ORIGINAL)),
            Step::Touched(pids) => {
                let identities = pids.into_iter().map(|pid| alive(pid).record.identity);
                return Some(Event::Touched(identities.collect()));
            }
            Step::Looked(seen) => {
                self.looks_running = 0;
                return Some(Event::Looked(observations(seen)));
            }
            Step::Scanned(seen) => {
                self.scans_running = 0;
                return Some(Event::Scanned {
                    observations: Ok(observations(seen)),
                    around: clear(),
                    took: TOOK,
                });
            }
            Step::ScanFails => {
                self.scans_running = 0;
                return Some(Event::Scanned {
                    observations: Err("no process table".to_owned()),
                    around: clear(),
                    took: TOOK,
                });
            }
            Step::Ended(which, outcome) => {
                let at = which.checked_rem(self.under_way.len())?;
                let ended = termination(self.under_way.remove(at), outcome);
                return Some(Event::Ended(Box::new(ended)));
            }
            Step::Stop => {
                self.is_hurried = self.is_stopping;
                self.is_stopping = true;
                return Some(Event::Stop {
                    cause: "SIGTERM".to_owned(),
                });
            }
            Step::Scan => Request::Scan {
                workspaces: Vec::new(),
                survey: None,
            },
            Step::Gate => Request::Gate { fix: false },
            Step::Fix => Request::Fix {
                selection: Selection::default(),
            },
            Step::FixOne(pid) => Request::Fix {
                selection: named(pid),
            },
        };
        self.asked.insert(ticket);
        Some(Event::Asked {
            ticket,
            peer: peer(),
            request,
        })
    }
}

fn observations(seen: Vec<Option<bool>>) -> Vec<Observation> {
    let seen = (10..).zip(seen);
    seen.filter_map(|(pid, is_alive)| match is_alive {
        Some(true) => Some(alive(pid)),
        Some(false) => Some(orphan(pid)),
        None => None,
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_promise(steps in vec(step(), 0..60)) {
        let mut daemon = Daemon::new(Source::Daemon);
        let mut world = World::default();
        for (ticket, step) in (1..).zip(steps) {
            if let Some(event) = world.event(step, ticket) {
                world.watch(&mut daemon, event)?;
            }
            // Whoever runs the effects leaves here.
            if world.exits > 0 {
                return Ok(());
            }
        }
        // Let everything that was begun end, and stop: everybody is answered, and it is over.
        while world.scans_running + world.looks_running + world.turns_due > 0
            || !world.under_way.is_empty()
            || !world.looked_up.is_empty()
        {
            let ends = [
                Step::Scanned(vec![]),
                Step::Looked(vec![]),
                Step::GoOn,
                Step::LookedUp,
                Step::Ended(0, KILLED),
            ];
            for step in ends {
                if let Some(event) = world.event(step, 0) {
                    world.watch(&mut daemon, event)?;
                }
            }
            if world.exits > 0 {
                return Ok(());
            }
        }
        prop_assert!(world.asked.is_empty(), "{:?} were never answered", world.asked);
        if let Some(event) = world.event(Step::Stop, 0) {
            world.watch(&mut daemon, event)?;
        }
        prop_assert_eq!(world.exits, 1);
    }
}
