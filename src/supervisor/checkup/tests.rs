//! Looks that hang, and what reading a configuration again says.

use std::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_look_that_hangs_is_given_up_and_takes_one_thread_however_often_it_is_tried() {
    const SHORT: Duration = Duration::from_millis(20);
    let turn = Turn::default();
    let (release, released) = mpsc::channel::<()>();
    let hangs = look_for(SHORT, &turn, move || released.recv().is_err());
    assert_eq!(hangs.await, None);
    let (began, begins) = mpsc::channel();
    let tried = look_for(SHORT, &turn, move || began.send(()));
    assert!(tried.await.is_none());
    assert!(begins.try_recv().is_err(), "it never began");
    drop(release);
    assert_eq!(look_for(CHECK_LIMIT, &turn, || 7).await, Some(7));
}

#[tokio::test]
async fn a_look_that_panics_is_no_answer() {
    let turn = Turn::default();
    let panics = checked(&turn, "view", || panic!("on purpose"));
    assert_eq!(panics.await, Check::unanswered("view", CHECK_LIMIT));
    assert_eq!(
        look(&turn, || 7).await,
        Some(7),
        "the next one has its turn"
    );
}

#[test]
fn only_what_a_reload_does_not_change_needs_a_restart() {
    let start = Config::default();
    let mut now = start.clone();
    now.reap.confirm = true;
    assert_eq!(compare(&now, &start, &start), Reread::Changed);
    assert_eq!(compare(&now, &now, &start), Reread::Same);
    now.events.keep += 1;
    now.control.max_connections += 1;
    let both = Reread::NeedsRestart(vec!["[events]", "[control]"]);
    assert_eq!(compare(&now, &now, &start), both);
}
