//! `events`: the daemon gives so much of the log at once, whatever it is asked for; earlier records come page by page.
//! Pure.
//!
//! Pages are counted from the newest record, and more are written meanwhile: each page is asked for with one record that
//! is known already, and what stands before that one is earlier. Where it is not there the log has gone on to another
//! segment, and all is asked for anew.

use serde_json::{Value, json};

use super::list;
use super::request::Request;

/// A page with fewer records than this, and than were asked for, is the last one, unless it says otherwise.
const FULL_PAGE: usize = 10_000;
/// So many records are asked for at first by who does not know how many there are, and ten times as many each time after.
const FIRST_PAGE: usize = 100;
/// So many records are asked for if nothing is said.
pub(super) const DEFAULT_LIMIT: usize = 20;

/// So many more are asked for than are needed, to begin with: what is written meanwhile takes their place.
const ROOM: usize = 100;
/// How many pages in a row may have nothing that is earlier than what is known.
const MISSES: usize = 20;
/// How often all is asked for.
const ATTEMPTS: usize = 3;

/// What is said of a result that is `truncated`.
pub(super) const CUT: &str = "the event log grew faster than it could be read: earlier events that were asked for are missing";

/// Records that are asked for, and those that came.
pub(super) struct Pages {
    request: Request,
    limit: usize,
    /// No more than so many are asked for at once.
    at_once: usize,
    /// The newest first.
    pages: Vec<Vec<Value>>,
    /// How many were written since the first page came.
    newer: usize,
    /// How many more are asked for than are needed.
    room: usize,
    /// How many pages in a row had nothing earlier.
    misses: usize,
    attempts: usize,
    is_over: bool,
    /// There are earlier ones that were asked for.
    is_cut: bool,
}

impl Pages {
    /// Of what this request asks for.
    pub(super) fn of(request: Request) -> Self {
        let limit = request.params["limit"].as_u64();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Self {
            request,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            at_once: usize::MAX,
            pages: Vec::new(),
            newer: 0,
            room: ROOM,
            misses: 0,
            attempts: 1,
            is_over: false,
            is_cut: false,
        }
    }

    /// Of the whole log: however many there are behind one that is looked for. See [`Pages::end_behind`].
    pub(super) fn of_all() -> Self {
        let request = Request {
            method: "events",
            params: json!({"all": true}),
        };
        Self {
            limit: usize::MAX,
            at_once: FIRST_PAGE,
            ..Self::of(request)
        }
    }

    /// Ends with what came last, if one of these is there: then only those behind the newest of them count.
    pub(super) fn end_behind(&mut self, is_one: impl Fn(&Value) -> bool) {
        if let Some(page) = self.pages.last_mut()
            && let Some(at) = page.iter().rposition(is_one)
        {
            page.drain(..=at);
            self.is_over = true;
        }
    }

    /// What is to be asked next, if anything is.
    pub(super) fn next(&self) -> Option<Request> {
        let had = self.had();
        if self.is_over || had >= self.limit {
            return None;
        }
        let Request { method, mut params } = self.request.clone();
        params["limit"] = self.asked().into();
        if had > 0 {
            params["skip"] = (had + self.newer - 1).into();
        }
        Some(Request { method, params })
    }

    /// Takes in the answer.
    pub(super) fn take(&mut self, result: &Value) {
        let mut page = list(result, "events").to_vec();
        let is_full = page.len() >= self.asked().min(FULL_PAGE) || result["truncated"] == true;
        self.at_once = self.at_once.saturating_mul(10);
        let known = self.pages.last().and_then(|page| page.first());
        if let Some(known) = known {
            let at = page.iter().rposition(|event| event == known);
            // Those behind it were had before, or written meanwhile: all, where it is not there yet.
            let newer = page.len() - at.map_or(0, |at| at + 1);
            if at.unwrap_or(0) == 0 && is_full {
                self.miss(newer);
                return;
            }
            let Some(at) = at else {
                // It does not come any more.
                self.begin_anew();
                return;
            };
            self.misses = 0;
            self.newer += newer;
            page.truncate(at);
        }
        let surplus = page.len().saturating_sub(self.limit - self.had());
        page.drain(..surplus);
        self.is_over = !is_full;
        if !page.is_empty() {
            self.pages.push(page);
        }
    }

    /// Nothing that is earlier was on a page, but so many that are newer: the next one has more room, and comes before the
    /// log has grown by as much, sooner or later.
    fn miss(&mut self, newer: usize) {
        self.misses += 1;
        if self.misses >= MISSES {
            self.begin_anew();
            return;
        }
        self.newer += newer;
        self.room = FULL_PAGE.min(2 * self.room);
    }

    fn begin_anew(&mut self) {
        match self.attempts < ATTEMPTS {
            true => {
                self.attempts += 1;
                self.pages.clear();
                self.newer = 0;
                self.misses = 0;
            }
            // It changes faster than it can be read.
            false => (self.is_over, self.is_cut) = (true, true),
        }
    }

    /// How many records are asked for next.
    fn asked(&self) -> usize {
        let asked = match self.had() {
            0 => self.limit,
            had => (self.limit - had).saturating_add(1 + self.room),
        };
        asked.min(self.at_once)
    }

    /// All that came, as one result.
    pub(super) fn into_result(self) -> Value {
        let events: Vec<Value> = self.pages.into_iter().rev().flatten().collect();
        match self.is_cut {
            true => json!({ "events": events, "truncated": true }),
            false => json!({ "events": events }),
        }
    }

    fn had(&self) -> usize {
        self.pages.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that a daemon reads from the end.
    #[derive(Clone)]
    struct Log {
        /// Numbers, as they were written.
        records: Vec<usize>,
        /// How many of the newest it gives at once.
        at_once: usize,
    }

    impl Log {
        fn of(records: usize, at_once: usize) -> Self {
            Self {
                records: (0..records).collect(),
                at_once,
            }
        }

        fn answer(&self, request: &Request) -> Value {
            let number = |name: &str| request.params[name].as_u64().map(|number| number as usize);
            let end = self
                .records
                .len()
                .saturating_sub(number("skip").unwrap_or(0));
            let wanted = number("limit").unwrap_or(DEFAULT_LIMIT).min(FULL_PAGE);
            let given = wanted.min(end).min(self.at_once);
            let events = &self.records[end - given..end];
            match given < wanted.min(end) {
                true => json!({"events": events, "truncated": true}),
                false => json!({ "events": events }),
            }
        }

        /// What comes if so many are asked for, and in how many pages, while this happens to the log after each.
        fn read(
            &mut self,
            limit: Option<usize>,
            mut meanwhile: impl FnMut(&mut Self),
        ) -> (Value, usize) {
            let params = limit.map_or(json!({}), |limit: usize| json!({ "limit": limit }));
            let mut pages = Pages::of(Request {
                method: "events",
                params,
            });
            let mut times = 0;
            while let Some(request) = pages.next() {
                assert!(times < 1_000, "it never ends");
                pages.take(&self.answer(&request));
                meanwhile(self);
                times += 1;
            }
            (pages.into_result(), times)
        }
    }

    fn count(result: &Value) -> usize {
        list(result, "events").len()
    }

    #[test]
    fn all_that_was_asked_for_comes_in_however_many_pages() {
        for (limit, records, at_once, asked) in [
            (None, 100, 4_000, 1),
            (Some(5), 100, 4_000, 1),
            (Some(100), 7, 4_000, 1),
            (Some(10_000), 10_000, 4_000, 3),
            (Some(20_000), 25_000, 50_000, 3),
            (Some(20_000), 15_000, 4_000, 4),
            (Some(3), 3, 2, 2),
            (Some(4), 9, 2, 3),
            (Some(20), 0, 4_000, 1),
        ] {
            let (result, times) = Log::of(records, at_once).read(limit, |_| {});
            let limit = limit.unwrap_or(DEFAULT_LIMIT);
            let expected: Vec<usize> = (records.saturating_sub(limit)..records).collect();
            assert_eq!(result, json!({ "events": expected }));
            assert_eq!(times, asked, "{limit} of {records}, {at_once} at once");
        }
    }

    #[test]
    fn what_is_written_between_two_pages_shows_none_twice_and_hides_none() {
        for written in [1, 7, 60] {
            let (result, _) = Log::of(1_000, 100).read(Some(900), |log| {
                let next = log.records.len();
                log.records.extend(next..next + written);
            });
            let expected: Vec<usize> = (100..1_000).collect();
            let is_whole = result == json!({ "events": expected });
            assert!(is_whole, "{written} a page: {}", result["events"]);
        }
    }

    #[test]
    fn a_log_that_grows_by_more_than_is_needed_is_asked_for_more() {
        for (at_once, written) in [(2_900, 250), (2_990, 3_000), (200, 90)] {
            let (result, _) = Log::of(10_000, at_once.max(written + 1)).read(Some(3_000), |log| {
                let next = log.records.len();
                log.records.extend(next..next + written);
            });
            let expected: Vec<usize> = (7_000..10_000).collect();
            let is_whole = result == json!({ "events": expected });
            assert!(is_whole, "{written} a page: {} came", count(&result));
        }
    }

    #[test]
    fn what_comes_too_slowly_is_cut_and_says_so() {
        // Each page has room for two, as of long records.
        for (written, whole) in [(0, true), (1, false), (5, false)] {
            let (result, _) = Log::of(50, 2).read(Some(30), |log| {
                let next = log.records.len();
                log.records.extend(next..next + written);
            });
            let first = result["events"][0].as_u64().unwrap() as usize;
            let expected: Vec<usize> = (first..first + count(&result)).collect();
            assert_eq!(result["events"], json!(expected), "{written} a page");
            assert_eq!(result["truncated"] == true, !whole, "{written} a page");
            assert_eq!(expected.len() == 30, whole, "{written} a page");
        }
    }

    #[test]
    fn a_log_that_goes_on_to_another_segment_is_asked_anew() {
        let mut pages = 0;
        let (result, _) = Log::of(1_000, 100).read(Some(900), |log| {
            pages += 1;
            if pages == 3 {
                log.records = (1_000..1_150).collect();
            }
        });
        let expected: Vec<usize> = (1_000..1_150).collect();
        assert_eq!(result, json!({ "events": expected }));
        // And not without end.
        let (result, times) = Log::of(1_000, 100).read(Some(900), |log| {
            let next = log.records.last().unwrap() + 1;
            log.records = (next..next + 1_000).collect();
        });
        assert!(times <= ATTEMPTS * (MISSES + 1), "{times}");
        assert_eq!(count(&result), 100);
        assert_eq!(result["truncated"], true);
    }
}
