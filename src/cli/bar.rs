//! Time that is left, as a bar that gets shorter and in words.

use jiff::Timestamp;

use crate::cli::render::span;

/// What is left of the time between `from` and `until`, as a bar of so many columns.
pub(in crate::cli) fn bar(
    from: Timestamp,
    until: Timestamp,
    now: Timestamp,
    columns: usize,
) -> String {
    let whole = until.duration_since(from).as_secs_f64();
    let left = until.duration_since(now).as_secs_f64();
    let share = if whole > 0.0 { left / whole } else { 0.0 };
    // As long as anything is left, something of it is shown.
    let filled = (1..=columns)
        .filter(|column| share * columns as f64 > (*column as f64) - 1.0)
        .count();
    format!("{}{}", "█".repeat(filled), "░".repeat(columns - filled))
}

/// How long until then: `42s`; `now` if that is over.
pub(in crate::cli) fn left(until: Timestamp, now: Timestamp) -> String {
    let left = until.duration_since(now);
    // A second that has begun counts.
    let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => span(seconds),
        _ => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn a_bar_gets_shorter_and_is_empty_only_when_the_time_is_over() {
        for (now, shown) in [
            (-5, "████████"),
            (0, "████████"),
            (4, "████████"),
            (5, "████░░░░"),
            (9, "█░░░░░░░"),
            (10, "░░░░░░░░"),
            (99, "░░░░░░░░"),
        ] {
            let (from, until, columns) = match now {
                4 => (at(0), at(1_000), 8),
                _ => (at(0), at(10), 8),
            };
            assert_eq!(bar(from, until, at(now), columns), shown, "{now}");
        }
        assert_eq!(bar(at(0), at(0), at(0), 3), "░░░");
        assert_eq!(bar(at(0), at(9), at(0), 0), "");
    }

    #[test]
    fn what_is_left_is_counted_in_seconds_that_have_begun() {
        assert_eq!(left(at(10), at(0)), "10s");
        let tenth = jiff::SignedDuration::from_millis(100);
        assert_eq!(left(at(10), at(8) + tenth), "2s");
        assert_eq!(left(at(10), at(9) + tenth), "1s");
        assert_eq!(left(at(10), at(10)), "now");
        assert_eq!(left(at(10), at(90)), "now");
        assert_eq!(left(at(700), at(0)), "11m");
    }
}
