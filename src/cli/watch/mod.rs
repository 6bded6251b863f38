//! `watch`: coordinators, kills in progress and recent events, live, on the whole screen.
//!
//! | file | what lives there |
//! |---|---|
//! | `model.rs` | what is known and selected: an input comes in, effects come out; pure |
//! | `keys.rs` | what each key does; pure |
//! | `row.rs` | what is shown of a coordinator; pure |
//! | `draw.rs`, `draw/` | the model at a moment as a picture; pure |
//! | `line.rs` | the subscription, over restarts of the daemon |
//! | `screen.rs` | the terminal: taken, and given back however this ends |
//! | `live.rs` | the loop that waits for all of them |
//!
//! Everything shown comes from the subscription; nothing is polled. Between two words of the daemon
//! the time that is left is counted here.

mod draw;
mod keys;
mod line;
mod live;
mod model;
mod row;
pub mod screen;
#[cfg(test)]
mod tests;

pub(super) use live::watch;
