//! `events`: the daemon gives so much of the log at once, whatever it is asked for; earlier records come page by page.
//! Pure.

use serde_json::{Value, json};

use super::list;
use super::request::Request;

/// A page with fewer records than this, and than were asked for, is the last one, unless it says otherwise.
const FULL_PAGE: usize = 10_000;
/// So many records are asked for if nothing is said.
const DEFAULT_LIMIT: usize = 20;

/// Records that are asked for, and those that came.
pub(super) struct Pages {
    request: Request,
    limit: usize,
    /// The newest first.
    pages: Vec<Vec<Value>>,
    is_over: bool,
}

impl Pages {
    /// Of what this request asks for.
    pub(super) fn of(request: Request) -> Self {
        let limit = request.params["limit"].as_u64();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Self {
            request,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            pages: Vec::new(),
            is_over: false,
        }
    }

    /// What is to be asked next, if anything is.
    pub(super) fn next(&self) -> Option<Request> {
        let had = self.had();
        if self.is_over || had >= self.limit {
            return None;
        }
        let Request { method, mut params } = self.request.clone();
        if had > 0 {
            params["limit"] = (self.limit - had).into();
            params["skip"] = had.into();
        }
        Some(Request { method, params })
    }

    /// Takes in the answer.
    pub(super) fn take(&mut self, result: &Value) {
        let page = list(result, "events").to_vec();
        let asked = self.limit.saturating_sub(self.had()).min(FULL_PAGE);
        self.is_over = page.is_empty() || (page.len() < asked && result["truncated"] != true);
        self.pages.push(page);
    }

    /// All that came, as one result.
    pub(super) fn into_result(self) -> Value {
        let events: Vec<Value> = self.pages.into_iter().rev().flatten().collect();
        json!({ "events": events })
    }

    fn had(&self) -> usize {
        self.pages.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon that has so many records, and gives so many of them at once.
    fn answer(request: &Request, records: usize, at_once: usize) -> Value {
        let number = |name: &str| request.params[name].as_u64().map(|number| number as usize);
        let end = records.saturating_sub(number("skip").unwrap_or(0));
        let wanted = number("limit").unwrap_or(DEFAULT_LIMIT).min(FULL_PAGE);
        let given = wanted.min(end).min(at_once);
        let events: Vec<usize> = (end - given..end).collect();
        match given < wanted.min(end) {
            true => json!({"events": events, "truncated": true}),
            false => json!({ "events": events }),
        }
    }

    #[test]
    fn all_that_was_asked_for_comes_in_however_many_pages() {
        for (limit, records, at_once, asked) in [
            (None, 100, 4_000, 1),
            (Some(5), 100, 4_000, 1),
            (Some(100), 7, 4_000, 1),
            (Some(10_000), 10_000, 4_000, 3),
            (Some(20_000), 25_000, 50_000, 2),
            (Some(20_000), 15_000, 4_000, 4),
            (Some(3), 3, 1, 3),
            (Some(20), 0, 4_000, 1),
        ] {
            let params = limit.map_or(json!({}), |limit: usize| json!({ "limit": limit }));
            let mut pages = Pages::of(Request {
                method: "events",
                params,
            });
            let mut times = 0;
            while let Some(request) = pages.next() {
                pages.take(&answer(&request, records, at_once));
                times += 1;
            }
            let limit = limit.unwrap_or(DEFAULT_LIMIT);
            let expected: Vec<usize> = (records.saturating_sub(limit)..records).collect();
            assert_eq!(pages.into_result(), json!({ "events": expected }));
            assert_eq!(times, asked, "{limit} of {records}, {at_once} at once");
        }
    }
}
