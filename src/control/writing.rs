//! Lines on their way out, and how long a peer may take to read them. It must not know what they say.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::peers::Place;

/// How long a peer may take to read an answer.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long a subscriber may take for each of the last notifications when the daemon stops.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(250);

/// As [`send`], of what nobody waits for: the daemon that stops does not wait for who does not read it.
pub(super) async fn tell(
    writer: &mut (impl AsyncWriteExt + Unpin),
    line: &str,
    place: &Place,
    stop: &CancellationToken,
) -> Result<()> {
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS_LIMIT).await;
    };
    tokio::select! {
        sent = send(writer, line, place) => sent,
        () = given_up => Err(ErrorKind::TimedOut.into()),
    }
}

/// Sends a line to whoever has this place, or had it: who has lost it holds nobody up by not reading.
///
/// # Errors
/// `TimedOut` if it is not read in time; else the system's.
pub(super) async fn send(
    writer: &mut (impl AsyncWriteExt + Unpin),
    line: &str,
    place: &Place,
) -> Result<()> {
    let mut rest = line.as_bytes();
    let sent = async {
        while !rest.is_empty() {
            // What is read slowly is read all the same: given up is who reads nothing at all.
            let taken = tokio::select! {
                biased;
                taken = writer.write(rest) => taken?,
                () = place.given_up() => return Err(ErrorKind::TimedOut.into()),
            };
            if taken == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            rest = &rest[taken..];
        }
        Ok(())
    };
    within_limit(sent).await
}

/// Sends a line to who has never had a place.
///
/// # Errors
/// As [`send`].
pub(super) async fn send_last(writer: &mut (impl AsyncWriteExt + Unpin), line: &str) -> Result<()> {
    within_limit(writer.write_all(line.as_bytes())).await
}

async fn within_limit(sent: impl Future<Output = Result<()>>) -> Result<()> {
    timeout(WRITE_LIMIT, sent)
        .await
        .map_err(|_| Error::from(ErrorKind::TimedOut))?
}
