//! Who is connected, and who was turned away for what.
//!
//! Places are few. Where none is left, a newcomer gets that of whoever has asked nothing and waited for nothing
//! for longest, and never asked anything, if there is one: those who hold a connection and ask nothing keep
//! nobody out, and however many of them come, those who ask stay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long somebody who has lost its place may read nothing of what it is told …
const UNREAD_LIMIT: Duration = Duration::from_millis(250);
/// … and how long if there is no room for others until it goes.
const UNREAD_LIMIT_IN_A_CROWD: Duration = Duration::from_millis(20);

/// Why a peer was turned away, or something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turned {
    /// It is another user's.
    Forbidden,
    /// Every place was taken by somebody who waits for something.
    NoPlace,
    /// Somebody else came, and it waited for nothing.
    Displaced,
    /// It said nothing for too long.
    Idle,
    /// It took too long to finish a line.
    LineTooSlow,
    /// Its line was too long; it may go on.
    LineTooLong,
    /// It waits for too many answers; it may go on.
    TooManyRequests,
    /// Too many are told of what happens already; it may go on.
    TooManySubscriptions,
    /// It did not read what it asked for.
    DidNotRead,
}

impl Turned {
    const ALL: [Self; 9] = [
        Self::Forbidden,
        Self::NoPlace,
        Self::Displaced,
        Self::Idle,
        Self::LineTooSlow,
        Self::LineTooLong,
        Self::TooManyRequests,
        Self::TooManySubscriptions,
        Self::DidNotRead,
    ];

    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::NoPlace => "no_place",
            Self::Displaced => "displaced",
            Self::Idle => "idle",
            Self::LineTooSlow => "line_too_slow",
            Self::LineTooLong => "line_too_long",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::DidNotRead => "did_not_read",
        }
    }
}

/// How many of the places that are wanted a process can afford that may have so many files open: most of
/// those are for looking at processes and ending them. Who has lost its place may take one for a moment
/// longer, so that there may be twice as many.
#[must_use]
pub fn affordable(wanted: usize, open_files: u64) -> usize {
    let share = usize::try_from(open_files / 4).unwrap_or(usize::MAX);
    wanted.min(share.max(1))
}

/// All of them.
#[derive(Debug)]
pub struct Peers {
    most: usize,
    state: Mutex<State>,
    /// There is no room for others, either.
    crowded: Notify,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    places: HashMap<u64, Taken>,
    turned: HashMap<Turned, u64>,
}

/// One place that is taken.
#[derive(Debug)]
struct Taken {
    /// Since when it has asked nothing and waits for nothing; nothing while it does.
    idle_since: Option<Instant>,
    /// It has asked for something.
    has_asked: bool,
    /// It is told of what happens, for as long as it likes.
    subscribes: bool,
    displaced: CancellationToken,
}

impl Peers {
    /// Places for so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
            crowded: Notify::new(),
        })
    }

    /// A place for a newcomer, perhaps that of somebody else; none if all of them wait for something.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.places.len() >= self.most {
            let idle = state
                .places
                .iter()
                .filter_map(|(number, taken)| Some((taken.has_asked, taken.idle_since?, *number)))
                .min();
            let Some((.., number)) = idle else {
                state.count(Turned::NoPlace);
                return None;
            };
            // Its place is free from now on, whenever it leaves.
            if let Some(taken) = state.places.remove(&number) {
                taken.displaced.cancel();
            }
            state.count(Turned::Displaced);
        }
        state.last_number += 1;
        let number = state.last_number;
        let displaced = CancellationToken::new();
        let taken = Taken {
            idle_since: Some(Instant::now()),
            has_asked: false,
            subscribes: false,
            displaced: displaced.clone(),
        };
        state.places.insert(number, taken);
        Some(Place {
            peers: Arc::clone(self),
            number,
            displaced,
        })
    }

    /// Somebody comes, and there are so many that there is no room even for those who have lost their places:
    /// those of them who read nothing go.
    pub fn make_room(&self) {
        self.crowded.notify_waiters();
    }

    /// Counts somebody, or something, that was turned away.
    pub fn count(&self, turned: Turned) {
        self.state().count(turned);
    }

    /// The daemon's state, with what is known here.
    #[must_use]
    pub fn added_to(&self, mut state: Value) -> Value {
        if let Some(object) = state.as_object_mut() {
            object.insert("peers".to_owned(), self.report());
        }
        state
    }

    /// What `status` says of them.
    #[must_use]
    pub fn report(&self) -> Value {
        let state = self.state();
        let turned: Map<String, Value> = Turned::ALL
            .into_iter()
            .map(|turned| {
                let times = state.turned.get(&turned).copied().unwrap_or_default();
                (turned.word().to_owned(), times.into())
            })
            .collect();
        json!({
            "connected": state.places.len(),
            "max_connections": self.most,
            "turned_away": turned,
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, turned: Turned) {
        *self.turned.entry(turned).or_default() += 1;
    }
}

/// One peer's place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    peers: Arc<Peers>,
    number: u64,
    displaced: CancellationToken,
}

impl Place {
    /// Says whether it waits for something now. Whoever does keeps its place.
    pub fn set_waiting(&self, waits: bool) {
        let mut state = self.peers.state();
        if let Some(taken) = state.places.get_mut(&self.number) {
            taken.idle_since = match (waits, taken.idle_since) {
                (true, _) => None,
                (false, since) => Some(since.unwrap_or_else(Instant::now)),
            };
        }
    }

    /// Says that it asks for something, even if that is answered at once.
    pub fn has_asked(&self) {
        if let Some(taken) = self.peers.state().places.get_mut(&self.number) {
            taken.has_asked = true;
            taken.idle_since = taken.idle_since.map(|_| Instant::now());
        }
    }

    /// Says whether it is told of what happens. Such a peer keeps its place for as long as it likes: at most
    /// half of all places are theirs, and false is none of them. Who has lost its place has none of them either.
    #[must_use]
    pub fn set_subscribing(&self, subscribes: bool) -> bool {
        let mut state = self.peers.state();
        let others = state
            .places
            .iter()
            .filter(|(number, _)| **number != self.number);
        let others = others.filter(|(_, taken)| taken.subscribes).count();
        let has_place = state.places.contains_key(&self.number);
        // That it has none was counted when it lost it.
        if subscribes && !has_place {
            return false;
        }
        if subscribes && others >= (self.peers.most / 2).max(1) {
            state.count(Turned::TooManySubscriptions);
            return false;
        }
        if let Some(taken) = state.places.get_mut(&self.number) {
            taken.subscribes = subscribes;
        }
        true
    }

    /// When somebody else has got this place.
    pub async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    /// When this peer, if it reads nothing while this is waited for, is to be left: somebody else has its place.
    pub async fn given_up(&self) {
        let began = Instant::now();
        self.displaced().await;
        let crowd = async {
            loop {
                self.peers.crowded.notified().await;
                if began.elapsed() >= UNREAD_LIMIT_IN_A_CROWD {
                    return;
                }
            }
        };
        // Both mean the same.
        let _ = timeout(UNREAD_LIMIT, crowd).await;
    }

    /// Gives it up: what this peer waits for goes on without a place.
    pub fn leave(&self) {
        self.peers.state().places.remove(&self.number);
    }

    /// Counts this peer, or something that it asked for, as turned away.
    pub fn count(&self, turned: Turned) {
        self.peers.count(turned);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn times(peers: &Peers, turned: Turned) -> u64 {
        peers.report()["turned_away"][turned.word()]
            .as_u64()
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_gets_the_place_of_whoever_has_waited_for_nothing_for_longest() {
        let peers = Peers::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(peers.admit().unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // The first waits for something, and the second has just got its answer.
        places[0].set_waiting(true);
        places[1].set_waiting(true);
        places[1].set_waiting(false);
        let fourth = peers.admit().unwrap();
        let is_displaced = |place: &Place| place.displaced.is_cancelled();
        assert!(is_displaced(&places[2]));
        assert!(!is_displaced(&places[0]) && !is_displaced(&places[1]));
        assert_eq!(times(&peers, Turned::Displaced), 1);
        // When it leaves it takes nobody else's place along.
        drop(places.pop());
        assert_eq!(peers.report()["connected"], 3);
        drop(fourth);
        assert_eq!(peers.report()["connected"], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_never_asked_go_before_those_who_did() {
        let peers = Peers::new(2);
        let asked = peers.admit().unwrap();
        asked.has_asked();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut slow = peers.admit().unwrap();
        for _ in 0..10 {
            let next = peers.admit().unwrap();
            assert!(slow.displaced.is_cancelled() && !asked.displaced.is_cancelled());
            slow = next;
        }
        // Among those who asked, whoever has waited for nothing for longest.
        slow.has_asked();
        let _last = peers.admit().unwrap();
        assert!(asked.displaced.is_cancelled() && !slow.displaced.is_cancelled());
    }

    #[tokio::test]
    async fn half_of_all_places_are_for_those_who_ask() {
        let peers = Peers::new(4);
        let places: Vec<Place> = (0..4).map(|_| peers.admit().unwrap()).collect();
        assert!(places[0].set_subscribing(true) && places[1].set_subscribing(true));
        assert!(!places[2].set_subscribing(true));
        assert_eq!(times(&peers, Turned::TooManySubscriptions), 1);
        // One that is not told of anything after all, and one that has gone.
        assert!(places[0].set_subscribing(false) && places[2].set_subscribing(true));
        assert!(!places[0].set_subscribing(true));
        places[1].leave();
        assert!(places[3].set_subscribing(true));
        // One that has no place.
        let turned_before = times(&peers, Turned::TooManySubscriptions);
        assert!(!places[1].set_subscribing(true));
        assert_eq!(times(&peers, Turned::TooManySubscriptions), turned_before);
        // One that is alone has nobody to leave room for.
        let alone = Peers::new(1);
        assert!(alone.admit().unwrap().set_subscribing(true));
    }

    #[test]
    fn most_descriptors_are_for_looking_and_ending() {
        for (wanted, open_files, places) in [
            (128, 1024, 128),
            (128, 256, 64),
            (128, 80, 20),
            (128, 2, 1),
            (1, u64::MAX, 1),
            (usize::MAX, u64::MAX, usize::try_from(u64::MAX / 4).unwrap()),
        ] {
            assert_eq!(affordable(wanted, open_files), places, "{open_files}");
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_something_keeps_its_place() {
        let peers = Peers::new(2);
        let (first, second) = (peers.admit().unwrap(), peers.admit().unwrap());
        first.set_waiting(true);
        second.set_waiting(true);
        assert!(peers.admit().is_none());
        assert_eq!(times(&peers, Turned::NoPlace), 1);
        drop(first);
        assert!(peers.admit().is_some());
        assert_eq!(times(&peers, Turned::Displaced), 0);
    }
}
