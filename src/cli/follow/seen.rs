//! The records that were printed or passed over last, to be known again. Pure.
//!
//! Must not know what an event looks like, but that it has its time in it.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// How many records are remembered as seen: more than can be under way at the same time.
const REMEMBERED: usize = 8192;

/// What a record is told from all others by: its text has its time in it, to the microsecond. A line that has none, such as
/// one that is no JSON, may be there twice.
pub(super) fn mark(event: &Value) -> Option<u64> {
    event["ts"].is_string().then(|| hash(event))
}

fn hash(event: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.to_string().hash(&mut hasher);
    hasher.finish()
}

/// The records seen last.
pub(super) struct Seen {
    marks: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
    /// How many lines without a mark were seen behind the last record that has one.
    unmarked: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            marks: HashSet::new(),
            order: VecDeque::new(),
            most: REMEMBERED,
            unmarked: 0,
        }
    }
}

impl Seen {
    /// Takes these for the last ones that were seen; whether there is one.
    pub(super) fn begin_behind(&mut self, last: &[Value]) -> bool {
        for event in last {
            self.add(event);
        }
        // The best there is.
        if let Some(line) = last.last().filter(|_| self.marks.is_empty()) {
            self.insert(hash(line));
        }
        !last.is_empty()
    }

    /// Whether this is one that was seen.
    pub(super) fn has(&self, event: &Value) -> bool {
        self.marks.contains(&hash(event))
    }

    /// What is left of the lines behind the last record that was seen: some of them were seen, too.
    pub(super) fn without_passed<'a>(&self, lines: &'a [Value]) -> &'a [Value] {
        let unmarked = lines.iter().take_while(|line| mark(line).is_none()).count();
        &lines[unmarked.min(self.unmarked)..]
    }

    /// Whether it was not seen before, as far as that can be told.
    pub(super) fn add(&mut self, event: &Value) -> bool {
        match mark(event) {
            Some(mark) => self.insert(mark),
            None => {
                self.unmarked += 1;
                true
            }
        }
    }

    /// Remembers more, if so many are seen at once: what comes of them from the daemon, too, is known again.
    pub(super) fn remember(&mut self, many: usize) {
        self.most = REMEMBERED.max(2 * many);
    }

    fn insert(&mut self, mark: u64) -> bool {
        if !self.marks.insert(mark) {
            return false;
        }
        self.unmarked = 0;
        self.order.push_back(mark);
        while self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_new_once_and_only_so_many_are_remembered() {
        let mut seen = Seen::default();
        let event = |number: usize| json!({"ts": number.to_string(), "event": "e"});
        assert!(seen.add(&event(0)));
        assert!(!seen.add(&event(0)));
        for number in 1..=REMEMBERED {
            assert!(seen.add(&event(number)));
        }
        assert!(!seen.has(&event(0)));
        assert!(seen.has(&event(1)));
        assert_eq!(seen.marks.len(), REMEMBERED);
    }

    #[test]
    fn lines_that_are_alike_are_known_by_their_place() {
        let mut seen = Seen::default();
        let (record, line) = (json!({"ts": "1", "event": "e"}), json!({"raw": "x"}));
        let lines = [line.clone(), line.clone(), line.clone()];
        assert!(seen.begin_behind(&[line.clone(), record.clone(), line.clone()]));
        assert!(seen.has(&record) && !seen.has(&line));
        assert_eq!(seen.without_passed(&lines).len(), 2);
        assert!(seen.add(&line));
        assert_eq!(seen.without_passed(&lines).len(), 1);
        assert!(seen.add(&json!({"ts": "2", "event": "e"})));
        assert_eq!(seen.without_passed(&lines).len(), 3);
        // Unless there is nothing else.
        let mut seen = Seen::default();
        assert!(!seen.begin_behind(&[]));
        assert!(seen.begin_behind(&lines));
        assert!(seen.has(&line));
        assert_eq!(seen.without_passed(&lines).len(), 3);
    }
}
