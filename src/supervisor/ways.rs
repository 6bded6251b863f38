//! Where the paths lead by which a request names workspaces: who types a path through a link means what is
//! behind it.
//!
//! `..` is followed as the kernel does it, or not at all: taken back by its text alone it may lead to
//! somebody else's workspace.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::request::Request;
use super::scan::on_blocking_pool;
use super::turns::Turns;
use crate::os::paths::leads_to;

/// Adds to each path of a request where it leads. Gives those of which that could not be found out in time:
/// they stand for themselves alone.
pub(super) async fn follow(request: &mut Request, turns: &Turns, limit: Duration) -> Vec<PathBuf> {
    let mut unfollowed = Vec::new();
    for workspaces in request.workspaces_mut() {
        let looks = workspaces.iter().map(|path| {
            let (typed, turn) = (path.clone(), turns.clone().next());
            let look = async move {
                let turn = turn.await.ok()?;
                on_blocking_pool(limit, move || {
                    // One that hangs keeps its thread, and its turn.
                    let _turn = turn;
                    leads_to(&typed)
                })
                .await
            };
            async move { timeout(limit, look).await.ok().flatten() }
        });
        let found = join_all(looks).await;
        let late = workspaces.iter().zip(&found);
        let late = late.filter(|(_, found)| found.is_none());
        unfollowed.extend(late.map(|(path, _)| path.clone()));
        workspaces.extend(found.into_iter().flatten().flatten());
    }
    unfollowed
}
