//! What is still read of a peer that has lost its place: what it had sent by then, as far as that ends.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::net::unix::OwnedReadHalf;
use tokio::time::Instant;
use tokio_util::codec::FramedRead;

use super::lines::{Line, LineDecoder};

/// How many lines it gets answers to however long that takes …
const LINES: usize = 64;
/// … and how long to more than these. Whoever goes on sending would never be done.
const LIMIT: Duration = Duration::from_millis(250);

/// A peer on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    since: Instant,
    lines: usize,
}

impl Leaving {
    /// It has lost its place now.
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            lines: 0,
        }
    }

    /// A line of its was read.
    pub(super) fn count(&mut self) {
        self.lines += 1;
    }

    fn may_go_on(&self) -> bool {
        self.lines < LINES || self.since.elapsed() < LIMIT
    }
}

/// The next line. None if there will be none: it has hung up, or is leaving and has sent no more. Nothing is lost if it
/// is not waited for to the end.
pub(super) async fn next_line(
    lines: &mut FramedRead<OwnedReadHalf, LineDecoder>,
    leaving: Option<&Leaving>,
) -> Option<Line> {
    let Some(leaving) = leaving else {
        return lines.next().await?.ok();
    };
    if !leaving.may_go_on() {
        return None;
    }
    // Whether there is something shows after a look at all sockets.
    tokio::task::yield_now().await;
    lines.next().now_or_never()??.ok()
}
