//! The records that a follower begins with: the last ones before those that it is told of one by one. Knows neither
//! files nor channels.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::BYTES_AT_ONCE;
use crate::event_log::Newest;
use crate::supervisor::journal::Published;

/// What a follower begins with.
#[derive(Debug)]
pub(super) struct Beginning {
    /// As JSON, newest last.
    pub(super) array: String,
    /// There are earlier ones that were asked for, and had no room or were not looked at.
    pub(super) is_cut: bool,
    /// There may be earlier ones that would have room: `told` are among those that were looked at.
    pub(super) is_short: bool,
}

/// The last `limit` of the `newest` records, of which `asked` were asked for, without those that the follower is `told`
/// of. What was written while the log was read comes once, and with its number.
pub(super) fn beginning(
    newest: &Newest,
    asked: usize,
    limit: usize,
    told: &VecDeque<Arc<Published>>,
) -> Beginning {
    let told: HashSet<&str> = told.iter().map(|record| record.event.as_str()).collect();
    let mut last = Vec::new();
    let (mut bytes, mut has_room) = (0, true);
    let mut is_any_told = false;
    for record in newest.records.iter().rev() {
        if !told.is_empty() && told.contains(record.as_str()) {
            is_any_told = true;
            continue;
        }
        has_room = last.len() < limit && (bytes + record.len() < BYTES_AT_ONCE || last.is_empty());
        if !has_room {
            break;
        }
        bytes += record.len() + 1;
        last.push(record.as_str());
    }
    last.reverse();
    let is_missing_some = last.len() < limit;
    let are_more_there = newest.is_cut || newest.records.len() >= asked;
    Beginning {
        array: format!("[{}]", last.join(",")),
        is_cut: is_missing_some && (are_more_there || !has_room),
        is_short: is_missing_some && are_more_there && has_room && is_any_told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: &[usize]) -> VecDeque<Arc<Published>> {
        let published = |number: &usize| {
            Arc::new(Published {
                seq: *number as u64,
                event: number.to_string(),
                is_recorded: true,
            })
        };
        numbers.iter().map(published).collect()
    }

    /// Of the newest `asked` records there are `found`, and these are told.
    fn begun(found: &[usize], asked: usize, limit: usize, numbers: &[usize]) -> Beginning {
        let newest = Newest {
            records: found.iter().map(ToString::to_string).collect(),
            is_cut: false,
        };
        beginning(&newest, asked, limit, &told(numbers))
    }

    #[test]
    fn in_the_place_of_those_that_are_told_come_earlier_ones() {
        let of_enough = begun(&[1, 2, 3, 4, 5], 5, 3, &[4, 5, 6]);
        assert_eq!(
            (of_enough.array.as_str(), of_enough.is_cut),
            ("[1,2,3]", false)
        );
        assert!(!of_enough.is_short);
        let of_more = begun(&[1, 2, 3, 4, 5], 5, 2, &[5]);
        assert_eq!((of_more.array.as_str(), of_more.is_cut), ("[3,4]", false));
        let of_few = begun(&[3, 4, 5], 3, 3, &[4, 5, 6]);
        assert!(of_few.is_short && of_few.is_cut);
        assert_eq!(of_few.array, "[3]");
        // There are no others.
        let of_all = begun(&[3, 4, 5], 9, 3, &[5]);
        assert!(!of_all.is_short && !of_all.is_cut);
        let of_none = begun(&[], 0, 0, &[5]);
        assert!(!of_none.is_short && !of_none.is_cut);
        assert_eq!(of_none.array, "[]");
    }

    #[test]
    fn what_has_no_room_is_said_to_be_missing_and_not_looked_for_again() {
        let long = "7".repeat(BYTES_AT_ONCE - 4);
        let newest = Newest {
            records: vec![
                "1".to_owned(),
                long.clone(),
                "22".to_owned(),
                "3".to_owned(),
            ],
            is_cut: false,
        };
        let with_long = beginning(&newest, 9, 4, &told(&[3]));
        assert!(with_long.is_cut && !with_long.is_short);
        assert_eq!(with_long.array, format!("[{long},22]"));
        let whatever_its_length = beginning(&newest, 9, 1, &told(&[3, 22]));
        assert_eq!(whatever_its_length.array, format!("[{long}]"));
        assert!(!whatever_its_length.is_cut);
    }
}
