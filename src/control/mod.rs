//! The socket: what peers may say, who may say it, and both ends of the line.

mod asking;
pub mod bulletin;
pub mod client;
pub mod connection;
pub mod embedded;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod leaving;
pub mod lines;
pub mod notifications;
pub mod peers;
pub mod places;
pub mod protocol;
pub mod server;
pub mod state;
mod subscription;
pub mod telling;
mod writing;
