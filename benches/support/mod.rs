//! What the benches stand on: a private process table, a daemon in it, and stand-ins for
//! coordinators. Knows nothing of the project's own code: what is measured is the release build,
//! through its socket, as a user would.

mod cast;
mod daemon;
mod dice;
mod event_log;
pub(crate) mod namespace;
mod processes;
mod stage;

pub(crate) use cast::{Cast, Coordinator};
pub(crate) use daemon::{Daemon, call_on, command as daemon_command};
pub(crate) use dice::Dice;
pub(crate) use event_log::EventLog;
pub(crate) use namespace::{enter, is_inside};
pub(crate) use processes::{
    Spending, count_processes, cpu_of, cpu_of_children, has_exited, memory, wait_until,
};
pub(crate) use stage::Stage;

/// Whatever goes wrong ends the bench, in words.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// No bench of a few minutes lives longer, nor what it starts on its [`Stage`].
pub(crate) const TTL_S: u32 = 240;
